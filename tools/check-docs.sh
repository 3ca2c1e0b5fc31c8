#!/bin/sh
# Fails when a file of src/ is missing from ARCHITECTURE.md, or the page names one that is gone.
# usage: check-docs.sh [ROOT]
#
# Under a heading "### src/FLOOR" a table's first column names files between backquotes;
# `x.c .h` means x.c and x.h.
set -eu
cd "${1:-.}"

named=$(awk '
    /^### / { floor = $2 ~ /^src\// ? $2 "/" : "" }
    floor && /^\| *`/ {
        split($0, cell, "|")
        n = split(cell[2], part, "`")
        for (i = 2; i <= n; i += 2) {
            split(part[i], word, " ")
            print floor word[1]
            if (word[2]) { sub(/\.[a-z]+$/, word[2], word[1]); print floor word[1] }
        }
    }' ARCHITECTURE.md | sort)
there=$(find src -type f ! -name '.*' | sort)

failed=0
for file in $there; do
    printf '%s\n' "$named" | grep -qxF "$file" || { echo "$file is in no line of ARCHITECTURE.md: add one"; failed=1; }
done
for file in $named; do
    [ -f "$file" ] || { echo "ARCHITECTURE.md names $file, which is not there"; failed=1; }
done
exit $failed
