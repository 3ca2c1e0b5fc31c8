#ifndef RAGLAN_MODEL_BERT_H
#define RAGLAN_MODEL_BERT_H
/* BERT's encoder (Devlin et al. 2019) over ragged texts, one vector each:
 *
 *   x      norm(word[id] + position[t] + type[0]), over "[CLS] text [SEP]"
 *   block  x = norm(x + Wo attention(Wqkv x)); x = norm(x + W2 gelu(W1 x)): post-norm, biases all
 *          over, GELU in its exact form
 *   vector mean of a text's rows (Reimers & Gurevych 2019), or the row of [CLS]
 *
 * The architecture of most published sentence encoders; bert_import.c reads their files. */
#include "nn/params.h"
#include "util/json.h"

typedef struct bert_config {
    int64_t vocab, dim, ffn;
    int64_t positions, types; /* rows of the two small tables */
    int n_blocks, n_heads;
    float eps, dropout;  /* eps: of the norms */
    bool pools_first;    /* the vector is [CLS]'s row, else the mean */
    int32_t first, last; /* ids of [CLS] and [SEP] */
    int64_t max_tokens;  /* of a text, these two included: the rest is not read */
} bert_config;

/* ERR_FORMAT names what does not fit together. */
status bert_check(const bert_config *c);

typedef struct bert_block {
    tensor *wqkv, *bqkv;               /* [D, 3D], [1, 3D]: queries, keys, values */
    tensor *wo, *bo;                   /* [D, D] */
    tensor *norm_attend, *bias_attend; /* [1, D] */
    tensor *w1, *b1;                   /* [D, F] */
    tensor *w2, *b2;                   /* [F, D] */
    tensor *norm_feed, *bias_feed;     /* [1, D] */
} bert_block;

typedef struct bert {
    bert_config c;
    tensor *word, *position, *type; /* [V, D], [positions, D], [types, D] */
    tensor *norm, *norm_bias;
    bert_block *blocks; /* [n_blocks] */
    struct desks *desks; /* memory of bert_read, made at first use */
} bert;

/* Registers its tensors in p, which owns them and is built by the caller. */
bert *bert_new(params *p, const bert_config *c);
void bert_free(bert *m); /* NULL is a no-op */
/* Texts as spans over ids, without [CLS] and [SEP]. [texts.n, D]; an empty text is "[CLS] [SEP]". */
tensor *bert_encode(const bert *m, graph *g, const int32_t *ids, spans texts);
/* The same without a tape, in the precision of be, into out [texts.n, D] (bert_read.c). false: be, or
 * a width, has no such way; nothing was done. One thread at a time: the work is spread over all. */
bool bert_read(bert *m, const backend *be, const int32_t *ids, spans texts, float *out);

/* ---- a Hugging Face folder (bert_import.c) ---- */

/* config.json, and modules.json with 1_Pooling/config.json and sentence_bert_config.json where they
 * are: a folder without them is taken as mean pooling to unit length, with a warning. Everything
 * but vocab's specials (first, last), which the tokenizer knows. *unit: vectors are normalised.
 * ERR_ARG: no such folder or config.json. ERR_FORMAT: not an encoder of this architecture, naming
 * the field, what it says and what was wanted. */
status bert_read_config(const char *folder, bert_config *out, bool *unit);
/* model.safetensors into m: every tensor must be there with its shape. */
status bert_read_weights(const char *folder, bert *m);

#endif
