#!/usr/bin/env bash
# The daemon itself, with a real etcd and our apiserver, in a network namespace of its own: rules follow the API, survive a kill,
# come back when somebody flushes them; stale UDP flows end; health ports answer; --cleanup.
set -uo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/${BUILD:-build}/bin
for b in kube-proxy kube-apiserver; do [ -x "$bin/$b" ] || { echo "no $bin/$b"; exit 77; }; done
for c in etcd openssl curl python3 nft ip; do command -v $c >/dev/null || { echo "no $c"; exit 77; }; done
ns=kpd$$
ip netns add $ns 2>/dev/null || { echo "no CAP_NET_ADMIN"; exit 77; }
work=$(mktemp -d)
declare -A pid=()
failed=0
cleanup() {
    [ $failed -eq 0 ] || tail -n 15 "$work"/kube-proxy.log
    for p in "${pid[@]}"; do kill -KILL "$p" 2>/dev/null; done
    wait 2>/dev/null
    ip netns del $ns
    rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }
in_ns() { nsenter --net=/run/netns/$ns "$@"; }
start() { # NAME COMMAND...
    local name=$1
    shift
    nsenter --net=/run/netns/$ns "$@" >>"$work/$name.log" 2>&1 &
    pid[$name]=$!
}
until_true() { # WHAT COMMAND...
    local what=$1 n
    shift
    for ((n = 0; n < 150; n++)); do "$@" && { echo "ok: $what"; return; }; sleep 0.1; done
    fail "$what"
}

ip -n $ns link set lo up
ip -n $ns link add d0 type veth peer name d1 # a kernel may have no dummy devices
ip -n $ns link set d1 up
ip -n $ns addr add 192.0.2.1/24 dev d0
for i in 11 12; do ip -n $ns addr add 192.0.2.$i/24 dev d0; done
ip -n $ns link set d0 up
ip -n $ns route add default dev d0

CONF_DIR=$work/etc KUBELET_DIR=$work/kubelet NODE_NAME=n1 NODE_IP=192.0.2.1 deploy/pki.sh >/dev/null || { fail pki; exit 1; }
p=$work/etc/pki
start etcd etcd --data-dir="$work/etcd" --log-level=error
start kube-apiserver "$bin/kube-apiserver" --advertise-address=192.0.2.1 --etcd-servers=http://127.0.0.1:2379 --authorization-mode=Node,RBAC \
    --client-ca-file="$p/ca.crt" --tls-cert-file="$p/apiserver.crt" --tls-private-key-file="$p/apiserver.key" \
    --service-account-issuer=https://k --service-account-key-file="$p/sa.pub" --service-account-signing-key-file="$p/sa.key" \
    --service-cluster-ip-range=10.96.0.0/16
proxy_config="$work/proxy.yaml"
cat >"$proxy_config" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
clientConnection: {kubeconfig: $work/etc/kube-proxy.conf}
clusterCIDR: 10.244.0.0/16
iptables: {syncPeriod: 1s}
portRange: ""
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
start_proxy() { start kube-proxy "$bin/kube-proxy" --config="$proxy_config" --hostname-override=N1 --cluster-routes --v=2; } # started before the API answers: it waits
start_proxy

api() { # METHOD PATH [JSON]
    in_ns curl -sS -m 5 --cacert "$p/ca.crt" --cert "$p/apiserver-kubelet-client.crt" --key "$p/apiserver-kubelet-client.key" -X "$1" \
        -H "Content-Type: ${4:-application/json}" ${3:+-d "$3"} "https://127.0.0.1:6443$2"
}
ok() { api GET "$1" 2>/dev/null | grep "$2" >/dev/null; }
until_true "the API server is ready" ok /readyz '^ok'
in_map() { in_ns nft list map ip kube-proxy "$1" 2>/dev/null | grep "$2" >/dev/null; } # not -q: it would end the writer early
until_true "the API server's own Service is in the rules" in_map service-ips '10.96.0.1 . tcp . 443'

slice() { # NAME SERVICE IP PORT PROTO NODE
    echo '{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"'"$1"'","labels":{"kubernetes.io/service-name":"'"$2"'"}},"addressType":"IPv4","ports":[{"name":"","port":'"$4"',"protocol":"'"$5"'"}],"endpoints":[{"addresses":["'"$3"'"],"nodeName":"'"$6"'"}]}'
}
slices=/apis/discovery.k8s.io/v1/namespaces/default/endpointslices
api POST /api/v1/namespaces/default/services '{"apiVersion":"v1","kind":"Service","metadata":{"name":"u"},"spec":{"clusterIP":"10.96.3.3","ports":[{"port":53,"protocol":"UDP"}]}}' >/dev/null
api POST $slices "$(slice u-1 u 192.0.2.11 5353 UDP n1)" >/dev/null
until_true "a Service gets its rules" in_map udp-endpoints '10.96.3.3 . 53 : 192.0.2.11 . 5353'

# UDP: one client socket that never changes its port must follow the Service from .11 to .12
cat >"$work/udp.py" <<'PY'
import socket, sys, threading, time, os
def serve(ip):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((ip, 5353))
    while True:
        d, a = s.recvfrom(100); s.sendto(ip.encode(), a)
for ip in ("192.0.2.11", "192.0.2.12"): threading.Thread(target=serve, args=(ip,), daemon=True).start()
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.bind(("192.0.2.1", 40000)); c.settimeout(0.3)
while True:
    c.sendto(b"x", ("10.96.3.3", 53))
    try: open(sys.argv[1], "w").write(c.recv(100).decode())
    except OSError: open(sys.argv[1], "w").write("nothing")
    time.sleep(0.05)
PY
start udp python3 "$work/udp.py" "$work/udp.answer"
answers() { [ "$(cat "$work/udp.answer" 2>/dev/null)" = "$1" ]; }
until_true "UDP goes to the first pod" answers 192.0.2.11
api PATCH $slices/u-1 '{"endpoints":[{"addresses":["192.0.2.12"],"nodeName":"n1"}]}' application/merge-patch+json >/dev/null
until_true "the UDP flow moves to the second pod" answers 192.0.2.12

# killed: rules stay, and what changed meanwhile is made up for
kill -KILL "${pid[kube-proxy]}"
wait "${pid[kube-proxy]}" 2>/dev/null
in_map udp-endpoints '10.96.3.3 . 53 : 192.0.2.12' && echo "ok: rules stay when the daemon is killed" || fail "rules went with the daemon"
api DELETE /api/v1/namespaces/default/services/u >/dev/null
start_proxy
gone() { ! in_map "$1" "$2" && in_map service-ips 10.96.0.1; }
until_true "after a restart the deleted Service is gone" gone service-ips 10.96.3.3
in_ns nft flush ruleset
until_true "rules come back after a flush by somebody" in_map service-ips 10.96.0.1

# the way to another node's pods
api POST /api/v1/nodes '{"apiVersion":"v1","kind":"Node","metadata":{"name":"n2"},"spec":{"podCIDR":"10.244.7.0/24","podCIDRs":["10.244.7.0/24"]}}' >/dev/null
api PATCH /api/v1/nodes/n2/status '{"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.50"}]}}' application/merge-patch+json >/dev/null
route_is() { [ "$(ip -n $ns route show proto 99 | sed 's/ *$//')" = "$1" ]; }
until_true "a route to the other node's pods" route_is "10.244.7.0/24 via 192.0.2.50 dev d0"
api PATCH /api/v1/nodes/n2/status '{"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.51"}]}}' application/merge-patch+json >/dev/null
until_true "it follows the node's address" route_is "10.244.7.0/24 via 192.0.2.51 dev d0"
api DELETE /api/v1/nodes/n2 >/dev/null
until_true "it goes with the node" route_is ""
ip -n $ns route add 10.244.9.0/24 via 192.0.2.60 proto static

# health port of a load balancer's Service
api POST /api/v1/namespaces/default/services '{"apiVersion":"v1","kind":"Service","metadata":{"name":"lb"},"spec":{"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":31777,"ports":[{"port":80}]}}' >/dev/null
code() { [ "$(in_ns curl -s -o "$work/health" -w '%{http_code}' "http://192.0.2.1:31777/")" = "$1" ]; }
until_true "health port: 503 without endpoints here" code 503
api POST $slices "$(slice lb-1 lb 192.0.2.11 8080 TCP n1)" >/dev/null
until_true "health port: 200 with one" code 200
grep -q '"localEndpoints": 1' "$work/health" || fail "health port says $(cat "$work/health")"
api DELETE /api/v1/namespaces/default/services/lb >/dev/null
until_true "health port closes with its Service" code 000

[ "$(in_ns curl -s http://127.0.0.1:10249/proxyMode)" = nftables ] && echo "ok: /proxyMode" || fail "/proxyMode"
in_ns curl -s http://127.0.0.1:10256/healthz | grep '"nodeEligible": true' >/dev/null && echo "ok: /healthz" || fail "/healthz"
in_ns curl -s http://127.0.0.1:10249/metrics | grep '^kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} [1-9]' >/dev/null && echo "ok: /metrics" || fail "/metrics"
grep -q 'mode ipvs is programmed as nftables' "$work/kube-proxy.log" || fail "nothing said about mode ipvs"

kill -TERM "${pid[kube-proxy]}"
wait "${pid[kube-proxy]}"
rc=$?
[ $rc -eq 0 ] || fail "SIGTERM ended it with $rc"
unset 'pid[kube-proxy]'
in_map service-ips 10.96.0.1 && echo "ok: rules stay after SIGTERM" || fail "rules went with SIGTERM"
in_ns "$bin/kube-proxy" --cleanup >>"$work/kube-proxy.log" 2>&1 || fail "--cleanup"
ip -n $ns route show | grep '10.244.9.0/24 via 192.0.2.60' >/dev/null && echo "ok: other routes are left alone" || fail "a route that is not ours went"
[ -z "$(in_ns nft list tables)" ] && echo "ok: --cleanup leaves nothing" || fail "--cleanup left $(in_ns nft list tables)"
exit $((failed > 0))
