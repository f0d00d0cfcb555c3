#!/usr/bin/env bash
# The golden patches are what upstream's own code does: kubectl patch --local runs it without a server.
# Cases without a kind, and those where only the server's error text matters, are left to the unit test.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
command -v kubectl >/dev/null && command -v jq >/dev/null || { echo "needs kubectl and jq"; exit 77; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
# kubectl keeps directives and nulls inside new values, which the server's decoder drops
tidy='walk(if type == "object" then with_entries(select(.value != null and (.key | startswith("$") | not))) else . end)'
passed=0 failed=0
for dir in tests/golden/patch/*/; do
    name=$(basename "$dir"); kind=${name%%-*}
    jq -e 'type == "object" and has("kind")' "$dir/original.json" >/dev/null || continue
    if kubectl patch --local -f "$dir/original.json" --type="$kind" -p "$(cat "$dir/patch.json")" -o json >"$tmp/got.json" 2>"$tmp/err"; then
        if [ -e "$dir/expected.json" ] && diff <(jq -S "$tidy" "$tmp/got.json") <(jq -S "$tidy" "$dir/expected.json") >"$tmp/diff"; then
            passed=$((passed + 1)); continue
        fi
    elif [ -e "$dir/error.txt" ]; then
        passed=$((passed + 1)); continue
    fi
    failed=$((failed + 1)); echo "FAILED $name"; cat "$tmp/err" "$tmp/diff" 2>/dev/null
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 20 ]
