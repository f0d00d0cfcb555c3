#!/usr/bin/env bash
# Calls that hide errors or overflow; exit() only in *_main.c and the generator.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
bad=0
git ls-files '*.c' '*.h' | grep -v '^tests/' | xargs -r grep -nE '\b(sprintf|strcpy|strcat|strtok|atoi|atol|gets|system)\(' && bad=1
git ls-files '*.c' | grep -Ev '^tests/|_main\.c$|^common/api/gen/' | xargs -r grep -nE '[^_a-z]exit\(' && bad=1
exit $bad
