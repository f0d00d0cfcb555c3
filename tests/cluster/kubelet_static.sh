#!/usr/bin/env bash
# The kubelet alone with a real containerd: static pods start, are kept, re-adopted after SIGKILL, and go without a trace.
# Everything is private: network namespace, containerd root and socket, cgroup root, kubelet root.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib_kubelet.sh

start_kubelet # containerd may be later: the kubelet waits
load_images
until_true 20 in_ns curl -sf http://127.0.0.1:10248/healthz

# --- a pod with init container, volumes, environment, probes
cat >"$dir/manifests/web.yaml" <<'J'
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 5
  initContainers:
  - name: prep
    image: local.test/busybox:1
    command: [/bin/busybox, sh, -c, "echo made by $(WHO) > /data/index.html"]
    env: [{name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: web
    image: local.test/busybox:1
    command: [/bin/busybox, sh, -c, "trap 'exit 0' TERM; echo started; cat /etc/hosts; /bin/busybox httpd -p 8080 -h /data; while true; do sleep 0.2; done"]
    ports: [{name: http, containerPort: 8080}]
    volumeMounts: [{name: data, mountPath: /data}, {name: info, mountPath: /info}]
    resources: {limits: {memory: 64Mi, cpu: 500m}}
    readinessProbe: {httpGet: {path: /index.html, port: http}, periodSeconds: 1}
  volumes:
  - {name: data, emptyDir: {}}
  - {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
J
field() { api /pods | python3 -c "
import json,sys
pods={p['metadata']['name']:p for p in json.load(sys.stdin)['items']}
print(eval(sys.argv[1],{'p':pods.get(sys.argv[2])}))" "$2" "$1"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; } # POD EXPRESSION VALUE
ready="[c['status'] for c in p['status']['conditions'] if c['type']=='Ready'][0]"
until_true 60 is web-n1 "$ready" True
ip=$(field web-n1 "p['status']['podIP']")
[ "$(in_ns curl -sf "http://$ip:8080/")" = "made by web-n1" ] || fail "the pod does not answer at $ip"
log=$(api /containerLogs/default/web-n1/web)
has "$log" '^started$' || fail "no log"
has "$log" "$ip	web-n1" || fail "/etc/hosts is not ours"
has "$(in_ns curl -skf -X POST "https://127.0.0.1:10250/run/default/web-n1/web?cmd=/bin/busybox%20cat%20/info/labels")" 'app="web"' || fail "no downward API file"
has "$(api /metrics)" '^kubelet_running_pods' || fail "no metrics"
has "$(api /stats/summary)" '"name":"web-n1"' || fail "no stats"
find /sys/fs/cgroup -path "*/$id/kubepods/burstable/pod*/*" \( -name memory.limit_in_bytes -o -name memory.max \) -exec cat {} + 2>/dev/null |
    grep -x 67108864 >/dev/null || fail "no container has its memory limit"

# --- SIGKILL: found again, nothing started twice
before=$(ctrk tasks ls | awk 'NR>1{print $1, $2}' | sort)
kill -9 $kubelet_pid
wait $kubelet_pid 2>/dev/null || true
start_kubelet
until_true 20 is web-n1 "$ready" True
sleep 1.5
[ "$(ctrk tasks ls | awk 'NR>1{print $1, $2}' | sort)" = "$before" ] || fail "containers changed when the kubelet was killed"
is web-n1 "p['status']['containerStatuses'][0]['restartCount']" 0 || fail "restarted"

# --- a container that dies is restarted, at once and then with back-off
task() { ctrk containers ls -q | while read -r c; do ctrk containers info "$c" | grep -q "\"io.kubernetes.container.name\": \"$1\"" && ctrk tasks ls | awk -v c="$c" '$1==c && $3=="RUNNING"{print $2}' || true; done; }
kill -9 "$(task web)"
until_true 15 is web-n1 "p['status']['containerStatuses'][0]['restartCount']" 1
until_true 15 is web-n1 "$ready" True
is web-n1 "p['status']['containerStatuses'][0]['lastState']['terminated']['exitCode']" 137 || fail "last state is lost"
has "$(api "/containerLogs/default/web-n1/web?previous=true")" '^started$' || fail "no log of the container before"
kill -9 "$(task web)"
until_true 10 is web-n1 "p['status']['containerStatuses'][0]['state']['waiting']['reason']" CrashLoopBackOff

# --- a dead sandbox is replaced
cat >"$dir/manifests/two.yaml" <<'J'
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: two, image: "local.test/busybox:1", command: [/bin/busybox, sleep, "1000"]}]
J
until_true 20 is two-n1 "$ready" True
first=$(field two-n1 "p['status']['podIP']")
sandbox=$(ctrk containers ls -q | while read -r c; do ctrk containers info "$c" | grep -q '"io.cri-containerd.kind": "sandbox"' && ctrk containers info "$c" | grep -q '"io.kubernetes.pod.name": "two-n1"' && echo "$c" || true; done)
kill -9 "$(ctrk tasks ls | awk -v c="$sandbox" '$1==c{print $2}')"
other_ip() { [ "$(field two-n1 "p['status'].get('podIP','$first')")" != "$first" ] && is two-n1 "$ready" True; }
until_true 20 other_ip

# --- the end: nothing stays
rm "$dir"/manifests/*
nothing() { [ -z "$(ctrk containers ls -q)" ]; }
until_true 30 nothing
clean() { [ -z "$(ls "$dir/lib/pods")" ] && [ -z "$(ls "$dir/logs")" ] && [ -z "$(find /sys/fs/cgroup -path "*/$id/kubepods/*" -name 'pod*' 2>/dev/null)" ]; }
until_true 15 clean
kill $kubelet_pid
wait $kubelet_pid || fail "the kubelet ended with $?"
kubelet_pid=
echo "static pods: started, probed, re-adopted, restarted, replaced, removed"
