/* Dense Passage Retrieval's files (Karpukhin et al. 2020), which others took over:
 *
 *   training   an array, or a line each, of {"question", "answers", "positive_ctxs": [{"title",
 *              "text", "passage_id"}], "negative_ctxs", "hard_negative_ctxs"}: every context is a
 *              document, the positive ones are the question's
 *   results    the same with "ctxs": [{"id", "title", "text", "has_answer"}] (also FiD's input):
 *              those marked has_answer are the question's documents
 *   questions  question TAB answers, the answers a Python list; CSV quotes, some of them twice
 *   passages   psgs_w100.tsv: a header "id text title", then a passage a line */
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "data/lines.h"
#include "util/hash.h"
#include "util/json.h"

/* ---- training files ---- */

static const char *const context_lists[] = {"positive_ctxs", "ctxs", "negative_ctxs",
                                            "hard_negative_ctxs"};

/* A context's id as its file gives it; NULL: none. Caller frees. */
static char *context_id(const json_t *context) {
    static const char *const names[] = {"passage_id", "psg_id", "id"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *id = json_object_get(context, names[i]);
        if (json_is_string(id) && *json_string_value(id)) return xstrdup(json_string_value(id));
        if (json_is_integer(id)) return json_line(id);
    }
    return NULL;
}

/* Puts a context as a document; its name, by which a question can name it, is appended to names
 * unless that is NULL. */
static status put_context(ingest_file *f, const json_t *context, json_t *names) {
    const char *text = json_str(context, "text", "");
    char *id = context_id(context), hash[41];
    if (names) {
        sha1_hex(text, strlen(text), hash);
        json_array_append_new(names, json_string(id ? id : hash));
    }
    status st = ingest_document(f, &(store_document){.id = id,
                                                     .title = json_str(context, "title", NULL),
                                                     .text = text,
                                                     .text_bytes = strlen(text)});
    free(id);
    return st;
}

static status put_contexts(ingest_file *f, const json_t *sample, const char *list, json_t *names) {
    bool all_positive = strcmp(list, "positive_ctxs") == 0, found = strcmp(list, "ctxs") == 0;
    size_t i;
    json_t *context;
    json_array_foreach(json_object_get(sample, list), i, context) {
        bool positive = all_positive || (found && json_flag(context, "has_answer", false));
        TRY(put_context(f, context, positive ? names : NULL));
    }
    return OK;
}

static status skip_record(ingest_file *f, int64_t line, const char *why) {
    ingest_counts_of(f)->questions.skipped++;
    ingest_skip_record(f, "line %lld: %s", (long long)line, why);
    return OK;
}

static status put_sample(ingest_file *f, const char *bytes, size_t n, int64_t line) {
    json_error_t e;
    json_t *sample = json_load_record(bytes, n, 0, &e);
    const json_t *answers = json_object_get(sample, "answers");
    if (!sample || !json_is_string(json_object_get(sample, "question"))) {
        json_decref(sample);
        return skip_record(f, line, sample ? "a record has no question" : e.text);
    }
    json_t *names = json_array();
    status st = OK;
    for (size_t i = 0; i < sizeof context_lists / sizeof *context_lists && !st; i++)
        st = put_contexts(f, sample, context_lists[i], names);
    char *list = json_is_array(answers) ? json_line(answers) : NULL, *documents = json_line(names);
    if (!st)
        st = ingest_question(f, &(store_question){.id = json_str(sample, "id", NULL),
                                                  .question = json_str(sample, "question", ""),
                                                  .answers = list,
                                                  .documents = documents});
    free(list);
    free(documents);
    json_decref(names);
    json_decref(sample);
    return st;
}

static status put_element(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which;
    return put_sample(arg, bytes, n, line);
}

static status put_json_line(void *arg, const char *bytes, size_t n, int64_t number) {
    if (!bytes) return skip_record(arg, number, "is longer than 64 MiB");
    return put_sample(arg, bytes, n, number);
}

/* ---- tab-separated files ---- */

typedef struct table {
    ingest_file *f;
    int text_column, title_column; /* of passages; -1: a file of questions */
    buf field[3];
} table;

/* The fields of a line, as many as there is room for. */
static int split_line(table *t, const char *bytes, size_t n) {
    int k = 0;
    for (const char *at = bytes; at && k < 3; k++) {
        buf_reset(&t->field[k]);
        tsv_field(&at, bytes + n, &t->field[k]);
    }
    return k;
}

/* Some questions were written through a CSV writer twice: what is left then begins with a quote,
 * and those inside are doubled (without any inside, the first writer had no reason to quote). The
 * last quote may be missing. */
static void unquote_again(buf *b) {
    if (b->len < 2 || b->at[0] != '"') return;
    size_t end = b->at[b->len - 1] == '"' ? b->len - 1 : b->len, n_doubled = 0;
    buf plain = {0};
    buf_add(&plain, "", 0);
    for (size_t i = 1; i < end; i++) {
        if (b->at[i] == '"' && (i + 1 == end || b->at[++i] != '"')) { /* not doubled: as it is */
            buf_clear(&plain);
            return;
        }
        n_doubled += b->at[i] == '"';
        buf_putc(&plain, b->at[i]);
    }
    if (n_doubled == 0) {
        buf_clear(&plain);
        return;
    }
    buf_clear(b);
    *b = plain;
}

static status put_table_question(table *t, int n_fields, int64_t number) {
    char *answers = NULL;
    if (n_fields < 2 || !python_list(t->field[1].at, t->field[1].len, &answers))
        return skip_record(t->f, number, "wanted a question, a tab, and a list such as ['answer']");
    unquote_again(&t->field[0]);
    status st =
        ingest_question(t->f, &(store_question){.question = t->field[0].at, .answers = answers});
    free(answers);
    return st;
}

static status put_table_passage(table *t, int n_fields, int64_t number) {
    if (n_fields <= t->text_column || !t->field[0].len) {
        ingest_counts_of(t->f)->documents.skipped++;
        ingest_skip_record(t->f, "line %lld: wanted id, text and title, parted by tabs",
                           (long long)number);
        return OK;
    }
    const buf *text = &t->field[t->text_column];
    const char *title = t->title_column < n_fields ? t->field[t->title_column].at : NULL;
    return ingest_document(
        t->f, &(store_document){
                  .id = t->field[0].at, .title = title, .text = text->at, .text_bytes = text->len});
}

/* "id text title", in whichever order the last two stand. */
static bool read_header(table *t, int n_fields) {
    if (n_fields != 3 || strcmp(t->field[0].at, "id") != 0) return false;
    for (int i = 1; i < 3; i++) {
        if (strcmp(t->field[i].at, "text") || strcmp(t->field[3 - i].at, "title")) continue;
        t->text_column = i;
        t->title_column = 3 - i;
        return true;
    }
    return false;
}

static status put_table_line(void *arg, const char *bytes, size_t n, int64_t number) {
    table *t = arg;
    if (!bytes) return skip_record(t->f, number, "is longer than 64 MiB");
    int n_fields = split_line(t, bytes, n);
    if (number == 1 && read_header(t, n_fields)) return OK;
    return t->text_column > 0 ? put_table_passage(t, n_fields, number)
                              : put_table_question(t, n_fields, number);
}

/* ---- the format ---- */

static bool is_table(const char *head) {
    size_t n = strcspn(head, "\r\n");
    table t = {.text_column = -1};
    int n_fields = split_line(&t, head, n);
    char *answers = NULL;
    bool mine = read_header(&t, n_fields) ||
                (n_fields == 2 && python_list(t.field[1].at, t.field[1].len, &answers));
    free(answers);
    for (int i = 0; i < 3; i++) buf_clear(&t.field[i]);
    return mine;
}

int dpr_knows(const ingest_head *h) {
    const char *head = h->at + strspn(h->at, "\xEF\xBB\xBF \r\n");
    if (*head != '{' && *head != '[') return is_table(head) ? 60 : 0;
    bool contexts = strstr(head, "\"positive_ctxs\"") || strstr(head, "\"ctxs\"");
    return contexts && strstr(head, "\"question\"") ? 70 : 0;
}

status dpr_read(ingest_file *f) {
    const char *head;
    size_t n;
    TRY(reader_peek(f->r, &head, &n));
    while (n && memchr("\xEF\xBB\xBF \t\r\n", *head, 7)) head++, n--;
    if (n && *head == '[') return json_scan(f->r, "*", 0, put_element, f);
    if (n && *head == '{') return lines_each(f->r, 0, put_json_line, f);
    table t = {.f = f, .text_column = -1};
    status st = lines_each(f->r, 0, put_table_line, &t);
    for (int i = 0; i < 3; i++) buf_clear(&t.field[i]);
    return st;
}
