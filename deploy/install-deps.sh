#!/usr/bin/env bash
# install-deps.sh [build] [test] [run]: installs the Debian packages that are missing.  Root, Debian 12.
# build = compile; test = the test tools; run = what a node and a control plane need at run time.
set -euo pipefail
build=(gcc make pkg-config libevent-dev libjansson-dev libcurl4-openssl-dev libyaml-dev libssl-dev libnghttp2-dev
    zlib1g-dev libnftables-dev libpcre2-dev uthash-dev node-llhttp)
test=(libcmocka-dev clang libclang-rt-14-dev clang-format clang-tidy cppcheck jq curl openssl wrk bc procps)
run=(etcd-server etcd-client containerd runc containernetworking-plugins nftables conntrack iproute2 openssl jq curl socat procps busybox-static)
want=()
for group in "${@:-build}"; do
    case $group in
    build) want+=("${build[@]}") ;;
    test) want+=("${test[@]}") ;;
    run) want+=("${run[@]}") ;;
    *) echo "install-deps.sh: unknown group '$group' (build, test, run)" >&2; exit 2 ;;
    esac
done
missing=()
for p in "${want[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep 'install ok installed' >/dev/null || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
[ "$(id -u)" = 0 ] || { echo "missing packages: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2; exit 1; }
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Packages may bring services that would start by themselves; the cluster starts its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' > $policy; chmod 755 $policy; trap 'rm -f $policy' EXIT; fi
apt-get update -q >/dev/null
apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
