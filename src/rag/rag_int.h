#ifndef RAGLAN_RAG_INT_H
#define RAGLAN_RAG_INT_H
/* Behind rag.h: the parts of an open collection, and the longer jobs that the program runs on
 * it (training, evaluation). A home looks like this:
 *
 *   collection.db                   documents, passages, questions: the truth (store/)
 *   tokenizer/wiki.model            the tokenizer
 *   tokenizer/<sha1>.json           an imported retriever's own
 *   <sha1>.<type>.safetensors ...   checkpoints (model/checkpoint.h)
 *   index/                          search files, derived (search/manifest.h)
 *   logs/, reports/                 training logs and charts */
#include "model/checkpoint.h"
#include "model/finder.h"
#include "model/generator.h"
#include "rag/rag.h"
#include "store/store.h"
#include "text/window.h"

/* Where each passage lies: passage ids ascending, and their documents' keys. */
typedef struct places {
    int64_t n;
    int64_t *id, *document; /* [n] */
} places;

struct rag {
    char *home;
    char *home_word; /* as a shell takes it: for the commands that messages name */
    rag_options o;
    store *s;
    /* opened when first needed */
    tokenizer *t;
    arena *traits_arena;
    token_traits traits;
    tokenizer *reads; /* the retriever's own, where it was imported; NULL: it reads t's tokens */
    retriever *m;     /* NULL and has_retriever false: none trained */
    checkpoint m_checkpoint;
    bool sought_retriever, has_retriever;
    generator *g;
    checkpoint g_checkpoint;
    search *index;
    places where;
    arena *looked_at; /* tokens of the passage that a search looked at last */
};

#define HOME_TOKENIZER "tokenizer/wiki.model"
char *rag_path(const rag *r, const char *below); /* <home>/below; caller frees */

/* Each opens its part if it is not open yet. ERR_STATE names the command that makes it. */
status rag_need_tokenizer(rag *r);
/* Opens the tokenizer that the retriever of a checkpoint reads: r->reads for an imported one, else
 * the collection's, which must be the same. ERR_STATE names the command that helps. */
status rag_need_reads(rag *r, const checkpoint *c);
/* Is it the collection's tokenizer, or an imported one that is there? */
bool rag_knows_tokenizer(rag *r, const char *hash);
status rag_need_retriever(rag *r, bool *has); /* has false: none trained yet, OK */
status rag_need_generator(rag *r);
status rag_need_index(rag *r); /* the index, with vectors where the retriever's are there */
void rag_cut_hash(rag *r, char hash[41]); /* of how documents are cut, as the manifest has it */
/* Was the index made of passages cut as they are now? That of another collection was cut by another
 * tokenizer. An empty one is ours. */
bool rag_owns_index(rag *r, const manifest *m);
void rag_forget_models(rag *r); /* after training: open the new ones at the next need */
status rag_load_places(rag *r); /* fills r->where from the store */
void rag_forget_index(rag *r);
finder rag_finder(rag *r); /* after rag_need_index */

/* ---- tokenizer and passages ---- */
typedef struct cut_options {
    int64_t context_size, overlap; /* 0: what the collection has, else 64 and 0 */
    bool given;                    /* the caller named them: re-cut when they differ */
} cut_options;
/* Trains <home>/tokenizer/wiki.model on documents and train questions; keeps one that is there
 * unless `again`. */
status rag_train_tokenizer(rag *r, const tokenizer_options *o, bool again);
/* Cuts what has no passages of the current cut. Trains a tokenizer first where there is none. */
status rag_cut(rag *r, const cut_options *o);
/* Brings the search files up to date: lexical always, vectors where a retriever is there, fusion
 * tuned on dev. */
status rag_index_all(rag *r);
/* The lexical part alone (what training needs). */
status rag_index_lexical(rag *r);
#endif
