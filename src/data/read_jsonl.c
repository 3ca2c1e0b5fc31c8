/* raglan's own JSON lines (INTERFACE 3): a line with "question" is a question, one with "text" a
 * document. */
#include <string.h>

#include "data/ingest.h"
#include "util/json.h"

int jsonl_knows(const char *path, const char *head, size_t n);
status jsonl_read(ingest_file *f);

/* The first line is an object with a field that this form has. */
int jsonl_knows(const char *path, const char *head, size_t n) {
    (void)path;
    while (n && strchr(" \t\r\n", *head)) head++, n--;
    if (n == 0 || *head != '{') return 0;
    const char *end = memchr(head, '\n', n);
    size_t line = end ? (size_t)(end - head) : n;
    json_t *j = NULL;
    if (json_parse(head, line, path, &j)) {
        err_clear();
        return line == n && strstr(head, "\"text\"") ? 20 : 0; /* a line longer than the head */
    }
    bool document = json_is_string(json_object_get(j, "text"));
    bool question = json_is_string(json_object_get(j, "question"));
    json_decref(j);
    return question ? 40 : document ? 35 : 0;
}

/* A field as one line of JSON, NULL when absent. */
static char *line_of(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? json_line(v) : NULL;
}

/* A list of strings; a single string is taken as a list of one. */
static char *list_of(const json_t *o, const char *key) {
    json_t *v = json_object_get(o, key);
    if (!json_is_string(v)) return line_of(o, key);
    json_t *list = json_pack("[O]", v);
    char *s = json_line(list);
    json_decref(list);
    return s;
}

static status put_question(ingest_file *f, const json_t *j) {
    store_question q = {.id = json_str(j, "id", NULL),
                        .question = json_str(j, "question", ""),
                        .full_answer = json_str(j, "full_answer", NULL),
                        .kind = json_str(j, "kind", NULL),
                        .evidence = json_str(j, "evidence", NULL),
                        .unanswerable = json_flag(j, "unanswerable", false)};
    char *answers = list_of(j, "answers"), *documents = list_of(j, "documents");
    q.answers = answers;
    q.documents = documents;
    store_split file_split = f->split, own;
    if (!f->split_given && store_split_parse(json_str(j, "split", ""), &own)) f->split = own;
    status st = ingest_question(f, &q);
    f->split = file_split;
    free(answers);
    free(documents);
    return st;
}

static status put_document(ingest_file *f, const json_t *j) {
    char *meta = line_of(j, "meta");
    const char *text = json_str(j, "text", "");
    status st = ingest_document(f, &(store_document){.id = json_str(j, "id", NULL),
                                                     .uri = json_str(j, "uri", NULL),
                                                     .title = json_str(j, "title", NULL),
                                                     .text = text,
                                                     .text_bytes = strlen(text),
                                                     .meta = meta});
    free(meta);
    return st;
}

static status put_line(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which;
    ingest_file *f = arg;
    json_t *j = NULL;
    char what[64];
    snprintf(what, sizeof what, "line %ld", (long)line);
    if (json_parse(bytes, n, what, &j)) {
        ingest_skip_record(f, "%s", err_msg());
        return OK;
    }
    status st = OK;
    if (json_is_string(json_object_get(j, "question")))
        st = put_question(f, j);
    else if (json_is_string(json_object_get(j, "text")))
        st = put_document(f, j);
    else
        ingest_skip_record(
            f, "line %ld: wanted a document (with \"text\") or a question (with \"question\")",
            (long)line);
    json_decref(j);
    return st;
}

status jsonl_read(ingest_file *f) {
    reader *r = NULL;
    TRY(reader_open(f->path, &r));
    status st = json_scan(r, "", 0, put_line, f);
    reader_close(r);
    return st;
}
