#ifndef RAGLAN_RAG_H
#define RAGLAN_RAG_H
/* raglan's public interface: a collection of documents that answers questions.
 *
 *     rag *r;
 *     if (rag_open("./raglan-home", NULL, &r)) { fprintf(stderr, "%s\n", rag_error()); return 1; }
 *     rag_answer *a;
 *     if (!rag_ask(r, "Who built the lighthouse of Belmora?", NULL, &a)) printf("%s\n", a->text);
 *     rag_answer_free(a);
 *     rag_close(r);
 *
 * Every call that can fail returns 0 or an error code, and leaves a sentence in rag_error(), one
 * per thread. A handle belongs to one thread at a time; open one a thread to work in parallel.
 * All strings are UTF-8. What a call hands out is freed by the function named beside it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns: 0 is success. */
enum rag_status {
    RAG_OK = 0,
    RAG_ERR_ARG,     /* a value is wrong */
    RAG_ERR_MEM,     /* a large block could not be had */
    RAG_ERR_IO,      /* the operating system said no */
    RAG_ERR_FORMAT,  /* a file is damaged or of another kind */
    RAG_ERR_BACKEND, /* a device is absent */
    RAG_ERR_BUSY,    /* another process writes this collection */
    RAG_ERR_STATE,   /* something must be made first; the sentence names the command */
    RAG_ERR_STOPPED, /* asked to stop; state is saved */
};
const char *rag_error(void);   /* this thread's last sentence, "" if none */
const char *rag_version(void); /* "0.1.0" */

typedef struct rag rag;
typedef struct rag_options {
    bool write;            /* may change the collection; one such handle a collection */
    int threads;           /* 0: all the process may use */
    const char *retriever; /* identifier; NULL: the best on dev */
    const char *generator; /* identifier; NULL: the best on dev */
} rag_options;
/* Opens the collection in folder `home`; with write it is created where absent. options NULL:
 * reading. Models and search files are opened when first needed. */
int rag_open(const char *home, const rag_options *options, rag **out);
void rag_close(rag *r); /* NULL is a no-op */

/* ---- filling ---- */

typedef struct rag_counts {
    int64_t added, unchanged, replaced, skipped, removed; /* removed: a file no longer held it */
} rag_counts;
typedef struct rag_ingest_report {
    rag_counts documents, questions;
    int64_t n_skipped;
    char **skipped_path, **skipped_reason; /* [n_skipped] */
} rag_ingest_report;
/* Adds documents and questions of files and folders ("-": stdin). format NULL: "auto"; split
 * NULL: what the files say, else train. What is unchanged is left alone, what changed is replaced,
 * what a file no longer holds is removed; what cannot be read is skipped and reported.
 * RAG_ERR_STOPPED: what was read so far is kept; RAG_ERR_ARG: a path does not exist, the others
 * were read. */
int rag_ingest(rag *r, const char *const *paths, int n, const char *format, const char *split,
               rag_ingest_report *out);
void rag_ingest_report_clear(rag_ingest_report *report);
/* Adds or replaces one document; id and title may be NULL. */
int rag_add_document(rag *r, const char *id, const char *title, const char *text);
/* Removes documents (and questions) by id, uri or source path; *n_removed may be NULL. */
int rag_remove(rag *r, const char *name, int64_t *n_removed);
/* Takes over a sentence encoder as the retriever, in the place of the one that is there: a folder as
 * Hugging Face has them (config.json, model.safetensors, tokenizer.json or vocab.txt, 1_Pooling) of
 * BERT's architecture. identifier [41] may be NULL. RAG_ERR_FORMAT says what of it is not. */
int rag_import_hf(rag *r, const char *folder, char *identifier);
/* Cuts passages, embeds what has no current vector, builds the search files. Nothing to do is
 * nothing done. Without a trained retriever: BM25 alone. */
int rag_index(rag *r);

/* ---- asking ---- */

typedef enum rag_mode { RAG_AUTO, RAG_BM25, RAG_DENSE, RAG_HYBRID } rag_mode;

typedef struct rag_hit {
    int64_t rank; /* from 1 */
    double score;
    int64_t passage;
    const char *document, *title, *uri; /* "" for none */
    int64_t begin, end;                 /* bytes of the document's text */
    const char *text;
} rag_hit;
typedef struct rag_hits {
    rag_mode mode; /* the one that was used */
    int64_t n;
    rag_hit *at; /* [n] best first */
    double search_ms;
    void *owner;
} rag_hits;
/* RAG_AUTO: hybrid where there are vectors, else BM25. */
int rag_search(rag *r, const char *question, rag_mode mode, int64_t k, rag_hits **out);
void rag_hits_free(rag_hits *h);

/* What a model multiplies in. AUTO: what this processor does fastest, f32 or bf16. INT8: weights and
 * activations rounded to 8 bits, a half of bf16's bytes; `raglan eval --precision int8` says what
 * it costs in answers. */
typedef enum rag_precision {
    RAG_PRECISION_AUTO,
    RAG_PRECISION_F32,
    RAG_PRECISION_BF16,
    RAG_PRECISION_INT8
} rag_precision;

typedef struct rag_ask_options {
    rag_mode mode;
    rag_precision precision; /* RAG_ERR_BACKEND where this processor has none */
    int64_t top_k;           /* passages; 0: as many as the generator was trained to read best */
    int beams;               /* 0, 1: greedy */
    double temperature;      /* 0: greedy */
    int sample_top_k;        /* 0: the 1,024 most probable */
    int64_t max_tokens;      /* 0: the model's own limit */
    uint64_t seed;
    void (*on_text)(void *arg, const char *text,
                    size_t n); /* the answer piece by piece: as tokens are chosen when
                                       sampling or in sentences, once it is settled else */
    void *arg;
} rag_ask_options;
typedef struct rag_answer {
    const char *text;  /* "": not in these documents */
    double confidence; /* [0, 1]: probability of the answer as written; of a short one, of its start
                          and end among all rows */
    bool is_cut;       /* the length limit ended it */
    rag_hits *sources; /* what was read, in the order of their part in the answer; score is the
                          search's */
    double first_token_ms, total_ms;
    void *owner;
} rag_answer;
/* RAG_ERR_STATE without a generator: the sentence names the command that trains one. */
int rag_ask(rag *r, const char *question, const rag_ask_options *options, rag_answer **out);
void rag_answer_free(rag_answer *a);

/* Vectors of texts as questions or passages: out [n, dim], caller's; rag_embedding_dim first. */
int rag_embedding_dim(rag *r, int64_t *dim);
int rag_embed(rag *r, const char *const *texts, int64_t n, bool as_question, float *out);

#ifdef __cplusplus
}
#endif
#endif
