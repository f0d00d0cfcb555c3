#!/usr/bin/env bash
# The store of kube-apiserver when etcd is killed, restarted, compacted under it, restored from a snapshot, or absent.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${BUILD:-build}/tests/unit/storage/test_store
[ -x "$bin" ] || { echo "$bin is not built (make unit-bins)"; exit 77; }
STORE_FAULTS=1 exec "$bin"
