#!/usr/bin/env bash
# pki.sh: the certificates, keys and kubeconfigs of a cluster, with the names and places kubeadm gives them.
# Safe to repeat: what is there and still good stays; what is missing, about to expire (30 days), issued by another CA
# or lacks a needed name is made anew.
#
#   CONF_DIR   /etc/kubernetes        kubeconfigs; certificates in CONF_DIR/pki
#   NODE_NAME  this host              NODE_IP its address
#   SERVICE_CIDR 10.96.0.0/16         its first address goes into the serving certificate
#   API_SERVER https://127.0.0.1:6443 what the kubeconfigs point to
#   EXTRA_SANS "DNS:api.example.org,IP:203.0.113.7"   more names of the API server
#   KUBELET_DIR /var/lib/kubelet      the kubelet's serving certificate goes to KUBELET_DIR/pki
#
#   pki.sh                        everything
#   pki.sh kubelet NAME IP OUT    only what another node needs, into OUT/ (kubelet.conf, kubelet.crt, kubelet.key, ca.crt)
set -euo pipefail
CONF_DIR=${CONF_DIR:-/etc/kubernetes}
NODE_NAME=${NODE_NAME:-$(hostname | tr '[:upper:]' '[:lower:]')}
NODE_IP=${NODE_IP:-127.0.0.1}
SERVICE_CIDR=${SERVICE_CIDR:-10.96.0.0/16}
API_SERVER=${API_SERVER:-https://127.0.0.1:6443}
EXTRA_SANS=${EXTRA_SANS:-}
KUBELET_DIR=${KUBELET_DIR:-/var/lib/kubelet}
pki=$CONF_DIR/pki
days_ca=3650 days=365
made=0

note() { made=$((made + 1)); echo "  made $1"; }

first_address() { # CIDR -> its network address + 1
    local net=${1%/*} a b c d n
    IFS=. read -r a b c d <<<"$net"
    n=$(((a << 24 | b << 16 | c << 8 | d) + 1))
    echo "$((n >> 24 & 255)).$((n >> 16 & 255)).$((n >> 8 & 255)).$((n & 255))"
}

new_key() { # FILE: readable by its owner only, from its first byte
    (umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null)
}

key_matches() { # CRT KEY
    [ "$(openssl x509 -in "$1" -noout -pubkey 2>/dev/null)" = "$(openssl pkey -in "$2" -pubout 2>/dev/null)" ]
}

ca() { # NAME CN: pki/NAME.crt and .key
    local crt=$pki/$1.crt key=$pki/$1.key
    if [ -s "$crt" ] && [ -s "$key" ] && key_matches "$crt" "$key" && openssl x509 -in "$crt" -noout -checkend 2592000 >/dev/null; then return; fi
    new_key "$key"
    openssl req -x509 -new -key "$key" -days $days_ca -subj "/CN=$2" -out "$crt" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign
    note "$crt"
}

has_sans() { # CRT SANS
    local text want
    [ -n "$2" ] || return 0
    text=$(openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | tail -n +2 | tr -d ' ' | sed 's/IPAddress:/IP:/g')
    for want in ${2//,/ }; do
        [[ ",$text," == *",$want,"* ]] || return 1
    done
}

# cert CA FILE SUBJECT USAGE [SANS]: FILE.crt and FILE.key signed by pki/CA; USAGE client | server | both
cert() {
    local ca=$pki/$1 out=$2 subject=$3 usage=$4 sans=${5:-} eku
    if [ -s "$out.crt" ] && [ -s "$out.key" ] && openssl x509 -in "$out.crt" -noout -checkend 2592000 >/dev/null 2>&1 &&
        openssl verify -CAfile "$ca.crt" "$out.crt" >/dev/null 2>&1 && key_matches "$out.crt" "$out.key" && has_sans "$out.crt" "$sans" &&
        [ "$(openssl x509 -in "$out.crt" -noout -subject -nameopt RFC2253)" = "$(subject_line "$subject")" ]; then return; fi
    case $usage in client) eku=clientAuth ;; server) eku=serverAuth ;; *) eku=serverAuth,clientAuth ;; esac
    new_key "$out.key"
    openssl req -new -key "$out.key" -subj "$subject" |
        openssl x509 -req -days $days -CA "$ca.crt" -CAkey "$ca.key" -set_serial "0x$(openssl rand -hex 16 | sed 's/^[89a-f]/7/')" -out "$out.crt" \
            -extfile <(printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=%s\n' $eku
                [ -z "$sans" ] || printf 'subjectAltName=%s\n' "$sans") 2>/dev/null
    note "$out.crt"
}

subject_line() { # "/O=a/CN=b" -> what x509 -subject prints in RFC 2253 form (last part first)
    local part out=
    IFS=/ read -ra parts <<<"${1#/}"
    for part in "${parts[@]}"; do out=$part${out:+,$out}; done
    echo "subject=$out"
}

service_account_key() { # RSA: tokens are RS256, which every verifier knows
    if [ ! -s "$pki/sa.key" ]; then
        (umask 077; openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$pki/sa.key" 2>/dev/null)
        note "$pki/sa.key"
        rm -f "$pki/sa.pub"
    fi
    [ -s "$pki/sa.pub" ] || openssl pkey -in "$pki/sa.key" -pubout -out "$pki/sa.pub"
}

b64() { base64 -w0 "$1"; }

# kubeconfig FILE USER SUBJECT: its client certificate lives in the file only
kubeconfig() {
    local file=$1 user=$2 subject=$3 work text
    work=$(mktemp -d)
    if [ -s "$file" ]; then # take the pieces out, so that cert() can judge them
        sed -n 's/.*client-certificate-data: //p' "$file" | base64 -d >"$work/c.crt" 2>/dev/null || true
        (umask 077; sed -n 's/.*client-key-data: //p' "$file" | base64 -d >"$work/c.key" 2>/dev/null) || true
    fi
    cert ca "$work/c" "$subject" client >/dev/null
    text="apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    certificate-authority-data: $(b64 "$pki/ca.crt")
    server: $API_SERVER
users:
- name: $user
  user:
    client-certificate-data: $(b64 "$work/c.crt")
    client-key-data: $(b64 "$work/c.key")
contexts:
- name: $user@kubernetes
  context:
    cluster: kubernetes
    user: $user
current-context: $user@kubernetes"
    rm -rf "$work"
    if [ "$(cat "$file" 2>/dev/null)" != "$text" ]; then
        (umask 077; printf '%s\n' "$text" >"$file.new")
        mv "$file.new" "$file"
        note "$file"
    fi
}

kubelet_for() { # NAME IP OUT
    mkdir -p "$3"
    cert ca "$3/kubelet" "/O=system:nodes/CN=system:node:$1" server "DNS:$1,IP:$2"
    kubeconfig "$3/kubelet.conf" "system:node:$1" "/O=system:nodes/CN=system:node:$1"
    cp "$pki/ca.crt" "$3/ca.crt"
}

command -v openssl >/dev/null || { echo "pki.sh: openssl is missing (apt-get install openssl)" >&2; exit 1; }
if [ "${1:-}" = kubelet ]; then
    [ $# = 4 ] || { echo "usage: pki.sh kubelet NAME IP OUT" >&2; exit 2; }
    [ -s "$pki/ca.key" ] || { echo "pki.sh: no CA in $pki: run pki.sh there first" >&2; exit 1; }
    kubelet_for "$2" "$3" "$4"
    exit 0
fi

mkdir -p "$pki" "$KUBELET_DIR/pki"
chmod 700 "$KUBELET_DIR/pki"
ca ca kubernetes
ca front-proxy-ca front-proxy-ca
sans="DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,DNS:$NODE_NAME"
sans+=",IP:127.0.0.1,IP:$NODE_IP,IP:$(first_address "$SERVICE_CIDR")${EXTRA_SANS:+,$EXTRA_SANS}"
cert ca "$pki/apiserver" /CN=kube-apiserver server "$sans"
cert ca "$pki/apiserver-kubelet-client" /O=system:masters/CN=kube-apiserver-kubelet-client client
cert front-proxy-ca "$pki/front-proxy-client" /CN=front-proxy-client client
service_account_key
cert ca "$KUBELET_DIR/pki/kubelet" "/O=system:nodes/CN=system:node:$NODE_NAME" server "DNS:$NODE_NAME,IP:$NODE_IP,IP:127.0.0.1"
kubeconfig "$CONF_DIR/admin.conf" kubernetes-admin /O=system:masters/CN=kubernetes-admin
kubeconfig "$CONF_DIR/controller-manager.conf" system:kube-controller-manager /O=system:kube-controller-manager/CN=system:kube-controller-manager
kubeconfig "$CONF_DIR/scheduler.conf" system:kube-scheduler /O=system:kube-scheduler/CN=system:kube-scheduler
kubeconfig "$CONF_DIR/kube-proxy.conf" system:kube-proxy /O=system:node-proxier/CN=system:kube-proxy
kubeconfig "$CONF_DIR/kubelet.conf" "system:node:$NODE_NAME" "/O=system:nodes/CN=system:node:$NODE_NAME"
[ $made -gt 0 ] || echo "  certificates and kubeconfigs are complete"
