/* SQuAD 1.1 (Rajpurkar et al. 2016) and 2.0 (Rajpurkar et al. 2018): each paragraph is a document
 * titled by its article; a question keeps which paragraph answers it. A title that stands behind
 * its paragraphs in the file comes too late for them: they are then titled by the one before, or
 * not. */
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "util/hash.h"
#include "util/json.h"

int squad_knows(const char *path, const char *head, size_t n);
status squad_read(ingest_file *f);

int squad_knows(const char *path, const char *head, size_t n) {
    (void)path;
    (void)n;
    while (*head && strchr(" \t\r\n", *head)) head++;
    if (*head != '{' || !strstr(head, "\"data\"")) return 0;
    return strstr(head, "\"paragraphs\"") && strstr(head, "\"context\"") ? 60 : 0;
}

typedef struct squad {
    ingest_file *f;
    char *title;
    int64_t article, paragraph;
} squad;

static char *answers_of(const json_t *qa) {
    json_t *list = json_array();
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(qa, "answers"), i, a) {
        json_t *text = json_object_get(a, "text");
        bool known = false;
        for (size_t j = 0; j < json_array_size(list); j++)
            known |= json_equal(json_array_get(list, j), text);
        if (json_is_string(text) && !known) json_array_append(list, text);
    }
    char *s = json_line(list);
    json_decref(list);
    return s;
}

static status put_qa(squad *s, const json_t *qa, const char *document) {
    bool impossible = json_flag(qa, "is_impossible", false);
    char *answers = answers_of(qa);
    json_t *documents = json_pack("[s]", document);
    char *list = json_line(documents);
    status st = ingest_question(s->f, &(store_question){.id = json_str(qa, "id", NULL),
                                                        .question = json_str(qa, "question", ""),
                                                        .answers = answers,
                                                        .documents = list,
                                                        .unanswerable = impossible,
                                                        .evidence = document});
    json_decref(documents);
    free(list);
    free(answers);
    return st;
}

static status put_paragraph(squad *s, const json_t *p) {
    const char *context;
    TRY(json_want_str(p, "context", "a SQuAD paragraph", &context));
    size_t n = strlen(context);
    char id[41], *uri = xasprintf("%s#%s/%ld", s->f->path, s->title, (long)++s->paragraph);
    char *title = xstrdup(s->title);
    for (char *c = title; *c; c++)
        if (*c == '_') *c = ' ';
    sha1_hex(context, n, id);
    status st = ingest_document(
        s->f, &(store_document){.uri = uri, .title = title, .text = context, .text_bytes = n});
    size_t i;
    json_t *qa;
    json_array_foreach(json_object_get(p, "qas"), i, qa) {
        if (!st) st = put_qa(s, qa, id);
    }
    free(uri);
    free(title);
    return st;
}

static status put_record(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    squad *s = arg;
    char what[96];
    snprintf(what, sizeof what, "line %ld", (long)line);
    json_t *j = NULL;
    if (which == 0) { /* a title, as JSON */
        TRY(json_parse(bytes, n, what, &j));
        free(s->title);
        s->title = xstrdup(json_is_string(j) ? json_string_value(j) : "");
        s->paragraph = 0;
        json_decref(j);
        return OK;
    }
    TRY(json_parse(bytes, n, what, &j));
    status st = put_paragraph(s, j);
    json_decref(j);
    return st;
}

status squad_read(ingest_file *f) {
    squad s = {.f = f, .title = xstrdup("")};
    reader *r = NULL;
    status st = reader_open(f->path, &r);
    if (!st) st = json_scan(r, "data.*.title|data.*.paragraphs.*", 0, put_record, &s);
    reader_close(r);
    free(s.title);
    return st;
}
