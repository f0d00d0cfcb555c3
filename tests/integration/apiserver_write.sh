#!/usr/bin/env bash
# The write path as the wire shows it: metadata rules, conflicts, preconditions, finalizers, graceful and collective
# deletion, dry runs, field validation, status and scale, binding, eviction, finalize, tokens, impersonation, RBAC's texts
# and its guard against escalation, the life of a namespace, service addresses and ports, nodes, protobuf bodies.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
start_etcd
start_apiserver --enable-admission-plugins=NodeRestriction

# answers CODE RE METHOD PATH [BODY] [CURL-OPTIONS]: the answer has that code and its text (one line) shows RE; kept in $body
answers() {
    local want=$1 re=$2 method=$3 path=$4 data=${5:-} code
    shift 4
    [ $# -eq 0 ] || shift
    lib_checks=$((lib_checks + 1))
    code=$(req "$path" -X "$method" ${data:+-H "Content-Type: ${type:-application/json}" --data-binary "$data"} -o "$dir/body" -w '%{http_code}' "$@")
    body=$(tr -d '\n' <"$dir/body" | tr -d '\0')
    [ "$code" = "$want" ] && grep -qE -- "$re" <<<"$body" || fail "$method $path: $code $body"$'\n'"  instead of $want /$re/"
}
field() { sed -nE "s/.*\"$1\":\"?([^\",}]*).*/\1/p" <<<"$body"; } # of $body, the last one of that name
meta_of() { sed -nE 's/.*"metadata":(\{.*)/\1/p' <<<"$body"; }
ns=/api/v1/namespaces/default
cm=$ns/configmaps

# --- metadata belongs to the server
answers 201 '"uid":"[0-9a-f-]{36}"' POST $cm '{"metadata":{"name":"m","uid":"fake","creationTimestamp":"2001-01-01T00:00:00Z","generation":7,"selfLink":"/x","deletionGracePeriodSeconds":5}}'
hasnt "$body" 'fake|2001|"generation"|selfLink|deletionGrace'
rv=$(field resourceVersion)
uid=$(field uid)
answers 201 '"generation":1' POST /apis/apps/v1/namespaces/default/deployments '{"metadata":{"name":"d"},"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}},"status":{"replicas":9}}'
hasnt "$body" '"replicas":9'
answers 409 'configmaps \\"m\\" already exists' POST $cm '{"metadata":{"name":"m"}}'
answers 422 'ConfigMap \\"\\" is invalid: metadata.name: Required value: name or generateName is required' POST $cm '{"metadata":{}}'
answers 422 'metadata.name: Invalid value: \\"A_\\"' POST $cm '{"metadata":{"name":"A_"}}'
answers 201 '"name":"g-[a-z0-9]{5}"' POST $cm '{"metadata":{"generateName":"g-"}}'
answers 400 'resourceVersion (should not|may not|must not) be set on objects to be created' POST $cm '{"metadata":{"name":"x1","resourceVersion":"1"}}'
answers 400 'the namespace of the provided object does not match the namespace sent on the request' POST $cm '{"metadata":{"name":"x","namespace":"other"}}'
answers 400 'the name of the object \(y\) does not match the name on the URL \(m\)' PUT $cm/m '{"metadata":{"name":"y"}}'
answers 400 'cannot be handled as a ConfigMap|does not match' POST $cm '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}'

# --- updates: conflicts and what stays as it was
answers 409 'Operation cannot be fulfilled on configmaps \\"m\\": the object has been modified; please apply your changes to the latest version and try again' PUT $cm/m '{"metadata":{"name":"m","resourceVersion":"1"}}'
answers 200 '"data":\{"k":"v"\}' PUT $cm/m "{\"metadata\":{\"name\":\"m\",\"resourceVersion\":\"$rv\"},\"data\":{\"k\":\"v\"}}"
rv2=$(field resourceVersion)
[ "$rv2" -gt "$rv" ] || fail "resourceVersion did not grow: $rv $rv2"
answers 200 "\"resourceVersion\":\"$rv2\"" PUT $cm/m "{\"metadata\":{\"name\":\"m\",\"resourceVersion\":\"$rv2\"},\"data\":{\"k\":\"v\"}}" # nothing changed: nothing written
answers 409 'Precondition failed: UID in precondition: [0-9a-f-]+, UID in object meta: [0-9a-f-]+' PUT $cm/m '{"metadata":{"name":"m","uid":"11111111-1111-1111-1111-111111111111"}}'
answers 200 "\"uid\":\"$uid\"" PUT $cm/m '{"metadata":{"name":"m","creationTimestamp":"2001-01-01T00:00:00Z"}}'
hasnt "$body" 2001
answers 404 'configmaps \\"nix\\" not found' PUT $cm/nix '{"metadata":{"name":"nix"}}'
type=application/merge-patch+json answers 409 'the object has been modified' PATCH $cm/m '{"metadata":{"resourceVersion":"1"},"data":{"k":"w"}}'
type=application/merge-patch+json answers 404 'not found' PATCH $cm/nix '{"data":{}}'
type=text/x-patch answers 415 'media types' PATCH $cm/m '{}'
type=application/merge-patch+json answers 200 '"generation":2' PATCH /apis/apps/v1/namespaces/default/deployments/d '{"spec":{"replicas":2}}'
type=application/merge-patch+json answers 200 '"generation":2' PATCH /apis/apps/v1/namespaces/default/deployments/d '{"metadata":{"labels":{"x":"y"}}}'

# --- status apart from spec, scale
type=application/merge-patch+json answers 200 '"generation":2' PATCH /apis/apps/v1/namespaces/default/deployments/d/status '{"spec":{"replicas":7},"status":{"replicas":3}}'
has "$body" '"status":\{[^}]*"replicas":3'
hasnt "$body" '"replicas":7'
type=application/merge-patch+json answers 200 '' PATCH /apis/apps/v1/namespaces/default/deployments/d '{"status":{"replicas":8}}'
hasnt "$body" '"replicas":8'
answers 200 '"kind":"Scale".*"spec":\{"replicas":2\},"status":\{"replicas":3,"selector":"a=b"\}' GET /apis/apps/v1/namespaces/default/deployments/d/scale
answers 200 '"spec":\{"replicas":5\}' PUT /apis/apps/v1/namespaces/default/deployments/d/scale '{"metadata":{"name":"d","namespace":"default"},"spec":{"replicas":5}}'
answers 200 '"generation":3.*"replicas":5' GET /apis/apps/v1/namespaces/default/deployments/d
answers 422 'spec.replicas: Invalid value: -1: must be greater than or equal to 0' PUT /apis/apps/v1/namespaces/default/deployments/d/scale '{"metadata":{"name":"d","namespace":"default"},"spec":{"replicas":-1}}'

# --- dry runs leave nothing behind
answers 201 '"name":"dry"' POST "$cm?dryRun=All" '{"metadata":{"name":"dry"}}'
answers 404 'not found' GET $cm/dry
answers 200 '"k":"dry"' PUT "$cm/m?dryRun=All" '{"metadata":{"name":"m"},"data":{"k":"dry"}}'
type=application/merge-patch+json answers 200 '"k":"dry"' PATCH "$cm/m?dryRun=All" '{"data":{"k":"dry"}}'
answers 200 '' DELETE "$cm/m?dryRun=All"
answers 200 '' DELETE "$cm?dryRun=All"
answers 200 '"name":"m"' GET $cm/m
hasnt "$body" dry
answers 422 'CreateOptions.meta.k8s.io \\"\\" is invalid: dryRun: Unsupported value: \[\\"Some\\"\]: supported values: \\"All\\"' POST "$cm?dryRun=Some" '{"metadata":{"name":"dry"}}'
answers 201 '"clusterIP":"10\.96\.[0-9.]+"' POST "$ns/services?dryRun=All" '{"metadata":{"name":"drysvc"},"spec":{"clusterIP":"10.96.7.7","ports":[{"port":80}]}}'
answers 201 '"clusterIP":"10\.96\.7\.7"' POST $ns/services '{"metadata":{"name":"realsvc"},"spec":{"clusterIP":"10.96.7.7","ports":[{"port":80}]}}'

# --- fieldValidation
answers 400 'strict decoding error: unknown field \\"dat\\"' POST "$cm?fieldValidation=Strict" '{"metadata":{"name":"f"},"dat":{}}'
answers 400 'duplicate field \\"data\\"' POST "$cm?fieldValidation=Strict" '{"metadata":{"name":"f"},"data":{},"data":{}}'
answers 201 '' POST "$cm?fieldValidation=Warn" '{"metadata":{"name":"f"},"dat":{}}' -D "$dir/head"
has "$(cat "$dir/head")" '^[Ww]arning: 299 - "unknown field \\"dat\\""'
answers 201 '' POST "$cm?fieldValidation=Ignore" '{"metadata":{"name":"f2"},"dat":{}}' -D "$dir/head"
hasnt "$(cat "$dir/head")" '[Ww]arning'
answers 422 'fieldValidation: Unsupported value|fieldValidation: Invalid value' POST "$cm?fieldValidation=Maybe" '{"metadata":{"name":"f3"}}'

# --- deletion: preconditions, finalizers, propagation
answers 409 'Precondition failed: UID in precondition' DELETE $cm/f '{"preconditions":{"uid":"nope"}}'
answers 409 'Precondition failed: ResourceVersion in precondition' DELETE $cm/f '{"preconditions":{"resourceVersion":"1"}}'
answers 200 '"status":"Success".*"kind":"configmaps"' DELETE $cm/f
answers 404 'configmaps \\"f\\" not found' DELETE $cm/f
answers 201 '' POST $cm '{"metadata":{"name":"fin","finalizers":["example.com/wait"]}}'
answers 200 '' DELETE $cm/fin
answers 200 '"deletionTimestamp":"' GET $cm/fin
answers 422 'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted' PUT $cm/fin '{"metadata":{"name":"fin","finalizers":["example.com/wait","example.com/more"]}}'
type=application/merge-patch+json answers 200 '' PATCH $cm/fin '{"metadata":{"finalizers":null}}'
answers 404 '' GET $cm/fin
answers 201 '' POST $cm '{"metadata":{"name":"fg"}}'
answers 200 '' DELETE "$cm/fg?propagationPolicy=Foreground"
answers 200 '"finalizers":\["foregroundDeletion"\]' GET $cm/fg
type=application/merge-patch+json answers 200 '' PATCH $cm/fg '{"metadata":{"finalizers":null}}'
answers 201 '' POST $cm '{"metadata":{"name":"orp"}}'
answers 200 '' DELETE $cm/orp '{"propagationPolicy":"Orphan"}'
answers 200 '"finalizers":\["orphan"\]' GET $cm/orp
type=application/merge-patch+json answers 200 '' PATCH $cm/orp '{"metadata":{"finalizers":null}}'
answers 422 'propagationPolicy' DELETE "$cm/m?propagationPolicy=Maybe"
for i in 1 2 3; do answers 201 '' POST $cm "{\"metadata\":{\"name\":\"coll$i\",\"labels\":{\"coll\":\"yes\"}}}"; done
answers 200 '"kind":"ConfigMapList".*coll1.*coll2.*coll3' DELETE "$cm?labelSelector=coll%3Dyes"
answers 200 '"items":\[\]' GET "$cm?labelSelector=coll%3Dyes"
answers 200 '"name":"m"' GET $cm/m

# --- pods: grace, binding, eviction
works req $ns/serviceaccounts -f -X POST -H 'Content-Type: application/json' -d '{"metadata":{"name":"default"}}'
pod() { echo "{\"metadata\":{\"name\":\"$1\",\"labels\":{\"app\":\"p\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]${2:-}}}"; }
answers 201 '"phase":"Pending","qosClass":"BestEffort"' POST $ns/pods "$(pod p1)"
has "$body" 'kube-api-access-[a-z0-9]{5}'
answers 200 '' DELETE $ns/pods/p1 # nobody runs it
answers 404 '' GET $ns/pods/p1
answers 201 '' POST $ns/pods "$(pod p2)"
answers 201 '"status":"Success"' POST $ns/pods/p2/binding '{"target":{"kind":"Node","name":"node1"}}'
answers 200 '"nodeName":"node1".*"type":"PodScheduled"' GET $ns/pods/p2
answers 409 'pod p2 is already assigned to node \\"node1\\"' POST $ns/pods/p2/binding '{"target":{"kind":"Node","name":"node2"}}'
answers 404 'pods \\"nix\\" not found' POST $ns/pods/nix/binding '{"metadata":{"name":"nix"},"target":{"name":"node1"}}'
answers 200 '"deletionGracePeriodSeconds":30' DELETE $ns/pods/p2
answers 200 '"deletionGracePeriodSeconds":5' DELETE $ns/pods/p2 '{"gracePeriodSeconds":5}'
answers 200 '"deletionGracePeriodSeconds":5' DELETE $ns/pods/p2 '{"gracePeriodSeconds":60}' # never longer again
answers 200 '' DELETE $ns/pods/p2 '{"gracePeriodSeconds":0}'
answers 404 '' GET $ns/pods/p2
answers 201 '' POST $ns/pods "$(pod p3 ',"nodeName":"node1"')"
type=application/json-patch+json answers 422 'spec: Forbidden: pod updates may not change fields other than' PATCH $ns/pods/p3 '[{"op":"replace","path":"/spec/nodeName","value":"node2"}]'
answers 201 '' POST /apis/policy/v1/namespaces/default/poddisruptionbudgets '{"metadata":{"name":"pdb"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"p"}}}}'
type=application/merge-patch+json answers 200 '' PATCH $ns/pods/p3/status '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}'
answers 429 'Cannot evict pod as it would violate the pod.s disruption budget' POST $ns/pods/p3/eviction '{"metadata":{"name":"p3"}}'
type=application/merge-patch+json answers 200 '' PATCH /apis/policy/v1/namespaces/default/poddisruptionbudgets/pdb/status '{"status":{"observedGeneration":1,"disruptionsAllowed":1,"expectedPods":2,"currentHealthy":2,"desiredHealthy":1}}'
answers 201 '"status":"Success"' POST $ns/pods/p3/eviction '{"metadata":{"name":"p3"}}'
answers 200 '"deletionTimestamp"' GET $ns/pods/p3
answers 200 '"disruptedPods":\{"p3"' GET /apis/policy/v1/namespaces/default/poddisruptionbudgets/pdb
has "$body" '"disruptionsAllowed":0'
answers 200 '' DELETE $ns/pods/p3 '{"gracePeriodSeconds":0}'

# --- namespaces
answers 201 '"finalizers":\["kubernetes"\]\},"status":\{"phase":"Active"\}' POST /api/v1/namespaces '{"metadata":{"name":"life"}}'
has "$body" '"kubernetes.io/metadata.name":"life"'
answers 404 'namespaces \\"nowhere\\" not found' POST /api/v1/namespaces/nowhere/configmaps '{"metadata":{"name":"x"}}'
answers 403 'this namespace may not be deleted' DELETE /api/v1/namespaces/kube-system
answers 200 '"phase":"Terminating"' DELETE /api/v1/namespaces/life
answers 403 'configmaps \\"x\\" is forbidden: unable to create new content in namespace life because it is being terminated' POST /api/v1/namespaces/life/configmaps '{"metadata":{"name":"x"}}'
has "$body" 'NamespaceTerminating'
answers 200 '' PUT /api/v1/namespaces/life/finalize '{"metadata":{"name":"life"},"spec":{"finalizers":[]}}'
answers 404 '' GET /api/v1/namespaces/life

# --- services: addresses and ports
svc=$ns/services
answers 200 '"clusterIP":"10.96.0.1"' GET $svc/kubernetes
answers 422 'spec.clusterIPs: Invalid value: \[?.*10\.96\.7\.7.*provided IP is already allocated' POST $svc '{"metadata":{"name":"s0"},"spec":{"clusterIP":"10.96.7.7","ports":[{"port":80}]}}'
answers 422 'not in the valid range. The range of valid IPs is 10.96.0.0/16' POST $svc '{"metadata":{"name":"s0"},"spec":{"clusterIP":"10.97.0.1","ports":[{"port":80}]}}'
answers 201 '"type":"NodePort"' POST $svc '{"metadata":{"name":"np"},"spec":{"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":30123},{"name":"b","port":81}]}}'
has "$body" '"clusterIP":"10\.96\.'
has "$body" '"nodePort":30123.*"nodePort":3[0-2][0-9]{3}'
ip=$(field clusterIP)
answers 422 'spec.ports\[0\].nodePort: Invalid value: 30123: provided port is already allocated' POST $svc '{"metadata":{"name":"s1"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30123}]}}'
answers 422 'provided port is not in the valid range. The range of valid ports is 30000-32767' POST $svc '{"metadata":{"name":"s1"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":80}]}}'
answers 200 "\"clusterIP\":\"$ip\"" PUT $svc/np '{"metadata":{"name":"np"},"spec":{"type":"NodePort","ports":[{"name":"a","port":80},{"name":"b","port":81}]}}' # what was given stays
has "$body" '"nodePort":30123'
answers 422 'spec.clusterIPs?(\[0\])?: Invalid value.*(may not change once set|field is immutable)' PUT $svc/np '{"metadata":{"name":"np"},"spec":{"type":"NodePort","clusterIP":"10.96.9.9","ports":[{"name":"a","port":80},{"name":"b","port":81}]}}'
type=application/merge-patch+json answers 200 '"type":"ClusterIP"' PATCH $svc/np '{"spec":{"type":"ClusterIP"}}'
hasnt "$body" '"nodePort":[1-9]'
answers 201 '"nodePort":30123' POST $svc '{"metadata":{"name":"np2"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30123}]}}' # given back and taken again
type=application/merge-patch+json answers 200 '"type":"ExternalName"' PATCH $svc/np '{"spec":{"type":"ExternalName","externalName":"a.example"}}'
hasnt "$body" '"clusterIP":"10'
answers 201 '"clusterIP":"None","clusterIPs":\["None"\]' POST $svc '{"metadata":{"name":"hl"},"spec":{"clusterIP":"None","selector":{"a":"b"},"ports":[{"port":80}]}}'
answers 200 '' DELETE $svc/np2
answers 201 '"nodePort":30123' POST $svc '{"metadata":{"name":"np3"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30123}]}}'

# a refused write gives back nothing that belongs to others, and keeps nothing
answers 422 '' POST $svc '{"metadata":{"name":"x1"},"spec":{"type":"ClusterIP","ports":[{"port":80,"nodePort":30123}]}}'
answers 422 'provided port is already allocated' POST $svc '{"metadata":{"name":"x2"},"spec":{"type":"NodePort","clusterIP":"10.96.8.8","ports":[{"port":80,"nodePort":30124},{"name":"b","port":81,"nodePort":30123}]}}'
answers 201 '"nodePort":30124' POST $svc '{"metadata":{"name":"x3"},"spec":{"type":"NodePort","clusterIP":"10.96.8.8","ports":[{"port":80,"nodePort":30124}]}}'
answers 422 'provided port is already allocated' PUT $svc/x3 '{"metadata":{"name":"x3"},"spec":{"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":30200},{"name":"b","port":81,"nodePort":30123}]}}'
answers 200 '"nodePort":30201' PUT "$svc/x3?dryRun=All" '{"metadata":{"name":"x3"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30201}]}}'
answers 201 '"nodePort":30200.*"nodePort":30201' POST $svc '{"metadata":{"name":"x4"},"spec":{"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":30200},{"name":"b","port":81,"nodePort":30201}]}}'
answers 422 'provided port is already allocated' POST $svc '{"metadata":{"name":"x5"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30124}]}}'
answers 200 '' PUT $svc/x3 '{"metadata":{"name":"x3"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30202}]}}' # moves
answers 201 '' POST $svc '{"metadata":{"name":"x5"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30124}]}}'

# --- tokens
answers 201 '"token":"eyJ' POST $ns/serviceaccounts/default/token '{"spec":{"expirationSeconds":600,"audiences":["a"]}}'
sa_other=$(field token)
answers 201 '"token":"eyJ' POST $ns/serviceaccounts/default/token '{}'
sa=$(field token)
answers 422 'may not specify a duration less than 10 minutes' POST $ns/serviceaccounts/default/token '{"spec":{"expirationSeconds":599}}'
answers 404 'serviceaccounts \\"nix\\" not found' POST $ns/serviceaccounts/nix/token '{}'
token=$sa answers 201 '"username":"system:serviceaccount:default:default"' POST /apis/authentication.k8s.io/v1/selfsubjectreviews '{}'
has "$body" '"system:serviceaccounts","system:serviceaccounts:default","system:authenticated"'
token=$sa_other answers 401 Unauthorized GET /api/v1/namespaces
token=${sa%?????}AAAAA answers 401 Unauthorized GET /api/v1/namespaces
answers 201 '"authenticated":true.*"audiences":\["a"\]|"audiences":\["a"\].*"authenticated":true' POST /apis/authentication.k8s.io/v1/tokenreviews "{\"spec\":{\"token\":\"$sa_other\",\"audiences\":[\"a\",\"b\"]}}"
answers 201 '' POST $ns/serviceaccounts '{"metadata":{"name":"short"}}'
answers 201 '"token":"eyJ' POST $ns/serviceaccounts/short/token '{}'
short=$(field token)
token=$short answers 201 'default:short' POST /apis/authentication.k8s.io/v1/selfsubjectreviews '{}'
answers 200 '' DELETE $ns/serviceaccounts/short
token=$short answers 401 Unauthorized GET /api/v1/namespaces

# --- who may what
token=user-token answers 403 'pods is forbidden: User \\"jane\\" cannot list resource \\"pods\\" in API group \\"\\" in the namespace \\"default\\"' GET $ns/pods
token=user-token answers 403 'nodes \\"n1\\" is forbidden: User \\"jane\\" cannot get resource \\"nodes\\" in API group \\"\\" at the cluster scope' GET /api/v1/nodes/n1
token=user-token answers 403 'forbidden: User \\"jane\\" cannot get path \\"/metrics\\"' GET /metrics
token=wrong answers 401 Unauthorized GET /api/v1/nodes
rbac=/apis/rbac.authorization.k8s.io/v1
answers 201 '' POST $rbac/namespaces/default/roles '{"metadata":{"name":"reader"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]},{"verbs":["create","update"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","rolebindings"]}]}'
answers 201 '' POST $rbac/namespaces/default/rolebindings '{"metadata":{"name":"jane-reads"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"reader"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"jane"}]}'
jane_lists() { token=user-token req $ns/pods -f; }
until_true jane_lists
token=user-token answers 403 'cannot list resource \\"pods\\" in API group \\"\\" at the cluster scope' GET /api/v1/pods
answers 201 'RBAC: allowed by RoleBinding \\"jane-reads/default\\" of Role \\"reader\\" to User \\"jane\\"' POST /apis/authorization.k8s.io/v1/subjectaccessreviews '{"spec":{"user":"jane","resourceAttributes":{"namespace":"default","verb":"get","resource":"pods"}}}'
token=user-token answers 201 '"allowed":false' POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews '{"spec":{"resourceAttributes":{"namespace":"default","verb":"delete","resource":"pods"}}}'
token=user-token answers 403 'is attempting to grant RBAC permissions not currently held:\\n\{APIGroups:\[\\"\\"\], Resources:\[\\"secrets\\"\], Verbs:\[\\"get\\"\]\}' POST $rbac/namespaces/default/roles '{"metadata":{"name":"more"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}]}'
token=user-token answers 201 '' POST $rbac/namespaces/default/roles '{"metadata":{"name":"less"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}]}'
token=user-token answers 403 'not currently held' POST $rbac/namespaces/default/rolebindings '{"metadata":{"name":"up"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"jane"}]}'
answers 201 '' POST $rbac/clusterroles '{"metadata":{"name":"rolemaker"},"rules":[{"verbs":["create"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"]}]}'
answers 201 '' POST $rbac/clusterrolebindings '{"metadata":{"name":"jane-makes"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"rolemaker"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"jane"}]}'
jane_makes() { token=user-token req $rbac/clusterroles?dryRun=All -f -X POST -H 'Content-Type: application/json' -d '{"metadata":{"name":"empty"}}'; }
until_true jane_makes
token=user-token answers 403 'not currently held' POST $rbac/clusterroles '{"metadata":{"name":"aggr"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"rbac.authorization.k8s.io/aggregate-to-admin":"true"}}]}}'
answers 422 'roleRef: Invalid value.*cannot change roleRef' PUT $rbac/namespaces/default/rolebindings/jane-reads '{"metadata":{"name":"jane-reads"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"less"}}'

# --- acting as others
answers 403 'cannot list resource' GET $ns/secrets '' -H 'Impersonate-User: jane'
answers 201 '"username":"x".*"groups":\["g1","system:authenticated"\]' POST /apis/authentication.k8s.io/v1/selfsubjectreviews '{}' -H 'Impersonate-User: x' -H 'Impersonate-Group: g1'
token=user-token answers 403 'users \\"x\\" is forbidden: User \\"jane\\" cannot impersonate resource \\"users\\" in API group \\"\\" at the cluster scope' GET $ns/pods '' -H 'Impersonate-User: x'
answers 500 'requested .*without impersonating a user' GET $ns/pods '' -H 'Impersonate-Group: g1'

# --- kubelets
answers 201 '' POST /api/v1/nodes '{"metadata":{"name":"node1"}}'
as_node=(-H 'Impersonate-User: system:node:node1' -H 'Impersonate-Group: system:nodes')
answers 200 '' GET /api/v1/nodes/node1 '' "${as_node[@]}"
answers 403 "node 'node1' cannot read 'node2', only its own Node object" GET /api/v1/nodes/node2 '' "${as_node[@]}"
answers 403 "node 'node1' cannot read all nodes, only its own Node object" GET /api/v1/nodes '' "${as_node[@]}"
answers 200 NodeList GET '/api/v1/nodes?fieldSelector=metadata.name%3Dnode1' '' "${as_node[@]}"
answers 403 'can only list/watch pods with spec.nodeName field selector' GET /api/v1/pods '' "${as_node[@]}"
answers 403 'can only list/watch pods' GET '/api/v1/pods?fieldSelector=spec.nodeName%3Dnode2' '' "${as_node[@]}"
answers 200 PodList GET '/api/v1/pods?fieldSelector=spec.nodeName%3Dnode1' '' "${as_node[@]}"
answers 403 'node \\"node1\\" is not allowed to modify node \\"node2\\"|is not allowed to' POST /api/v1/nodes '{"metadata":{"name":"node2"}}' "${as_node[@]}"
type=application/merge-patch+json answers 403 'is not allowed to modify labels|is not allowed' PATCH /api/v1/nodes/node1 '{"metadata":{"labels":{"node-restriction.kubernetes.io/x":"y"}}}' "${as_node[@]}"
answers 201 '' POST $ns/secrets '{"metadata":{"name":"sec"}}'
answers 403 "no relationship found between node 'node1' and this object" GET $ns/secrets/sec '' "${as_node[@]}"
answers 201 '' POST $ns/pods "$(pod p4 ',"nodeName":"node1","volumes":[{"name":"v","secret":{"secretName":"sec"}}]')"
node_reads() { req $ns/secrets/sec -f "${as_node[@]}"; }
until_true node_reads
answers 200 '' GET $ns/pods/p4 '' "${as_node[@]}"
answers 403 'no relationship found' GET $ns/secrets/sec '' -H 'Impersonate-User: system:node:node2' -H 'Impersonate-Group: system:nodes'
answers 403 '' GET $ns/secrets '' "${as_node[@]}"
answers 200 '' DELETE $ns/pods/p4 '{"gracePeriodSeconds":0}'
node_cannot() { ! node_reads; }
until_true node_cannot

# --- other bodies
printf 'k8s\0\012\017\012\002v1\022\011ConfigMap\022\014\012\012\012\002pb\022\000\032\000\042\000' >"$dir/pb"
code=$(req $cm -X POST -H 'Content-Type: application/vnd.kubernetes.protobuf' --data-binary "@$dir/pb" -o "$dir/body" -w '%{http_code}')
same "$code" 201
answers 200 '"name":"pb"' GET $cm/pb
type=application/yaml answers 201 '"name":"ya"' POST $cm $'metadata:\n  name: ya\ndata:\n  k: "on"\n'
type=text/plain answers 415 'unknown format' POST $cm 'hello'
answers 400 '' POST $cm '{"metadata":'
answers 406 'only the following media types are accepted' GET $cm '' -H 'Accept: text/html'
answers 405 'the server does not allow this method on the requested resource' POST $cm/m '{}'
answers 405 'the server does not allow this method on the requested resource' PUT $cm '{"metadata":{"name":"m"}}'
answers 404 'the server could not find the requested resource' GET /api/v1/unknown
answers 404 'the server could not find the requested resource' GET /apis/none/v1

# --- discovery and OpenAPI agree with each other
answers 200 '"versions":\["v1"\]' GET /api
answers 200 'APIGroupList' GET /apis
groups=$(grep -oE '"preferredVersion":\{"groupVersion":"[^"]*' <<<"$body" | cut -d'"' -f6)
answers 200 '"paths"' GET /openapi/v3
v3=$(grep -oE '"apis?/[^"]*":\{' <<<"$body" | cut -d'"' -f2 | sed -E 's,^apis?/,,' | sort)
for g in $groups v1; do has "$v3" "^$g\$"; done
for g in $v3; do
    answers 200 "\"groupVersion\":\"$g\"" GET "/$([[ $g == */* ]] && echo apis || echo api)/$g"
    same "$(grep -oE '\{"name":"[^"]*"' <<<"$body" | sort | uniq -d)" ''
    for verbs in $(grep -oE '"verbs":\[[^]]*\]' <<<"$body" | sort -u); do
        list=$(grep -oE '"[a-z]+"' <<<"${verbs#*:}")
        same "$list" "$(sort <<<"$list")"
    done
done
answers 200 'APIGroupDiscoveryList' GET /apis '' -H 'Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
same "$(grep -oE '"metadata":\{"name":"[^"]*"' <<<"$body" | cut -d'"' -f6 | sort | uniq -d)" ''
lib_end
