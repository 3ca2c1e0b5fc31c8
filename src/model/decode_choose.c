/* Decoding: which tokens come next, from their probabilities: the greatest, a draw, or the beams of a
 * question against each other. */
#include <math.h>
#include <string.h>

#include "model/decode_int.h"

static double log_of(float p) {
    return log((double)p + 1e-30);
}

static int32_t greatest(const float *p, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    return (int32_t)best;
}

/* The k greatest, best first, ties to the smaller id. */
static void greatest_k(const float *p, int64_t n, int64_t k, int32_t *id) {
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++) {
        if (m == k && p[i] <= p[id[m - 1]]) continue;
        int64_t j = m < k ? m++ : m - 1;
        for (; j > 0 && p[id[j - 1]] < p[i]; j--) id[j] = id[j - 1];
        id[j] = (int32_t)i;
    }
}

/* Draws from p^(1/temperature) among the k most probable. */
static int32_t draw(rng *r, const float *p, int64_t n, int64_t k, float temperature, arena *a) {
    if (k <= 0 || k > n) k = n < 1024 ? n : 1024;
    int32_t *id = ARENA_ARRAY(a, int32_t, k);
    greatest_k(p, n, k, id);
    double sum = 0, top = log_of(p[id[0]]);
    for (int64_t i = 0; i < k; i++) sum += exp((log_of(p[id[i]]) - top) / temperature);
    double u = rng_uniform(r) * sum;
    for (int64_t i = 0; i < k; i++) {
        u -= exp((log_of(p[id[i]]) - top) / temperature);
        if (u < 0) return id[i];
    }
    return id[0];
}

static void extend(decoding *d, asking *q, sequence *s, int32_t id, float p) {
    s->log_prob += log_of(p);
    if (id == d->tr->eos) {
        s->is_done = true;
        return;
    }
    s->ids[s->n++] = id;
    if (q->o.on_token && d->n_beams == 1 && !q->o.may_place) q->o.on_token(q->o.arg, id);
}

/* Is s as long as an answer may be? Then EOS is all that can follow. */
static bool is_full(const decoding *d, const asking *q, sequence *s, const float *p) {
    if (s->n < q->max) return false;
    s->is_cut = greatest(p, d->tr->vocab) != d->tr->eos;
    return true;
}

/* Greedy or sampled. */
static void choose_one(decoding *d, asking *q, sequence *s, const float *p) {
    int64_t v = d->tr->vocab;
    const decode_options *o = &q->o;
    int32_t id = is_full(d, q, s, p) ? d->tr->eos
                 : o->temperature <= 0
                     ? greatest(p, v)
                     : draw(&q->draw, p, v, o->sample_top_k, o->temperature, d->a);
    extend(d, q, s, id, p[id]);
}

/* A beam of the next step: one of this step's, continued. */
typedef struct candidate {
    int64_t beam; /* within the question; -1: taken */
    int32_t id;   /* -1: it was done already */
    float p;
    double log_prob;
} candidate;

/* All that a question's beams may become: k of each that runs, itself of one that is done. */
static int64_t continuations(decoding *d, int64_t question, const float *p, const int64_t *row,
                             int64_t n, candidate *c) {
    int64_t first = question * d->n_beams, v = d->tr->vocab, n_c = 0;
    asking *q = &d->at[question];
    int64_t k = d->n_beams < v ? d->n_beams : v;
    int32_t *id = ARENA_ARRAY(d->a, int32_t, k);
    for (int64_t j = 0; j < d->n_beams; j++)
        if (d->seq[first + j].is_done) c[n_c++] = (candidate){j, -1, 1, d->seq[first + j].log_prob};
    for (int64_t i = 0; i < n; i++) {
        sequence *s = &d->seq[row[i]];
        const float *pi = p + i * v;
        bool full = is_full(d, q, s, pi);
        if (full)
            id[0] = d->tr->eos;
        else
            greatest_k(pi, v, k, id);
        for (int64_t j = 0; j < (full ? 1 : k); j++)
            c[n_c++] =
                (candidate){row[i] - first, id[j], pi[id[j]], s->log_prob + log_of(pi[id[j]])};
    }
    return n_c;
}

/* A question's beams as they were before they overwrite each other. */
typedef struct beams {
    sequence *seq; /* [n_beams] */
    void **cache;  /* [n_decoder] [n_beams * slots, 2D] */
} beams;

static beams keep_beams(const decoding *d, int64_t first) {
    arena *a = d->a;
    int64_t slots = d->slots;
    size_t bytes = (size_t)(d->n_beams * slots) * kv_bytes(d);
    beams old = {ARENA_ARRAY(a, sequence, d->n_beams), ARENA_ARRAY(a, void *, d->m->c.n_decoder)};
    for (int64_t j = 0; j < d->n_beams; j++) {
        old.seq[j] = d->seq[first + j];
        old.seq[j].ids = ARENA_ARRAY(a, int32_t, slots);
        memcpy(old.seq[j].ids, d->seq[first + j].ids, (size_t)old.seq[j].n * sizeof(int32_t));
    }
    for (int b = 0; b < d->m->c.n_decoder; b++) {
        old.cache[b] = arena_take(a, bytes);
        memcpy(old.cache[b], kv_at(d, d->cache[b], first * slots), bytes);
    }
    return old;
}

/* Sequence `to` becomes a copy of an old beam. */
static void restore_beam(decoding *d, const beams *old, int64_t beam, int64_t to) {
    int64_t slots = d->slots;
    sequence *s = &d->seq[to];
    int32_t *ids = s->ids;
    *s = old->seq[beam];
    s->ids = ids;
    memcpy(ids, old->seq[beam].ids, (size_t)s->n * sizeof *ids);
    for (int b = 0; b < d->m->c.n_decoder; b++)
        memcpy(kv_at(d, d->cache[b], to * slots), kv_at(d, old->cache[b], beam * slots),
               (size_t)(s->n < slots ? s->n + 1 : slots) * kv_bytes(d));
}

/* Beam search: of all continuations of a question's beams, whose live ones are row[0..n), the n_beams
 * most probable stay, best first. A beam can only lose: the question is done when the best is. */
static void choose_beams(decoding *d, int64_t question, const float *p, const int64_t *row,
                         int64_t n) {
    int64_t first = question * d->n_beams;
    candidate *c = ARENA_ARRAY(d->a, candidate, d->n_beams * (d->n_beams + 1));
    int64_t n_c = continuations(d, question, p, row, n, c);
    beams old = keep_beams(d, first);
    for (int64_t to = first; to < first + d->n_beams; to++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n_c; i++)
            if (c[i].beam >= 0 && (best < 0 || c[i].log_prob > c[best].log_prob)) best = i;
        restore_beam(d, &old, c[best].beam, to);
        if (c[best].id >= 0) extend(d, &d->at[question], &d->seq[to], c[best].id, c[best].p);
        c[best].beam = -1;
    }
}

/* The bias on "not in these documents" acts on the first token's choice. */
static void first_step(const decoding *d, asking *q, float *p) {
    float *eos = &p[d->tr->eos];
    q->has_begun = true;
    q->out->empty_log_prob = log_of(*eos);
    float bias = empty_bias(d, q);
    if (bias == 0) return;
    float to = *eos * expf(bias);
    to = to / (to + 1 - *eos);
    float rest = (1 - to) / (1 - *eos + 1e-30f);
    for (int64_t j = 0; j < d->tr->vocab; j++) p[j] *= rest;
    *eos = to;
}

void choose_next(decoding *d, float *p, const int64_t *row, int64_t n) {
    int64_t v = d->tr->vocab;
    for (int64_t i = 0, end; i < n; i = end) { /* the live sequences of one question */
        int64_t question = row[i] / d->n_beams;
        for (end = i + 1; end < n && row[end] / d->n_beams == question;) end++;
        asking *q = &d->at[question];
        if (!q->has_begun) first_step(d, q, p + i * v);
        if (d->n_beams == 1)
            choose_one(d, q, &d->seq[row[i]], p + i * v);
        else
            choose_beams(d, question, p + i * v, row + i, end - i);
    }
}
