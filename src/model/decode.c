/* Decoding: the generator one token at a time, with a key-value cache.
 *
 * Every (question, beam) is a sequence with its own slots in each block's cache. A step runs
 * the decoder on the newest token of every sequence at once: [n_sequences, D] rows, each with
 * the spans of its own cache and of its question's passages. What the passages give (keys and
 * values of each block, copy keys) is made once. Greedy, sampling and beam search differ only
 * in how the next tokens are chosen from the probabilities. */
#include <math.h>
#include <string.h>

#include "model/generator.h"
#include "util/rng.h"

typedef struct sequence {
    int64_t question;
    int32_t *ids; /* [max + 1] chosen so far */
    int64_t n;
    double log_prob;
    bool is_done, is_cut;
} sequence;

typedef struct decoder {
    generator *m;
    arena *a;
    const token_traits *tr;
    const reader_batch *b;
    const decode_options *o;
    int64_t n_questions, n_beams, n_seq, max;
    /* made once */
    tensor *memory;    /* [n_rows, D] */
    tensor **look_kv;  /* [n_decoder] [n_rows, 2D] */
    tensor *copy_keys; /* [n_rows, C] */
    /* per sequence */
    sequence *seq; /* [n_seq] question-major */
    float **cache; /* [n_decoder] [n_seq * (max + 1), 2D] */
    double *empty; /* [n_questions] log probability of EOS first */
    rng *draw;     /* [n_questions] */
} decoder;

/* Most tokens of an answer. */
static int64_t cap_of(const generator *m, const decode_options *o) {
    int64_t limit = m->c.limits.answer;
    return o->max_tokens > 0 && o->max_tokens < limit ? o->max_tokens : limit;
}

static decoder decoder_new(generator *m, arena *a, graph *g, const token_traits *tr,
                           const reader_batch *b, const decode_options *o) {
    decoder d = {.m = m, .a = a, .tr = tr, .b = b, .o = o, .n_questions = b->n_questions};
    d.n_beams = o->n_beams > 1 ? o->n_beams : 1;
    d.n_seq = d.n_questions * d.n_beams;
    d.max = cap_of(m, o);
    d.memory = generator_encode(m, g, b);
    d.look_kv = ARENA_ARRAY(a, tensor *, m->c.n_decoder);
    d.cache = ARENA_ARRAY(a, float *, m->c.n_decoder);
    for (int i = 0; i < m->c.n_decoder; i++) {
        d.look_kv[i] = attend_keys(g, &m->look[i], d.memory, NULL, true);
        int64_t slots = d.n_seq * (d.max + 1);
        d.cache[i] = ARENA_ARRAY(a, float, slots * 2 * m->c.dim);
    }
    if (m->c.copy) d.copy_keys = t_linear(g, d.memory, m->copy_k, NULL, ACT_NONE);
    d.seq = arena_push(a, (size_t)d.n_seq * sizeof *d.seq);
    for (int64_t s = 0; s < d.n_seq; s++) {
        d.seq[s].question = s / d.n_beams;
        d.seq[s].ids = ARENA_ARRAY(a, int32_t, d.max + 1);
        d.seq[s].is_done = s % d.n_beams != 0; /* the first step fans out of beam 0 */
        d.seq[s].log_prob = d.seq[s].is_done ? -INFINITY : 0;
    }
    d.empty = arena_push(a, (size_t)d.n_questions * sizeof *d.empty);
    d.draw = ARENA_ARRAY(a, rng, d.n_questions);
    for (int64_t i = 0; i < d.n_questions; i++) d.draw[i] = rng_new(o->seed);
    return d;
}

/* The sequences that still run, as rows of this step. */
static int64_t live_rows(const decoder *d, int64_t *row) {
    int64_t n = 0;
    for (int64_t s = 0; s < d->n_seq; s++)
        if (!d->seq[s].is_done) row[n++] = s;
    return n;
}

/* One causal self-attention step: the new rows' keys and values go into the cache. */
static tensor *write_step(decoder *d, graph *g, int block, tensor *x, const int64_t *row, int64_t n,
                          spans own, const int32_t *position) {
    int64_t width = 2 * d->m->c.dim, slots = d->max + 1;
    tensor *kv = attend_keys(g, &d->m->write[block], x, position, false);
    span *seen = ARENA_ARRAY(graph_arena(g), span, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t slot = row[i] * slots + position[i];
        memcpy(d->cache[block] + slot * width, kv->v + i * width, (size_t)width * sizeof(float));
        seen[i] = (span){row[i] * slots, slot + 1};
    }
    tensor *cache = t_const(g, d->n_seq * slots, width, d->cache[block]);
    return attend_cached(g, &d->m->write[block], x, cache, own, (spans){n, seen}, true, position);
}

/* Probabilities of the next token [n, V] of the live sequences. */
static tensor *next_probabilities(decoder *d, graph *g, const int64_t *row, int64_t n) {
    generator *m = d->m;
    arena *a = graph_arena(g);
    int32_t *ids = ARENA_ARRAY(a, int32_t, n), *position = ARENA_ARRAY(a, int32_t, n);
    span *own = ARENA_ARRAY(a, span, n), *rows = ARENA_ARRAY(a, span, n);
    for (int64_t i = 0; i < n; i++) {
        const sequence *s = &d->seq[row[i]];
        ids[i] = s->n == 0 ? d->tr->bos : s->ids[s->n - 1];
        position[i] = (int32_t)s->n;
        own[i] = (span){i, i + 1};
        rows[i] = d->b->questions[s->question];
    }
    tensor *x = t_embed(g, m->embedding, ids, n);
    for (int i = 0; i < m->c.n_decoder; i++) {
        x = write_step(d, g, i, x, row, n, (spans){n, own}, position);
        x = attend_cached(g, &m->look[i], x, d->look_kv[i], (spans){n, own}, (spans){n, rows},
                          false, NULL);
        x = feed(g, &m->write_feed[i], x);
    }
    x = t_layer_norm(g, x, m->norm_out, m->norm_out_bias);
    copy_head h = {.x = x,
                   .e = m->embedding,
                   .q_spans = {n, own},
                   .kv_spans = {n, rows},
                   .source_id = d->b->source_id};
    if (m->c.copy) {
        h.gate = t_linear(g, x, m->gate, m->gate_bias, ACT_NONE);
        h.cq = t_linear(g, x, m->copy_q, NULL, ACT_NONE);
        h.ck = d->copy_keys;
    }
    return t_copy_probabilities(g, &h);
}

/* ---- choosing ---- */

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

static void extend(decoder *d, sequence *s, int32_t id, float p) {
    s->log_prob += log_of(p);
    if (id == d->tr->eos) {
        s->is_done = true;
        return;
    }
    s->ids[s->n++] = id;
    if (d->o->on_token && d->n_seq == 1 && !d->o->may_place) d->o->on_token(d->o->arg, id);
}

/* Is s as long as an answer may be? Then EOS is all that can follow. */
static bool is_full(const decoder *d, sequence *s, const float *p) {
    if (s->n < d->max) return false;
    s->is_cut = greatest(p, d->tr->vocab) != d->tr->eos;
    return true;
}

/* Greedy or sampled: each sequence on its own. */
static void choose_one(decoder *d, graph *g, const float *p, const int64_t *row, int64_t n) {
    int64_t v = d->tr->vocab;
    for (int64_t i = 0; i < n; i++) {
        sequence *s = &d->seq[row[i]];
        const float *pi = p + i * v;
        int32_t id = is_full(d, s, pi) ? d->tr->eos
                     : d->o->temperature <= 0
                         ? greatest(pi, v)
                         : draw(&d->draw[s->question], pi, v, d->o->sample_top_k, d->o->temperature,
                                graph_arena(g));
        extend(d, s, id, pi[id]);
    }
}

/* A beam of the next step: one of this step's, continued. */
typedef struct candidate {
    int64_t beam; /* within the question; -1: taken */
    int32_t id;   /* -1: it was done already */
    float p;
    double log_prob;
} candidate;

/* All that a question's beams may become: k of each that runs, itself of one that is done. */
static int64_t continuations(decoder *d, arena *a, int64_t question, const float *p,
                             const int64_t *row, int64_t n, candidate *c) {
    int64_t first = question * d->n_beams, v = d->tr->vocab, n_c = 0;
    int64_t k = d->n_beams < v ? d->n_beams : v;
    int32_t *id = ARENA_ARRAY(a, int32_t, k);
    for (int64_t j = 0; j < d->n_beams; j++)
        if (d->seq[first + j].is_done) c[n_c++] = (candidate){j, -1, 1, d->seq[first + j].log_prob};
    for (int64_t i = 0; i < n; i++) {
        sequence *s = &d->seq[row[i]];
        if (s->question != question) continue;
        const float *pi = p + i * v;
        bool full = is_full(d, s, pi);
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
    float **cache; /* [n_decoder] [n_beams * (max + 1), 2D] */
} beams;

static void copy_cache(const decoder *d, const float *from, float *to, int64_t n_slots) {
    memcpy(to, from, (size_t)(n_slots * 2 * d->m->c.dim) * sizeof(float));
}

static beams keep_beams(const decoder *d, arena *a, int64_t first) {
    int64_t slots = d->max + 1, width = 2 * d->m->c.dim, n = d->n_beams * slots;
    beams old = {ARENA_ARRAY(a, sequence, d->n_beams), ARENA_ARRAY(a, float *, d->m->c.n_decoder)};
    for (int64_t j = 0; j < d->n_beams; j++) {
        old.seq[j] = d->seq[first + j];
        old.seq[j].ids = ARENA_ARRAY(a, int32_t, slots);
        memcpy(old.seq[j].ids, d->seq[first + j].ids, (size_t)old.seq[j].n * sizeof(int32_t));
    }
    for (int b = 0; b < d->m->c.n_decoder; b++) {
        old.cache[b] = ARENA_ARRAY(a, float, n *width);
        copy_cache(d, d->cache[b] + first * slots * width, old.cache[b], n);
    }
    return old;
}

/* Sequence `to` becomes a copy of an old beam. */
static void restore_beam(decoder *d, const beams *old, int64_t beam, int64_t to) {
    int64_t slots = d->max + 1, width = 2 * d->m->c.dim;
    sequence *s = &d->seq[to];
    int32_t *ids = s->ids;
    *s = old->seq[beam];
    s->ids = ids;
    memcpy(ids, old->seq[beam].ids, (size_t)s->n * sizeof *ids);
    for (int b = 0; b < d->m->c.n_decoder; b++)
        copy_cache(d, old->cache[b] + beam * slots * width, d->cache[b] + to * slots * width,
                   s->n < slots ? s->n + 1 : slots);
}

/* Beam search: of all continuations of a question's beams the n_beams most probable stay, best
 * first. */
static void choose_beams(decoder *d, graph *g, int64_t question, const float *p, const int64_t *row,
                         int64_t n) {
    arena *a = graph_arena(g);
    int64_t first = question * d->n_beams;
    candidate *c = ARENA_ARRAY(a, candidate, d->n_beams * (d->n_beams + 1));
    int64_t n_c = continuations(d, a, question, p, row, n, c);
    beams old = keep_beams(d, a, first);
    for (int64_t to = first; to < first + d->n_beams; to++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n_c; i++)
            if (c[i].beam >= 0 && (best < 0 || c[i].log_prob > c[best].log_prob)) best = i;
        restore_beam(d, &old, c[best].beam, to);
        if (c[best].id >= 0) extend(d, &d->seq[to], c[best].id, c[best].p);
        c[best].beam = -1;
    }
}

static float empty_bias(const decoder *d) {
    return d->m->empty_bias + d->o->empty_bias;
}

static double logit_of(double log_prob) {
    return log_prob - log(fmax(-expm1(log_prob), 1e-30));
}

/* The bias on "not in these documents" acts on the first token's choice. */
static void first_step(decoder *d, float *p, const int64_t *row, int64_t n) {
    int64_t v = d->tr->vocab;
    for (int64_t i = 0; i < n; i++) {
        float *pi = p + i * v, *eos = &pi[d->tr->eos];
        d->empty[d->seq[row[i]].question] = log_of(*eos);
        if (empty_bias(d) != 0) {
            float to = *eos * expf(empty_bias(d));
            to = to / (to + 1 - *eos);
            float rest = (1 - to) / (1 - *eos + 1e-30f);
            for (int64_t j = 0; j < v; j++) pi[j] *= rest;
            *eos = to;
        }
    }
}

static bool question_is_done(const decoder *d, int64_t question) {
    /* a beam can only lose probability: done when the best one is */
    int64_t first = question * d->n_beams;
    return d->seq[first].is_done;
}

/* Short answers are spans: the first step says whether there is one, the others say nothing. */
static void end_placed(decoder *d, const decoded *out) {
    for (int64_t s = 0; s < d->n_seq; s++) d->seq[s].is_done |= out[d->seq[s].question].n_span > 0;
}

static void run(decoder *d, const decoded *out) {
    int64_t *row = ARENA_ARRAY(d->a, int64_t, d->n_seq);
    graph *step = graph_new(d->a, NULL, false);
    for (int64_t t = 0; t <= d->max; t++) {
        int64_t n = live_rows(d, row);
        if (n == 0) break;
        tensor *p = next_probabilities(d, step, row, n);
        if (t == 0) first_step(d, p->v, row, n);
        if (d->n_beams == 1)
            choose_one(d, step, p->v, row, n);
        else
            for (int64_t q = 0; q < d->n_questions; q++) {
                if (!question_is_done(d, q)) choose_beams(d, step, q, p->v, row, n);
                if (question_is_done(d, q))
                    for (int64_t s = q * d->n_beams; s < (q + 1) * d->n_beams; s++)
                        d->seq[s].is_done = true;
            }
        if (d->o->may_place) end_placed(d, out);
        graph_reset(step, 0);
    }
    graph_free(step);
}

/* The log of the sum of exponentials of a column of scores over a question's source rows. */
static double log_sum(const reader_batch *b, span rows, const float *score) {
    double top = -INFINITY, sum = 0;
    for (int64_t r = rows.begin; r < rows.end; r++)
        if (b->source_id[r] >= 0 && score[2 * r] > top) top = score[2 * r];
    for (int64_t r = rows.begin; r < rows.end; r++)
        if (b->source_id[r] >= 0) sum += exp(score[2 * r] - top);
    return top + log(sum);
}

/* The best start and end in one passage, at most `most` tokens apart. */
static void best_span(const reader_batch *b, span pair, const float *score, int64_t most,
                      double total, decoded *out) {
    for (int64_t i = pair.begin; i < pair.end; i++)
        for (int64_t j = i; j < pair.end && j < i + most && b->source_id[j] >= 0; j++) {
            double p = (double)score[2 * i] + (double)score[2 * j + 1] - total;
            if (out->n_span > 0 && p <= out->span_log_prob) continue;
            out->span_log_prob = p;
            out->n_span = j - i + 1;
            memcpy(out->span_ids, b->ids + i, (size_t)out->n_span * sizeof *b->ids);
        }
}

/* What the place scores say: each passage's share of the starts, and the best span. */
static void place(decoder *d, graph *g, decoded *out) {
    const reader_batch *b = d->b;
    const float *score = t_linear(g, d->memory, d->m->place, NULL, ACT_NONE)->v; /* [n_rows, 2] */
    for (int64_t q = 0; q < d->n_questions; q++) {
        span rows = b->questions[q], pairs = b->pairs_of[q];
        double starts = log_sum(b, rows, score), ends = log_sum(b, rows, score + 1);
        for (int64_t i = pairs.begin; i < pairs.end; i++) {
            double *share = &out[q].passage_share[i - pairs.begin];
            for (int64_t r = b->pairs[i].begin; r < b->pairs[i].end; r++)
                if (b->source_id[r] >= 0) *share += exp(score[2 * r] - starts);
            best_span(b, b->pairs[i], score, d->max, starts + ends, &out[q]);
        }
    }
}

/* A short answer is the best span, unless the first step finds it likelier that there is none. */
static void choose_answer(const decoder *d, decoded *out) {
    if (out->n_span > 0) {
        bool is_there = logit_of(out->empty_log_prob) + empty_bias(d) < 0;
        out->n = is_there ? out->n_span : 0;
        out->log_prob = is_there ? out->span_log_prob : out->empty_log_prob;
        out->is_cut = false;
        memcpy(out->ids, out->span_ids, (size_t)out->n * sizeof *out->ids);
    }
    if (d->o->on_token)
        for (int64_t i = 0; i < out->n; i++) d->o->on_token(d->o->arg, out->ids[i]);
}

decoded *generator_decode(generator *m, arena *a, const token_traits *tr, const reader_question *q,
                          int64_t n, const decode_options *o) {
    MUST(tr->vocab == m->c.vocab, "tokenizer of %ld pieces, generator of %ld", (long)tr->vocab,
         (long)m->c.vocab);
    decoded *out = arena_push(a, (size_t)(n + 1) * sizeof *out);
    reader_question *bare = ARENA_ARRAY(a, reader_question, n + 1);
    for (int64_t i = 0; i < n; i++) {
        bare[i] = q[i];
        bare[i].n_answer = 0;
        out[i].ids = ARENA_ARRAY(a, int32_t, cap_of(m, o) + 1);
        out[i].span_ids = ARENA_ARRAY(a, int32_t, cap_of(m, o) + 1);
        out[i].n_passages = q[i].n_passages;
        out[i].passage_share = arena_push(a, (size_t)(q[i].n_passages + 1) * sizeof(double));
    }
    /* What is above is the caller's; what the graph takes from the arena goes with it. */
    graph *g = graph_new(a, NULL, false);
    reader_batch b = reader_batch_new(a, tr, &m->c.limits, bare, n);
    decoder d = decoder_new(m, a, g, tr, &b, o);
    place(&d, g, out);
    run(&d, out);
    for (int64_t i = 0; i < n; i++) {
        const sequence *s = &d.seq[i * d.n_beams]; /* beams are kept best first */
        if (s->n) memcpy(out[i].ids, s->ids, (size_t)s->n * sizeof *s->ids);
        out[i].n = s->n;
        out[i].log_prob = s->log_prob;
        out[i].empty_log_prob = d.empty[i];
        out[i].is_cut = s->is_cut;
        if (o->may_place) choose_answer(&d, &out[i]);
    }
    graph_free(g);
    return out;
}
