/* The handle: opening and closing, transactions, settings, and figures of the whole. */
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store_int.h"
#include "util/file.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/shell.h"

/* ---- opening ---- */

/* A path as an SQLite URI of a file that cannot change: how a collection on a read-only disk
 * is read, where WAL could not make its shared memory. Caller frees. */
static char *immutable_uri(const char *path) {
    buf b = {0};
    buf_puts(&b, "file:");
    for (const char *p = path; *p; p++) {
        if (strchr("%?#", *p))
            buf_printf(&b, "%%%02X", (unsigned)*p);
        else
            buf_putc(&b, *p);
    }
    buf_puts(&b, "?immutable=1");
    return buf_steal(&b);
}

static int open_database(store *s, const char *name, int flags) {
    sqlite3_close(s->db);
    s->db = NULL;
    int rc = sqlite3_open_v2(name, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, 10000);
        rc = sqlite3_exec(s->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    return rc;
}

static status open_reader(store *s) {
    if (file_exists(s->home) && !file_is_folder(s->home))
        FAIL(ERR_IO, "%s: is a file, wanted the folder of a collection", s->home);
    if (access(s->path, F_OK) != 0 && errno != ENOENT)
        FAIL(ERR_IO, "%s: cannot be read: %s", s->path, strerror(errno));
    if (!file_exists(s->path))
        FAIL(ERR_STATE,
             "%s: holds no collection yet; add documents with: raglan ingest --save_dir %s PATH",
             s->home, s->home_word);
    int rc = open_database(s, s->path, SQLITE_OPEN_READONLY);
    int kind = rc & 0xff;
    if (kind == SQLITE_READONLY && access(s->home, W_OK) == 0) {
        /* a writer was killed while it made the file: its journal has to be taken back first */
        rc = open_database(s, s->path, SQLITE_OPEN_READWRITE);
        if (rc == SQLITE_OK) rc = open_database(s, s->path, SQLITE_OPEN_READONLY);
        kind = rc & 0xff;
    }
    if ((kind == SQLITE_CANTOPEN || kind == SQLITE_READONLY) && access(s->home, W_OK) != 0) {
        char *uri = immutable_uri(s->path);
        rc = open_database(s, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
        free(uri);
    }
    return rc == SQLITE_OK ? OK : sql_fail(s, rc, "opening");
}

static status open_writer(store *s) {
    TRY(file_make_folders(s->home));
    char *lock = xasprintf("%s/lock", s->home);
    status st = file_lock(lock, &s->lock);
    free(lock);
    TRY(st);
    int rc = open_database(s, s->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    return rc == SQLITE_OK ? OK : sql_fail(s, rc, "opening");
}

static status pragma_int(store *s, const char *sql, int64_t *out) {
    sqlite3_stmt *q;
    TRY(sql_new(s, sql, &q));
    status st = sql_int(s, q, out);
    sqlite3_finalize(q);
    return st;
}

/* Refuses what is not ours or not of our time, and brings older files up to date. */
static status settle_schema(store *s) {
    int64_t application, version, n_objects;
    TRY(pragma_int(s, "PRAGMA application_id", &application));
    TRY(pragma_int(s, "PRAGMA user_version", &version));
    TRY(pragma_int(s, "SELECT count(*) FROM sqlite_schema", &n_objects));
    if (n_objects == 0) version = 0;
    if (n_objects > 0 && application != STORE_APPLICATION_ID)
        FAIL(ERR_FORMAT,
             "%s: is another program's database, not a collection; name another --save_dir",
             s->path);
    int present = store_schema_version();
    if (version > present)
        FAIL(ERR_FORMAT,
             "%s: has schema version %lld, written by a newer raglan; this one (%s) knows up to "
             "%d: update raglan",
             s->path, (long long)version, RAGLAN_VERSION, present);
    if (version == present) return OK;
    if (s->mode == STORE_READ && version == 0)
        FAIL(ERR_STATE,
             "%s: holds no collection yet; add documents with: raglan ingest --save_dir %s PATH",
             s->home, s->home_word);
    if (s->mode == STORE_READ)
        FAIL(ERR_STATE,
             "%s: has schema version %lld, this raglan reads %d; bring it up to date with: raglan "
             "check --save_dir %s",
             s->path, (long long)version, present, s->home_word);
    TRY(store_migrate(s, (int)version));
    if (version)
        log_info("%s: brought from schema version %lld to %d", s->path, (long long)version,
                 present);
    return OK;
}

static status set_up(store *s) {
    if (s->mode == STORE_WRITE) {
        int64_t application, n_objects;
        TRY(pragma_int(s, "PRAGMA application_id", &application));
        TRY(pragma_int(s, "SELECT count(*) FROM sqlite_schema", &n_objects));
        bool ours = n_objects == 0 || application == STORE_APPLICATION_ID;
        if (ours) TRY(sql_run(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
    }
    TRY(sql_run(s, "PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY"));
    return settle_schema(s);
}

status store_open(const char *home, store_mode mode, store **out) {
    store *s = xcalloc(1, sizeof *s);
    s->home = xstrdup(home);
    s->home_word = shell_word(home);
    s->path = xasprintf("%s/%s", home, STORE_FILE);
    s->mode = mode;
    s->lock = -1;
    status st = mode == STORE_READ ? open_reader(s) : open_writer(s);
    if (!st) st = set_up(s);
    if (st) {
        store_close(s);
        return st;
    }
    *out = s;
    return OK;
}

void store_close(store *s) {
    if (!s) return;
    store_rollback(s);
    for (int i = 0; i < s->n_cache; i++) sqlite3_finalize(s->cache[i].stmt);
    int rc = sqlite3_close(s->db);
    MUST(rc == SQLITE_OK, "closing %s: %s", s->path, sqlite3_errstr(rc));
    if (s->lock >= 0) file_unlock(s->lock);
    free(s->cache);
    free(s->cut);
    free(s->home);
    free(s->home_word);
    free(s->path);
    free(s);
}

const char *store_home(const store *s) {
    return s->home;
}

/* ---- transactions ---- */

static bool in_transaction(const store *s) {
    return s->db && !sqlite3_get_autocommit(s->db);
}

status store_begin(store *s) {
    MUST(s->mode == STORE_WRITE, "a transaction on a store opened for reading");
    MUST(!in_transaction(s), "a transaction within a transaction");
    TRY(sql_run(s, "BEGIN IMMEDIATE"));
    s->broken = false;
    s->changes_at_begin = sqlite3_total_changes(s->db);
    return OK;
}

static status commit(store *s) {
    if (sqlite3_total_changes(s->db) != s->changes_at_begin)
        TRY(sql_run(s, "INSERT INTO settings VALUES('generation', '1') "
                       "ON CONFLICT DO UPDATE SET value = CAST(value + 1 AS TEXT)"));
    return sql_run(s, "COMMIT");
}

status store_commit(store *s) {
    if (s->broken || !in_transaction(s)) { /* SQLite itself rolls back when the disk is full */
        store_rollback(s);
        FAIL(ERR_IO,
             "%s: a write failed, so the transaction was taken back as a whole; repeat the command",
             s->path);
    }
    status st = commit(s);
    if (st) store_rollback(s);
    return st;
}

void store_rollback(store *s) {
    if (in_transaction(s)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->broken = false;
}

status tx_begin(store *s, store_tx *t) {
    MUST(s->mode == STORE_WRITE, "writing to a store opened for reading");
    t->own = !in_transaction(s);
    return t->own ? store_begin(s) : OK;
}

status tx_end(store *s, store_tx t, status st) {
    if (!t.own) {
        s->broken |= st != OK;
        return st;
    }
    if (!st) return store_commit(s);
    store_rollback(s);
    return st;
}

/* ---- settings ---- */

status store_set(store *s, const char *key, const char *value) {
    store_tx t;
    sqlite3_stmt *q;
    TRY(tx_begin(s, &t));
    status st = value ? sql_get(s, "INSERT OR REPLACE INTO settings VALUES(?1, ?2)", &q)
                      : sql_get(s, "DELETE FROM settings WHERE key = ?1", &q);
    if (!st) {
        bind_str(q, 1, key);
        if (value) bind_str(q, 2, value);
        st = sql_do(s, q);
    }
    return tx_end(s, t, st);
}

status store_get(store *s, const char *key, arena *a, char **value) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_get(s, "SELECT value FROM settings WHERE key = ?1", &q));
    bind_str(q, 1, key);
    TRY(sql_step(s, q, &row));
    *value = row ? arena_strdup(a, column_str(q, 0)) : NULL;
    sqlite3_reset(q);
    return OK;
}

status store_generation(store *s, int64_t *out) {
    sqlite3_stmt *q;
    TRY(sql_get(s,
                "SELECT coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE key = "
                "'generation'), 0)",
                &q));
    return sql_int(s, q, out);
}

/* ---- the whole ---- */

static status count_rows(store *s, store_counts *c) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT count(*) FROM passages", &q));
    TRY(sql_int(s, q, &c->passages));
    TRY(sql_get(s, "SELECT coalesce(sum(bytes), 0) FROM documents", &q));
    TRY(sql_int(s, q, &c->text_bytes));
    TRY(sql_get(s, "SELECT count(*) FROM documents", &q));
    TRY(sql_int(s, q, &c->documents));
    int64_t current;
    TRY(sql_get(s,
                "SELECT count(*) FROM documents WHERE cut = "
                "(SELECT id FROM cuts WHERE name = (SELECT value FROM settings WHERE key = 'cut'))",
                &q));
    TRY(sql_int(s, q, &current));
    c->stale = c->documents - current;
    return OK;
}

status store_count(store *s, store_counts *out) {
    store_counts c = {0};
    TRY(count_rows(s, &c));
    TRY(questions_count(s, &c));
    *out = c;
    return OK;
}

static status hash_rows(store *s, sqlite3_stmt *q, char hex[41]) {
    sha1 *h = sha1_new();
    bool row = true;
    status st = OK;
    while (!(st = sql_step(s, q, &row)) && row) {
        const char *id = column_str(q, 0), *hash = column_str(q, 1);
        sha1_add(h, id, strlen(id) + 1);
        sha1_add(h, hash, strlen(hash) + 1);
    }
    char sum[41];
    sha1_end(h, sum);
    if (!st) memcpy(hex, sum, sizeof sum);
    return st;
}

status store_documents_hash(store *s, char hex[41]) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT id, hash FROM documents ORDER BY id", &q));
    return hash_rows(s, q, hex);
}

status store_questions_hash(store *s, store_split split, char hex[41]) {
    sqlite3_stmt *q;
    TRY(questions_select(s, "SELECT id, hash FROM questions", split, "ORDER BY id", &q));
    status st = hash_rows(s, q, hex);
    sqlite3_finalize(q);
    return st;
}

status store_data_hash(store *s, char hex[41]) {
    char both[82];
    TRY(store_documents_hash(s, both));
    TRY(store_questions_hash(s, SPLIT_ALL, both + 41));
    sha1_hex(both, sizeof both, hex);
    return OK;
}

status store_compact(store *s, int64_t *freed) {
    MUST(s->mode == STORE_WRITE && !in_transaction(s),
         "compact needs a writer without a transaction");
    int64_t before = file_size(s->path);
    TRY(sql_run(s, "PRAGMA wal_checkpoint(TRUNCATE)"));
    TRY(sql_run(s, "VACUUM"));
    TRY(sql_run(s, "PRAGMA wal_checkpoint(TRUNCATE)"));
    *freed = before - file_size(s->path);
    return OK;
}
