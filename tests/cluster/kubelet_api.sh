#!/usr/bin/env bash
# The kubelet with a real apiserver, etcd and containerd, judged by kubectl: registration, a pod's life, logs, exec,
# port-forward, secrets, graceful deletion, the apiserver gone for a while, SIGKILL, a deleted node.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v kubectl >/dev/null && command -v etcd >/dev/null && command -v openssl >/dev/null || { echo "kubectl, etcd or openssl is missing"; exit 77; }
. tests/cluster/lib_kubelet.sh
[ -x "$bindir/kube-apiserver" ] || { echo "kube-apiserver is not built"; exit 77; }

openssl genrsa -out "$dir/sa.key" 2048 2>/dev/null
openssl rsa -in "$dir/sa.key" -pubout -out "$dir/sa.pub" 2>/dev/null
printf 'admin-token,admin,1,system:masters\nkubelet-token,system:node:n1,2,system:nodes\n' >"$dir/tokens.csv"
nsenter --net=/run/netns/"$ns" etcd --data-dir "$dir/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380 \
    --unsafe-no-fsync --log-level error >"$dir/etcd.log" 2>&1 &
pids+=($!)
start_api() {
    nsenter --net=/run/netns/"$ns" "$bindir/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --bind-address=127.0.0.1 \
        --advertise-address=10.98.200.2 --cert-dir="$dir/api" --service-account-key-file="$dir/sa.pub" --service-account-signing-key-file="$dir/sa.key" \
        --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC \
        --token-auth-file="$dir/tokens.csv" --kubelet-preferred-address-types=InternalIP >>"$dir/apiserver.log" 2>&1 &
    api_pid=$!
    pids+=("$api_pid")
}
config() { # NAME TOKEN
    cat >"$dir/$1.conf" <<J
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: $2}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
J
}
config kubelet kubelet-token
config admin admin-token
k() { in_ns kubectl --kubeconfig "$dir/admin.conf" --cache-dir "$dir/kubectl" "$@"; }
start() { start_kubelet --kubeconfig="$dir/kubelet.conf"; }
start # before everything else: it waits and says what for
load_images
sleep 0.5
has "$(cat "$dir/kubelet.log")" 'Waiting for a peer' || has "$(cat "$dir/kubelet.log")" 'trouble' || fail "the kubelet does not say what it waits for"
start_api
until_true 30 in_ns curl -skf https://127.0.0.1:6443/readyz

# --- registration
node_ready() { [ "$(k get node n1 -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
until_true 20 node_ready
[ "$(k get node n1 -o jsonpath='{.metadata.labels.kubernetes\.io/os}')" = linux ] || fail "labels"
[ "$(k get node n1 -o jsonpath='{.status.addresses[0].address}')" = 10.98.200.2 ] || fail "address"
until_true 15 k get lease -n kube-node-lease n1
renewed() { k get lease -n kube-node-lease n1 -o jsonpath='{.spec.renewTime}'; }
first_renewal=$(renewed)

# --- a pod and what it refers to
cat >"$dir/pod.yaml" <<'J'
apiVersion: v1
kind: ConfigMap
metadata: {name: cm}
data: {greeting: hello, file.txt: "content\n"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt}
data: {ca.crt: none}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
stringData: {pw: s3cret}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default}
---
apiVersion: v1
kind: Pod
metadata: {name: t1, labels: {a: b}}
spec:
  nodeName: n1
  terminationGracePeriodSeconds: 20
  initContainers: [{name: init, image: "local.test/busybox:1", command: [/bin/busybox, "true"]}]
  containers:
  - name: main
    image: local.test/busybox:1
    command: [/bin/busybox, sh, -c, "echo $(GREETING) $PW; cat /cm/file.txt; /bin/busybox httpd -p 8080 -h /cm; trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done"]
    env:
    - {name: GREETING, valueFrom: {configMapKeyRef: {name: cm, key: greeting}}}
    - {name: PW, valueFrom: {secretKeyRef: {name: sec, key: pw}}}
    volumeMounts: [{name: cm, mountPath: /cm}, {name: sec, mountPath: /sec}]
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /file.txt, port: 8080}, periodSeconds: 1}
  volumes: [{name: cm, configMap: {name: cm}}, {name: sec, secret: {secretName: sec}}]
J
k apply --validate=false -f "$dir/pod.yaml" >/dev/null
until_true 30 k wait --for=condition=Ready pod/t1 --timeout=1s
[ "$(k get pod t1 -o jsonpath='{.status.phase} {.status.qosClass} {.status.initContainerStatuses[0].state.terminated.reason}')" = "Running BestEffort Completed" ] || fail "status: $(k get pod t1 -o jsonpath='{.status}')"
has "$(k logs t1)" '^hello s3cret$' || fail "logs: $(k logs t1)"
[ "$(echo in | k exec -i t1 -- /bin/busybox cat)" = in ] || fail "exec with stdin"
rc=0
k exec t1 -- /bin/busybox sh -c 'exit 3' 2>/dev/null || rc=$?
[ $rc = 3 ] || fail "exit code through exec: $rc"
[ "$(k exec t1 -- /bin/busybox cat /sec/pw)" = s3cret ] || fail "secret volume"
k exec t1 -- /bin/busybox test -s /var/run/secrets/kubernetes.io/serviceaccount/token || fail "no service account token"
in_ns timeout 10 kubectl --kubeconfig "$dir/admin.conf" port-forward pod/t1 18080:8080 >/dev/null 2>&1 &
forwarder=$!
until_true 5 in_ns curl -sf http://127.0.0.1:18080/file.txt
kill $forwarder
wait $forwarder 2>/dev/null || true
events() { k get events -o jsonpath='{range .items[*]}{.involvedObject.name} {.reason}{"\n"}{end}' | grep -qx "t1 $1"; }
for e in Pulled Created Started; do until_true 10 events $e; done

# --- a crashing one, a finished one, one that cannot be pulled
cat >"$dir/more.yaml" <<'J'
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  nodeName: n1
  containers: [{name: c, image: "local.test/busybox:1", command: [/bin/busybox, sh, -c, "echo -n because > /dev/termination-log; exit 7"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: done}
spec:
  nodeName: n1
  restartPolicy: Never
  containers: [{name: c, image: "local.test/busybox:1", command: [/bin/busybox, echo, done]}]
---
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  nodeName: n1
  containers: [{name: c, image: "local.test/nothing:1", imagePullPolicy: Never}]
J
k apply --validate=false -f "$dir/more.yaml" >/dev/null
shows() { [ "$(k get pod "$1" -o jsonpath="$2")" = "$3" ]; }
until_true 20 shows crash '{.status.containerStatuses[0].state.waiting.reason}' CrashLoopBackOff
shows crash '{.status.containerStatuses[0].lastState.terminated.exitCode} {.status.containerStatuses[0].lastState.terminated.message}' "7 because" || fail "last state of the crashing pod"
until_true 20 shows done '{.status.phase} {.status.conditions[?(@.type=="Ready")].reason}' "Succeeded PodCompleted"
[ "$(k logs done)" = done ] || fail "log of a finished pod"
until_true 20 shows never '{.status.containerStatuses[0].state.waiting.reason}' ErrImageNeverPull

# --- the apiserver goes and comes; the kubelet dies: containers stay
before=$(k get pod t1 -o jsonpath='{.status.containerStatuses[0].containerID}')
kill -9 $api_pid
kill -9 $kubelet_pid
wait $kubelet_pid 2>/dev/null || true
start
sleep 1
start_api
until_true 30 in_ns curl -skf https://127.0.0.1:6443/readyz
until_true 20 node_ready
sleep 1
shows t1 '{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}' "$before 0" || fail "not the same container"
shows t1 '{.status.conditions[?(@.type=="Ready")].status}' True || fail "not ready after the restart"

# --- graceful deletion: TERM is seen, and nothing stays
(k logs -f t1 >"$dir/last.log" 2>/dev/null) &
sleep 0.5
k delete pod t1 --timeout=15s >/dev/null
grep -q '^bye$' "$dir/last.log" || fail "no TERM before the end"
k delete pods --all --timeout=60s --grace-period=1 >/dev/null
nothing() { [ -z "$(ctrk containers ls -q)" ] && [ -z "$(ls "$dir/lib/pods")" ]; }
until_true 20 nothing

# --- a deleted node registers again; the lease moved meanwhile
k delete node n1 >/dev/null
until_true 15 node_ready
until_true 15 test "$(renewed)" != "$first_renewal"
kill $kubelet_pid
wait $kubelet_pid || fail "the kubelet ended with $?"
kubelet_pid=
echo "kubelet with apiserver: registration, pod life, kubectl, faults, deletion"
