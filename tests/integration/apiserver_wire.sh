#!/usr/bin/env bash
# The wire, byte by byte, with curl: protobuf bodies, answers and watches, tables, metadata alone, pretty printing, legacy
# watch paths, and what bad input gets: a Status with reason, code and causes, and a server that goes on.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
start_etcd
start_apiserver
decode=$PWD/$lib_build/bin/ckube-decode
[ -x "$decode" ] || decode=$lib_build/bin/ckube-decode
cms=/api/v1/namespaces/default/configmaps
pb='application/vnd.kubernetes.protobuf'
post() { req "$1" -X POST -H "Content-Type: ${3:-application/json}" --data-binary "$2" "${@:4}"; }
status() { # METHOD PATH TYPE BODY -> "code reason message"
    req "$2" -X "$1" ${3:+-H "Content-Type: $3"} ${4:+--data-binary "$4"} | sed -n 's/^{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"\(.*\)","reason":"\([A-Za-z]*\)".*"code":\([0-9]*\)}$/\3 \2 \1/p'
}
code() { req "$@" -o /dev/null -w '%{http_code}'; }
header() { # NAME PATH CURL-OPTIONS...
    local name=$1
    shift
    req "$@" -D - -o /dev/null | tr -d '\r' | sed -n "s/^$name: //Ip"
}

# --- protobuf
post $cms '{"metadata":{"name":"c1","labels":{"app":"a"}},"data":{"k":"v"}}' >"$dir/c1"
same "$(header Content-Type $cms/c1 -H "Accept: $pb")" "$pb"
same "$(req $cms/c1 -H "Accept: $pb" | head -c 4 | od -An -c | tr -d ' ')" 'k8s\0'
same "$(req $cms/c1 -H "Accept: $pb" | "$decode" -o json)" "$(req $cms/c1)"
echo '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c2"},"data":{"x":"y"}}' | "$decode" -o protobuf >"$dir/c2.pb"
same "$(post $cms "@$dir/c2.pb" "$pb" -o "$dir/out" -w '%{http_code}')" 201
has "$(cat "$dir/out")" '"data":\{"x":"y"\}' # no Accept: JSON
same "$(post "$cms?dryRun=All" "@$dir/c2.pb" "$pb" -o "$dir/out" -w '%{http_code}' -H "Accept: $pb")" 409
has "$("$decode" -o json <"$dir/out")" '"kind":"Status".*"reason":"AlreadyExists"'
same "$(header Content-Type $cms -H "Accept: $pb")" "$pb"
has "$(req $cms -H "Accept: $pb" | strings)" 'ConfigMapList'
req "$cms?watch=1&resourceVersion=0&timeoutSeconds=1" -H "Accept: $pb;stream=watch" -D "$dir/headers" -o "$dir/frames"
has "$(cat "$dir/headers")" "[Cc]ontent-[Tt]ype: $pb;stream=watch"
frames=0 at=0 size=$(stat -c %s "$dir/frames")
while [ $at -lt "$size" ]; do # each frame: its length in four bytes, then a bare WatchEvent: type, object
    len=$((16#$(tail -c +$((at + 1)) "$dir/frames" | head -c 4 | od -An -tx1 | tr -d ' ')))
    tail -c +$((at + 5)) "$dir/frames" | head -c "$len" >"$dir/frame"
    same "$(head -c 7 "$dir/frame" | od -An -c | tr -d ' ')" '\n005ADDED'
    object=$(grep -obUa 'k8s' "$dir/frame" | head -n 1 | cut -d: -f1) # its object is in an envelope
    has "$(tail -c +$((object + 1)) "$dir/frame" | "$decode" -o json)" '^\{"kind":"ConfigMap","apiVersion":"v1","metadata":\{"name":"c[12]"'
    at=$((at + 4 + len)) frames=$((frames + 1))
done
same "$at $frames" "$size 2"
for accept in "$pb" 'application/vnd.kubernetes.protobuf;q=0.9,application/json;q=0.8' "application/xml, $pb"; do same "$(header Content-Type $cms/c1 -H "Accept: $accept")" "$pb"; done
same "$(header Content-Type $cms/c1 -H 'Accept: application/json, */*;q=0.1')" application/json
has "$(req $cms/c1 -H 'Accept: application/yaml')" '^kind: ConfigMap'
same "$(printf 'kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: y1\n' >"$dir/y"; post $cms "@$dir/y" application/yaml -o /dev/null -w '%{http_code}')" 201

# --- tables and metadata alone
table='application/json;as=Table;v=v1;g=meta.k8s.io'
has "$(req $cms -H "Accept: $table")" '^\{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":\{"resourceVersion":"[0-9]+"\},"columnDefinitions":\[\{"name":"Name","type":"string","format":"name","description":".*","priority":0\}'
has "$(req "$cms?includeObject=None" -H "Accept: $table")" '"cells":\["c1",1,"[0-9]+s"\],"object":null'
has "$(req "$cms?includeObject=Object" -H "Accept: $table")" '"object":\{"kind":"ConfigMap"'
has "$(req $cms -H "Accept: $table")" '"object":\{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":\{"name":"c1"'
has "$(req $cms/c1 -H "Accept: $table")" '"kind":"Table".*"cells":\["c1",1,'
has "$(req /api/v1/namespaces/default/configmaps/none -H "Accept: $table")" '"kind":"Status".*"reason":"NotFound"'
partial='application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'
has "$(req $cms/c1 -H "Accept: $partial")" '^\{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":\{"name":"c1"'
hasnt "$(req $cms/c1 -H "Accept: $partial")" '"data"'
has "$(req $cms -H 'Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io')" '^\{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":\{"resourceVersion":"[0-9]+"\},"items":\[\{'
same "$(req $cms/c1 -H "Accept: $pb;as=PartialObjectMetadata;v=v1;g=meta.k8s.io" | head -c 3)" k8s
has "$(req "$cms?watch=1&resourceVersion=0&timeoutSeconds=1" -H "Accept: $partial")" '^\{"type":"ADDED","object":\{"kind":"PartialObjectMetadata"'
has "$(status GET $cms/c1 '' '')" '^$'
same "$(code $cms -H 'Accept: application/json;as=Nothing;v=v1;g=meta.k8s.io')" 406
same "$(code $cms -H 'Accept: image/png')" 406
has "$(req $cms -H 'Accept: image/png')" '"reason":"NotAcceptable"'

# --- pretty, legacy watches, deletecollection, paths, headers
has "$(req "$cms/c1?pretty=true")" '^  "kind": "ConfigMap",$'
has "$(req "$cms?pretty=true")" '^  "kind": "ConfigMapList",$'
has "$(req "/apis?pretty=1")" '^  "kind": "APIGroupList",$'
has "$(req "$cms/none?pretty=true")" '^  "reason": "NotFound",$'
has "$(req "/api/v1/watch/namespaces/default/configmaps?resourceVersion=0&timeoutSeconds=1")" '^\{"type":"ADDED"'
has "$(req "/api/v1/watch/namespaces/default/configmaps/c1?resourceVersion=0&timeoutSeconds=1")" '"name":"c1"'
hasnt "$(req "/api/v1/watch/namespaces/default/configmaps/c1?resourceVersion=0&timeoutSeconds=1")" '"name":"c2"'
hasnt "$(req $cms)" selfLink
same "$(header Cache-Control $cms/c1)" 'no-cache, private'
has "$(header Audit-Id $cms/c1)" '^[0-9a-f-]{36}$'
has "$(header X-Kubernetes-Pf-Flowschema-Uid $cms/c1)" '' # doors: flow control comes later
has "$(post "$cms" '{"metadata":{"name":"w"},"nope":1}' application/json -D - -o /dev/null | tr -d '\r')" '^[Ww]arning: 299 - "unknown field \\"nope\\""$'
same "$(code $cms/c1 -I)" 200
has "$(req "$cms?labelSelector=app%3Da" -X DELETE)" '"kind":"ConfigMapList".*"name":"c1"'
has "$(req $cms/c2 -X DELETE)" '^\{"kind":"Status","apiVersion":"v1","metadata":\{\},"status":"Success","details":\{"name":"c2","kind":"configmaps","uid":"[0-9a-f-]{36}"\}\}'
same "$(code / )" 200
same "$(code /api/)" 200
same "$(code /apis/)" 200
has "$(req /)" '"/apis/apps/v1"'
same "$(code /nowhere)" 404

# --- bad input
has "$(status GET $cms/none)" '^404 NotFound configmaps \\"none\\" not found$'
has "$(req $cms/none)" '"details":\{"name":"none","kind":"configmaps"\}'
has "$(status POST $cms application/json '{"metadata":')" '^400 BadRequest '
has "$(status POST $cms application/json '')" '^400 BadRequest '
has "$(status POST $cms application/json '[]')" '^400 BadRequest '
has "$(status POST $cms application/json '{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"}}')" '^400 BadRequest .*Secret in version \\"v1\\" cannot be handled as a ConfigMap'
has "$(status POST $cms application/json '{"apiVersion":"apps/v1","kind":"ConfigMap","metadata":{"name":"x"}}')" '^400 BadRequest .*does not match the expected API version'
has "$(status POST $cms application/json '{"metadata":{"name":7}}')" '^400 BadRequest .*json: cannot unmarshal number into Go struct field .*metadata.name of type string'
has "$(status POST $cms application/json '{"metadata":{"name":"x"},"data":[1]}')" '^400 BadRequest .*cannot unmarshal array into Go struct field .*data of type map'
has "$(status POST $cms application/yaml 'a: [b')" '^400 BadRequest '
has "$(status POST $cms "$pb" 'k8s-nonsense')" '^400 BadRequest '
printf 'k8s\0\377\377\377\377' >"$dir/bad.pb"
has "$(status POST $cms "$pb" "@$dir/bad.pb")" '^400 BadRequest '
has "$(status POST $cms text/plain 'x')" '^415 UnsupportedMediaType '
has "$(status POST $cms application/json '{"metadata":{"name":"A_b"}}')" '^422 Invalid ConfigMap \\"A_b\\" is invalid: metadata.name: Invalid value: \\"A_b\\": a lowercase RFC 1123 subdomain'
has "$(post $cms '{"metadata":{"name":"A_b"}}')" '"details":\{"name":"A_b","kind":"ConfigMap","causes":\[\{"reason":"FieldValueInvalid","message":"Invalid value: .*","field":"metadata.name"\}\]\}'
has "$(post $cms '{"metadata":{}}')" 'metadata.name: Required value: name or generateName is required'
has "$(status POST "$cms?fieldValidation=Strict" application/json '{"metadata":{"name":"x"},"a":1,"b":2,"data":{"k":"1","k":"2"}}')" '^400 BadRequest .*strict decoding error: unknown field \\"a\\", unknown field \\"b\\", duplicate field \\"data.k\\"|strict decoding error: .*duplicate field'
has "$(status POST "$cms?fieldValidation=Perhaps" application/json '{"metadata":{"name":"x"}}')" '^422 Invalid .*fieldValidation'
has "$(status POST "$cms?dryRun=Some" application/json '{"metadata":{"name":"x"}}')" '^422 Invalid .*dryRun'
deep=$(printf '%*s' 5000 '' | tr ' ' '[')
has "$(status POST $cms application/json "{\"metadata\":{\"name\":\"x\"},\"data\":$deep")" '^400 BadRequest '
has "$(status POST $cms application/json '{"metadata":{"name":"x","generation":99999999999999999999999}}')" '^400 BadRequest '
head -c 4000000 /dev/zero | tr '\0' 'x' >"$dir/big"
has "$(req $cms -X POST -H 'Content-Type: application/json' --data-binary "@$dir/big" -H 'Expect:')" '"reason":"RequestEntityTooLarge".*"code":413'
printf '{"metadata":{"name":"big"},"data":{"k":"%s"}}' "$(head -c 1600000 /dev/zero | tr '\0' 'x')" >"$dir/big"
has "$(req $cms -X POST -H 'Content-Type: application/json' --data-binary "@$dir/big")" '"code":(413|422)'
big_head() { { printf 'GET /version HTTP/1.1\r\nHost: x\r\nX-Big: '; head -c 1200000 /dev/zero | tr '\0' 'x'; printf '\r\n\r\n'; } 2>/dev/null; }
has "$(big_head | timeout 20 openssl s_client -quiet -connect "127.0.0.1:$api_port" 2>/dev/null | sed -n 1p)" '^HTTP/1.1 431 '
post $cms '{"metadata":{"name":"p"},"data":{"k":"v"}}' >/dev/null
has "$(status PATCH $cms/p application/merge-patch+json '{"data":')" '^400 BadRequest '
has "$(status PATCH $cms/p application/json-patch+json '{"op":"x"}')" '^400 BadRequest '
has "$(status PATCH $cms/p application/json-patch+json '[{"op":"remove","path":"/data/none"}]')" '^422 Invalid '
has "$(status PATCH $cms/p application/strategic-merge-patch+json '7')" '^400 BadRequest '
has "$(status PATCH $cms/p application/apply-patch+yaml 'a: [')" '^400|^422'
has "$(status PATCH "$cms/p?fieldManager=m" application/apply-patch+yaml 'a: [')" '^400 BadRequest '
has "$(status PATCH $cms/p application/json '{}')" '^415 UnsupportedMediaType '
has "$(status PATCH $cms/p application/merge-patch+json '{"metadata":{"name":"other"}}')" '^(400 BadRequest .*does not match|422 Invalid .*metadata.name: Invalid value: .*field is immutable)'
has "$(status PUT $cms/p application/json '{"metadata":{"name":"q"}}')" '^400 BadRequest .*the name of the object \(q\) does not match the name on the URL \(p\)'
has "$(status PUT $cms/p application/json '{"metadata":{"name":"p","resourceVersion":"1"}}')" '^409 Conflict .*the object has been modified'
has "$(status PUT $cms/p application/json '{"metadata":{"name":"p","uid":"1-2"}}')" '^409 Conflict .*Precondition failed: UID in precondition'
has "$(status PUT $cms/none application/json '{"metadata":{"name":"none"}}')" '^404 NotFound '
has "$(status DELETE $cms/p application/json '{"preconditions":{"uid":"1-2"}}')" '^409 Conflict '
has "$(status DELETE $cms/p application/json '{"propagationPolicy":"Sideways"}')" '^422 Invalid '
has "$(status POST $cms/p application/json '{}')" '^405 MethodNotAllowed '
has "$(status PUT $cms application/json '{}')" '^405 MethodNotAllowed '
has "$(status PATCH /apis/authorization.k8s.io/v1/selfsubjectaccessreviews application/json '{}')" '^405 MethodNotAllowed '
has "$(status PATCH /api/v1/componentstatuses/etcd-0 application/merge-patch+json '{}')" '^405 MethodNotAllowed '
has "$(status DELETE /api/v1/namespaces '')" '^405 MethodNotAllowed '
has "$(status POST /api/v1/namespaces/nope/configmaps application/json '{"metadata":{"name":"x"}}')" '^404 NotFound namespaces \\"nope\\" not found'
has "$(status POST $cms application/json '{"metadata":{"name":"x","namespace":"other"}}')" '^400 BadRequest the namespace of the provided object does not match the namespace sent on the request'
has "$(req $cms -X BREW)" '"code":(400|405)|^$'

# --- who is it
token=wrong
has "$(status GET $cms)" '^401 Unauthorized Unauthorized$'
same "$(code $cms)" 401
token=user-token
has "$(status GET $cms)" '^403 Forbidden configmaps is forbidden: User \\"jane\\" cannot list resource \\"configmaps\\" in API group \\"\\" in the namespace \\"default\\"$'
unset token
anonymous() { curl -s --cacert "$dir/pki/pki/ca.crt" "$@"; }
has "$(anonymous "$url$cms")" 'User \\"system:anonymous\\" cannot list resource'
same "$(anonymous "$url/livez")" ok
has "$(anonymous "$url/version")" '"gitVersion": ?"v1\.35'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$dir/evil.key" -out "$dir/evil.crt" -subj /O=system:masters/CN=evil -days 1 2>/dev/null
hasnt "$(anonymous --cert "$dir/evil.crt" --key "$dir/evil.key" "$url$cms")" 'ConfigMapList'
has "$(anonymous --cert "$dir/admin.crt" --key "$dir/admin.key" "$url$cms")" 'ConfigMapList'
expired() { openssl x509 -req -in <(openssl req -new -key "$dir/evil.key" -subj /O=system:masters/CN=late) -CA "$dir/pki/pki/ca.crt" -CAkey "$dir/pki/pki/ca.key" -not_before 20200101000000Z -not_after 20200102000000Z -out "$dir/late.crt" 2>/dev/null; }
if expired; then hasnt "$(anonymous --cert "$dir/late.crt" --key "$dir/evil.key" "$url$cms")" 'ConfigMapList'; fi

# --- still there
has "$(req $cms)" '"kind":"ConfigMapList"'
exec 3<>"/dev/tcp/127.0.0.1/$api_port" # a client that says nothing
exec 4<>"/dev/tcp/127.0.0.1/$api_port"
printf 'GET / HTTP/1.1\r\n\r\n' >&4 # and one that does not speak TLS
has "$(req $cms)" '"kind":"ConfigMapList"'
exec 3>&- 4>&-
lib_end
