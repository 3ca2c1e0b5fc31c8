/* Texts to vectors, by the default retriever of `train retriever` at this width, and by a BERT of
 * MiniLM-L6's size: passages in bulk, and one short question, which is what a search waits for.
 * Tokenizing is not counted. */
#include <stdio.h>
#include <stdlib.h>

#include "eval/bench_int.h"
#include "model/embedder.h"

enum { QUESTION = 12, PASSAGE = 64 };

typedef struct embedding {
    retriever *m;
    int32_t *ids;
    span *texts;
    int64_t n;
    text_kind kind;
    float *out;
} embedding;

static void embed(void *arg) {
    embedding *e = arg;
    embed_texts(e->m, e->ids, e->texts, e->n, e->kind, e->out);
}

/* Both rows of a retriever: e->n texts of n_ids tokens, then the first QUESTION tokens as one.
 * flops: operations a token; kind: what they are. */
static void say_both(const bench *b, const embedding *e, int64_t n_ids, double flops,
                     peak_kind kind, const char *name) {
    float *out = xmalloc((size_t)(e->n * e->m->c.embedding_dim) * sizeof(float));
    span question = {0, QUESTION};
    embedding all = *e, one = *e;
    all.out = one.out = out;
    one.texts = &question;
    one.n = 1;
    one.kind = TEXT_QUESTION;
    timing t = bench_time(b, kind, embed, &all);
    double rate = (double)n_ids / t.s, peak = b->ops[kind];
    bench_say(b, (bench_figure){rate, "tokens/s", flops * rate, peak, t.peak}, "embed.%s", name);
    t = bench_time(b, kind, embed, &one);
    bench_say(b, (bench_figure){1e3 * t.s, "ms", flops * QUESTION / t.s, peak, t.peak},
              "embed.%s.question", name);
    free(out);
}

static void clear(embedding *e) {
    retriever_free(e->m);
    free(e->ids);
    free(e->texts);
}

static void own_retriever(const bench *b) {
    int64_t d = b->o.dim, n = b->o.size == BENCH_TINY ? 8 : 512;
    retriever_config c = retriever_defaults();
    c.vocab = BENCH_VOCAB;
    c.dim = c.embedding_dim = d;
    rng r = rng_new(b->o.seed);
    embedding e = {.m = retriever_new(&c, NULL, b->o.seed, false),
                   .ids = bench_ids(&r, n * PASSAGE, BENCH_VOCAB),
                   .texts = bench_spans(n, PASSAGE),
                   .n = n,
                   .kind = TEXT_PASSAGE};
    char name[32];
    snprintf(name, sizeof name, "retriever_d%ld", (long)d);
    say_both(b, &e, n * PASSAGE, 2 * 12 * (double)(d * d) * c.n_blocks, bench_model_kind(), name);
    clear(&e);
}

/* Lengths as SQuAD's paragraphs have them in WordPiece tokens, at every sixteenth of them. */
static const int64_t paragraph[] = {56,  86,  102, 110, 118, 125, 133, 140,
                                    148, 158, 167, 181, 198, 217, 251, 254};
enum { PARAGRAPHS = sizeof paragraph / sizeof *paragraph };

static void minilm(const bench *b) {
    bert_config c = {.vocab = 30522,
                     .dim = 384,
                     .ffn = 1536,
                     .positions = 512,
                     .types = 2,
                     .n_blocks = b->o.size == BENCH_TINY ? 1 : 6,
                     .n_heads = 12,
                     .eps = 1e-12f,
                     .first = 101,
                     .last = 102,
                     .max_tokens = 256};
    int64_t n = b->o.size == BENCH_FULL ? 25 * PARAGRAPHS : PARAGRAPHS, n_ids = 0;
    retriever_config config = retriever_of_bert(&c, true);
    embedding e = {.m = retriever_new(&config, NULL, b->o.seed, false),
                   .texts = xmalloc((size_t)n * sizeof *e.texts),
                   .n = n,
                   .kind = TEXT_PASSAGE};
    for (int64_t i = 0; i < n; i++, n_ids = e.texts[i - 1].end)
        e.texts[i] = (span){n_ids, n_ids + paragraph[i * 7 % PARAGRAPHS]};
    rng r = rng_new(b->o.seed);
    e.ids = bench_ids(&r, n_ids, c.vocab);
    double flops = 2 * (double)(c.dim * (4 * c.dim + 2 * c.ffn)) * c.n_blocks;
    say_both(b, &e, n_ids + 2 * n, flops, bench_model_kind(), "minilm");
    embed_precisely(e.m, backend_int8(backend_cpu()));
    say_both(b, &e, n_ids + 2 * n, flops, PEAK_INT8, "minilm.int8");
    clear(&e);
}

status bench_embed(const bench *b) {
    own_retriever(b);
    minilm(b);
    return OK;
}
