#!/bin/sh
# Makes images under the official names that the Dockerfile and the compose file build on, for machines that
# reach no registry: rust:1-bookworm from this machine's toolchain, nginx:1.27-alpine from Debian's nginx.
# Images that are there already are left alone.
set -eu

there() { docker image inspect "$1" >/dev/null 2>&1; }

RUST=rust:1-bookworm
NGINX=nginx:1.27-alpine
there "$RUST" && there "$NGINX" && exit 0

# A registry, if one is in reach, has the real ones.
if timeout 20 docker pull -q "$RUST" >/dev/null 2>&1 && timeout 60 docker pull -q "$NGINX" >/dev/null 2>&1; then
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=""
[ "$(id -u)" = 0 ] || root="sudo"
mirror=$(sed -n 's/^URIs: *//p; s/^deb [^h]*\(http[^ ]*\).*/\1/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}

echo "standins: making $RUST and $NGINX from Debian and this machine's toolchain"
system="$work/system"
$root debootstrap --variant=minbase --include=gcc,g++,make,libc6-dev,ca-certificates,nginx-light \
    bookworm "$system" "$mirror" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    exit 1
}
for leftover in var/cache/apt var/lib/apt/lists usr/share/doc usr/share/man usr/share/locale; do
    $root rm -rf "$system/$leftover"
done

toolchain="$system/usr/local/rust"
cargo_home="$system/usr/local/cargo"
sysroot=$(rustc --print sysroot)
$root mkdir -p "$toolchain" "$cargo_home/registry"
$root mkdir -p "$toolchain/bin" "$toolchain/lib/rustlib"
$root cp -a "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$toolchain/bin/"
$root cp -a "$sysroot"/lib/*.so* "$toolchain/lib/"
$root cp -a "$sysroot/lib/rustlib/$(uname -m)-unknown-linux-gnu" "$toolchain/lib/rustlib/"
# The crates of Cargo.lock, as this machine has them: the build asks no registry.
cargo fetch --locked -q
mine=${CARGO_HOME:-$HOME/.cargo}
$root cp -a "$mine/registry/cache" "$mine/registry/index" "$cargo_home/registry/"
[ ! -f "$mine/config.toml" ] || $root cp "$mine/config.toml" "$cargo_home/"

$root rm -f "$system/etc/nginx/sites-enabled/default"
$root mkdir -p "$system/etc/nginx/certificates"
# Where the official image keeps what Debian's keeps here.
$root rm -rf "$system/var/lib/nginx"
$root ln -s /var/cache/nginx "$system/var/lib/nginx"
$root sed -i 's#^error_log .*#error_log stderr;#; s#^[[:space:]]*access_log .*#access_log /dev/stdout;#' \
    "$system/etc/nginx/nginx.conf"

$root tar -C "$system" -c . | docker import \
    --change 'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV CARGO_HOME=/usr/local/cargo' \
    --change 'ENV CARGO_NET_OFFLINE=true' - "$RUST" >/dev/null
printf 'FROM %s\nCMD ["nginx", "-g", "daemon off;"]\n' "$RUST" | docker build -q -t "$NGINX" - >/dev/null
