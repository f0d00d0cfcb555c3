#!/usr/bin/env bash
# demo.sh: shows on the running sample (deploy/samples/hello.yaml) what a cluster is for; exit 1 names what did not hold.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/lib.sh
kubectl=$(find_kubectl)
k() { "$kubectl" --kubeconfig="$CONF_DIR/admin.conf" "$@"; }
work=$(mktemp -d)
asker=
trap 'touch "$work/stop"; [ -z "$asker" ] || wait "$asker" 2>/dev/null; rm -rf "$work"' EXIT

node_ip=$(k get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
cluster_ip=$(k get service hello -o jsonpath='{.spec.clusterIP}')
cluster_port=$(k get service hello -o jsonpath='{.spec.ports[0].port}')
node_port=$(k get service hello -o jsonpath='{.spec.ports[0].nodePort}')

ask() { curl -sS -m 3 "http://$1/"; }

# answers_from ADDRESS COUNT: asks until COUNT different pods have answered
answers_from() {
    local address=$1 want=$2 begin answer n=0
    begin=$(now_ms)
    : >"$work/answers"
    while :; do
        answer=$(ask "$address" 2>&1) || die "http://$address/ does not answer: $answer (kube-proxy's rules: nft list table ip kube-proxy; log: $(log_of kube-proxy))"
        n=$((n + 1))
        echo "$answer" >>"$work/answers"
        [ "$(sort -u "$work/answers" | wc -l)" -lt "$want" ] || break
        [ $(($(now_ms) - begin)) -lt 20000 ] || die "only $(sort -u "$work/answers" | wc -l) of $want pods answer at http://$address/; the endpoints: $(k get endpointslices -l kubernetes.io/service-name=hello -o jsonpath='{.items[*].endpoints[*].addresses[0]}')"
    done
    note "http://$address/: $want pods answered within $n requests"
}

ready_is() { # COUNT
    [ "$(k get deployment hello -o jsonpath='{.status.readyReplicas}/{.status.updatedReplicas}/{.status.replicas}')" = "$1/$1/$1" ]
}

until_true() { # SECONDS WHAT COMMAND...
    local limit=$1 what=$2 begin
    shift 2
    begin=$(now_ms)
    until "$@"; do
        [ $(($(now_ms) - begin)) -lt $((limit * 1000)) ] || { k get pods -o wide >&2; k get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 8 >&2; die "$what did not happen within $limit s"; }
        sleep 0.2
    done
    note "$what: after $(seconds $(($(now_ms) - begin)))"
}

stage "the sample's pods"
k get pods -l app=hello -o wide | sed 's/^/    /'
stage "its Service, from all pods"
count=$(k get deployment hello -o jsonpath='{.spec.replicas}')
answers_from "$cluster_ip:$cluster_port" "$count"
answers_from "$node_ip:$node_port" "$count"

stage "scale to 5"
k scale deployment hello --replicas=5 | sed 's/^/    /'
until_true 60 "5 pods ready" ready_is 5
answers_from "$cluster_ip:$cluster_port" 5

stage "rolling update to version 2, under load"
(
    asked=0 failed=0
    while [ ! -e "$work/stop" ]; do
        asked=$((asked + 1))
        ask "$cluster_ip:$cluster_port" >/dev/null 2>>"$work/failures" || failed=$((failed + 1))
        asked=$((asked + 1))
        ask "$node_ip:$node_port" >/dev/null 2>>"$work/failures" || failed=$((failed + 1))
        echo "$asked $failed" >"$work/count.new"
        mv "$work/count.new" "$work/count"
    done
) &
asker=$!
k set image deployment/hello hello=local.test/hello:2 | sed 's/^/    /'
if ! k rollout status deployment/hello --timeout=120s >"$work/rollout" 2>&1; then tail -n 3 "$work/rollout" >&2; die "the rolling update did not finish"; fi
gone() { [ "$(k get pods -l app=hello --no-headers | wc -l)" = 5 ]; }
until_true 60 "the old pods gone" gone
touch "$work/stop"
wait "$asker"
asker=
read -r asked failed <"$work/count"
[ "$failed" = 0 ] || { sort "$work/failures" | uniq -c | head -n 5 >&2; die "$failed of $asked requests failed during the rolling update"; }
note "$asked requests during the update, none failed"
answer=$(ask "$cluster_ip:$cluster_port")
[[ $answer == *"version 2"* ]] || die "after the update the Service still answers: $answer"
note "now: $answer"

stage "delete one pod"
victim=$(k get pods -l app=hello -o jsonpath='{.items[0].metadata.name}')
k delete pod "$victim" --wait=false | sed 's/^/    /'
replaced() {
    local names
    names=$(k get pods -l app=hello --field-selector=status.phase=Running -o jsonpath='{.items[*].metadata.name}')
    [[ " $names " != *" $victim "* ]] && [ "$(wc -w <<<"$names")" = 5 ] && ready_is 5
}
until_true 60 "$victim replaced" replaced
k get pods -l app=hello -o wide | sed 's/^/    /'
