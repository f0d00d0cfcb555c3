#!/usr/bin/env bash
# install.sh [--no-start] | --uninstall: a control plane and node for good on a VM with systemd.  Root.
# Puts the binaries of build/bin into /usr/local/bin, the units into /etc/systemd/system, the kernel settings into
# /etc/sysctl.d and /etc/modules-load.d; then does what up.sh does (configs, certificates, images) and enables the units.
#   --no-start    files only (also in a chroot or an image being built): the units are enabled, nothing runs
#   --uninstall   stops and disables the units and removes what this script installed; data stays until `make down`
#   INSTALL_UNITS="..."   which units, for a machine that is a control plane or a node only; default all
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/lib.sh
[ "$(id -u)" = 0 ] || die "run as root"
read -ra units <<<"${INSTALL_UNITS:-${UNITS[*]}}"
mode=${1:-}
case $mode in '' | --no-start | --uninstall) ;; *) die "usage: install.sh [--no-start] | --uninstall" ;; esac
command -v systemctl >/dev/null || die "this machine has no systemd; 'make up' runs the daemons without it"
[ "$mode" != "" ] || under_systemd || die "systemd is not PID 1 here; 'make up' runs the daemons without it, --no-start installs the files"

if [ "$mode" = --uninstall ]; then
    for u in "${units[@]}"; do
        if under_systemd; then systemctl disable --now "$u" 2>/dev/null || true; else systemctl disable "$u" 2>/dev/null || true; fi
        rm -f "/etc/systemd/system/$u.service"
        case $u in kube*) rm -f "/usr/local/bin/$u" ;; esac
    done
    rm -f /etc/sysctl.d/90-ckube.conf /etc/modules-load.d/ckube.conf
    ! under_systemd || systemctl daemon-reload
    note "removed the units and binaries; data stays in $STATE_DIR and $CONF_DIR (KEEP= make down removes it)"
    exit 0
fi

stage "binaries and units"
for u in "${units[@]}"; do
    case $u in
    kube*)
        [ -x "$BUILD/bin/$u" ] || die "$BUILD/bin/$u is not built (make)"
        install -m 755 "$BUILD/bin/$u" "/usr/local/bin/$u.new"
        mv "/usr/local/bin/$u.new" "/usr/local/bin/$u" # a running one keeps its own file
        ;;
    esac
    install -m 644 "deploy/systemd/$u.service" "/etc/systemd/system/$u.service"
    note "$u"
done
! under_systemd || systemctl daemon-reload
enabled=$(systemctl enable "${units[@]}" 2>&1) || die "systemctl enable: $enabled"
printf 'net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n' >/etc/sysctl.d/90-ckube.conf
printf 'overlay\nbr_netfilter\nnf_conntrack\n' >/etc/modules-load.d/ckube.conf
[ "$mode" != --no-start ] || exit 0
SKIP_BUILD=1 deploy/up.sh --until node
