#!/bin/sh
# What `cmake --install` brings is enough to build a program with the library.
# usage: install.sh CMAKE BUILD_FOLDER EXAMPLE_SOURCE COMPILER [FLAGS]
set -eu
cmake=$1 build=$2 example=$3 cc=$4 && shift 4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$cmake" --install "$build" --prefix "$folder/usr" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$folder" -name raglan.pc)")
export PKG_CONFIG_PATH
[ "$("$folder/usr/bin/raglan" --version)" = "raglan $(pkg-config --modversion raglan)" ]
grep -q '^\.TH RAGLAN 1' "$folder/usr/share/man/man1/raglan.1"
grep -q '^complete .* raglan$' "$folder/usr/share/bash-completion/completions/raglan.bash"
# shellcheck disable=SC2046,SC2086 # lists of words
"$cc" $* -Wall -Wextra -Werror "$example" -o "$folder/ask" $(pkg-config --cflags --libs raglan)
"$(dirname "$0")/example.sh" "$folder/ask"
