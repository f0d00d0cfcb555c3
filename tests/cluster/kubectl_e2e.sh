#!/usr/bin/env bash
# kubectl 1.35 against a running cluster: what a user does in the first weeks, on real containers.
# Uses the cluster that `make up` started here; when none runs it starts one and stops it again.
#   kubectl_e2e.sh [CASE...]     only these (names as printed); KEEP_NAMESPACE=1 leaves the objects for a look
# Cases run a few at a time, each in a namespace of its own; those that touch the node run last and alone.
set -uo pipefail
cd "$(dirname "$0")/../.."
export BUILD=${BUILD:-build} SKIP_PACKAGES=1 SKIP_BUILD=1
. deploy/lib.sh
[ "$(id -u)" = 0 ] || { echo "not root"; exit 77; }
for b in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do [ -x "$BUILD/bin/$b" ] || { echo "no $BUILD/bin/$b"; exit 77; }; done
command -v containerd >/dev/null && command -v etcd >/dev/null && command -v nft >/dev/null || { echo "no containerd, etcd or nft"; exit 77; }
KUBECTL=$(deploy/get-kubectl.sh v35) || { echo "no kubectl 1.35"; exit 77; }
work=$(mktemp -d)
ours=
if ! unit_runs ckube-etcd; then
    for f in $CONF_DIR/admin.conf $CONF_DIR/pki/ca.crt /var/lib/kubelet/config.yaml; do [ ! -e $f ] || { echo "$f is there: not our machine"; exit 77; }; done
    ours=1
    deploy/up.sh --until sample >"$work/up" 2>&1 || { cat "$work/up"; deploy/down.sh >/dev/null; exit 1; }
fi
[ -s "$BUILD/images/busybox.tar" ] || { echo "no local.test/busybox:1 (package busybox-static)"; [ -z "$ours" ] || deploy/down.sh >/dev/null; exit 77; }
finish() {
    [ -n "${KEEP_NAMESPACE:-}" ] || "$KUBECTL" --kubeconfig=$CONF_DIR/admin.conf delete namespace -l ckube-e2e=1 --wait=false >/dev/null 2>&1
    [ -z "$ours" ] || deploy/down.sh >/dev/null 2>&1
    rm -rf "$work"
}
trap finish EXIT
export KUBECONFIG=$CONF_DIR/admin.conf
NODE=$("$KUBECTL" get nodes -o jsonpath='{.items[0].metadata.name}')
NODE_IP=$("$KUBECTL" get node "$NODE" -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')

# ---- words of the cases ----
k() { "$KUBECTL" -n "$NS" "$@"; }
fail() { echo "FAIL: $*"; exit 1; }
is() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; } # WHAT WANT GOT
has() { [[ $3 == *"$2"* ]] || fail "$1: no '$2' in: $3"; }     # WHAT PART TEXT
until_ok() {                                                    # SECONDS WHAT COMMAND...
    local limit=$1 what=$2 n
    shift 2
    for ((n = 0; n < limit * 5; n++)); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
    k get pods -o wide
    k get events --sort-by=.lastTimestamp | tail -n 12
    fail "$what (not within $limit s)"
}
field() { k get "$1" -o jsonpath="$2" 2>/dev/null; } # OBJECT PATH
field_is() { [ "$(field "$1" "$2")" = "$3" ]; }
gone() { ! k get "$1" >/dev/null 2>&1; }
ready() { k wait --for=condition=Ready pod/"$1" --timeout="${2:-30}s" >/dev/null || { k describe pod "$1" | tail -n 20; fail "pod $1 is not Ready"; }; }
event() { until_ok 15 "event $2 on $1" sh -c "'$KUBECTL' -n $NS get events --field-selector involvedObject.name=$1,reason=$2 --no-headers 2>/dev/null | grep ."; } # OBJECT REASON
pod() { # NAME YAML-OF-SPEC-LINES... : applies a pod with one busybox container unless the spec says else
    local name=$1
    shift
    { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}}\nspec:\n  terminationGracePeriodSeconds: 1\n' "$name" "$name"; printf '  %s\n' "$@"; } | k apply -f - >/dev/null || fail "pod $name"
}
box='{name: c, image: "local.test/busybox:1", command: [sh, -c, "trap exit TERM; while :; do sleep 1 & wait; done"]'
sleeper() { pod "$1" "containers: [$box}]"; ready "$1"; }
web() { # DEPLOYMENT REPLICAS: busybox's web server that answers with the pod's name
    k apply -f - >/dev/null <<Y || fail "deployment $1"
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: hello
        image: local.test/hello:1
        ports: [{containerPort: 8080, name: http}]
        env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
Y
    k rollout status deployment/"$1" --timeout=60s >/dev/null || fail "rollout of $1"
}

# ---- cases ----
case_logs() {
    pod talk 'containers: [{name: c, image: "local.test/busybox:1", command: [sh, -c, "echo one; echo two >&2; i=0; while [ $i -lt 8 ]; do echo line $i; i=$((i+1)); sleep 0.3; done; exit 3"]}]' 'restartPolicy: OnFailure'
    ready talk
    local followed
    followed=$(timeout 30 "$KUBECTL" -n "$NS" logs -f talk) || fail "logs -f: $followed"
    has "logs -f sees the end" "line 7" "$followed"
    has "logs holds stderr" two "$followed"
    until_ok 20 "the container restarts" field_is pod/talk '{.status.containerStatuses[0].restartCount}' 1
    has "logs --previous" "line 7" "$(k logs --previous talk)"
    is "logs --tail" 1 "$(k logs --tail=1 --previous talk | wc -l)"
    has "logs --timestamps" "T" "$(k logs --timestamps --previous talk | head -n 1 | cut -c1-20)"
    has "logs by label" one "$(k logs -l app=talk --prefix)"
    has "logs of an unknown container" "container nope is not valid" "$(k logs talk -c nope 2>&1)"
}
case_exec() {
    sleeper shell
    is "exec" hello "$(k exec shell -- echo hello)"
    k exec shell -- sh -c 'exit 42' >/dev/null 2>&1
    is "exit code of exec" 42 $?
    head -c 10000000 /dev/urandom >"$work/$NS.big"
    is "10 MB through exec -i" "$(sha256sum <"$work/$NS.big")" "$(k exec -i shell -- cat <"$work/$NS.big" | sha256sum)"
    has "exec -it" "tty yes" "$(script -qec "'$KUBECTL' -n $NS exec -it shell -- sh -c 'test -t 0 && test -t 1 && echo tty yes'" /dev/null </dev/null)"
    has "exec of a missing program" "nope" "$(k exec shell -- nope 2>&1)"
    k cp "$work/$NS.big" shell:/tmp/big >/dev/null 2>&1 || fail "cp in"
    k cp shell:/tmp/big "$work/$NS.back" >/dev/null 2>&1 || fail "cp out"
    cmp -s "$work/$NS.big" "$work/$NS.back" || fail "cp changed the file"
}
case_attach() {
    pod echoes 'containers: [{name: c, image: "local.test/busybox:1", stdin: true, stdinOnce: true, command: [sh, -c, "while read x; do echo got $x; done"]}]' 'restartPolicy: Never'
    ready echoes
    has "attach" "got word" "$(echo word | timeout 20 "$KUBECTL" -n "$NS" attach -i echoes 2>&1)"
    until_ok 15 "stdinOnce ends the container" field_is pod/echoes '{.status.phase}' Succeeded
    has "run --rm -it" "from the pod" "$(timeout 40 script -qec "'$KUBECTL' -n $NS run once --rm -it --restart=Never --image=local.test/busybox:1 -- sh -c 'sleep 1; echo from the pod'" /dev/null </dev/null)"
    until_ok 15 "run --rm removes its pod" gone pod/once
}
case_port_forward() {
    web pf 1
    local pid port n
    "$KUBECTL" -n "$NS" port-forward service/"$(k expose deployment pf --port=80 --target-port=8080 -o name | cut -d/ -f2)" :80 >"$work/$NS.pf" 2>&1 &
    pid=$!
    for ((n = 0; n < 50; n++)); do port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\).*/\1/p' "$work/$NS.pf"); [ -z "$port" ] || break; sleep 0.2; done
    for n in 1 2 3; do has "curl through port-forward" "hello from pf-" "$(curl -sS -m 5 "http://127.0.0.1:$port/" 2>&1)"; done
    kill $pid
}
case_rollout() {
    web roll 2
    k set image deployment/roll hello=local.test/hello:2 >/dev/null && k rollout status deployment/roll --timeout=60s >/dev/null || fail "rollout status"
    is "image" local.test/hello:2 "$(field deployment/roll '{.spec.template.spec.containers[0].image}')"
    is "revisions" 2 "$(k rollout history deployment/roll | grep -c '^[0-9]')"
    k rollout undo deployment/roll >/dev/null && k rollout status deployment/roll --timeout=60s >/dev/null || fail "rollout undo"
    is "undone image" local.test/hello:1 "$(field deployment/roll '{.spec.template.spec.containers[0].image}')"
    k rollout restart deployment/roll >/dev/null && k rollout status deployment/roll --timeout=60s >/dev/null || fail "rollout restart"
    k rollout pause deployment/roll >/dev/null && k rollout resume deployment/roll >/dev/null || fail "pause and resume"
    k scale deployment/roll --replicas=0 >/dev/null
    none() { [ -z "$(k get pods -l app=roll --no-headers 2>/dev/null)" ]; }
    until_ok 30 "scale to 0" none
    k scale deployment/roll --replicas=2 >/dev/null
    until_ok 30 "scale to 2" field_is deployment/roll '{.status.readyReplicas}' 2
    local victim
    victim=$(field pods '{.items[0].metadata.name}')
    k delete pod "$victim" >/dev/null || fail "delete pod"
    until_ok 30 "replacement" field_is deployment/roll '{.status.readyReplicas}' 2
    ! k get pod "$victim" >/dev/null 2>&1 || fail "deleted pod is still there"
    has "a deployment's events" ScalingReplicaSet "$(k describe deployment roll)"
    has "a replica set's events" SuccessfulCreate "$(k describe replicaset -l app=roll)"
    # a broken update stops, says so, and the old pods go on
    k patch deployment roll -p '{"spec":{"progressDeadlineSeconds":3,"template":{"spec":{"containers":[{"name":"hello","image":"local.test/none:1","imagePullPolicy":"Never"}]}}}}' >/dev/null
    until_ok 20 "ProgressDeadlineExceeded" field_is deployment/roll '{.status.conditions[?(@.type=="Progressing")].reason}' ProgressDeadlineExceeded
    [ "$(field deployment/roll '{.status.readyReplicas}')" -ge 1 ] || fail "the broken update took the old pods"
    k apply -f - >/dev/null <<Y || fail "recreate"
apiVersion: apps/v1
kind: Deployment
metadata: {name: rec}
spec:
  replicas: 2
  strategy: {type: Recreate}
  selector: {matchLabels: {app: rec}}
  template:
    metadata: {labels: {app: rec}}
    spec: {terminationGracePeriodSeconds: 1, containers: [$box}]}
Y
    k rollout status deployment/rec --timeout=60s >/dev/null && k set env deployment/rec A=B >/dev/null && k rollout status deployment/rec --timeout=60s >/dev/null || fail "Recreate"
}
case_describe() {
    sleeper told
    for e in Scheduled Pulled Created Started; do event told $e; done
    local text
    text=$(k describe pod told)
    for e in Scheduled Pulled Created Started "Successfully assigned $NS/told to $NODE" "Container ID:" "containerd://" "kube-api-access" "Ready             True"; do has "describe pod" "$e" "$text"; done
    has "describe node" "KubeletReady" "$(k describe node "$NODE")"
    has "describe node lists the pod" told "$(k describe node "$NODE")"
    k expose pod told --port=80 >/dev/null
    until_ok 10 "endpoints in describe service" sh -c "'$KUBECTL' -n $NS describe service told | grep -E 'Endpoints: +10\.'"
    k wait --for=jsonpath='{.status.phase}'=Running pod/told --timeout=5s >/dev/null || fail "wait for a jsonpath"
    k delete pod told --wait=false >/dev/null
    k wait --for=delete pod/told --timeout=20s >/dev/null || fail "wait for deletion"
}
case_config() {
    k create configmap cm --from-literal=key=value --from-literal=other=thing >/dev/null
    k create secret generic sec --from-literal=pass=word >/dev/null
    pod conf 'containers:' "- $box, env: [{name: A, valueFrom: {configMapKeyRef: {name: cm, key: key}}}, {name: S, valueFrom: {secretKeyRef: {name: sec, key: pass}}}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}, {name: B, value: \"\$(A)-b\"}], envFrom: [{prefix: P_, configMapRef: {name: cm}}], resources: {limits: {cpu: 250m, memory: 64Mi}, requests: {cpu: 100m, memory: 32Mi}}, volumeMounts: [{name: cm, mountPath: /cm}, {name: sec, mountPath: /sec}, {name: down, mountPath: /down}, {name: empty, mountPath: /empty}, {name: host, mountPath: /host}, {name: all, mountPath: /all}, {name: cm, mountPath: /one, subPath: key}]}" \
        'volumes: [{name: cm, configMap: {name: cm}}, {name: sec, secret: {secretName: sec, defaultMode: 256}}, {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}, {name: empty, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: host, hostPath: {path: /tmp, type: Directory}}, {name: all, projected: {sources: [{configMap: {name: cm}}, {serviceAccountToken: {path: token, audience: me, expirationSeconds: 600}}]}}]'
    ready conf
    is "env" "value word value-b value 1" "$(k exec conf -- sh -c 'echo $A $S $B $P_key $CPU')"
    is "env of podIP" "$(field pod/conf '{.status.podIP}')" "$(k exec conf -- sh -c 'echo $IP')"
    is "configMap volume" value "$(k exec conf -- cat /cm/key)"
    is "subPath" value "$(k exec conf -- cat /one)"
    is "secret volume" word "$(k exec conf -- cat /sec/pass)"
    is "its mode" 400 "$(k exec conf -- stat -Lc %a /sec/pass)"
    has "downwardAPI volume" 'app="conf"' "$(k exec conf -- cat /down/labels)"
    has "memory emptyDir" tmpfs "$(k exec conf -- grep ' /empty ' /proc/mounts)"
    k exec conf -- touch "/host/$NS.mark" && [ -e "/tmp/$NS.mark" ] || fail "hostPath"
    rm -f "/tmp/$NS.mark"
    is "projected configMap" thing "$(k exec conf -- cat /all/other)"
    is "a token has three parts" 3 "$(k exec conf -- cat /all/token | awk -F. '{print NF}')"
    local uid limit
    uid=$(field pod/conf '{.metadata.uid}')
    limit=$(k exec conf -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')
    is "memory limit in the cgroup" 67108864 "$limit"
    limit=$(k exec conf -- sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max')
    is "cpu limit in the cgroup" 25000 "${limit%% *}"
    is "QoS" Burstable "$(field pod/conf '{.status.qosClass}')"
    k patch configmap cm -p '{"data":{"key":"newer"}}' >/dev/null
    changed() { [ "$(k exec conf -- cat /cm/key)" = newer ]; }
    until_ok 90 "a changed configMap arrives in its volume" changed
}
case_security() {
    pod user 'securityContext: {runAsUser: 1234, runAsGroup: 5678, fsGroup: 4321, supplementalGroups: [77]}' "containers: [$box, securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}, volumeMounts: [{name: e, mountPath: /e}]}]" 'volumes: [{name: e, emptyDir: {}}]'
    ready user
    has "runAsUser" "uid=1234 gid=5678" "$(k exec user -- id)"
    has "supplementalGroups and fsGroup" 4321 "$(k exec user -- id -G)"
    is "fsGroup of the volume" 4321 "$(k exec user -- stat -c %g /e)"
    ! k exec user -- touch /x 2>/dev/null || fail "the root file system is writable"
    is "no capabilities" 0000000000000000 "$(k exec user -- awk '/CapEff/{print $2}' /proc/self/status)"
    pod root 'containers: [{name: c, image: "local.test/busybox:1", command: [sleep, "60"], securityContext: {runAsNonRoot: true}}]'
    until_ok 15 "runAsNonRoot refuses root" field_is pod/root '{.status.containerStatuses[0].state.waiting.reason}' CreateContainerConfigError
}
case_init() {
    pod steps 'initContainers: [{name: one, image: "local.test/busybox:1", command: [sh, -c, "echo first >/w/log"], volumeMounts: [{name: w, mountPath: /w}]}, {name: side, image: "local.test/busybox:1", restartPolicy: Always, command: [sh, -c, "echo side >>/w/log; trap exit TERM; while :; do sleep 1 & wait; done"], volumeMounts: [{name: w, mountPath: /w}], startupProbe: {exec: {command: [grep, side, /w/log]}, periodSeconds: 1}}, {name: two, image: "local.test/busybox:1", command: [sh, -c, "echo second >>/w/log"], volumeMounts: [{name: w, mountPath: /w}]}]' \
        "containers: [$box, volumeMounts: [{name: w, mountPath: /w}]}]" 'volumes: [{name: w, emptyDir: {}}]'
    ready steps
    is "order of init containers and sidecar" "first side second" "$(k exec steps -c c -- cat /w/log | paste -sd' ')"
    is "the sidecar runs" true "$(field pod/steps '{.status.initContainerStatuses[1].started}')"
    pod broken 'restartPolicy: Never' 'initContainers: [{name: bad, image: "local.test/busybox:1", command: [sh, -c, "exit 7"]}]' "containers: [$box}]"
    until_ok 20 "a failed init container fails the pod" field_is pod/broken '{.status.phase}' Failed
    is "its exit code" 7 "$(field pod/broken '{.status.initContainerStatuses[0].state.terminated.exitCode}')"
    k create job sum --image=local.test/busybox:1 -- sh -c 'echo $((1+1))' >/dev/null
    k wait --for=condition=complete job/sum --timeout=30s >/dev/null || fail "job completion"
    is "a job's log" 2 "$(k logs job/sum)"
    k apply -f - >/dev/null <<Y
apiVersion: batch/v1
kind: Job
metadata: {name: many}
spec: {completions: 4, parallelism: 2, completionMode: Indexed, template: {spec: {restartPolicy: Never, containers: [{name: c, image: "local.test/busybox:1", command: [sh, -c, 'echo \$JOB_COMPLETION_INDEX']}]}}}
Y
    k wait --for=condition=complete job/many --timeout=60s >/dev/null || fail "indexed job"
    is "indices" "0-3" "$(field job/many '{.status.completedIndexes}')"
}
case_probes() {
    pod live "containers: [$box, livenessProbe: {exec: {command: [test, '!', -e, /tmp/sick]}, periodSeconds: 1, failureThreshold: 2}}]"
    pod gate "containers: [$box, readinessProbe: {exec: {command: [test, -e, /tmp/ok]}, periodSeconds: 1}}]"
    k expose pod gate --port=80 >/dev/null
    ready live
    k exec live -- touch /tmp/sick
    until_ok 30 "liveness restarts" field_is pod/live '{.status.containerStatuses[0].restartCount}' 1
    event live Unhealthy
    event live Killing
    has "why" "Liveness probe failed" "$(k get events --field-selector involvedObject.name=live)"
    until_ok 20 "gate runs" field_is pod/gate '{.status.phase}' Running
    is "not ready" false "$(field pod/gate '{.status.containerStatuses[0].ready}')"
    is "no ready endpoint" "" "$(field endpoints/gate '{.subsets[*].addresses[*].ip}')"
    k exec gate -- touch /tmp/ok
    until_ok 15 "ready endpoint" sh -c "'$KUBECTL' -n $NS get endpoints gate -o jsonpath='{.subsets[*].addresses[*].ip}' 2>/dev/null | grep ."
    k exec gate -- rm /tmp/ok
    until_ok 15 "not ready again" field_is endpoints/gate '{.subsets[*].addresses[*].ip}' ''
}
case_failing() {
    pod crash 'containers: [{name: c, image: "local.test/busybox:1", command: [sh, -c, "echo dying; exit 5"]}]'
    pod missing 'containers: [{name: c, image: "127.0.0.1:1/none:1"}]'
    pod never 'containers: [{name: c, image: "local.test/none:1", imagePullPolicy: Never}]'
    pod huge "containers: [$box, resources: {requests: {cpu: 1000}}}]"
    pod picky 'nodeSelector: {disk: ssd}' "containers: [$box}]"
    until_ok 30 "CrashLoopBackOff" field_is pod/crash '{.status.containerStatuses[0].state.waiting.reason}' CrashLoopBackOff
    has "its message" "back-off 10s restarting failed container=c pod=crash_$NS" "$(field pod/crash '{.status.containerStatuses[0].state.waiting.message}')"
    is "last state" 5 "$(field pod/crash '{.status.containerStatuses[0].lastState.terminated.exitCode}')"
    event crash BackOff
    until_ok 30 "ImagePullBackOff" field_is pod/missing '{.status.containerStatuses[0].state.waiting.reason}' ImagePullBackOff
    event missing Failed
    until_ok 10 "ErrImageNeverPull" field_is pod/never '{.status.containerStatuses[0].state.waiting.reason}' ErrImageNeverPull
    event huge FailedScheduling
    has "unschedulable" "0/1 nodes are available: 1 Insufficient cpu." "$(field pod/huge '{.status.conditions[?(@.type=="PodScheduled")].message}')"
    has "selector" "1 node(s) didn't match Pod's node affinity/selector" "$(field pod/picky '{.status.conditions[?(@.type=="PodScheduled")].message}')"
    "$KUBECTL" label node "$NODE" disk=ssd >/dev/null
    ready picky
    "$KUBECTL" label node "$NODE" disk- >/dev/null
    k describe pod missing | grep -q 'ErrImagePull\|ImagePullBackOff' || fail "describe says why"
}
case_grace() {
    pod soft 'containers: [{name: c, image: "local.test/busybox:1", command: [sh, -c, "trap \"echo term >>/host/$MARK; exit 0\" TERM; while :; do sleep 1 & wait; done"], env: [{name: MARK, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}], lifecycle: {preStop: {exec: {command: [sh, -c, "echo prestop >>/host/$MARK"]}}, postStart: {exec: {command: [sh, -c, "echo poststart >>/host/$MARK"]}}}, volumeMounts: [{name: h, mountPath: /host}]}]' 'volumes: [{name: h, hostPath: {path: /tmp}}]'
    ready soft
    k patch pod soft -p '{"metadata":{"finalizers":["e2e/hold"]}}' >/dev/null
    k delete pod soft --grace-period=10 --wait=false >/dev/null
    until_ok 15 "finalizer holds the stopped pod" field_is pod/soft '{.status.containerStatuses[0].state.terminated.exitCode}' 0
    is "hooks and signal in order" "poststart prestop term" "$(paste -sd' ' "/tmp/$NS")"
    k patch pod soft --type=json -p '[{"op":"remove","path":"/metadata/finalizers"}]' >/dev/null
    until_ok 10 "gone without finalizer" gone pod/soft
    rm -f "/tmp/$NS"
    pod deaf 'containers: [{name: c, image: "local.test/busybox:1", command: [sh, -c, "trap : TERM; while :; do sleep 1 & wait; done"]}]'
    ready deaf
    k delete pod deaf --grace-period=1 --timeout=20s >/dev/null || fail "SIGKILL after the grace"
    sleeper hurry
    k delete pod hurry --grace-period=0 --force >/dev/null 2>&1 || fail "forced deletion"
    until_ok 5 "forced: gone at once" gone pod/hurry
}
case_static() {
    printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: st, namespace: %s}\nspec: {terminationGracePeriodSeconds: 1, containers: [%s}]}\n' "$NS" "$box" >"$CONF_DIR/manifests/$NS.yaml"
    until_ok 30 "a static pod has its mirror" field_is "pod/st-$NODE" '{.status.phase}' Running
    is "its owner" Node "$(field "pod/st-$NODE" '{.metadata.ownerReferences[0].kind}')"
    k delete pod "st-$NODE" --wait=false >/dev/null
    until_ok 20 "a deleted mirror comes back" field_is "pod/st-$NODE" '{.status.phase}' Running
    rm -f "$CONF_DIR/manifests/$NS.yaml"
    until_ok 30 "file gone, pod gone" gone "pod/st-$NODE"
}
case_services() {
    web svc 3
    k expose deployment svc --port=80 --target-port=http --type=NodePort --name=np >/dev/null
    k expose deployment svc --port=80 --target-port=8080 --session-affinity=ClientIP --name=sticky >/dev/null
    k expose deployment svc --port=80 --cluster-ip=None --name=headless >/dev/null
    local ip port
    ip=$(field service/np '{.spec.clusterIP}')
    port=$(field service/np '{.spec.ports[0].nodePort}')
    ask() { curl -sS -m 3 "http://$1/"; }
    three() { [ "$(for _ in $(seq 30); do ask "$1"; done | sort -u | wc -l)" = 3 ]; }
    until_ok 15 "ClusterIP reaches three pods" three "$ip:80"
    until_ok 15 "NodePort reaches three pods" three "$NODE_IP:$port"
    ip=$(field service/sticky '{.spec.clusterIP}')
    until_ok 10 "sticky answers" ask "$ip"
    is "session affinity" 1 "$(for _ in $(seq 20); do ask "$ip"; done | sort -u | wc -l)"
    is "headless" None "$(field service/headless '{.spec.clusterIP}')"
    headless() { [ "$(field endpoints/headless '{.subsets[*].addresses[*].ip}' | wc -w)" = 3 ]; }
    until_ok 10 "headless endpoints" headless
    sleeper client
    ip=$(field service/np '{.spec.clusterIP}')
    until_ok 10 "a pod reaches the Service" k exec client -- timeout 3 wget -qO- "http://$ip/"
    hairpin() { local p; p=$(field pods '{.items[0].metadata.name}'); k exec client -- timeout 3 wget -qO- "http://$ip/"; }
    hairpin >/dev/null || fail "again"
    until_ok 10 "a pod reaches the NodePort" k exec client -- timeout 3 wget -qO- "http://$NODE_IP:$port/"
    k delete service np >/dev/null
    closed() { ! curl -s -m 1 "http://$NODE_IP:$port/"; }
    until_ok 10 "a deleted Service answers no more" closed
}
case_in_cluster() {
    pod inside "containers: [$box}]"
    ready inside
    k create role reader --verb=get,list --resource=pods >/dev/null
    k create rolebinding reader --role=reader --serviceaccount="$NS:default" >/dev/null
    local token ip out
    is "the default account" default "$(field pod/inside '{.spec.serviceAccountName}')"
    token=$(k exec inside -- cat /var/run/secrets/kubernetes.io/serviceaccount/token)
    is "namespace file" "$NS" "$(k exec inside -- cat /var/run/secrets/kubernetes.io/serviceaccount/namespace)"
    k exec inside -- cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt >"$work/$NS.ca"
    ip=$("$KUBECTL" -n default get service kubernetes -o jsonpath='{.spec.clusterIP}')
    is "KUBERNETES_SERVICE_HOST" "$ip" "$(k exec inside -- sh -c 'echo $KUBERNETES_SERVICE_HOST')"
    local pid
    pid=$(container_pid inside) || fail "no pid of the container"
    # curl of this machine, in the pod's network, with the pod's CA and token
    out=$(nsenter -t "$pid" -n curl -sS -m 5 --cacert "$work/$NS.ca" -H "Authorization: Bearer $token" --resolve "kubernetes.default.svc:443:$ip" "https://kubernetes.default.svc/api/v1/namespaces/$NS/pods" 2>&1)
    has "pods through the ClusterIP with the account's token" '"name":"inside"' "$(tr -d ' \n' <<<"$out")"
    out=$(nsenter -t "$pid" -n curl -sS -m 5 --cacert "$work/$NS.ca" -H "Authorization: Bearer $token" "https://$ip/api/v1/nodes" 2>&1)
    has "what it may not" "User \\\"system:serviceaccount:$NS:default\\\" cannot list resource \\\"nodes\\\"" "$out"
    is "auth can-i" yes "$(k auth can-i list pods --as="system:serviceaccount:$NS:default")"
}
container_pid() { # POD -> pid of its first container as this machine sees it
    local id
    id=$(field "pod/$1" '{.status.containerStatuses[0].containerID}')
    ctr -a "$CRI_SOCKET" -n k8s.io tasks ls | awk -v id="${id#containerd://}" '$1 == id { print $2 }' | grep .
}
case_ownership() {
    local rs
    web back 2
    rs=$(field replicasets '{.items[0].metadata.name}')
    k delete deployment back >/dev/null
    until_ok 30 "background: the replica set goes" gone "replicaset/$rs"
    empty() { [ -z "$(k get pods -l app="$1" --no-headers 2>/dev/null)" ]; }
    until_ok 30 "background: the pods go" empty back
    web keep 2
    k delete deployment keep --cascade=orphan >/dev/null
    until_ok 15 "orphan: the deployment goes" gone deployment/keep
    sleep 1
    is "orphan: the pods stay" 2 "$(k get pods -l app=keep --no-headers | wc -l)"
    is "orphan: no owner left" "" "$(k get replicaset -l app=keep -o jsonpath='{.items[*].metadata.ownerReferences}')"
    web fore 2
    k delete deployment fore --cascade=foreground --timeout=60s >/dev/null || fail "foreground"
    empty fore || fail "foreground: the deployment went before its pods: $(k get pods -l app=fore)"
}
case_namespace() {
    local inner=$NS-inner
    "$KUBECTL" create namespace "$inner" >/dev/null
    "$KUBECTL" label namespace "$inner" ckube-e2e=1 >/dev/null
    NS=$inner web full 2
    NS=$inner k create configmap x >/dev/null
    NS=$inner k create secret generic y >/dev/null
    "$KUBECTL" delete namespace "$inner" --timeout=60s >/dev/null || fail "deletion of a namespace with content: $("$KUBECTL" get namespace "$inner" -o jsonpath='{.status}')"
    ! "$KUBECTL" get namespace "$inner" >/dev/null 2>&1 || fail "it is still there"
}
case_burst() {
    local begin took
    k create deployment burst --image=local.test/busybox:1 --replicas=50 -- sh -c 'trap exit TERM; while :; do sleep 5 & wait; done' >/dev/null
    begin=$(now_ms)
    until_ok 120 "50 pods ready" field_is deployment/burst '{.status.readyReplicas}' 50
    took=$(($(now_ms) - begin))
    echo "figure: 50 pods ready after $(seconds $took)"
    is "each with an address of its own" 50 "$(k get pods -o jsonpath='{range .items[*]}{.status.podIP}{"\n"}{end}' | sort -u | wc -l)"
    k delete deployment burst --cascade=foreground --timeout=100s >/dev/null || fail "50 pods removed"
}
case_replicas() { # objects only: nothing of it is scheduled
    local begin took n
    k create -f - >/dev/null <<Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: r}
spec: {replicas: 200, selector: {matchLabels: {app: r}}, template: {metadata: {labels: {app: r}}, spec: {schedulerName: none, containers: [{name: c, image: x}]}}}
Y
    begin=$(now_ms)
    for ((n = 0; n < 300; n++)); do
        [ "$(k get pods --no-headers -o name --chunk-size=0 | wc -l)" -lt 200 ] || break
        sleep 0.02
    done
    took=$(($(now_ms) - begin))
    is "200 pods" 200 "$(k get pods -o name | wc -l)"
    echo "figure: 200 replicas exist after $(seconds $took)"
    k delete deployment r >/dev/null
}
case_node() { # alone
    web calm 2
    sleeper loose
    "$KUBECTL" cordon "$NODE" >/dev/null
    k scale deployment calm --replicas=3 >/dev/null
    pending() { [ "$(k get pods --field-selector=status.phase=Pending --no-headers 2>/dev/null | wc -l)" = 1 ]; }
    until_ok 10 "a cordoned node takes no pod" pending
    until_ok 10 "and says why" sh -c "'$KUBECTL' -n $NS get events | grep -F '0/1 nodes are available: 1 node(s) were unschedulable.'"
    "$KUBECTL" drain "$NODE" --ignore-daemonsets --delete-emptydir-data --force --pod-selector=app=calm --timeout=60s >"$work/drain" 2>&1 || { cat "$work/drain"; fail "drain"; }
    has "drain evicts" "evicted" "$(cat "$work/drain")"
    "$KUBECTL" uncordon "$NODE" >/dev/null
    until_ok 30 "uncordon lets them in" field_is deployment/calm '{.status.readyReplicas}' 3
    "$KUBECTL" taint node "$NODE" e2e=x:NoExecute >/dev/null
    until_ok 20 "NoExecute evicts" gone pod/loose
    "$KUBECTL" taint node "$NODE" e2e- >/dev/null
    until_ok 30 "and back" field_is deployment/calm '{.status.readyReplicas}' 3
    local uid
    uid=$("$KUBECTL" get node "$NODE" -o jsonpath='{.metadata.uid}')
    "$KUBECTL" delete node "$NODE" >/dev/null
    another() { local u; u=$("$KUBECTL" get node "$NODE" -o jsonpath='{.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}') && [ "${u#* }" = True ] && [ "${u% *}" != "$uid" ]; }
    until_ok 40 "a deleted node registers again" another
    until_ok 60 "and runs pods" field_is deployment/calm '{.status.readyReplicas}' 3
    sleeper fresh # its range of addresses may be another one now
}

case_leftovers() { # alone and last: the namespaces of all cases go with what was in them
    "$KUBECTL" delete namespace -l ckube-e2e=1,kubernetes.io/metadata.name!="$NS" --timeout=60s >/dev/null || fail "the namespaces of the cases are still there: $("$KUBECTL" get namespaces -o jsonpath='{range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name}: {.status.conditions[*].message}{"\n"}{end}')"
    sleep 1
    local left
    left=$("$KUBECTL" get pods,deployments,replicasets,configmaps,secrets,services,endpointslices,jobs,events -A --no-headers | awk -v own="$NS" '$1 ~ /^e2e-/ && $1 != own')
    is "left of deleted namespaces" "" "$left"
}

# ---- running them ----
run_case() { # NAME: output to $work/NAME.out, result in $work/NAME.rc
    local begin rc
    NS=e2e-${1//_/-}
    begin=$(now_ms)
    (
        "$KUBECTL" create namespace "$NS" >/dev/null && "$KUBECTL" label namespace "$NS" ckube-e2e=1 >/dev/null || fail "no namespace $NS"
        account() { k get serviceaccount default; }
        until_ok 15 "the default service account" account
        "case_$1"
    ) >"$work/$1.out" 2>&1
    rc=$?
    if [ $rc = 0 ]; then echo "ok   $1 ($(seconds $(($(now_ms) - begin))))"; else echo "FAIL $1 ($(seconds $(($(now_ms) - begin))))"; fi
    grep '^figure:' "$work/$1.out" | sed 's/^/     /'
    [ $rc = 0 ] || tail -n 30 "$work/$1.out" | sed 's/^/     | /'
    echo $rc >"$work/$1.rc"
    [ -n "${KEEP_NAMESPACE:-}" ] || "$KUBECTL" delete namespace "$NS" --wait=false >/dev/null 2>&1
}
together=(config logs exec attach port_forward rollout describe security init probes failing grace static services in_cluster ownership namespace)
alone=(burst replicas node leftovers)
[ $# -eq 0 ] || { together=(); alone=("$@"); }
for c in ${together[@]+"${together[@]}"}; do
    while [ "$(jobs -rp | wc -l)" -ge "${AT_ONCE:-4}" ]; do wait -n; done
    run_case "$c" &
done
wait
for c in "${alone[@]}"; do run_case "$c"; done
failed=0
for c in ${together[@]+"${together[@]}"} "${alone[@]}"; do [ "$(cat "$work/$c.rc")" = 0 ] || failed=$((failed + 1)); done
echo "$((${#together[@]} + ${#alone[@]} - failed)) cases passed, $failed failed"
exit $((failed > 0))
