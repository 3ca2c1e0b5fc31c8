#!/bin/sh
# The example that embeds the library does what its source says. usage: example.sh PROGRAM
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

wrong() {
    echo "example.sh: $1" >&2
    exit 1
}

for run in first again; do
    "$1" "$folder/home" "Who built the lighthouse of Belmora?" >"$folder/out" 2>"$folder/err" ||
        wrong "$run run failed: $(cat "$folder/err")"
    head -n 1 "$folder/out" | grep -q '^1\. Belmora Light: The lighthouse of Belmora was built by' ||
        wrong "$run run found: $(cat "$folder/out")"
    [ "$(wc -l <"$folder/out")" = 2 ] || wrong "$run run: wanted both documents: $(cat "$folder/out")"
    grep -q '^ask: .* has no generator yet: run `raglan train generator' "$folder/err" ||
        wrong "$run run said of the generator: $(cat "$folder/err")"
done
if "$1" /dev/null question 2>"$folder/err"; then wrong "took a file for a home"; fi
grep -q '^ask: /dev/null' "$folder/err" || wrong "a file as home: $(cat "$folder/err")"
