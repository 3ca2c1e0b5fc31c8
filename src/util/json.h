#ifndef RAGLAN_UTIL_JSON_H
#define RAGLAN_UTIL_JSON_H
/* JSON: the one door to jansson (json_t and its functions are used directly by whoever
 * includes this), with typed getters that name the field, and a scanner that streams the
 * records of a file too big to build in memory. */
#include <jansson.h>
#include "util/file.h"

/* Parses n bytes. ERR_FORMAT gives `what`, line, column and jansson's reason. Caller
 * json_decref. */
status json_parse(const char *bytes, size_t n, const char *what, json_t **out);
/* A record of somebody else's file, as json_loadb, but an integer of more than 64 bits, which jansson
 * refuses, becomes a string of its digits: ids are such (KILT's annotations), and are not counted
 * with. NULL: *e says why. */
json_t *json_load_record(const char *bytes, size_t n, size_t flags, json_error_t *e);
status json_read(const char *path, json_t **out);    /* a whole small file, .gz too */
status json_save(const char *path, const json_t *j); /* durable, indented by 2 */
/* One line, UTF-8 kept, reals with enough digits to read back. Caller frees. */
char *json_line(const json_t *j);

/* Field of an object; the getters that take `what` say "what: field 'x' is a number, wanted a
 * string". */
const char *json_str(const json_t *o, const char *key, const char *missing); /* or: no string */
double json_num(const json_t *o, const char *key, double missing);
int64_t json_int(const json_t *o, const char *key, int64_t missing);
bool json_flag(const json_t *o, const char *key, bool missing);
status json_want_str(const json_t *o, const char *key, const char *what, const char **out);

/* Records of a stream. The scanner tracks strings, escapes and brackets, and calls back
 * with the bytes of each element of interest: no document is ever built whole.
 *
 *   path   where the records are: "" the top-level values themselves (JSON lines, or one
 *          value after another); "*" elements of the top-level array; "data.*" elements of
 *          the array under key "data"; "data.*.paragraphs.*" one level deeper, and so on.
 *          "|" separates alternatives: "*|data.*".
 *   fn     gets the record's bytes (NUL-terminated, borrowed), the alternative's index, and the line
 *          it begins at.
 *          Scalars can be asked for too ("data.*.title|data.*.paragraphs.*"): how a reader learns
 *          the fields of enclosing objects. They come in file order, a title after its
 *          paragraphs where the file has it so.
 *
 * Depth over 512, a record over max_record (0: 256 MiB) or a broken file is ERR_FORMAT with
 * path:line; records before the break have been delivered. */
typedef status (*json_record_fn)(void *arg, const char *bytes, size_t n, int which, int64_t line);
status json_scan(reader *r, const char *path, size_t max_record, json_record_fn fn, void *arg);

#endif
