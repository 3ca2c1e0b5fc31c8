#ifndef RAGLAN_STORE_STORE_INT_H
#define RAGLAN_STORE_STORE_INT_H
/* What the files of the store share: the handle, SQL in three verbs, transactions. Only files
 * of this folder see SQLite. */
#include <sqlite3.h>

#include "store/store.h"

#define STORE_APPLICATION_ID 0x7261676c /* "ragl", in the file's header */
#define STORE_FILE           "collection.db"

typedef struct cached_sql {
    const char *sql; /* the literal's address is the key */
    sqlite3_stmt *stmt;
} cached_sql;

struct store {
    sqlite3 *db;
    char *home, *path;
    char *home_word; /* home, as a shell takes it: for the commands that messages name */
    store_mode mode;
    int lock; /* file descriptor, -1 for readers */
    cached_sql *cache;
    int n_cache, cap_cache;
    char *cut;   /* answer of store_cut */
    bool broken; /* a write of the open transaction failed half-way: it cannot be committed */
    int changes_at_begin;
};

/* Turns what SQLite said last into a status and a sentence about this file. */
status sql_fail(const store *s, int rc, const char *doing);

/* A statement, reset and unbound, prepared once a handle and kept: for one-shot statements that
 * end before anyone else may run the same text. sql must be a literal. */
status sql_get(store *s, const char *sql, sqlite3_stmt **out);
/* A statement of the caller's own, for loops; caller sqlite3_finalize. */
status sql_new(store *s, const char *sql, sqlite3_stmt **out);
/* One step; *row false at the end (and the statement is reset). */
status sql_step(store *s, sqlite3_stmt *q, bool *row);
/* Runs a statement that gives no rows. */
status sql_do(store *s, sqlite3_stmt *q);
status sql_run(store *s, const char *sql); /* no parameters */
/* The one integer that a bound statement answers. */
status sql_int(store *s, sqlite3_stmt *q, int64_t *out);

/* Binds; NULL means "". The bytes must live until the statement is stepped. */
void bind_str(sqlite3_stmt *q, int i, const char *text);
/* A column as a string ("" for NULL), borrowed until the next step. */
const char *column_str(sqlite3_stmt *q, int i);

/* Brackets a writing call: begins a transaction if none is open, and ends it by st. */
typedef struct store_tx {
    bool own;
} store_tx;
status tx_begin(store *s, store_tx *t);
status tx_end(store *s, store_tx t, status st);

/* schema.c: the present version, and the way to it. */
int store_schema_version(void);
status store_migrate(store *s, int from);
/* The part of a uri after its last slash: how suffixes are found. */
const char *uri_tail(const char *uri);

/* documents.c */
typedef struct key_list {
    int64_t *at, n, cap;
} key_list;
/* Appends column 0 of each row. Caller frees the list's `at`. */
status keys_of(store *s, sqlite3_stmt *q, key_list *out);
/* With its passages and names; *n_passages (may be NULL) grows by theirs. */
status drop_document(store *s, int64_t key, int64_t *n_passages);

/* questions.c */
/* "HEAD WHERE ... TAIL" over the questions served as `split`; caller sqlite3_finalize. TAIL may
 * use ?1. */
status questions_select(store *s, const char *head, store_split split, const char *tail,
                        sqlite3_stmt **out);
status questions_count(store *s, store_counts *c);

/* passages.c */
status remove_passages(store *s, int64_t document, int64_t *n);
/* Token ids as a byte string: 7 bits a byte, low first, high bit "more follows". */
void tokens_pack(const int32_t *tokens, int64_t n, buf *out);
/* False when the bytes are no such list. *cap items at *tokens grow as needed. */
bool tokens_unpack(const uint8_t *bytes, size_t size, int32_t **tokens, int64_t *cap, int64_t *n);

#endif
