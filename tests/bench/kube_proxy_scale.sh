#!/usr/bin/env bash
# kube_proxy_scale.sh [SERVICES]: how long kube-proxy's rules take to load, and one change to take hold.  No limit is tested.
set -euo pipefail
cd "$(dirname "$0")/../.."
proxy=${KUBE_PROXY:-${BUILD:-build}/bin/kube-proxy}
n=${1:-10000}
ns=kpb$$
ip netns add $ns 2>/dev/null || { echo "no CAP_NET_ADMIN"; exit 77; }
work=$(mktemp -d)
trap 'ip netns del $ns; rm -rf "$work"' EXIT
awk -v n="$n" 'BEGIN { for (i = 0; i < n; i++) {
    a = int(i / 250); b = i % 250 + 1
    printf "---\n{apiVersion: v1, kind: Service, metadata: {name: s%d, namespace: d}, spec: {clusterIP: 10.97.%d.%d, ports: [{port: 80}]}}\n", i, a, b
    printf "---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s%d-1, namespace: d, labels: {kubernetes.io/service-name: s%d}}, addressType: IPv4, ports: [{name: \"\", port: 8080, protocol: TCP}], endpoints: [{addresses: [10.244.%d.%d], nodeName: a}, {addresses: [10.245.%d.%d], nodeName: b}]}\n", i, i, a, b, a, b
} }' >"$work/all.yaml"
printf '{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s5-1, namespace: d, labels: {kubernetes.io/service-name: s5}}, addressType: IPv4, ports: [{name: "", port: 8080, protocol: TCP}], endpoints: [{addresses: [10.244.0.6], nodeName: a}, {addresses: [10.245.9.9], nodeName: b}]}\n' >"$work/one.yaml"
echo "$n services of 2 endpoints:"
nsenter --net=/run/netns/$ns "$proxy" render --times --apply --hostname-override=a --cluster-cidr=10.244.0.0/15 "$work/all.yaml" --then "$work/one.yaml"
