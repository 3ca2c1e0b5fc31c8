#ifndef RAGLAN_DATA_LINES_H
#define RAGLAN_DATA_LINES_H
/* Files of lines, read so that one bad line costs that line alone; and the fields of a line
 * whose fields are parted by tabs. */
#include "util/file.h"

/* A line without its end (and, in the first one, without a byte order mark); NUL-terminated,
 * borrowed. bytes NULL: the line was longer than `most` and is not kept. */
typedef status (*line_fn)(void *arg, const char *bytes, size_t n, int64_t number);
/* Calls fn for each line that is not blank, numbered from 1. Memory: one line of at most `most`
 * bytes (0: 64 MiB). ERR_STOPPED after Ctrl+C, when the lines of a block are done. */
status lines_each(reader *r, size_t most, line_fn fn, void *arg);

/* The next field of a tab-separated line, appended to out; *at moves behind it and its tab, and
 * becomes NULL after the last one. CSV rules: a field that begins with a double quote ends at the
 * next single one, and "" inside stands for one quote. A field that is quoted and never ends is
 * taken as it stands. */
void tsv_field(const char **at, const char *end, buf *out);

/* The strings of a Python list literal, ['one', "it's", 'a\u200db'], as a JSON array in *json
 * (caller frees). False where it is none. Escapes as in Python, but for \N{name}. */
bool python_list(const char *text, size_t n, char **json);
#endif
