#!/usr/bin/env bash
# kubectl 1.35 writes: create, apply, diff, replace, patch, edit, label, annotate, scale, run, expose, set, taint, cordon,
# drain, delete, dry runs and refusals, against our apiserver and a real etcd.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
need_kubectl v35
start_etcd
start_apiserver
works k create serviceaccount default # no controller manager here that would

# --- create
prints "configmap/c1 created" k create configmap c1 --from-literal=a=1 --from-literal=b=2
refuses 'Error from server \(AlreadyExists\)|error: failed to create configmap: configmaps "c1" already exists' k create configmap c1
prints "secret/s1 created" k create secret generic s1 --from-literal=password=geheim
prints "Z2VoZWlt" k get secret s1 -o jsonpath='{.data.password}'
prints "deployment.apps/web created" k create deployment web --image=nginx:1 --replicas=2 --port=80
prints "service/svc created" k create service clusterip svc --tcp=80:8080
prints "namespace/n1 created" k create namespace n1
prints "serviceaccount/sa1 created" k create serviceaccount sa1
prints "job.batch/j1 created" k create job j1 --image=busybox -- true
prints "cronjob.batch/cj1 created" k create cronjob cj1 --image=busybox --schedule='*/5 * * * *' -- true
prints "job.batch/j2 created" k create job j2 --from=cronjob/cj1
prints "role.rbac.authorization.k8s.io/r1 created" k create role r1 --verb=get,list --resource=pods
prints "rolebinding.rbac.authorization.k8s.io/rb1 created" k create rolebinding rb1 --role=r1 --user=jane
prints "clusterrole.rbac.authorization.k8s.io/cr1 created" k create clusterrole cr1 --verb=get --resource=nodes
prints "clusterrolebinding.rbac.authorization.k8s.io/crb1 created" k create clusterrolebinding crb1 --clusterrole=cr1 --user=jane
prints "priorityclass.scheduling.k8s.io/pc1 created" k create priorityclass pc1 --value=100
prints "poddisruptionbudget.policy/pdb1 created" k create poddisruptionbudget pdb1 --min-available=1 --selector=app=web
prints "resourcequota/q1 created" k create quota q1 --hard=configmaps=50 -n n1
prints "ingress.networking.k8s.io/i1 created" k create ingress i1 --rule='foo.com/bar=svc:80'
cat >"$dir/pod.yaml" <<'Y'
apiVersion: v1
kind: Pod
metadata:
  name: p1
  labels: {app: p}
spec:
  containers:
  - name: main
    image: busybox
    args: [sleep, "1000"]
    ports: [{containerPort: 80, name: http}]
    env: [{name: A, value: "1"}]
Y
prints "pod/p1 created" k create -f "$dir/pod.yaml"
prints "pod/p-dry created (server dry run)" k run p-dry --image=nginx --dry-run=server
refuses 'pods "p-dry" not found' k get pod p-dry
prints "pod/p-run created" k run p-run --image=nginx --labels=run=x --port=80
prints "service/p-run exposed" k expose pod p-run --port=80
sees '^10\.96\.' k get svc p-run -o 'jsonpath={.spec.clusterIP}{"\n"}'
prints "configmap/g-" eval 'k create -f - -o name <<<"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"generateName\":\"g-\"}}" | cut -c1-12'

# --- refusals
refuses 'strict decoding error: unknown field "spec.containerz"' eval "sed 's/containers/containerz/' $dir/pod.yaml | k apply -f - --validate=strict"
refuses 'unknown field "spec.containers\[0\].imag"' eval "sed 's/    image: busybox/    imag: busybox/; s/name: p1/name: p-bad/' $dir/pod.yaml | k create -f -"
sees 'Warning: unknown field "spec.foo"' eval "sed 's/^spec:/spec:\n  foo: 1/; s/name: p1/name: p-warn/' $dir/pod.yaml | k create --validate=warn -f -"
prints "pod/p-ign created" eval "sed 's/^spec:/spec:\n  foo: 1/; s/name: p1/name: p-ign/' $dir/pod.yaml | k create --validate=ignore -f -"
refuses 'The Pod "P_1" is invalid: metadata.name: Invalid value: "P_1": a lowercase RFC 1123 subdomain' eval "sed 's/name: p1/name: P_1/' $dir/pod.yaml | k create -f -"
refuses 'The Pod "p2" is invalid: spec.containers\[0\].image: Required value' eval "sed '/image:/d; s/name: p1/name: p2/' $dir/pod.yaml | k create -f -"
refuses 'namespaces "nope" not found' k create configmap x -n nope
refuses 'no matches for kind "Foo" in version "v1"' eval 'k create -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"Foo\",\"metadata\":{\"name\":\"x\"}}"'
refuses 'cannot unmarshal|json: cannot' eval 'k create --validate=false -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\"},\"data\":7}"'
refuses 'pods "nope" not found' k get pod nope
refuses 'Forbidden: pod updates may not change fields other than' k patch pod p1 -p '{"spec":{"nodeSelector":{"a":"b"}}}'
refuses 'field is immutable' k patch deployment web -p '{"spec":{"selector":{"matchLabels":{"x":"y"}},"template":{"metadata":{"labels":{"x":"y"}}}}}'

# --- apply, client side
cat >"$dir/d.yaml" <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  labels: {tier: front}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - {name: a, image: "nginx:1", env: [{name: AX, value: "1"}, {name: AY, value: "2"}]}
      - {name: b, image: "busybox:1"}
Y
prints "deployment.apps/app created" k apply -f "$dir/d.yaml"
prints "deployment.apps/app unchanged" k apply -f "$dir/d.yaml"
sed -i 's/nginx:1/nginx:2/; s/, {name: AY, value: "2"}//; s/tier: front/tier: back/; /name: b/d' "$dir/d.yaml"
sees '^\+ .*image: nginx:2' eval "k diff -f $dir/d.yaml || [ \$? = 1 ]"
sees '^-  *- image: busybox:1' eval "k diff -f $dir/d.yaml || [ \$? = 1 ]"
prints "deployment.apps/app configured (server dry run)" k apply --dry-run=server -f "$dir/d.yaml"
prints "deployment.apps/app configured" k apply -f "$dir/d.yaml"
prints "nginx:2 AX back 2" k get deploy app -o 'jsonpath={.spec.template.spec.containers[*].image} {.spec.template.spec.containers[0].env[*].name} {.metadata.labels.tier} {.metadata.generation}'
prints "" k diff -f "$dir/d.yaml"
prints "kubectl-client-side-apply" k get deploy app --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].manager}'
sees 'last-applied-configuration' k get deploy app -o yaml
sees '"replicas": 1' k apply view-last-applied deployment/app -o json
mkdir "$dir/many"
for i in 1 2 3; do printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m%s, labels: {set: many}}\ndata: {k: v%s}\n' $i $i >"$dir/many/$i.yaml"; done
prints "configmap/m1 created
configmap/m2 created
configmap/m3 created" k apply -f "$dir/many"
rm "$dir/many/2.yaml"
sees '^configmap/m2 pruned' k apply -f "$dir/many" --prune -l set=many --prune-allowlist=core/v1/ConfigMap

# --- replace, patch, edit
prints "pod/p1 replaced" eval "k get pod p1 -o yaml | sed 's/app: p\$/app: q/' | k replace -f -"
prints "q" k get pod p1 -o 'jsonpath={.metadata.labels.app}'
refuses 'the object has been modified; please apply your changes to the latest version' eval "k get cm c1 -o json | sed 's/\"resourceVersion\": \"[0-9]*\"/\"resourceVersion\": \"1\"/' | k replace -f -"
sees '^pod/p1 replaced' k replace --force --grace-period=0 -f "$dir/pod.yaml"
prints "configmap/c1 patched" k patch cm c1 --type=merge -p '{"data":{"a":null,"c":"3"}}'
prints '{"b":"2","c":"3"}' k get cm c1 -o 'jsonpath={.data}'
prints "configmap/c1 patched" k patch cm c1 --type=json -p '[{"op":"replace","path":"/data/b","value":"9"},{"op":"add","path":"/data/d","value":"4"}]'
prints '{"b":"9","c":"3","d":"4"}' k get cm c1 -o 'jsonpath={.data}'
prints "configmap/c1 patched (no change)" k patch cm c1 --type=merge -p '{"data":{"b":"9"}}'
prints "deployment.apps/web patched" k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox"}]}}}}'
prints "side nginx" k get deployment web -o 'jsonpath={.spec.template.spec.containers[*].name}'
prints "deployment.apps/web patched" k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}]}}}}'
prints "nginx" k get deployment web -o 'jsonpath={.spec.template.spec.containers[*].name}'
refuses 'the server rejected our request due to an error in our request|testing value|json patch|test' k patch cm c1 --type=json -p '[{"op":"test","path":"/data/b","value":"0"}]'
prints "deployment.apps/web patched" k patch deployment web --subresource=status --type=merge -p '{"status":{"replicas":2,"readyReplicas":2,"availableReplicas":2,"updatedReplicas":2,"observedGeneration":3}}'
prints "2/2" eval "k get deployment web --no-headers | awk '{print \$2}'"
prints "deployment.apps/web scaled" k scale deployment web --replicas=5
prints "5" k get deployment web -o 'jsonpath={.spec.replicas}'
prints "5" k get deployment web --subresource=scale -o 'jsonpath={.spec.replicas}'
refuses 'Expected replicas to be 1, was 5' k scale deployment web --current-replicas=1 --replicas=2
prints "configmap/c1 edited" env KUBE_EDITOR="sed -i s/'b: \"9\"'/'b: ten'/" "$kubectl" edit cm c1
prints "ten" k get cm c1 -o 'jsonpath={.data.b}'
prints "Edit cancelled, no changes made." env KUBE_EDITOR=true "$kubectl" edit cm c1
refuses 'Edit cancelled|is invalid' env KUBE_EDITOR="sed -i s/'containerPort: 80'/'containerPort: 800000'/" "$kubectl" edit deployment web

# --- label, annotate, set, rollout
prints "pod/p1 labeled" k label pod p1 tier=x
prints "pod/p1 not labeled" k label pod p1 tier=x
refuses "'tier' already has a value \(x\), and --overwrite is false" k label pod p1 tier=y
prints "pod/p1 labeled" k label --overwrite pod p1 tier=y
prints "pod/p1 unlabeled" k label pod p1 tier-
refuses 'a valid label must be' k label pod p1 'tier=a b'
prints "pod/p1 annotated" k annotate pod p1 note='some text'
prints "some text" k get pod p1 -o 'jsonpath={.metadata.annotations.note}'
prints "deployment.apps/web image updated" k set image deployment/web nginx=nginx:3
prints "deployment.apps/web env updated" k set env deployment/web A=b
prints "deployment.apps/web resource requirements updated" k set resources deployment/web --requests=cpu=10m
prints "deployment.apps/web serviceaccount updated" k set serviceaccount deployment/web sa1
prints "nginx:3 b 10m sa1" k get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env[0].value} {.spec.template.spec.containers[0].resources.requests.cpu} {.spec.template.spec.serviceAccountName}'
prints "service/svc selector updated" k set selector service svc app=web
prints "rolebinding.rbac.authorization.k8s.io/rb1 subjects updated" k set subject rolebinding rb1 --serviceaccount=default:sa1
prints "deployment.apps/web restarted" k rollout restart deployment web
sees 'restartedAt' k get deployment web -o yaml
prints "deployment.apps/web paused" k rollout pause deployment web
prints "deployment.apps/web resumed" k rollout resume deployment web
prints "horizontalpodautoscaler.autoscaling/web autoscaled" k autoscale deployment web --min=1 --max=3 --cpu=50%

# --- server-side apply
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {a: "1", b: "2"}\n' >"$dir/ssa.yaml"
prints "configmap/ssa serverside-applied" k apply --server-side -f "$dir/ssa.yaml"
prints "kubectl Apply" k get cm ssa --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].manager} {.metadata.managedFields[*].operation}'
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {b: "3"}\n' >"$dir/ssa2.yaml"
refuses 'conflict with "kubectl": .data.b|Apply failed with 1 conflict: conflict with "kubectl": .data.b' k apply --server-side --field-manager=other -f "$dir/ssa2.yaml"
prints "configmap/ssa serverside-applied" k apply --server-side --field-manager=other --force-conflicts -f "$dir/ssa2.yaml"
prints '{"a":"1","b":"3"}' k get cm ssa -o 'jsonpath={.data}'
prints "kubectl other" k get cm ssa --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].manager}'
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {c: "1"}\n' >"$dir/ssa.yaml"
prints "configmap/ssa serverside-applied" k apply --server-side -f "$dir/ssa.yaml"
prints '{"b":"3","c":"1"}' k get cm ssa -o 'jsonpath={.data}' # a was kubectl's alone and goes, b is other's
prints "configmap/ssa patched" k patch cm ssa --type=merge -p '{"data":{"c":"patched"}}'
refuses 'conflict with "kubectl-patch"' k apply --server-side -f "$dir/ssa.yaml"
prints "configmap/ssa serverside-applied (server dry run)" k apply --server-side --force-conflicts --dry-run=server -f "$dir/ssa.yaml"
prints "patched" k get cm ssa -o 'jsonpath={.data.c}'
# hand-over from client-side apply: the fields and the annotation's manager migrate, no conflict
prints "deployment.apps/app serverside-applied" k apply --server-side -f "$dir/d.yaml"
prints "kubectl kubectl-last-applied Apply Apply" k get deploy app --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].manager} {.metadata.managedFields[*].operation}'
sed -i 's/replicas: 1/replicas: 3/; s/, env: .*}]}/}/' "$dir/d.yaml"
prints "deployment.apps/app serverside-applied" k apply --server-side -f "$dir/d.yaml"
prints "3 " k get deploy app -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].env}'
prints "deployment.apps/app scaled" k scale deployment app --replicas=4
refuses 'conflict with "kubectl" with subresource "scale".*spec.replicas|conflict with .*spec.replicas' k apply --server-side -f "$dir/d.yaml"
sees '^\+ ' eval "k diff --server-side --force-conflicts -f $dir/d.yaml || [ \$? = 1 ]"

# --- nodes
prints "node/n1 created" eval 'k create -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\"}}"'
prints "node/n1 tainted" k taint node n1 key=v:NoSchedule
refuses 'already has key taint' k taint node n1 key=v:NoSchedule
prints "node/n1 untainted" k taint node n1 key:NoSchedule-
prints "node/n1 cordoned" k cordon n1
sees 'SchedulingDisabled' k get node n1
prints "pod/on-node created" eval "sed 's/name: p1/name: on-node/; s/^spec:/spec:\n  nodeName: n1/' $dir/pod.yaml | k create -f -"
sees 'evicting pod default/on-node \(server dry run\)' k drain n1 --force --dry-run=server
prints "node/n1 uncordoned" k uncordon n1

# --- delete
prints 'pod "p-run" deleted from default namespace' k delete pod p-run --now
prints 'pod "on-node" force deleted from default namespace' eval 'k delete pod on-node --grace-period=0 --force 2>/dev/null'
prints 'configmap "c1" deleted from default namespace (server dry run)' k delete cm c1 --dry-run=server
prints 'configmap "c1" deleted from default namespace' k delete cm c1
prints '' k delete cm c1 --ignore-not-found
refuses 'configmaps "c1" not found' k delete cm c1
prints 'deployment.apps "web" deleted from default namespace' k delete deployment web --cascade=orphan --wait=false
prints "orphan" k get deploy web -o 'jsonpath={.metadata.finalizers[0]}'
prints 'deployment.apps "app" deleted from default namespace' k delete deployment app --cascade=foreground --wait=false
prints "foregroundDeletion" k get deploy app -o 'jsonpath={.metadata.finalizers[0]}'
prints "deployment.apps/app patched" k patch deploy app --type=json -p '[{"op":"remove","path":"/metadata/finalizers"}]'
refuses 'deployments.apps "app" not found' k get deploy app
sees '^configmap "m1" deleted' k delete cm -l set=many
works k delete cm --all
prints "kube-root-ca.crt" eval 'k get cm -o name | grep -v root-ca || echo kube-root-ca.crt'
prints 'namespace "n1" deleted' k delete ns n1 --wait=false
prints "Terminating" k get ns n1 -o 'jsonpath={.status.phase}'
refuses 'unable to create new content in namespace n1 because it is being terminated' k create cm x -n n1
lib_end
