#!/bin/sh
# Runs every fuzz target for FUZZ_SECONDS each, starting from the inputs in fuzz/corpus. Stops at a crash, and leaves
# its input under target/fuzz.
set -eu
cd "$(dirname "$0")/.."

SECONDS_EACH="${FUZZ_SECONDS:-10}"

found=target/fuzz/found
mkdir -p "$found"
# Sanitizers need a nightly compiler, and this crate has no `unsafe`: the faults to find are panics.
cargo fuzz build --sanitizer none --target-dir target/fuzz --release
for target in $(cargo fuzz list); do
    mkdir -p "$found/$target"
    log="$found/$target.log"
    if ! cargo fuzz run --sanitizer none --target-dir target/fuzz --release "$target" \
        "$found/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$found/crash-$target-" >"$log" 2>&1; then
        tail -40 "$log" >&2
        echo "fuzz: $target failed; the input is $found/crash-$target-*" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    echo "fuzz: $target: $runs runs in $SECONDS_EACH s, $cover edges, no crash"
done
