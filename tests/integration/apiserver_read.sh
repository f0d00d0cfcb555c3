#!/usr/bin/env bash
# get, list and watch through the real kube-apiserver on a private etcd: paging, selectors, revisions, bookmarks,
# resume, 410, and etcd killed under it.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${BUILD:-build}/bin/kube-apiserver
command -v etcd >/dev/null && command -v curl >/dev/null && command -v openssl >/dev/null || { echo "etcd, curl or openssl is missing"; exit 77; }
[ -x "$bin" ] || { echo "$bin is not built"; exit 77; }

dir=$(mktemp -d /tmp/ckube-read-XXXXXX)
pids=()
finish() {
    local rc=$?
    [ $rc -eq 0 ] || { echo "--- apiserver log"; tail -n 20 "$dir/apiserver.log" 2>/dev/null; }
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
    exit $rc
}
trap finish EXIT

# shellcheck disable=SC2046
read -r etcd_port peer_port api_port <<<"$(for i in 1 2 3; do echo $((20000 + (RANDOM * 3 + i * 13) % 12000)); done | tr '\n' ' ')"
start_etcd() {
    etcd --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-cluster "default=http://127.0.0.1:$peer_port" --unsafe-no-fsync --log-level error >>"$dir/etcd.log" 2>&1 &
    etcd_pid=$!
    pids+=("$etcd_pid")
}
openssl genrsa -out "$dir/sa.key" 2048 2>/dev/null
openssl rsa -in "$dir/sa.key" -pubout -out "$dir/sa.pub" 2>/dev/null
echo "admin-token,admin,1,system:masters" >"$dir/tokens.csv"
"$bin" --etcd-servers="http://127.0.0.1:$etcd_port" --secure-port="$api_port" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
    --cert-dir="$dir" --service-account-key-file="$dir/sa.pub" --service-account-signing-key-file="$dir/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.0.0.0/16 --authorization-mode=RBAC \
    --token-auth-file="$dir/tokens.csv" >"$dir/apiserver.log" 2>&1 &
api_pid=$!
pids+=("$api_pid")
sleep 0.3 # etcd comes later on purpose: the apiserver waits for it
start_etcd

url=https://127.0.0.1:$api_port
req() { curl -sk --max-time 30 -H "Authorization: Bearer admin-token" "$@"; }
fail() { echo "FAILED: $*"; exit 1; }
until_true() { # COMMAND...: at most 20 s
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    fail "never true: $*"
}
has() { # TEXT PATTERN
    grep -q -- "$2" <<<"$1" || fail "\"$2\" is not in: ${1:0:600}"
}
hasnt() { ! grep -q -- "$2" <<<"$1" || fail "\"$2\" is in: ${1:0:600}"; }
revision() { sed -n 's/.*"metadata":{"resourceVersion":"\([0-9]*\)".*/\1/p' <<<"$1" | head -n 1; }
token() { sed -n 's/.*"continue":"\([^"]*\)".*/\1/p' <<<"$1"; }
names() { grep -o '"metadata":{"name":"[^"]*"' <<<"$1" | cut -d'"' -f6 | tr '\n' ' '; }
cms=$url/api/v1/namespaces/default/configmaps
make() { # NAME LABEL
    req -X POST -H 'Content-Type: application/json' "$cms" -d "{\"metadata\":{\"name\":\"$1\",\"labels\":{\"app\":\"$2\"}},\"data\":{\"k\":\"v\"}}" -o "$dir/out" -w '%{http_code}'
}
until_true req -f "$url/readyz"

# --- lists
for i in 1 2 3 4 5 6 7; do [ "$(make "c$i" "$([ "$i" -gt 4 ] && echo b || echo a)")" = 201 ] || fail "create c$i: $(cat "$dir/out")"; done
all=$(req "$cms?labelSelector=app")
[ "$(names "$all")" = "c1 c2 c3 c4 c5 c6 c7 " ] || fail "list: $(names "$all")"
has "$(req "$cms?labelSelector=app%3Da&fieldSelector=metadata.name%21%3Dc2")" '"c4"'
hasnt "$(req "$cms?labelSelector=app%3Da&fieldSelector=metadata.name%21%3Dc2")" '"c2"'
[ "$(names "$(req "$cms?fieldSelector=metadata.name%3Dc3")")" = "c3 " ] || fail "list by name"
page=$(req "$cms?labelSelector=app&limit=3")
[ "$(names "$page")" = "c1 c2 c3 " ] || fail "first page: $(names "$page")"
hasnt "$page" remainingItemCount # not told with a selector
has "$(req "$cms?limit=3")" '"remainingItemCount":'
first=$(revision "$page")
req -X DELETE "$cms/c5" >/dev/null
page=$(req "$cms?labelSelector=app&limit=3&continue=$(token "$page")")
[ "$(names "$page")" = "c4 c5 c6 " ] || fail "second page: $(names "$page")"
[ "$(revision "$page")" = "$first" ] || fail "pages of two revisions"
page=$(req "$cms?labelSelector=app&limit=3&continue=$(token "$page")")
[ "$(names "$page")" = "c7 " ] || fail "last page: $(names "$page")"
hasnt "$(req "$cms?labelSelector=app")" '"c5"'
has "$(req "$cms?resourceVersion=$first&resourceVersionMatch=Exact")" '"c5"'
has "$(req "$cms?continue=nonsense")" 'continue key is not valid'
has "$(req "$cms?resourceVersion=99999999")" 'Too large resource version'
has "$(req "$cms?resourceVersionMatch=Exact")" 'forbidden unless resourceVersion is provided'
has "$(req "$cms?resourceVersion=x")" '"code":400'
has "$(req "$cms?fieldSelector=data.k%3Dv")" 'is not a known field selector'
has "$(req "$url/api/v1/pods?fieldSelector=spec.foo%3Dv")" 'field label not supported: spec.foo'
has "$(req "$cms?labelSelector=%3D%3D")" '"code":400'
has "$(req "$cms/none")" '"message":"configmaps \\"none\\" not found"'
has "$(req "$cms/c1?resourceVersion=0")" '"resourceVersion":"'

# --- watches
start=$(revision "$(req "$cms")")
req -N "$cms?watch=1&resourceVersion=$start&labelSelector=app%3Da&timeoutSeconds=20" >"$dir/watch" &
watch_pid=$!
make d1 b >/dev/null
make d2 a >/dev/null
req -X PATCH -H 'Content-Type: application/merge-patch+json' "$cms/d1" -d '{"metadata":{"labels":{"app":"a"}}}' >/dev/null
req -X PATCH -H 'Content-Type: application/merge-patch+json' "$cms/d2" -d '{"metadata":{"labels":{"app":"b"}}}' >/dev/null
req -X DELETE "$cms/d1" >/dev/null
events() { sed 's/{"type":"\([A-Z]*\)".*"metadata":{"name":"\([^"]*\)".*/\1 \2,/' "$1" | tr -d '\n'; }
want="ADDED d2,ADDED d1,DELETED d2,DELETED d1,"
until_true eval '[ "$(events "$dir/watch")" = "$want" ]'
kill "$watch_pid"
# resumed later: the same again
has "$(req "$cms?watch=1&resourceVersion=$start&labelSelector=app%3Da&timeoutSeconds=1")" 'd1'
[ "$(req "$cms?watch=1&resourceVersion=$start&labelSelector=app%3Da&timeoutSeconds=1" >"$dir/again"; events "$dir/again")" = "$want" ] || fail "resume: $(cat "$dir/again")"
initial=$(req "$url/api/v1/namespaces/kube-public/secrets?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1")
has "$initial" '"k8s.io/initial-events-end":"true"'
has "$(req "$cms?watch=1&resourceVersion=0&timeoutSeconds=1")" '"type":"ADDED"'
has "$(req "$cms?watch=1&sendInitialEvents=true")" 'requires setting resourceVersionMatch to NotOlderThan'
has "$(req -H 'Accept: application/vnd.kubernetes.protobuf;stream=watch' "$cms?watch=1&resourceVersion=0&timeoutSeconds=1" | tr -d '\0')" 'k8s'
has "$(req -H 'Accept: application/json;as=Table;g=meta.k8s.io;v=v1' "$cms?watch=1&resourceVersion=0&timeoutSeconds=1")" '"kind":"Table"'

# --- etcd dies: memory answers, writes and consistent reads say why; then everything goes on, watches too
req -N "$cms?watch=1&resourceVersion=$(revision "$(req "$cms")")&timeoutSeconds=60" >"$dir/watch" &
kill -9 "$etcd_pid"
wait "$etcd_pid" 2>/dev/null || true
has "$(req "$cms/c1?resourceVersion=0")" '"name":"c1"'
out=$(req "$cms/c1")
has "$out" '"code":503'
has "$out" "127.0.0.1:$etcd_port"
[ "$(make e1 a)" = 503 ] || fail "a write without etcd: $(cat "$dir/out")"
start_etcd
until_true eval '[ "$(make e2 a)" = 201 ]'
until_true eval 'grep -q e2 "$dir/watch"'
has "$(req "$cms")" '"e2"'

# --- compaction: old points are gone
between=$(($(revision "$(req "$cms")") + 1))
for p in $(seq 3); do req -X PATCH -H 'Content-Type: application/merge-patch+json' "$cms/e2" -d "{\"data\":{\"k\":\"$p\"}}" >/dev/null; done
ETCDCTL_API=3 etcdctl --endpoints="http://127.0.0.1:$etcd_port" compact "$(revision "$(req "$cms")")" >/dev/null
has "$(req "$cms?resourceVersion=$between&resourceVersionMatch=Exact")" 'The resourceVersion for the provided list is too old'
has "$(req "$cms?resourceVersion=$first&resourceVersionMatch=Exact")" '"c5"' # a paged list's snapshot outlives the compaction
kill -TERM "$api_pid"
for _ in $(seq 100); do kill -0 "$api_pid" 2>/dev/null || break; sleep 0.1; done
! kill -0 "$api_pid" 2>/dev/null || fail "the apiserver does not stop"
wait "$api_pid" || fail "the apiserver ended with code $?" # sanitizers tell here, too
echo "all fine"
