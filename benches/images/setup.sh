#!/bin/sh
# Installs libvips' tools, and what compares pictures. Safe to run again.
set -eu
cd "$(dirname "$0")/../.."

if ! command -v vipsthumbnail >/dev/null 2>&1; then
    root=""
    [ "$(id -u)" = 0 ] || root="sudo"
    $root apt-get update -q
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends libvips-tools python3-venv
fi
tools=target/bench-tools
[ -x "$tools/bin/python" ] || python3 -m venv "$tools"
"$tools/bin/python" -c 'import numpy, PIL, skimage' 2>/dev/null ||
    "$tools/bin/pip" install -q numpy==2.3.4 pillow==12.0.0 scikit-image==0.25.2
