#!/usr/bin/env bash
# pod_start.sh: how long a pod takes from its POST until its status says Running, image present, one after the other,
# on the cluster that `make up` started here; and how much of that is ours: the time less the runtime's own calls
# (kubelet_runtime_operations_duration_seconds of run_podsandbox, create_container, start_container, image_status).  PODS=20
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/lib.sh
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
unit_runs kube-apiserver || { echo "no cluster runs here (make up)"; exit 77; }
exec python3 - "${PODS:-20}" $CONF_DIR/pki <<'P'
import http.client, json, re, ssl, sys, time
n, pki = int(sys.argv[1]), sys.argv[2]
tls = ssl.create_default_context(cafile=pki + "/ca.crt")
tls.check_hostname = False
tls.load_cert_chain(pki + "/apiserver-kubelet-client.crt", pki + "/apiserver-kubelet-client.key")
def connect(port): return http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=60)
api = connect(6443)
def call(c, method, path, body=None):
    c.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    r = c.getresponse(); data = r.read()
    if r.status >= 300: sys.exit("%s %s: %d %s" % (method, path, r.status, data[:300]))
    return data
def runtime_seconds():
    total = {}
    for line in call(connect(10250), "GET", "/metrics").decode().splitlines():
        m = re.match(r'kubelet_runtime_operations_duration_seconds_sum\{.*operation_type="(\w+)".*\} (\S+)', line)
        if m: total[m.group(1)] = float(m.group(2))
    return total
pods = "/api/v1/namespaces/default/pods"
before, took = runtime_seconds(), []
for i in range(n):
    name = "bench-start-%d" % i
    w = connect(6443)
    w.request("GET", pods + "?watch=1&fieldSelector=metadata.name%3D" + name)
    stream = w.getresponse()
    begin = time.monotonic()
    call(api, "POST", pods, {"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "local.test/hello:1"}]}})
    while True:
        ev = json.loads(stream.readline())
        if ev["object"]["status"].get("phase") == "Running": break
    took.append((time.monotonic() - begin) * 1000)
    w.close()
after = runtime_seconds()
for i in range(n): call(api, "DELETE", pods + "/bench-start-%d" % i)
calls = {k: (after[k] - before.get(k, 0)) / n * 1000 for k in ("run_podsandbox", "create_container", "start_container", "image_status") if k in after}
mean = sum(took) / n
print("pod start, %d pods: mean %.0f ms, median %.0f ms" % (n, mean, sorted(took)[n // 2]))
print("runtime's calls:    " + ", ".join("%s %.0f ms" % kv for kv in calls.items()))
print("ours:               %.0f ms" % (mean - sum(calls.values())))
P
