#!/usr/bin/env bash
# Two machines made of namespaces (lib_vm.sh), nothing of this one is touched:
#   - all parts started in reverse order find each other without a restart
#   - every part is killed with SIGKILL while deployments are scaled: nothing lost, nothing twice
#   - a node whose kubelet stops becomes NotReady, its pods are replaced on the other one; it comes back and cleans up
set -uo pipefail
cd "$(dirname "$0")/../.."
export BUILD=${BUILD:-build} VM_INIT=plain
. tests/cluster/lib_vm.sh
for b in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do [ -x "$BUILD/bin/$b" ] || { echo "no $BUILD/bin/$b"; exit 77; }; done
command -v etcd containerd nft nsenter >/dev/null || { echo "no etcd, containerd or nft"; exit 77; }
KUBECTL=$PWD/$(realpath --relative-to=. "$(deploy/get-kubectl.sh v35)") || { echo "no kubectl 1.35"; exit 77; }
a=ckfa$$ b=ckfb$$ switch=vmnet-sw$$
failed=0
work=$(mktemp -d)
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }
step() { echo "== $*"; }
in_a() { vm_run $a env -C "$PWD" BUILD="$BUILD" SKIP_PACKAGES=1 SKIP_BUILD=1 HOME=/root "$@"; }
in_b() { vm_run $b env -C "$PWD" BUILD="$BUILD" HOME=/root NODE_NAME=$b NODE_IP=10.79.0.2 SKIP_PACKAGES=1 SKIP_BUILD=1 "$@"; }
lib() { echo ". deploy/lib.sh; $*"; }
k() { in_a "$KUBECTL" --kubeconfig=/etc/kubernetes/admin.conf "$@"; }
finish() {
    touch "$work/stop"
    if [ $failed -ne 0 ]; then
        k get nodes,pods -A -o wide
        for u in kube-controller-manager kubelet; do echo "--- $u"; in_a tail -n 15 /var/log/ckube/$u.log; done
        echo "--- kubelet of $b"; in_b tail -n 10 /var/log/ckube/kubelet.log
    fi 2>/dev/null
    vm_stop $b
    vm_stop $a
    ip netns del $switch 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
until_true() { # SECONDS WHAT COMMAND...
    local limit=$1 what=$2 begin=$SECONDS
    shift 2
    while [ $((SECONDS - begin)) -le "$limit" ]; do "$@" >/dev/null 2>&1 && { echo "ok: $what ($((SECONDS - begin)) s)"; return 0; }; sleep 0.2; done
    fail "$what (not within $limit s)"
    return 1
}
field_is() { [ "$(k get "$1" -o jsonpath="$2" 2>/dev/null)" = "$3" ]; }

vm_start $a 10.79.0.1/24 && vm_start $b 10.79.0.2/24 || { echo "this machine cannot make namespace VMs"; exit 77; }
ip netns add $switch
ip -n $switch link add br0 type bridge
for v in $a $b; do
    ip -n "vmnet-$v" link set "vm-$v" netns $switch
    ip -n $switch link set "vm-$v" master br0 up
done
ip -n $switch link set br0 up

step "started in reverse order"
in_a deploy/up.sh --until pki >"$work/up" 2>&1 || { cat "$work/up"; fail "configuration"; exit 1; }
for u in kube-proxy kubelet kube-scheduler kube-controller-manager kube-apiserver ckube-containerd ckube-etcd; do
    in_a bash -c "$(lib unit_start $u)"
    sleep 0.7
done
until_true 40 "the API answers" k get --raw /readyz
in_a deploy/up.sh --until sample >"$work/up" 2>&1 || { cat "$work/up"; fail "the sample after a start in reverse order"; exit 1; }
for u in kube-proxy kubelet kube-scheduler kube-controller-manager kube-apiserver; do
    n=$(in_a bash -c "$(lib unit_restarts $u)")
    [ "$n" = 0 ] && echo "ok: $u waited for its peers" || fail "$u was restarted $n times instead of waiting"
done

step "SIGKILL of each part while a deployment is scaled"
(
    i=0
    while [ ! -e "$work/stop" ]; do
        i=$((i + 1))
        k scale deployment hello --replicas=$((2 + i * 3 % 5)) >/dev/null 2>&1
        sleep 1
    done
) &
scaler=$!
for u in kubelet ckube-containerd kube-controller-manager kube-scheduler kube-apiserver ckube-etcd kube-proxy; do
    pid=$(in_a bash -c "$(lib unit_main_pid $u)")
    in_a bash -c "kill -KILL $pid"
    another() { local p; p=$(in_a bash -c "$(lib unit_main_pid $u)") && [ -n "$p" ] && [ "$p" != "$pid" ]; }
    until_true 20 "$u comes back" another
    sleep 2
done
touch "$work/stop"
wait $scaler
until_true 30 "the API answers again" k get --raw /readyz
until_true 10 "a write is taken" k scale deployment hello --replicas=4
settled() { field_is deployment/hello '{.status.readyReplicas}/{.status.replicas}' 4/4 && [ "$(k get pods -l app=hello --no-headers | wc -l)" = 4 ]; }
until_true 90 "four pods, all ready" settled
running() { # containers called hello that run, by the runtime's own word
    in_a bash -c '. deploy/lib.sh; ctr -a $CRI_SOCKET -n k8s.io tasks ls | awk "\$3 == \"RUNNING\" { print \$1 }" | sort >/tmp/running; ctr -a $CRI_SOCKET -n k8s.io containers ls -q "labels.\"io.kubernetes.container.name\"==hello" | sort | comm -12 - /tmp/running | wc -l'
}
four() { [ "$(running)" = 4 ]; }
until_true 20 "four containers run, none twice, none left over" four
ip=$(k get service hello -o jsonpath='{.spec.clusterIP}')
until_true 10 "the Service answers" in_a curl -sS -m 2 "http://$ip/"
pid=$(in_a bash -c "$(lib unit_stop kube-proxy)")
until_true 5 "and without kube-proxy" in_a curl -sS -m 2 "http://$ip/"
in_a bash -c "$(lib unit_start kube-proxy)"

step "a second node"
in_a env API_SERVER=https://10.79.0.1:6443 deploy/pki.sh kubelet $b 10.79.0.2 /tmp/join >/dev/null || fail "credentials of the second node"
in_b deploy/up.sh --until config >"$work/up" 2>&1 || { cat "$work/up"; fail "configuration of the second node"; }
in_a cat /tmp/join/ca.crt | in_b bash -c 'mkdir -p /etc/kubernetes/pki /var/lib/kubelet/pki; cat >/etc/kubernetes/pki/ca.crt'
in_a cat /tmp/join/kubelet.conf | in_b bash -c 'umask 077; cat >/etc/kubernetes/kubelet.conf'
in_a cat /etc/kubernetes/kube-proxy.conf | sed 's#https://127.0.0.1:6443#https://10.79.0.1:6443#' | in_b bash -c 'umask 077; cat >/etc/kubernetes/kube-proxy.conf'
for f in kubelet.crt kubelet.key; do in_a cat /tmp/join/$f | in_b bash -c "umask 077; cat >/var/lib/kubelet/pki/$f"; done
in_b bash -c "$(lib 'unit_start ckube-containerd; for n in $(seq 50); do ctr -a $CRI_SOCKET version >/dev/null 2>&1 && break; sleep 0.2; done; for i in '"$BUILD"'/images/*.tar; do ctr -a $CRI_SOCKET -n k8s.io images import $i >/dev/null; done; unit_start kubelet; unit_start kube-proxy')" || fail "the second node's daemons"
ready_is() { field_is "node/$b" '{.status.conditions[?(@.type=="Ready")].status}' "$1"; }
until_true 30 "it is Ready" ready_is True || exit 1
# the controller manager again, with less patience
in_a bash -c "$(lib 'unit_stop kube-controller-manager; sed "s#--leader-elect=true#--leader-elect=false --node-monitor-grace-period=14s --node-monitor-period=1s#" deploy/systemd/kube-controller-manager.service >/tmp/kube-controller-manager.service; BIN_DIR=$PWD/$BUILD/bin setsid deploy/run-unit.sh /tmp/kube-controller-manager.service >/dev/null 2>&1 </dev/null & sleep 1')"
k apply -f - >/dev/null <<'Y' || fail "deployment"
apiVersion: apps/v1
kind: Deployment
metadata: {name: far}
spec:
  replicas: 4
  selector: {matchLabels: {app: far}}
  template:
    metadata: {labels: {app: far}}
    spec:
      terminationGracePeriodSeconds: 2
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: far}}}]
      tolerations:
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
      containers:
      - name: hello
        image: local.test/hello:1
        env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
Y
k expose deployment far --port=80 --target-port=8080 >/dev/null
until_true 60 "four pods on two nodes" field_is deployment/far '{.status.readyReplicas}' 4
on_b() { k get pods -l app=far --field-selector="spec.nodeName=$b" -o jsonpath="$1"; }
[ "$(on_b '{.items[*].metadata.name}' | wc -w)" = 2 ] && echo "ok: two pods each" || fail "not spread: $(k get pods -l app=far -o wide)"
ip=$(k get service far -o jsonpath='{.spec.clusterIP}')
all_four() { [ "$(for _ in $(seq 40); do in_a curl -sS -m 2 "http://$ip/"; done | sort -u | wc -l)" = 4 ]; }
until_true 20 "the Service reaches the pods of both nodes" all_four
pod=$(on_b '{.items[0].metadata.name}')
until_true 10 "logs of the second node" k logs "$pod"

step "its kubelet stops"
ready_is True || fail "the node is not Ready although its kubelet runs"
begin=$SECONDS
in_b bash -c "$(lib unit_stop kubelet)"
[ $((SECONDS - begin)) -lt 5 ] || fail "the kubelet took $((SECONDS - begin)) s to stop"
until_true 30 "NotReady" ready_is Unknown
has_taint() { k get node $b -o jsonpath='{.spec.taints[*].key}' | grep -q node.kubernetes.io/unreachable; }
until_true 10 "unreachable taint" has_taint
not_b() { [ "$(k get pods -l app=far -o jsonpath="{range .items[?(@.spec.nodeName!=\"$b\")]}{.status.conditions[?(@.type==\"Ready\")].status}{\"\n\"}{end}" | grep -c True)" = 4 ]; }
until_true 40 "its pods are replaced on the other node" not_b
only_a() { ! k get endpointslices -l kubernetes.io/service-name=far -o json | grep -q "\"nodeName\": \"$b\"" || [ "$(k get endpointslices -l kubernetes.io/service-name=far -o jsonpath="{.items[*].endpoints[?(@.nodeName==\"$b\")].conditions.ready}" | grep -c true)" = 0 ]; }
until_true 10 "no traffic goes there" only_a
step "and comes back"
in_b bash -c "$(lib unit_start kubelet)"
until_true 30 "Ready" ready_is True
clean() { [ -z "$(on_b '{.items[*].metadata.name}')" ] && [ "$(in_b bash -c '. deploy/lib.sh; ctr -a $CRI_SOCKET -n k8s.io tasks ls' | grep -c RUNNING)" = 0 ]; }
until_true 40 "the replaced pods end there" clean
no_taint() { ! has_taint; }
until_true 15 "the taint goes" no_taint
exit $((failed > 0))
