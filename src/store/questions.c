/* Questions: put by id, served by split, led to the documents they name.
 *
 * The tenth. Where nobody marked questions as dev, a tenth of the train questions serve as dev.
 * They are chosen by a hash of the document they are about, so that no document has questions
 * on both sides; where that leaves one side with nearly nothing (few documents), by a hash of
 * the question's id. Both choices are made when the question is put, and kept. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/unicode.h"

const char *store_split_name(store_split split) {
    static const char *const names[] = {"train", "dev", "test", "all"};
    MUST((int)split >= 0 && split <= SPLIT_ALL, "split %d", (int)split);
    return names[split];
}

bool store_split_parse(const char *name, store_split *out) {
    static const struct {
        const char *name;
        store_split split;
    } known[] = {{"train", SPLIT_TRAIN},    {"training", SPLIT_TRAIN}, {"dev", SPLIT_DEV},
                 {"validation", SPLIT_DEV}, {"valid", SPLIT_DEV},      {"eval", SPLIT_DEV},
                 {"test", SPLIT_TEST}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        *out = known[i].split;
        return true;
    }
    return false;
}

/* ---- putting ---- */

static status check_list(const char *json, const char *id, const char *field, json_t **out) {
    json_t *list;
    TRY(json_parse(json, strlen(json), field, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i))) {
            json_decref(list);
            FAIL(ERR_ARG, "question %s: %s[%zu] is not a string", id, field, i);
        }
    if (!json_is_array(list)) {
        json_decref(list);
        FAIL(ERR_ARG, "question %s: %s is not an array of strings", id, field);
    }
    *out = list;
    return OK;
}

/* All fields as strings, none NULL. */
static store_question plain_question(const store_question *q) {
    store_question p = *q;
    const char **none[] = {&p.full_answer, &p.kind, &p.evidence, &p.path, &p.format};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (!*none[i]) *none[i] = "";
    if (!p.answers) p.answers = "[]";
    if (!p.documents) p.documents = "[]";
    return p;
}

static void hash_strings(const char *const *strings, int n, char hex[41]) {
    sha1 *h = sha1_new();
    for (int i = 0; i < n; i++) sha1_add(h, strings[i], strlen(strings[i]) + 1);
    sha1_end(h, hex);
}

static void hash_question(const store_question *q, char hex[41]) {
    const char *const fields[] = {
        store_split_name(q->split),  q->question, q->answers, q->documents, q->full_answer, q->kind,
        q->unanswerable ? "1" : "0", q->evidence};
    hash_strings(fields, (int)(sizeof fields / sizeof *fields), hex);
}

static bool in_tenth(const char *s) {
    return hash64(s, strlen(s)) % 10 == 0;
}

static status write_question(store *s, const store_question *p, const char *hash,
                             const char *about) {
    sqlite3_stmt *q;
    TRY(sql_get(
        s,
        "INSERT INTO questions(id, split, hash, tenth_document, tenth_id, unanswerable, kind, "
        "evidence, "
        "  path, format, question, answers, documents, full_answer) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) "
        "ON CONFLICT(id) DO UPDATE SET split = ?2, hash = ?3, tenth_document = ?4, tenth_id = ?5, "
        "  unanswerable = ?6, kind = ?7, evidence = ?8, path = ?9, format = ?10, question = ?11, "
        "  answers = ?12, documents = ?13, full_answer = ?14",
        &q));
    bind_str(q, 1, p->id);
    sqlite3_bind_int(q, 2, (int)p->split);
    bind_str(q, 3, hash);
    sqlite3_bind_int(q, 4, in_tenth(about));
    sqlite3_bind_int(q, 5, in_tenth(p->id));
    sqlite3_bind_int(q, 6, p->unanswerable);
    const char *const rest[] = {p->kind,     p->evidence, p->path,      p->format,
                                p->question, p->answers,  p->documents, p->full_answer};
    for (int i = 0; i < 8; i++) bind_str(q, 7 + i, rest[i]);
    return sql_do(s, q);
}

static status put_question(store *s, const store_question *p, const char *about,
                           store_change *change, int64_t *key) {
    char hash[41];
    sqlite3_stmt *q;
    bool row;
    hash_question(p, hash);
    TRY(sql_get(s, "SELECT hash, path, format, key FROM questions WHERE id = ?1", &q));
    bind_str(q, 1, p->id);
    TRY(sql_step(s, q, &row));
    *change = !row                                  ? STORE_ADDED
              : strcmp(column_str(q, 0), hash) == 0 ? STORE_UNCHANGED
                                                    : STORE_REPLACED;
    bool same_source =
        row && strcmp(column_str(q, 1), p->path) == 0 && strcmp(column_str(q, 2), p->format) == 0;
    *key = sqlite3_column_int64(q, 3);
    sqlite3_reset(q);
    if (*change == STORE_UNCHANGED && same_source) return OK;
    TRY(write_question(s, p, hash, about));
    if (!row) *key = sqlite3_last_insert_rowid(s->db);
    return OK;
}

status store_put_question(store *s, const store_question *question, store_change *change,
                          int64_t *key) {
    MUST((int)question->split >= 0 && question->split < N_SPLITS, "split %d", (int)question->split);
    store_question p = plain_question(question);
    char id[41];
    const char *const identity[] = {p.question, p.documents};
    hash_strings(identity, 2, id);
    if (!p.id || !*p.id) p.id = id;
    int64_t bad = utf8_invalid_at(p.question, strlen(p.question));
    if (bad >= 0) FAIL(ERR_ARG, "question %s: is not UTF-8 at byte %lld", p.id, (long long)bad);
    json_t *answers, *documents;
    TRY(check_list(p.answers, p.id, "answers", &answers));
    json_decref(answers);
    TRY(check_list(p.documents, p.id, "documents", &documents));
    const char *first = json_string_value(json_array_get(documents, 0));
    const char *about = *p.evidence ? p.evidence : first ? first : p.id;
    store_change what = STORE_UNCHANGED;
    int64_t row = 0;
    store_tx t;
    status st = tx_begin(s, &t);
    if (!st) st = tx_end(s, t, put_question(s, &p, about, &what, &row));
    json_decref(documents);
    if (!st) *change = what;
    if (!st && key) *key = row;
    return st;
}

/* ---- serving ---- */

/* The column that marks train questions served as dev; NULL where none is: dev questions are
 * marked, or there are too few questions. */
static status tenth_column(store *s, const char **column) {
    sqlite3_stmt *q;
    bool row;
    *column = NULL;
    TRY(sql_get(
        s,
        "SELECT coalesce(sum(split = 1), 0), coalesce(sum(split = 0), 0), "
        "coalesce(sum(split = 0 AND tenth_document), 0), coalesce(sum(split = 0 AND tenth_id), 0) "
        "FROM questions",
        &q));
    TRY(sql_step(s, q, &row));
    int64_t dev = sqlite3_column_int64(q, 0), train = sqlite3_column_int64(q, 1);
    int64_t by_document = sqlite3_column_int64(q, 2), by_id = sqlite3_column_int64(q, 3);
    sqlite3_reset(q);
    if (dev) return OK;
    if (by_document > 0 && 4 * by_document <= train)
        *column = "tenth_document";
    else if (by_id > 0 && 2 * by_id <= train)
        *column = "tenth_id";
    return OK;
}

status questions_select(store *s, const char *head, store_split split, const char *tail,
                        sqlite3_stmt **out) {
    const char *column;
    char where[64] = "split >= 0";
    TRY(tenth_column(s, &column));
    if (split == SPLIT_TEST || (split != SPLIT_ALL && !column))
        sqlite3_snprintf(sizeof where, where, "split = %d", (int)split);
    else if (split != SPLIT_ALL)
        sqlite3_snprintf(sizeof where, where, "split = 0 AND %s = %d", column, split == SPLIT_DEV);
    char *sql = xasprintf("%s WHERE %s %s", head, where, tail);
    status st = sql_new(s, sql, out);
    free(sql);
    return st;
}

status questions_count(store *s, store_counts *c) {
    for (int split = 0; split < N_SPLITS; split++) {
        sqlite3_stmt *q;
        TRY(sql_get(s, "SELECT count(*) FROM questions WHERE split = ?1", &q));
        sqlite3_bind_int(q, 1, split);
        TRY(sql_int(s, q, &c->questions[split]));
        TRY(questions_select(s, "SELECT count(*) FROM questions", (store_split)split, "", &q));
        status st = sql_int(s, q, &c->served[split]);
        sqlite3_finalize(q);
        TRY(st);
    }
    return OK;
}

#define QUESTION_COLUMNS                                                                           \
    "key, id, split, question, answers, documents, full_answer, kind, unanswerable, evidence, "    \
    "path, format"

static void read_question(sqlite3_stmt *q, store_question *out) {
    *out = (store_question){.key = sqlite3_column_int64(q, 0),
                            .id = column_str(q, 1),
                            .split = (store_split)sqlite3_column_int(q, 2),
                            .question = column_str(q, 3),
                            .answers = column_str(q, 4),
                            .documents = column_str(q, 5),
                            .full_answer = column_str(q, 6),
                            .kind = column_str(q, 7),
                            .unanswerable = sqlite3_column_int(q, 8),
                            .evidence = column_str(q, 9),
                            .path = column_str(q, 10),
                            .format = column_str(q, 11)};
}

status store_find_question(store *s, const char *id, arena *a, store_question *out, bool *found) {
    sqlite3_stmt *q;
    TRY(sql_get(s, "SELECT " QUESTION_COLUMNS " FROM questions WHERE id = ?1", &q));
    bind_str(q, 1, id);
    TRY(sql_step(s, q, found));
    if (!*found) return OK;
    read_question(q, out);
    const char **texts[] = {&out->id,        &out->question,    &out->answers,
                            &out->documents, &out->full_answer, &out->kind,
                            &out->evidence,  &out->path,        &out->format};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = arena_strdup(a, *texts[i]);
    sqlite3_reset(q);
    return OK;
}

/* Row by row, each by a query of its own, so that fn may write. */
status store_each_question(store *s, store_split split, store_question_fn fn, void *arg) {
    sqlite3_stmt *q;
    TRY(questions_select(s, "SELECT " QUESTION_COLUMNS " FROM questions", split,
                         "AND key > ?1 ORDER BY key LIMIT 1", &q));
    status st = OK;
    int64_t after = 0;
    for (bool row = true; !st;) {
        sqlite3_reset(q);
        sqlite3_bind_int64(q, 1, after);
        st = sql_step(s, q, &row);
        if (st || !row) break;
        store_question question;
        read_question(q, &question);
        if (split != SPLIT_ALL) question.split = split;
        after = question.key;
        st = fn(arg, &question);
    }
    sqlite3_finalize(q);
    return st;
}

/* ---- what a question is about ---- */

static int by_key(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static status add_named(store *s, const char *name, arena *scratch, int64_t **keys, int64_t *n,
                        int64_t *cap, int64_t *missing) {
    int64_t *found, n_found;
    TRY(store_resolve(s, name, scratch, &found, &n_found));
    for (int64_t i = 0; i < n_found; i++) {
        GROW(*keys, *n, *cap);
        (*keys)[(*n)++] = found[i];
    }
    *missing += n_found == 0;
    return OK;
}

static status collect_keys(store *s, const store_question *q, arena *scratch, int64_t **keys,
                           int64_t *n, int64_t *missing) {
    int64_t cap = 0;
    if (q->evidence && *q->evidence) {
        TRY(add_named(s, q->evidence, scratch, keys, n, &cap, missing));
        if (*n) return OK;
        *missing = 0;
    }
    json_t *names;
    TRY(check_list(q->documents ? q->documents : "[]", q->id ? q->id : "", "documents", &names));
    status st = OK;
    for (size_t i = 0; !st && i < json_array_size(names); i++)
        st = add_named(s, json_string_value(json_array_get(names, i)), scratch, keys, n, &cap,
                       missing);
    json_decref(names);
    return st;
}

status store_question_documents(store *s, const store_question *q, arena *a, int64_t **out,
                                int64_t *n_out, int64_t *missing) {
    int64_t *keys = NULL, n = 0, n_missing = 0;
    status st = collect_keys(s, q, a, &keys, &n, &n_missing);
    if (!st) {
        if (n) qsort(keys, (size_t)n, sizeof *keys, by_key);
        int64_t *kept = ARENA_ARRAY(a, int64_t, n + 1), m = 0;
        for (int64_t i = 0; i < n; i++)
            if (!m || kept[m - 1] != keys[i]) kept[m++] = keys[i];
        *out = kept;
        *n_out = m;
        if (missing) *missing = n_missing;
    }
    free(keys);
    return st;
}
