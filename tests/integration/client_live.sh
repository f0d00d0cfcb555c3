#!/usr/bin/env bash
# The client library against our apiserver and a real etcd; the apiserver is killed and started again in between.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
command -v etcd >/dev/null || { echo "no etcd here"; exit 77; }
[ -x "$build/bin/kube-apiserver" ] && [ -x "$build/tests/unit/client/test_live" ] || { echo "not built"; exit 77; }
run=$(mktemp -d)
port=$((20000 + $$ % 10000)) etcd=$((30000 + $$ % 10000))

stop() {
    for f in "$run"/*.pid; do kill "$(cat "$f")" 2>/dev/null || true; done
    rm -rf "$run"
}
trap stop EXIT

etcd --data-dir "$run/etcd" --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
    --listen-peer-urls "http://127.0.0.1:$((etcd + 10000))" --initial-advertise-peer-urls "http://127.0.0.1:$((etcd + 10000))" \
    --initial-cluster "default=http://127.0.0.1:$((etcd + 10000))" >"$run/etcd.log" 2>&1 &
echo $! >"$run/etcd.pid"
openssl genrsa -out "$run/sa.key" 2048 2>/dev/null
echo 'admin-token,admin,1,system:masters' >"$run/tokens.csv"
cat >"$run/admin.conf" <<EOF
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://127.0.0.1:$port", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: admin-token}}]
EOF
cat >"$run/start.sh" <<EOF
#!/usr/bin/env bash
[ ! -f "$run/api.pid" ] || kill -KILL \$(cat "$run/api.pid")
"$PWD/$build/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:$etcd --secure-port=$port --bind-address=127.0.0.1 --cert-dir="$run/certs" \\
    --service-account-key-file="$run/sa.key" --service-account-signing-key-file="$run/sa.key" --service-account-issuer=https://kubernetes.default.svc \\
    --service-cluster-ip-range=10.0.0.0/16 --authorization-mode=RBAC --token-auth-file="$run/tokens.csv" >>"$run/api.log" 2>&1 </dev/null &
echo \$! >"$run/api.pid"
EOF
case $build in /*) sed -i "s|$PWD/$build|$build|" "$run/start.sh" ;; esac
chmod +x "$run/start.sh"
"$run/start.sh"
for _ in $(seq 200); do
    curl -ksf -H 'Authorization: Bearer admin-token' "https://127.0.0.1:$port/readyz" >/dev/null && break
    sleep 0.1
done
CKUBE_LIVE_KUBECONFIG=$run/admin.conf CKUBE_LIVE_RESTART=$run/start.sh "$build/tests/unit/client/test_live" || {
    tail -n 20 "$run/api.log"
    exit 1
}
