#!/bin/sh
# The checker of layers must itself be able to fail: wrong includes in a small tree, one at a
# time, and one right tree. usage: layers.sh CHECKER
set -eu
checker=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failed=0

# expect RESULT FILE LINE: a tree of this one file with this one line
expect() {
    rm -rf "$root/src" && mkdir -p "$root/$(dirname "$2")"
    echo "$3" >"$root/$2"
    if "$checker" "$root" >"$root/out" 2>&1; then result=passes; else result=fails; fi
    [ $result = "$1" ] && return
    echo "$2 with $3: $result, expected that it $1"
    cat "$root/out"
    failed=1
}

expect passes src/nn/a.c '#include "tensor/tensor.h"'
expect passes src/nn/a.c '#include "a_int.h"'
expect passes src/rag/a.c '#include "util/mem.h"'
expect passes src/tensor/cpu/a.c '#include "tensor/cpu/cpu_int.h"'
expect passes src/store/a.c '#include <sqlite3.h>'
expect fails src/util/a.c '#include "tensor/tensor.h"'  # up
expect fails src/tensor/a.c '#include "text/tokens.h"'  # sideways
expect fails src/nn/a.h '  #  include "search/flat.h"'  # sideways, oddly written
expect fails src/text/a.cc '#include "nn/layers.h"'     # up, in C++
expect fails src/util/a.c '#include "../rag/rag.h"'     # out of the folder
expect fails src/data/a.c '#include <sqlite3.h>'        # not its door
expect fails src/eval/a.c '#include <jansson.h>'        # the door is util/json.h
expect fails src/attic/a.c '#include "util/mem.h"'      # no such floor
exit $failed
