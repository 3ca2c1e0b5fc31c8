/* The schema, as the steps that made it: step i leads from version i to i + 1. A new file takes
 * all of them; an old one those it lacks, all in one transaction. Steps are never edited once
 * released; a change is a new step. PRAGMA user_version holds the version.
 *
 * Wide columns stand last in their tables, so that scans of the narrow ones do not read them. */
#include <string.h>

#include "store/store_int.h"

/* 0 -> 1: the collection. cut 0: not cut yet. tenth_*: does a hash of the question's document
 * (of its id) fall into the tenth that may serve as dev? */
static const char step_first[] =
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE cuts(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE documents("
    "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE, id_given INTEGER NOT NULL,"
    "  hash TEXT NOT NULL, cut INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL,"
    "  uri TEXT NOT NULL, title TEXT NOT NULL, path TEXT NOT NULL, format TEXT NOT NULL,"
    "  meta TEXT NOT NULL, text TEXT NOT NULL);"
    "CREATE INDEX documents_cut ON documents(cut);"
    "CREATE INDEX documents_path ON documents(path);"
    "CREATE TABLE passages("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL, ordinal INTEGER NOT NULL,"
    "  begin INTEGER NOT NULL, end INTEGER NOT NULL, n_title INTEGER NOT NULL,"
    "  hash INTEGER NOT NULL, tokens BLOB NOT NULL);"
    "CREATE INDEX passages_document ON passages(document, ordinal);"
    "CREATE TABLE questions("
    "  key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    "  split INTEGER NOT NULL, hash TEXT NOT NULL,"
    "  tenth_document INTEGER NOT NULL, tenth_id INTEGER NOT NULL,"
    "  unanswerable INTEGER NOT NULL, kind TEXT NOT NULL, evidence TEXT NOT NULL,"
    "  path TEXT NOT NULL, format TEXT NOT NULL,"
    "  question TEXT NOT NULL, answers TEXT NOT NULL, documents TEXT NOT NULL,"
    "  full_answer TEXT NOT NULL);"
    "CREATE INDEX questions_split ON questions(split);"
    "CREATE INDEX questions_path ON questions(path);";

/* 1 -> 2: a document may be known by several uris (the same text met twice), and a question
 * may name a uri by its end. */
static const char step_uris[] =
    "CREATE TABLE uris(uri TEXT NOT NULL, document INTEGER NOT NULL, tail TEXT NOT NULL,"
    "  PRIMARY KEY(uri, document)) WITHOUT ROWID;"
    "CREATE INDEX uris_tail ON uris(tail);"
    "CREATE INDEX uris_document ON uris(document);"
    "INSERT INTO uris SELECT uri, key, uri_tail(uri) FROM documents WHERE uri != '';";

static const char *const steps[] = {step_first, step_uris};

int store_schema_version(void) {
    return (int)(sizeof steps / sizeof *steps);
}

const char *uri_tail(const char *uri) {
    const char *slash = strrchr(uri, '/');
    return slash ? slash + 1 : uri;
}

static void sql_uri_tail(sqlite3_context *c, int n, sqlite3_value **v) {
    (void)n;
    const char *uri = (const char *)sqlite3_value_text(v[0]);
    sqlite3_result_text(c, uri_tail(uri ? uri : ""), -1, SQLITE_TRANSIENT);
}

static status take_steps(store *s, int from) {
    for (int i = from; i < store_schema_version(); i++) TRY(sql_run(s, steps[i]));
    char *mark = sqlite3_mprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;",
                                 STORE_APPLICATION_ID, store_schema_version());
    status st = sql_run(s, mark);
    sqlite3_free(mark);
    return st;
}

status store_migrate(store *s, int from) {
    sqlite3_create_function(s->db, "uri_tail", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                            sql_uri_tail, NULL, NULL);
    store_tx t;
    TRY(tx_begin(s, &t));
    return tx_end(s, t, take_steps(s, from));
}
