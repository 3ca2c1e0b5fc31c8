#!/bin/sh
# The checker of ARCHITECTURE.md must itself be able to fail. usage: docs.sh CHECKER
set -eu
checker=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/src/util"
touch "$root/src/util/err.c" "$root/src/util/err.h" "$root/src/util/mem.c"
failed=0

# expect RESULT LINE: a page with this one line in the table of src/util
expect() {
    printf '### src/util\n| file | |\n|---|---|\n%s\n' "$2" >"$root/ARCHITECTURE.md"
    if "$checker" "$root" >"$root/out" 2>&1; then result=passes; else result=fails; fi
    [ $result = "$1" ] && return
    echo "$2: $result, expected that it $1"
    cat "$root/out"
    failed=1
}

expect passes '| `err.c .h`, `mem.c` | all of them |'
expect fails '| `err.c .h` | one is missing |'
expect fails '| `err.c`, `mem.c` | a header is missing |'
expect fails '| `err.c .h`, `mem.c .h` | one is not there |'
exit $failed
