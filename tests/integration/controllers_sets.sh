#!/usr/bin/env bash
# The StatefulSet and DaemonSet controllers of kube-controller-manager against our apiserver: the script is the kubelet.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
. tests/integration/lib/controllers.sh
lib_start
need_kubectl v35
start_etcd
start_apiserver
start_controllers
until_true k get serviceaccount default
pod_label=app
status() { k get "$1" "$2" -o "jsonpath={.status.$3}"; }
sorted() { names "$1" | sort | xargs; }
living() { k get pods -l "app=$1" -o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}' | sort | xargs; }
images() { k get pods -l "app=$1" --sort-by=.metadata.name -o 'jsonpath={.items[*].spec.containers[0].image}'; }
set_image() { k patch "$1" "$2" --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"'"$3"'"}]'; }

# --- StatefulSet: in order
sts() { # NAME POLICY: replicas 3
    k apply -f - >/dev/null <<YAML
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: $1}
spec:
  serviceName: $1
  replicas: 3
  podManagementPolicy: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "web:1", volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
YAML
}
sts web OrderedReady
until_is 'web-0' sorted web
sees 'hostname: web-0' k get pod web-0 -o yaml
sees 'subdomain: web' k get pod web-0 -o yaml
sees 'claimName: data-web-0' k get pod web-0 -o yaml
sees 'statefulset.kubernetes.io/pod-name: web-0' k get pod web-0 -o yaml
sees 'apps.kubernetes.io/pod-index: "0"' k get pod web-0 -o yaml
run_pod web-0
until_is 'web-0 web-1' sorted web
run_pod web-1
until_is 'web-0 web-1 web-2' sorted web
run_pod web-2
until_is 3 status sts web readyReplicas
until_is 3 status sts web currentReplicas
prints 'data-web-0 data-web-1 data-web-2' eval "k get pvc -l app=web -o 'jsonpath={.items[*].metadata.name}'"
until_sees 'SuccessfulCreate +statefulset/web +create Pod web-0 in StatefulSet web successful' k get events
sees '^statefulset rolling update complete|partitioned roll out complete' k rollout status sts web --timeout=10s
works k scale sts web --replicas=2
until_is 'web-0 web-1' living web
works k scale sts web --replicas=3
until_is 'web-0 web-1 web-2' living web
run_pod web-2
until_is 3 status sts web readyReplicas

# --- its rolling update, from above down to the partition
works k patch sts web -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":1}}}}'
works set_image sts web web:2
until_is 'web:1 web:1 web:2' images web
until_is 'web-0 web-1 web-2' living web
run_pod web-2
until_is 'web:1 web:2 web:2' images web
run_pod web-1
until_is 2 status sts web updatedReplicas
prints 'web:1 web:2 web:2' images web
works k patch sts web -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'
until_is 'web:2 web:2 web:2' images web
run_pod web-0
until_true eval '[ "$(status sts web currentRevision)" = "$(status sts web updateRevision)" ]'
prints 2 eval "k get controllerrevisions -l app=web --no-headers | wc -l"
sees '^2 ' k rollout history sts web
works k rollout undo sts web
until_is 'web:2 web:2 web:1' images web
works k delete sts web --cascade=foreground --wait=false
until_true gone sts web

# --- StatefulSet: all at once
sts par Parallel
until_is 'par-0 par-1 par-2' sorted par
works k scale sts par --replicas=0
until_is '' sorted par

# --- DaemonSet
node() { # NAME LABELS TAINTS
    k apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Node
metadata: {name: $1, labels: {$2}}
spec: {taints: [$3]}
YAML
}
node n1 'kind: a' ''
node n2 'kind: a' '{key: dedicated, value: a, effect: NoSchedule}'
node n3 'kind: b' ''
bind() { local p; for p in $(k get pods -l app=agent --field-selector spec.nodeName= -o 'jsonpath={.items[*].metadata.name}'); do
    k create --raw "/api/v1/namespaces/default/pods/$p/binding" -f - >/dev/null <<<'{"apiVersion":"v1","kind":"Binding","metadata":{"name":"'"$p"'"},"target":{"apiVersion":"v1","kind":"Node","name":"'"$(target "$p")"'"}}'; run_pod "$p"; done; }
target() { k get pod "$1" -o 'jsonpath={.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].values[0]}'; }
targets() { local p; for p in $(living agent); do target "$p"; echo; done | sort | xargs; }
k apply -f - >/dev/null <<'YAML'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "agent:1"}]}
YAML
until_is 'n1 n3' targets
sees 'key: node.kubernetes.io/unschedulable' k get pods -l app=agent -o yaml
until_is 2 status ds agent desiredNumberScheduled
bind
until_is 2 status ds agent numberAvailable
until_sees 'SuccessfulCreate +daemonset/agent +Created pod: agent-' k get events
node n2 'kind: a' ''
until_is 'n1 n2 n3' targets
bind
until_is 3 status ds agent numberReady
works set_image ds agent agent:2
until_is 2 eval 'images agent | tr " " "\n" | grep -c agent:1'
until_is 3 eval 'targets | wc -w'
prints 'agent:1 agent:1 agent:2' eval 'images agent | tr " " "\n" | sort | xargs'
bind
until_is 1 eval 'images agent | tr " " "\n" | grep -c agent:1'
until_is 3 eval 'targets | wc -w'
bind
until_is 'agent:2 agent:2 agent:2' images agent
until_is 3 eval 'targets | wc -w'
bind
until_is 3 status ds agent updatedNumberScheduled
until_sees 'successfully rolled out' k rollout status ds agent --timeout=10s
sees '^2 ' k rollout history ds agent
works k patch ds agent -p '{"spec":{"template":{"spec":{"nodeSelector":{"kind":"b"}}}}}'
until_is 'n3' targets
works k delete ds agent
until_is '' living agent

stop_controllers || fail "the controller manager ended with code $?"
lib_end
