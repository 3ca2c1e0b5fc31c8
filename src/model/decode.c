/* Decoding: a batch of questions in different states, a token at a time, with key-value caches.
 *
 * Every question holds a place: n_beams sequences, each with its own slots in the blocks' caches, and
 * the rows of its passages, whose keys and values are made once when it is admitted. A step runs
 * the decoder on the newest token of every live sequence at once, [n, D] rows, each with the spans
 * of its own cache and of its question's rows: weights are read once for all of them. A question
 * that has ended gives up its place and its rows, and the next is admitted beside those that run
 * (continuous batching: Yu et al. 2022, "Orca"). No row's arithmetic depends on its company, so an
 * answer is the same bytes alone and among others. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/decode_int.h"

/* ---- the batch ---- */

decoding *decoding_new(generator *m, const token_traits *tr, const backend *be, int64_t n_places,
                       int n_beams) {
    MUST(tr->vocab == m->c.vocab, "tokenizer of %ld pieces, generator of %ld", (long)tr->vocab,
         (long)m->c.vocab);
    decoding *d = xcalloc(1, sizeof *d);
    *d = (decoding){.m = m, .tr = tr, .be = be ? be : backend_cpu(), .n_places = n_places};
    d->n_beams = n_beams > 1 ? n_beams : 1;
    d->slots = m->c.limits.answer + 1;
    d->a = arena_new(0);
    d->step = graph_new(d->a, d->be, false);
    d->at = xcalloc((size_t)n_places, sizeof *d->at);
    int64_t n_seq = n_places * d->n_beams, n_blocks = m->c.n_decoder;
    d->seq = xcalloc((size_t)n_seq, sizeof *d->seq);
    for (int64_t s = 0; s < n_seq; s++) {
        d->seq[s].ids = xcalloc((size_t)d->slots, sizeof(int32_t));
        d->seq[s].is_done = true;
    }
    for (int64_t i = 0; i < n_places; i++) d->at[i].copy_keys = pack_new();
    d->cache = xcalloc((size_t)n_blocks, sizeof *d->cache);
    d->rows.kv = xcalloc((size_t)n_blocks, sizeof *d->rows.kv);
    size_t n_slots = (size_t)(n_seq * d->slots);
    for (int64_t i = 0; i < n_blocks; i++) d->cache[i] = xmalloc(n_slots * kv_bytes(d));
    return d;
}

void decoding_free(decoding *d) {
    if (!d) return;
    graph_free(d->step);
    arena_free(d->a);
    for (int64_t i = 0; i < d->n_places; i++) pack_free(d->at[i].copy_keys);
    for (int64_t s = 0; s < d->n_places * d->n_beams; s++) free(d->seq[s].ids);
    for (int i = 0; i < d->m->c.n_decoder; i++) {
        free(d->cache[i]);
        free(d->rows.kv[i]);
    }
    free(d->at);
    free(d->seq);
    free(d->cache);
    free(d->rows.kv);
    free(d->rows.copy_keys);
    free(d->rows.place);
    free(d->source_id);
    free(d);
}

int64_t decoding_room(const decoding *d) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_places; i++) n += !d->at[i].is_used;
    return n;
}

/* ---- admission ---- */

/* Room for n rows in all; what is there stays. */
static void grow_rows(decoding *d, int64_t n) {
    int64_t dim = d->m->c.dim;
    if (n <= d->n_rows) return;
    int64_t had = d->n_rows;
    d->n_rows = n > 2 * had ? n : 2 * had;
    size_t floats = (size_t)d->n_rows * sizeof(float);
    for (int i = 0; i < d->m->c.n_decoder; i++)
        d->rows.kv[i] = xrealloc(d->rows.kv[i], (size_t)d->n_rows * kv_bytes(d));
    if (d->m->c.copy) d->rows.copy_keys = xrealloc(d->rows.copy_keys, floats * (size_t)dim);
    d->rows.place = xrealloc(d->rows.place, 2 * floats);
    d->source_id = xrealloc(d->source_id, (size_t)d->n_rows * sizeof *d->source_id);
    for (int64_t i = had; i < d->n_rows; i++) d->source_id[i] = -1; /* nothing to copy yet */
}

/* The first gap of n rows between those of the questions that run. */
static int64_t find_rows(const decoding *d, int64_t n) {
    int64_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int64_t i = 0; i < d->n_places; i++) {
            span s = d->at[i].rows;
            if (!d->at[i].is_used || s.end <= at || s.begin >= at + n) continue;
            at = s.end;
            moved = true;
        }
    }
    return at;
}

static void init_place(decoding *d, int64_t place, const decode_options *o, span rows,
                       decoded *out) {
    asking *q = &d->at[place];
    int64_t limit = d->slots - 1;
    q->is_used = true;
    q->has_begun = false;
    q->o = *o;
    q->max = o->max_tokens > 0 && o->max_tokens < limit ? o->max_tokens : limit;
    q->out = out;
    q->rows = rows;
    q->draw = rng_new(o->seed);
    pack_forget(q->copy_keys);
    for (int64_t j = 0; j < d->n_beams; j++) {
        sequence *s = &d->seq[place * d->n_beams + j];
        bool fans_out = j > 0; /* the first step fans out of beam 0 */
        *s = (sequence){.ids = s->ids, .is_done = fans_out, .log_prob = fans_out ? -INFINITY : 0};
    }
}

static void init_result(const decoding *d, arena *a, const reader_question *q, decoded *out) {
    *out = (decoded){.n_passages = q->n_passages};
    out->ids = ARENA_ARRAY(a, int32_t, d->slots);
    out->span_ids = ARENA_ARRAY(a, int32_t, d->slots);
    out->passage_share = arena_push(a, (size_t)(q->n_passages + 1) * sizeof(double));
}

void decoding_admit(decoding *d, arena *a, const reader_question *q, int64_t n,
                    const decode_options *o, decoded *const *out) {
    MUST(n <= decoding_room(d), "%ld questions for %ld places", (long)n, (long)decoding_room(d));
    reader_question *bare = ARENA_ARRAY(d->a, reader_question, n + 1);
    for (int64_t i = 0; i < n; i++) {
        bare[i] = q[i];
        bare[i].n_answer = 0;
        init_result(d, a, &q[i], out[i]);
    }
    reader_batch b = reader_batch_new(d->a, d->tr, &d->m->c.limits, bare, n);
    int64_t row = find_rows(d, b.n_rows), width = d->m->c.dim;
    grow_rows(d, row + b.n_rows + 1); /* a question without passages has an address, too */
    memcpy(d->source_id + row, b.source_id, (size_t)b.n_rows * sizeof *b.source_id);
    read_rows to = {.kv = ARENA_ARRAY(d->a, void *, d->m->c.n_decoder),
                    .copy_keys = d->m->c.copy ? d->rows.copy_keys + row * width : NULL,
                    .place = d->rows.place + 2 * row};
    for (int i = 0; i < d->m->c.n_decoder; i++) to.kv[i] = kv_at(d, d->rows.kv[i], row);
    generator_read(d->m, d->be, d->a, &b, &to);
    for (int64_t i = 0, place = 0; i < n; i++, place++) {
        while (d->at[place].is_used) place++;
        span rows = b.questions[i];
        init_place(d, place, o, (span){row + rows.begin, row + rows.end}, out[i]);
        place_answer(&b, i, to.place, d->at[place].max, out[i]);
    }
    graph_reset(d->step, 0);
}

/* ---- a step ---- */

static int64_t live_rows(const decoding *d, int64_t *row) {
    int64_t n = 0;
    for (int64_t s = 0; s < d->n_places * d->n_beams; s++)
        if (!d->seq[s].is_done) row[n++] = s;
    return n;
}

/* One causal self-attention step: the new rows' keys and values go into the cache. */
static tensor *write_step(decoding *d, int block, tensor *x, const int64_t *row, int64_t n,
                          spans own, const int32_t *position) {
    graph *g = d->step;
    tensor *kv = attend_keys(g, &d->m->write[block], x, position, false);
    void *made = kv->h ? (void *)kv->h : kv->v;
    span *seen = ARENA_ARRAY(d->a, span, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t slot = row[i] * d->slots + position[i];
        memcpy(kv_at(d, d->cache[block], slot), kv_at(d, made, i), kv_bytes(d));
        seen[i] = (span){row[i] * d->slots, slot + 1};
    }
    int64_t slots = d->n_places * d->n_beams * d->slots;
    tensor *cache = t_const_half(g, slots, kv->cols, d->cache[block]);
    return attend_cached(g, &d->m->write[block], x, cache, own, (spans){n, seen}, true, position);
}

/* Probabilities of the next token [n, V] of the live sequences. */
static tensor *next_probabilities(decoding *d, const int64_t *row, int64_t n) {
    generator *m = d->m;
    graph *g = d->step;
    arena *a = d->a;
    int32_t *ids = ARENA_ARRAY(a, int32_t, n), *position = ARENA_ARRAY(a, int32_t, n);
    span *own = ARENA_ARRAY(a, span, n), *rows = ARENA_ARRAY(a, span, n);
    pack_cache **packs = ARENA_ARRAY(a, pack_cache *, n);
    for (int64_t i = 0; i < n; i++) {
        const sequence *s = &d->seq[row[i]];
        const asking *q = &d->at[row[i] / d->n_beams];
        ids[i] = s->n == 0 ? d->tr->bos : s->ids[s->n - 1];
        position[i] = (int32_t)s->n;
        own[i] = (span){i, i + 1};
        rows[i] = q->rows;
        packs[i] = q->copy_keys;
    }
    spans each = {n, own}, read = {n, rows};
    tensor *x = t_embed(g, m->embedding, ids, n);
    for (int i = 0; i < m->c.n_decoder; i++) {
        tensor *kv = t_const_half(g, d->n_rows, 2 * m->c.dim, d->rows.kv[i]);
        x = write_step(d, i, x, row, n, each, position);
        x = attend_cached(g, &m->look[i], x, kv, each, read, false, NULL);
        x = feed(g, &m->write_feed[i], x);
    }
    x = t_layer_norm(g, x, m->norm_out, m->norm_out_bias);
    copy_head h = {.x = x, .e = m->embedding, .q_spans = each, .kv_spans = read, .packs = packs};
    h.source_id = d->source_id;
    if (m->c.copy) {
        h.gate = t_linear(g, x, m->gate, m->gate_bias, ACT_NONE);
        h.cq = t_linear(g, x, m->copy_q, NULL, ACT_NONE);
        h.ck = t_const(g, d->n_rows, m->c.dim, d->rows.copy_keys);
    }
    return t_copy_probabilities(g, &h);
}

double decoded_empty_logit(const decoded *d) {
    return d->empty_log_prob - log(fmax(-expm1(d->empty_log_prob), 1e-30));
}

/* A short answer is the best span, unless the first step finds it likelier that there is none. */
static void choose_answer(const decoding *d, const asking *q) {
    decoded *out = q->out;
    if (out->n_span > 0) {
        bool is_there = decoded_empty_logit(out) + empty_bias(d, q) < 0;
        out->n = is_there ? out->n_span : 0;
        out->log_prob = is_there ? out->span_log_prob : out->empty_log_prob;
        out->is_cut = false;
        memcpy(out->ids, out->span_ids, (size_t)out->n * sizeof *out->ids);
    }
    if (q->o.on_token)
        for (int64_t i = 0; i < out->n; i++) q->o.on_token(q->o.arg, out->ids[i]);
}

/* Gives the answer away and the place back. */
static void finish(decoding *d, int64_t place) {
    asking *q = &d->at[place];
    sequence *s = &d->seq[place * d->n_beams];
    for (int64_t j = 0; j < d->n_beams; j++) s[j].is_done = true;
    if (s->n) memcpy(q->out->ids, s->ids, (size_t)s->n * sizeof *s->ids);
    q->out->n = s->n;
    q->out->log_prob = s->log_prob;
    q->out->is_cut = s->is_cut;
    if (q->o.may_place) choose_answer(d, q);
    q->out->is_done = true;
    q->is_used = false;
}

/* Short answers are spans: the first step says whether there is one, the others say nothing. */
static bool is_done(const decoding *d, int64_t place) {
    const asking *q = &d->at[place];
    return d->seq[place * d->n_beams].is_done || (q->o.may_place && q->out->n_span > 0);
}

int64_t decoding_step(decoding *d) {
    int64_t *row = ARENA_ARRAY(d->a, int64_t, d->n_places * d->n_beams);
    int64_t n = live_rows(d, row), n_left = 0;
    if (n > 0) choose_next(d, next_probabilities(d, row, n)->v, row, n);
    for (int64_t i = 0; i < d->n_places; i++) {
        if (!d->at[i].is_used) continue;
        if (is_done(d, i))
            finish(d, i);
        else
            n_left++;
    }
    graph_reset(d->step, 0);
    return n_left;
}

/* ---- all at once ---- */

/* The generator's own batch, kept from call to call; made anew where the old one does not fit. */
static decoding *kept_decoding(generator *m, const token_traits *tr, const decode_options *o,
                               int64_t n) {
    const backend *be = o->be ? o->be : backend_cpu();
    decoding *d = m->decoding;
    int64_t n_beams = o->n_beams > 1 ? o->n_beams : 1;
    if (n > DECODE_MOST) n = DECODE_MOST;
    if (!d || d->be != be || d->n_beams != n_beams || d->n_places < n) {
        decoding_free(d);
        d = m->decoding = decoding_new(m, tr, be, n > 0 ? n : 1, (int)n_beams);
    }
    d->tr = tr;
    return d;
}

decoded *generator_decode(generator *m, arena *a, const token_traits *tr, const reader_question *q,
                          int64_t n, const decode_options *o) {
    decoded *out = arena_push(a, (size_t)(n + 1) * sizeof *out);
    decoded **at = ARENA_ARRAY(a, decoded *, n + 1);
    for (int64_t i = 0; i < n; i++) at[i] = &out[i];
    decoding *d = kept_decoding(m, tr, o, n);
    for (int64_t next = 0, running = 0; next < n || running > 0;) {
        int64_t room = decoding_room(d), more = room < n - next ? room : n - next;
        if (more > 0) decoding_admit(d, a, q + next, more, o, at + next);
        next += more;
        running = decoding_step(d);
    }
    return out;
}
