#!/usr/bin/env bash
# kube-controller-manager against our apiserver and a real etcd: every controller does its work on real objects, told by
# kubectl; killed in the middle of a scale-up it leaves nothing behind and nothing twice.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
kcm=$lib_build/bin/kube-controller-manager
[ -x "$kcm" ] || { echo "$kcm is not built"; exit 77; }
need_kubectl v35
start_etcd
start_apiserver
lib_port; kcm_port=$lib_result

start_kcm() {
    "$kcm" --kubeconfig="$dir/pki/controller-manager.conf" --bind-address=127.0.0.1 --secure-port="$kcm_port" --root-ca-file="$dir/pki/pki/ca.crt" \
        --cluster-cidr=10.200.0.0/16 --allocate-node-cidrs --service-cluster-ip-range=10.96.0.0/16 --use-service-account-credentials --v=2 \
        --leader-elect-lease-duration=4s --leader-elect-renew-deadline=3s --leader-elect-retry-period=1s "$@" >>"$dir/kcm.log" 2>&1 &
    kcm_pid=$!
    lib_clean="$lib_clean $kcm_pid"
}
eventually() { # WHAT WANTED COMMAND...: the output becomes WANTED within 20 s
    local what=$1 wanted=$2 got='' i
    shift 2
    lib_checks=$((lib_checks + 1))
    for i in $(seq 100); do
        got=$("$@" 2>&1)
        [ "$got" = "$wanted" ] && return
        sleep 0.2
    done
    fail "$what: wanted '$wanted', got '$got'"
}
count() { k get "$@" --no-headers 2>/dev/null | wc -l | tr -d ' '; }
[ -f "$dir/pki/pki/ca.crt" ] || cp "$(find "$dir/pki" -name ca.crt | head -n 1)" "$dir/ca.crt"
[ -f "$dir/pki/pki/ca.crt" ] || { mkdir -p "$dir/pki/pki"; mv "$dir/ca.crt" "$dir/pki/pki/ca.crt"; }
start_kcm

# --- what every namespace has
works k create namespace n1
eventually "default account" default k get serviceaccount -n n1 default -o 'jsonpath={.metadata.name}'
eventually "root CA" "$(cat "$dir/pki/pki/ca.crt")" k get configmap -n n1 kube-root-ca.crt -o 'jsonpath={.data.ca\.crt}'

# --- deployments
works k create deployment web --image=web:1 --replicas=3
eventually "pods of a deployment" 3 count pods -l app=web
eventually "status" "3 3" k get deploy web -o 'jsonpath={.status.replicas} {.status.updatedReplicas}'
prints 1 k get deploy web -o 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'
works k set image deployment/web web=web:2
eventually "a second ReplicaSet" 2 count rs -l app=web
eventually "revision" 2 k get deploy web -o 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'
ready() { # every pod Running and Ready: there is no kubelet here
    local p
    for p in $(k get pods -l "$1" -o 'jsonpath={.items[*].metadata.name}'); do
        k patch pod "$p" --subresource=status --type=strategic -p '{"status":{"phase":"Running","podIP":"10.1.0.7","podIPs":[{"ip":"10.1.0.7"}],"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}' >/dev/null 2>&1
    done
}
rolled_out() { ready app=web; k rollout status deployment/web --timeout=1s; }
eventually "rollout" 'deployment "web" successfully rolled out' rolled_out
works k rollout undo deployment/web
eventually "undone" 'deployment "web" successfully rolled out' rolled_out
prints web:1 k get deploy web -o 'jsonpath={.spec.template.spec.containers[0].image}'
sees 'REVISION|^2|^3' k rollout history deployment/web
sees 'ScalingReplicaSet +deployment/web +Scaled up replica set web-[a-z0-9]+ from 0 to 3' k get events
eventually "Progressing" NewReplicaSetAvailable k get deploy web -o 'jsonpath={.status.conditions[?(@.type=="Progressing")].reason}'

# --- services
works k expose deployment web --port=80 --target-port=8080
eventually "endpoints" 10.1.0.7 k get endpoints web -o 'jsonpath={.subsets[0].addresses[0].ip}'
eventually "endpointslice" 3 sh -c "'$kubectl' get endpointslices -l kubernetes.io/service-name=web -o 'jsonpath={range .items[*].endpoints[*]}{.conditions.ready}{\"\n\"}{end}' | grep -c true"

# --- killed while it scales: nothing twice
works k scale deployment/web --replicas=40
kill -KILL "$kcm_pid"
wait "$kcm_pid" 2>/dev/null
start_kcm
eventually "after SIGKILL" 40 count pods -l app=web
sleep 1
prints 40 count pods -l app=web

# --- garbage collection
works k delete deployment web
eventually "cascade" "0 0" sh -c "echo \$('$kubectl' get rs,pods -l app=web --no-headers 2>/dev/null | wc -l) 0"
works k create deployment keep --image=x
eventually "its pod" 1 count pods -l app=keep
works k delete deployment keep --cascade=orphan
prints 1 count rs -l app=keep
eventually "orphaned" "" k get rs -l app=keep -o 'jsonpath={.items[*].metadata.ownerReferences}'
works k delete rs -l app=keep --cascade=foreground
eventually "foreground" 0 count pods -l app=keep

# --- jobs
works k create job j --image=x
eventually "pod of a job" 1 count pods -l job-name=j
prints '["batch.kubernetes.io/job-tracking"]' k get pods -l job-name=j -o 'jsonpath={.items[0].metadata.finalizers}'
k patch "$(k get pods -l job-name=j -o name)" --subresource=status --type=merge -p '{"status":{"phase":"Succeeded"}}' >/dev/null
eventually "complete" "SuccessCriteriaMet Complete" k get job j -o 'jsonpath={.status.conditions[*].type}'
eventually "counted" "1 " k get job j -o 'jsonpath={.status.succeeded} {.status.uncountedTerminatedPods.succeeded}'
eventually "let go" "" k get pods -l job-name=j -o 'jsonpath={.items[0].metadata.finalizers}'

# --- nodes
printf '{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}' >"$dir/node.json"
works k apply -f "$dir/node.json"
eventually "pod range" 10.200.0.0/24 k get node n1 -o 'jsonpath={.spec.podCIDR}'
works k patch node n1 --subresource=status --type=strategic -p '{"status":{"conditions":[{"type":"Ready","status":"False"}]}}'
eventually "taint" "node.kubernetes.io/not-ready:NoSchedule" k get node n1 -o 'jsonpath={.spec.taints[0].key}:{.spec.taints[0].effect}'
works k patch node n1 --subresource=status --type=strategic -p '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
eventually "no taint" "" k get node n1 -o 'jsonpath={.spec.taints}'

# --- cron jobs
printf '%s' '{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"often"},"spec":{"schedule":"@every 1s","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"x"}]}}}}}}' >"$dir/cron.json"
works k apply -f "$dir/cron.json"
eventually "a job of a cron job" often sh -c "'$kubectl' get jobs -o 'jsonpath={range .items[*]}{.metadata.ownerReferences[0].name}{\"\n\"}{end}' | grep -m 1 often"
works k delete cronjob often

# --- namespaces end, whatever is in them
works k create deployment -n n1 web --image=x --replicas=5
eventually "in the namespace" 5 count pods -n n1
works k delete namespace n1 --timeout=30s
refuses NotFound k get namespace n1

# --- endpoints of its own, and an orderly end
lib_checks=$((lib_checks + 1))
[ "$(curl -sk "https://127.0.0.1:$kcm_port/healthz")" = ok ] || fail "healthz"
kill -TERM "$kcm_pid"
wait "$kcm_pid"
prints 0 echo $?
eventually "the lease is given back" "" k get lease -n kube-system kube-controller-manager -o 'jsonpath={.spec.holderIdentity}'
lib_end
