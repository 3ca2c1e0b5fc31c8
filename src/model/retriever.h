#ifndef RAGLAN_MODEL_RETRIEVER_H
#define RAGLAN_MODEL_RETRIEVER_H
/* The retriever: one encoder for questions and passages, unit vectors in one space. There are two:
 * BERT's (model/bert.h), where weights were imported, and our own, trained from scratch:
 *
 *   bag    sum over tokens of weight[token, kind] * embedding[token], to unit length
 *   state  a recurring transformer over windows of `window` tokens: window 0 goes through the
 *          blocks by self-attention; each later window is read by cross-attention with the
 *          same weights, then self-attention again (docs/published.md). Cost is linear in
 *          the length.
 *   vector unit(out(bag + mix(mean(state))))
 *
 * Token weights begin at the collection's IDF and `mix` at zero, so an untrained retriever is
 * an IDF-weighted bag of words and the transformer learns what the bag misses: from scratch on
 * a few thousand questions a transformer alone stays far behind it (docs/experiments.md).
 * With bag false it is the published model: out(mean(state)) alone.
 *
 * A norm closes every pass through the blocks, as published; so the state keeps its size however
 * many windows a text has. */
#include "model/bert.h"
#include "nn/layers.h"

typedef enum retriever_arch { RETRIEVER_RECURRING, RETRIEVER_BERT } retriever_arch;

typedef struct retriever_config {
    retriever_arch arch;
    int64_t vocab, dim, embedding_dim;
    int64_t window; /* tokens read at once; BERT: all that it reads */
    int n_blocks, n_heads;
    float dropout;
    bool bag;         /* the bag of embeddings beside the transformer */
    bool unit;        /* vectors of length 1 (the published model leaves them as they are) */
    bool title;       /* passages are encoded with their title in front */
    bert_config bert; /* BERT alone; what both have is in both */
} retriever_config;

typedef enum text_kind { TEXT_QUESTION, TEXT_PASSAGE } text_kind;

typedef struct retriever {
    retriever_config c;
    params *p;
    tensor *log_scale; /* [1, 1]: log of 1/temperature */
    const backend *be; /* precision of the embedder; NULL: backend_cpu */
    graph *inference;  /* made by the embedder at first use, and its memory */
    arena *inference_arena;
    bert *bert;            /* NULL: our own, and these: */
    struct desks *desks;   /* memory of retriever_read, made at first use */
    tensor *embedding;     /* [V, D] */
    tensor *token_weight;  /* [V, 2]: as question, as passage */
    tensor *marker;        /* [2, D] */
    attend_layer *attends; /* [n_blocks] */
    feed_layer *feeds;
    tensor *norm, *norm_bias;
    tensor *mix; /* [D, D] */
    tensor *out; /* [D, E] */
} retriever;

/* Default sizes of the subcommand `train retriever`; vocab is the caller's. */
retriever_config retriever_defaults(void);
/* A retriever that is this BERT; unit as its pooling has it. */
retriever_config retriever_of_bert(const bert_config *c, bool unit);
json_t *retriever_config_json(const retriever_config *c);
status retriever_config_read(const json_t *j, retriever_config *out);

/* idf [V] or NULL (ones; BERT has no use for it). with_grad: for training. The caller frees. */
retriever *retriever_new(const retriever_config *c, const float *idf, uint64_t seed,
                         bool with_grad);
void retriever_free(retriever *m);

/* ids: all texts' tokens; texts: a span a text. [texts.n, E]; an empty text gives zeros
 * (BERT: what its two marks alone give). use_blocks false leaves the transformer out (bag alone; the first stage of training). */
tensor *retriever_encode(retriever *m, graph *g, const int32_t *ids, spans texts, text_kind kind,
                         bool use_blocks);

/* The same, blocks included, without a tape (retriever_read.c): texts one after another, for each of
 * which retriever_reads says that this backend, these widths and its length allow it. The result and
 * scratch are the graph's. One thread at a time. */
bool retriever_reads(const retriever *m, const backend *be, span text);
tensor *retriever_read(retriever *m, graph *g, const backend *be, const int32_t *ids, spans texts,
                       text_kind kind);

#endif
