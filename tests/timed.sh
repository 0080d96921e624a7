#!/bin/sh
# Runs make targets in turn and prints how long each took: `sh tests/timed.sh TARGET…`. It stops at the first that fails;
# the last lines then name the failed target and its failed tests. The output is kept in target/test-logs.
set -u
cd "$(dirname "$0")/.."

logs=target/test-logs
mkdir -p "$logs"
# A pipe is no terminal.
[ ! -t 1 ] || export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-always}"

clock() { printf '%3d:%02d' $(($1 / 60)) $(($1 % 60)); }

table=""
failed=""
start=$(date +%s)
for target in "$@"; do
    began=$(date +%s)
    { "${MAKE:-make}" --no-print-directory "$target" 2>&1; echo $? >"$logs/status"; } | tee "$logs/$target.log"
    [ "$(cat "$logs/status")" = 0 ] || failed=$target
    table="$table$(clock $(($(date +%s) - began)))  $target
"
    [ -z "$failed" ] || break
done

printf '\nmin:s\n%s%s  in all\n' "$table" "$(clock $(($(date +%s) - start)))"
[ -n "$failed" ] || exit 0
sed -n 's/^test \(.*\) \.\.\. FAILED$/failed test: \1/p' "$logs/$failed.log" | sort -u
echo "failed: make $failed (its output is in $logs/$failed.log)"
exit 1
