#!/usr/bin/env bash
# kubectl 1.35 reads: get in every output, selectors, paging, watches, wait, describe, explain, events, rollout history,
# logs of nothing, top of nothing, against our apiserver and a real etcd.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
need_kubectl v35
start_etcd
start_apiserver
works k create serviceaccount default

cat >"$dir/objects.yaml" <<'Y'
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {node-role.kubernetes.io/worker: ""}}
status:
  addresses: [{type: InternalIP, address: 10.0.0.9}, {type: Hostname, address: n1}]
  capacity: {cpu: "4", memory: 8Gi, pods: "110"}
  allocatable: {cpu: "4", memory: 8Gi, pods: "110"}
  conditions: [{type: Ready, status: "True", reason: KubeletReady, message: fine, lastHeartbeatTime: "2026-01-01T00:00:00Z", lastTransitionTime: "2026-01-01T00:00:00Z"}]
  nodeInfo: {kubeletVersion: v1.35.0, osImage: Debian, kernelVersion: 6.1.0, containerRuntimeVersion: containerd://1.7, architecture: amd64, bootID: b, kubeProxyVersion: "", machineID: m, operatingSystem: linux, systemUUID: u}
---
apiVersion: v1
kind: Pod
metadata: {name: p1, labels: {app: a, tier: x}, annotations: {note: hello}}
spec:
  nodeName: n1
  containers:
  - {name: main, image: busybox, args: [sleep, "9"], resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 64Mi}}, env: [{name: A, value: b}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p2, labels: {app: b}}
spec: {containers: [{name: main, image: nginx, readinessProbe: {httpGet: {path: /, port: 80}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p3, labels: {app: a}}
spec: {containers: [{name: main, image: nginx}, {name: side, image: busybox}], initContainers: [{name: i, image: busybox}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}, annotations: {kubernetes.io/change-cause: first}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "nginx:1", ports: [{containerPort: 80}]}]}}
---
apiVersion: v1
kind: Service
metadata: {name: svc, labels: {app: web}}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}, {name: dns, port: 53, protocol: UDP}]}
Y
works k apply -f "$dir/objects.yaml"
works k patch node n1 --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"fine","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}'
works k patch pod p1 --subresource=status --type=merge -p '{"status":{"phase":"Running","podIP":"10.1.0.5","podIPs":[{"ip":"10.1.0.5"}],"hostIP":"10.0.0.9","startTime":"2026-01-01T00:00:00Z","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"main","image":"busybox","imageID":"x","ready":true,"restartCount":3,"state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}}'
uid=$(k get pod p1 -o 'jsonpath={.metadata.uid}')
cat >"$dir/event.yaml" <<Y
apiVersion: v1
kind: Event
metadata: {name: p1.1, namespace: default}
involvedObject: {kind: Pod, name: p1, namespace: default, uid: $uid, apiVersion: v1, fieldPath: "spec.containers{main}"}
reason: Pulled
message: Container image already present
type: Normal
count: 2
source: {component: kubelet, host: n1}
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:05:00Z"
Y
works k create -f "$dir/event.yaml"
cat >"$dir/event2.yaml" <<Y
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: p1.2, namespace: default}
regarding: {kind: Pod, name: p1, namespace: default, uid: $uid, apiVersion: v1}
reason: Scheduled
note: Successfully assigned default/p1 to n1
type: Normal
action: Binding
reportingController: default-scheduler
reportingInstance: default-scheduler-x
eventTime: "2026-01-01T00:00:00.000001Z"
Y
works k create -f "$dir/event2.yaml"

# --- tables
fields() { k "$@" --no-headers | awk '{$NF=""; print}' | sed 's/ *$//'; } # without the age at the end
prints "NAME READY STATUS RESTARTS AGE" eval "k get pods | awk 'NR == 1 { \$1 = \$1; print }'"
prints "p1 1/1 Running 3
p2 0/1 Pending 0
p3 0/2 Pending 0" fields get pods
sees '^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$' k get pods -o wide
sees '^p1 +1/1 +Running +3 .* 10\.1\.0\.5 +n1 +<none> +<none>$' k get pods -o wide
sees '^NAME .* AGE +LABELS$' k get pods --show-labels
sees '^p1 .* app=a,tier=x$' k get pods --show-labels
sees '^p1 .* a +x$' k get pods -L app,tier
sees '^n1 +Ready +worker +[0-9]+s +v1.35.0 +10\.0\.0\.9 +<none> +Debian +6\.1\.0 +containerd://1.7$' k get nodes -o wide
sees '^svc +NodePort +10\.96\.[0-9.]+ +<none> +80:30080/TCP,53:[0-9]+/UDP +[0-9]+s +app=web$' k get svc -o wide
sees '^web +0/2 +0 +0 +[0-9]+s +c +nginx:1 +app=web$' k get deploy -o wide
sees '^NAMESPACE +NAME +' k get pods -A
sees '^pod/p1 ' k get pods,svc,deploy
sees '^deployment.apps/web ' k get all
lacks '^NAME' k get pods --no-headers
prints "No resources found in kube-system namespace." k get pods -n kube-system
sees '^NAME +STATUS +MESSAGE +ERROR$' k get componentstatuses
sees '^etcd-0 +Healthy' k get cs
sees '^etcd-0 +Healthy' k get cs etcd-0

# --- outputs
prints "pod/p1
pod/p2
pod/p3" k get pods -o name
sees '^apiVersion: v1$' k get pod p1 -o yaml
lacks 'managedFields|selfLink' k get pod p1 -o yaml
sees 'f:metadata|manager: ' k get pod p1 -o yaml --show-managed-fields
sees '^    "kind": "Pod",$' k get pod p1 -o json
sees '^    "kind": "List",$' k get pods,svc -o json
prints "p1 p2 p3" k get pods -o 'jsonpath={.items[*].metadata.name}'
prints "p1=busybox p2=nginx p3=nginx " k get pods -o 'jsonpath={range .items[*]}{.metadata.name}={.spec.containers[0].image} {end}'
prints "p1busybox" k get pod p1 -o 'go-template={{.metadata.name}}{{(index .spec.containers 0).image}}'
prints "N     IMG
p1    busybox
p2    nginx
p3    nginx,busybox" k get pods -o 'custom-columns=N:.metadata.name,IMG:.spec.containers[*].image'
prints "pod/p3
pod/p2
pod/p1" eval "k get pods --sort-by=.metadata.name -o name | tac"
sees '^p2' eval "k get pods --sort-by='{.spec.containers[0].image}' --no-headers | tail -n 2"
prints "pod/p1
pod/p3" k get pods -l app=a -o name
prints "pod/p1" k get pods -l 'app in (a,c),tier' -o name
prints "pod/p2" k get pods -l 'app!=a' -o name
prints "pod/p1" k get pods --field-selector spec.nodeName=n1 -o name
prints "pod/p1" k get pods --field-selector status.phase=Running,metadata.name!=p2 -o name
refuses 'field label not supported: spec.nope' k get pods --field-selector spec.nope=1
prints "pod/p1
pod/p2
pod/p3" k get pods --chunk-size=1 -o name
sees '"items":\[' k get --raw '/api/v1/namespaces/default/pods?limit=1'
sees '"paths": ?\[' k get --raw /
sees '/apis/apps/v1' k get --raw /
prints "ok" k get --raw /healthz
sees '\[\+\]etcd ok' k get --raw '/readyz?verbose'
sees 'apiserver_request' k get --raw /metrics
refuses 'the server could not find the requested resource' k get --raw /api/v1/nope
refuses "the server doesn't have a resource type \"nope\"" k get nope

# --- watches and waits
in_background "$kubectl" get pods --watch --output-watch-events >"$dir/watch" 2>&1
until_true grep -q p3 "$dir/watch"
works k label pod p3 z=1
works k delete pod p3 --grace-period=0 --force
until_true grep -q DELETED "$dir/watch"
kill "$bg"
prints "EVENT NAME
ADDED p1
ADDED p2
ADDED p3
MODIFIED p3
DELETED p3" awk '{print $1, $2}' "$dir/watch"
prints "pod/p1 condition met" k wait pod/p1 --for=condition=Ready --timeout=5s
prints "pod/p1 condition met" k wait pod/p1 --for=jsonpath='{.status.phase}'=Running --timeout=5s
refuses 'timed out waiting for the condition on pods/p2' k wait pod/p2 --for=condition=Ready --timeout=1s
(sleep 0.5; k delete pod p2 --grace-period=0 --force) >/dev/null 2>&1 &
sees 'pod/p2 (condition met|deleted)' k wait pod/p2 --for=delete --timeout=20s
(sleep 0.5; k create cm late) >/dev/null 2>&1 &
sees 'configmap/late condition met' k wait cm/late --for=create --timeout=20s

# --- describe
out=$(k describe pod p1 2>&1)
for re in '^Name: +p1$' '^Node: +n1/10.0.0.9$' '^Labels: +app=a$' '^Annotations: +note: hello|kubectl.kubernetes.io/last-applied' '^Status: +Running$' '^IP: +10.1.0.5$' '^ +Image: +busybox$' \
    '^QoS Class: +Burstable$' '^ +Restart Count: +3$' 'Normal +Pulled +.*kubelet +.*Container image already present' 'Normal +Scheduled +.*default-scheduler +Successfully assigned'; do has "$out" "$re"; done
out=$(k describe deployment web 2>&1)
for re in '^Replicas: +2 desired \| 0 updated' '^StrategyType: +RollingUpdate' 'RollingUpdateStrategy: +25% max unavailable, 25% max surge' '^ +Image: +nginx:1'; do has "$out" "$re"; done
out=$(k describe svc svc 2>&1)
for re in '^Type: +NodePort$' '^IP: +10.96.' '^Port: +http +80/TCP$' '^NodePort: +http +30080/TCP$' '^Session Affinity: +None'; do has "$out" "$re"; done
out=$(k describe node n1 2>&1)
for re in '^Roles: +worker$' '^Unschedulable: +false$' 'Ready +True' '^Non-terminated Pods: +\(1 in total\)$' 'default +p1 +100m \(2%\)' 'Kubelet Version: +v1.35.0'; do has "$out" "$re"; done
sees '^Status: +Active$' k describe ns default
sees '^No resource quota\.$' k describe ns default
sees '^Name: +kubernetes$' k describe endpointslice kubernetes
for kind in cm secret sa clusterrole/admin 'rolebinding -n kube-system' pv sc csr; do works eval "k describe $kind"; done

# --- events, both shapes
sees 'Pulled +Pod/p1 +Container image already present' k events
sees 'Scheduled' k events --for pod/p1
sees 'Normal +Pulled +pod/p1' k get events
sees '^5m|Pulled +pod/p1 +spec.containers\{main\} +kubelet, n1' k get events -o wide
prints "event/p1.1" k get events --field-selector reason=Pulled -o name
prints "event.events.k8s.io/p1.1
event.events.k8s.io/p1.2" k get events.events.k8s.io -o name
prints "Container image already present" k get events.events.k8s.io p1.1 -o 'jsonpath={.note}'
prints "default-scheduler" k get events p1.2 -o 'jsonpath={.reportingComponent}'
prints "event.events.k8s.io/p1.2" k get events.events.k8s.io --field-selector regarding.name=p1,reason=Scheduled -o name
prints "event.events.k8s.io/p1.2 patched" k patch events.events.k8s.io p1.2 --type=merge -p '{"series":{"count":2,"lastObservedTime":"2026-01-01T00:00:05.000000Z"}}'
prints "2 Scheduled" k get events p1.2 -o 'jsonpath={.series.count} {.reason}'
sees '"type":"ADDED","object":\{"kind":"Event","apiVersion":"events.k8s.io/v1".*"note":"Successfully assigned' k get --raw '/apis/events.k8s.io/v1/namespaces/default/events?watch=1&resourceVersion=0&timeoutSeconds=1&fieldSelector=reason%3DScheduled'

# --- explain
sees '^KIND: +Pod$' k explain pod
sees '^FIELDS?: ' k explain pod.spec.containers
sees '^  image\s<string>$' k explain pod.spec.containers
sees '^FIELD: replicas <integer>$' k explain deployment.spec.replicas
sees '^ +initialDelaySeconds\s<integer>$' k explain pod --recursive
sees '^GROUP: +apps$' k explain deployments --api-version=apps/v1
sees '^VERSION: +v2$' k explain hpa --api-version=autoscaling/v2
sees '"\$ref"|containers' k explain pod.spec --output=plaintext-openapiv2
refuses 'field "nope" does not exist' k explain pod.nope

# --- what needs a node or more
refuses 'Error from server|dial tcp|connection refused' k logs p1
refuses 'Metrics API not available' k top nodes
prints "deployment.apps/web 
No rollout history found." eval "k rollout history deployment web | sed 2q" # no replica sets without the controller manager
sees 'Waiting for deployment|waiting for' eval "timeout 3 $kubectl rollout status deployment web || true"
lib_end
