#ifndef RAGLAN_SEARCH_VECTORS_INT_H
#define RAGLAN_SEARCH_VECTORS_INT_H
/* Shared by the reader and the resumable writer of vector segments. */
#include "search/segment_int.h"
#include "search/vectors.h"

enum { VECTORS_VERSION = 1, VECTORS_DIM_MAX = 65536 };

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
