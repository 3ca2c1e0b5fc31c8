/* Texts to vectors, by the default retriever of `train retriever` at this width: passages in bulk,
 * and one short question, which is what a search waits for. Tokenizing is not counted. */
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

status bench_embed(const bench *b) {
    int64_t d = b->o.dim, n = b->o.size == BENCH_TINY ? 8 : 512;
    retriever_config c = retriever_defaults();
    c.vocab = BENCH_VOCAB;
    c.dim = c.embedding_dim = d;
    rng r = rng_new(b->o.seed);
    embedding e = {.m = retriever_new(&c, NULL, b->o.seed, false),
                   .ids = bench_ids(&r, n * PASSAGE, BENCH_VOCAB),
                   .texts = bench_spans(n, PASSAGE),
                   .n = n,
                   .kind = TEXT_PASSAGE,
                   .out = xmalloc((size_t)(n * d) * sizeof(float))};
    double block = 2 * 12 * (double)(d * d) * c.n_blocks; /* operations a token */
    double s = bench_median_s(b, embed, &e), rate = (double)(n * PASSAGE) / s;
    bench_say(b, (bench_figure){rate, "tokens/s", block * rate, bench_model_peak(b)},
              "embed.retriever_d%ld", (long)d);

    e.n = 1;
    e.kind = TEXT_QUESTION;
    e.texts[0] = (span){0, QUESTION};
    s = bench_median_s(b, embed, &e);
    bench_say(b, (bench_figure){1e3 * s, "ms", block * QUESTION / s, bench_model_peak(b)},
              "embed.retriever_d%ld.question", (long)d);
    retriever_free(e.m);
    free(e.ids);
    free(e.texts);
    free(e.out);
    return OK;
}
