#!/usr/bin/env bash
# run.sh WHAT BUILD: runs the tests of one kind, or all, and ends with one line "N passed, N failed".
#   WHAT: unit | tsan | integration | cluster | fuzz | all
# One test program or script counts as one, its own output is shown when it fails (whole in BUILD/testlogs/).
# Scripts exit 0 = passed, 77 = cannot run here (counted as skipped and named).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
what=$1
build=${2:-build}
logs=$build/testlogs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
failures=()

run_one() { # NAME TIMEOUT_S COMMAND...
    local name=$1 limit=$2 log
    shift 2
    log=$logs/${name//\//_}.log
    timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1 </dev/null
    local rc=$?
    case $rc in
    0) passed=$((passed + 1)); echo "ok      $name" ;;
    77) skipped=$((skipped + 1)); echo "skipped $name: $(tail -n 1 "$log")" ;;
    *)
        failed=$((failed + 1)); failures+=("$name")
        echo "FAILED  $name (exit $rc), log $log:"
        tail -n 40 "$log" | sed 's/^/    /'
        ;;
    esac
}

run_unit() { # BUILD-DIR LABEL
    local t
    for t in "$1"/tests/unit/*/test_*; do
        case $t in *.d|*.o) continue ;; esac
        [ -x "$t" ] && run_one "$2/$(basename "$(dirname "$t")")/$(basename "$t")" 120 "$t"
    done
}

# Programs with threads in them, under ThreadSanitizer; the rest would only be slow.
tsan_programs=(base/test_metrics net/test_{loop,http_server,http_client,tls,grpc_client} client/test_{executor,informer,rest}
    daemon/test_{daemon,health} storage/test_{etcd_client,store})
run_tsan() { # BUILD-DIR
    local t programs=()
    for t in "${tsan_programs[@]}"; do [ -f "tests/unit/$t.c" ] && programs+=("$t"); done
    if ! make -s -j"$(nproc)" B="$1" SANITIZE=thread "${programs[@]/#/$1/tests/unit/}"; then
        failed=$((failed + 1)); failures+=("tsan build")
        return
    fi
    for t in "${programs[@]}"; do run_one "tsan/$t" 300 "$1/tests/unit/$t"; done
}

run_scripts() { # KIND TIMEOUT_S
    local t
    for t in tests/"$1"/*.sh; do
        case $t in */lib*.sh|*'*'*) continue ;; esac
        run_one "$1/$(basename "$t" .sh)" "$2" env BUILD="$build" bash "$t"
    done
}

run_fuzz() { # BUILD-DIR
    local t seeds
    for t in "$1"/fuzz/*_fuzz; do
        [ -x "$t" ] || continue
        seeds=tests/fuzz/corpus/$(basename "$t")
        mkdir -p "$1/corpus/$(basename "$t")"
        run_one "fuzz/$(basename "$t")" 300 "$t" -max_total_time="${FUZZ_SECONDS:-5}" -rss_limit_mb=2048 -timeout=10 \
            -error_exitcode=1 -timeout_exitcode=1 -artifact_prefix="$logs/" -print_final_stats=0 "$1/corpus/$(basename "$t")" $([ -d "$seeds" ] && echo "$seeds")
    done
}

case $what in
unit) run_unit "$build" unit ;;
tsan) run_tsan "$build/tsan" ;;
integration) run_scripts integration 300 ;;
cluster) run_scripts cluster 600 ;;
fuzz) run_fuzz "$build" ;;
all)
    make -s deps || exit 1
    make -s -j"$(nproc)" B="$build" all unit-bins || { echo "0 passed, 1 failed"; exit 1; }
    run_unit "$build" unit
    # Sanitized build of the same tests; the daemons under it serve the integration tests too.
    if make -s -j"$(nproc)" B="$build/asan" SANITIZE=address,undefined all unit-bins; then
        run_unit "$build/asan" asan
    else
        failed=$((failed + 1)); failures+=("asan build")
    fi
    run_tsan "$build/tsan"
    run_scripts integration 300
    run_scripts cluster 600
    if make -s -j"$(nproc)" B="$build/fuzzing" CC=clang SANITIZE=address,undefined,fuzzer-no-link fuzz-bins; then
        run_fuzz "$build/fuzzing"
    else
        failed=$((failed + 1)); failures+=("fuzz build")
    fi
    ;;
*) echo "run.sh: unknown kind $what" >&2; exit 2 ;;
esac
[ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
