/* One question answered from 10 passages of 80 tokens: 4 blocks that read (6 from width 512 on, as
 * the peer has it), 2 that write, 16 tokens, greedy, with the copy path. Retrieval and tokenizing are
 * not counted. The row is the time to the last token, ".first" that to the first, which is what a
 * reader waits for; ".int8" is both in 8-bit products. */
#include <math.h>
#include <stdlib.h>

#include "eval/bench_int.h"
#include "model/generator.h"
#include "util/log.h"
#include "util/stop.h"

enum { PASSAGES = 10, PAIR = 80, QUESTION = 16, TOKENS = 16, WRITERS = 2, RUNS = 25 };

typedef struct answering {
    double begun, first_s;
    int64_t n;
} answering;

static void on_token(void *arg, int32_t id) {
    (void)id;
    answering *w = arg;
    if (w->n++ == 0) w->first_s = now_s() - w->begun;
}

typedef struct figures {
    timing first, all;
} figures;

static figures time_answers(const bench *b, generator *m, const token_traits *tr,
                            const reader_question *q, const backend *be, peak_kind kind) {
    int runs = b->o.size == BENCH_TINY ? 2 : RUNS;
    double first[RUNS], all[RUNS], first_could[RUNS], all_could[RUNS], before = 0;
    arena *a = arena_new(0);
    answering w;
    decode_options o = {.max_tokens = TOKENS, .be = be, .on_token = on_token, .arg = &w};
    for (int i = -2; i < runs; i++) { /* two warm up */
        if (stop_requested()) break;
        arena_reset(a, 0);
        w = (answering){.begun = now_s(), .first_s = NAN};
        generator_decode(m, a, tr, q, 1, &o);
        double end = now_s(), after = bench_peak_now(b, kind), peak = (before + after) / 2;
        before = after;
        if (i < 0) continue;
        all[i] = end - w.begun;
        first[i] = w.first_s;
        all_could[i] = all[i] * peak;
        first_could[i] = first[i] * peak;
        MUST(w.n == TOKENS, "the untrained generator ended after %ld tokens", (long)w.n);
    }
    arena_free(a);
    if (stop_requested()) return (figures){{NAN, 0}, {NAN, 0}};
    figures f = {{bench_quantile(first, runs, .5), 0}, {bench_quantile(all, runs, .5), 0}};
    f.first.peak = bench_quantile(first_could, runs, .5) / f.first.s;
    f.all.peak = bench_quantile(all_could, runs, .5) / f.all.s;
    return f;
}

status bench_answer(const bench *b) {
    int64_t passage = PAIR - QUESTION - 2; /* two separators */
    int readers = b->o.dim < 512 ? BENCH_BLOCKS : 6;
    generator_config c = {.vocab = BENCH_VOCAB,
                          .dim = b->o.dim,
                          .n_encoder = readers,
                          .n_decoder = WRITERS,
                          .n_heads = b->o.dim % 64 ? BENCH_HEADS : (int)(b->o.dim / 64),
                          .copy = true,
                          .limits = {QUESTION, 0, passage, TOKENS}};
    rng r = rng_new(b->o.seed);
    int32_t *ids = bench_ids(&r, PASSAGES * passage + QUESTION, BENCH_VOCAB);
    int32_t *fold = xmalloc(BENCH_VOCAB * sizeof *fold);
    uint8_t *bits = xcalloc(BENCH_VOCAB, 1);
    for (int32_t i = 0; i < BENCH_VOCAB; i++) fold[i] = i;
    reader_passage passages[PASSAGES];
    for (int64_t i = 0; i < PASSAGES; i++)
        passages[i] = (reader_passage){.ids = ids + i * passage, .n_ids = passage};
    reader_question q = {.ids = ids + PASSAGES * passage,
                         .n_ids = QUESTION,
                         .passages = passages,
                         .n_passages = PASSAGES};
    token_traits traits = {BENCH_VOCAB, bits, fold, 1, 2};
    generator *m = generator_new(&c, b->o.seed, false);

    double d = (double)b->o.dim, read = 2 * d * d * (12 * readers + 2 * WRITERS + 1);
    double written = 2 * d * (d * (14 * WRITERS + 1) + BENCH_VOCAB);
    double to_first = read * PASSAGES * PAIR + written, to_last = to_first + written * TOKENS;
    for (int is_int8 = 0; is_int8 < 2; is_int8++) {
        const backend *be = is_int8 ? backend_int8(backend_cpu()) : backend_cpu();
        peak_kind kind = is_int8 ? PEAK_INT8 : bench_model_kind();
        figures f = time_answers(b, m, &traits, &q, be, kind);
        double peak = b->ops[kind];
        const char *suffix = is_int8 ? ".int8" : "";
        bench_say(b,
                  (bench_figure){1e3 * f.first.s, "ms", to_first / f.first.s, peak, f.first.peak},
                  "answer.k%d.d%ld%s.first", PASSAGES, (long)b->o.dim, suffix);
        bench_say(b, (bench_figure){1e3 * f.all.s, "ms", to_last / f.all.s, peak, f.all.peak},
                  "answer.k%d.d%ld%s", PASSAGES, (long)b->o.dim, suffix);
    }
    generator_free(m);
    free(ids);
    free(fold);
    free(bits);
    return OK;
}
