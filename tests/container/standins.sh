#!/bin/sh
# Makes stand-ins for the base images of the Dockerfile and the compose file on machines without access to a registry:
#
#   rust:1-bookworm             this machine's toolchain, with the crates of Cargo.lock
#   nginx:1.28-alpine           Debian's nginx
#   valkey/valkey:8-alpine      Debian's Redis
#   busybox:1.37                Debian
#   versity/versitygw:v1.0.17   s3s-fs, the S3 server of the integration tests
#
#   standins.sh                makes images that are missing, or were made from another Cargo.lock or toolchain
#   standins.sh --without-s3   does not make the S3 server, which takes minutes to compile
#   standins.sh --remove       removes the images that it and run.py made, and none of a registry
set -eu
cd "$(dirname "$0")/../.."

RUST=rust:1-bookworm
NGINX=nginx:1.28-alpine
VALKEY=valkey/valkey:8-alpine
BUSYBOX=busybox:1.37
S3=versity/versitygw:v1.0.17
# Debian and the toolchain, without crates. The label of a stand-in is the digest of its sources.
SYSTEM=faceplate-stand-in:system
LABEL=faceplate.stand-in

if [ "${1:-}" = --remove ]; then
    for label in faceplate.test "$LABEL"; do
        # The newest first, because base images cannot be removed before. Removing one may remove others.
        docker images -q --filter "label=$label" | while read -r image; do
            docker rmi -f "$image" >/dev/null 2>&1 || true
        done
        [ -z "$(docker images -q --filter "label=$label")" ]
    done
    exit 0
fi

with_s3=yes
[ "${1:-}" != --without-s3 ] || with_s3=""

digest() { sha256sum | cut -c 1-16; }
system_of=$({ cat tests/container/standins.sh && rustc -vV; } | digest)
rust_of=$({ echo "$system_of" && cat Cargo.lock; } | digest)
s3s_fs=$(sed -n '/^name = "s3s-fs"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
s3_of=$({ echo "$system_of" && echo "$s3s_fs"; } | digest)

there() { docker image inspect "$1" >/dev/null 2>&1; }
label() { docker image inspect -f "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null || true; }
# Whether the image $1 is from a registry, or a stand-in with the digest $2.
serves() { there "$1" && { [ -z "$(label "$1")" ] || [ "$(label "$1")" = "$2" ]; }; }

serves "$RUST" "$rust_of" && serves "$NGINX" "$system_of" && serves "$VALKEY" "$system_of" &&
    serves "$BUSYBOX" "$system_of" && { [ -z "$with_s3" ] || serves "$S3" "$s3_of"; } && exit 0

# A registry that answers within seconds has the real images.
if [ -z "$(label "$RUST")" ] && timeout 10 docker manifest inspect "$RUST" >/dev/null 2>&1; then
    for tag in "$RUST" "$NGINX" "$VALKEY" "$BUSYBOX" ${with_s3:+"$S3"}; do
        there "$tag" || docker pull -q "$tag"
    done
    exit 0
fi

work=$(mktemp -d)
root=""
[ "$(id -u)" = 0 ] || root="sudo"
tidy() {
    # An interrupted debootstrap leaves these mounted.
    $root umount -q "$work/system/proc" "$work/system/sys" 2>/dev/null || true
    $root rm -rf --one-file-system "$work"
}
trap tidy EXIT
# Without this, an interrupted shell skips the trap above.
trap 'exit 1' HUP INT TERM

make_system() {
    echo "standins: making $SYSTEM from Debian and this machine's toolchain"
    system="$work/system"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Codename: bookworm' 2>/dev/null | head -n 1)
    $root debootstrap --variant=minbase --include=gcc,g++,make,libc6-dev,ca-certificates,nginx-light,redis-server \
        bookworm "$system" "${mirror:-http://deb.debian.org/debian}" >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        exit 1
    }
    for leftover in var/cache/apt var/lib/apt/lists usr/share/doc usr/share/man usr/share/locale; do
        $root rm -rf "${system:?}/$leftover"
    done

    toolchain="$system/usr/local/rust"
    sysroot=$(rustc --print sysroot)
    $root mkdir -p "$toolchain/bin" "$toolchain/lib/rustlib" "$system/usr/local/cargo"
    $root cp -a "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$toolchain/bin/"
    $root cp -a "$sysroot"/lib/*.so* "$toolchain/lib/"
    $root cp -a "$sysroot/lib/rustlib/$(uname -m)-unknown-linux-gnu" "$toolchain/lib/rustlib/"

    $root rm -f "$system/etc/nginx/sites-enabled/default"
    # The official image has this folder elsewhere.
    $root rm -rf "$system/var/lib/nginx"
    $root ln -s /var/cache/nginx "$system/var/lib/nginx"
    $root sed -i 's#^error_log .*#error_log stderr;#; s#^[[:space:]]*access_log .*#access_log /dev/stdout;#' \
        "$system/etc/nginx/nginx.conf"

    $root tar -C "$system" -c . | docker import \
        --change 'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV CARGO_HOME=/usr/local/cargo' \
        --change 'ENV CARGO_NET_OFFLINE=true' \
        --change "LABEL $LABEL=$system_of" - "$SYSTEM" >/dev/null
}

# Copies the crates of Cargo.lock from this machine, so that the build needs no registry.
crates() {
    cargo fetch --locked -q
    mine=${CARGO_HOME:-$HOME/.cargo}/registry
    mkdir "$work/crates"
    cp -a "$mine/index" "$work/crates/"
    for from in "$mine"/cache/*; do
        to="$work/crates/cache/$(basename "$from")"
        mkdir -p "$to"
        awk -F '"' '/^name = /{name = $2} /^version = /{print name "-" $2 ".crate"}' Cargo.lock |
            while read -r crate; do
                [ ! -f "$from/$crate" ] || cp -a "$from/$crate" "$to/"
            done
    done
}

# Compiles the S3 server into the folder $1. It is static, so it needs no libc as new as this machine's.
s3_server() {
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 RUSTFLAGS="-C target-feature=+crt-static" cargo install -q --locked \
        --target "$(uname -m)-unknown-linux-gnu" --root "$1" --features binary --version "$s3s_fs" s3s-fs \
        >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        exit 1
    }
}

# Builds the image $1 with the label $2 from the Dockerfile on standard input and the folder $3.
image() {
    DOCKER_BUILDKIT=0 docker build -q -t "$1" --label "$LABEL=$2" -f - "$3" >/dev/null 2>"$work/log" || {
        cat "$work/log" >&2
        exit 1
    }
}

serves "$SYSTEM" "$system_of" || make_system
serves "$RUST" "$rust_of" || {
    echo "standins: making $RUST"
    crates
    printf 'FROM %s\nCOPY . /usr/local/cargo/registry/\n' "$SYSTEM" | image "$RUST" "$rust_of" "$work/crates"
}
serves "$NGINX" "$system_of" || {
    echo "standins: making $NGINX"
    mkdir "$work/nothing"
    printf 'FROM %s\nCMD ["nginx", "-g", "daemon off;"]\n' "$SYSTEM" | image "$NGINX" "$system_of" "$work/nothing"
}
serves "$VALKEY" "$system_of" || {
    echo "standins: making $VALKEY"
    # The names of Valkey, and the user of its image.
    mkdir "$work/valkey"
    for name in server cli; do
        printf '#!/bin/sh\nexec redis-%s "$@"\n' "$name" >"$work/valkey/valkey-$name"
        chmod 755 "$work/valkey/valkey-$name"
    done
    printf 'FROM %s\nCOPY valkey-* /usr/bin/\nRUN mkdir /data && chown 999:1000 /data\nWORKDIR /data\n' "$SYSTEM" |
        image "$VALKEY" "$system_of" "$work/valkey"
}
serves "$BUSYBOX" "$system_of" || docker tag "$SYSTEM" "$BUSYBOX"
[ -z "$with_s3" ] || serves "$S3" "$s3_of" || {
    echo "standins: making $S3"
    s3_server "$work/s3"
    # The command and the environment of Versity's gateway: `posix FOLDER`, and the key.
    cat >"$work/s3/versitygw" <<'END'
#!/bin/sh
exec s3s-fs --host 0.0.0.0 --port 7070 --access-key "$ROOT_ACCESS_KEY" --secret-key "$ROOT_SECRET_KEY" "$2"
END
    chmod 755 "$work/s3/versitygw"
    printf 'FROM %s\nCOPY bin/s3s-fs versitygw /usr/local/bin/\nENTRYPOINT ["versitygw"]\n' "$SYSTEM" |
        image "$S3" "$s3_of" "$work/s3"
}
# Outdated stand-ins have lost their names.
docker image prune -f --filter "label=$LABEL" >/dev/null
