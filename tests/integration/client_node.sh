#!/usr/bin/env bash
# @kubernetes/client-node, the official JavaScript client, against our apiserver and a real etcd: client_node.mjs.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
command -v node >/dev/null && command -v npm >/dev/null || { echo "node or npm is missing (apt-get install npm)"; exit 77; }
cache=$PWD/tests/.cache/client-node
if [ ! -d "$cache/node_modules/@kubernetes/client-node" ]; then
    mkdir -p "$cache"
    if ! out=$(npm install --no-audit --no-fund --prefix "$cache" @kubernetes/client-node@1 2>&1); then
        grep -qE "ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|network" <<<"$out" && { echo "npm is out of reach"; exit 77; }
        die "npm install: $out"
    fi
fi
lib_start
start_etcd
start_apiserver
cp tests/integration/client_node.mjs "$cache/client_node.$$.mjs" # modules are looked up beside the script
prints ok timeout 120 node "$cache/client_node.$$.mjs"
rm -f "$cache/client_node.$$.mjs"
lib_end
