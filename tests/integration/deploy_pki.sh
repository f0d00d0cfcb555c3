#!/usr/bin/env bash
# pki.sh: complete, private, repeatable, and it renews exactly what does not hold any more.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v openssl >/dev/null || { echo "no openssl"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
run() { CONF_DIR=$work/etc KUBELET_DIR=$work/kubelet NODE_NAME=n1 NODE_IP=${1:-192.0.2.2} SERVICE_CIDR=10.96.0.0/16 deploy/pki.sh; }
sums() { find "$work" -type f -exec sha256sum {} + | sort -k2; }

run >/dev/null
p=$work/etc/pki
for f in ca.crt ca.key front-proxy-ca.crt apiserver.crt apiserver-kubelet-client.crt front-proxy-client.crt sa.key sa.pub; do [ -s "$p/$f" ] || fail "no $f"; done
for f in admin controller-manager scheduler kubelet kube-proxy; do [ -s "$work/etc/$f.conf" ] || fail "no $f.conf"; done
open=$(find "$work" -type f \( -name '*.key' -o -name '*.conf' \) ! -perm 600)
[ -z "$open" ] || fail "readable by others: $open"
openssl verify -CAfile "$p/ca.crt" "$p/apiserver.crt" "$p/apiserver-kubelet-client.crt" "$work/kubelet/pki/kubelet.crt" >/dev/null || fail "not signed by the CA"
openssl verify -purpose sslclient -CAfile "$p/front-proxy-ca.crt" "$p/front-proxy-client.crt" >/dev/null || fail "front proxy client"
openssl verify -purpose sslserver -verify_ip 10.96.0.1 -CAfile "$p/ca.crt" "$p/apiserver.crt" >/dev/null || fail "no SAN for the first service address"
openssl verify -verify_hostname kubernetes.default.svc -CAfile "$p/ca.crt" "$p/apiserver.crt" >/dev/null || fail "no SAN kubernetes.default.svc"
subject() { sed -n 's/.*client-certificate-data: //p' "$work/etc/$1.conf" | base64 -d | openssl x509 -noout -subject -nameopt RFC2253; }
[ "$(subject kubelet)" = "subject=CN=system:node:n1,O=system:nodes" ] || fail "kubelet.conf: $(subject kubelet)"
[ "$(subject admin)" = "subject=CN=kubernetes-admin,O=system:masters" ] || fail "admin.conf: $(subject admin)"

sums >"$work.before"
run | grep complete >/dev/null || fail "the second run made something"
sums | diff "$work.before" - >/dev/null || fail "the second run changed files"
rm "$p/front-proxy-client.crt"
run >/dev/null
sums | diff "$work.before" - | grep '^>' | grep -v front-proxy-client && fail "more than the missing one was renewed"
run 192.0.2.9 >/dev/null
openssl verify -verify_ip 192.0.2.9 -CAfile "$p/ca.crt" "$p/apiserver.crt" >/dev/null || fail "a new node address did not renew the certificate"
rm "$p/ca.crt"
run 192.0.2.9 >/dev/null
openssl verify -CAfile "$p/ca.crt" "$p/apiserver.crt" "$p/apiserver-kubelet-client.crt" >/dev/null || fail "a new CA did not renew what it signs"
rm -f "$work.before"
echo ok
