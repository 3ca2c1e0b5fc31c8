/* TriviaQA (Joshi et al. 2017), the reading-comprehension layout and the unfiltered one:
 *
 *   qa/NAME.json         {"Data": [{"QuestionId", "Question", "Answer": {"Value", "Aliases", ...},
 *                        "EntityPages": [{"Filename", "Title"}], "SearchResults": [...]}], "Split"}
 *   evidence/wikipedia/  the files that EntityPages name
 *   evidence/web/        the files that SearchResults name
 *
 * Each evidence file that a question names is a document; its uri is evidence/wikipedia/NAME or
 * evidence/web/NAME, whatever folder the set lies in. Some search results name no file; test
 * files have no answers. "Split" stands behind the questions, so a file is looked through for it
 * first; standard input cannot be, and its questions are then train's, or --split's.
 *
 * The dataset step's simplified form (names for pages, a string for an answer, a FullAnswer) is
 * read too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/evidence.h"
#include "data/ingest.h"
#include "util/json.h"
#include "util/log.h"

enum { EVIDENCE_MOST = 256 << 20 };

typedef struct trivia {
    ingest_file *f;
    char *root; /* the folder that holds evidence/ */
    evidence *files;
    int64_t n_missing;
    char *first_missing;
} trivia;

/* ---- evidence ---- */

static status put_evidence(trivia *t, const char *uri, const char *title) {
    if (ingest_met(t->f, "evidence", uri)) return OK;
    char *path = evidence_find(t->files, uri);
    if (!path) {
        if (t->n_missing++ == 0) t->first_missing = xstrdup(uri);
        return OK;
    }
    buf text = {0};
    status st = file_read(path, EVIDENCE_MOST, &text);
    if (st == ERR_IO || st == ERR_FORMAT) {
        ingest_counts_of(t->f)->documents.skipped++;
        ingest_remark(t->f, "%s", err_msg());
        err_clear();
        st = OK;
    } else if (!st) {
        st = ingest_document_of(
            t->f, path,
            &(store_document){.uri = uri, .title = title, .text = text.at, .text_bytes = text.len});
    }
    buf_clear(&text);
    free(path);
    return st;
}

/* The pages of one kind; their uris are appended to names. */
static status put_pages(trivia *t, const json_t *pages, const char *kind, json_t *names) {
    size_t i;
    json_t *page;
    json_array_foreach(pages, i, page) {
        const char *name =
            json_is_string(page) ? json_string_value(page) : json_str(page, "Filename", NULL);
        if (!name || !evidence_is_inside(name)) continue;
        char *uri = xasprintf("evidence/%s/%s", kind, name);
        json_array_append_new(names, json_string(uri));
        status st = put_evidence(t, uri, json_str(page, "Title", NULL));
        free(uri);
        TRY(st);
    }
    return OK;
}

/* ---- questions ---- */

static void add_new(json_t *list, json_t *item) {
    if (!json_is_string(item) || !*json_string_value(item)) return;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), item)) return;
    json_array_append(list, item);
}

/* The value first: where one short answer is wanted, it is that. */
static char *answers_of(json_t *answer) {
    static const char *const lists[] = {"Aliases", "HumanAnswers"};
    json_t *all = json_array();
    add_new(all, json_is_string(answer) ? answer : json_object_get(answer, "Value"));
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(answer, lists[k]), i, item) add_new(all, item);
    }
    char *s = json_line(all);
    json_decref(all);
    return s;
}

static status put_question(trivia *t, const json_t *q) {
    json_t *names = json_array();
    status st = put_pages(t, json_object_get(q, "EntityPages"), "wikipedia", names);
    if (!st) st = put_pages(t, json_object_get(q, "SearchResults"), "web", names);
    char *answers = answers_of(json_object_get(q, "Answer")), *documents = json_line(names);
    if (!st)
        st = ingest_question(t->f,
                             &(store_question){.id = json_str(q, "QuestionId", NULL),
                                               .question = json_str(q, "Question", ""),
                                               .answers = answers,
                                               .documents = documents,
                                               .full_answer = json_str(q, "FullAnswer", NULL)});
    free(answers);
    free(documents);
    json_decref(names);
    return st;
}

static void read_split(trivia *t, const char *bytes, size_t n) {
    json_t *j = json_loadb(bytes, n, JSON_DECODE_ANY, NULL);
    store_split split;
    if (json_is_string(j) && split_of_words(json_string_value(j), &split) && !t->f->split_given) {
        if (strcmp(t->f->path, "-") == 0 && split != t->f->split)
            log_warn("standard input: its Split, %s, stands behind its questions: they were read "
                     "as %s; name it with --split",
                     json_string_value(j), store_split_name(t->f->split));
        else
            t->f->split = split;
    }
    json_decref(j);
}

static status put_record(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    trivia *t = arg;
    if (which == 1) {
        read_split(t, bytes, n);
        return OK;
    }
    json_error_t e;
    json_t *q = json_load_record(bytes, n, 0, &e);
    if (!q || !json_is_string(json_object_get(q, "Question"))) {
        ingest_counts_of(t->f)->questions.skipped++;
        ingest_skip_record(t->f, "the question at line %lld: %s", (long long)line,
                           q ? "has no text" : e.text);
        json_decref(q);
        return OK;
    }
    status st = put_question(t, q);
    json_decref(q);
    return st;
}

/* ---- the format ---- */

int triviaqa_knows(const ingest_head *h) {
    const char *head = h->at + strspn(h->at, "\xEF\xBB\xBF \t\r\n");
    if (*head != '{' || !strstr(head, "\"Data\"") || !strstr(head, "\"Question\"")) return 0;
    bool pages = strstr(head, "\"EntityPages\"") || strstr(head, "\"SearchResults\"");
    return pages || strstr(head, "\"QuestionId\"") ? 65 : 0;
}

static status take_split(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which, (void)line;
    read_split(arg, bytes, n);
    return OK;
}

/* Looks for "Split" through the whole file, by a reader of its own. */
static status look_for_split(trivia *t) {
    reader *r = NULL;
    TRY(reader_open(t->f->path, &r));
    status st = json_scan(r, "Split", 0, take_split, t);
    reader_close(r);
    if (st != ERR_FORMAT) return st;
    err_clear(); /* broken behind here: the reading that follows says so */
    return OK;
}

/* evidence/ lies beside qa/ or beside the file itself. */
static char *root_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
    char *beside = xasprintf("%s/evidence", folder), *above = xasprintf("%s/..", folder);
    bool here = file_is_folder(beside);
    free(beside);
    if (here) {
        free(above);
        return folder;
    }
    const char *name = strrchr(folder, '/');
    if (name && strcmp(name, "/qa") == 0) { /* a tidier name than qa/.. */
        free(above);
        above = xstrndup(folder, (size_t)(name - folder));
    }
    free(folder);
    return above;
}

status triviaqa_read(ingest_file *f) {
    bool is_stdin = strcmp(f->path, "-") == 0;
    trivia t = {.f = f, .root = is_stdin ? xstrdup(".") : root_of(f->path)};
    t.files = evidence_new(t.root);
    status st = OK;
    if (!is_stdin && !f->split_given) st = look_for_split(&t);
    if (!st) st = json_scan(f->r, "Data.*|Split", 0, put_record, &t);
    if (t.n_missing) {
        ingest_counts_of(f)->documents.skipped += t.n_missing;
        ingest_remark(f,
                      "%lld evidence file%s missing, the first is %s/%s; the questions that name "
                      "what is missing are kept",
                      (long long)t.n_missing, plural(t.n_missing), t.root, t.first_missing);
    }
    evidence_free(t.files);
    free(t.first_missing);
    free(t.root);
    return st;
}

static char *qa_folder(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    return xasprintf("%.*s/qa", (int)n, path);
}

bool triviaqa_folder_knows(const char *path) {
    char *qa = qa_folder(path), *files = xasprintf("%s/evidence", path);
    bool mine = file_is_folder(qa) && file_is_folder(files);
    free(qa);
    free(files);
    return mine;
}

static status read_qa(void *arg, const char *path) {
    size_t n = strlen(path);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    bool is_json = n > 5 && strncmp(path + n - 5, ".json", 5) == 0;
    bool derived = strstr(path, "-simplified.json") || strstr(path, "/unsupported-");
    if (!is_json || derived) return OK; /* a README; what the dataset step wrote there */
    return ingest_part(arg, path, triviaqa_read);
}

status triviaqa_folder_read(ingest_file *f) {
    char *qa = qa_folder(f->path);
    status st = file_walk(qa, read_qa, f);
    free(qa);
    return st;
}
