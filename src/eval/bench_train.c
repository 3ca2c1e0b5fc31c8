/* Whole training steps: batch in, parameters changed. The work is that of the peers'
 * scripts, so that both sides can be set side by side:
 *
 *   retriever   4 blocks, 64 questions of 16 tokens against 128 passages of 64 tokens, softmax
 *               over the batch; the plain transformer, without the bag of embeddings. ".ragged":
 *               of lengths as real text has them, ".fill" the share of a padded batch that they are
 *   generator   4 + 4 blocks, 16 questions with 8 passages each, 80 tokens a pair, answers of
 *               24 tokens and EOS; vocabulary alone, and (".copy") with all that is trained here
 *
 * FLOPs are 6 a parameter and token that passes it, embedding tables apart, as published
 * figures count them: attention's own products come on top and are not claimed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval/bench_int.h"
#include "model/generator.h"
#include "model/retriever.h"
#include "util/stop.h"

enum {
    QUESTION = 16,
    PASSAGE = 64, /* tokens */
    PAIR = 80,
    ANSWER = 24,
    PASSAGES_A_QUESTION = 8,
};

/* ---- retriever ---- */

typedef struct retriever_step {
    retriever *m;
    graph *g;
    adamw opt;
    int64_t n, n_passages; /* questions, passages */
    int32_t *question_ids, *passage_ids, *positive;
    span *questions, *passages;
} retriever_step;

static void retriever_run(void *arg) {
    retriever_step *s = arg;
    graph_reset(s->g, 1);
    tensor *q = retriever_encode(s->m, s->g, s->question_ids, (spans){s->n, s->questions},
                                 TEXT_QUESTION, true);
    tensor *c = retriever_encode(s->m, s->g, s->passage_ids, (spans){s->n_passages, s->passages},
                                 TEXT_PASSAGE, true);
    graph_backward(s->g, t_contrastive(s->g, q, c, s->m->log_scale, s->positive, NULL, false), 1);
    adamw_step(&s->opt, s->m->p, backend_cpu());
}

/* Lengths of SQuAD's questions, and of its paragraphs in windows of 64, at every sixteenth of them. */
static const int64_t question_lengths[16] = {6,  8,  9,  9,  10, 10, 11, 11,
                                             12, 13, 13, 14, 15, 16, 18, 22};
static const int64_t passage_lengths[16] = {4,  20, 36, 44, 54, 60, 64, 64,
                                            64, 64, 64, 64, 64, 64, 64, 64};

/* n spans side by side, their lengths taken from a list in turns; the caller frees. */
static span *ragged(int64_t n, const int64_t lengths[16]) {
    span *s = xmalloc((size_t)n * sizeof *s);
    for (int64_t i = 0, at = 0; i < n; at = s[i++].end) s[i] = (span){at, at + lengths[i * 7 % 16]};
    return s;
}

static void time_retriever(const bench *b, bool is_ragged) {
    rng r = rng_new(b->o.seed);
    retriever_config c = {.vocab = BENCH_VOCAB,
                          .dim = b->o.dim,
                          .embedding_dim = 64,
                          .window = PASSAGE,
                          .n_blocks = BENCH_BLOCKS,
                          .n_heads = BENCH_HEADS,
                          .unit = true};
    int64_t n = b->o.size == BENCH_TINY ? 4 : 64, d = b->o.dim;
    retriever_step s = {
        .m = retriever_new(&c, NULL, b->o.seed, true),
        .opt = adamw_default(),
        .n = n,
        .n_passages = 2 * n,
        .positive = xmalloc((size_t)n * sizeof(int32_t)),
        .questions = is_ragged ? ragged(n, question_lengths) : bench_spans(n, QUESTION),
        .passages = is_ragged ? ragged(2 * n, passage_lengths) : bench_spans(2 * n, PASSAGE)};
    int64_t asked = s.questions[n - 1].end, read = s.passages[2 * n - 1].end;
    s.question_ids = bench_ids(&r, asked, BENCH_VOCAB);
    s.passage_ids = bench_ids(&r, read, BENCH_VOCAB);
    for (int64_t i = 0; i < n; i++) s.positive[i] = (int32_t)i;
    arena *a = arena_new(0);
    s.g = graph_new(a, NULL, true);

    timing t = bench_time(b, bench_model_kind(), retriever_run, &s);
    double tokens = (double)(asked + read);
    double padded = (double)(n * question_lengths[15] + 2 * n * passage_lengths[15]);
    double weights = (double)(BENCH_BLOCKS * 12 * d * d); /* attention 4, feed-forward 8 */
    double flops = 6 * weights * tokens / t.s, peak = b->ops[bench_model_kind()];
    bench_say(b, (bench_figure){tokens / t.s, "tokens/s", flops, peak, t.peak},
              "train.retriever.d%ld%s", (long)d, is_ragged ? ".ragged" : "");
    if (is_ragged && !isnan(t.s))
        bench_say(b, (bench_figure){100 * tokens / padded, "%", 0, 0, 0},
                  "train.retriever.d%ld.ragged.fill", (long)d);

    graph_free(s.g);
    arena_free(a);
    retriever_free(s.m);
    free(s.question_ids);
    free(s.passage_ids);
    free(s.positive);
    free(s.questions);
    free(s.passages);
}

/* ---- generator ---- */

typedef struct generator_step {
    generator *m;
    graph *g;
    adamw opt;
    token_traits traits;
    reader_question *questions;
    int64_t n;
    float place_weight;
} generator_step;

static void generator_run(void *arg) {
    generator_step *s = arg;
    graph_reset(s->g, 1);
    reader_batch batch =
        reader_batch_new(graph_arena(s->g), &s->traits, &s->m->c.limits, s->questions, s->n);
    graph_backward(s->g, generator_loss(s->m, s->g, &batch, s->place_weight, NULL), 1);
    adamw_step(&s->opt, s->m->p, backend_cpu());
}

static double generator_flops(const bench *b, int64_t n, bool copies) {
    double d = (double)b->o.dim, read = (double)(n * PASSAGES_A_QUESTION * PAIR);
    double written = (double)(n * (ANSWER + 1));
    double each_read =
        BENCH_BLOCKS * (12 + 2) * d * d; /* blocks; keys and values for the decoder */
    double each_written = BENCH_BLOCKS * (4 + 2 + 8) * d * d + BENCH_VOCAB * d;
    if (copies) each_read += d * d + 2 * d, each_written += d * d + d;
    return 6 * (each_read * read + each_written * written);
}

static void time_generator(const bench *b, bool copies) {
    int64_t n = b->o.size == BENCH_TINY ? 2 : 16, n_pairs = n * PASSAGES_A_QUESTION;
    int64_t passage = PAIR - QUESTION - 2; /* two separators */
    generator_config c = {.vocab = BENCH_VOCAB,
                          .dim = b->o.dim,
                          .n_encoder = BENCH_BLOCKS,
                          .n_decoder = BENCH_BLOCKS,
                          .n_heads = BENCH_HEADS,
                          .copy = copies,
                          .limits = {QUESTION, 0, passage, ANSWER}};
    rng r = rng_new(b->o.seed);
    int32_t *ids = bench_ids(&r, n_pairs * passage + n * (QUESTION + ANSWER), BENCH_VOCAB);
    int32_t *fold = bench_ids(&r, BENCH_VOCAB, BENCH_VOCAB);
    uint8_t *bits = xcalloc(BENCH_VOCAB, 1);
    for (int32_t i = 0; i < BENCH_VOCAB; i++) fold[i] = i;
    reader_passage *passages = xcalloc((size_t)n_pairs, sizeof *passages);
    reader_question *questions = xcalloc((size_t)n, sizeof *questions);
    for (int64_t i = 0; i < n_pairs; i++)
        passages[i] = (reader_passage){
            .ids = ids + i * passage, .n_ids = passage, .answer = {i % 8, i % 8 + 2}};
    for (int64_t i = 0; i < n; i++) {
        int32_t *own = ids + n_pairs * passage + i * (QUESTION + ANSWER);
        questions[i] = (reader_question){.ids = own,
                                         .n_ids = QUESTION,
                                         .passages = passages + i * PASSAGES_A_QUESTION,
                                         .n_passages = PASSAGES_A_QUESTION,
                                         .answer = own + QUESTION,
                                         .n_answer = ANSWER};
    }
    arena *a = arena_new(0);
    generator_step s = {.m = generator_new(&c, b->o.seed, true),
                        .g = graph_new(a, NULL, true),
                        .opt = adamw_default(),
                        .traits = {BENCH_VOCAB, bits, fold, 1, 2},
                        .questions = questions,
                        .n = n,
                        .place_weight = copies ? 1 : 0};

    timing t = bench_time(b, bench_model_kind(), generator_run, &s);
    double tokens = (double)(n_pairs * PAIR + n * (ANSWER + 1));
    double flops = generator_flops(b, n, copies) / t.s, peak = b->ops[bench_model_kind()];
    bench_say(b, (bench_figure){tokens / t.s, "tokens/s", flops, peak, t.peak},
              "train.generator.d%ld%s", (long)b->o.dim, copies ? ".copy" : "");

    graph_free(s.g);
    arena_free(a);
    generator_free(s.m);
    free(questions);
    free(passages);
    free(bits);
    free(fold);
    free(ids);
}

status bench_train(const bench *b) {
    for (int i = 0; i < 2 && !stop_requested(); i++) time_retriever(b, i == 1);
    for (int i = 0; i < 2 && !stop_requested(); i++) time_generator(b, i == 1);
    return OK;
}
