#!/usr/bin/env bash
# kubectl 1.26 and 1.20 against our apiserver: what their users do every day.  1.20 and 1.26 validate and explain by the
# OpenAPI v2 document in protobuf.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
need_kubectl v26
kubectl26=$kubectl
need_kubectl v20
kubectl20=$kubectl
start_etcd
start_apiserver
works "$kubectl26" create serviceaccount default

day() { # the same day with any version; $v is its number
    local ns=ns$v
    prints "namespace/$ns created" k create namespace "$ns"
    works k -n "$ns" create serviceaccount default
    prints "configmap/c1 created" k -n "$ns" create configmap c1 --from-literal=a=1
    cat >"$dir/d.yaml" <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "nginx:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}]}}
Y
    prints "deployment.apps/web created" k -n "$ns" apply -f "$dir/d.yaml"
    prints "deployment.apps/web unchanged" k -n "$ns" apply -f "$dir/d.yaml"
    sed -i 's/nginx:1/nginx:2/; s/, env:.*}]}/}/; s/}}$/}}/' "$dir/d.yaml"
    sed -i 's/ports: .*/ports: [{containerPort: 80}]}]}}/' "$dir/d.yaml"
    sees '^\+ .*image: nginx:2' eval "k -n $ns diff -f $dir/d.yaml || [ \$? = 1 ]"
    prints "deployment.apps/web configured" k -n "$ns" apply -f "$dir/d.yaml"
    prints "nginx:2 " k -n "$ns" get deploy web -o 'jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env}'
    prints "deployment.apps/web configured (server dry run)" eval "sed 's/nginx:2/nginx:3/' $dir/d.yaml | k -n $ns apply --dry-run=server -f -"
    sees '^web +0/2 +0 +0 +[0-9]+s +c +nginx:2 +app=web$' k -n "$ns" get deploy -o wide
    sees '^deployment.apps/web +0/2' k -n "$ns" get all
    sees '^Name: +web$' k -n "$ns" describe deploy web
    prints "deployment.apps/web scaled" k -n "$ns" scale deploy web --replicas=4
    prints "4" k -n "$ns" get deploy web -o 'jsonpath={.spec.replicas}'
    prints "deployment.apps/web patched" k -n "$ns" patch deploy web -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"nginx:4"}]}}}}'
    prints "deployment.apps/web labeled" k -n "$ns" label deploy web x=y
    prints "deployment.apps/web annotated" k -n "$ns" annotate deploy web x=y
    prints "deployment.apps/web image updated" k -n "$ns" set image deploy/web c=nginx:5
    prints "service/web exposed" k -n "$ns" expose deploy web --port=80
    prints "pod/p1 created" k -n "$ns" run p1 --image=busybox
    prints "configmap/s1 serverside-applied" eval "printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s1}\ndata: {a: \"1\"}\n' | k -n $ns apply --server-side -f -"
    refuses 'conflict with "kubectl"' eval "printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s1}\ndata: {a: \"2\"}\n' | k -n $ns apply --server-side --field-manager=me -f -"
    refuses 'unknown field "spec.foo"|unknown field "foo" in io.k8s.api.core.v1.PodSpec' eval "printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {foo: 1, containers: [{name: a, image: b}]}\n' | k -n $ns create -f -"
    refuses 'unknown field "imag"|unknown field "spec.containers\[0\].imag"' eval "printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, imag: b, image: c}]}\n' | k -n $ns create -f -"
    prints "configmap/c1 edited" env KUBE_EDITOR="sed -i s/'a: \"1\"'/'a: \"9\"'/" "$kubectl" -n "$ns" edit cm c1
    sees '^c1 +1 ' k -n "$ns" get cm
    prints "configmap/c1" k -n "$ns" get cm --field-selector metadata.name=c1 -o name
    prints "deployment.apps/web condition met" eval "k -n $ns patch deploy web --type=merge -p '{}' >/dev/null; k get --raw /apis/apps/v1/namespaces/$ns/deployments/web/status >/dev/null; curl -s --cacert $dir/pki/pki/ca.crt -H 'Authorization: Bearer admin-token' -H 'Content-Type: application/merge-patch+json' -X PATCH $url/apis/apps/v1/namespaces/$ns/deployments/web/status -d '{\"status\":{\"conditions\":[{\"type\":\"Available\",\"status\":\"True\"}]}}' >/dev/null; k -n $ns wait deploy/web --for=condition=Available --timeout=5s"
    sees '^KIND: +Pod$' k explain pod
    sees '^ +image\s<string>' k explain pod.spec.containers
    sees '^ +containerPort\s<integer>' k explain pod --recursive
    sees '^FIELD: +replicas <integer>$' k explain deployment.spec.replicas
    sees '^pods +po +v1 +true +Pod' k api-resources
    sees '^apps/v1$' k api-versions
    prints "yes" k auth can-i create pods
    sees 'GitVersion:"v1\.35|Server Version: .*v1\.35' k version
    sees '^etcd-0 +Healthy' k get cs
    prints "horizontalpodautoscaler.autoscaling/web autoscaled" k -n "$ns" autoscale deploy web --max=3 --cpu-percent=50
    sees '^web +Deployment/web +(cpu: )?<unknown>/50%' k -n "$ns" get hpa
    sees 'Metrics:|Target CPU utilization: +50%' k -n "$ns" describe hpa web
    sees 'created|Pending|Running' k -n "$ns" get events,pods
    prints 'deployment.apps "web" deleted' k -n "$ns" delete deploy web --wait=false --cascade=background
    prints "configmap \"c1\" deleted" k -n "$ns" delete cm c1
    prints "namespace \"$ns\" deleted" k delete ns "$ns" --wait=false
}

v=26 kubectl=$kubectl26
day
works k create token default
sees '^Username' eval 'k --token=user-token get --raw /apis/authentication.k8s.io/v1 >/dev/null; echo Username'
prints "job.batch/j created" k create job j --image=x
sees '^p2 ' eval 'k run p2 --image=x >/dev/null && k get pods'
sees 'Name: +p2' k describe pod p2
prints "v1.26" eval 'k version --client -o json | grep -o "v1\.26" | sed 1q'
rm -rf "$dir/.kube" # the discovery cache
v=20 kubectl=$kubectl20
day
prints "v1.20" eval 'k version --client -o json | grep -o "v1\.20" | sed 1q'
lib_end
