#!/bin/sh
# Fails when an #include in src/ points up or sideways across the floors of the house, or
# when a foreign library's header is included outside its door. usage: check-layers.sh [ROOT]
#
# A file may include its own folder and every floor listed for it; what is between quotes and
# names no folder lies beside the file. tests/, bench/ and examples/ may include any floor.
set -eu
cd "${1:-.}"

find src -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.def' | sort | xargs awk '
BEGIN {
    # The floors, from the ground up; floors on one line do not see each other.
    n = split("util|tensor text store metric|nn search data|model|train eval|rag|cli", rows, "|")
    for (i = 1; i <= n; i++) {
        m = split(rows[i], names, " ")
        for (j = 1; j <= m; j++) level[names[j]] = i
    }
    # header (a pattern), the files that may include it, what to include instead
    door("^jansson\\.h$", "^src/util/json\\.h$", "util/json.h")
    door("^zlib\\.h$", "^src/util/file_read\\.c$", "util/file.h")
    door("^utf8proc\\.h$", "^src/util/unicode\\.c$", "util/unicode.h")
    door("^(openssl/.*|xxhash\\.h)$", "^src/util/hash\\.c$", "util/hash.h")
    door("^sqlite3\\.h$", "^src/store/[^/]*\\.(c|h)$", "the headers of store/")
    door("^(sentencepiece.*|builtin_pb/.*)$", "^src/text/[^/]*\\.cc$", "the headers of text/")
    door("^libstemmer\\.h$", "^src/search/[^/]*\\.c$", "the headers of search/")
    door("^pcre2\\.h$", "^src/metric/has_answer\\.c$", "metric/has_answer.h")
    door("^curl/", "^src/data/[^/]*\\.c$", "the headers of data/")
    door("^(histedit\\.h|editline/.*)$", "^src/cli/[^/]*\\.c$", "nothing: line editing is a matter of cli/")
}
function door(header, files, instead) {
    n_doors++
    door_header[n_doors] = header; door_files[n_doors] = files; door_instead[n_doors] = instead
}
function bad(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    failures++
}
/^[ \t]*#[ \t]*include/ {
    match($0, /["<][^">]*[">]/)
    target = substr($0, RSTART + 1, RLENGTH - 2)
    quoted = substr($0, RSTART, 1) == "\""
    split(FILENAME, part, "/")
    own = part[2]
    for (i = 1; i <= n_doors; i++)
        if (target ~ door_header[i] && FILENAME !~ door_files[i])
            bad("<" target "> has one door: include " door_instead[i])
    if (!quoted) next
    if (!(own in level)) bad("src/" own " is no floor of the house: add it to tools/check-layers.sh")
    split(target, to, "/")
    if (target ~ /\.\./) bad("\"" target "\" climbs out of its folder: write \"floor/file.h\"")
    else if (target ~ /\// && to[1] != own && (to[1] in level) && level[to[1]] >= level[own])
        bad(own " includes \"" target "\": " to[1] " is not below it")
}
END {
    if (failures) printf "%d include(s) break the order of the floors (ARCHITECTURE.md)\n", failures
    exit failures > 0
}'
