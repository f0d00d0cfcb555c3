#!/usr/bin/env bash
# build.sh [OUT]: builds the project's own images as docker archives, with gcc, tar and sha256sum only.
#   OUT/hello-1.tar  local.test/hello:1      OUT/hello-2.tar    local.test/hello:2 (the same server, another version)
#   OUT/pause.tar    local.test/pause:1      OUT/busybox.tar    local.test/busybox:1 (from the package busybox-static)
# The same sources give the same bytes.  An archive newer than its sources is kept.  OUT: build/images.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-build/images}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac

fresh() { # ARCHIVE SOURCE...
    local a=$1 s
    shift
    [ -s "$a" ] || return 1
    for s in "$@" "$here/build.sh"; do [ "$a" -nt "$s" ] || return 1; done
}

# image NAME ARCHIVE CONFIG-JSON ROOT: one layer, made of the folder ROOT
image() {
    local name=$1 archive=$2 config=$3 root=$4 w layer cfg
    w=$(mktemp -d -p "$work")
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$root" -cf "$w/layer.tar" .
    layer=$(sha256sum "$w/layer.tar" | cut -d' ' -f1)
    mkdir "$w/$layer"
    mv "$w/layer.tar" "$w/$layer/layer.tar"
    printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"ckube deploy/images"}],"created":"1970-01-01T00:00:00Z"}' \
        "$arch" "$config" "$layer" >"$w/config.json"
    cfg=$(sha256sum "$w/config.json" | cut -d' ' -f1)
    mv "$w/config.json" "$w/$cfg.json"
    printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]' "$cfg" "$name" "$layer" >"$w/manifest.json"
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$w" -cf "$archive.new" manifest.json "$cfg.json" "$layer"
    mv "$archive.new" "$archive"
    echo "  built $name ($(du -k "$archive" | cut -f1) KiB)"
}

compile() { # SOURCE BINARY
    "${CC:-gcc}" -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -s -o "$2" "$1"
}

if ! fresh "$out/pause.tar" "$here/pause.c"; then
    mkdir "$work/pause"
    compile "$here/pause.c" "$work/pause/pause"
    image local.test/pause:1 "$out/pause.tar" '{"Entrypoint":["/pause"],"User":"65535:65535"}' "$work/pause"
fi
if ! fresh "$out/hello-1.tar" "$here/hello.c" || ! fresh "$out/hello-2.tar" "$here/hello.c"; then
    mkdir "$work/hello"
    compile "$here/hello.c" "$work/hello/hello"
    for v in 1 2; do
        image "local.test/hello:$v" "$out/hello-$v.tar" \
            '{"Entrypoint":["/hello"],"Env":["HELLO_VERSION='$v'"],"User":"65534:65534","ExposedPorts":{"8080/tcp":{}}}' "$work/hello"
    done
fi
# A static busybox: this machine's, else the one of the Debian package, unpacked here and not installed.
static_busybox() {
    local b
    for b in /bin/busybox "$out/../tools/busybox"; do
        [ ! -x "$b" ] || ldd "$b" >/dev/null 2>&1 || { echo "$b"; return; }
    done
    (cd "$work" && apt-get download busybox-static >/dev/null 2>&1 && dpkg-deb -x busybox-static_*.deb unpacked) || return 1
    mkdir -p "$out/../tools"
    install -m 755 "$work/unpacked/bin/busybox" "$out/../tools/busybox"
    echo "$out/../tools/busybox"
}
if ! busybox=$(static_busybox); then
    echo "  no local.test/busybox:1: the package busybox-static cannot be fetched"
elif ! fresh "$out/busybox.tar" "$busybox"; then
    root=$work/busybox
    mkdir -p "$root"/{bin,etc,tmp,root,proc,sys,dev,usr/bin}
    chmod 1777 "$root/tmp"
    install -m 755 $busybox "$root/bin/busybox"
    for a in $($busybox --list); do [ "$a" = busybox ] || ln -sf busybox "$root/bin/$a"; done
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    image local.test/busybox:1 "$out/busybox.tar" '{"Env":["PATH=/bin:/sbin:/usr/bin"],"Cmd":["sh"]}' "$root"
fi
