#!/usr/bin/env bash
# kubectl 1.35 around the cluster: discovery, versions, identity and rights, tokens, certificates, tables of all kinds,
# proxy, drain, namespaces' end, plugins of nothing; against our apiserver and a real etcd.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
need_kubectl v35
start_etcd
start_apiserver
works k create serviceaccount default
as_jane() { "$kubectl" --kubeconfig=/dev/null --server="$url" --certificate-authority="$dir/pki/pki/ca.crt" --token=user-token "$@"; }

# --- discovery
sees '^pods +po +v1 +true +Pod' k api-resources
sees '^deployments +deploy +apps/v1 +true +Deployment +create,delete,deletecollection,get,list,patch,update,watch +all' k api-resources -o wide
prints "deployments.apps" eval "k api-resources -o name | grep ^deployments"
lacks 'deployments' k api-resources --namespaced=false
sees '^customresourcedefinitions +crd,crds' k api-resources --api-group=apiextensions.k8s.io
works eval '[ "$(k api-resources --no-headers | wc -l)" -ge 58 ]'
prints "apps/v1" eval "k api-versions | grep ^apps/"
sees '^Server Version: v1\.35\.' k version
sees '"gitVersion": "v1\.35\.' k version -o json
sees "Kubernetes control plane.* is running at .*$url" k cluster-info
works eval "k cluster-info dump --output-directory=$dir/dump && [ -s $dir/dump/nodes.json ]"
sees '"kind":"APIGroupDiscoveryList"' req /apis -H 'Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
sees '"kind":"APIGroupList"' req /apis
sees '"kind":"APIResourceList"' req /apis/apps/v1
sees '"kind":"APIVersions"' req /api
prints '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","code":404}' req /apis/nope/v1/things

# --- identity
sees '^Username +kubernetes-admin$' k auth whoami
sees '^Groups +\[system:masters system:authenticated\]' k auth whoami
sees '^Username +jane$' as_jane auth whoami
sees '^Groups +\[developers system:authenticated\]' as_jane auth whoami
prints "yes" k auth can-i create pods
prints "yes" k auth can-i '*' '*' --all-namespaces
refuses '^no$' k auth can-i delete nodes --as=jane
refuses 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"' as_jane get pods
refuses 'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope' as_jane get nodes
refuses 'is forbidden: User "jane" cannot impersonate resource "users"' as_jane get pods --as=kubernetes-admin
works k create role reader --verb=get,list,watch --resource=pods,configmaps
works k create rolebinding readers --role=reader --group=developers
prints "yes" as_jane auth can-i list pods
prints "No resources found in default namespace." as_jane get pods
prints "yes" k auth can-i get pods --as=jane --as-group=developers
sees 'pods +\[\] +\[\] +\[get list watch\]' as_jane auth can-i --list
works k create role rolemaker --verb=create,get --resource=roles
works k create rolebinding rolemakers --role=rolemaker --user=jane
refuses 'is attempting to grant RBAC permissions not currently held' as_jane create role r --verb=delete --resource=pods
prints "role.rbac.authorization.k8s.io/r created" as_jane create role r --verb=get --resource=pods
sees 'clusterrole.rbac.authorization.k8s.io/view reconciled|unchanged|reconciled' eval "k get clusterrole view -o yaml | k auth reconcile -f -"
refuses 'You must be logged in to the server|Unauthorized' "$kubectl" --kubeconfig=/dev/null --server="$url" --certificate-authority="$dir/pki/pki/ca.crt" --token=wrong get pods

# --- tokens
token=$(k create token default --duration=15m)
has "$token" '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'
sees '^Username +system:serviceaccount:default:default$' "$kubectl" --kubeconfig=/dev/null --server="$url" --certificate-authority="$dir/pki/pki/ca.crt" --token="$token" auth whoami
unset token
refuses 'serviceaccounts "nope" not found' k create token nope
sees 'expirationTimestamp' k create token default -o yaml --audience=x
works k create serviceaccount gone
gone=$(k create token gone)
works k delete serviceaccount gone
refuses 'Unauthorized|logged in' "$kubectl" --kubeconfig=/dev/null --server="$url" --certificate-authority="$dir/pki/pki/ca.crt" --token="$gone" auth whoami

# --- certificates
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$dir/c.key" -subj /CN=alice/O=developers -out "$dir/c.csr" 2>/dev/null
csr() { printf 'apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: %s}\nspec:\n  request: %s\n  signerName: kubernetes.io/kube-apiserver-client\n  expirationSeconds: 3600\n  usages: [client auth]\n' "$1" "$(base64 -w0 "$dir/c.csr")"; }
prints "certificatesigningrequest.certificates.k8s.io/alice created" eval 'csr alice | k create -f -'
sees '^alice +[0-9]+s +kubernetes.io/kube-apiserver-client +kubernetes-admin +60m +Pending$' k get csr
prints "certificatesigningrequest.certificates.k8s.io/alice approved" k certificate approve alice
sees '^alice .* Approved$' k get csr
prints "certificatesigningrequest.certificates.k8s.io/bob created" eval 'csr bob | k create -f -'
prints "certificatesigningrequest.certificates.k8s.io/bob denied" k certificate deny bob
sees '^bob .* Denied$' k get csr
prints "kubernetes-admin" k get csr alice -o 'jsonpath={.spec.username}'
refuses 'spec.request: Invalid value' eval "csr bad | sed 's/request: .*/request: bm9uc2Vuc2U=/' | k create -f -"

# --- tables of kinds that have none of the daily ones
cat >"$dir/kinds.yaml" <<'Y'
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv1}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce, ReadOnlyMany], hostPath: {path: /tmp}, storageClassName: fast}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c1}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: fast}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: example.com/p
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i1}
spec: {ingressClassName: nginx, tls: [{hosts: [a.b]}], rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: example.com/ingress}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np1}
spec: {podSelector: {matchLabels: {app: a}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: pdb1}
spec: {minAvailable: 50%, selector: {matchLabels: {app: a}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: h1}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}, {type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 1k}}}]}
---
apiVersion: v1
kind: LimitRange
metadata: {name: l1}
spec: {limits: [{type: Container, default: {cpu: 100m}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q1}
spec: {hard: {pods: "5"}}
---
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: r1}
revision: 3
data: {a: 1}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: kata}
handler: kata
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: l1}
spec: {holderIdentity: me}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: w1}
webhooks: []
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: d.example.com}
spec: {attachRequired: false}
Y
works k apply -f "$dir/kinds.yaml"
sees '^pv1 +1Gi +RWO,ROX +Retain +(Pending|Available)? +fast +<unset> ' k get pv
sees '^c1 +Pending +fast +<unset> ' k get pvc
sees '^fast \(default\) +example.com/p +Delete +Immediate +false' k get sc
sees '^i1 +nginx +a\.b +80, 443' k get ing
sees '^nginx +example.com/ingress +<none>' k get ingressclass
sees '^np1 +app=a' k get netpol
sees '^pdb1 +50% +N/A +0' k get pdb
sees '^h1 +Deployment/d +cpu: <unknown>/50%, <unknown>/1k +1 +3 +0' k get hpa
sees '^h1 +Deployment/d +cpu: <unknown>/50%' k get horizontalpodautoscalers.v1.autoscaling
prints "50" k get horizontalpodautoscalers.v1.autoscaling h1 -o 'jsonpath={.spec.targetCPUUtilizationPercentage}'
prints "horizontalpodautoscaler.autoscaling/h1 patched" eval "k get --raw /apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/h1 >/dev/null && k patch horizontalpodautoscalers.v1.autoscaling h1 --type=merge -p '{\"spec\":{\"maxReplicas\":4}}'"
prints "4 rps" k get hpa h1 -o 'jsonpath={.spec.maxReplicas} {.spec.metrics[1].pods.metric.name}'
sees '^l1 +20[0-9-]+T' k get limits
sees '^NAME +REQUEST +LIMIT +AGE$' k get quota
sees '^r1 +<none> +3' k get controllerrevisions
sees '^kata +kata' k get runtimeclass
sees '^l1 +me' k get lease
sees '^w1 +0' k get validatingwebhookconfigurations
sees '^d.example.com +false +false +false +<unset> +false +Persistent' k get csidrivers
sees '^kubernetes +10.96.0.0/16' k get servicecidrs
sees '^system-node-critical +2000001000 +false +[0-9]+s +PreemptLowerPriority' k get priorityclass
sees '^cluster-admin +20' k get clusterrole
sees '^cluster-admin +ClusterRole/cluster-admin' k get clusterrolebinding -o wide
for kind in $(k api-resources --verbs=list -o name); do works k get "$kind" -A; done # every table

# --- proxy: kubectl's own, and what it lets through
in_background "$kubectl" proxy --port=0 >"$dir/proxy" 2>&1
until_true grep -q 'Starting to serve' "$dir/proxy"
proxied=http://$(sed -n 's/.*serve on //p' "$dir/proxy")
sees '"gitVersion"' curl -s "$proxied/version"
sees '"kind": ?"NamespaceList"' curl -s "$proxied/api/v1/namespaces"
kill "$bg"

# --- drain, with a budget in the way
works eval 'k create -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\"}}"'
works eval 'k create -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a1\",\"labels\":{\"app\":\"a\"}},\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}"'
works k patch pod a1 --subresource=status --type=merge -p '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}'
works k patch pdb pdb1 --subresource=status --type=merge -p '{"status":{"observedGeneration":1,"expectedPods":1,"currentHealthy":1,"desiredHealthy":1,"disruptionsAllowed":0}}'
refuses "Cannot evict pod as it would violate the pod's disruption budget" k drain n1 --force --timeout=3s
works k delete pdb pdb1
sees '^pod/a1 evicted|evicting pod default/a1' eval "timeout 4 $kubectl drain n1 --force --grace-period=0 --timeout=3s || true"
sees 'Warning: deleting Pods that declare no controller|node/n1 drained|already cordoned' k drain n1 --force --dry-run=server
lib_end
