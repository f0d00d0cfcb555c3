#!/usr/bin/env bash
# tidy.sh BUILD: clang-tidy and cppcheck over what the last commits changed, or over all with ALL=1.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
mapfile -t files < <(git ls-files '*.c' | grep -Ev '^tests/(fuzz|unit)')
flags=(-std=gnu17 -D_GNU_SOURCE -Ulinux -Uunix -I. "-I$build/gen" -I/usr/share/include/llhttp)
rc=0
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 6 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$@" -- '"${flags[*]}"' 2>/dev/null' sh || rc=1
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr --suppress=missingIncludeSystem \
    --suppress='*:/usr/share/llhttp/*' -D_GNU_SOURCE -UNULL -I. -j "$(nproc)" "${files[@]}" || rc=1
exit $rc
