# lib_vm.sh - a "VM" made of namespaces, with systemd as PID 1, over this machine's own file system (changes go to RAM,
# but for those of the working directory, the project's folder):
# own processes, mounts, network, cgroups and host name.  Needs root, overlayfs, util-linux, /lib/systemd/systemd.
#   vm_start NAME ADDRESS/LEN      one network card eth0; 0 when systemd is up, 1 when this machine cannot
#                                  VM_INIT=plain: PID 1 only reaps, there is no systemd inside
#   vm_run NAME COMMAND...         inside
#   vm_stop NAME
# The other end of eth0 is the link vm-NAME of the namespace vmnet-NAME (so that nothing of it shows outside).

vm_dir() { echo "${TMPDIR:-/tmp}/ckube-vm-$1"; }

vm_init_pid() { # NAME -> PID of its systemd as seen from here
    local p
    p=$(cat "$(vm_dir "$1")/pid" 2>/dev/null) || return 1
    p=$(cat "/proc/$p/task/$p/children" 2>/dev/null)
    p=${p%% *}
    [ -n "$p" ] && echo "$p"
}

vm_run() {
    local name=$1
    shift
    nsenter -t "$(vm_init_pid "$name")" -a -- "$@"
}

vm_inside() { # the script that becomes PID 1; DIR NAME
    cat <<X
set -e
mount --make-rprivate /
mkdir -p $1/ram; mount -t tmpfs tmpfs $1/ram; mkdir $1/ram/up $1/ram/work
mount -t overlay overlay -o lowerdir=/,upperdir=$1/ram/up,workdir=$1/ram/work $1/root
cd $1/root
mkdir -p var/lib/ckube/containerd
mount --bind $1/containerd var/lib/ckube/containerd
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p .$PWD; mount --bind $PWD .$PWD # the tree may lie under /tmp, or on a mount of its own
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
while read -r node major minor; do mknod -m 666 dev/\$node c \$major \$minor; done <<N
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
kmsg 1 11
N
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr; touch dev/console
if mountpoint -q /sys/fs/cgroup && grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 cgroups sys/fs/cgroup
    for c in \$(awk '\$3 == "cgroup" { n = split(\$2, a, "/"); print a[n] }' /proc/mounts); do
        mkdir -p sys/fs/cgroup/\$c
        if [ \$c = systemd ]; then mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd; else mount -t cgroup -o \$c cgroup sys/fs/cgroup/\$c; fi
    done
    mkdir -p sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
rm -rf etc/systemd/system/*.wants etc/kubernetes var/lib/kubelet var/lib/kube-proxy etc/ckube etc/cni/net.d var/lib/ckube/etcd var/lib/ckube/imported
for u in console-getty getty@ ssh containerd etcd docker cron systemd-networkd systemd-resolved systemd-timesyncd; do ln -sf /dev/null etc/systemd/system/\$u.service; done
echo $2 >etc/hostname
mkdir -p mnt
pivot_root . mnt
cd /
umount -l /mnt
hostname $2
[ "${VM_INIT:-systemd}" = systemd ] || exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c 'echo up >/run/vm-up; while :; do sleep 3600 & wait; done'
exec env -i container=ckube PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=0
X
}

vm_is_up() { # NAME
    if [ "${VM_INIT:-systemd}" != systemd ]; then vm_run "$1" test -e /run/vm-up; return; fi
    case $(vm_run "$1" systemctl is-system-running) in running | degraded) return 0 ;; esac
    return 1
}

vm_start() {
    local name=$1 address=$2 d h n
    d=$(vm_dir "$name")
    [ "$(id -u)" = 0 ] && [ -x /lib/systemd/systemd ] && command -v nsenter unshare pivot_root >/dev/null || return 1
    mkdir -p "$d/root" "$d/containerd" || return 1
    vm_inside "$d" "$name" >"$d/init.sh"
    ip netns add "vmnet-$name" 2>/dev/null || return 1
    ip -n "vmnet-$name" link set lo up
    ip -n "vmnet-$name" link add eth0 type veth peer name "vm-$name"
    ip -n "vmnet-$name" addr add "$address" dev eth0
    ip -n "vmnet-$name" link set eth0 up
    ip -n "vmnet-$name" link set "vm-$name" up
    ip -n "vmnet-$name" route add default dev eth0
    ( # its own cgroup in every hierarchy, before its namespace is made
        for h in /sys/fs/cgroup /sys/fs/cgroup/*; do
            [ -f "$h/cgroup.procs" ] || continue
            mkdir -p "$h/ckvm-$name" 2>/dev/null || continue
            if [ -f "$h/cpuset.cpus" ] && [ -f "$h/ckvm-$name/cpuset.cpus" ]; then
                cat "$h/cpuset.cpus" >"$h/ckvm-$name/cpuset.cpus"
                cat "$h/cpuset.mems" >"$h/ckvm-$name/cpuset.mems"
            fi 2>/dev/null
            echo "$BASHPID" >"$h/ckvm-$name/cgroup.procs" 2>/dev/null
        done
        exec setsid nsenter --net="/run/netns/vmnet-$name" unshare --mount --uts --ipc --pid --cgroup --fork --kill-child bash "$d/init.sh"
    ) >"$d/log" 2>&1 </dev/null &
    echo $! >"$d/pid"
    disown $! # its end is no news
    for ((n = 0; n < 150; n++)); do
        kill -0 "$(cat "$d/pid")" 2>/dev/null || break
        vm_is_up "$name" 2>/dev/null && return 0
        sleep 0.2
    done
    cat "$d/log"
    return 1
}

vm_stop() {
    local name=$1 d p n
    d=$(vm_dir "$name")
    if p=$(vm_init_pid "$name"); then
        [ "${VM_INIT:-systemd}" != systemd ] || kill -s RTMIN+4 "$p" # systemd's power off
        for ((n = 0; n < 50; n++)); do [ "${VM_INIT:-systemd}" = systemd ] && kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
    fi
    [ ! -f "$d/pid" ] || kill -KILL "$(cat "$d/pid")" 2>/dev/null # takes its whole PID namespace along
    for ((n = 0; n < 30; n++)); do
        find /sys/fs/cgroup -depth -type d -path "*/ckvm-$name*" -exec rmdir {} + 2>/dev/null
        [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "ckvm-$name" -print -quit)" ] || break
        sleep 0.1
    done
    ip netns del "vmnet-$name" 2>/dev/null
    rm -rf "$d"
}
