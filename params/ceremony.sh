#!/usr/bin/env bash
# A ceremony of four contributors for the scorecards' circuit, as four agencies would hold it by passing
# one file around; then its verification in one command, and what must be refused.
#
#   params/ceremony.sh [folder]     the folder must not exist; without one, a temporary one is removed
#
# On one machine, one operator knows all the secrets: what comes out is a test key.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
if [ $# -gt 0 ]; then
  mkdir "$1"
  work="$(cd "$1" && pwd)"
else
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
fi
cd "$root"
cargo build --release --locked -p zkbureau-ceremony --bin params --example score
target="${CARGO_TARGET_DIR:-$root/target}/release"
params="$target/params"
cd "$work"

lap() { # runs a command and says how long it took
  local spent TIMEFORMAT='%R %U'
  { spent=$({ time "${@:2}" >&3 2>>progress.log; } 2>&1); } 3>&1
  printf '%-28s %6.1f s %6.1f s CPU\n' "$1" $spent >>times
}
refused() { # runs a command that must be refused (exit code 20) and shows why
  local code=0 why
  why="$("${@:2}" 2>&1 >/dev/null | tail -n 1)" || code=$?
  if [ "$code" != 20 ]; then
    echo "FAILED: $1 gave exit code $code: $why" >&2
    exit 1
  fi
  printf '%-24s %s\n' "$1" "$why"
}

begun=$SECONDS
hashes=()
contribute() { # name, phase
  echo "$RANDOM dice of $1" >dice
  lap "phase $2, $1" "$params" contribute ceremony next --name "$1" --entropy-file dice | tee said
  rm dice
  hashes+=(--contains "$(sed -n 's/^publish this hash: //p' said)")
  mv ceremony "before $2 $1"
  mv next ceremony
}
"$params" new --title "test ceremony of four" ceremony
for name in "Agency A" "Agency B" "Agency C" "Agency D"; do contribute "$name" 1; done
lap "specialise" "$params" specialise ceremony next
mv ceremony "before specialisation"
mv next ceremony
for name in "Agency A" "Agency B" "Agency C" "Agency D"; do contribute "$name" 2; done
lap "verify, one command" "$params" verify ceremony "${hashes[@]}"
lap "finish" "$params" finish ceremony key "${hashes[@]}"
lap "verify with both keys" "$params" verify ceremony --proving-key key/scorecard.pk --verifying-key key/scorecard.vk >/dev/null
lap "minutes, in Python" python3 "$root/params/reference/verify_minutes.py" ceremony >/dev/null
lap "key's minutes, in Python" python3 "$root/params/reference/verify_minutes.py" key/scorecard.vk >/dev/null
lap "prove and verify scores" "$target/examples/score" key
echo "$((SECONDS - begun)) s in all"

echo; echo "Times"; cat times
echo; echo "Files"; stat -c '%10s  %n' "before 1 Agency A" "before specialisation" ceremony key/*

echo; echo "Refused"
flip() { # file, offset from the start, copy
  cp "$1" "$3"
  printf "\\x$(printf %02x $(($(od -An -tu1 -j "$2" -N 1 "$1") ^ 1)))" | dd of="$3" bs=1 seek="$2" conv=notrunc status=none
}
size=$(stat -c %s ceremony)
minutes=$(od -An -tu4 -j 9 -N 4 ceremony)
powers=$((13 + minutes))
n=8192
flip ceremony 50 bad;                                             refused "a name" "$params" verify bad
flip ceremony $((powers + 32 * 77)) bad;                          refused "tau in G1" "$params" verify bad
flip ceremony $((powers + 32 * (2 * n - 1) + 64 * 99)) bad;       refused "tau in G2" "$params" verify bad
flip ceremony $((size - 32 * 100)) bad;                           refused "query L" "$params" verify bad
head -c $((size - 1)) ceremony >bad;                              refused "truncated" "$params" verify bad
refused "single contributor" "$params" specialise "before 1 Agency B" bad2
refused "single in phase 2" "$params" finish "before 2 Agency B" bad2
refused "not begun" "$params" finish "before specialisation" bad2
refused "the same name again" "$params" contribute ceremony bad2 --name "agency a"
refused "a contribution missing" "$params" verify "before 1 Agency D" --so-far "${hashes[@]}"
head -c 10000 key/scorecard.vk >bad;                              refused "a cut key" "$params" verify ceremony --verifying-key bad
