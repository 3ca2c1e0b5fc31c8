#ifndef RAGLAN_DATA_DATASET_INT_H
#define RAGLAN_DATA_DATASET_INT_H
/* Shared by dataset.c (texts) and dataset_arrays.c. */
#include "data/dataset.h"
#include "util/file.h"
#include "util/json.h"

/* Calls fn with the path of each file of `folder` whose name ends in `ending` (or that and .gz), in
 * byte order; *n counts them. No folder: none. */
typedef status (*dataset_file_fn)(void *arg, const char *path);
status dataset_each(const char *folder, const char *ending, dataset_file_fn fn, void *arg,
                    int64_t *n);
/* "wikipedia-train" of ".../wikipedia-train-simplified.json" and the like: the name up to and with
 * "-train". Caller frees. */
char *dataset_stem(const char *path);

/* A record of a simplified file; strings borrowed from it. */
typedef struct dataset_qa {
    const char *id, *question, *answer, *full_answer;
    const json_t *pages; /* file names */
    int64_t place;       /* in its file, from 0 */
} dataset_qa;
typedef status (*dataset_qa_fn)(void *arg, const dataset_qa *q);
status dataset_each_qa(const char *path, dataset_qa_fn fn, void *arg);
#endif
