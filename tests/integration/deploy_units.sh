#!/usr/bin/env bash
# The unit files are well-formed to systemd itself, and run-unit.sh gives a daemon the flags they hold.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
sup=
trap '[ -z "$sup" ] || { kill "$sup"; wait "$sup"; } 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAIL: $*"; exit 1; }

if command -v systemd-analyze >/dev/null; then
    mkdir "$work/units"
    for u in deploy/systemd/*.service; do # the programs need not be installed for this
        sed -E 's#^ExecStart=[^ ]+#ExecStart=/bin/true#' "$u" >"$work/units/$(basename "$u")"
    done
    systemd-analyze verify "$work"/units/*.service 2>"$work/verify" || fail "systemd-analyze verify: $(cat "$work/verify")"
    [ ! -s "$work/verify" ] || fail "systemd-analyze verify warns: $(cat "$work/verify")"
else
    echo "systemd-analyze is not here: syntax not checked"
fi

# A daemon that writes its arguments down stands in for kube-apiserver.
mkdir "$work/bin" "$work/run" "$work/log"
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >%s/args; exec sleep 1000\n' "$work" >"$work/bin/kube-apiserver"
chmod +x "$work/bin/kube-apiserver"
printf 'NODE_IP=192.0.2.7\nSERVICE_CIDR=10.5.0.0/16\nLOG_V=4\n' >"$work/ckube.env"
sed "s#/etc/kubernetes/ckube.env#$work/ckube.env#" deploy/systemd/kube-apiserver.service >"$work/kube-apiserver.service"
RUN_DIR=$work/run LOG_DIR=$work/log BIN_DIR=$work/bin deploy/run-unit.sh "$work/kube-apiserver.service" &
sup=$!
until_true() { local n; for ((n = 0; n < 100; n++)); do "$@" && return; sleep 0.1; done; fail "timeout: $*"; }
until_true test -s "$work/args"
until_true test -s "$work/run/kube-apiserver.pid"
grep -qx -- '--advertise-address=192.0.2.7' "$work/args" || fail "no substitution: $(cat "$work/args")"
grep -qx -- '--service-cluster-ip-range=10.5.0.0/16' "$work/args" || fail "no substitution: $(cat "$work/args")"
[ "$(wc -l <"$work/args")" = "$(grep -c '^  --' deploy/systemd/kube-apiserver.service)" ] || fail "flags got lost or split: $(cat "$work/args")"

# killed: a new one comes up; ended by the supervisor's SIGTERM: gone, and no pid file stays
pid=$(cut -d' ' -f1 "$work/run/kube-apiserver.pid")
kill -KILL "$pid"
another() { now=$(cut -d' ' -f1 "$work/run/kube-apiserver.pid" 2>/dev/null) && [ -n "$now" ] && [ "$now" != "$pid" ]; }
until_true another
pid=$now
kill -TERM "$sup"
wait "$sup" || true
sup=
! kill -0 "$pid" 2>/dev/null || fail "pid $pid still runs"
[ ! -e "$work/run/kube-apiserver.pid" ] && [ ! -e "$work/run/kube-apiserver.supervisor.pid" ] || fail "pid files remain"
echo ok
