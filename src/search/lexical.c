/* Searching: BM25 over one or several segments, a term at a time into accumulators.
 *
 * A question's terms are looked up in every segment first, for global statistics, and ordered
 * by weight, rare words first. Then each segment is scored by itself: a term's postings add to
 * one float a passage, and one pass over those keeps the best k.
 *
 * Most postings belong to words that say little ("of", "the"). Before such a term the k-th
 * best sum so far is compared with all that the terms left can add (Turtle & Flood 1995,
 * max_score): once they cannot lift an untouched passage among the best k, they are added
 * only to the passages that can still get there, a few blocks of postings each.
 *
 * Every score is summed in the order of the terms, so it has the same bits in any segment,
 * with or without this, and in lexical_score_ids. */
#include "search/lexical.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "search/lexical_int.h"
#include "search/terms_int.h"
#include "search/words.h"

const bm25 bm25_default = {.k1 = .9, .b = .4};

/* What one search at a time needs; kept between searches. */
typedef struct scratch {
    struct scratch *next;
    words *words;
    float *sums; /* [greatest n of the segments] all zero between uses */
} scratch;

typedef struct part {
    lexical_segment s;
    uint64_t *gone; /* [ceil(s.n / 64)] bit set: deleted */
} part;

struct lexical {
    part *parts;
    int n_parts;
    int64_t n, n_tokens; /* passages and tokens of all parts */
    char language[32];
    pthread_mutex_t lock; /* guards free_list */
    scratch *free_list;
};

/* ---- open and close ---- */

static void mark_deleted(part *p, id_list deleted) {
    p->gone = xcalloc((size_t)(p->s.n / 64 + 1), sizeof *p->gone);
    for (int64_t i = 0; i < deleted.n; i++) {
        int64_t at = id_find(p->s.ids, p->s.n, deleted.at[i]);
        if (at >= 0) p->gone[at / 64] |= 1ull << (at % 64);
    }
}

static inline bool is_gone(const part *p, int64_t ordinal) {
    return p->gone[ordinal / 64] >> (ordinal % 64) & 1;
}

static status open_parts(lexical *ix, const char *folder, const char *const *names, int n,
                         id_list deleted) {
    for (int i = 0; i < n; i++) {
        part *p = &ix->parts[i];
        TRY(lexical_segment_open(folder, names[i], &p->s));
        ix->n_parts = i + 1;
        mark_deleted(p, deleted);
        ix->n += p->s.n;
        ix->n_tokens += p->s.n_tokens;
        if (i == 0) memcpy(ix->language, p->s.language, sizeof ix->language);
        if (strcmp(p->s.language, ix->language) != 0)
            FAIL(ERR_FORMAT, "%s: stemmed as %s, the others as %s; run `raglan index`",
                 p->s.file.path, p->s.language, ix->language);
    }
    return OK;
}

status lexical_open(const char *folder, const char *const *names, int n_names, id_list deleted,
                    lexical **out) {
    lexical *ix = xcalloc(1, sizeof *ix);
    ix->parts = xcalloc((size_t)n_names + 1, sizeof *ix->parts);
    strcpy(ix->language, "english");
    pthread_mutex_init(&ix->lock, NULL);
    status st = open_parts(ix, folder, names, n_names, deleted);
    words *w = NULL; /* an unknown language is found here, not at the first question */
    if (!st) st = words_new(ix->language, &w);
    words_free(w);
    if (st)
        lexical_close(ix);
    else
        *out = ix;
    return st;
}

static void scratch_free(scratch *s) {
    words_free(s->words);
    free(s->sums);
    free(s);
}

void lexical_close(lexical *ix) {
    if (!ix) return;
    for (int i = 0; i < ix->n_parts; i++) {
        lexical_segment_close(&ix->parts[i].s);
        free(ix->parts[i].gone);
    }
    while (ix->free_list) {
        scratch *s = ix->free_list;
        ix->free_list = s->next;
        scratch_free(s);
    }
    pthread_mutex_destroy(&ix->lock);
    free(ix->parts);
    free(ix);
}

status lexical_verify(const char *folder, const char *name) {
    lexical_segment s;
    TRY(lexical_segment_open(folder, name, &s));
    status st = segment_verify(&s.file);
    lexical_segment_close(&s);
    return st;
}

int64_t lexical_count(const lexical *ix) {
    return ix->n;
}

const char *lexical_language(const lexical *ix) {
    return ix->language;
}

bool lexical_has(const lexical *ix, int64_t id) {
    for (int i = 0; i < ix->n_parts; i++) {
        const part *p = &ix->parts[i];
        int64_t at = id_find(p->s.ids, p->s.n, id);
        if (at >= 0 && !is_gone(p, at)) return true;
    }
    return false;
}

/* The free list is the only thing that changes in an open index. */
static scratch *scratch_take(const lexical *ix) {
    lexical *open = (lexical *)(uintptr_t)ix;
    pthread_mutex_lock(&open->lock);
    scratch *s = open->free_list;
    if (s) open->free_list = s->next;
    pthread_mutex_unlock(&open->lock);
    if (s) return s;
    int64_t most = 0;
    for (int i = 0; i < ix->n_parts; i++)
        if (ix->parts[i].s.n > most) most = ix->parts[i].s.n;
    s = xcalloc(1, sizeof *s);
    s->sums = xcalloc((size_t)most + 1, sizeof *s->sums);
    status st = words_new(ix->language, &s->words);
    MUST(!st, "language '%s' was there at open", ix->language);
    return s;
}

static void scratch_give(const lexical *ix, scratch *s) {
    lexical *open = (lexical *)(uintptr_t)ix;
    pthread_mutex_lock(&open->lock);
    s->next = open->free_list;
    open->free_list = s;
    pthread_mutex_unlock(&open->lock);
}

/* ---- the question ---- */

typedef struct weighted {
    uint32_t term; /* number in order of appearance */
    float weight;  /* qtf * idf */
} weighted;

/* A question's terms by descending weight, equal weights in order of appearance. */
typedef struct query {
    terms terms;   /* in order of appearance */
    uint32_t *qtf; /* [terms.n] the same order */
    uint32_t cap;
    weighted *order;  /* [terms.n] by weight */
    term_view *views; /* [n_parts, terms.n] by weight */
    float k_fixed;    /* a passage's norm is k_fixed + k_length * its length */
    float k_length;
} query;

static void add_word(void *arg, const char *term, size_t n) {
    query *q = arg;
    uint32_t known = q->terms.n;
    uint32_t i = terms_intern(&q->terms, term, n);
    if (i < known) {
        q->qtf[i]++;
        return;
    }
    GROW(q->qtf, i, q->cap);
    q->qtf[i] = 1;
}

static double idf(const lexical *ix, int64_t df) {
    return log1p(((double)(ix->n - df) + .5) / ((double)df + .5));
}

static void query_clear(query *q) {
    terms_clear(&q->terms);
    free(q->qtf);
    free(q->order);
    free(q->views);
}

static int compare_weights(const void *a, const void *b) {
    const weighted *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return (x->term > y->term) - (x->term < y->term);
}

static status query_weigh(const lexical *ix, query *q) {
    for (uint32_t t = 0; t < q->terms.n; t++) {
        int64_t df = 0;
        size_t n;
        const char *s = terms_at(&q->terms, t, &n);
        for (int i = 0; i < ix->n_parts; i++) {
            term_view v;
            TRY(lexical_find(&ix->parts[i].s, s, n, &v));
            df += v.df;
        }
        q->order[t] = (weighted){t, (float)(q->qtf[t] * idf(ix, df))};
    }
    if (q->terms.n) qsort(q->order, q->terms.n, sizeof *q->order, compare_weights);
    for (uint32_t t = 0; t < q->terms.n; t++) {
        size_t n;
        const char *s = terms_at(&q->terms, q->order[t].term, &n);
        for (int i = 0; i < ix->n_parts; i++)
            TRY(lexical_find(&ix->parts[i].s, s, n, &q->views[(size_t)i * q->terms.n + t]));
    }
    return OK;
}

static status query_make(const lexical *ix, words *w, const char *text, size_t n, const bm25 *p,
                         query *q) {
    *q = (query){0};
    if (!(p->k1 >= 0 && p->k1 < 1e6) || !(p->b >= 0 && p->b <= 1))
        FAIL(ERR_ARG, "bm25: k1 %g and b %g, wanted k1 >= 0 and b in [0, 1]", p->k1, p->b);
    words_each(w, text, n, add_word, q);
    q->views = xcalloc((size_t)ix->n_parts * q->terms.n + 1, sizeof *q->views);
    q->order = xcalloc((size_t)q->terms.n + 1, sizeof *q->order);
    double average = ix->n_tokens > 0 ? (double)ix->n_tokens / (double)ix->n : 1;
    q->k_fixed = (float)(p->k1 * (1 - p->b));
    q->k_length = (float)(p->k1 * p->b / average);
    status st = query_weigh(ix, q);
    if (st) query_clear(q);
    return st;
}

/* One term's share of a passage's score. */
static inline float term_score(const query *q, float weight, uint32_t tf, uint32_t length) {
    return weight * ((float)tf / ((float)tf + (q->k_fixed + q->k_length * (float)length)));
}

/* ---- adding terms to sums ---- */

static status add_term(const part *p, const query *q, const term_view *v, float weight,
                       float *sums) {
    uint32_t docs[BLOCK], tfs[BLOCK];
    for (int64_t i = 0; i < v->n_blocks; i++) {
        int count;
        TRY(lexical_block_read(&p->s, v, i, docs, tfs, &count));
        for (int j = 0; j < count; j++)
            sums[docs[j]] += term_score(q, weight, tfs[j], p->s.lengths[docs[j]]);
    }
    return OK;
}

typedef struct target {
    int64_t ordinal, i; /* in the part; in the caller's array */
} target;

static int compare_targets(const void *a, const void *b) {
    const target *x = a, *y = b;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/* First block at or after `from` that may hold the ordinal: mostly the next ones, else by
 * doubling steps. */
static int64_t block_of(const term_view *v, int64_t from, int64_t ordinal) {
    int64_t low = from, step = 1;
    while (low < v->n_blocks && v->blocks[low].last < ordinal) {
        int64_t far = low + step;
        if (far < v->n_blocks && v->blocks[far].last < ordinal) {
            low = far;
            step *= 2;
        } else {
            low++;
            step = 1;
        }
    }
    return low;
}

/* Adds one term's share to the targets, which ascend by ordinal: only blocks that may hold
 * one of them are decoded. */
static status add_term_to(const part *p, const query *q, const term_view *v, float weight,
                          const target *targets, int64_t n, float *scores) {
    uint32_t docs[BLOCK], tfs[BLOCK];
    int64_t block = -1;
    int count = 0, j = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t wanted = block_of(v, block < 0 ? 0 : block, targets[i].ordinal);
        if (wanted == v->n_blocks) break;
        if (wanted != block) {
            TRY(lexical_block_read(&p->s, v, wanted, docs, tfs, &count));
            block = wanted;
            j = 0;
        }
        while (j < count && docs[j] < targets[i].ordinal) j++;
        if (j < count && docs[j] == targets[i].ordinal)
            scores[targets[i].i] += term_score(q, weight, tfs[j], p->s.lengths[docs[j]]);
    }
    return OK;
}

/* ---- search ---- */

/* Adds the passages that have a sum to the best k. */
static void collect(const part *p, const float *sums, hit_filter filter, topk *best) {
    for (int64_t d = 0;; d++) {
        float bound = topk_bound(best);
        d = scores_next(sums, d, p->s.n, bound > FLT_MIN ? bound : FLT_MIN);
        if (d == p->s.n) return;
        if (is_gone(p, d) || (filter.fn && !filter.fn(filter.arg, p->s.ids[d]))) continue;
        topk_add(best, (hit){p->s.ids[d], sums[d]});
    }
}

/* The most that a term can add to a passage of this segment. */
static double term_bound(const query *q, const term_view *v, float weight) {
    float most = 0;
    for (int64_t i = 0; i < v->n_blocks; i++) {
        const lexical_block *b = &v->blocks[i];
        float x = b->max_tf == UINT16_MAX ? weight : term_score(q, weight, b->max_tf, b->min_len);
        if (x > most) most = x;
    }
    return most;
}

/* A segment being searched. */
typedef struct pass {
    const part *p;
    const query *q;
    const term_view *views; /* [q->terms.n] of this segment */
    float *sums;            /* [p->s.n] */
    hit_filter filter;
    const topk *best; /* of the segments before */
    hit *room;        /* [best->k] scratch */
    double *bounds;   /* [terms.n + 1] what terms t.. can add together */
    target *targets;  /* [n_targets] the passages that can still win */
    int64_t n_targets, cap_targets;
} pass;

/* A score that k passages have reached, whatever the terms left add; -INFINITY if fewer. */
static float reached(const pass *x) {
    topk now = {.at = x->room, .n = x->best->n, .k = x->best->k};
    memcpy(now.at, x->best->at, (size_t)now.n * sizeof *now.at);
    collect(x->p, x->sums, x->filter, &now);
    return now.n == now.k ? now.at[0].score : -INFINITY;
}

/* Lists in x->targets the passages that terms t.. can still lift to the score; false when they are
 * so many that reading the terms whole is cheaper. Bounds are widened by more than sums can be off
 * by rounding. */
static bool find_candidates(pass *x, uint32_t t, float score) {
    double more = x->bounds[t] * (1 + 1e-4);
    float bound = (float)((score - more) * (1 - 1e-4));
    if (!(bound > 0)) return false; /* an untouched passage could still win */
    int64_t n = x->p->s.n;
    x->n_targets = 0;
    for (int64_t d = scores_next(x->sums, 0, n, bound); d < n;
         d = scores_next(x->sums, d + 1, n, bound)) {
        if (x->n_targets == n / BLOCK / 2) return false;
        GROW(x->targets, x->n_targets, x->cap_targets);
        x->targets[x->n_targets++] = (target){d, d};
    }
    return true;
}

static status add_terms(pass *x) {
    uint32_t n = x->q->terms.n;
    for (uint32_t t = n; t-- > 0;)
        x->bounds[t] = x->bounds[t + 1] + term_bound(x->q, &x->views[t], x->q->order[t].weight);
    bool few = false; /* only the targets matter */
    for (uint32_t t = 0; t < n; t++) {
        const term_view *v = &x->views[t];
        float weight = x->q->order[t].weight;
        if (!few && t > 0 && v->df > x->p->s.n / 16) /* else looking costs more than it saves */
            few = find_candidates(x, t, reached(x));
        if (few)
            TRY(add_term_to(x->p, x->q, v, weight, x->targets, x->n_targets, x->sums));
        else
            TRY(add_term(x->p, x->q, v, weight, x->sums));
    }
    return OK;
}

static status search_part(const part *p, const query *q, const term_view *views, float *sums,
                          hit_filter filter, topk *best) {
    size_t n = (size_t)q->terms.n + 1;
    pass x = {.p = p, .q = q, .views = views, .sums = sums, .filter = filter, .best = best};
    x.room = xmalloc((size_t)best->k * sizeof *x.room);
    x.bounds = xcalloc(n, sizeof *x.bounds);
    status st = add_terms(&x);
    if (!st) collect(p, sums, filter, best);
    memset(sums, 0, (size_t)p->s.n * sizeof *sums);
    free(x.room);
    free(x.bounds);
    free(x.targets);
    return st;
}

status lexical_search(const lexical *ix, const char *text, size_t n, const bm25 *p, int64_t k,
                      hit_filter filter, hit *hits, int64_t *n_hits) {
    if (k < 1) FAIL(ERR_ARG, "top_k is %" PRId64 ", wanted at least 1", k);
    scratch *s = scratch_take(ix);
    query q;
    topk best = {.at = hits, .k = k};
    status st = query_make(ix, s->words, text, n, p, &q);
    if (!st) {
        for (int i = 0; i < ix->n_parts && !st; i++)
            st = search_part(&ix->parts[i], &q, q.views + (size_t)i * q.terms.n, s->sums, filter,
                             &best);
        query_clear(&q);
    }
    scratch_give(ix, s);
    if (st) return st;
    topk_sort(&best);
    *n_hits = best.n;
    return OK;
}

/* ---- scores of given passages ---- */

status lexical_score_ids(const lexical *ix, const char *text, size_t n_query, const bm25 *p,
                         const int64_t *ids, int64_t n, float *scores) {
    scratch *s = scratch_take(ix);
    query q;
    status st = query_make(ix, s->words, text, n_query, p, &q);
    scratch_give(ix, s);
    if (st) return st;
    target *targets = xmalloc(((size_t)n + 1) * sizeof *targets);
    memset(scores, 0, (size_t)n * sizeof *scores);
    for (int i = 0; i < ix->n_parts && !st; i++) {
        const part *part_i = &ix->parts[i];
        int64_t found = 0;
        for (int64_t j = 0; j < n; j++) {
            int64_t at = id_find(part_i->s.ids, part_i->s.n, ids[j]);
            if (at >= 0) targets[found++] = (target){at, j};
        }
        qsort(targets, (size_t)found, sizeof *targets, compare_targets);
        const term_view *views = q.views + (size_t)i * q.terms.n;
        for (uint32_t t = 0; t < q.terms.n && !st; t++)
            st = add_term_to(part_i, &q, &views[t], q.order[t].weight, targets, found, scores);
    }
    free(targets);
    query_clear(&q);
    return st;
}

static void keep_first(void *arg, const char *term, size_t n) {
    buf *b = arg;
    if (!b->len) buf_add(b, term, n);
}

double lexical_idf(const lexical *ix, const char *word, size_t n) {
    scratch *s = scratch_take(ix);
    buf term = {0};
    words_each(s->words, word, n, keep_first, &term);
    scratch_give(ix, s);
    int64_t df = 0;
    for (int i = 0; i < ix->n_parts && term.len; i++) {
        term_view v = {0};
        if (lexical_find(&ix->parts[i].s, term.at, term.len, &v) == OK) df += v.df;
    }
    buf_clear(&term);
    return idf(ix, df);
}
