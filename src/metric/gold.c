/* Gold and prediction files, see gold.h. */
#include "metric/gold.h"

#include <stdlib.h>

typedef struct walk {
    const char *path;
    gold_fn fn;
    void *arg;
} walk;

static status on_record(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which;
    walk *w = arg;
    char *what = xasprintf("%s:%lld", w->path, (long long)line);
    json_t *question = NULL;
    status st = json_parse(bytes, n, what, &question);
    if (!st) st = w->fn(w->arg, question, what);
    json_decref(question);
    free(what);
    return st;
}

status gold_each(const char *path, const char *records, gold_fn fn, void *arg) {
    reader *r = NULL;
    TRY(reader_open(path, &r));
    status st = json_scan(r, records, 0, on_record, &(walk){path, fn, arg});
    reader_close(r);
    return st;
}

status gold_predictions(const char *path, const char *key, const char *value, json_t **out) {
    json_t *j;
    TRY(json_read(path, &j));
    if (!json_is_object(j)) {
        json_decref(j);
        FAIL(ERR_FORMAT, "%s: the file is not a JSON object; wanted {\"%s\": %s, ...}", path, key,
             value);
    }
    *out = j;
    return OK;
}
