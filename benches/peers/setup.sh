#!/bin/sh
# Installs what Faceplate is measured against, and the load generator. Safe to run again.
set -eu

# Packages beyond those, that the caller needs.
missing="$*"
[ "$missing" != linux-perf ] || ! command -v perf >/dev/null 2>&1 || missing=""
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v varnishd >/dev/null 2>&1 || [ -x /usr/sbin/varnishd ] || missing="$missing varnish"
command -v wrk >/dev/null 2>&1 || missing="$missing wrk"
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
command -v taskset >/dev/null 2>&1 || missing="$missing util-linux"
[ -z "$missing" ] && exit 0

root=""
[ "$(id -u)" = 0 ] || root="sudo"
$root apt-get update -q
# The list is words of our own, to be split.
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
# The distribution starts what it installs; ours run on ports of their own.
$root sh -c 'systemctl stop nginx varnish; pkill nginx; pkill varnishd' >/dev/null 2>&1 || true
