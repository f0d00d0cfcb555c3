#!/usr/bin/env bash
# make up and make down as a user has them: the sample runs and does what demo.sh shows; twice is once; KEEP=1 keeps; every
# part may be killed; nothing stays behind.
set -uo pipefail
cd "$(dirname "$0")/../.."
export BUILD=${BUILD:-build} SKIP_PACKAGES=1 SKIP_BUILD=1
. deploy/lib.sh
for b in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do [ -x "$BUILD/bin/$b" ] || { echo "no $BUILD/bin/$b"; exit 77; }; done
[ "$(id -u)" = 0 ] || { echo "not root"; exit 77; }
command -v containerd >/dev/null && command -v etcd >/dev/null && command -v nft >/dev/null || { echo "no containerd, etcd or nft"; exit 77; }
! unit_runs ckube-etcd || { echo "a cluster runs here (make up); it is not touched"; exit 77; }
for f in $CONF_DIR/admin.conf $CONF_DIR/pki/ca.crt /var/lib/kubelet/config.yaml; do [ ! -e $f ] || { echo "$f is there: not our machine"; exit 77; }; done
for port in 6443 2379 10250 10256; do [ -z "$(ss -Hltn "sport = :$port")" ] || { echo "port $port is taken"; exit 77; }; done

failed=0
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }
step() { echo "== $*"; }
finish() {
    if [ $failed -ne 0 ]; then for u in "${UNITS[@]}"; do echo "--- $u"; show_log "$u" 8; done; fi
    deploy/down.sh >/dev/null 2>&1
}
trap finish EXIT
kubectl=$(find_kubectl)
k() { "$kubectl" --kubeconfig=$CONF_DIR/admin.conf "$@"; }
until_true() { # SECONDS WHAT COMMAND...
    local limit=$1 what=$2 n
    shift 2
    for ((n = 0; n < limit * 5; n++)); do "$@" >/dev/null 2>&1 && { echo "ok: $what"; return; }; sleep 0.2; done
    fail "$what"
}

step "make up"
begin=$(now_ms)
deploy/up.sh || { fail "make up"; exit 1; }
echo "took $((($(now_ms) - begin) / 1000)) s"

step "again"
service_uid=$(k get service hello -o jsonpath='{.metadata.uid}')
deploy/up.sh --until sample >/tmp/up2.$$ 2>&1 || { cat /tmp/up2.$$; fail "the second make up"; }
rm -f /tmp/up2.$$
[ "$(k get service hello -o jsonpath='{.metadata.uid}')" = "$service_uid" ] || fail "the second make up made another Service"

step "killing each part"
ip=$(k get service hello -o jsonpath='{.spec.clusterIP}')
answers() { curl -s -m 2 "http://$ip/" | grep hello; }
pods() { k get pods -l app=hello -o jsonpath='{range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
three() { [ "$(pods | wc -l)" = 3 ]; } # those of the demo take a moment to leave
until_true 30 "three pods" three
before=$(pods)
for u in kube-proxy kube-scheduler kube-controller-manager kubelet ckube-containerd kube-apiserver ckube-etcd; do
    pid=$(unit_main_pid $u)
    kill -KILL "$pid"
    another() { local p; p=$(unit_main_pid $u) && [ "$p" != "$pid" ]; }
    until_true 20 "$u comes back" another
    until_true 5 "the Service answers without and with $u" answers
done
until_true 30 "the API answers again" k get nodes
node_is_ready() { [ "$(k get nodes -o jsonpath='{.items[0].status.conditions[?(@.type=="Ready")].status}')" = True ]; }
until_true 30 "the node is ready" node_is_ready
sleep 3
[ "$(pods)" = "$before" ] && echo "ok: the same pods and containers, none restarted" || fail "pods changed: before $before, now $(pods)"
k scale deployment hello --replicas=4 >/dev/null
four() { [ "$(k get deployment hello -o jsonpath='{.status.readyReplicas}')" = 4 ]; }
until_true 60 "all parts work again: scale to 4" four

step "KEEP=1"
KEEP=1 deploy/down.sh >/dev/null || fail "KEEP=1 make down"
! curl -sk -m 2 https://127.0.0.1:6443/ >/dev/null || fail "something still serves 6443"
deploy/up.sh --until node >/dev/null 2>&1 || fail "make up after KEEP=1"
[ "$(k get service hello -o jsonpath='{.metadata.uid}')" = "$service_uid" ] && echo "ok: the same objects" || fail "KEEP=1 lost the objects"
until_true 60 "its pods run again" answers

step "make down"
deploy/down.sh || fail "make down"
left=$(awk '$2 ~ /^\/(run|var\/lib)\/(ckube|kubelet)/ { print $2 }' /proc/mounts)
[ -z "$left" ] || fail "mounts remain: $left"
[ -z "$(nft list tables | grep -E 'kube-proxy|ckube')" ] || fail "rules remain"
[ ! -e /sys/class/net/cni0 ] || fail "link cni0 remains"
for d in $STATE_DIR $CONF_DIR/pki /var/lib/kubelet $RUN_DIR/containerd; do [ ! -e "$d" ] || fail "$d remains"; done
for p in /proc/[0-9]*; do
    [ "$(readlink "$p/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ] || continue # a cluster in namespaces is not ours
    c=$({ tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null) || continue
    case $c in *"$RUN_DIR/containerd/containerd.sock"* | *deploy/run-unit.sh*deploy/systemd*) fail "still running: $c" ;; esac
done
deploy/down.sh >/dev/null || fail "a second make down"
exit $((failed > 0))
