#!/bin/sh
# Installs the load generator, and the programs that the arguments name: nginx, varnish, h2o, redis, perf. Safe to run again.
set -eu

has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

missing=""
has wrk || missing="$missing wrk"
has python3 || missing="$missing python3"
has taskset || missing="$missing util-linux"
has h2load || missing="$missing nghttp2-client"
has openssl || missing="$missing openssl"
has curl || missing="$missing curl"
for program; do
    case $program in
        nginx) has nginx || missing="$missing nginx-light" ;;
        varnish)
            has varnishd || missing="$missing varnish"
            has hitch || missing="$missing hitch"
            ;;
        h2o) has h2o || missing="$missing h2o" ;;
        redis) has redis-server || missing="$missing redis-server" ;;
        perf) has perf || missing="$missing linux-perf" ;;
        *) echo "setup.sh: $program is not known here" >&2 && exit 1 ;;
    esac
done
[ -z "$missing" ] && exit 0

root=""
[ "$(id -u)" = 0 ] || root="sudo"
$root apt-get update -q
# The list has to be split at its spaces.
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
# The distribution starts the servers that it installs; the benchmark starts its own.
$root sh -c 'systemctl stop nginx varnish hitch h2o; pkill nginx; pkill varnishd' >/dev/null 2>&1 || true
