/* Exact dense search, the best 100 of n rows: one query, bound by reading the rows' bytes once,
 * and a batch of 256, bound by multiplying bytes. Rows are random unit vectors in a segment file. */
#include <math.h>
#include <stdlib.h>

#include "eval/bench_int.h"
#include "search/flat.h"
#include "util/stop.h"

enum { TOP = 100, BATCH = 256, ROWS = 4096 };

/* Components uniform around 0: all that matters here is that no row is like another. */
static void unit_rows(rng *r, int64_t n, int64_t dim, float *x) {
    for (int64_t i = 0; i < n; i++, x += dim) {
        double sum = 0;
        for (int64_t j = 0; j < dim; j++) {
            x[j] = (float)(int32_t)rng_next(r);
            sum += (double)x[j] * x[j];
        }
        float scale = (float)(1 / sqrt(sum));
        for (int64_t j = 0; j < dim; j++) x[j] *= scale;
    }
}

static status write_rows(vectors_writer *w, rng *r, int64_t n, int64_t dim, char *name) {
    float *x = xmalloc((size_t)(ROWS * dim) * sizeof *x);
    int64_t ids[ROWS];
    status st = OK;
    for (int64_t i = 0; i < n && !st; i += ROWS) {
        int64_t m = n - i < ROWS ? n - i : ROWS;
        unit_rows(r, m, dim, x);
        for (int64_t j = 0; j < m; j++) ids[j] = i + j;
        st = vectors_writer_add(w, ids, x, m);
    }
    free(x);
    return st ? st : vectors_writer_finish(w, name);
}

typedef struct scan {
    flat *ix;
    const float *q;
    int64_t n_query, dim;
    hit *hits;
} scan;

static void search(void *arg) {
    scan *s = arg;
    MUST(flat_search(s->ix, s->q, s->n_query, s->dim, TOP, (hit_filter){0}, s->hits) == OK, "%s",
         err_msg());
}

static void time_scan(const bench *b, flat *ix, int64_t n, int64_t dim, rng *r) {
    scan s = {
        .ix = ix, .dim = dim, .n_query = 1, .hits = xmalloc((size_t)(BATCH * TOP) * sizeof(hit))};
    float *q = xmalloc((size_t)(BATCH * dim) * sizeof *q);
    unit_rows(r, BATCH, dim, q);
    s.q = q;
    double ops = 2.0 * (double)n * (double)dim, bytes = (double)n * (double)codes_width(dim);
    timing t = bench_time(b, NO_PEAK, search, &s);
    /* flops / peak is here bytes a second / peak.read: the row's bound is memory */
    bench_say(b, (bench_figure){1e3 * t.s, "ms", ops / t.s, b->read * ops / bytes, 0},
              "search.flat.%ldx%ld.q1", (long)n, (long)dim);
    s.n_query = BATCH;
    t = bench_time(b, PEAK_INT8, search, &s);
    double rate = BATCH / t.s;
    bench_say(b, (bench_figure){rate, "queries/s", rate * ops, b->ops[PEAK_INT8], t.peak},
              "search.flat.%ldx%ld.q256", (long)n, (long)dim);
    free(q);
    free(s.hits);
}

static status scan_of(const bench *b, const char *folder, int64_t n, int64_t dim) {
    rng r = rng_new(b->o.seed);
    vectors_key key = {"bench", "bench", dim};
    vectors_writer *w = NULL;
    char name[SEGMENT_NAME];
    TRY(vectors_writer_open(folder, &key, &w));
    status st = write_rows(w, &r, n, dim, name);
    vectors_writer_close(w);
    if (st) return st;
    flat *ix = NULL;
    TRY(flat_open(folder, (const char *[]){name}, 1, &key, (id_list){0}, &ix));
    time_scan(b, ix, n, dim, &r);
    flat_close(ix);
    return OK;
}

status bench_search(const bench *b) {
    static const int64_t sizes[][2][2] = {[BENCH_FULL] = {{1000000, 64}, {500000, 256}},
                                          [BENCH_QUICK] = {{100000, 64}, {50000, 256}},
                                          [BENCH_TINY] = {{1000, 64}, {500, 256}}};
    status st = OK;
    for (int i = 0; i < 2 && !st && !stop_requested(); i++) {
        char *folder = NULL;
        TRY(bench_folder_make(&folder));
        st = scan_of(b, folder, sizes[b->o.size][i][0], sizes[b->o.size][i][1]);
        bench_folder_remove(folder);
    }
    return st;
}
