# shellcheck shell=bash
# lib/controllers.sh - with lib.sh: our kube-controller-manager, and a stand-in for the kubelet that writes pod states.
#   start_controllers [FLAGS...]; stop_controllers       all controllers, log in $dir/kcm.log
#   names JOB | running JOB | pods_of JOB                pods with the label $pod_label=JOB (default job-name): names, without end, count
#   run_pod POD; end_pod POD PHASE [CODE]                what a kubelet would report
#   reap JOB                                             ends the pods that are being deleted, as a kubelet would
#   until_is TEXT cmd...; until_sees RE cmd...           waits up to 60 s;   gone KIND NAME
kcm_pid='' pod_label=job-name

start_controllers() {
    lib_port
    "$lib_build/bin/kube-controller-manager" --kubeconfig="$KUBECONFIG" --leader-elect=false --secure-port="$lib_result" --bind-address=127.0.0.1 \
        --cert-dir="$dir/kcm" --root-ca-file="$dir/pki/pki/ca.crt" --authentication-skip-lookup "$@" >>"$dir/kcm.log" 2>&1 &
    kcm_pid=$!
    lib_clean="$lib_clean $kcm_pid"
}

stop_controllers() {
    local rc
    kill -TERM "$kcm_pid"
    wait "$kcm_pid"
    rc=$?
    [ $rc -eq 0 ] || tail -n 40 "$dir/kcm.log"
    return $rc
}

names() { k get pods -l "$pod_label=$1" -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'; }
pods_of() { names "$1" | grep -c .; true; }
running() { k get pods -l "$pod_label=$1" --field-selector status.phase!=Succeeded,status.phase!=Failed -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
patch_status() { k patch pod "$1" --subresource=status --type=merge -p "$2" >/dev/null || fail "patch of $1"; } # POD JSON

run_pod() {
    patch_status "$1" '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"'"$(now)"'"}]}}'
}

end_pod() { # POD PHASE [CODE]
    local code=${3:-0}
    patch_status "$1" '{"status":{"phase":"'"$2"'","conditions":[{"type":"Ready","status":"False","lastTransitionTime":"'"$(now)"'"}],"containerStatuses":[{"name":"c","ready":false,"restartCount":0,"image":"i","imageID":"i","state":{"terminated":{"exitCode":'"$code"',"finishedAt":"'"$(now)"'"}}}]}}'
}

reap() { # JOB
    local p
    for p in $(k get pods -l "$pod_label=$1" -o 'jsonpath={range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name}{"\n"}{end}'); do
        k delete pod "$p" --grace-period=0 --force >/dev/null 2>&1
    done
}

until_is() { # TEXT COMMAND...: for at most 60 s
    local want=$1 out i
    shift
    lib_checks=$((lib_checks + 1))
    for ((i = 0; i < 300; i++)); do
        out=$("$@" 2>/dev/null) && [ "$out" = "$want" ] && return 0
        sleep 0.2
    done
    fail "$* stayed '$out', not '$want'"
    tail -n 5 "$dir/kcm.log"
}

until_sees() { # RE COMMAND...
    local want=$1 out i
    shift
    lib_checks=$((lib_checks + 1))
    for ((i = 0; i < 300; i++)); do
        out=$("$@" 2>/dev/null) && grep -qE -- "$want" <<<"$out" && return 0
        sleep 0.2
    done
    fail "$* never showed /$want/:"$'\n'"$out"
}

gone() { ! k get "$1" "$2" >/dev/null 2>&1; }
