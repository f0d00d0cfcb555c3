#!/usr/bin/env bash
# hostile_api.sh - requests that nobody honest sends: each gets a Status that says what is wrong, and the server goes on as before.
. tests/integration/lib.sh
lib_start
start_etcd
start_apiserver
maps=/api/v1/namespaces/default/configmaps

code() { # WANT WORD PATH CURL-OPTIONS...: the code, and a Status that holds the word
    local want=$1 word=$2 out
    shift 2
    lib_checks=$((lib_checks + 1))
    out=$(req "$@" -w '\n%{http_code}')
    [ "${out##*$'\n'}" = "$want" ] && grep -q '"kind": *"Status"' <<<"$out" && grep -qF -- "$word" <<<"$out" || fail "want $want '$word' for $*: ${out: -600}"
}
repeat() { head -c "$2" /dev/zero | sed "s/\x00/$1/g"; } # TEXT TIMES
post() { # WANT WORD TYPE: the body is stdin
    cat >"$dir/body"
    code "$1" "$2" "$maps" -X POST -H "Content-Type: $3" --data-binary "@$dir/body"
}
json() { post "$1" "$2" application/json; }

# --- bodies
printf '' | json 400 EOF
printf '{"kind":"ConfigMap","metadata":{"na' | json 400 'unexpected end'
printf '{"kind":"Conf\0igMap"}' | json 400 'invalid character'
{ printf '{"kind":"ConfigMap","apiVersion":"v1","x":'; repeat '[' 500000; } | json 400 'max depth'
{ printf '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"big"},"data":{"a":"'; repeat x 1600000; printf '"}}'; } | json 422 'Too long'
repeat ' ' 4000000 | json 413 'too large'
printf '{"kind":"Secret","apiVersion":"v1"}' | json 400 'unknown conversion'
printf '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"../x"}}' | json 422 'metadata.name'
printf 'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n' |
    post 400 'excessive aliasing' application/yaml
printf 'a: &a [*a]\n' | post 400 'contains itself' application/yaml
printf 'k8s\0\377\377\377\377\377\377\377\377\377\377\377' | post 400 'illegal tag' application/vnd.kubernetes.protobuf
printf 'x' | post 415 'unknown format' text/plain

# --- patches that point nowhere
req "$maps" -X POST -H 'Content-Type: application/json' -o /dev/null -d '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"m"},"data":{"a":"b"}}'
patch() { code "$1" "$2" "${5:-$maps/m}" -X PATCH -H "Content-Type: application/$3" --data-binary "$4"; }
patch 422 '' json-patch+json '[{"op":"remove","path":"/no/where"}]'
patch 400 '' json-patch+json '{'
patch 400 '' merge-patch+json '[]'
patch 400 '' strategic-merge-patch+json '{"$patch":"bogus"}'
patch 415 'json-patch' json '{}'
patch 405 'MethodNotAllowed' merge-patch+json '{}' "$maps"

# --- names, paths, queries
for path in "$maps/%2e%2e" "$maps/a%2fb" /api/v9/pods /apis/none/v1/x /api/v1/namespaces/%2e%2e/configmaps/x; do code 404 NotFound "$path" --path-as-is; done
for path in "$maps/%00" "$maps/%zz"; do code 400 BadRequest "$path"; done
for query in limit=abc continue=abc resourceVersion=-1 'labelSelector=a+in+(' fieldSelector=bogus%3Dx 'watch=1&resourceVersion=abc'; do code 400 '"reason"' "$maps?$query"; done
code 414 '' "/$(repeat a 20000)"
printf 'X-%d: y\n' $(seq 400) >"$dir/headers"
code 431 '' /api -H "@$dir/headers"
token=a.b.c code 401 Unauthorized "$maps"
token=user-token code 403 Forbidden "$maps" -H 'Impersonate-User: admin' -H 'Impersonate-Group: system:masters'

# --- nothing is created in a namespace whose deletion was acknowledged, however busy other writers are
busy() { for i in $(seq 400); do echo "url = $url$maps/m?n=$i"; echo 'request = PATCH'; echo "data = {\"data\":{\"w\":\"$1-$i\"}}"; echo 'output = /dev/null'; done |
    curl -s --cacert "$dir/pki/pki/ca.crt" -H 'Authorization: Bearer admin-token' -H 'Content-Type: application/merge-patch+json' -K - ; }
for i in 1 2 3 4; do in_background busy "$i"; done
for i in $(seq 10); do
    req /api/v1/namespaces -X POST -H 'Content-Type: application/json' -o /dev/null -d "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"gone$i\"}}"
    req "/api/v1/namespaces/gone$i" -X DELETE -o /dev/null
    code 403 'being terminated' "/api/v1/namespaces/gone$i/configmaps" -X POST -H 'Content-Type: application/json' -d '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"late"}}'
done
sees '"a": *"b"' req "$maps/m"
lib_end
