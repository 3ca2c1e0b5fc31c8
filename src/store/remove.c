/* Removing: by name, and what a file no longer holds. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

/* ---- by name ---- */

static status drop_all(store *s, sqlite3_stmt *q, store_removed *r) {
    key_list list = {0};
    status st = keys_of(s, q, &list);
    for (int64_t i = 0; !st && i < list.n; i++) {
        st = drop_document(s, list.at[i], &r->passages);
        r->documents += !st;
    }
    free(list.at);
    return st;
}

static status drop_questions(store *s, sqlite3_stmt *q, store_removed *r) {
    TRY(sql_do(s, q));
    r->questions += sqlite3_changes(s->db);
    return OK;
}

/* Paths equal to name or below it: between "name/" and "name0", '0' being next to '/'. */
static void bind_below(sqlite3_stmt *q, const char *name, char *from, char *to, size_t n) {
    while (n > 1 && name[n - 1] == '/') n--;
    memcpy(from, name, n);
    memcpy(to, name, n);
    strcpy(from + n, "/");
    strcpy(to + n, "0");
    sqlite3_bind_text(q, 1, name, (int)n, SQLITE_STATIC);
    bind_str(q, 2, from);
    bind_str(q, 3, to);
}

static status remove_below(store *s, const char *name, store_removed *r) {
    size_t n = strlen(name);
    char *from = xmalloc(n + 2), *to = xmalloc(n + 2);
    sqlite3_stmt *q;
    status st = sql_get(
        s, "SELECT key FROM documents WHERE path = ?1 OR (path > ?2 AND path < ?3) ORDER BY key",
        &q);
    if (!st) {
        bind_below(q, name, from, to, n);
        st = drop_all(s, q, r);
    }
    if (!st)
        st = sql_get(s, "DELETE FROM questions WHERE path = ?1 OR (path > ?2 AND path < ?3)", &q);
    if (!st) {
        bind_below(q, name, from, to, n);
        st = drop_questions(s, q, r);
    }
    free(from);
    free(to);
    return st;
}

static status remove_named(store *s, const char *name, store_removed *r) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT key FROM documents WHERE id = ?1", &q));
    bind_str(q, 1, name);
    TRY(drop_all(s, q, r));
    TRY(sql_get(s, "DELETE FROM questions WHERE id = ?1", &q));
    bind_str(q, 1, name);
    TRY(drop_questions(s, q, r));
    if (r->documents || r->questions) return OK;
    TRY(sql_get(s, "SELECT document FROM uris WHERE uri = ?1 ORDER BY document", &q));
    bind_str(q, 1, name);
    TRY(drop_all(s, q, r));
    return r->documents ? OK : remove_below(s, name, r);
}

status store_remove(store *s, const char *name, store_removed *out) {
    store_tx t;
    store_removed r = {0};
    TRY(tx_begin(s, &t));
    TRY(tx_end(s, t, *name ? remove_named(s, name, &r) : OK));
    *out = r;
    return OK;
}

/* ---- what a file no longer holds ---- */

void store_keys_add(store_keys *k, int64_t key) {
    int64_t word = key / 64;
    if (word >= k->n_words) {
        int64_t n = word + word / 2 + 64;
        k->words = xrealloc(k->words, (size_t)n * sizeof *k->words);
        memset(k->words + k->n_words, 0, (size_t)(n - k->n_words) * sizeof *k->words);
        k->n_words = n;
    }
    k->words[word] |= (uint64_t)1 << key % 64;
}

void store_keys_clear(store_keys *k) {
    free(k->words);
    *k = (store_keys){0};
}

static bool in_keys(const store_keys *k, int64_t key) {
    return key / 64 < k->n_words && (k->words[key / 64] >> key % 64 & 1);
}

/* The keys that q answers and `keep` lacks. */
static status keys_but(store *s, sqlite3_stmt *q, const char *path, const store_keys *keep,
                       key_list *out) {
    bind_str(q, 1, path);
    TRY(keys_of(s, q, out));
    int64_t n = 0;
    for (int64_t i = 0; i < out->n; i++)
        if (!in_keys(keep, out->at[i])) out->at[n++] = out->at[i];
    out->n = n;
    return OK;
}

static status drop_listed(store *s, const key_list *documents, const key_list *questions,
                          store_removed *r) {
    for (int64_t i = 0; i < documents->n; i++)
        TRY(drop_document(s, documents->at[i], &r->passages));
    for (int64_t i = 0; i < questions->n; i++) {
        sqlite3_stmt *q;
        TRY(sql_get(s, "DELETE FROM questions WHERE key = ?1", &q));
        sqlite3_bind_int64(q, 1, questions->at[i]);
        TRY(sql_do(s, q));
    }
    return OK;
}

status store_remove_rest(store *s, const char *path, const store_keys *documents,
                         const store_keys *questions, bool only_count, store_removed *out) {
    key_list d = {0}, q = {0};
    sqlite3_stmt *stmt;
    store_removed r = {0};
    status st = sql_get(s, "SELECT key FROM documents WHERE path = ?1", &stmt);
    if (!st) st = keys_but(s, stmt, path, documents, &d);
    if (!st) st = sql_get(s, "SELECT key FROM questions WHERE path = ?1", &stmt);
    if (!st) st = keys_but(s, stmt, path, questions, &q);
    if (!st && !only_count && d.n + q.n > 0) {
        store_tx t;
        st = tx_begin(s, &t);
        if (!st) st = tx_end(s, t, drop_listed(s, &d, &q, &r));
    }
    r.documents = d.n;
    r.questions = q.n;
    free(d.at);
    free(q.at);
    if (!st) *out = r;
    return st;
}
