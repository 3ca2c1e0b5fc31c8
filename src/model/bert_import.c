/* A Hugging Face folder as a bert: its configuration files, field by field, and the weights under
 * the names that transformers gives them. There a linear layer's weight lies as [out, in]; ours as
 * [in, out], and queries, keys and values side by side, so they are turned as they are copied. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/bert.h"
#include "nn/safetensors.h"
#include "util/log.h"

/* ---- configuration ---- */

/* The JSON object in folder/name; *out NULL where the file is absent. */
static status read_part(const char *folder, const char *name, json_t **out) {
    char *path = xasprintf("%s/%s", folder, name);
    *out = NULL;
    status st = file_exists(path) ? json_read(path, out) : OK;
    free(path);
    return st;
}

/* Field `key` must say `wanted`, or be absent. */
static status want(const json_t *j, const char *file, const char *key, const char *wanted) {
    const char *found = json_str(j, key, wanted);
    if (strcmp(found, wanted))
        FAIL(ERR_FORMAT, "%s: %s is '%s', wanted '%s': only BERT encoders can be imported", file,
             key, found, wanted);
    return OK;
}

/* Numbers that no model has become 0, which bert_check refuses. */
static int small(int64_t n) {
    return n > 0 && n < 10000 ? (int)n : 0;
}

static status read_sizes(const json_t *j, bert_config *c) {
    if (!json_object_get(j, "model_type"))
        FAIL(ERR_FORMAT, "config.json: has no model_type, wanted 'bert'");
    TRY(want(j, "config.json", "model_type", "bert"));
    TRY(want(j, "config.json", "hidden_act", "gelu"));
    TRY(want(j, "config.json", "position_embedding_type", "absolute"));
    *c = (bert_config){.vocab = json_int(j, "vocab_size", 0),
                       .dim = json_int(j, "hidden_size", 0),
                       .ffn = json_int(j, "intermediate_size", 0),
                       .positions = json_int(j, "max_position_embeddings", 0),
                       .types = json_int(j, "type_vocab_size", 2),
                       .n_blocks = small(json_int(j, "num_hidden_layers", 0)),
                       .n_heads = small(json_int(j, "num_attention_heads", 0)),
                       .eps = (float)json_num(j, "layer_norm_eps", 1e-12)};
    c->max_tokens = c->positions;
    return OK;
}

/* Which of the pooling modes is on: mean or cls, and no other. */
static status read_pooling(const json_t *j, bert_config *c) {
    const char *key;
    json_t *on;
    int n = 0;
    json_object_foreach((json_t *)j, key, on) {
        if (strncmp(key, "pooling_mode_", 13) || !json_is_true(on)) continue;
        n++;
        c->pools_first = !strcmp(key, "pooling_mode_cls_token");
        if (!c->pools_first && strcmp(key, "pooling_mode_mean_tokens"))
            FAIL(ERR_FORMAT, "1_Pooling/config.json: %s is on, wanted mean_tokens or cls_token",
                 key);
    }
    if (n != 1) FAIL(ERR_FORMAT, "1_Pooling/config.json: %d pooling modes are on, wanted one", n);
    return OK;
}

/* modules.json lists what a text goes through: Transformer, Pooling, Normalize are known. */
static status read_modules(const json_t *modules, bool *unit) {
    static const char *const known[] = {"Transformer", "Pooling", "Normalize"};
    size_t i;
    json_t *module;
    *unit = false;
    json_array_foreach(modules, i, module) {
        const char *type = json_str(module, "type", "");
        const char *name = strrchr(type, '.') ? strrchr(type, '.') + 1 : type;
        int k = 0;
        while (k < 3 && strcmp(name, known[k])) k++;
        if (k == 3)
            FAIL(ERR_FORMAT,
                 "modules.json: module %zu is '%s', wanted Transformer, Pooling or "
                 "Normalize",
                 i, name);
        *unit |= k == 2;
    }
    return OK;
}

/* sentence-transformers' own files beside the model's. */
static status read_sentence_parts(const char *folder, bert_config *c, bool *unit) {
    json_t *modules = NULL, *pooling = NULL, *sentence = NULL;
    *unit = true;
    status st = read_part(folder, "modules.json", &modules);
    if (!st) st = read_part(folder, "1_Pooling/config.json", &pooling);
    if (!st) st = read_part(folder, "sentence_bert_config.json", &sentence);
    if (!st && modules) st = read_modules(modules, unit);
    if (!st && pooling) st = read_pooling(pooling, c);
    if (!st && !pooling)
        log_warn("%s has no 1_Pooling/config.json: taking the mean of all tokens%s", folder,
                 modules ? "" : ", to unit length");
    int64_t most = json_int(sentence, "max_seq_length", c->max_tokens);
    if (most < c->max_tokens) c->max_tokens = most;
    json_decref(modules);
    json_decref(pooling);
    json_decref(sentence);
    return st;
}

status bert_read_config(const char *folder, bert_config *out, bool *unit) {
    json_t *j = NULL;
    TRY(read_part(folder, "config.json", &j));
    if (!j)
        FAIL(ERR_ARG,
             "%s/config.json is not there; wanted a folder with config.json, model.safetensors "
             "and tokenizer.json or vocab.txt",
             folder);
    bert_config c;
    status st = read_sizes(j, &c);
    if (!st) st = read_sentence_parts(folder, &c, unit);
    json_decref(j);
    if (st) return err_wrap(st, "%s", folder);
    *out = c;
    return OK;
}

/* ---- weights ---- */

typedef struct weights {
    const st_file *f;
    const char *path;
    const char *prefix; /* of all names: "" or "bert." */
    float *scratch;     /* room for a linear layer's matrix */
} weights;

/* Tensor `name` of the shape [rows, cols] ([cols] where rows is 1) into out. */
static status fetch(weights *w, const char *name, int64_t rows, int64_t cols, float *out) {
    char full[160];
    snprintf(full, sizeof full, "%s%s", w->prefix, name);
    const st_tensor *t = st_find(w->f, full);
    if (!t) FAIL(ERR_FORMAT, "%s: has no tensor '%s'", w->path, full);
    bool fits = t->n_dims == 2   ? t->shape[0] == rows && t->shape[1] == cols
                : t->n_dims == 1 ? rows == 1 && t->shape[0] == cols
                                 : false;
    if (!fits)
        FAIL(ERR_FORMAT,
             "%s: tensor '%s' has %d dimensions, %" PRId64 " by %" PRId64 "; config.json wants "
             "%" PRId64 " by %" PRId64,
             w->path, full, t->n_dims, t->n_dims > 0 ? t->shape[0] : 0,
             t->n_dims > 1 ? t->shape[1] : 1, rows, cols);
    status st = st_copy_f32(t, out, rows * cols);
    return st ? err_wrap(st, "%s", w->path) : OK;
}

static status read_table(weights *w, const char *name, tensor *to) {
    return fetch(w, name, to->rows, to->cols, to->v);
}

/* A linear layer [out, in] into columns col..col+out-1 of `to` [in, ...], its bias likewise. */
static status read_linear(weights *w, const char *layer, const char *part, tensor *to, tensor *bias,
                          int64_t col, int64_t out) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s.weight", layer, part);
    TRY(fetch(w, name, out, to->rows, w->scratch));
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < to->rows; i++)
            to->v[i * to->cols + col + o] = w->scratch[o * to->rows + i];
    snprintf(name, sizeof name, "%s.%s.bias", layer, part);
    return fetch(w, name, 1, out, bias->v + col);
}

/* Older files name a norm's gain and bias gamma and beta. */
static status read_norm(weights *w, const char *layer, const char *part, tensor *gain,
                        tensor *bias) {
    char name[128], old[160];
    snprintf(old, sizeof old, "%s%s.%s.gamma", w->prefix, layer, part);
    bool is_old = st_find(w->f, old);
    snprintf(name, sizeof name, "%s.%s.%s", layer, part, is_old ? "gamma" : "weight");
    TRY(read_table(w, name, gain));
    snprintf(name, sizeof name, "%s.%s.%s", layer, part, is_old ? "beta" : "bias");
    return read_table(w, name, bias);
}

static status read_block(weights *w, int i, const bert_config *c, bert_block *b) {
    char layer[64];
    snprintf(layer, sizeof layer, "encoder.layer.%d", i);
    int64_t d = c->dim;
    TRY(read_linear(w, layer, "attention.self.query", b->wqkv, b->bqkv, 0, d));
    TRY(read_linear(w, layer, "attention.self.key", b->wqkv, b->bqkv, d, d));
    TRY(read_linear(w, layer, "attention.self.value", b->wqkv, b->bqkv, 2 * d, d));
    TRY(read_linear(w, layer, "attention.output.dense", b->wo, b->bo, 0, d));
    TRY(read_norm(w, layer, "attention.output.LayerNorm", b->norm_attend, b->bias_attend));
    TRY(read_linear(w, layer, "intermediate.dense", b->w1, b->b1, 0, c->ffn));
    TRY(read_linear(w, layer, "output.dense", b->w2, b->b2, 0, d));
    return read_norm(w, layer, "output.LayerNorm", b->norm_feed, b->bias_feed);
}

static status read_all(weights *w, bert *m) {
    TRY(read_table(w, "embeddings.word_embeddings.weight", m->word));
    TRY(read_table(w, "embeddings.position_embeddings.weight", m->position));
    TRY(read_table(w, "embeddings.token_type_embeddings.weight", m->type));
    TRY(read_norm(w, "embeddings", "LayerNorm", m->norm, m->norm_bias));
    for (int i = 0; i < m->c.n_blocks; i++) TRY(read_block(w, i, &m->c, &m->blocks[i]));
    return OK;
}

status bert_read_weights(const char *folder, bert *m) {
    char *path = xasprintf("%s/model.safetensors", folder);
    int64_t widest = m->c.ffn > m->c.dim ? m->c.ffn : m->c.dim;
    st_file *f = NULL;
    status st =
        file_exists(path)
            ? st_open(path, &f)
            : err_set(ERR_ARG, __FILE__, __LINE__,
                      "%s is not there; weights in another form (pytorch_model.bin) have to "
                      "be saved as safetensors first",
                      path);
    if (!st) {
        weights w = {.f = f, .path = path};
        w.prefix = st_find(f, "bert.embeddings.word_embeddings.weight") ? "bert." : "";
        w.scratch = xmalloc((size_t)(widest * m->c.dim) * sizeof *w.scratch);
        st = read_all(&w, m);
        free(w.scratch);
    }
    st_close(f);
    free(path);
    return st;
}
