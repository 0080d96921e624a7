#!/bin/sh
# Runs make targets in turn and prints how long each took: `sh tests/timed.sh TARGET…`. It stops at the first that fails;
# the last lines then name the failed target and its failed tests. The output is kept in target/test-logs. Without a
# terminal, a target that takes more than STEP_LIMIT seconds (1800) fails, and the tests that hang are named.
set -u
cd "$(dirname "$0")/.."

logs=target/test-logs
mkdir -p "$logs"
if [ -t 1 ]; then
    # The pipe to the log is no terminal.
    export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-always}"
    limit=""
else
    # It takes its command out of the terminal's process group, and so out of the reach of Ctrl-C.
    limit="timeout -k 10 ${STEP_LIMIT:-1800}"
fi

clock() { printf '%3d:%02d' $(($1 / 60)) $(($1 % 60)); }

table=""
failed=""
start=$(date +%s)
for target in "$@"; do
    began=$(date +%s)
    { $limit "${MAKE:-make}" --no-print-directory "$target" 2>&1; echo $? >"$logs/status"; } | tee "$logs/$target.log"
    [ "$(cat "$logs/status")" = 0 ] || failed=$target
    table="$table$(clock $(($(date +%s) - began)))  $target
"
    [ -z "$failed" ] || break
done

printf '\nmin:s\n%s%s  in all\n' "$table" "$(clock $(($(date +%s) - start)))"
[ -n "$failed" ] || exit 0
log="$logs/$failed.log"
sed -n 's/^test \(.*\) \.\.\. FAILED$/failed test: \1/p' "$log" | sort -u
if [ "$(cat "$logs/status")" = 124 ]; then
    echo "make $failed takes more than ${STEP_LIMIT:-1800} s"
    sed -n 's/^test \(.*\) has been running for over .*/\1/p' "$log" | while read -r test; do
        grep -q "^test $test \.\.\. " "$log" || echo "hanging test: $test"
    done
fi
echo "failed: make $failed (its output is in $log)"
exit 1
