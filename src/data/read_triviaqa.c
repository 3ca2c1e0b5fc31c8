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
 * File names. The set was written on a system that does not tell composed from decomposed letters
 * nor capitals from small ones; where a name does not exist as it stands, the one of its folder
 * that differs in these only is taken. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "util/json.h"
#include "util/log.h"
#include "util/unicode.h"

enum { EVIDENCE_MOST = 256 << 20 };

typedef struct name_pair {
    char *folded, *name;
} name_pair;

/* The names in one folder, by their folded form. */
typedef struct folder_names {
    char *folder; /* NULL: none read yet */
    name_pair *at;
    int64_t n, cap;
} folder_names;

typedef struct trivia {
    ingest_file *f;
    char *root;         /* the folder that holds evidence/ */
    folder_names names; /* of the folder that was looked into last */
    int64_t n_missing;
    char *first_missing;
} trivia;

/* ---- evidence ---- */

static char *fold(const char *name) {
    buf composed = {0}, lower = {0};
    utf8_add_form(&composed, name, strlen(name), UTF8_NFC);
    utf8_add_lower(&lower, composed.at ? composed.at : "", composed.len);
    buf_clear(&composed);
    return buf_steal(&lower);
}

static int by_folded(const void *a, const void *b) {
    return strcmp(((const name_pair *)a)->folded, ((const name_pair *)b)->folded);
}

static void names_clear(folder_names *t) {
    for (int64_t i = 0; i < t->n; i++) {
        free(t->at[i].folded);
        free(t->at[i].name);
    }
    free(t->at);
    free(t->folder);
    *t = (folder_names){0};
}

static void names_read(folder_names *t, const char *folder) {
    if (t->folder && strcmp(t->folder, folder) == 0) return;
    names_clear(t);
    t->folder = xstrdup(folder);
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        GROW(t->at, t->n, t->cap);
        t->at[t->n++] = (name_pair){fold(e->d_name), xstrdup(e->d_name)};
    }
    closedir(d);
    if (t->n) qsort(t->at, (size_t)t->n, sizeof *t->at, by_folded);
}

/* The file below root that `below` means; NULL: there is none. Caller frees. */
static char *find_evidence(trivia *t, const char *below) {
    char *path = file_or_gz(t->root, below);
    if (path) return path;
    char *whole = xasprintf("%s/%s", t->root, below), *slash = strrchr(whole, '/');
    *slash = 0;
    names_read(&t->names, whole);
    name_pair key = {.folded = fold(slash + 1)};
    name_pair *found =
        t->names.n ? bsearch(&key, t->names.at, (size_t)t->names.n, sizeof *t->names.at, by_folded)
                   : NULL;
    if (found) path = xasprintf("%s/%s", whole, found->name);
    free(key.folded);
    free(whole);
    return path;
}

/* A name that leads out of the set's own folder is not followed. */
static bool is_inside(const char *name) {
    if (*name == '/') return false;
    for (const char *p = name; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || !p[2])) return false;
    }
    return *name != 0;
}

static status put_evidence(trivia *t, const char *uri, const char *title) {
    if (ingest_met(t->f, "evidence", uri)) return OK;
    char *path = find_evidence(t, uri);
    if (!path) {
        if (t->n_missing++ == 0) t->first_missing = xstrdup(uri);
        return OK;
    }
    buf text = {0};
    status st = file_read(path, EVIDENCE_MOST, &text);
    if (st == ERR_IO || st == ERR_FORMAT) {
        ingest_counts_of(t->f)->documents.skipped++;
        ingest_skip_record(t->f, "%s", err_msg());
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
        const char *name = json_str(page, "Filename", NULL);
        if (!name || !is_inside(name)) continue;
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
static char *answers_of(const json_t *answer) {
    static const char *const lists[] = {"Aliases", "HumanAnswers"};
    json_t *all = json_array();
    add_new(all, json_object_get(answer, "Value"));
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
        st = ingest_question(t->f, &(store_question){.id = json_str(q, "QuestionId", NULL),
                                                     .question = json_str(q, "Question", ""),
                                                     .answers = answers,
                                                     .documents = documents});
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
    json_t *q = json_loadb(bytes, n, 0, &e);
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
    status st = OK;
    if (!is_stdin && !f->split_given) st = look_for_split(&t);
    if (!st) st = json_scan(f->r, "Data.*|Split", 0, put_record, &t);
    if (t.n_missing) {
        ingest_counts_of(f)->documents.skipped += t.n_missing;
        ingest_skip_record(f,
                           "%lld evidence files are missing, the first is %s/%s; the questions "
                           "that name them are kept",
                           (long long)t.n_missing, t.root, t.first_missing);
    }
    names_clear(&t.names);
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
    char *qa = qa_folder(path), *evidence = xasprintf("%s/evidence", path);
    bool mine = file_is_folder(qa) && file_is_folder(evidence);
    free(qa);
    free(evidence);
    return mine;
}

static status read_qa(void *arg, const char *path) {
    const char *name = strrchr(path, '/');
    if (!strstr(name ? name : path, ".json")) return OK; /* a README, say */
    return ingest_part(arg, path, triviaqa_read);
}

status triviaqa_folder_read(ingest_file *f) {
    char *qa = qa_folder(f->path);
    status st = file_walk(qa, read_qa, f);
    free(qa);
    return st;
}
