/* SQuAD 1.1 (Rajpurkar et al. 2016) and 2.0 (Rajpurkar et al. 2018): each paragraph is a document
 * titled by its article; a question keeps which paragraph answers it. A title that stands behind
 * its paragraphs in the file comes too late for them: they are then titled by the one before, or
 * not. */
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "util/hash.h"
#include "util/json.h"

int squad_knows(const ingest_head *h) {
    const char *head = h->at;
    while (*head && strchr(" \t\r\n", *head)) head++;
    if (*head != '{' || !strstr(head, "\"data\"")) return 0;
    return strstr(head, "\"paragraphs\"") && strstr(head, "\"context\"") ? 60 : 0;
}

typedef struct squad {
    ingest_file *f;
    char *title;
    int64_t paragraph; /* the last one's number under this title, from 1 */
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

/* FILE#TITLE/NUMBER: the next number that this title has not had, for several articles may have the
 * same one. Caller frees. */
static char *uri_of(squad *s) {
    if (s->f->is_stream) return NULL;
    for (;;) {
        char *uri = xasprintf("%s#%s/%ld", s->f->path, s->title, (long)++s->paragraph);
        if (!ingest_met(s->f, "uri", uri)) return uri;
        free(uri);
    }
}

static status put_paragraph(squad *s, const json_t *p) {
    const char *context = json_str(p, "context", "");
    size_t n = strlen(context);
    char id[41], *uri = uri_of(s);
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

static void set_title(squad *s, const char *bytes, size_t n) {
    json_t *j = json_loadb(bytes, n, JSON_DECODE_ANY, NULL);
    const char *title = json_is_string(j) ? json_string_value(j) : "";
    if (strcmp(title, s->title) != 0) s->paragraph = 0;
    free(s->title);
    s->title = xstrdup(title);
    json_decref(j);
}

/* A paragraph that is no good costs itself alone. */
static status put_record(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    squad *s = arg;
    if (which == 0) {
        set_title(s, bytes, n);
        return OK;
    }
    json_error_t e;
    json_t *j = json_load_record(bytes, n, 0, &e);
    const char *fault = !j                                               ? e.text
                        : !json_is_string(json_object_get(j, "context")) ? "has no context"
                                                                         : NULL;
    status st = OK;
    if (fault) {
        ingest_counts_of(s->f)->documents.skipped++;
        ingest_skip_record(s->f, "the paragraph at line %lld: %s", (long long)line, fault);
    } else {
        st = put_paragraph(s, j);
    }
    json_decref(j);
    return st;
}

status squad_read(ingest_file *f) {
    squad s = {.f = f, .title = xstrdup("")};
    status st = json_scan(f->r, "data.*.title|data.*.paragraphs.*", 0, put_record, &s);
    free(s.title);
    return st;
}
