#!/usr/bin/env bash
# deploy/install.sh on a machine with systemd: every unit comes up, the node is Ready; a killed daemon is restarted by systemd;
# --uninstall and make down leave nothing.
set -uo pipefail
cd "$(dirname "$0")/../.."
export BUILD=${BUILD:-build}
. tests/cluster/lib_vm.sh
units=${TEST_UNITS:-ckube-etcd ckube-containerd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy}
for u in $units; do case $u in kube*) [ -x "$BUILD/bin/$u" ] || { echo "no $BUILD/bin/$u"; exit 77; } ;; esac; done
case $PWD in /tmp/*) echo "the tree lies under /tmp, which is another one inside the VM"; exit 77 ;; esac
command -v etcd >/dev/null && command -v containerd >/dev/null || { echo "no etcd or containerd"; exit 77; }
vm=ckinst$$
failed=0
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }
inside() { vm_run $vm env -C "$PWD" BUILD="$BUILD" SKIP_PACKAGES=1 SKIP_BUILD=1 HOME=/root "$@"; }
finish() {
    [ $failed -eq 0 ] || inside systemctl --no-pager list-units 'kube*' 'ckube*'
    vm_stop $vm
}
trap finish EXIT
vm_start $vm 10.77.0.1/24 || { echo "this machine cannot run systemd in namespaces"; exit 77; }
until_true() { # SECONDS WHAT COMMAND...
    local limit=$1 what=$2 n
    shift 2
    for ((n = 0; n < limit * 5; n++)); do "$@" >/dev/null 2>&1 && { echo "ok: $what"; return; }; sleep 0.2; done
    fail "$what"
}

if [ -n "${TEST_UNITS:-}" ]; then
    inside INSTALL_UNITS="$units" deploy/install.sh --no-start && inside deploy/up.sh --until apiserver && inside systemctl start $units
else
    inside deploy/install.sh
fi || { fail "install.sh"; inside journalctl --no-pager -n 30; exit 1; }
active() { inside systemctl is-active -q "$1"; }
for u in $units; do until_true 10 "$u is active" active "$u"; done
for u in $units; do inside systemctl is-enabled -q "$u" || fail "$u is not enabled"; done
for u in $units; do [ "$(inside systemctl show -p FragmentPath --value "$u")" = "/etc/systemd/system/$u.service" ] || fail "$u does not run from /etc/systemd/system"; done

kubectl() { inside kubectl --kubeconfig=/etc/kubernetes/admin.conf "$@"; }
node_registered() { kubectl get node "$vm"; }
until_true 20 "the node is registered" node_registered
if [ -z "${TEST_UNITS:-}" ]; then
    ready() { [ "$(kubectl get node "$vm" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
    until_true 60 "the node is Ready" ready
fi

for u in kubelet kube-proxy kube-apiserver; do
    pid=$(inside systemctl show -p MainPID --value $u)
    inside systemctl kill -s KILL $u
    another() { local p; p=$(inside systemctl show -p MainPID --value $u); [ "$p" != 0 ] && [ "$p" != "$pid" ] && active $u; }
    until_true 20 "$u comes back after SIGKILL" another
done
inside deploy/install.sh --uninstall >/dev/null || fail "--uninstall"
inside systemctl start kubelet 2>/dev/null && fail "kubelet still starts after --uninstall"
inside deploy/down.sh >/dev/null || fail "make down"
[ -z "$(inside nft list tables)" ] || fail "rules remain: $(inside nft list tables)"
inside test ! -e /var/lib/ckube/etcd || fail "data remains"
exit $((failed > 0))
