#!/usr/bin/env bash
# up.sh: a one-node cluster on this machine, from nothing to the sample answering.  Root; safe to repeat.
#   up.sh [--until STAGE] [--no-sample]
#   stages: packages build config pki etcd containerd images apiserver controller-manager scheduler kubelet kube-proxy node sample demo
# Environment: NODE_NAME, NODE_IP, POD_CIDR, SERVICE_CIDR, LOG_V (kept in /etc/kubernetes/ckube.env from the first run on),
#   SKIP_PACKAGES=1, SKIP_BUILD=1.
# Logs: /var/log/ckube/*.log (journalctl where systemd is PID 1).  `make down` undoes it all.
set -eEuo pipefail
trap 'echo "error: up.sh line $LINENO: failed: $BASH_COMMAND" >&2' ERR
cd "$(dirname "$0")/.."
. deploy/lib.sh
stages=(packages build config pki etcd containerd images apiserver controller-manager scheduler kubelet kube-proxy node sample demo)
until=demo
while [ $# -gt 0 ]; do
    case $1 in
    --until) until=${2:?"--until needs a stage"}; shift 2 ;;
    --until=*) until=${1#*=}; shift ;;
    --no-sample) until=node; shift ;;
    *) echo "usage: up.sh [--until STAGE] [--no-sample]; stages: ${stages[*]}" >&2; exit 2 ;;
    esac
done
[[ " ${stages[*]} " == *" $until "* ]] || die "no stage '$until'; there are: ${stages[*]}"
[ "$(id -u)" = 0 ] || die "run as root: the kubelet, containerd and the packet filter need it"

stage_packages() {
    [ -z "${SKIP_PACKAGES:-}" ] || { note "left out"; return; }
    deploy/install-deps.sh build run | sed 's/^/    /'
}

stage_build() {
    [ -z "${SKIP_BUILD:-}" ] || { note "left out"; return; }
    local log=$LOG_DIR/build.log
    make -j"$(nproc)" B="$BUILD" all 2>&1 | tee "$log" | awk '/^  (CC|LINK|GEN)/ { n++; if (n % 25 == 0) print "    " n " files" ; fflush() }' ||
        { tail -n 15 "$log" | sed "s/^/    | /"; die "the build failed; the log to read: $log"; }
}

env_default() { # NAME VALUE: the caller's own, else what the file says, else VALUE
    local name=$1 value=${!1:-}
    [ -n "$value" ] || value=$(sed -n "s/^$name=//p" $ENV_FILE 2>/dev/null || true)
    printf -v "$name" '%s' "${value:-$2}"
    export "${name?}"
}

put() { # TEMPLATE FILE
    local text
    text=$(sed -e "s#@NODE_NAME@#$NODE_NAME#g" -e "s#@NODE_IP@#$NODE_IP#g" -e "s#@POD_CIDR@#$POD_CIDR#g" -e "s#@SERVICE_CIDR@#$SERVICE_CIDR#g" \
        -e "s#@CLUSTER_DNS@#$CLUSTER_DNS#g" -e "s#@RESOLV_CONF@#$resolv_conf#g" -e "s#@CNI_BIN_DIR@#$cni_bin_dir#g" "$1")
    mkdir -p "$(dirname "$2")"
    [ "$(cat "$2" 2>/dev/null)" = "$text" ] || { printf '%s\n' "$text" >"$2"; note "wrote $2"; }
}

# make down removes these folders: they must be ours.
refuse_foreign_cluster() {
    local f
    [ ! -f $ENV_FILE ] || return 0
    for f in $CONF_DIR/admin.conf $CONF_DIR/kubelet.conf $CONF_DIR/pki/ca.crt /var/lib/kubelet/config.yaml; do
        [ ! -e "$f" ] || die "$f is there, and not from here: this machine belongs to another cluster (move $CONF_DIR and /var/lib/kubelet away to go on)"
    done
}

stage_config() {
    refuse_foreign_cluster
    local service_net resolv_conf=/etc/resolv.conf cni_bin_dir=/opt/cni/bin
    env_default NODE_NAME "$(hostname | tr '[:upper:]' '[:lower:]')"
    env_default NODE_IP "$(default_node_ip)"
    env_default POD_CIDR 10.244.0.0/16
    env_default SERVICE_CIDR 10.96.0.0/16
    env_default LOG_V 2
    [ -n "$NODE_IP" ] || die "this machine has no IPv4 address but loopback; set NODE_IP=..."
    ip -4 -o addr show | grep -F " $NODE_IP/" >/dev/null || die "NODE_IP=$NODE_IP is no address of this machine (set NODE_IP=..., or correct $ENV_FILE)"
    service_net=${SERVICE_CIDR%/*}
    CLUSTER_DNS=${service_net%.*}.$((${service_net##*.} + 10))
    [ ! -e /run/systemd/resolve/resolv.conf ] || resolv_conf=/run/systemd/resolve/resolv.conf
    [ ! -x /usr/lib/cni/bridge ] || cni_bin_dir=/usr/lib/cni
    mkdir -p $CONF_DIR/manifests $CONF_DIR/config $STATE_DIR /etc/ckube /etc/cni/net.d /var/lib/kubelet /var/lib/kube-proxy
    local text
    text=$(printf '# Values of this node; the unit files read them.\nNODE_NAME=%s\nNODE_IP=%s\nPOD_CIDR=%s\nSERVICE_CIDR=%s\nLOG_V=%s' \
        "$NODE_NAME" "$NODE_IP" "$POD_CIDR" "$SERVICE_CIDR" "$LOG_V")
    [ "$(cat $ENV_FILE 2>/dev/null)" = "$text" ] || { printf '%s\n' "$text" >$ENV_FILE; note "wrote $ENV_FILE"; }
    put deploy/config/containerd.toml /etc/ckube/containerd.toml
    put deploy/config/egress.nft /etc/ckube/egress.nft
    put deploy/config/kubelet.yaml /var/lib/kubelet/config.yaml
    put deploy/config/kube-proxy.yaml /var/lib/kube-proxy/config.yaml
    put deploy/config/scheduler.yaml $CONF_DIR/config/scheduler.yaml
    kernel_setup
    note "node $NODE_NAME at $NODE_IP, pods $POD_CIDR, services $SERVICE_CIDR"
}

kernel_setup() {
    local m
    for m in overlay br_netfilter nf_conntrack; do modprobe -q "$m" 2>/dev/null || true; done # may be built in
    sysctl_set net.ipv4.ip_forward 1 || die "cannot set net.ipv4.ip_forward=1: pods could not reach each other"
    sysctl_set net.bridge.bridge-nf-call-iptables 1 ||
        note "warning: no br_netfilter in this kernel: a pod does not reach a Service whose pod is on the same node"
    # Without any route a packet to a Service dies before it can be translated.
    if ! ip -4 route get "${SERVICE_CIDR%/*}" >/dev/null 2>&1; then
        ip route add "$SERVICE_CIDR" dev "$(ip -4 -o addr show | awk -v ip="$NODE_IP" '{split($4, a, "/"); if (a[1] == ip) print $2}' | head -n 1)"
        echo "$SERVICE_CIDR" >"$RUN_DIR/service-route"
        note "added a route to $SERVICE_CIDR (there is no default route)"
    fi
}

stage_pki() {
    deploy/pki.sh | sed 's/^/  /'
}

stage_etcd() {
    port_is_free_or_ours 2379 ckube-etcd
    (umask 077; mkdir -p $STATE_DIR/etcd)
    unit_start ckube-etcd
    wait_for 30 "etcd" ckube-etcd http_ok http://127.0.0.1:2379/health
}

containerd_ok() {
    ctr -a "$CRI_SOCKET" --connect-timeout 2s plugins ls 2>&1 | awk '$2 == "cri" { s = $NF } END { if (s != "ok") { print "its CRI plugin is in state \"" s "\""; exit 1 } }'
}

stage_containerd() {
    command -v containerd >/dev/null || die "containerd is not installed (deploy/install-deps.sh run)"
    unit_start ckube-containerd
    wait_for 30 "containerd" ckube-containerd containerd_ok
}

stage_images() {
    local a name there
    deploy/images/build.sh "$BUILD/images" | sed 's/^/  /'
    there=$(ctr -a "$CRI_SOCKET" -n k8s.io images ls -q 2>/dev/null || true)
    for a in "$BUILD"/images/*.tar; do
        # in already, from this very archive?
        name=$(tar -xOf "$a" manifest.json | sed -n 's/.*"RepoTags":\["\([^"]*\)".*/\1/p')
        [ "$(cat "$STATE_DIR/imported/$(basename "$a")" 2>/dev/null)" = "$(sha256sum <"$a")" ] && grep -qxF "$name" <<<"$there" && continue
        name=$(ctr -a "$CRI_SOCKET" -n k8s.io images import "$a" 2>&1) || die "importing $a into containerd failed: $name; the log to read: $(log_of ckube-containerd)"
        mkdir -p $STATE_DIR/imported
        sha256sum <"$a" >"$STATE_DIR/imported/$(basename "$a")"
        note "imported $(basename "$a" .tar)"
    done
}

# daemon UNIT PORT SECONDS URL [curl options]
daemon() {
    local unit=$1 port=$2 seconds=$3
    shift 3
    [ -x "$BUILD/bin/$unit" ] || die "$BUILD/bin/$unit is not built (make)"
    port_is_free_or_ours "$port" "$unit"
    unit_start "$unit"
    wait_for "$seconds" "$unit" "$unit" "$@"
}
stage_apiserver() { daemon kube-apiserver 6443 60 api_ok /readyz; }
stage_controller_manager() { daemon kube-controller-manager 10257 30 http_ok https://127.0.0.1:10257/healthz -k; }
stage_scheduler() { daemon kube-scheduler 10259 30 http_ok https://127.0.0.1:10259/healthz -k; }
stage_kubelet() { daemon kubelet 10250 30 http_ok http://127.0.0.1:10248/healthz; }
stage_kube_proxy() { daemon kube-proxy 10256 30 http_ok http://127.0.0.1:10256/healthz; }

node_ready() {
    local line
    line=$("${KUBECTL[@]}" get node "$NODE_NAME" -o jsonpath='{range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}: {.message}{end}' 2>&1) || { echo "$line"; return 1; }
    case $line in True*) return 0 ;; esac
    echo "node $NODE_NAME: ${line:-the kubelet has not reported yet}"
    return 1
}

stage_node() {
    KUBECTL=("$(find_kubectl)" --kubeconfig="$CONF_DIR/admin.conf")
    wait_for 60 "node $NODE_NAME" kubelet node_ready
}

sample_ready() {
    local line
    line=$("${KUBECTL[@]}" get deployment hello -o jsonpath='{.status.readyReplicas}/{.spec.replicas} ready, {.status.updatedReplicas} of this version, {.status.replicas} in all' 2>&1) || { echo "$line"; return 1; }
    [ "$line" = "3/3 ready, 3 of this version, 3 in all" ] && return 0
    echo "$line; $("${KUBECTL[@]}" get pods -l app=hello --no-headers 2>&1 | awk '{print $1 " " $3}' | paste -sd, | cut -c1-200)"
    return 1
}

stage_sample() {
    "${KUBECTL[@]}" apply -f deploy/samples/hello.yaml | sed 's/^/    /'
    wait_for 90 "the sample's pods" kubelet sample_ready
}

stage_demo() {
    deploy/demo.sh
    cat <<NEXT

${bold}The cluster is up.${plain}  What to type next:
    export KUBECONFIG=$CONF_DIR/admin.conf
    kubectl get nodes,pods,services -o wide
    curl http://$NODE_IP:30080/                      # the sample, through its NodePort
    kubectl scale deployment hello --replicas=8
    kubectl rollout undo deployment/hello
    tail -f $LOG_DIR/kubelet.log                     # each daemon has its log there
    make down                                        # stop and clean; KEEP=1 make down keeps the data
NEXT
    command -v kubectl >/dev/null || echo "    (kubectl is ${KUBECTL[0]})"
}

mkdir -p "$RUN_DIR" "$LOG_DIR"
chmod 755 "$RUN_DIR"
exec 8>"$RUN_DIR/lock"
flock -n 8 || die "another up.sh or down.sh is at work"
if [ -s "$RUN_DIR/tree" ] && [ "$(cat "$RUN_DIR/tree")" != "$PWD" ] && unit_runs ckube-etcd; then
    die "a cluster started from $(cat "$RUN_DIR/tree") is running here; run 'make down' there first"
fi
echo "$PWD" >"$RUN_DIR/tree"

begin=$(now_ms)
for s in "${stages[@]}"; do
    stage "$s"
    "stage_${s//-/_}" 8>&-
    [ "$s" != "$until" ] || break
done
note "took $((($(now_ms) - begin) / 1000)) s"
