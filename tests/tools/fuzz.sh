#!/usr/bin/env bash
# Fuzzes each target for some seconds: fuzz.sh SECONDS [TARGET...]. Installs what is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$1; shift
command -v rustup >/dev/null || { echo "fuzzing needs Rust's nightly toolchain: install rustup first" >&2; exit 1; }
rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for file in fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
# What the targets reach is safe Rust, all but the mapped files of `url`: overflows and assertions
# are checked anyway, and an address sanitizer finds nothing that its time is worth.
sanitizer=${SANITIZER:-none}
# SQLite's C files share names of static data, which the sanitizer takes for a mistake. What
# a server keeps is no leak, and a search for leaks after each input costs more than the input.
export ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=0
# Nor are the names of new functions looked up, or rare features ranked: with the whole server
# instrumented either takes most of the time.
quick=(-detect_leaks=0 -print_funcs=0 -entropic=0)
cargo +nightly fuzz build --sanitizer "$sanitizer"
failed=()
for target in "${targets[@]}"; do
  echo "== $target: $seconds s"
  # What the fuzzer finds stays out of the corpus that is in the repository.
  found=fuzz/target/corpus/$target; log=fuzz/target/$target.log
  mkdir -p "$found"
  cargo +nightly fuzz run --sanitizer "$sanitizer" "$target" "$found" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=120 "${quick[@]}" -print_final_stats=1 >"$log" 2>&1 || failed+=("$target")
  grep -aE '^#[0-9]+\s+DONE|stat::(number_of_executed_units|average_exec_per_sec)|panicked|SUMMARY' "$log" | tail -n 5
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}; see fuzz/artifacts/ and fuzz/target/*.log" >&2; exit 1; }
echo "fuzz: ${#targets[@]} targets for $seconds s each, nothing found"
