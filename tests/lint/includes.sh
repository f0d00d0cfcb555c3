#!/usr/bin/env bash
# Includes point towards the ground: base < api < net < client < daemon < one daemon folder.  Never daemon to daemon.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
level() {
    case $1 in
    common/base/*) echo 1 ;; common/api/*|api_types.h) echo 2 ;; common/net/*) echo 2 ;; common/client/*) echo 4 ;;
    common/daemon/*) echo 5 ;; *) echo 6 ;;
    esac
}
layer() { cut -d/ -f1,2 <<<"$1"; } # common/api/gen/x.c is of common/api
bad=0
while IFS=: read -r file line text; do
    inc=$(sed -E 's/^#include "([^"]+)".*/\1/' <<<"$text")
    case $inc in common/*|apiserver/*|controller-manager/*|scheduler/*|kubelet/*|kube-proxy/*|api_types.h) ;; *) continue ;; esac
    from=$(level "$file") to=$(level "$inc")
    if [ "$to" -gt "$from" ] || { [ "$from" = 6 ] && [ "$to" = 6 ] && [ "${file%%/*}" != "${inc%%/*}" ]; } ||
        { [ "$from" = 2 ] && [ "$to" = 2 ] && [ "$(layer "$inc")" != "$(layer "$file")" ] && [ "$inc" != api_types.h ]; }; then
        echo "$file:$line: includes $inc against the order base < api, net < client < daemon < daemons"
        bad=1
    fi
done < <(git ls-files '*.c' '*.h' | grep -v '^tests/' | xargs -r grep -nE '^#include "')
# Only the storage folder speaks to etcd, only the CRI folder to the runtime.
git ls-files '*.c' '*.h' | grep -Ev '^(tests|apiserver/storage)/' | xargs -r grep -nE '"/v3/(kv|watch|lease)' && bad=1
exit $bad
