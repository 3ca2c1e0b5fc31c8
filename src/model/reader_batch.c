/* Reader batches: sizes are counted first, memory is taken once, then every row is written once. */
#include "model/reader_batch.h"

#include <string.h>

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t rows_of(const reader_limits *l, const reader_question *q, const reader_passage *p) {
    return least(q->n_ids, l->question) + 1 + least(p->n_title, l->title) + 1 +
           least(p->n_ids, l->passage);
}

/* Sizes first, memory once. */
static void take(reader_batch *b, arena *a, const reader_limits *l, const reader_question *q,
                 int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        b->n_pairs += q[i].n_passages;
        for (int64_t j = 0; j < q[i].n_passages; j++)
            b->n_rows += rows_of(l, &q[i], &q[i].passages[j]);
        b->n_out += least(q[i].n_answer, l->answer) + 1;
    }
    b->ids = ARENA_ARRAY(a, int32_t, b->n_rows);
    b->position = ARENA_ARRAY(a, int32_t, b->n_rows);
    b->feature = ARENA_ARRAY(a, int32_t, b->n_rows);
    b->rank = ARENA_ARRAY(a, int32_t, b->n_rows);
    b->source_id = ARENA_ARRAY(a, int32_t, b->n_rows);
    b->is_start = arena_push(a, (size_t)b->n_rows);
    b->is_end = arena_push(a, (size_t)b->n_rows);
    b->pairs = ARENA_ARRAY(a, span, b->n_pairs);
    b->questions = ARENA_ARRAY(a, span, n);
    b->pairs_of = ARENA_ARRAY(a, span, n);
    b->in_ids = ARENA_ARRAY(a, int32_t, b->n_out);
    b->in_position = ARENA_ARRAY(a, int32_t, b->n_out);
    b->target = ARENA_ARRAY(a, int32_t, b->n_out);
    b->outs = ARENA_ARRAY(a, span, n);
}

/* Which folded tokens, and which pairs of neighbours, a side of the pair holds: small tables
 * of stamps, so that nothing is cleared between pairs. */
typedef struct matcher {
    uint32_t *seen; /* [V] stamp */
    uint32_t *twos; /* [4096] stamp, by hash of two folded tokens */
    uint32_t stamp;
} matcher;

static uint32_t two_hash(int32_t a, int32_t b) {
    return ((uint32_t)a * 2654435761u ^ (uint32_t)b * 2246822519u) >> 20;
}

static void matcher_add(matcher *m, const token_traits *tr, const int32_t *ids, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        m->seen[tr->fold[ids[i]]] = m->stamp;
        if (i > 0) m->twos[two_hash(tr->fold[ids[i - 1]], tr->fold[ids[i]])] = m->stamp;
    }
}

/* How much of a title the question holds: nothing, a part, all. What tells a passage about the
 * thing asked for from one about its namesake. */
static int coverage_of(const matcher *m, const token_traits *tr, const int32_t *title, int64_t n) {
    int64_t there = 0;
    for (int64_t i = 0; i < n; i++) there += m->seen[tr->fold[title[i]]] == m->stamp;
    return there == 0 ? 0 : there < n ? 1 : 2;
}

/* 0: not on the other side; 1: there; 2: there together with a neighbour. */
static int match_of(const matcher *m, const token_traits *tr, const int32_t *ids, int64_t n,
                    int64_t i) {
    int32_t f = tr->fold[ids[i]];
    if (m->seen[f] != m->stamp) return 0;
    if (i > 0 && m->twos[two_hash(tr->fold[ids[i - 1]], f)] == m->stamp) return 2;
    if (i + 1 < n && m->twos[two_hash(f, tr->fold[ids[i + 1]])] == m->stamp) return 2;
    return 1;
}

enum { SEGMENT_QUESTION, SEGMENT_TITLE, SEGMENT_PASSAGE };

static int32_t feature_of(const token_traits *tr, int segment, int match, int32_t id) {
    return (int32_t)((segment * READER_MATCHES + match) * TRAIT_COUNT +
                     (tr->bits[id] & (TRAIT_COUNT - 1)));
}

/* Appends a segment's rows; the matcher holds the other side. */
static int64_t put(reader_batch *b, int64_t row, const token_traits *tr, const matcher *m,
                   int segment, const int32_t *ids, int64_t n, bool may_copy) {
    for (int64_t i = 0; i < n; i++, row++) {
        b->ids[row] = ids[i];
        b->feature[row] = feature_of(tr, segment, match_of(m, tr, ids, n, i), ids[i]);
        b->source_id[row] = may_copy ? ids[i] : -1;
    }
    return row;
}

static int64_t put_separator(reader_batch *b, int64_t row, const token_traits *tr, int segment) {
    b->ids[row] = tr->eos;
    b->feature[row] = feature_of(tr, segment, 0, tr->eos);
    b->source_id[row] = -1;
    return row + 1;
}

static int64_t put_pair(reader_batch *b, int64_t row, const token_traits *tr, matcher *m,
                        const reader_limits *l, const reader_question *q, const reader_passage *p,
                        int64_t rank) {
    int64_t begin = row, n_q = least(q->n_ids, l->question), n_t = least(p->n_title, l->title),
            n_p = least(p->n_ids, l->passage);
    b->n_cut += (q->n_ids - n_q) + (p->n_title - n_t) + (p->n_ids - n_p);

    m->stamp++;
    matcher_add(m, tr, p->title, n_t);
    matcher_add(m, tr, p->ids, n_p);
    row = put(b, row, tr, m, SEGMENT_QUESTION, q->ids, n_q, false);
    row = put_separator(b, row, tr, SEGMENT_QUESTION);
    m->stamp++;
    matcher_add(m, tr, q->ids, n_q);
    int coverage = coverage_of(m, tr, p->title, n_t);
    row = put(b, row, tr, m, SEGMENT_TITLE, p->title, n_t, true);
    row = put_separator(b, row, tr, SEGMENT_TITLE);
    if (p->answer.end > p->answer.begin && p->answer.end <= n_p) {
        b->is_start[row + p->answer.begin] = 1;
        b->is_end[row + p->answer.end - 1] = 1;
    }
    row = put(b, row, tr, m, SEGMENT_PASSAGE, p->ids, n_p, true);
    for (int64_t r = begin; r < row; r++) {
        b->position[r] = (int32_t)(r - begin);
        b->feature[r] += coverage * READER_SEGMENTS * READER_MATCHES * TRAIT_COUNT;
        b->rank[r] = (int32_t)least(rank, READER_MAX_RANK - 1);
    }
    return row;
}

static int64_t put_answer(reader_batch *b, int64_t row, const token_traits *tr,
                          const reader_limits *l, const reader_question *q) {
    int64_t n = least(q->n_answer, l->answer);
    b->n_cut += q->n_answer - n;
    for (int64_t i = 0; i <= n; i++) {
        b->in_ids[row + i] = i == 0 ? tr->bos : q->answer[i - 1];
        b->in_position[row + i] = (int32_t)i;
        b->target[row + i] = i < n ? q->answer[i] : n < q->n_answer ? -1 : tr->eos;
    }
    return row + n + 1;
}

reader_batch reader_batch_new(arena *a, const token_traits *tr, const reader_limits *limits,
                              const reader_question *q, int64_t n) {
    reader_batch b = {.n_questions = n};
    take(&b, a, limits, q, n);
    matcher m = {.seen = arena_push(a, (size_t)tr->vocab * sizeof(uint32_t)),
                 .twos = arena_push(a, 4096 * sizeof(uint32_t))};

    int64_t row = 0, pair = 0, out = 0;
    for (int64_t i = 0; i < n; i++) {
        b.questions[i].begin = row;
        b.pairs_of[i].begin = pair;
        for (int64_t j = 0; j < q[i].n_passages; j++, pair++) {
            b.pairs[pair].begin = row;
            row = put_pair(&b, row, tr, &m, limits, &q[i], &q[i].passages[j], j);
            b.pairs[pair].end = row;
        }
        b.questions[i].end = row;
        b.pairs_of[i].end = pair;
        b.outs[i].begin = out;
        out = put_answer(&b, out, tr, limits, &q[i]);
        b.outs[i].end = out;
    }
    return b;
}
