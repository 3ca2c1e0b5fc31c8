/* SQL in a few verbs, and what SQLite's refusals mean to a person. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

status sql_fail(const store *s, int rc, const char *doing) {
    const char *reason = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        FAIL(ERR_IO,
             "%s: the disk is full (%s); free some space and repeat the command: what was "
             "committed is safe",
             s->path, doing);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        FAIL(ERR_IO, "%s: cannot be written (%s: %s); check its permissions", s->path, doing,
             reason);
    case SQLITE_ERROR: /* our SQL is tested: it is the schema that is not as we made it */
        FAIL(ERR_FORMAT,
             "%s: is not as a collection should be (%s: %s); move it away and ingest again",
             s->path, doing, reason);
    case SQLITE_NOTADB:
        FAIL(ERR_FORMAT, "%s: is not a database; move it away, or name another --save_dir",
             s->path);
    case SQLITE_CORRUPT:
        FAIL(ERR_FORMAT, "%s: is damaged (%s: %s); %s", s->path, doing, reason,
             strcmp(doing, "opening")
                 ? "see what is left with: raglan check --repair"
                 : "put it back from a copy, or move it away and ingest again");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        FAIL(ERR_BUSY, "%s: is held by another process (%s); repeat the command", s->path, doing);
    case SQLITE_NOMEM:
        FAIL(ERR_MEM, "%s: out of memory (%s)", s->path, doing);
    case SQLITE_IOERR: {
        int e = s->db ? sqlite3_system_errno(s->db) : 0;
        FAIL(ERR_IO,
             "%s: %s failed (%s: %s); repeat the command when that is mended: what was committed "
             "is safe",
             s->path, doing, reason, e ? strerror(e) : "no more is known");
    }
    case SQLITE_CANTOPEN:
        FAIL(ERR_IO, "%s: cannot be opened (%s); check its permissions and its folder's", s->path,
             reason);
    default:
        FAIL(ERR_IO, "%s: %s failed: %s", s->path, doing, reason);
    }
}

status sql_new(store *s, const char *sql, sqlite3_stmt **out) {
    int rc = sqlite3_prepare_v3(s->db, sql, -1, 0, out, NULL);
    return rc == SQLITE_OK ? OK : sql_fail(s, rc, "reading the schema");
}

status sql_get(store *s, const char *sql, sqlite3_stmt **out) {
    for (int i = 0; i < s->n_cache; i++) {
        if (s->cache[i].sql != sql) continue;
        *out = s->cache[i].stmt;
        sqlite3_reset(*out);
        sqlite3_clear_bindings(*out);
        return OK;
    }
    sqlite3_stmt *q;
    TRY(sql_new(s, sql, &q));
    GROW(s->cache, s->n_cache, s->cap_cache);
    s->cache[s->n_cache++] = (cached_sql){sql, q};
    *out = q;
    return OK;
}

status sql_step(store *s, sqlite3_stmt *q, bool *row) {
    int rc = sqlite3_step(q);
    *row = rc == SQLITE_ROW;
    if (*row) return OK;
    status st =
        rc == SQLITE_DONE ? OK : sql_fail(s, rc, sqlite3_stmt_readonly(q) ? "reading" : "writing");
    sqlite3_reset(q);
    return st;
}

status sql_do(store *s, sqlite3_stmt *q) {
    bool row;
    TRY(sql_step(s, q, &row));
    MUST(!row, "a row from: %s", sqlite3_sql(q));
    return OK;
}

status sql_run(store *s, const char *sql) {
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : sql_fail(s, rc, "writing");
}

status sql_int(store *s, sqlite3_stmt *q, int64_t *out) {
    bool row;
    TRY(sql_step(s, q, &row));
    MUST(row, "no row from: %s", sqlite3_sql(q));
    *out = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return OK;
}

void bind_str(sqlite3_stmt *q, int i, const char *text) {
    sqlite3_bind_text(q, i, text ? text : "", -1, SQLITE_STATIC);
}

const char *column_str(sqlite3_stmt *q, int i) {
    const char *text = (const char *)sqlite3_column_text(q, i);
    return text ? text : "";
}
