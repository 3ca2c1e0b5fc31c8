#ifndef RAGLAN_MODEL_EMBEDDER_H
#define RAGLAN_MODEL_EMBEDDER_H
/* Vectors for texts: the retriever run over a corpus or over questions, a few thousand tokens
 * at a time. The result does not depend on how texts are batched together. One thread at a time
 * per retriever; the work itself is spread over all. */
#include "data/corpus.h"
#include "model/retriever.h"

enum {
    EMBED_TITLE_MAX = 16,   /* title tokens in front of a passage */
    EMBED_TEXT_MAX = 16384, /* tokens of a text that count: bounds memory, whatever is asked */
};

/* The precision of all that follows (backend_precise); NULL, as at the beginning: backend_cpu. */
void embed_precisely(retriever *m, const backend *be);
/* Tokens of passage i as the retriever reads them (title in front where the model wants it)
 * into ids, which has room for EMBED_TITLE_MAX + the passage; returns how many. */
int64_t embed_passage_ids(const retriever *m, const corpus *c, int64_t i, int32_t *ids);

/* Vectors of passages index[0..n) (NULL: 0..n-1 of the corpus) into out [n, embedding_dim].
 * progress may be NULL; ERR_STOPPED after Ctrl+C. */
status embed_passages(retriever *m, const corpus *c, const int64_t *index, int64_t n, float *out,
                      void (*progress)(void *arg, int64_t done), void *arg);
/* Vectors of texts[0..n) over ids into out [n, embedding_dim]. */
void embed_texts(retriever *m, const int32_t *ids, const span *texts, int64_t n, text_kind kind,
                 float *out);
#endif
