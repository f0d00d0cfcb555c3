#!/usr/bin/env bash
# kube-scheduler against the real kube-apiserver on a private etcd: binds, waits with upstream's words, gates, profiles,
# preemption, explain, leader election and take-over, apiserver killed under it.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${BUILD:-build}/bin
command -v etcd >/dev/null && command -v curl >/dev/null && command -v jq >/dev/null && command -v openssl >/dev/null || { echo "etcd, curl, jq or openssl is missing"; exit 77; }
[ -x "$bin/kube-apiserver" ] && [ -x "$bin/kube-scheduler" ] || { echo "$bin/kube-apiserver or kube-scheduler is not built"; exit 77; }

dir=$(mktemp -d /tmp/ckube-sched-XXXXXX)
declare -A pid=()
finish() {
    local rc=$?
    [ $rc -eq 0 ] || { for l in apiserver one two; do echo "--- $l log"; tail -n 12 "$dir/$l.log" 2>/dev/null || true; done; }
    for p in "${pid[@]}"; do kill -9 "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
    exit $rc
}
trap finish EXIT
base=$((28440 + RANDOM % 5 * 10)) # 28440 .. 28489
api=$base one=$((base + 1)) two=$((base + 2)) etcd_port=$((base + 3)) peer=$((base + 4))
etcd --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer" --unsafe-no-fsync --log-level error >>"$dir/etcd.log" 2>&1 &
pid[etcd]=$!
openssl genrsa -out "$dir/sa.key" 2048 2>/dev/null
openssl rsa -in "$dir/sa.key" -pubout -out "$dir/sa.pub" 2>/dev/null
printf 'admin-token,admin,1,system:masters\nsched-token,system:kube-scheduler,2\n' >"$dir/tokens.csv"
start_api() {
    "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd_port" --secure-port="$api" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
        --cert-dir="$dir" --service-account-key-file="$dir/sa.pub" --service-account-signing-key-file="$dir/sa.key" \
        --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.0.0.0/16 --authorization-mode=RBAC \
        --disable-admission-plugins=ServiceAccount,TaintNodesByCondition --token-auth-file="$dir/tokens.csv" >>"$dir/apiserver.log" 2>&1 &
    pid[api]=$!
}
cat >"$dir/kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$api", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: sched-token}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
Y
cat >"$dir/config.yaml" <<Y
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: $dir/kubeconfig, qps: 1000, burst: 1000}
leaderElection: {leaderElect: true, leaseDuration: 4s, renewDeadline: 3s, retryPeriod: 500ms}
profiles: [{schedulerName: default-scheduler}, {schedulerName: packer}]
Y
start_scheduler() { # NAME PORT
    "$bin/kube-scheduler" --config="$dir/config.yaml" --authentication-kubeconfig="$dir/kubeconfig" --authorization-kubeconfig="$dir/kubeconfig" \
        --bind-address=127.0.0.1 --secure-port="$2" --cert-dir="$dir/$1" -v=2 >>"$dir/$1.log" 2>&1 &
    pid[$1]=$!
}
start_scheduler one "$one" # before the apiserver: it waits
sleep 0.3
start_api

url=https://127.0.0.1:$api
req() { curl -sk --max-time 10 -H "Authorization: Bearer admin-token" -H 'Content-Type: application/json' "$@"; }
fail() { echo "FAILED: $*"; exit 1; }
until_true() { # COMMAND...: at most 20 s
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    fail "never true: $*"
}
pods=$url/api/v1/namespaces/default/pods
node() { # NAME CPU [SPEC]
    req -X POST "$url/api/v1/nodes" -o /dev/null -d "{\"metadata\":{\"name\":\"$1\",\"labels\":{\"kubernetes.io/hostname\":\"$1\"}},\"spec\":${3:-{\}},\"status\":{\"allocatable\":{\"cpu\":\"$2\",\"memory\":\"4Gi\",\"pods\":\"10\"}}}"
}
pod() { # NAME CPU [MORE SPEC]
    req -X POST "$pods" -o "$dir/out" -d "{\"metadata\":{\"name\":\"$1\"},\"spec\":{${3:+$3,}\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"$2\"}}}]}}"
    jq -e .metadata.uid "$dir/out" >/dev/null || fail "create $1: $(cat "$dir/out")"
}
on() { [ "$(req "$pods/$1" | jq -r .spec.nodeName)" = "$2" ]; }
condition() { req "$pods/$1" | jq -r '.status.conditions[] | select(.type=="PodScheduled") | .status + " " + .reason + " " + .message'; }
says() { condition "$1" | grep -qF -- "$2"; }
event() { req "$url/api/v1/namespaces/default/events" | jq -r ".items[] | select(.involvedObject.name==\"$1\") | .type + \" \" + .reason + \" \" + .message" | grep -qF -- "$2"; }

until_true req -f "$url/readyz" -o /dev/null
until_true curl -skf "https://127.0.0.1:$one/readyz"
echo "no nodes, then one that is too small, then one that fits"
pod web 1500m
until_true says web "False Unschedulable no nodes available to schedule pods"
node small 1
until_true says web "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
until_true event web "Warning FailedScheduling 0/1 nodes are available: 1 Insufficient cpu."
node tainted 8 '{"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]}'
until_true says web "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s)."
curl -sk -H "Authorization: Bearer admin-token" "https://127.0.0.1:$one/debug/scheduling/default/web" >"$dir/explain"
jq -e '.lastAttempt.nodes | length == 2' "$dir/explain" >/dev/null || fail "explain: $(cat "$dir/explain")"
jq -e '.lastAttempt.nodes[] | select(.node=="tainted" and .plugin=="TaintToleration")' "$dir/explain" >/dev/null || fail "explain: $(cat "$dir/explain")"
node good 2
until_true on web good
until_true event web "Normal Scheduled Successfully assigned default/web to good"
says web "True" || fail "PodScheduled of web is $(condition web)"

echo "gates, scheduler names"
pod gated 10m '"schedulingGates":[{"name":"example.com/hold"}]'
pod foreign 10m '"schedulerName":"somebody-else"'
pod packed 10m '"schedulerName":"packer"'
until_true says gated "False SchedulingGated"
until_true event packed "Scheduled"
curl -sk -H "Authorization: Bearer admin-token" -X PATCH -H 'Content-Type: application/json-patch+json' "$pods/gated" -o "$dir/out" -d '[{"op":"remove","path":"/spec/schedulingGates"}]'
until_true event gated "Successfully assigned"
on foreign null || fail "the pod of another scheduler was bound"

echo "a freed node helps"
pod second 1500m
until_true says second "2 Insufficient cpu"
req -X DELETE "$pods/web?gracePeriodSeconds=0" -o /dev/null
until_true on second good

echo "preemption"
req -X POST "$url/apis/scheduling.k8s.io/v1/priorityclasses" -o /dev/null -d '{"metadata":{"name":"high"},"value":100000}'
pod vip 1500m '"priorityClassName":"high"'
until_true event second "Normal Preempted Preempted by pod"
until_true says vip "preemption: not eligible due to a terminating pod on the nominated node."
[ "$(req "$pods/vip" | jq -r .status.nominatedNodeName)" = good ] || fail "nominatedNodeName of vip"
pod thief 1500m # must not take the room that is being made
until_true says thief "2 Insufficient cpu"
req -X DELETE "$pods/second?gracePeriodSeconds=0" -o /dev/null # as the kubelet does in the end
until_true on vip good
on thief null || fail "the room was taken by a pod of lower priority"

echo "pods that ended hold nothing"
curl -sk -H "Authorization: Bearer admin-token" -X PATCH -H 'Content-Type: application/merge-patch+json' "$pods/vip/status" -o /dev/null -d '{"status":{"phase":"Succeeded"}}'
until_true on thief good

echo "the next scheduler takes over; none is bound twice"
start_scheduler two "$two"
until_true curl -skf "https://127.0.0.1:$two/readyz"
kill -9 "${pid[one]}"
pod after 10m
until_true event after "Successfully assigned"
curl -sk "https://127.0.0.1:$two/healthz" | grep -q ok || fail "healthz of the second"
metrics() { curl -sk -H "Authorization: Bearer admin-token" "https://127.0.0.1:$two/metrics"; }
metrics | grep -q 'scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"}' || fail "metrics: $(metrics | grep ^scheduler_ | head)"

echo "the apiserver is killed and comes back"
kill -9 "${pid[api]}"
sleep 0.5
start_api
until_true req -f "$url/readyz" -o /dev/null
until_true pod later 10m
until_true event later "Successfully assigned"
kill -TERM "${pid[two]}"
rc=0; wait "${pid[two]}" || rc=$?
[ $rc -eq 0 ] || fail "SIGTERM: exit code $rc"
echo ok
