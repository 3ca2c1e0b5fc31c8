/* Hits: the best k in a binary heap whose root is the worst kept one (so one comparison
 * refuses almost every candidate), and sorting by the total order of hits.h. */
#include "search/hits.h"

#include <stdlib.h>

/* Moves at[i] down until no child is worse; the root is the worst. */
static void sift_down(hit *at, int64_t n, int64_t i) {
    hit moving = at[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && hit_before(at[child], at[child + 1])) child++;
        if (!hit_before(moving, at[child])) break;
        at[i] = at[child];
        i = child;
    }
    at[i] = moving;
}

static void sift_up(hit *at, int64_t i) {
    hit moving = at[i];
    while (i > 0 && hit_before(at[(i - 1) / 2], moving)) {
        at[i] = at[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    at[i] = moving;
}

void topk_add(topk *t, hit h) {
    if (h.score != h.score) return; /* NaN has no place in an order */
    if (t->n < t->k) {
        t->at[t->n++] = h;
        sift_up(t->at, t->n - 1);
    } else if (t->k > 0 && hit_before(h, t->at[0])) {
        t->at[0] = h;
        sift_down(t->at, t->n, 0);
    }
}

static int compare_hits(const void *a, const void *b) {
    const hit *x = a, *y = b;
    return hit_before(*x, *y) ? -1 : hit_before(*y, *x);
}

void hits_sort(hit *hits, int64_t n) {
    if (n > 1) qsort(hits, (size_t)n, sizeof *hits, compare_hits);
}

int64_t scores_next(const float *scores, int64_t i, int64_t n, float bound) {
    for (; i + 16 <= n; i += 16) {
        int any = 0;
        for (int j = 0; j < 16; j++) any |= scores[i + j] >= bound;
        if (any) break;
    }
    while (i < n && !(scores[i] >= bound)) i++;
    return i;
}

void topk_sort(topk *t) {
    hits_sort(t->at, t->n);
}

int64_t id_first(const int64_t *ids, int64_t n, int64_t id) {
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t id_find(const int64_t *ids, int64_t n, int64_t id) {
    int64_t at = id_first(ids, n, id);
    return at < n && ids[at] == id ? at : -1;
}

bool id_ranges_have(const id_ranges *r, int64_t id) {
    int64_t low = 0, high = r->n; /* the first range that ends behind id */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (r->at[middle].end <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->n && r->at[low].begin <= id;
}

static bool is_within(void *arg, int64_t id) {
    return id_ranges_have(arg, id);
}

hit_filter hit_filter_within(const id_ranges *r) {
    return (hit_filter){is_within, (void *)(uintptr_t)r, r};
}
