#!/usr/bin/env bash
# run.sh BUILD: every benchmark program and script of tests/bench, one after the other.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
for bench in "$build"/bench/*_bench; do
    [ -x "$bench" ] || continue
    echo "== $(basename "$bench")"
    "$bench"
done
for bench in tests/bench/*.sh; do
    case $bench in */run.sh) continue ;; esac
    echo "== $(basename "$bench" .sh)"
    "$bench" "$build" || [ $? = 77 ]
done
