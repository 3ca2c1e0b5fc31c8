#ifndef RAGLAN_TRAIN_CLOZE_H
#define RAGLAN_TRAIN_CLOZE_H
/* Cloze questions: what a reader can learn from the collection alone (after salient span masking,
 * Guu et al. 2020, REALM, and masked-span retrieval).
 *
 * A number, a name or a few words are taken out of a passage; the title and some of the words
 * around them are the question, what was taken out is the answer, and BM25 fetches the passages
 * to read it from, as it would for a real question. A reader that answers these has learned to
 * match a question's words to a place and to copy what stands there, before it sees a label. */
#include "data/corpus.h"
#include "model/reader_batch.h"
#include "search/lexical.h"
#include "util/rng.h"

typedef struct cloze {
    const corpus *c;
    const tokenizer *t;
    const lexical *lex;
} cloze;

/* One question with n_passages passages (fewer where the search finds fewer), its tokens and arrays
 * in a. */
status cloze_question(const cloze *z, arena *a, int64_t n_passages, rng *r, reader_question *out);
#endif
