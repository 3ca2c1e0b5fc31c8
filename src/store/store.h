#ifndef RAGLAN_STORE_STORE_H
#define RAGLAN_STORE_STORE_H
/* Store: the one truth of a collection: documents, their passages, and questions, in one
 * SQLite file <home>/collection.db. Everything else in a home is derived and can be rebuilt.
 *
 * One writer a home (lock file <home>/lock, which names its process), any number of readers,
 * which never wait. A handle is used by one thread at a time; open one a thread.
 *
 * Durability: WAL with synchronous=FULL. What store_commit has returned OK for survives
 * kill -9 and power loss; what it has not is gone as a whole. Without store_begin each writing
 * call is its own transaction. Memory does not grow with the collection.
 *
 * Keys are integers, given once, never reused. A passage never changes: a replaced document's
 * passages are removed and new ones get new ids, so a vector or posting kept by passage id is
 * right or recognisably gone.
 *
 * Errors: ERR_BUSY second writer, ERR_STATE no collection yet (names the command), ERR_FORMAT
 * not a database / damaged / of a newer program, ERR_IO disk full, read-only. */
#include "util/mem.h"

typedef struct store store;
typedef enum store_mode { STORE_READ, STORE_WRITE } store_mode;

/* STORE_WRITE creates the home and the file where absent, takes the lock, and migrates an
 * older schema. STORE_READ works beside a writer, and on a read-only file system. */
status store_open(const char *home, store_mode mode, store **out);
void store_close(store *s); /* rolls back an open transaction; NULL is a no-op */
const char *store_home(const store *s);

status store_begin(store *s);
status store_commit(store *s);
void store_rollback(store *s); /* no transaction open: a no-op */

/* ---- documents ---- */

/* Strings may be NULL for "none" where said; on reading they are "" then, and borrowed: until
 * the callback returns, or in the arena given. */
typedef struct store_document {
    int64_t key;       /* out */
    const char *id;    /* NULL: the sha1 of text */
    const char *uri;   /* where it is from; NULL: none */
    const char *title; /* NULL: none */
    const char *text;  /* [text_bytes] well-formed UTF-8 */
    size_t text_bytes;
    const char *meta;   /* a JSON object, NULL: none */
    const char *path;   /* source file, as given to ingest; NULL: none */
    const char *format; /* "text", "squad", ...; NULL: none */
    char hash[41];      /* out: sha1 of text */
} store_document;

typedef enum store_change { STORE_ADDED, STORE_UNCHANGED, STORE_REPLACED } store_change;

/* Adds or refreshes one document; idempotent.
 *
 *   with an id     the id is the identity. Known: unchanged if all fields are equal, else
 *                  replaced. Two ids with one text are two documents (judgements name ids).
 *   without an id  the uri is the identity, where there is one; its text is replaced when it
 *                  changed. A text that the collection already holds (given without an id) is
 *                  not stored twice: unchanged, and the new uri becomes another name of it. When
 *                  the text behind one of several names changes, the others keep the old one.
 *
 * A replaced document keeps its key, unless other names keep it; its passages go in the same
 * transaction (they stay if neither text nor title changed). *key may be NULL. */
status store_put_document(store *s, const store_document *d, store_change *change, int64_t *key);

/* By key, by id. Absent: OK, *found false, *out untouched. Strings live in a. */
status store_get_document(store *s, int64_t key, arena *a, store_document *out, bool *found);
status store_find_document(store *s, const char *id, arena *a, store_document *out, bool *found);
/* The keys of the documents that a name means: those with this id; else with this uri; else
 * with a uri that ends in "/name". Ascending, in the arena. */
status store_resolve(store *s, const char *name, arena *a, int64_t **keys, int64_t *n);

typedef status (*store_document_fn)(void *arg, const store_document *d);
/* All documents by key; those with a key above `after` (0: all). The callback may read from the
 * store, write to documents already visited, and commit. Another status than OK ends the loop
 * and is returned. */
status store_each_document(store *s, int64_t after, store_document_fn fn, void *arg);

typedef struct store_removed {
    int64_t documents, passages, questions;
} store_removed;
/* Removes the document (or question) of that id; else documents of that uri; else documents
 * and questions whose source path is `name` or lies below it. Nothing found: all zero, OK. */
status store_remove(store *s, const char *name, store_removed *out);

/* A set of keys: a bit for each key there is, so that millions cost little. Zeroed is empty. */
typedef struct store_keys {
    uint64_t *words;
    int64_t n_words;
} store_keys;
void store_keys_add(store_keys *k, int64_t key);
void store_keys_clear(store_keys *k); /* frees it; empty then */

/* Removes the documents and questions whose source is the file `path`, but for those given: what
 * the file no longer holds. only_count: says how many that would be. */
status store_remove_rest(store *s, const char *path, const store_keys *documents,
                         const store_keys *questions, bool only_count, store_removed *out);

/* ---- passages ---- */

typedef struct store_passage {
    int64_t id;         /* out */
    int64_t document;   /* its document's key */
    int64_t ordinal;    /* place within the document, from 0; ids of one document are consecutive */
    int64_t begin, end; /* bytes of the document's text */
    int64_t n_title;    /* so many of the tokens are the title's, in front */
    const int32_t *tokens; /* [n_tokens] */
    int64_t n_tokens;
    uint64_t hash; /* out: hash64 of the tokens */
} store_passage;

/* The current cut (text/window.h window_describe): passages of documents cut otherwise, or not
 * yet, are stale. "" until first set. */
const char *store_cut(store *s); /* borrowed until the next store_cut or store_cut_set */
status store_cut_set(store *s, const char *cut);
/* Documents that have no passages of the current cut, by key: what ingest or a new tokenizer
 * left to do. The callback may call store_put_passages for the document it was given. */
status store_each_uncut(store *s, store_document_fn fn, void *arg);
/* Replaces all passages of a document, whole; n may be 0 (a blank document). ids, begins and
 * ordinals are given in order; p->document is ignored, as are id and hash. */
status store_put_passages(store *s, int64_t document, const store_passage *p, int64_t n);

typedef status (*store_passage_fn)(void *arg, const store_passage *p);
/* All passages by id, those above `after` (0: all). About a million a second. */
status store_each_passage(store *s, int64_t after, store_passage_fn fn, void *arg);
/* Those of one document, by ordinal. */
status store_each_passage_of(store *s, int64_t document, store_passage_fn fn, void *arg);

/* A passage as people see it. */
typedef struct store_hit {
    store_passage passage;
    const char *id, *uri, *title; /* of the document */
    const char *text;             /* its bytes begin..end of the document */
    size_t text_bytes;
} store_hit;
status store_get_passage(store *s, int64_t id, arena *a, store_passage *out, bool *found);
status store_get_hit(store *s, int64_t id, arena *a, store_hit *out, bool *found);

/* ---- questions ---- */

typedef enum store_split {
    SPLIT_TRAIN,
    SPLIT_DEV,
    SPLIT_TEST,
    N_SPLITS,
    SPLIT_ALL = N_SPLITS
} store_split;
const char *store_split_name(store_split split); /* "train", "dev", "test" */
bool store_split_parse(const char *name,
                       store_split *out); /* knows "validation", "valid", "eval" = dev too */

typedef struct store_question {
    int64_t key;    /* out */
    const char *id; /* NULL: a sha1 of question and documents */
    store_split split;
    const char *question;
    const char *answers; /* JSON array of strings; NULL: [] */
    const char
        *documents; /* JSON array of document ids or uris; NULL: [] (any document may answer) */
    const char *full_answer; /* NULL: none */
    const char *kind;        /* "one_hop", ...; NULL: none */
    bool unanswerable;
    const char *evidence; /* id of the document (paragraph) that holds the answer; NULL: unknown */
    const char *path, *format; /* source; NULL: none */
} store_question;

/* Adds or refreshes by id. A question is in one split: the last put decides (replaced). *key may
 * be NULL. */
status store_put_question(store *s, const store_question *q, store_change *change, int64_t *key);
status store_find_question(store *s, const char *id, arena *a, store_question *out, bool *found);

typedef status (*store_question_fn)(void *arg, const store_question *q);
/* Questions of a split by key. Where no question is marked dev, a tenth of the train questions,
 * chosen by a hash of their document, is served as SPLIT_DEV and left out of SPLIT_TRAIN
 * (docs/data.md): everyone who asks here gets the same sets. SPLIT_ALL: all, as they are marked. */
status store_each_question(store *s, store_split split, store_question_fn fn, void *arg);
/* Keys of the documents a question names (store_resolve on evidence if given, else on each of
 * its documents), ascending, without repeats; *n 0 when it names none. *missing (may be NULL)
 * counts names that are in no document. */
status store_question_documents(store *s, const store_question *q, arena *a, int64_t **keys,
                                int64_t *n, int64_t *missing);

/* ---- the whole ---- */

typedef struct store_counts {
    int64_t documents, passages, stale; /* stale: documents without passages of the current cut */
    int64_t questions[N_SPLITS];        /* as marked */
    int64_t served[N_SPLITS];           /* as store_each_question serves them */
    int64_t text_bytes;
} store_counts;
status store_count(store *s, store_counts *out);

/* sha1 over ids and content hashes in order of id: the same data, in whatever order it came,
 * has the same hash. Questions: of one split as served (SPLIT_ALL: all as marked). */
status store_documents_hash(store *s, char hex[41]);
status store_questions_hash(store *s, store_split split, char hex[41]);
/* Both: what checkpoints and evaluations name as "data". */
status store_data_hash(store *s, char hex[41]);

/* Small settings of the collection. NULL value removes. *value in the arena, NULL when absent. */
status store_set(store *s, const char *key, const char *value);
status store_get(store *s, const char *key, arena *a, char **value);

/* A counter that grows with every committed change of documents, passages or questions: a
 * cheap "is my copy still current?". */
status store_generation(store *s, int64_t *out);

/* Looks for damage: the database's own check; passages outside their text, without a document,
 * with another hash than written; text that no longer matches its hash; cuts that lost their
 * passages. Each problem is one sentence given to `tell`. repair (write mode): removes what is
 * derived and wrong (ingest or index makes it again), rebuilds indexes, keeps all truth. *found
 * counts problems, *mended those that repair settled. */
status store_check(store *s, bool repair, void (*tell)(void *arg, const char *sentence), void *arg,
                   int64_t *found, int64_t *mended);
/* Gives the space of removed rows back to the disk; *freed in bytes. */
status store_compact(store *s, int64_t *freed);

#endif
