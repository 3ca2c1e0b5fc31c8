/* Documents: put by identity, read back, named by id or uri. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"
#include "util/hash.h"
#include "util/unicode.h"

#define DOCUMENT_COLUMNS "key, id, hash, uri, title, path, format, meta, text, id_given"

static void read_document(sqlite3_stmt *q, store_document *d) {
    *d = (store_document){.key = sqlite3_column_int64(q, 0),
                          .id = column_str(q, 1),
                          .uri = column_str(q, 3),
                          .title = column_str(q, 4),
                          .path = column_str(q, 5),
                          .format = column_str(q, 6),
                          .meta = column_str(q, 7),
                          .text = column_str(q, 8)};
    d->text_bytes = (size_t)sqlite3_column_bytes(q, 8);
    strncpy(d->hash, column_str(q, 2), 40);
}

static void keep_document(store_document *d, arena *a) {
    d->id = arena_strdup(a, d->id);
    d->uri = arena_strdup(a, d->uri);
    d->title = arena_strdup(a, d->title);
    d->path = arena_strdup(a, d->path);
    d->format = arena_strdup(a, d->format);
    d->meta = arena_strdup(a, d->meta);
    char *text = arena_take(a, d->text_bytes + 1); /* may hold NUL characters */
    memcpy(text, d->text, d->text_bytes);
    text[d->text_bytes] = '\0';
    d->text = text;
}

/* ---- putting ---- */

static const char *or_none(const char *s) {
    return s ? s : "";
}

/* What is known of a document that is already there. */
typedef struct known {
    int64_t key;
    bool id_given;
    bool same_text, same_title, same_uri, same_meta, same_source;
    char hash[41];
} known;

static status look_up(store *s, sqlite3_stmt *q, const store_document *d, const char *hash,
                      known *k, bool *found) {
    TRY(sql_step(s, q, found));
    if (!*found) return OK;
    *k = (known){.key = sqlite3_column_int64(q, 0), .id_given = sqlite3_column_int(q, 6)};
    memcpy(k->hash, column_str(q, 1), 40);
    k->same_text = strcmp(k->hash, hash) == 0;
    k->same_title = strcmp(column_str(q, 3), or_none(d->title)) == 0;
    k->same_uri = strcmp(column_str(q, 2), or_none(d->uri)) == 0;
    k->same_meta = strcmp(column_str(q, 7), or_none(d->meta)) == 0;
    k->same_source = strcmp(column_str(q, 4), or_none(d->path)) == 0 &&
                     strcmp(column_str(q, 5), or_none(d->format)) == 0;
    sqlite3_reset(q);
    return OK;
}

#define KNOWN_COLUMNS "key, hash, uri, title, path, format, id_given, meta"

static status find_by_id(store *s, const char *id, const store_document *d, const char *hash,
                         known *k, bool *found) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT " KNOWN_COLUMNS " FROM documents WHERE id = ?1", &q));
    bind_str(q, 1, id);
    return look_up(s, q, d, hash, k, found);
}

/* The document without an id of its own that this uri names. */
static status find_by_uri(store *s, const store_document *d, const char *hash, known *k,
                          bool *found) {
    sqlite3_stmt *q;
    TRY(sql_get(s,
                "SELECT " KNOWN_COLUMNS " FROM documents WHERE NOT id_given "
                "AND key IN (SELECT document FROM uris WHERE uri = ?1) "
                "ORDER BY uri = ?1 DESC LIMIT 1",
                &q));
    bind_str(q, 1, d->uri);
    return look_up(s, q, d, hash, k, found);
}

static status add_uri(store *s, const char *uri, int64_t key) {
    if (!uri || !*uri) return OK;
    sqlite3_stmt *q;
    TRY(sql_get(s, "INSERT OR IGNORE INTO uris(uri, document, tail) VALUES(?1, ?2, ?3)", &q));
    bind_str(q, 1, uri);
    sqlite3_bind_int64(q, 2, key);
    bind_str(q, 3, uri_tail(uri));
    return sql_do(s, q);
}

static status drop_uris(store *s, int64_t key) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "DELETE FROM uris WHERE document = ?1", &q));
    sqlite3_bind_int64(q, 1, key);
    return sql_do(s, q);
}

status drop_document(store *s, int64_t key, int64_t *n_passages) {
    sqlite3_stmt *q;
    TRY(remove_passages(s, key, n_passages));
    TRY(drop_uris(s, key));
    TRY(sql_get(s, "DELETE FROM documents WHERE key = ?1", &q));
    sqlite3_bind_int64(q, 1, key);
    return sql_do(s, q);
}

static void bind_document(sqlite3_stmt *q, const store_document *d, const char *hash) {
    bind_str(q, 1, d->id ? d->id : hash);
    sqlite3_bind_int(q, 2, d->id != NULL);
    bind_str(q, 3, hash);
    sqlite3_bind_int64(q, 4, (int64_t)d->text_bytes);
    bind_str(q, 5, d->uri);
    bind_str(q, 6, d->title);
    bind_str(q, 7, d->path);
    bind_str(q, 8, d->format);
    bind_str(q, 9, d->meta);
    sqlite3_bind_text64(q, 10, d->text_bytes ? d->text : "", d->text_bytes, SQLITE_STATIC,
                        SQLITE_UTF8);
}

static status insert_document(store *s, const store_document *d, const char *hash, int64_t *key) {
    sqlite3_stmt *q;
    TRY(sql_get(
        s,
        "INSERT INTO documents(id, id_given, hash, bytes, uri, title, path, format, meta, text) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        &q));
    bind_document(q, d, hash);
    TRY(sql_do(s, q));
    *key = sqlite3_last_insert_rowid(s->db);
    return add_uri(s, d->uri, *key);
}

static status update_document(store *s, const store_document *d, const char *hash,
                              const known *old) {
    if (!old->same_text || !old->same_title) TRY(remove_passages(s, old->key, NULL));
    sqlite3_stmt *q;
    TRY(sql_get(
        s,
        "UPDATE documents SET id = ?1, id_given = ?2, hash = ?3, bytes = ?4, uri = ?5, title = ?6, "
        "path = ?7, format = ?8, meta = ?9, text = ?10 WHERE key = ?11",
        &q));
    bind_document(q, d, hash);
    sqlite3_bind_int64(q, 11, old->key);
    TRY(sql_do(s, q));
    if (!old->same_text) TRY(drop_uris(s, old->key)); /* other names were of the old text */
    return add_uri(s, d->uri, old->key);
}

/* The document loses this name; *shared: others remain, and one of them is its uri now. Which file
 * holds it is not known before that file is read again (note_source). */
static status leave_uri(store *s, const char *uri, int64_t key, bool *shared) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "DELETE FROM uris WHERE document = ?1 AND uri = ?2", &q));
    sqlite3_bind_int64(q, 1, key);
    bind_str(q, 2, uri);
    TRY(sql_do(s, q));
    TRY(sql_get(s,
                "UPDATE documents SET uri = (SELECT min(uri) FROM uris WHERE document = ?1), "
                "path = '', format = '' "
                "WHERE key = ?1 AND key IN (SELECT document FROM uris)",
                &q));
    sqlite3_bind_int64(q, 1, key);
    TRY(sql_do(s, q));
    *shared = sqlite3_changes(s->db) > 0;
    return OK;
}

/* A place holds another text than before. The old one stays where other places name it (two
 * equal files of which one changed; paragraphs that moved up by one); the new one is not stored
 * again where it is known (twin). */
static status move_uri(store *s, const store_document *d, const char *hash, const known *old,
                       const known *twin, int64_t *key) {
    bool shared;
    TRY(leave_uri(s, d->uri, old->key, &shared));
    if (!shared && !twin) return update_document(s, d, hash, old);
    if (!shared) TRY(drop_document(s, old->key, NULL));
    if (!twin) return insert_document(s, d, hash, key);
    *key = twin->key;
    return add_uri(s, d->uri, twin->key);
}

/* Unchanged, but perhaps met in another file now: the source is where it was last seen. */
static status note_source(store *s, const store_document *d, const known *old) {
    if (old->same_source) return OK;
    sqlite3_stmt *q;
    TRY(sql_get(s, "UPDATE documents SET path = ?2, format = ?3 WHERE key = ?1", &q));
    sqlite3_bind_int64(q, 1, old->key);
    bind_str(q, 2, d->path);
    bind_str(q, 3, d->format);
    return sql_do(s, q);
}

static status put_document(store *s, const store_document *d, const char *hash,
                           store_change *change, int64_t *key) {
    known old = {0}, twin = {0};
    bool found = false, has_twin = false, by_uri = !d->id && d->uri && *d->uri;
    if (d->id) TRY(find_by_id(s, d->id, d, hash, &old, &found));
    if (by_uri) TRY(find_by_uri(s, d, hash, &old, &found));
    if (!d->id && !old.same_text) TRY(find_by_id(s, hash, d, hash, &twin, &has_twin));
    if (has_twin && !by_uri) old = twin, found = true; /* the text is all its identity */
    if (!found && !has_twin) {
        *change = STORE_ADDED;
        return insert_document(s, d, hash, key);
    }
    *change = STORE_UNCHANGED;
    *key = found ? old.key : twin.key;
    if (!found) {
        TRY(add_uri(s, d->uri, twin.key));
        return note_source(s, d, &twin);
    }
    if (old.same_text && by_uri && !old.same_uri) return note_source(s, d, &old); /* another name */
    if (old.same_text && old.same_title && old.same_uri && old.same_meta)
        return note_source(s, d, &old);
    *change = STORE_REPLACED;
    if (by_uri && !old.same_text) return move_uri(s, d, hash, &old, has_twin ? &twin : NULL, key);
    return update_document(s, d, hash, &old);
}

status store_put_document(store *s, const store_document *d, store_change *change, int64_t *key) {
    const char *name = d->id ? d->id : d->uri ? d->uri : d->path ? d->path : "(without a name)";
    int64_t bad = utf8_invalid_at(d->text, d->text_bytes);
    if (bad >= 0)
        FAIL(ERR_ARG, "document %s: the text is not UTF-8 at byte %lld", name, (long long)bad);
    if (d->text_bytes > (size_t)900 << 20)
        FAIL(ERR_ARG, "document %s: has %zu MB of text, at most 900 can be kept; split it", name,
             d->text_bytes >> 20);
    char hash[41];
    sha1_hex(d->text, d->text_bytes, hash);
    store_document plain = *d;
    if (plain.id && !*plain.id) plain.id = NULL;
    store_tx t;
    store_change what = STORE_UNCHANGED;
    int64_t row = 0;
    TRY(tx_begin(s, &t));
    TRY(tx_end(s, t, put_document(s, &plain, hash, &what, &row)));
    *change = what;
    if (key) *key = row;
    return OK;
}

/* ---- reading ---- */

static status get_one(store *s, sqlite3_stmt *q, arena *a, store_document *out, bool *found) {
    TRY(sql_step(s, q, found));
    if (!*found) return OK;
    read_document(q, out);
    keep_document(out, a);
    sqlite3_reset(q);
    return OK;
}

status store_get_document(store *s, int64_t key, arena *a, store_document *out, bool *found) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT " DOCUMENT_COLUMNS " FROM documents WHERE key = ?1", &q));
    sqlite3_bind_int64(q, 1, key);
    return get_one(s, q, a, out, found);
}

status store_find_document(store *s, const char *id, arena *a, store_document *out, bool *found) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT " DOCUMENT_COLUMNS " FROM documents WHERE id = ?1", &q));
    bind_str(q, 1, id);
    return get_one(s, q, a, out, found);
}

/* Rows one by one, each by a query of its own that begins after the last key: no cursor is open
 * while fn runs, so fn may write. */
static status each_row(store *s, sqlite3_stmt *q, int64_t after, store_document_fn fn, void *arg) {
    for (bool row = true;;) {
        sqlite3_reset(q);
        sqlite3_bind_int64(q, 1, after);
        TRY(sql_step(s, q, &row));
        if (!row) return OK;
        store_document d;
        read_document(q, &d);
        after = d.key;
        TRY(fn(arg, &d));
    }
}

status store_each_document(store *s, int64_t after, store_document_fn fn, void *arg) {
    sqlite3_stmt *q;
    TRY(sql_new(s, "SELECT " DOCUMENT_COLUMNS " FROM documents WHERE key > ?1 ORDER BY key LIMIT 1",
                &q));
    status st = each_row(s, q, after, fn, arg);
    sqlite3_finalize(q);
    return st;
}

status store_each_uncut(store *s, store_document_fn fn, void *arg) {
    store_counts c;
    TRY(store_count(s, &c));
    if (!c.stale) return OK;
    sqlite3_stmt *q;
    TRY(sql_new(s,
                "SELECT " DOCUMENT_COLUMNS " FROM documents WHERE key > ?1 AND cut IS NOT "
                "(SELECT id FROM cuts WHERE name = (SELECT value FROM settings WHERE key = 'cut')) "
                "ORDER BY key LIMIT 1",
                &q));
    status st = each_row(s, q, 0, fn, arg);
    sqlite3_finalize(q);
    return st;
}

/* ---- naming ---- */

static bool names(const char *uri, const char *name) {
    size_t n = strlen(uri), m = strlen(name);
    return n >= m && strcmp(uri + n - m, name) == 0 && (n == m || uri[n - m - 1] == '/');
}

/* suffix not NULL: those alone whose column 1, a uri, ends in it. */
static status named_keys(store *s, sqlite3_stmt *q, const char *suffix, key_list *out) {
    bool row = true;
    for (;;) {
        TRY(sql_step(s, q, &row));
        if (!row) return OK;
        int64_t key = sqlite3_column_int64(q, 0);
        if (suffix && !names(column_str(q, 1), suffix)) continue;
        if (out->n && out->at[out->n - 1] == key) continue;
        GROW(out->at, out->n, out->cap);
        out->at[out->n++] = key;
    }
}

status keys_of(store *s, sqlite3_stmt *q, key_list *out) {
    return named_keys(s, q, NULL, out);
}

static status resolve(store *s, const char *name, key_list *out) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT key FROM documents WHERE id = ?1", &q));
    bind_str(q, 1, name);
    TRY(keys_of(s, q, out));
    if (out->n) return OK;
    TRY(sql_get(s, "SELECT document FROM uris WHERE uri = ?1 ORDER BY document", &q));
    bind_str(q, 1, name);
    TRY(keys_of(s, q, out));
    if (out->n) return OK;
    TRY(sql_get(s, "SELECT document, uri FROM uris WHERE tail = ?1 ORDER BY document, uri", &q));
    bind_str(q, 1, uri_tail(name));
    return named_keys(s, q, name, out);
}

status store_resolve(store *s, const char *name, arena *a, int64_t **keys, int64_t *n) {
    key_list list = {0};
    status st = *name ? resolve(s, name, &list) : OK;
    if (!st) {
        *keys = ARENA_ARRAY(a, int64_t, list.n + 1);
        if (list.n) memcpy(*keys, list.at, (size_t)list.n * sizeof **keys);
        *n = list.n;
    }
    free(list.at);
    return st;
}
