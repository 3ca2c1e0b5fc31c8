/* Passages: a document's windows, put whole, read in bulk or one by one.
 *
 * Token ids are kept at 7 bits a byte: with a vocabulary of 10,000 half the size of 32-bit ids,
 * and read back at some hundred million a second. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"
#include "util/hash.h"

void tokens_pack(const int32_t *tokens, int64_t n, buf *out) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t v = (uint32_t)tokens[i];
        for (; v >= 0x80; v >>= 7) buf_putc(out, (char)(v | 0x80));
        buf_putc(out, (char)v);
    }
}

bool tokens_unpack(const uint8_t *bytes, size_t size, int32_t **tokens, int64_t *cap, int64_t *n) {
    *n = 0;
    for (size_t i = 0; i < size;) {
        uint32_t v = 0;
        int shift = 0;
        for (;; shift += 7) {
            if (i == size || shift > 28) return false;
            uint8_t b = bytes[i++];
            v |= (uint32_t)(b & 0x7f) << shift;
            if (!(b & 0x80)) break;
        }
        GROW(*tokens, *n, *cap);
        (*tokens)[(*n)++] = (int32_t)v;
    }
    return true;
}

/* ---- the cut ---- */

const char *store_cut(store *s) {
    sqlite3_stmt *q;
    bool row = false;
    free(s->cut);
    s->cut = NULL;
    if (sql_get(s, "SELECT value FROM settings WHERE key = 'cut'", &q) == OK &&
        sql_step(s, q, &row) == OK && row) {
        s->cut = xstrdup(column_str(q, 0));
        sqlite3_reset(q);
    }
    return s->cut ? s->cut : "";
}

status store_cut_set(store *s, const char *cut) {
    store_tx t;
    sqlite3_stmt *q;
    TRY(tx_begin(s, &t));
    status st = sql_get(s, "INSERT OR IGNORE INTO cuts(name) VALUES(?1)", &q);
    if (!st) {
        bind_str(q, 1, cut);
        st = sql_do(s, q);
    }
    if (!st) st = store_set(s, "cut", cut);
    return tx_end(s, t, st);
}

/* ---- putting ---- */

status remove_passages(store *s, int64_t document, int64_t *n) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "DELETE FROM passages WHERE document = ?1", &q));
    sqlite3_bind_int64(q, 1, document);
    TRY(sql_do(s, q));
    if (n) *n += sqlite3_changes(s->db);
    TRY(sql_get(s, "UPDATE documents SET cut = 0 WHERE key = ?1 AND cut != 0", &q));
    sqlite3_bind_int64(q, 1, document);
    return sql_do(s, q);
}

static status insert_passage(store *s, int64_t document, int64_t ordinal, const store_passage *p,
                             buf *packed) {
    sqlite3_stmt *q;
    buf_reset(packed);
    tokens_pack(p->tokens, p->n_tokens, packed);
    TRY(sql_get(s,
                "INSERT INTO passages(document, ordinal, begin, end, n_title, hash, tokens) "
                "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                &q));
    sqlite3_bind_int64(q, 1, document);
    sqlite3_bind_int64(q, 2, ordinal);
    sqlite3_bind_int64(q, 3, p->begin);
    sqlite3_bind_int64(q, 4, p->end);
    sqlite3_bind_int64(q, 5, p->n_title);
    sqlite3_bind_int64(q, 6, (int64_t)hash64(p->tokens, (size_t)p->n_tokens * sizeof *p->tokens));
    sqlite3_bind_blob64(q, 7, packed->len ? packed->at : "", packed->len, SQLITE_STATIC);
    return sql_do(s, q);
}

static status put_passages(store *s, int64_t document, const store_passage *p, int64_t n) {
    sqlite3_stmt *q;
    TRY(remove_passages(s, document, NULL));
    buf packed = {0};
    status st = OK;
    for (int64_t i = 0; !st && i < n; i++) st = insert_passage(s, document, i, &p[i], &packed);
    buf_clear(&packed);
    TRY(st);
    TRY(sql_get(s,
                "UPDATE documents SET cut = (SELECT id FROM cuts WHERE name = "
                "(SELECT value FROM settings WHERE key = 'cut')) WHERE key = ?1",
                &q));
    sqlite3_bind_int64(q, 1, document);
    TRY(sql_do(s, q));
    MUST(sqlite3_changes(s->db) == 1, "passages of document %lld, which is not there",
         (long long)document);
    return OK;
}

status store_put_passages(store *s, int64_t document, const store_passage *p, int64_t n) {
    MUST(*store_cut(s), "passages before store_cut_set");
    store_tx t;
    TRY(tx_begin(s, &t));
    return tx_end(s, t, put_passages(s, document, p, n));
}

/* ---- reading ---- */

#define PASSAGE_COLUMNS "id, document, ordinal, begin, end, n_title, hash, tokens"

/* The row as a passage whose tokens lie in *tokens (which grows). */
static status read_passage(store *s, sqlite3_stmt *q, int32_t **tokens, int64_t *cap,
                           store_passage *p) {
    *p = (store_passage){.id = sqlite3_column_int64(q, 0),
                         .document = sqlite3_column_int64(q, 1),
                         .ordinal = sqlite3_column_int64(q, 2),
                         .begin = sqlite3_column_int64(q, 3),
                         .end = sqlite3_column_int64(q, 4),
                         .n_title = sqlite3_column_int64(q, 5),
                         .hash = (uint64_t)sqlite3_column_int64(q, 6)};
    const uint8_t *bytes = sqlite3_column_blob(q, 7);
    size_t size = (size_t)sqlite3_column_bytes(q, 7);
    if (!tokens_unpack(bytes, size, tokens, cap, &p->n_tokens) || p->n_title > p->n_tokens)
        FAIL(ERR_FORMAT,
             "%s: the tokens of passage %lld are damaged; mend with: raglan check --repair",
             s->path, (long long)p->id);
    p->tokens = *tokens;
    return OK;
}

static status each_passage(store *s, sqlite3_stmt *q, store_passage_fn fn, void *arg) {
    int32_t *tokens = NULL;
    int64_t cap = 0;
    bool row = true;
    status st = OK;
    while (!st && !(st = sql_step(s, q, &row)) && row) {
        store_passage p;
        st = read_passage(s, q, &tokens, &cap, &p);
        if (!st) st = fn(arg, &p);
    }
    free(tokens);
    return st;
}

status store_each_passage(store *s, int64_t after, store_passage_fn fn, void *arg) {
    sqlite3_stmt *q;
    TRY(sql_new(s, "SELECT " PASSAGE_COLUMNS " FROM passages WHERE id > ?1 ORDER BY id", &q));
    sqlite3_bind_int64(q, 1, after);
    status st = each_passage(s, q, fn, arg);
    sqlite3_finalize(q);
    return st;
}

status store_each_passage_of(store *s, int64_t document, store_passage_fn fn, void *arg) {
    sqlite3_stmt *q;
    TRY(sql_new(s, "SELECT " PASSAGE_COLUMNS " FROM passages WHERE document = ?1 ORDER BY ordinal",
                &q));
    sqlite3_bind_int64(q, 1, document);
    status st = each_passage(s, q, fn, arg);
    sqlite3_finalize(q);
    return st;
}

status store_get_passage(store *s, int64_t id, arena *a, store_passage *out, bool *found) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT " PASSAGE_COLUMNS " FROM passages WHERE id = ?1", &q));
    sqlite3_bind_int64(q, 1, id);
    TRY(sql_step(s, q, found));
    if (!*found) return OK;
    int32_t *tokens = NULL;
    int64_t cap = 0;
    store_passage p;
    status st = read_passage(s, q, &tokens, &cap, &p);
    if (!st) {
        int32_t *kept = ARENA_ARRAY(a, int32_t, p.n_tokens + 1);
        if (p.n_tokens) memcpy(kept, tokens, (size_t)p.n_tokens * sizeof *kept);
        p.tokens = kept;
        *out = p;
    }
    free(tokens);
    sqlite3_reset(q);
    return st;
}

/* Bytes begin..end of a document's text, without reading the rest of it. */
static status read_text(store *s, const store_passage *p, arena *a, store_hit *h) {
    sqlite3_blob *blob;
    int rc = sqlite3_blob_open(s->db, "main", "documents", "text", p->document, 0, &blob);
    if (rc != SQLITE_OK) return sql_fail(s, rc, "reading a text");
    status st = OK;
    if (p->begin < 0 || p->end < p->begin || p->end > sqlite3_blob_bytes(blob)) {
        st = err_set(
            ERR_FORMAT, __FILE__, __LINE__,
            "%s: passage %lld lies outside its document's text; mend with: raglan check --repair",
            s->path, (long long)p->id);
    } else {
        h->text_bytes = (size_t)(p->end - p->begin);
        char *text = arena_push(a, h->text_bytes + 1);
        rc = sqlite3_blob_read(blob, text, (int)h->text_bytes, (int)p->begin);
        if (rc != SQLITE_OK) st = sql_fail(s, rc, "reading a text");
        h->text = text;
    }
    sqlite3_blob_close(blob);
    return st;
}

static status get_hit(store *s, int64_t id, arena *a, store_hit *h, bool *found) {
    TRY(store_get_passage(s, id, a, &h->passage, found));
    if (!*found) return OK;
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT id, uri, title FROM documents WHERE key = ?1", &q));
    sqlite3_bind_int64(q, 1, h->passage.document);
    TRY(sql_step(s, q, found));
    if (!*found) return OK;
    h->id = arena_strdup(a, column_str(q, 0));
    h->uri = arena_strdup(a, column_str(q, 1));
    h->title = arena_strdup(a, column_str(q, 2));
    sqlite3_reset(q);
    return read_text(s, &h->passage, a, h);
}

status store_get_hit(store *s, int64_t id, arena *a, store_hit *out, bool *found) {
    store_hit h = {0};
    bool own = sqlite3_get_autocommit(s->db); /* one snapshot for its three queries */
    if (own) TRY(sql_run(s, "BEGIN"));
    status st = get_hit(s, id, a, &h, found);
    if (own) sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
    if (!st && *found) *out = h;
    return st;
}
