/* The benchmark's frame: peaks, the clock, the rows. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eval/bench_int.h"
#include "util/file.h"
#include "util/log.h"
#include "util/stop.h"

enum { MOST_RUNS = 1000 };

/* ---- time ---- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *s, int64_t n, double q) {
    qsort(s, (size_t)n, sizeof *s, ascending);
    int64_t i = (int64_t)(q * (double)n);
    return s[i < n ? i : n - 1];
}

double bench_peak_now(const bench *b, int kind) {
    double seconds = b->o.size == BENCH_TINY ? 1e-4 : .003;
    return kind == NO_PEAK ? 0 : peak_again((peak_kind)kind, seconds);
}

timing bench_time(const bench *b, int kind, void (*fn)(void *arg), void *arg) {
    static const struct plan {
        int warm, least;
        double seconds;
    } plans[] = {[BENCH_FULL] = {2, 5, 3}, [BENCH_QUICK] = {2, 5, .5}, [BENCH_TINY] = {1, 2, 0}};
    const struct plan *p = &plans[b->o.size];
    double s[MOST_RUNS], could[MOST_RUNS], spent = 0;
    for (int i = 0; i < p->warm && !stop_requested(); i++) fn(arg);
    int n = 0;
    double before = bench_peak_now(b, kind);
    while (n < p->least || (spent < p->seconds && n < MOST_RUNS)) {
        if (stop_requested()) return (timing){NAN, 0};
        double begun = now_s();
        fn(arg);
        s[n] = now_s() - begun;
        double after = bench_peak_now(b, kind);
        could[n] = s[n] * (before + after) / 2;
        before = after;
        spent += s[n++];
    }
    double median = bench_quantile(s, n, .5);
    return (timing){median, bench_quantile(could, n, .5) / median};
}

/* ---- rows ---- */

void bench_say(const bench *b, bench_figure f, const char *name, ...) {
    char text[96];
    va_list ap;
    va_start(ap, name);
    vsnprintf(text, sizeof text, name, ap);
    va_end(ap);
    if (isnan(f.value)) return; /* stopped while it was measured */
    double rate = f.flops > 0 ? f.flops : f.value;
    bench_row row = {.name = text,
                     .value = f.value,
                     .unit = f.unit,
                     .flops = f.flops,
                     .peak_fraction = f.peak > 0 ? rate / f.peak : 0,
                     .peak_fraction_beside = f.beside > 0 ? rate / f.beside : 0};
    b->o.row(b->o.arg, &row);
}

peak_kind bench_model_kind(void) {
    return backend_cpu()->rounds_to_bf16 ? PEAK_BF16 : PEAK_F32;
}

static void measure_peaks(bench *b) {
    static const char *const names[] = {
        [PEAK_F32] = "peak.f32", [PEAK_BF16] = "peak.bf16", [PEAK_INT8] = "peak.int8"};
    bool tiny = b->o.size == BENCH_TINY;
    for (int k = 0; k < PEAK_KINDS; k++) {
        double ops = b->ops[k] = peak_ops((peak_kind)k, tiny ? .001 : .4);
        bench_say(b, (bench_figure){ops / 1e9, k == PEAK_INT8 ? "Gop/s" : "GFLOP/s", ops, ops, 0},
                  "%s", names[k]);
    }
    b->read = peak_read((size_t)(tiny ? 4 : 512) << 20, 4);
    bench_say(b, (bench_figure){b->read / 1e9, "GB/s", 0, b->read / 1e9, 0}, "peak.read");
}

/* ---- made-up data ---- */

int32_t *bench_ids(rng *r, int64_t n, int64_t vocab) {
    int32_t *ids = xmalloc((size_t)(n + 1) * sizeof *ids);
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)rng_below(r, vocab);
    return ids;
}

span *bench_spans(int64_t n, int64_t length) {
    span *s = xmalloc((size_t)(n + 1) * sizeof *s);
    for (int64_t i = 0; i < n; i++) s[i] = (span){i * length, (i + 1) * length};
    return s;
}

status bench_folder_make(char **path) {
    const char *at = getenv("TMPDIR");
    char *made = xasprintf("%s/raglan-bench-XXXXXX", at && *at ? at : "/tmp");
    if (!mkdtemp(made)) {
        err_set(ERR_IO, __FILE__, __LINE__,
                "%s: cannot make a folder (%s); set TMPDIR to a place for 2 GB", made,
                strerror(errno));
        free(made);
        return ERR_IO;
    }
    *path = made;
    return OK;
}

static status remove_one(void *arg, const char *path) {
    (void)arg;
    unlink(path);
    return OK;
}

void bench_folder_remove(char *path) {
    if (!path) return;
    file_walk(path, remove_one, NULL);
    rmdir(path);
    free(path);
}

char *bench_cpu(void) {
    buf text = {0};
    char *name = NULL;
    if (file_read("/proc/cpuinfo", 0, &text) == OK && text.at) {
        const char *at = strstr(text.at, "model name");
        at = at ? strchr(at, ':') : NULL;
        if (at) {
            at += 1 + strspn(at + 1, " \t");
            name = xstrndup(at, strcspn(at, "\n"));
        }
    }
    buf_clear(&text);
    return name ? name : xstrdup("unknown");
}

/* ---- all ---- */

status bench_run(const bench_options *o) {
    if (o->dim < 16 || o->dim % 16)
        FAIL(ERR_ARG,
             "--dim is %ld, wanted a multiple of 16: the models have 8 heads of even width",
             (long)o->dim);
    static const struct part {
        unsigned bit;
        status (*run)(const bench *b);
    } parts[] = {{BENCH_KERNELS, bench_kernels}, {BENCH_TRAIN, bench_train},
                 {BENCH_EMBED, bench_embed},     {BENCH_SEARCH, bench_search},
                 {BENCH_LEXICAL, bench_lexical}, {BENCH_ANSWER, bench_answer}};
    bench b = {.o = *o};
    measure_peaks(&b);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (o->parts & parts[i].bit) TRY(parts[i].run(&b));
        if (stop_requested()) FAIL(ERR_STOPPED, "stopped");
    }
    return OK;
}
