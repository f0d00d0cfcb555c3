#!/usr/bin/env bash
# down.sh: stops what up.sh started and cleans up behind it.  Root; safe to repeat.
#   KEEP=1   keeps the cluster's data, certificates and images: a later up.sh finds the same objects
# Processes are ended by the pids up.sh noted, never by name.
set -uo pipefail
cd "$(dirname "$0")/.."
. deploy/lib.sh
[ "$(id -u)" = 0 ] || die "run as root"
KEEP=${KEEP:-}
mkdir -p "$RUN_DIR"
exec 8>"$RUN_DIR/lock"
flock -n 8 || die "another up.sh or down.sh is at work"

stop() {
    unit_stop "$1" && note "stopped $1"
    return 0
}

# cri METHOD SANDBOX-ID: one gRPC call by hand: a frame of five bytes, then field 1 = the id
cri() {
    local id=$2
    { printf '\0\0\0\0'; printf "\\x$(printf %02x $((${#id} + 2)))\\x0a\\x$(printf %02x ${#id})%s" "$id"; } |
        curl -sS -m 30 -o /dev/null --http2-prior-knowledge --unix-socket "$CRI_SOCKET" -H 'content-type: application/grpc' -H 'te: trailers' \
            --data-binary @- "http://localhost/runtime.v1.RuntimeService/$1"
}

stop_pods() {
    local ids id n=0
    [ -S "$CRI_SOCKET" ] && unit_runs ckube-containerd || return 0
    ids=$(ctr -a "$CRI_SOCKET" --connect-timeout 3s -n k8s.io containers ls -q 'labels."io.cri-containerd.kind"==sandbox' 2>/dev/null)
    for id in $ids; do # a few at a time: each waits for processes and network to go
        { cri StopPodSandbox "$id" && cri RemovePodSandbox "$id"; } 2>/dev/null &
        n=$((n + 1))
        [ $((n % 8)) -ne 0 ] || wait
    done
    wait
    [ $n -eq 0 ] || note "stopped $n pods"
}

# Pids of all processes in our containers, while containerd can still tell.
note_pod_processes() {
    pod_pids=()
    [ -S "$CRI_SOCKET" ] && unit_runs ckube-containerd || return 0
    local pid
    for pid in $(ctr -a "$CRI_SOCKET" --connect-timeout 3s -n k8s.io tasks ls 2>/dev/null | awk '$2 ~ /^[0-9]+$/ && $3 == "RUNNING" { print $2 }'); do
        pod_pids+=("$pid $(start_time "$pid")")
    done
}

# What a killed containerd may have left: shims name its socket on their command line; the pods' processes are their children.
end_shims() {
    local p cmd child
    for p in /proc/[0-9]*; do
        cmd=$({ tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null) || continue
        [[ $cmd == *containerd-shim* && $cmd == *"-address $CRI_SOCKET"* ]] || continue
        [ "$(readlink "$p/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ] || continue # a socket of that name in another world
        for child in $(cat "$p"/task/*/children 2>/dev/null); do kill -KILL "$child" 2>/dev/null; done
        kill -KILL "${p#/proc/}" 2>/dev/null && note "ended a left-over shim (pid ${p#/proc/})"
    done
}

# Empty ones only: another kubelet of this machine may have pods there.
remove_cgroups() {
    local n
    for ((n = 0; n < 10; n++)); do
        find /sys/fs/cgroup -depth -type d \( -name kubepods -o -path '*/kubepods/*' -o -name 'kubepods*.slice' -o -path '*/kubepods.slice/*' \) \
            -exec rmdir {} + 2>/dev/null
        [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name 'kubepods*' -print -quit 2>/dev/null)" ] || return 0
        sleep 0.1
    done
    note "warning: cgroups of pods remain in /sys/fs/cgroup (somebody's processes are in them)"
}

unmount_under() { # FOLDER...
    local m dir
    for dir in "$@"; do
        while read -r m; do
            umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null || note "warning: cannot unmount $m"
        done < <(awk -v d="$dir/" 'index($2 "/", d) == 1 { print $2 }' /proc/mounts | sed 's/\\040/ /g' | sort -r)
    done
}

remove_network() {
    local table link name file
    for table in "ip kube-proxy" "ip6 kube-proxy" "ip ckube-egress"; do
        nft list table $table >/dev/null 2>&1 && nft delete table $table && note "removed nftables table $table"
    done
    for file in /etc/cni/net.d/*ckube*; do
        [ -f "$file" ] || continue
        name=$(sed -n 's/.*"name": *"\([^"]*\)".*/\1/p' "$file" | head -n 1)
        [ -z "$name" ] || rm -rf "/var/lib/cni/networks/$name" "/run/cni/networks/$name"
        for link in $(sed -n 's/.*"bridge": *"\([^"]*\)".*/\1/p' "$file"); do
            [ -d "/sys/class/net/$link" ] && ip link delete "$link" && note "removed link $link"
        done
        rm -f "$file"
    done
    if [ -s "$RUN_DIR/service-route" ]; then ip route del "$(cat "$RUN_DIR/service-route")" 2>/dev/null; fi
}

restore_sysctls() {
    local key value
    while IFS== read -r key value; do
        [ -n "$key" ] && echo "$value" >"/proc/sys/${key//.//}" 2>/dev/null
    done < <(cat "$RUN_DIR/sysctl.saved" 2>/dev/null)
    rm -f "$RUN_DIR/sysctl.saved"
}

stage "stopping"
for u in kubelet kube-proxy kube-scheduler kube-controller-manager kube-apiserver; do stop $u; done
note_pod_processes
stop_pods
stop ckube-containerd
stop ckube-etcd
end_shims
for p in "${pod_pids[@]}"; do # what outlived its sandbox; a number may belong to somebody else by now
    [ "$(start_time "${p% *}")" = "${p#* }" ] && kill -KILL "${p% *}" 2>/dev/null
done

stage "cleaning up"
remove_network
unmount_under /var/lib/kubelet/pods /run/ckube/containerd /var/lib/ckube/containerd
remove_cgroups
restore_sysctls
rm -rf "$RUN_DIR/containerd" "$RUN_DIR/tree" "$RUN_DIR/service-route"
if [ -n "$KEEP" ]; then
    note "kept: $STATE_DIR (etcd's data, images), $CONF_DIR (certificates, kubeconfigs), /var/lib/kubelet, $LOG_DIR"
elif [ ! -f $ENV_FILE ]; then
    rm -rf "$STATE_DIR" /etc/ckube
    note "no $ENV_FILE: what else is in $CONF_DIR and /var/lib/kubelet is not ours and stays"
else
    rm -rf "$STATE_DIR" /etc/ckube /var/lib/kubelet /var/lib/kube-proxy /var/log/pods /var/log/containers "$LOG_DIR"
    rm -rf $CONF_DIR/pki $CONF_DIR/config $CONF_DIR/{admin,controller-manager,scheduler,kubelet,kube-proxy}.conf $ENV_FILE
    rmdir $CONF_DIR/manifests $CONF_DIR 2>/dev/null
    note "removed $STATE_DIR, $CONF_DIR, /var/lib/kubelet, logs and rules"
fi
