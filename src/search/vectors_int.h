#ifndef RAGLAN_SEARCH_VECTORS_INT_H
#define RAGLAN_SEARCH_VECTORS_INT_H
/* Shared by the reader and the resumable writer of vector segments. */
#include "search/segment_int.h"
#include "search/vectors.h"

/* Version 1 had no codes and no bounds. */
enum { VECTORS_VERSION = 2, VECTORS_DIM_MAX = 65536 };

/* The sections of an open segment, borrowed from it; want as in vectors_open. Sets v->key, n, ids,
 * rows, codes and bounds. */
status vectors_parse(const segment *s, const vectors_key *want, vectors *v);

/* Rows that lie together in memory. */
typedef struct vectors_stretch {
    const int64_t *ids; /* [n] */
    const float *rows;  /* [n, dim] */
    int64_t n;
} vectors_stretch;
/* One segment of all stretches, whose ids ascend from one to the next. */
status vectors_write(const char *folder, const vectors_key *key, const vectors_stretch *parts,
                     int64_t n_parts, char name[SEGMENT_NAME]);
#endif
