#ifndef RAGLAN_SEARCH_SHORTLIST_H
#define RAGLAN_SEARCH_SHORTLIST_H
/* The rows that may still be among the best k of one query, while others are being ruled out.
 *
 * An entry knows an interval that its score lies in. The k-th largest of the lower ends is the
 * `floor`: k rows score at least that, so whatever ends below it is out, for good. When the list is
 * full, entries below the floor are dropped; where more than half of it remains, because the
 * intervals are too wide to tell the rows apart, their scores are computed, and then k
 * rows are left. So a list needs bounded room whatever the data, and easy data need few scores. */
#include "search/hits.h"

typedef struct entry {
    float low, high; /* the score lies between, ends included; equal once it was computed */
    int64_t id;
    const float *row; /* [dim]; NULL once the score was computed */
} entry;

typedef struct shortlist {
    entry *at; /* [cap], the caller's, who writes behind the n-th and counts */
    int64_t n, cap, k;
    float floor;
} shortlist;

int64_t shortlist_room(int64_t k); /* a cap that suits k */
/* To be called when n has reached cap; n is less afterwards. q [dim]: the query, for scores. */
void shortlist_trim(shortlist *s, const float *q, int64_t dim);
/* Takes over what `from` holds; *s has room for both. */
void shortlist_join(shortlist *s, const shortlist *from);
/* Computes what must be computed; best first into hits [k], padded by id -1 and score -infinity. */
void shortlist_finish(shortlist *s, const float *q, int64_t dim, hit *hits);
#endif
