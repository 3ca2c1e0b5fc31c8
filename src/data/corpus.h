#ifndef RAGLAN_DATA_CORPUS_H
#define RAGLAN_DATA_CORPUS_H
/* The collection in memory, as training and evaluation use it: every passage's tokens in one
 * array, and the questions of a split with the passages that answer them.
 * Costs 4 bytes a token and about 100 bytes a passage. Read-only once loaded: any number of
 * threads. */
#include "metric/has_answer.h"
#include "store/store.h"
#include "tensor/tensor.h"
#include "text/tokenizer.h"

typedef struct corpus {
    int64_t n;              /* passages, in the order of their ids */
    int64_t *id, *document; /* [n] passage id (ascending), its document's key */
    int32_t *ordinal;       /* [n] place in the document */
    span *text, *title;     /* [n] token ranges; the title's are shared by a document's passages */
    int32_t *tokens;
    int64_t n_tokens;
    int64_t n_documents;
    int64_t *document_key;   /* [n_documents] ascending */
    span *document_passages; /* [n_documents] passage indexes */
} corpus;

/* Needs passages of the current cut (rag's index step makes them). */
status corpus_load(store *s, const tokenizer *t, corpus **out);
void corpus_free(corpus *c);
int64_t corpus_find(const corpus *c, int64_t passage_id); /* index, or -1 */
span corpus_document(const corpus *c,
                     int64_t document_key); /* passage indexes; empty when unknown */
/* Appends the text that n tokens spell (blanks in a row are one). begins [n + 1] gets where each
 * token begins in out, and the end; may be NULL. */
void tokens_text(const tokenizer *t, const int32_t *ids, int64_t n, buf *out, int64_t *begins);
/* The same passages in the tokens of another tokenizer: titles and texts are spelled out by `from`
 * and encoded by `to`. For a retriever that reads its own tokens, after the judgements are made. */
void corpus_respell(corpus *c, const tokenizer *from, const tokenizer *to);
/* Passages before and after `id` in its document, and a passage's tokens: search's passage_source
 * over a corpus. */
int corpus_neighbours(void *corpus_, int64_t id, int reach, int64_t *ids);
status corpus_tokens(void *corpus_, int64_t id, const int32_t **ids, int64_t *n);
/* The tokens of passage i that spell one of the answers, as positions within the passage: the
 * first place, exact case before any case, where whole words stand and token edges fit. Empty
 * when there is none. */
span corpus_find_answer(const corpus *c, const tokenizer *t, int64_t i, char *const *answers,
                        int64_t n);
/* ln((N + 1) / df) + 1 of every vocabulary entry over passages, unseen ones as the rarest: [vocab].
 * Caller frees. */
float *corpus_idf(const corpus *c, int64_t vocab);

typedef struct qa {
    const char *id, *question, *kind, *full_answer; /* "" for none */
    char *const *answers;
    int64_t n_answers;
    bool unanswerable;
    span tokens;         /* into the set's tokens */
    int64_t n_documents; /* documents it names; 0: any may answer */
    span relevant;       /* into the set's relevant */
    bool has_judgement;  /* false: nothing says what would be relevant (no answers, no documents) */
} qa;

typedef struct qa_set {
    qa *at;
    int64_t n;
    int32_t *tokens;
    int64_t *relevant; /* passage indexes, ascending within a question */
    int64_t n_relevant;
    int64_t n_without; /* answerable questions that no passage answers */
    int64_t n_dropped; /* answers without any token, left out */
    arena *a;          /* owns all of it */
} qa_set;

/* Questions of a split, at most `limit` (0: all), tokenised, with their relevant passages:
 * passages of the documents that a question names (of any document, where it names none) that
 * hold an answer by DPR's rule; of a question with documents but no answers, all of theirs. Of the
 * documents of a "two_hop" question the last one counts: where its second hop ends. */
status qa_set_load(store *s, const corpus *c, const tokenizer *t, store_split split, int64_t limit,
                   qa_set **out);
void qa_set_free(qa_set *q);
/* The questions in the tokens of another tokenizer. */
void qa_set_respell(qa_set *q, const tokenizer *to);
/* Is passage index i relevant to q? */
bool qa_is_relevant(const qa_set *set, const qa *q, int64_t i);

#endif
