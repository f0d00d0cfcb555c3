#!/usr/bin/env bash
# ckube-decode: all three formats in and out, bad input answered with exit 1 and one line.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/${BUILD:-build}/bin/ckube-decode
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "FAILED: $*"; exit 1; }

"$bin" <tests/bench/pod_4k.json >"$dir/a.json"
cmp -s "$dir/a.json" tests/bench/pod_4k.json || fail "JSON is not kept byte for byte"
"$bin" -o protobuf <"$dir/a.json" >"$dir/a.pb"
[ "$(head -c 3 "$dir/a.pb")" = k8s ] || fail "no protobuf magic"
"$bin" -o yaml <"$dir/a.pb" >"$dir/a.yaml"
grep -qx 'kind: Pod' "$dir/a.yaml" || fail "no YAML"
"$bin" -o json <"$dir/a.yaml" | cmp -s - "$dir/a.json" || fail "JSON -> protobuf -> YAML -> JSON changed the object"

for bad in '' '{' '{}' '{"kind":"Pod","apiVersion":"v9"}' 'a: b: c' "$(printf 'k8s\001')"; do
    if printf '%s' "$bad" | "$bin" >"$dir/out" 2>"$dir/err"; then fail "accepted: $bad"; fi
    [ "$(wc -l <"$dir/err")" -eq 1 ] || fail "not one line for: $bad"
    [ ! -s "$dir/out" ] || fail "output for: $bad"
done
printf 'k8s\0\xff\xff\xff' | "$bin" 2>/dev/null && fail "accepted broken protobuf"
"$bin" -o xml </dev/null 2>/dev/null && fail "accepted -o xml"
"$bin" -h | grep -q Usage || fail "no help"
echo "ckube-decode works"
