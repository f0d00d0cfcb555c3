# lib_kubelet.sh - a private node for a test: network namespace, containerd with the project's images, kubelet; and its end.
# Sourced with the project's folder as working directory.
bindir=$PWD/${BUILD:-build}/bin
bin=$bindir/kubelet
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
for t in containerd runc ctr ip nsenter curl busybox; do command -v $t >/dev/null || { echo "$t is missing"; exit 77; }; done
[ -x "$bin" ] || { echo "$bin is not built"; exit 77; }
cni=/usr/lib/cni
[ -x $cni/bridge ] || cni=/opt/cni/bin
[ -x $cni/bridge ] || { echo "the CNI plugins are missing"; exit 77; }
busybox=$(command -v busybox)
! ldd "$busybox" >/dev/null 2>&1 || { echo "busybox is not static"; exit 77; }

id=ckt$$
ns=$id
dir=$(mktemp -d /var/tmp/$id-XXXXXX)
run=/run/$id
pids=()
kubelet_pid=
finish() {
    local rc=$? p
    set +e
    [ $rc -eq 0 ] || { echo "--- kubelet log"; grep -v '"Flag"' "$dir/kubelet.log" | tail -n 25 | cut -c1-300; echo "--- containerd log"; tail -n 5 "$dir/containerd.log" | cut -c1-300; }
    [ -z "$kubelet_pid" ] || kill -9 "$kubelet_pid" 2>/dev/null || true
    for p in $(ctr -a $run/containerd.sock -n k8s.io tasks ls 2>/dev/null | awk 'NR>1{print $2}'); do kill -9 "$p" 2>/dev/null || true; done
    sleep 0.3
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    sleep 0.3
    for p in /proc/[0-9]*; do
        { tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null | grep -q "containerd-shim.*-address $run/containerd.sock" && kill -9 "${p#/proc/}" 2>/dev/null || true
    done
    sleep 0.2
    awk '{print $5}' /proc/self/mountinfo | grep -E "^($dir|$run)/" | sort -r | while read -r m; do umount -l "$m" 2>/dev/null || true; done
    ip netns del "$ns" 2>/dev/null || true
    ip link del ${id}0 2>/dev/null || true
    find /sys/fs/cgroup -depth -type d -path "*/$id/*" -exec rmdir {} + 2>/dev/null || true
    find /sys/fs/cgroup -maxdepth 2 -type d -name "$id" -exec rmdir {} + 2>/dev/null || true
    rm -rf "$dir" "$run"
    exit $rc
}
trap finish EXIT
fail() { echo "FAILED: $*"; exit 1; }
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || fail "never true: $*"; sleep 0.1; done
}
has() { grep -q -- "$2" <<<"$1"; } # TEXT PATTERN
in_ns() { nsenter --net=/run/netns/"$ns" "$@"; }

# --- a private node
ip netns add "$ns"
ip -n "$ns" link set lo up
ip link add ${id}0 type veth peer name eth0 netns "$ns"
ip -n "$ns" addr add 10.98.200.2/24 dev eth0
ip -n "$ns" link set eth0 up
mkdir -p "$dir"/{images,manifests,cni,logs,links} $run
deploy/images/build.sh "$dir/images" >/dev/null
sed -e "s#/var/lib/ckube/containerd#$dir/root#g; s#/run/ckube/containerd#$run#g; s#@CNI_BIN_DIR@#$cni#; s#/etc/cni/net.d#$dir/cni#" \
    deploy/config/containerd.toml >"$dir/containerd.toml"
nsenter --net=/run/netns/"$ns" containerd --config "$dir/containerd.toml" >"$dir/containerd.log" 2>&1 &
pids+=($!)
cat >"$dir/kubelet.yaml" <<J
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$run/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$id
staticPodPath: $dir/manifests
healthzPort: 10248
port: 10250
failSwapOn: false
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
podLogsDir: $dir/logs
podCIDR: 10.251.200.0/24
authentication: {anonymous: {enabled: true}}
authorization: {mode: AlwaysAllow}
J
start_kubelet() {
    nsenter --net=/run/netns/"$ns" "$bin" --config="$dir/kubelet.yaml" --root-dir="$dir/lib" --cert-dir="$dir/pki" --hostname-override=n1 --cni-config-dir="$dir/cni" \
        --pod-log-link-dir="$dir/links" --v=3 "$@" >>"$dir/kubelet.log" 2>&1 &
    kubelet_pid=$!
}
api() { in_ns curl -skf --max-time 10 "https://127.0.0.1:10250$1"; }
ctrk() { ctr -a $run/containerd.sock -n k8s.io "$@"; }
load_images() {
    local i
    until_true 20 ctr -a $run/containerd.sock version
    for i in busybox pause; do ctrk images import "$dir/images/$i.tar" >/dev/null; done
}
