#!/usr/bin/env bash
# Faults: etcd absent at the start, killed, restarted, compacted; the apiserver killed (SIGKILL) in the middle of creates.
# Whatever was acknowledged must be there afterwards, watches go on or say 410, errors name etcd.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
etcd_flags= # with fsync: this is about durability
lib_start
cms=/api/v1/namespaces/default/configmaps
create() { req $cms -X POST -H 'Content-Type: application/json' -d "{\"metadata\":{\"name\":\"$1\"}}" -o /dev/null -w '%{http_code}'; }
revision() { req "$cms" | sed -n 's/.*"metadata":{"resourceVersion":"\([0-9]*\)".*/\1/p'; }

# --- no etcd yet: alive, not ready, says what it waits for
launch_apiserver
sleep 1
kill -0 "$api_pid" || die "the apiserver gave up without etcd"
until_true grep -q "127.0.0.1:$etcd_port" "$dir/apiserver.log"
hasnt "$(req /readyz)" '^ok$'
start_etcd
until_true is_ready
same "$(create first)" 201

# --- etcd killed: reads from memory go on, the rest says why, and all comes back by itself
req -N "$cms?watch=1&resourceVersion=$(revision)&timeoutSeconds=120" >"$dir/none" 2>&1 || true
in_background curl -sN --cacert "$dir/pki/pki/ca.crt" -H 'Authorization: Bearer admin-token' "$url$cms?watch=1&resourceVersion=$(revision)&timeoutSeconds=120" >"$dir/watch"
kill_etcd
has "$(req "$cms/first?resourceVersion=0")" '"name":"first"'
out=$(req $cms -X POST -H 'Content-Type: application/json' -d '{"metadata":{"name":"lost"}}')
has "$out" '"kind":"Status".*"code":50[034]'
has "$out" "127.0.0.1:$etcd_port"
hasnt "$(req /readyz)" '^ok$'
same "$(req /livez)" ok
start_etcd
until_true eval '[ "$(create second)" = 201 ] || [ "$(create second)" = 409 ]'
until_true grep -q '"name":"second"' "$dir/watch"
until_true is_ready
hasnt "$(req $cms)" '"name":"lost".*"name":"lost"'

# --- compaction under us: watches from before say 410 when they come too late, lists go on
old=$(revision)
for i in 1 2 3 4 5; do create "k$i" >/dev/null; done
etcdctl_ compact "$(revision)" >/dev/null
etcdctl_ defrag >/dev/null
same "$(create afterwards)" 201
kill_apiserver
start_apiserver
has "$(req "$cms?watch=1&resourceVersion=$old&timeoutSeconds=3")" '"type":"ERROR".*"reason":"Expired".*"code":410|"code":410'
has "$(req $cms)" '"name":"afterwards"'
has "$(req "$cms?watch=1&resourceVersion=0&timeoutSeconds=1")" '"name":"afterwards"'

# --- SIGKILL while eight clients create: what was answered with 201 is there, nothing is there in pieces
writer() { # N
    local i
    for i in $(seq 100000); do
        [ "$(create "w$1-$i")" = 201 ] || return 0
        echo "w$1-$i" >>"$dir/acknowledged.$1"
    done
}
for round in 1 2 3; do
    pids=
    for n in 1 2 3 4 5 6 7 8; do writer "$round-$n" & pids="$pids $!"; done
    until_true eval '[ "$(cat "$dir"/acknowledged.'$round'-* 2>/dev/null | wc -l)" -ge 40 ]'
    kill_apiserver
    # shellcheck disable=SC2086
    wait $pids
    start_apiserver
    req $cms | grep -o '"metadata":{"name":"[^"]*"' | cut -d'"' -f6 | sort >"$dir/there"
    sort "$dir"/acknowledged.* >"$dir/wanted"
    same "$(comm -23 "$dir/wanted" "$dir/there")" ''
done
echo "$(wc -l <"$dir/wanted") acknowledged creates survived three kills"
same "$(req $cms | grep -c '"kind":"ConfigMapList"')" 1

# --- both killed at once
kill_etcd
kill_apiserver
start_etcd
start_apiserver
req $cms | grep -o '"metadata":{"name":"[^"]*"' | cut -d'"' -f6 | sort >"$dir/there"
same "$(comm -23 "$dir/wanted" "$dir/there")" ''
# --- allocated addresses are not given twice after a restart
service() { req /api/v1/namespaces/default/services -X POST -H 'Content-Type: application/json' -d "{\"metadata\":{\"name\":\"$1\"},\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"port\":80}]}}" | grep -o '"clusterIP":"[^"]*"\|"nodePort":[0-9]*' | tr '\n' ' '; }
for i in 1 2 3 4 5 6; do service "a$i"; done >"$dir/addresses"
kill_apiserver
start_apiserver
for i in 1 2 3 4 5 6; do service "b$i"; done >>"$dir/addresses"
same "$(tr ' ' '\n' <"$dir/addresses" | grep -c .)" 24
same "$(tr ' ' '\n' <"$dir/addresses" | grep . | sort | uniq -d)" ''
lib_end
