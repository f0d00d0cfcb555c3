# lib.sh - what up.sh, down.sh, demo.sh and install.sh share; sourced, with the project's folder as working directory.
# Units run under systemd where it is PID 1, else under deploy/run-unit.sh.  Everything we start is found again by its
# pid file ("PID STARTTIME"), never by its name.

BUILD=${BUILD:-build}
RUN_DIR=${RUN_DIR:-/run/ckube}
LOG_DIR=${LOG_DIR:-/var/log/ckube}
CONF_DIR=/etc/kubernetes
STATE_DIR=/var/lib/ckube
ENV_FILE=$CONF_DIR/ckube.env
CRI_SOCKET=$RUN_DIR/containerd/containerd.sock
export RUN_DIR LOG_DIR

# in the order of starting
UNITS=(ckube-etcd ckube-containerd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)

if [ -t 1 ]; then bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'; else bold='' red='' plain=''; fi
stage() { echo "${bold}==> $*${plain}"; }
note() { echo "    $*"; }
die() { echo "${red}error:${plain} $*" >&2; exit 1; }

under_systemd() { [ -d /run/systemd/system ]; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }

seconds() { # MILLISECONDS -> "1.2 s"
    echo "$(($1 / 1000)).$(($1 % 1000 / 100)) s"
}

log_of() { # UNIT -> where to read about it
    if under_systemd; then echo "journalctl -u $1"; else echo "$LOG_DIR/$1.log"; fi
}

show_log() { # UNIT LINES
    if under_systemd; then journalctl -q --no-pager -u "$1" -n "$2" 2>/dev/null; else tail -n "$2" "$LOG_DIR/$1.log" 2>/dev/null; fi | sed 's/^/    | /'
}

start_time() { # PID
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    set -- $stat
    [ "$1" != Z ] || return 1 # ended; its parent has not asked yet
    echo "${20}"
}

live_pid() { # PID-FILE -> the pid, when that very process still runs
    local pid started
    read -r pid started 2>/dev/null <"$RUN_DIR/$1" || return 1
    [ "$(start_time "$pid")" = "$started" ] || return 1
    echo "$pid"
}

unit_runs() { # UNIT: is it kept running?
    if under_systemd; then systemctl is-active -q "$1"; else live_pid "$1.supervisor.pid" >/dev/null; fi
}

unit_main_pid() { # UNIT -> pid of the daemon itself
    if under_systemd; then systemctl show -p MainPID --value "$1"; else live_pid "$1.pid"; fi
}

unit_restarts() { # UNIT -> how often it came back by itself
    if under_systemd; then systemctl show -p NRestarts --value "$1"; else cat "$RUN_DIR/$1.restarts" 2>/dev/null || echo 0; fi
}

unit_start() { # UNIT
    local pid
    if under_systemd; then
        if [ ! -f "/etc/systemd/system/$1.service" ]; then # not installed for good (install.sh): until the next boot only
            sed "s#=/usr/local/bin/#=$PWD/$BUILD/bin/#" "deploy/systemd/$1.service" >"/run/systemd/system/$1.service"
            systemctl daemon-reload
        fi
        systemctl start --no-block "$1"
        return
    fi
    unit_runs "$1" && return
    if pid=$(live_pid "$1.pid"); then # its supervisor was killed: take the daemon down, a new pair comes up
        end_pid "$pid"
    fi
    BIN_DIR=$PWD/$BUILD/bin setsid deploy/run-unit.sh "deploy/systemd/$1.service" >>"$LOG_DIR/$1.log" 2>&1 </dev/null &
    until unit_runs "$1"; do
        kill -0 $! 2>/dev/null || die "$1 cannot be started; see $LOG_DIR/$1.log"
        sleep 0.02
    done
    disown $! 2>/dev/null || true
}

end_pid() { # PID: SIGTERM, after 25 s SIGKILL; returns when it is gone
    local pid=$1 started n
    started=$(start_time "$pid") || return 0
    kill -TERM "$pid" 2>/dev/null || return 0
    for ((n = 0; n < 500; n++)); do
        [ "$(start_time "$pid")" = "$started" ] || return 0
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
}

unit_stop() { # UNIT; true when something ran
    local pid any=1
    if under_systemd; then
        systemctl is-active -q "$1" || [ -f "/run/systemd/system/$1.service" ] || return 1
        systemctl stop "$1" && any=0
        rm -f "/run/systemd/system/$1.service"
        systemctl daemon-reload
        return $any
    fi
    if pid=$(live_pid "$1.supervisor.pid"); then end_pid "$pid"; any=0; fi
    if pid=$(live_pid "$1.pid"); then end_pid "$pid"; any=0; fi
    rm -f "$RUN_DIR/$1.pid" "$RUN_DIR/$1.supervisor.pid" "$RUN_DIR/$1.restarts"
    return $any
}

# wait_for SECONDS WHAT UNIT CHECK...: repeats CHECK until it succeeds; a failure names the cause and the log.
# CHECK's last line of output is the reason shown while waiting.
wait_for() {
    local limit=$1 what=$2 unit=$3 begin reason='' shown=0 waited pid0 pid seen=0 restarts0
    shift 3
    begin=$(now_ms)
    pid0=$(unit_main_pid "$unit" 2>/dev/null || true)
    restarts0=$(unit_restarts "$unit")
    while ! reason=$("$@" 2>&1 | tail -n 1; exit "${PIPESTATUS[0]}"); do
        waited=$((($(now_ms) - begin) / 1000))
        pid=$(unit_main_pid "$unit" 2>/dev/null || true)
        seen=$(($(unit_restarts "$unit") - restarts0))
        if [ $waited -ge "$limit" ] || [ $seen -ge 4 ]; then # it dies again and again: waiting longer does not help
            echo "${red}error:${plain} $what is not there after $waited s: ${reason:-no answer}" >&2
            if [ $seen -ge 4 ]; then echo "       $unit ends soon after each start ($seen restarts)" >&2
            elif ! unit_runs "$unit" || [ -z "$pid" ]; then echo "       $unit is not running: it ended and is being restarted" >&2
            elif [ "$pid" != "$pid0" ]; then echo "       $unit was restarted meanwhile (pid $pid0, now $pid)" >&2; fi
            echo "       the log to read: $(log_of "$unit"); its last lines:" >&2
            show_log "$unit" 12 >&2
            exit 1
        fi
        if [ $waited -ge $((shown + 3)) ]; then
            shown=$waited
            note "still waiting for $what (${waited} s): ${reason:-no answer}"
        fi
        sleep 0.1
    done
    waited=$(($(now_ms) - begin))
    note "$what: ready after $(seconds $waited)"
}

port_is_free_or_ours() { # PORT UNIT: else says who has it
    local line pid
    line=$(ss -Hltnp "sport = :$1" 2>/dev/null | head -n 1)
    [ -n "$line" ] || return 0
    pid=$(sed -n 's/.*pid=\([0-9]*\).*/\1/p' <<<"$line")
    [ -n "$pid" ] && [ "$pid" = "$(unit_main_pid "$2" 2>/dev/null)" ] && return 0
    die "port $1, which $2 needs, is taken by $(sed -n 's/.*users:(("\([^"]*\)".*/\1/p' <<<"$line") (pid ${pid:-unknown}); stop it and try again"
}

http_ok() { # URL [curl options]: an answer with status 2xx
    local url=$1 out
    shift
    out=$(curl -sS -m 3 -w '\n%{http_code}' "$@" "$url" 2>&1) || { sed -n 's/.*curl: ([0-9]*) //p' <<<"$out"; return 1; }
    case ${out##*$'\n'} in 2*) return 0 ;; esac
    echo "$url answers ${out##*$'\n'}: $(head -c 300 <<<"${out%$'\n'*}" | tr '\n' ' ')"
    return 1
}

api_ok() { # PATH: asked as the admin
    http_ok "https://127.0.0.1:6443$1" --cacert $CONF_DIR/pki/ca.crt --cert $CONF_DIR/pki/apiserver-kubelet-client.crt \
        --key $CONF_DIR/pki/apiserver-kubelet-client.key
}

# The kubectl to use: the user's own from 1.20 on, else one in build/tools.
find_kubectl() {
    local version minor own
    if own=$(command -v kubectl); then
        version=$("$own" version --client -o json 2>/dev/null | sed -n 's/.*"gitVersion": *"v1\.\([0-9]*\).*/\1/p' | head -n 1)
        minor=${version:-0}
        if [ "$minor" -ge 20 ]; then echo "$own"; return; fi
    fi
    deploy/get-kubectl.sh v35 "$BUILD/tools"
}

default_node_ip() {
    ip -4 route get 192.0.2.254 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' | grep . ||
        ip -4 -o addr show scope global 2>/dev/null | awk '{sub("/.*", "", $4); print $4; exit}'
}

sysctl_set() { # KEY VALUE: keeps the old value for down.sh
    local path=/proc/sys/${1//.//} old
    [ -w "$path" ] || return 1
    old=$(cat "$path")
    [ "$old" = "$2" ] && return 0
    grep -q "^$1=" "$RUN_DIR/sysctl.saved" 2>/dev/null || echo "$1=$old" >>"$RUN_DIR/sysctl.saved"
    echo "$2" >"$path"
}
