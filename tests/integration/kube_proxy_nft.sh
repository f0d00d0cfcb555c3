#!/usr/bin/env bash
# Real packets through kube-proxy's rules: clients and pods in network namespaces, one node between them.
#   out (192.0.2.2) --- node (192.0.2.1; bridge 10.244.1.1) --- pod1, pod2 (10.244.1.11, .12: "here"), pod3 (.13: "elsewhere")
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
proxy=${KUBE_PROXY:-$build/bin/kube-proxy}
[ -x "$proxy" ] || { echo "no $proxy"; exit 77; }
command -v ip >/dev/null && command -v nsenter >/dev/null || { echo "no iproute2 or nsenter"; exit 77; }
tag=kpt$$
ip netns add $tag-node 2>/dev/null || { echo "no CAP_NET_ADMIN"; exit 77; }
work=$(mktemp -d)
pids=()
cleanup() {
    for p in ${pids[@]+"${pids[@]}"}; do kill "$p" 2>/dev/null; done
    wait 2>/dev/null
    for n in node out pod1 pod2 pod3; do ip netns del $tag-$n 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT
failed=0
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }
in_ns() { local n=$1; shift; nsenter --net=/run/netns/$tag-$n "$@"; }

for n in out pod1 pod2 pod3; do ip netns add $tag-$n; ip -n $tag-$n link set lo up; done
ip -n $tag-node link set lo up
ip -n $tag-node link add br0 type bridge
ip -n $tag-node addr add 10.244.1.1/24 dev br0
ip -n $tag-node link set br0 up
i=0
for n in pod1 pod2 pod3; do
    i=$((i + 1))
    ip -n $tag-node link add veth$i type veth peer name eth0 netns $tag-$n
    ip -n $tag-node link set veth$i master br0 up
    ip -n $tag-node link set veth$i type bridge_slave hairpin on
    ip -n $tag-$n addr add 10.244.1.1$i/24 dev eth0
    ip -n $tag-$n link set eth0 up
    ip -n $tag-$n route add default via 10.244.1.1
done
ip -n $tag-node link add wan type veth peer name eth0 netns $tag-out
ip -n $tag-node addr add 192.0.2.1/24 dev wan
ip -n $tag-node link set wan up
ip -n $tag-out addr add 192.0.2.2/24 dev eth0
ip -n $tag-out link set eth0 up
ip -n $tag-out route add 10.96.0.0/16 via 192.0.2.1
ip -n $tag-out route add 203.0.113.0/24 via 192.0.2.1
ip -n $tag-node route add 10.96.0.0/16 dev wan
in_ns node sysctl -qw net.ipv4.ip_forward=1
in_ns node sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || echo "note: no br_netfilter"

# Each pod's server says its name and whom it sees.
cat >"$work/server.py" <<'PY'
import http.server, socketserver, sys, socket, threading
name = sys.argv[1]
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{name} {self.client_address[0]}\n".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 5353))
    while True:
        d, a = s.recvfrom(512); s.sendto(f"{name} {a[0]}\n".encode(), a)
threading.Thread(target=udp, daemon=True).start()
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True; allow_reuse_address = True
S(("", 8080), H).serve_forever()
PY
for n in pod1 pod2 pod3; do nsenter --net=/run/netns/$tag-$n python3 "$work/server.py" $n & pids+=($!); done
for n in pod1 pod2 pod3; do
    for _ in $(seq 50); do in_ns $n curl -s -m 1 -o /dev/null http://127.0.0.1:8080/ && break; sleep 0.1; done
done

slice() { # NAME PORT PROTO pods...; pod3 is on another node
    local name=$1 port=$2 proto=$3 p
    shift 3
    printf -- '---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %s-1, namespace: d, labels: {kubernetes.io/service-name: %s}}\naddressType: IPv4\n' "$name" "$name"
    printf 'ports: [{name: "", port: %s, protocol: %s}]\nendpoints:\n' "$port" "$proto"
    [ $# -gt 0 ] || echo "[]"
    for p in "$@"; do printf -- '- {addresses: [10.244.1.1%s], nodeName: %s}\n' "$p" "$([ "$p" = 3 ] && echo other || echo here)"; done
}
service() { # NAME SPEC...
    printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: d}\nspec: {%s}\n' "$1" "$2"
}
{
    service web 'type: NodePort, clusterIP: 10.96.0.10, externalIPs: [203.0.113.7], ports: [{port: 80, nodePort: 30080}]'
    slice web 8080 TCP 1 2 3
    service self 'clusterIP: 10.96.0.11, ports: [{port: 80}]'
    slice self 8080 TCP 1
    service sticky 'type: NodePort, clusterIP: 10.96.0.12, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 4}}, ports: [{port: 80, nodePort: 30082}]'
    slice sticky 8080 TCP 1 2 3
    service empty 'type: NodePort, clusterIP: 10.96.0.13, ports: [{port: 80, nodePort: 30083}]'
    service local 'type: NodePort, clusterIP: 10.96.0.14, externalTrafficPolicy: Local, ports: [{port: 80, nodePort: 30084}]'
    slice local 8080 TCP 1 3
    service away 'type: NodePort, clusterIP: 10.96.0.15, externalTrafficPolicy: Local, internalTrafficPolicy: Local, ports: [{port: 80, nodePort: 30085}]'
    slice away 8080 TCP 3
    service udp 'clusterIP: 10.96.0.16, ports: [{port: 53, protocol: UDP}]'
    slice udp 5353 UDP 2
    service fenced 'type: LoadBalancer, clusterIP: 10.96.0.17, loadBalancerSourceRanges: ["198.51.100.0/24"], ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.8}]}'
    slice fenced 8080 TCP 1
    service open 'type: LoadBalancer, clusterIP: 10.96.0.18, loadBalancerSourceRanges: ["198.51.100.0/24", "192.0.2.0/25"], ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.9}]}'
    slice open 8080 TCP 1
} >"$work/one.yaml"
render() { in_ns node "$proxy" render --hostname-override=here --cluster-cidr=10.244.0.0/16 --apply "$@"; }
render "$work/one.yaml" || { fail "the rules do not load"; exit 1; }

get() { in_ns "$1" curl -sS -m 2 "http://$2/" 2>&1; }
# many NS ADDRESS: the distinct answering pods of 40 requests
many() { for _ in $(seq 40); do get "$1" "$2" | cut -d' ' -f1; done | sort | uniq -c | awk '{print $2}' | paste -sd,; }
same() { # WHAT GOT WANTED
    [ "$2" = "$3" ] && echo "ok: $1" || fail "$1: got '$2', wanted '$3'"
}
matches() { # WHAT GOT PATTERN
    [[ $2 =~ $3 ]] && echo "ok: $1" || fail "$1: got '$2', wanted /$3/"
}

same "pod to ClusterIP reaches all pods" "$(many pod2 10.96.0.10)" pod1,pod2,pod3
same "node to ClusterIP" "$(many node 10.96.0.10)" pod1,pod2,pod3
same "outside to ClusterIP" "$(many out 10.96.0.10)" pod1,pod2,pod3
same "outside to NodePort" "$(many out 192.0.2.1:30080)" pod1,pod2,pod3
same "node to its own NodePort" "$(many node 192.0.2.1:30080)" pod1,pod2,pod3
same "pod to NodePort" "$(many pod1 10.244.1.1:30080)" pod1,pod2,pod3
same "outside to external IP" "$(many out 203.0.113.7)" pod1,pod2,pod3
same "hairpin: a pod reaches itself, seen as the node" "$(get pod1 10.96.0.11)" "pod1 10.244.1.1"
same "pod to pod keeps the client's address" "$(get pod2 10.96.0.11)" "pod1 10.244.1.12"
same "from outside it is masqueraded" "$(get out 10.96.0.11)" "pod1 10.244.1.1"
matches "no endpoints: refused" "$(get pod1 10.96.0.13)" "Couldn.t connect|refused"
matches "no endpoints: NodePort refused" "$(get out 192.0.2.1:30083)" "Couldn.t connect|refused"
matches "a port the ClusterIP does not have: refused" "$(get pod1 10.96.0.10:81)" "Couldn.t connect|refused"
same "externalTrafficPolicy Local keeps the address" "$(get out 192.0.2.1:30084)" "pod1 192.0.2.2"
same "externalTrafficPolicy Local: only pods here" "$(many out 192.0.2.1:30084)" "pod1"
same "externalTrafficPolicy Local: this node's pods use all" "$(many pod2 10.244.1.1:30084)" "pod1,pod3"
matches "externalTrafficPolicy Local without pods here: silence" "$(get out 192.0.2.1:30085)" "timed out"
matches "internalTrafficPolicy Local without pods here: silence" "$(get pod1 10.96.0.15)" "timed out"
matches "source ranges keep others out" "$(get out 203.0.113.8)" "timed out"
same "source ranges let those in that they name" "$(get out 203.0.113.9 | cut -d' ' -f1)" "pod1"
matches "a NodePort number at another address is nothing" "$(get out 192.0.2.2:30080)" "Couldn.t connect|refused"
udp_ask() { in_ns "$1" python3 -c 'import socket,sys
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(2); s.sendto(b"x",("10.96.0.16",53))
print(s.recv(99).decode().strip())' 2>&1 | tail -n 1; }
same "UDP" "$(udp_ask pod1)" "pod2 10.244.1.11"

# affinity: one pod for one client, on both ways in; anew after the timeout or when the pod goes
first=$(get pod2 10.96.0.12 | cut -d' ' -f1)
same "affinity holds" "$(many pod2 10.96.0.12)" "$first"
same "affinity holds at the NodePort" "$(many out 192.0.2.1:30082 | tr -cd , | wc -c)" 0
sleep 5
seen=$first
for _ in $(seq 12); do
    now=$(get pod2 10.96.0.12 | cut -d' ' -f1)
    [ "$now" = "$first" ] || { seen=other; break; }
    sleep 4.5
done
same "affinity ends with its time" "$seen" other

# a change: web loses pod 1, gains nothing; the sticky one loses the pod this client sits on; empty gets one
stuck=$(get pod2 10.96.0.12 | cut -d' ' -f1)
rest=()
for p in 1 2 3; do [ "pod$p" = "$stuck" ] || rest+=($p); done
{ slice web 8080 TCP 2 3; slice sticky 8080 TCP "${rest[@]}"; slice empty 8080 TCP 1; } >"$work/two.yaml"
in_ns node nft list map ip kube-proxy affinity >"$work/before"
render "$work/one.yaml" --then "$work/two.yaml" || fail "the change does not load"
same "after the change: ClusterIP" "$(many pod2 10.96.0.10)" pod2,pod3
same "after the change: NodePort" "$(many out 192.0.2.1:30080)" pod2,pod3
same "after the change: the empty one serves" "$(get pod2 10.96.0.13 | cut -d' ' -f1)" pod1
matches "after the change: affinity moves on" "$(many pod2 10.96.0.12)" "^pod[$(printf %s "${rest[@]}")]$"

# a reload under load loses no request
: >"$work/errors"
(while [ ! -e "$work/stop" ]; do get pod2 10.96.0.10 | grep -q '^pod' || echo miss >>"$work/errors"; done) &
asker=$!
for _ in 1 2 3 4 5; do render "$work/one.yaml" --then "$work/two.yaml" || fail "reload"; done
touch "$work/stop"
wait $asker
same "no request lost during reloads" "$(wc -l <"$work/errors")" 0

in_ns node "$proxy" render --cleanup || fail "cleanup"
same "cleanup leaves nothing" "$(in_ns node nft list tables)" ""
[ $failed -eq 0 ] && echo "all ok"
exit $((failed > 0))
