#!/usr/bin/env bash
# apiserver.sh BUILD [SECONDS]: kube-apiserver under load on a private etcd, next to the bare etcd gateway in the same run.
# Prints figures and ratios; asserts nothing.  Needs wrk, jq, curl, openssl, etcd.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 seconds=${2:-5}
for tool in wrk jq curl openssl etcd; do command -v $tool >/dev/null || { echo "apiserver.sh: $tool is missing (make deps)"; exit 77; }; done
work=$(mktemp -d /tmp/ckube-bench-XXXXXX)
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; sleep 0.5; rm -rf "$work"' EXIT
free_port() { local p; while :; do p=$((20000 + RANDOM % 20000)); (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null || { echo $p; return; }; done; }
ep=$(free_port) pp=$(free_port) ap=$(free_port)
etcd --data-dir "$work/etcd" --listen-client-urls http://127.0.0.1:$ep --advertise-client-urls http://127.0.0.1:$ep --listen-peer-urls http://127.0.0.1:$pp \
    --initial-advertise-peer-urls http://127.0.0.1:$pp --initial-cluster default=http://127.0.0.1:$pp --quota-backend-bytes 4000000000 >"$work/etcd.log" 2>&1 &
pids+=($!)
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/tls.key" -out "$work/tls.crt" -days 30 -subj /CN=kube-apiserver -addext subjectAltName=IP:127.0.0.1 2>/dev/null
openssl genrsa -out "$work/sa.key" 2048 2>/dev/null
echo 'bench-token,admin,1,system:masters' >"$work/tokens.csv"
until curl -sf http://127.0.0.1:$ep/health >/dev/null; do sleep 0.05; done
begin=$(date +%s%N)
"$build/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:$ep --secure-port=$ap --bind-address=127.0.0.1 --tls-cert-file="$work/tls.crt" \
    --tls-private-key-file="$work/tls.key" --service-account-signing-key-file="$work/sa.key" --service-account-key-file="$work/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.0.0.0/16 --authorization-mode=Node,RBAC \
    --token-auth-file="$work/tokens.csv" --disable-admission-plugins=ServiceAccount >"$work/apiserver.log" 2>&1 &
server=$!
pids+=($server)
auth="Authorization: Bearer bench-token" url=https://127.0.0.1:$ap
until curl -skf -H "$auth" $url/readyz >/dev/null; do sleep 0.01; done
echo "ready after $((($(date +%s%N) - begin) / 1000000)) ms"
rss() { awk '/VmRSS/ { print $2 " kB" }' /proc/$server/status; }
echo "idle RSS: $(rss)"
cat >"$work/create.lua" <<'L'
local id = 0; local n = 0; local pre = os.getenv("PREFIX")
function setup(thread) thread:set("tid", id); id = id + 1 end
local pod = io.open(os.getenv("POD")):read("*a")
function request()
  n = n + 1
  return wrk.format("POST", "/api/v1/namespaces/default/pods", {["Authorization"]="Bearer bench-token",["Content-Type"]="application/json"},
    (pod:gsub("NAME", pre .. "-" .. tid .. "-" .. n)))
end
L
cat >"$work/pod.json" <<'J'
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","namespace":"default","labels":{"app":"shop","tier":"front"}},"spec":{"containers":[{"name":"app","image":"registry.example/shop:7","ports":[{"name":"http","containerPort":8080}],"env":[{"name":"MODE","value":"fast"},{"name":"SELF","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"resources":{"requests":{"cpu":"20m","memory":"24Mi"},"limits":{"cpu":"200m","memory":"96Mi"}},"readinessProbe":{"httpGet":{"path":"/ready","port":8080}},"volumeMounts":[{"name":"tmp","mountPath":"/tmp"}]}],"volumes":[{"name":"tmp","emptyDir":{}}]}}
J
cat >"$work/gateway.lua" <<'L'
local id = 0; local n = 0; local pre = os.getenv("PREFIX")
function setup(thread) thread:set("tid", id); id = id + 1 end
local b = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
local function enc(s)
  local out = {}
  for i = 1, #s, 3 do
    local a, c, d = s:byte(i, i + 2)
    local v = a * 65536 + (c or 0) * 256 + (d or 0)
    local q = { math.floor(v / 262144), math.floor(v / 4096) % 64, math.floor(v / 64) % 64, v % 64 }
    for j = 1, 4 do out[#out + 1] = (j == 3 and not c or j == 4 and not d) and '=' or b:sub(q[j] + 1, q[j] + 1) end
  end
  return table.concat(out)
end
local value = enc(string.rep("x", 2048))
function request()
  n = n + 1
  local k = enc(string.format("/bench/%s/%d/%09d", pre, tid, n))
  return wrk.format("POST", "/v3/kv/txn", {["Content-Type"]="application/json"},
    '{"compare":[{"key":"' .. k .. '","target":"MOD","mod_revision":"0"}],"success":[{"request_put":{"key":"' .. k .. '","value":"' .. value .. '"}}]}')
end
L
rate() { awk '/Requests\/sec/ { print $2 }' <<<"$1"; }
half() { awk '$1 == "50%" { print $2 }' <<<"$1"; }
load() { wrk -t2 -c"$1" -d"${seconds}s" --latency "${@:2}"; }
export POD=$work/pod.json
sum_api=0 sum_gw=0
for round in 1 2 3; do # in turn, so that a slow moment of the machine hits both
    a=$(PREFIX=a$round load 32 -s "$work/create.lua" $url)
    g=$(PREFIX=g$round load 32 -s "$work/gateway.lua" http://127.0.0.1:$ep)
    echo "creates, 32 connections: apiserver $(rate "$a")/s (p50 $(half "$a")), bare gateway $(rate "$g")/s, ratio $(bc -l <<<"scale=2; $(rate "$a") / $(rate "$g")")"
done
one=$(curl -sk -H "$auth" "$url/api/v1/namespaces/default/pods?limit=1" | jq -r '.items[0].metadata.name')
out=$(load 32 -H "$auth" $url/api/v1/namespaces/default/pods/$one)
echo "consistent gets, 32 connections: $(rate "$out")/s (p50 $(half "$out"))"
out=$(load 32 -H "$auth" "$url/api/v1/namespaces/default/pods/$one?resourceVersion=0")
echo "resourceVersion=0 gets, 32 connections: $(rate "$out")/s (p50 $(half "$out"))"
for i in 1 2 3; do curl -sk -H "$auth" "$url/api/v1/pods" -o /dev/null -w 'list of all pods: %{size_download} bytes in %{time_total} s\n'; done
bytes=$(curl -sk -H "$auth" "$url/api/v1/pods" | wc -c)
echo "RSS holding $bytes bytes of JSON: $(rss)"
