/* Exact dense search over mapped rows.
 *
 * Few rows are scored. A scan of the rows' bytes (codes.h, tensor/scan.h) leaves for
 * each query the rows that can be among the best k, the others being proved not to be; a
 * shortlist narrows them down and scores what is left. So the result is that of scoring all
 * rows, at a quarter of the bytes read and in whole-number arithmetic.
 *
 * Blocks are taken by threads in pieces; each worker keeps its own shortlist for every query and
 * tells the others, piece by piece, what must be reached. Because the order of hits is total
 * and a row is only left out when k others are certain to be before it, the answer is the same
 * whoever took which piece. */
#include "search/flat.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "search/shortlist.h"
#include "util/log.h"
#include "util/par.h"

enum {
    PIECE_BYTES = 256 << 10, /* of codes */
    GROUP = 256              /* queries that share one reading of all codes */
};
#define LISTS_BYTES (256ll << 20) /* at most, of all shortlists together */

typedef struct part {
    vectors v;
    uint64_t *alive; /* [blocks] bit r: row r of the block is there and not deleted */
    uint8_t *made;   /* codes and bounds of a file that has none, our own */
    code_bound *made_bounds;
} part;

struct flat {
    part *parts;
    int n_parts;
    int64_t n, dim;
};

/* ---- open and close ---- */

static inline bool is_alive(const part *p, int64_t at) {
    return p->alive[at / SCAN_ROWS] >> (at % SCAN_ROWS) & 1;
}

/* Sets the bits of rows begin..end-1. */
static void set_rows(uint64_t *bits, int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
        int64_t block = at / SCAN_ROWS, first = at % SCAN_ROWS;
        int64_t n = end - at < SCAN_ROWS - first ? end - at : SCAN_ROWS - first;
        bits[block] |= (n == SCAN_ROWS ? ~0ull : (1ull << n) - 1) << first;
        at += n;
    }
}

static void make_block(void *arg, int64_t i, int worker) {
    (void)worker;
    part *p = arg;
    int64_t dim = p->v.key.dim, first = i * SCAN_ROWS;
    int64_t n = p->v.n - first < SCAN_ROWS ? p->v.n - first : SCAN_ROWS;
    codes_make(p->v.rows + first * dim, n, dim, p->made + i * SCAN_ROWS * codes_width(dim),
               &p->made_bounds[i]);
}

/* Codes in memory, for a file of version 1. */
static status make_codes(part *p) {
    int64_t blocks = codes_blocks(p->v.n);
    size_t bytes = (size_t)(blocks * SCAN_ROWS * codes_width(p->v.key.dim));
    log_info("%" PRId64
             " vectors were written by an older raglan: `raglan compact` writes them anew, "
             "and they will open at once",
             p->v.n);
    p->made = aligned_alloc(64, bytes + 64);
    if (!p->made) FAIL(ERR_MEM, "no memory for %zu bytes of codes", bytes);
    p->made_bounds = xcalloc((size_t)blocks + 1, sizeof *p->made_bounds);
    par_for(blocks, make_block, p);
    p->v.codes = p->made;
    p->v.bounds = p->made_bounds;
    return OK;
}

static status open_part(part *p, id_list deleted) {
    p->alive = xcalloc((size_t)codes_blocks(p->v.n) + 1, sizeof *p->alive);
    set_rows(p->alive, 0, p->v.n);
    for (int64_t i = 0; i < deleted.n; i++) {
        int64_t at = id_find(p->v.ids, p->v.n, deleted.at[i]);
        if (at >= 0) p->alive[at / SCAN_ROWS] &= ~(1ull << (at % SCAN_ROWS));
    }
    return p->v.codes ? OK : make_codes(p);
}

static status add_part(flat *ix, vectors v, id_list deleted) {
    part *p = &ix->parts[ix->n_parts++];
    p->v = v;
    ix->n += v.n;
    ix->dim = v.key.dim;
    return open_part(p, deleted);
}

static flat *flat_new(int n_parts) {
    flat *ix = xcalloc(1, sizeof *ix);
    ix->parts = xcalloc((size_t)n_parts + 1, sizeof *ix->parts);
    return ix;
}

status flat_open(const char *folder, const char *const *names, int n_names, const vectors_key *want,
                 id_list deleted, flat **out) {
    flat *ix = flat_new(n_names);
    status st = OK;
    for (int i = 0; i < n_names && !st; i++) {
        const vectors_key *key = !want && i > 0 ? &ix->parts[0].v.key : want;
        vectors v;
        st = vectors_open(folder, names[i], key, &v);
        if (!st) st = add_part(ix, v, deleted);
    }
    if (st)
        flat_close(ix);
    else
        *out = ix;
    return st;
}

status flat_of(vectors v, id_list deleted, flat **out) {
    flat *ix = flat_new(1);
    status st = add_part(ix, v, deleted);
    if (st)
        flat_close(ix);
    else
        *out = ix;
    return st;
}

void flat_close(flat *ix) {
    if (!ix) return;
    for (int i = 0; i < ix->n_parts; i++) {
        vectors_close(&ix->parts[i].v);
        free(ix->parts[i].alive);
        free(ix->parts[i].made);
        free(ix->parts[i].made_bounds);
    }
    free(ix->parts);
    free(ix);
}

int64_t flat_count(const flat *ix) {
    return ix->n;
}

int64_t flat_dim(const flat *ix) {
    return ix->dim;
}

const float *flat_row(const flat *ix, int64_t id) {
    for (int i = 0; i < ix->n_parts; i++) {
        const part *p = &ix->parts[i];
        int64_t at = id_find(p->v.ids, p->v.n, id);
        if (at >= 0 && is_alive(p, at)) return p->v.rows + at * ix->dim;
    }
    return NULL;
}

/* ---- search ---- */

/* What a worker has of its own. */
typedef struct own {
    shortlist *lists;  /* [n] */
    float *floors;     /* [n] what must be reached, as far as this worker knows */
    int32_t *limits;   /* [n] the same in dots of the block at hand */
    scan_found *found; /* [n, SCAN_ROWS] */
} own;

/* One group of queries against all rows. */
typedef struct sweep {
    const flat *ix;
    const scan_kernel *kernel;
    const float *q; /* [n, dim] */
    code_queries codes;
    int64_t n, k;
    hit_filter filter;
    uint64_t **rows;       /* [n_parts] as alive, without rows that the filter cannot want */
    int64_t piece_blocks;  /* of blocks */
    int64_t *first_piece;  /* [n_parts + 1] pieces before each part */
    _Atomic float *floors; /* [n] the best that any worker knows */
    own *workers;          /* [n_workers] */
    int n_workers;
    hit *hits; /* [n, k] */
} sweep;

static void raise_floor(_Atomic float *shared, float floor) {
    float seen = atomic_load_explicit(shared, memory_order_relaxed);
    while (floor > seen && !atomic_compare_exchange_weak_explicit(
                               shared, &seen, floor, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* The entry is written where it will stay, and counted if the filter wants the row. */
static void list_row(const sweep *s, own *w, const part *p, int64_t block, const scan_found *f) {
    int64_t at = block * SCAN_ROWS + f->row, i = f->query, dim = s->ix->dim;
    shortlist *list = &w->lists[i];
    entry *e = &list->at[list->n];
    e->id = p->v.ids[at];
    e->row = p->v.rows + at * dim;
    codes_range(&s->codes, i, &p->v.bounds[block], f->dot, &e->low, &e->high);
    if (s->filter.fn && !s->filter.fn(s->filter.arg, e->id)) return;
    if (++list->n < list->cap) return;
    shortlist_trim(list, s->q + i * dim, dim);
    if (list->floor > w->floors[i]) w->floors[i] = list->floor;
}

static void sweep_block(const sweep *s, own *w, const part *p, int64_t block, uint64_t rows) {
    codes_limits(&s->codes, &p->v.bounds[block], w->floors, w->limits);
    scan_job job = {.n = s->n, .width = s->codes.width, .q = s->codes.q};
    job.block = p->v.codes + block * SCAN_ROWS * s->codes.width;
    job.limit = w->limits;
    job.rows = rows;
    job.found = w->found;
    int64_t n = s->kernel->find(&job);
    for (int64_t i = 0; i < n; i++) list_row(s, w, p, block, &w->found[i]);
}

static void sweep_piece(void *arg, int64_t piece, int worker) {
    const sweep *s = arg;
    own *w = &s->workers[worker];
    int i_part = 0;
    while (s->first_piece[i_part + 1] <= piece) i_part++;
    const part *p = &s->ix->parts[i_part];
    int64_t block = (piece - s->first_piece[i_part]) * s->piece_blocks;
    int64_t end = codes_blocks(p->v.n);
    if (end > block + s->piece_blocks) end = block + s->piece_blocks;
    for (int64_t i = 0; i < s->n; i++)
        w->floors[i] = atomic_load_explicit(&s->floors[i], memory_order_relaxed);
    for (; block < end; block++)
        if (s->rows[i_part][block]) sweep_block(s, w, p, block, s->rows[i_part][block]);
    for (int64_t i = 0; i < s->n; i++) raise_floor(&s->floors[i], w->floors[i]);
}

/* Joins the workers' lists of one query. */
static void finish_query(void *arg, int64_t i, int worker) {
    (void)worker;
    const sweep *s = arg;
    int64_t n = 0;
    for (int w = 0; w < s->n_workers; w++) n += s->workers[w].lists[i].n;
    shortlist all = {.k = s->k, .cap = n, .floor = atomic_load(&s->floors[i])};
    all.at = xmalloc((size_t)(n + 1) * sizeof *all.at);
    for (int w = 0; w < s->n_workers; w++) shortlist_join(&all, &s->workers[w].lists[i]);
    shortlist_finish(&all, s->q + i * s->ix->dim, s->ix->dim, s->hits + i * s->k);
    free(all.at);
}

static void workers_new(sweep *s) {
    int64_t room = shortlist_room(s->k < s->ix->n ? s->k : s->ix->n);
    size_t padded = (size_t)(s->n + SCAN_QUERIES);
    s->n_workers = par_threads();
    s->workers = xcalloc((size_t)s->n_workers, sizeof *s->workers);
    for (int i = 0; i < s->n_workers; i++) {
        own *w = &s->workers[i];
        w->lists = xcalloc((size_t)s->n, sizeof *w->lists);
        w->floors = xcalloc(padded, sizeof *w->floors);
        w->limits = xcalloc(padded, sizeof *w->limits);
        w->found = xmalloc((size_t)(s->n * SCAN_ROWS) * sizeof *w->found);
        entry *entries = xmalloc((size_t)(s->n * room) * sizeof *entries);
        for (int64_t j = 0; j < s->n; j++)
            w->lists[j] = (shortlist){entries + j * room, 0, room, s->k, -INFINITY};
    }
}

static void workers_free(sweep *s) {
    for (int i = 0; i < s->n_workers; i++) {
        own *w = &s->workers[i];
        free(w->lists[0].at);
        free(w->lists);
        free(w->floors);
        free(w->limits);
        free(w->found);
    }
    free(s->workers);
}

static void sweep_run(sweep *s) {
    code_queries_init(&s->codes, s->q, s->n, s->ix->dim, s->kernel->query_max);
    s->floors = xmalloc((size_t)s->n * sizeof *s->floors);
    for (int64_t i = 0; i < s->n; i++) atomic_init(&s->floors[i], -INFINITY);
    workers_new(s);
    par_for(s->first_piece[s->ix->n_parts], sweep_piece, s);
    par_for(s->n, finish_query, s);
    workers_free(s);
    free(s->floors);
    code_queries_clear(&s->codes);
}

/* The rows of a part that lie in the filter's ranges and are alive. */
static uint64_t *rows_within(const part *p, const id_ranges *within) {
    int64_t blocks = codes_blocks(p->v.n);
    uint64_t *rows = xcalloc((size_t)blocks + 1, sizeof *rows);
    for (int64_t i = 0; i < within->n; i++)
        set_rows(rows, id_first(p->v.ids, p->v.n, within->at[i].begin),
                 id_first(p->v.ids, p->v.n, within->at[i].end));
    for (int64_t i = 0; i < blocks; i++) rows[i] &= p->alive[i];
    return rows;
}

static void sweep_parts(sweep *s) {
    const flat *ix = s->ix;
    s->piece_blocks = PIECE_BYTES / (SCAN_ROWS * codes_width(ix->dim));
    if (s->piece_blocks < 1) s->piece_blocks = 1;
    s->first_piece = xcalloc((size_t)ix->n_parts + 1, sizeof *s->first_piece);
    s->rows = xcalloc((size_t)ix->n_parts + 1, sizeof *s->rows);
    for (int i = 0; i < ix->n_parts; i++) {
        const part *p = &ix->parts[i];
        int64_t pieces = (codes_blocks(p->v.n) + s->piece_blocks - 1) / s->piece_blocks;
        s->first_piece[i + 1] = s->first_piece[i] + pieces;
        s->rows[i] = s->filter.within ? rows_within(p, s->filter.within) : p->alive;
    }
}

static void sweep_clear(sweep *s) {
    for (int i = 0; i < s->ix->n_parts && s->filter.within; i++) free(s->rows[i]);
    free(s->rows);
    free(s->first_piece);
}

/* Queries of a group: fewer where lists are long. */
static int64_t group_of(const flat *ix, int64_t k) {
    int64_t bytes = shortlist_room(k < ix->n ? k : ix->n) * (int64_t)sizeof(entry) * par_threads();
    int64_t n = LISTS_BYTES / bytes;
    return n < 1 ? 1 : n > GROUP ? GROUP : n;
}

static status check_dim(const flat *ix, int64_t dim) {
    if (ix->n_parts && dim != ix->dim)
        FAIL(ERR_ARG, "a question's vector has %" PRId64 " dims, the index %" PRId64, dim, ix->dim);
    return OK;
}

status flat_search(const flat *ix, const float *q, int64_t n_query, int64_t dim, int64_t k,
                   hit_filter filter, hit *hits) {
    if (k < 1) FAIL(ERR_ARG, "top_k is %" PRId64 ", wanted at least 1", k);
    TRY(check_dim(ix, dim));
    for (int64_t i = 0; i < n_query * k && !ix->n; i++) hits[i] = (hit){-1, -INFINITY};
    if (!ix->n) return OK;
    sweep s = {.ix = ix, .kernel = scan_best(), .k = k, .filter = filter};
    sweep_parts(&s);
    int64_t group = group_of(ix, k);
    for (int64_t i = 0; i < n_query; i += group) {
        s.q = q + i * dim;
        s.n = n_query - i < group ? n_query - i : group;
        s.hits = hits + i * k;
        sweep_run(&s);
    }
    sweep_clear(&s);
    return OK;
}

status flat_score_ids(const flat *ix, const float *q, int64_t dim, const int64_t *ids, int64_t n,
                      float *scores) {
    TRY(check_dim(ix, dim));
    for (int64_t i = 0; i < n; i++) {
        const float *row = flat_row(ix, ids[i]);
        scores[i] = row ? codes_score(q, row, dim) : NAN;
    }
    return OK;
}
