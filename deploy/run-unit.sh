#!/usr/bin/env bash
# run-unit.sh UNIT-FILE: runs one systemd service file where systemd is not there, and keeps it running.
# It reads ExecStart, ExecStartPre, Environment, EnvironmentFile, WorkingDirectory, Restart, RestartSec, LimitNOFILE and OOMScoreAdjust,
# so that a daemon has the same flags in both worlds; everything else of a unit is systemd's business.
#
#   RUN_DIR (/run/ckube)       NAME.pid the daemon, NAME.supervisor.pid this script, each "PID STARTTIME"; NAME.restarts
#   LOG_DIR (/var/log/ckube)   NAME.log
#   BIN_DIR                    when set: a program of /usr/local/bin that exists here is taken from here
#
# SIGTERM: ends the daemon (SIGTERM, after 20 s SIGKILL), then itself.
set -uo pipefail
unit=$1
name=$(basename "$unit" .service)
RUN_DIR=${RUN_DIR:-/run/ckube}
LOG_DIR=${LOG_DIR:-/var/log/ckube}
child=
stopping=
restarts=0

declare -A conf=()
commands_pre=() environment=() environment_files=()

read_unit() {
    local line key value joined='' section=
    while IFS= read -r line || [ -n "$line" ]; do
        [[ -z $joined && $line =~ ^[[:space:]]*([#\;].*)?$ ]] && continue
        if [[ $line == *\\ ]]; then joined+="${line%\\} "; continue; fi
        line=$joined$line joined=
        if [[ $line == \[*\] ]]; then section=$line; continue; fi
        [ "$section" = "[Service]" ] || continue
        key=${line%%=*} value=${line#*=}
        case $key in
        ExecStartPre) commands_pre+=("$value") ;;
        Environment) environment+=("$value") ;;
        EnvironmentFile) environment_files+=("$value") ;;
        *) conf[$key]=$value ;;
        esac
    done <"$unit"
}

# argv COMMAND: splits it as systemd does (quotes, $VAR and ${VAR}) into the array `words`.
argv() {
    local command=${1//%n/$name.service}
    set -f
    eval "words=(${command})" # the unit files are ours; systemd's quoting of plain flags is the shell's
    set +f
    words[0]=${words[0]#[-@+!:]}
    if [ -n "${BIN_DIR:-}" ] && [ "$(dirname "${words[0]}")" = /usr/local/bin ] && [ -x "$BIN_DIR/$(basename "${words[0]}")" ]; then
        words[0]=$BIN_DIR/$(basename "${words[0]}")
    fi
}

start_time() { # PID: tells a process from a later one with the same number
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    set -- $stat
    [ "$1" != Z ] || return 1 # ended; its parent has not asked yet
    echo "${20}"
}

note_pid() { # FILE PID
    echo "$2 $(start_time "$2")" >"$RUN_DIR/$1.new" && mv "$RUN_DIR/$1.new" "$RUN_DIR/$1"
}

say() {
    echo "$(date '+%m%d %H:%M:%S') run-unit $name: $*" >>"$LOG_DIR/$name.log"
}

on_stop() {
    stopping=1
    [ -n "$child" ] && kill -TERM "$child" 2>/dev/null
}

limit_files() {
    local want=${conf[LimitNOFILE]:-} hard
    [ -n "$want" ] || return 0
    hard=$(ulimit -Hn)
    [ "$want" = infinity ] && want=$hard
    [ "$hard" = unlimited ] || [ "$want" -le "$hard" ] || want=$hard
    ulimit -n "$want" 2>/dev/null || true
}

wait_child() { # sets rc; goes on waiting when a signal of ours interrupts
    local deadline=
    while :; do
        if [ -n "$stopping" ]; then
            : "${deadline:=$((SECONDS + 20))}"
            if [ $SECONDS -ge "$deadline" ]; then
                say "did not end within 20 s, killing it"
                kill -KILL "$child" 2>/dev/null
            fi
            kill -0 "$child" 2>/dev/null && sleep 0.1 && continue
        fi
        wait "$child"
        rc=$?
        kill -0 "$child" 2>/dev/null || return 0
    done
}

read_unit
[ -n "${conf[ExecStart]:-}" ] || { echo "run-unit.sh: $unit has no ExecStart" >&2; exit 2; }
mkdir -p "$RUN_DIR" "$LOG_DIR"
set -a
for f in ${environment_files[@]+"${environment_files[@]}"}; do
    if [ -r "${f#-}" ]; then . "${f#-}"; elif [ "${f#-}" = "$f" ]; then say "cannot read EnvironmentFile $f"; exit 1; fi
done
for e in ${environment[@]+"${environment[@]}"}; do eval "$e"; done
set +a
[ -z "${conf[WorkingDirectory]:-}" ] || cd "${conf[WorkingDirectory]}" || exit 1
limit_files
trap on_stop TERM INT
trap '' HUP
note_pid "$name.supervisor.pid" $$
rm -f "$RUN_DIR/$name.restarts"

while :; do
    for c in ${commands_pre[@]+"${commands_pre[@]}"}; do
        argv "$c"
        "${words[@]}" >>"$LOG_DIR/$name.log" 2>&1 || [ "${c#-}" != "$c" ] || say "ExecStartPre failed: $c"
    done
    argv "${conf[ExecStart]}"
    [ -z "$stopping" ] || break
    say "starting ${words[*]}"
    "${words[@]}" >>"$LOG_DIR/$name.log" 2>&1 </dev/null &
    child=$!
    note_pid "$name.pid" "$child"
    [ -z "${conf[OOMScoreAdjust]:-}" ] || { echo "${conf[OOMScoreAdjust]}" >"/proc/$child/oom_score_adj"; } 2>/dev/null || true
    wait_child
    rm -f "$RUN_DIR/$name.pid"
    child=
    [ -z "$stopping" ] || break
    say "ended with status $rc"
    # 143 and the like: ended by SIGTERM, SIGINT, SIGHUP or SIGPIPE, which systemd counts as a clean end
    clean=
    case $rc in 0 | 129 | 130 | 141 | 143) clean=1 ;; esac
    case ${conf[Restart]:-no} in
    always) ;;
    on-failure) [ -z "$clean" ] || break ;;
    *) break ;;
    esac
    restarts=$((restarts + 1))
    echo $restarts >"$RUN_DIR/$name.restarts"
    sleep "${conf[RestartSec]:-1}" &
    child=$!
    wait_child
    child=
    [ -z "$stopping" ] || break
done
say "stopped"
rm -f "$RUN_DIR/$name.supervisor.pid"
