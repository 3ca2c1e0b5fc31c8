#ifndef RAGLAN_METRIC_GOLD_H
#define RAGLAN_METRIC_GOLD_H
/* What the scorers of prediction files share: gold files read question by question, predictions
 * as one object. */
#include "util/json.h"

/* what: "PATH:LINE", for messages. */
typedef status (*gold_fn)(void *arg, const json_t *question, const char *what);
/* Calls fn for every record of `records` (json_scan's paths) in the file, in its order. */
status gold_each(const char *path, const char *records, gold_fn fn, void *arg);

/* A file that holds one object: {key: value, ...}. ERR_FORMAT names both where it is none. Caller
 * json_decref. */
status gold_predictions(const char *path, const char *key, const char *value, json_t **out);

#endif
