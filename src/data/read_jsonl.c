/* raglan's own JSON lines: a line with "question" is a question, one with "text" a document:
 *
 *   {"id", "title", "text", "uri", "meta": {}}                          only text is required
 *   {"id", "question", "answers": [], "documents": [], "full_answer", "kind", "evidence",
 *    "unanswerable", "split"}                                           only question is */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/ingest.h"
#include "data/lines.h"
#include "util/json.h"
#include "util/unicode.h"

/* ---- whose lines these are ---- */

static bool has_ending(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcasecmp(path + n - m, ending) == 0;
}

/* The first of the names that the object has; NULL: none. The first name is raglan's own, the
 * others are those of sets of the same shape (FlashRAG, Tevatron). */
static json_t *field(const json_t *o, const char *const *names) {
    json_t *v = NULL;
    for (; *names && !v; names++) v = json_object_get(o, *names);
    return json_is_null(v) ? NULL : v;
}
static const char *const text_names[] = {"text", "contents", NULL};
static const char *const answer_names[] = {"answers", "golden_answers", "answer", NULL};
static const char *const document_names[] = {"documents", "positive", "positive_document_ids",
                                             NULL};

/* The first record is an object with a field that this form has. */
int jsonl_knows(const ingest_head *h) {
    const char *head = h->at;
    int by_name = has_ending(h->path, ".jsonl") || has_ending(h->path, ".jsonl.gz") ? 10 : 0;
    head += strspn(head, "\xEF\xBB\xBF \t\r\n[");
    if (*head != '{') return 0;
    json_error_t e;
    json_t *j = json_load_record(head, strlen(head), JSON_DISABLE_EOF_CHECK, &e);
    if (!j) /* a record longer than the head, or a broken one */
        return strstr(head, "\"text\"") && strlen(head) > 60000 ? 20 : by_name;
    const json_t *answers = field(j, answer_names);
    bool question = json_is_string(json_object_get(j, "question")) &&
                    (!answers || json_is_array(answers) || json_is_string(answers));
    bool document = json_is_string(field(j, text_names));
    json_decref(j);
    return question ? 40 : document ? 35 : 0;
}

/* ---- records ---- */

/* A field as one line of JSON, NULL when absent. */
static char *line_of(const json_t *v) {
    return v ? json_line(v) : NULL;
}

/* A list of strings; a single string is taken as a list of one. */
static char *list_of(json_t *v) {
    if (!json_is_string(v)) return line_of(v);
    json_t *list = json_pack("[O]", v);
    char *s = json_line(list);
    json_decref(list);
    return s;
}

/* An id that is a number is taken as written. */
static char *id_of(const json_t *j) {
    const json_t *id = json_object_get(j, "id");
    if (json_is_string(id)) return xstrdup(json_string_value(id));
    return json_is_integer(id) ? json_line(id) : NULL;
}

/* A split that is misspelled must not become train: its questions may be those of a test. */
static status put_question(ingest_file *f, const json_t *j) {
    const char *split = json_str(j, "split", "");
    store_split file_split = f->split, own = f->split;
    if (!f->split_given && *split && !store_split_parse(split, &own)) {
        ingest_counts_of(f)->questions.skipped++;
        ingest_skip_record(f, "split '%.40s', wanted train, dev or test; or say --split", split);
        return OK;
    }
    char *id = id_of(j), *answers = list_of(field(j, answer_names));
    char *documents = list_of(field(j, document_names));
    store_question q = {.id = id,
                        .question = json_str(j, "question", ""),
                        .answers = answers,
                        .documents = documents,
                        .full_answer = json_str(j, "full_answer", NULL),
                        .kind = json_str(j, "kind", NULL),
                        .evidence = json_str(j, "evidence", NULL),
                        .unanswerable = json_flag(j, "unanswerable", false)};
    f->split = own;
    status st = ingest_question(f, &q);
    f->split = file_split;
    free(id);
    free(answers);
    free(documents);
    return st;
}

static status put_document(ingest_file *f, const json_t *j) {
    char *id = id_of(j), *meta = line_of(json_object_get(j, "meta"));
    const char *text = json_string_value(field(j, text_names));
    status st = ingest_document(f, &(store_document){.id = id,
                                                     .uri = json_str(j, "uri", NULL),
                                                     .title = json_str(j, "title", NULL),
                                                     .text = text,
                                                     .text_bytes = strlen(text),
                                                     .meta = meta});
    free(id);
    free(meta);
    return st;
}

static status skip_line(ingest_file *f, const char *why) {
    ingest_counts_of(f)->documents.skipped++;
    ingest_skip_record(f, "%s", why);
    return OK;
}

static status skip_broken(ingest_file *f, const char *bytes, size_t n, const json_error_t *e) {
    char why[256];
    int64_t bad = utf8_invalid_at(bytes, n);
    if (bad >= 0)
        snprintf(why, sizeof why,
                 "not UTF-8 (byte %lld is malformed); convert the file, for "
                 "example with iconv",
                 (long long)bad);
    else
        snprintf(why, sizeof why, "not JSON: %s (column %d)", e->text, e->column);
    return skip_line(f, why);
}

static status put_record(ingest_file *f, const char *bytes, size_t n, int64_t line) {
    json_error_t e; /* counts lines from the record; ours is the file's */
    json_t *j = json_load_record(bytes, n, 0, &e);
    f->line = line;
    if (!j) return skip_broken(f, bytes, n, &e);
    status st;
    if (json_is_string(json_object_get(j, "question")))
        st = put_question(f, j);
    else if (json_is_string(field(j, text_names)))
        st = put_document(f, j);
    else
        st = skip_line(f, "wanted a document (with \"text\") or a question (with \"question\")");
    json_decref(j);
    return st;
}

static status put_line(void *arg, const char *bytes, size_t n, int64_t number) {
    ingest_file *f = arg;
    f->line = number;
    return bytes ? put_record(f, bytes, n, number)
                 : skip_line(f, "is longer than 64 MiB; cut it into several records");
}

static status put_value(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which;
    return put_record(arg, bytes, n, line);
}

/* Lines, as a rule: a broken one costs itself alone. An array of the same objects, and objects
 * that are spread over several lines, are read by the scanner. */
status jsonl_read(ingest_file *f) {
    const char *head;
    size_t n;
    TRY(reader_peek(f->r, &head, &n));
    while (n && memchr("\xEF\xBB\xBF \t\r\n", *head, 7)) head++, n--;
    bool spread = n > 1 && *head == '{' && (head[1] == '\n' || head[1] == '\r');
    bool array = n && *head == '[';
    status st = array || spread ? json_scan(f->r, array ? "*" : "", 0, put_value, f)
                                : lines_each(f->r, 0, put_line, f);
    f->line = 0;
    return st;
}
