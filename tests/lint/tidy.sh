#!/usr/bin/env bash
# tidy.sh BUILD: clang-tidy and cppcheck over the sources that differ from BASE (default: the main branch; on it, the last
# ten commits), committed or not.  ALL=1 takes all sources, some 15 minutes on two cores.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
base=$(git merge-base HEAD "${BASE:-main}" 2>/dev/null || true)
if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-list --max-count=11 HEAD | tail -n 1)
fi
candidates() {
    if [ -n "${ALL:-}" ]; then
        git ls-files '*.c'
    else
        { git diff --name-only --diff-filter=d "$base" -- '*.c'; git ls-files --others --exclude-standard -- '*.c'; } | sort -u
    fi
}
mapfile -t files < <(candidates | grep -Ev '^tests/(fuzz|unit|bench)/')
[ ${#files[@]} -gt 0 ] || { echo "tidy: nothing changed"; exit 0; }
echo "tidy: ${#files[@]} files"
flags=(-std=gnu17 -D_GNU_SOURCE -Ulinux -Uunix -I. "-I$build/gen" -I/usr/share/include/llhttp '-DCKUBE_VERSION="v0"' '-DCKUBE_GIT_SHA="0"'
    -Wno-unknown-warning-option)
rc=0
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 \
    sh -c 'flags=$1; shift; clang-tidy --quiet --warnings-as-errors="*" "$@" -- $flags 2>/dev/null' sh "${flags[*]}" || rc=1
# Lifetimes, uninitialised and null values are left to clang's analyzer above, which follows paths and knows our cleanup
# attributes; cppcheck 2.10 guesses wrong about all of them.  NULL is a pointer on all our platforms, in variadic calls too.
quiet=(varFuncNullUB invalidLifetime returnDanglingLifetime uninitvar uninitStructMember nullPointerRedundantCheck ctunullpointer
    zerodivcond internalAstError missingIncludeSystem)
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr "${quiet[@]/#/--suppress=}" \
    --suppress='*:/usr/share/llhttp/*' -D_GNU_SOURCE -UNULL -I. --include=tests/lint/cppcheck.h \
    -j "$(nproc)" "${files[@]}" || rc=1
exit $rc
