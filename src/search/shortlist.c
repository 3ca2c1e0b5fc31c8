/* Dropping, scoring, ordering. See shortlist.h. */
#include "search/shortlist.h"

#include <math.h>
#include <stdlib.h>

#include "search/codes.h"

/* Puts the k entries of the greatest lower ends in front (Hoare 1961, "Find"); the k-th is at
 * k - 1. */
static void select_lows(entry *at, int64_t n, int64_t k) {
    int64_t first = 0, last = n - 1;
    while (first < last) {
        float pivot = at[first + (last - first) / 2].low;
        int64_t i = first, j = last;
        while (i <= j) {
            while (at[i].low > pivot) i++;
            while (at[j].low < pivot) j--;
            if (i > j) break;
            entry swapped = at[i];
            at[i++] = at[j];
            at[j--] = swapped;
        }
        if (k - 1 <= j)
            last = j;
        else if (k - 1 >= i)
            first = i;
        else
            return;
    }
}

static void raise_floor(shortlist *s, float floor) {
    if (floor > s->floor) s->floor = floor;
}

static void drop_below_floor(shortlist *s) {
    int64_t kept = 0;
    if (s->n >= s->k) {
        select_lows(s->at, s->n, s->k);
        raise_floor(s, s->at[s->k - 1].low);
    }
    for (int64_t i = 0; i < s->n; i++)
        if (s->at[i].high >= s->floor) s->at[kept++] = s->at[i];
    s->n = kept;
}

/* Rows lie anywhere in memory: each is asked for some entries before its turn. */
static void fetch_ahead(const shortlist *s, int64_t i, int64_t dim) {
    enum { AHEAD = 4, LINE = 16 };
    if (i + AHEAD >= s->n || !s->at[i + AHEAD].row) return;
    for (int64_t d = 0; d < dim; d += LINE) __builtin_prefetch(s->at[i + AHEAD].row + d);
}

/* Scores that are no numbers have no place in an order, and leave. */
static void score_all(shortlist *s, const float *q, int64_t dim) {
    int64_t kept = 0;
    for (int64_t i = 0; i < s->n; i++) {
        entry e = s->at[i];
        fetch_ahead(s, i, dim);
        if (e.row) e.low = e.high = codes_score(q, e.row, dim);
        e.row = NULL;
        if (!isnan(e.low)) s->at[kept++] = e;
    }
    s->n = kept;
}

static int compare_entries(const void *a, const void *b) {
    const entry *x = a, *y = b;
    hit p = {x->id, x->low}, q = {y->id, y->low};
    return hit_before(p, q) ? -1 : hit_before(q, p);
}

static void keep_best(shortlist *s) {
    drop_below_floor(s); /* leaves little to sort */
    if (s->n > 1) qsort(s->at, (size_t)s->n, sizeof *s->at, compare_entries);
    if (s->n < s->k) return;
    s->n = s->k;
    raise_floor(s, s->at[s->k - 1].low);
}

int64_t shortlist_room(int64_t k) {
    return 8 * k + 512;
}

void shortlist_trim(shortlist *s, const float *q, int64_t dim) {
    drop_below_floor(s);
    if (s->n <= s->cap / 2) return;
    score_all(s, q, dim);
    keep_best(s);
}

void shortlist_join(shortlist *s, const shortlist *from) {
    for (int64_t i = 0; i < from->n; i++) s->at[s->n++] = from->at[i];
    raise_floor(s, from->floor);
}

void shortlist_finish(shortlist *s, const float *q, int64_t dim, hit *hits) {
    drop_below_floor(s);
    score_all(s, q, dim);
    keep_best(s);
    for (int64_t i = 0; i < s->k; i++)
        hits[i] = i < s->n ? (hit){s->at[i].id, s->at[i].low} : (hit){-1, -INFINITY};
}
