/* A sentence encoder of Hugging Face's format becomes this collection's retriever: its tokenizer as
 * tokenizer/<sha1>.json, its weights as an ordinary checkpoint, finished at step 0, so that whatever
 * can be done with a retriever that was trained here can be done with it. */
#include <stdlib.h>
#include <string.h>

#include "rag/rag_int.h"
#include "util/hash.h"
#include "util/log.h"

/* The ids of [CLS] and [SEP], which stand around each text. */
static status find_marks(const tokenizer *t, const char *folder, bert_config *c) {
    c->first = tokenizer_find(t, "[CLS]");
    c->last = tokenizer_find(t, "[SEP]");
    if (c->first < 0 || c->last < 0)
        FAIL(ERR_FORMAT, "%s: the vocabulary has no %s, wanted [CLS] and [SEP]", folder,
             c->first < 0 ? "[CLS]" : "[SEP]");
    if (tokenizer_size(t) > c->vocab)
        FAIL(ERR_FORMAT,
             "%s: the tokenizer has %ld pieces, config.json a vocab_size of %ld: they do not "
             "belong together",
             folder, (long)tokenizer_size(t), (long)c->vocab);
    return OK;
}

static status read_model(const char *folder, const tokenizer *t, retriever **out) {
    bert_config c;
    bool unit;
    TRY(bert_read_config(folder, &c, &unit));
    TRY(find_marks(t, folder, &c));
    status st = bert_check(&c);
    if (st) return err_wrap(st, "%s", folder);
    retriever_config config = retriever_of_bert(&c, unit);
    retriever *m = retriever_new(&config, NULL, 0, false);
    if (!m) return ERR_MEM;
    st = bert_read_weights(folder, m->bert);
    if (st)
        retriever_free(m);
    else
        *out = m;
    return st;
}

/* Under the name that its hash is: no other import is touched. */
static status keep_tokenizer(const rag *r, const buf *json) {
    char hash[41];
    sha1_hex(json->at, json->len, hash);
    char *folder = rag_path(r, "tokenizer"), *path = xasprintf("%s/%s.json", folder, hash);
    status st = file_make_folders(folder);
    if (!st) st = file_write(path, json->at, json->len);
    free(folder);
    free(path);
    return st;
}

static status keep_model(const rag *r, const retriever *m, const tokenizer *t,
                         char identifier[41]) {
    json_t *meta = json_pack("{s:i, s:i, s:b, s:o, s:{}, s:{s:s}, s:s}", "step", 0, "total_steps",
                             0, "finished", 1, "config", retriever_config_json(&m->c), "run",
                             "hashes", "tokenizer", tokenizer_hash(t), "version", RAGLAN_VERSION);
    status st = checkpoint_save(r->home, "retriever", m->p, NULL, meta, NULL, identifier);
    json_decref(meta);
    return st;
}

static status import(rag *r, const char *folder, const buf *json, char identifier[41]) {
    tokenizer *t = NULL;
    retriever *m = NULL;
    TRY(tokenizer_read(json->at, json->len, folder, &t));
    status st = read_model(folder, t, &m);
    if (!st) st = keep_tokenizer(r, json); /* first: a checkpoint without it could not be read */
    if (!st) st = keep_model(r, m, t, identifier);
    retriever_free(m);
    tokenizer_close(t);
    return st;
}

int rag_import_hf(rag *r, const char *folder, char *identifier) {
    buf json = {0};
    char id[41];
    if (!file_is_folder(folder))
        FAIL(ERR_ARG,
             "%s is no folder, wanted one with config.json, model.safetensors and "
             "tokenizer.json or vocab.txt",
             folder);
    TRY(tokenizer_read_folder(folder, &json));
    status st = import(r, folder, &json, id);
    buf_clear(&json);
    rag_forget_models(r);
    if (!st && identifier) memcpy(identifier, id, sizeof id);
    return st;
}
