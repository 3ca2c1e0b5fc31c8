/* One pass with a window: tokens enter on the right and leave on the left. */
#include "search/nearness.h"

static int place_of(const near_question *q, int32_t id) {
    for (int i = 0; i < q->n; i++)
        if (q->id[i] == id) return i;
    return -1;
}

void near_add(near_question *q, int32_t id, float weight) {
    if (q->n == NEAR_MOST || place_of(q, id) >= 0) return;
    q->id[q->n] = id;
    q->weight[q->n++] = weight;
}

double nearness(const near_question *q, const int32_t *ids, int64_t n) {
    int within[NEAR_MOST] = {0}; /* times each is in the window */
    int place[NEAR_WINDOW];      /* of the tokens in the window, around */
    double now = 0, best = 0;
    for (int64_t i = 0; i < n; i++) {
        int *slot = &place[i % NEAR_WINDOW];
        if (i >= NEAR_WINDOW && *slot >= 0 && --within[*slot] == 0) now -= q->weight[*slot];
        *slot = place_of(q, ids[i]);
        if (*slot >= 0 && within[*slot]++ == 0) now += q->weight[*slot];
        if (now > best) best = now;
    }
    return best;
}
