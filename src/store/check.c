/* Looking for damage, and mending what can be mended.
 *
 * Truth is a document's text and a question; everything else here follows from it. Repair thus
 * only ever removes passages (their documents become "not cut" and the next index makes them
 * anew), stray names, and rebuilds the database's own indexes. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"
#include "util/hash.h"

typedef struct checker {
    store *s;
    bool repair;
    void (*tell)(void *arg, const char *sentence);
    void *arg;
    int64_t found, mended;
    int64_t *recut; /* [n_recut] documents whose passages are to go */
    int64_t n_recut, cap_recut;
} checker;

__attribute__((format(printf, 3, 4))) static void problem(checker *c, bool mends, const char *fmt,
                                                          ...) {
    va_list ap;
    buf b = {0};
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (c->tell) c->tell(c->arg, b.at);
    buf_clear(&b);
    c->found++;
    c->mended += mends && c->repair;
}

static void cut_again(checker *c, int64_t document) {
    if (c->n_recut && c->recut[c->n_recut - 1] == document) return;
    GROW(c->recut, c->n_recut, c->cap_recut);
    c->recut[c->n_recut++] = document;
}

/* ---- the database itself ---- */

/* Problems the database reports of itself, at most 20; tells of them if `loud`. */
static status integrity(checker *c, bool loud, int64_t *n) {
    sqlite3_stmt *q;
    bool row = true;
    *n = 0;
    TRY(sql_new(c->s, "PRAGMA integrity_check(20)", &q));
    status st = OK;
    while (!(st = sql_step(c->s, q, &row)) && row) {
        const char *line = column_str(q, 0);
        if (strcmp(line, "ok") == 0) continue;
        ++*n;
        if (loud) problem(c, false, "the database reports: %s", line);
    }
    sqlite3_finalize(q);
    return st;
}

static status check_database(checker *c) {
    int64_t n = 0, n_left = 0;
    TRY(integrity(c, true, &n));
    if (!n || !c->repair) return OK;
    TRY(sql_run(c->s, "REINDEX"));
    TRY(integrity(c, false, &n_left));
    c->mended += n - n_left > 0 ? n - n_left : 0;
    return OK;
}

/* ---- documents ---- */

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && (s[i] < '\t' || s[i] > '\r')) return false;
    return true;
}

static status trust_text(checker *c, int64_t key, const char *hash, size_t bytes) {
    if (!c->repair) return OK;
    sqlite3_stmt *q;
    cut_again(c, key);
    TRY(sql_get(c->s, "UPDATE documents SET hash = ?2, bytes = ?3 WHERE key = ?1", &q));
    sqlite3_bind_int64(q, 1, key);
    bind_str(q, 2, hash);
    sqlite3_bind_int64(q, 3, (int64_t)bytes);
    return sql_do(c->s, q);
}

typedef struct document_facts {
    int64_t cut, bytes, n_passages, first, last;
} document_facts;

static status facts_of(store *s, int64_t key, document_facts *f) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_get(s,
                "SELECT d.cut, d.bytes, count(p.id), coalesce(min(p.ordinal), 0), "
                "coalesce(max(p.ordinal), -1) "
                "FROM documents d LEFT JOIN passages p ON p.document = d.key WHERE d.key = ?1",
                &q));
    sqlite3_bind_int64(q, 1, key);
    TRY(sql_step(s, q, &row));
    *f = (document_facts){sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1),
                          sqlite3_column_int64(q, 2), sqlite3_column_int64(q, 3),
                          sqlite3_column_int64(q, 4)};
    sqlite3_reset(q);
    return OK;
}

static status check_document(void *arg, const store_document *d) {
    checker *c = arg;
    document_facts f;
    char hash[41];
    TRY(facts_of(c->s, d->key, &f));
    sha1_hex(d->text, d->text_bytes, hash);
    if (strcmp(hash, d->hash) != 0 || f.bytes != (int64_t)d->text_bytes) {
        problem(c, true,
                "document %s: its text is not the one that was stored (%lld bytes, now %zu); "
                "ingest it again",
                d->id, (long long)f.bytes, d->text_bytes);
        TRY(trust_text(c, d->key, hash, d->text_bytes));
    }
    if (f.cut && !f.n_passages && !is_blank(d->text, d->text_bytes)) {
        problem(c, true, "document %s: has lost its passages", d->id);
        cut_again(c, d->key);
    }
    if (f.n_passages && (f.first != 0 || f.last != f.n_passages - 1)) {
        problem(c, true, "document %s: has %lld passage%s numbered %lld to %lld", d->id,
                (long long)f.n_passages, plural(f.n_passages), (long long)f.first,
                (long long)f.last);
        cut_again(c, d->key);
    }
    return OK;
}

/* ---- passages ---- */

static status check_passage(checker *c, sqlite3_stmt *q, int32_t **tokens, int64_t *cap) {
    int64_t id = sqlite3_column_int64(q, 0), document = sqlite3_column_int64(q, 1);
    int64_t begin = sqlite3_column_int64(q, 2), end = sqlite3_column_int64(q, 3), n;
    if (sqlite3_column_type(q, 7) == SQLITE_NULL) {
        problem(c, true, "passage %lld: its document is not there", (long long)id);
        return OK; /* removed below, all at once */
    }
    int64_t bytes = sqlite3_column_int64(q, 7);
    const uint8_t *blob = sqlite3_column_blob(q, 6);
    if (begin < 0 || end < begin || end > bytes) {
        problem(c, true, "passage %lld: claims bytes %lld to %lld of a text of %lld", (long long)id,
                (long long)begin, (long long)end, (long long)bytes);
        cut_again(c, document);
    } else if (!tokens_unpack(blob, (size_t)sqlite3_column_bytes(q, 6), tokens, cap, &n) ||
               hash64(*tokens, (size_t)n * sizeof **tokens) !=
                   (uint64_t)sqlite3_column_int64(q, 5) ||
               sqlite3_column_int64(q, 4) > n) {
        problem(c, true, "passage %lld: its tokens are not those that were stored", (long long)id);
        cut_again(c, document);
    }
    return OK;
}

static status check_passages(checker *c) {
    sqlite3_stmt *q;
    TRY(sql_new(c->s,
                "SELECT p.id, p.document, p.begin, p.end, p.n_title, p.hash, p.tokens, d.bytes "
                "FROM passages p LEFT JOIN documents d ON d.key = p.document ORDER BY p.id",
                &q));
    int32_t *tokens = NULL;
    int64_t cap = 0;
    bool row = true;
    status st = OK;
    while (!st && !(st = sql_step(c->s, q, &row)) && row) st = check_passage(c, q, &tokens, &cap);
    free(tokens);
    sqlite3_finalize(q);
    return st;
}

/* ---- the rest ---- */

static status check_names(checker *c) {
    sqlite3_stmt *q;
    int64_t n;
    TRY(sql_get(c->s, "SELECT count(*) FROM uris WHERE document NOT IN (SELECT key FROM documents)",
                &q));
    TRY(sql_int(c->s, q, &n));
    if (n) problem(c, true, "%lld uri%s of documents that are not there", (long long)n, plural(n));
    return OK;
}

static status mend(checker *c) {
    TRY(sql_run(c->s, "DELETE FROM passages WHERE document NOT IN (SELECT key FROM documents);"
                      "DELETE FROM uris WHERE document NOT IN (SELECT key FROM documents)"));
    for (int64_t i = 0; i < c->n_recut; i++) TRY(remove_passages(c->s, c->recut[i], NULL));
    return OK;
}

static status check_all(checker *c) {
    TRY(check_database(c));
    TRY(store_each_document(c->s, 0, check_document, c));
    TRY(check_passages(c));
    TRY(check_names(c));
    return c->repair && c->found ? mend(c) : OK;
}

status store_check(store *s, bool repair, void (*tell)(void *arg, const char *sentence), void *arg,
                   int64_t *found, int64_t *mended) {
    checker c = {.s = s, .repair = repair, .tell = tell, .arg = arg};
    store_tx t = {0};
    status st = repair ? tx_begin(s, &t) : OK;
    if (!st) {
        st = check_all(&c);
        if (repair) st = tx_end(s, t, st);
    }
    free(c.recut);
    if (st) return st;
    *found = c.found;
    *mended = c.mended;
    return OK;
}
