/* BEIR (Thakur et al. 2021):
 *
 *   corpus.jsonl         {"_id", "title", "text", "metadata"} a line: a document, its id is _id
 *   queries.jsonl        {"_id", "text"} a line: a question
 *   qrels/SPLIT.tsv      a header, then query-id TAB corpus-id TAB score: which documents (score
 *                        above 0) answer a query, and which split it is in
 *
 * A query that several splits judge is in the one that is most withheld: test, then dev. Where
 * there are judgements, a query without any is left out (as BEIR does) and counted. Documents of
 * blank text have their title for a text. The judgements of a set are held in memory: some 40
 * bytes and the names of each. */
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "data/lines.h"
#include "util/json.h"

/* ---- judgements ---- */

typedef struct judgement {
    const char *query, *document;
    store_split split;
} judgement;

typedef struct qrels {
    judgement *at; /* sorted by query, the most withheld split first */
    int64_t n, cap;
    arena *names;
    const char *last_query; /* runs of one query share its name */
} qrels;

typedef struct qrels_file {
    qrels *q;
    ingest_file *f;
} qrels_file;

static status put_judgement(void *arg, const char *bytes, size_t n, int64_t number) {
    qrels_file *x = arg;
    qrels *q = x->q;
    if (number == 1) return OK; /* the header, whatever it says */
    const char *tab = bytes ? memchr(bytes, '\t', n) : NULL;
    const char *second = tab ? memchr(tab + 1, '\t', n - (size_t)(tab + 1 - bytes)) : NULL;
    char *end = NULL;
    long score = second ? strtol(second + 1, &end, 10) : 0;
    if (!second || end == second + 1) {
        ingest_skip_record(x->f, "line %lld: wanted query-id, corpus-id and score, parted by tabs",
                           (long long)number);
        return OK;
    }
    if (score <= 0) return OK;
    size_t length = (size_t)(tab - bytes);
    if (!q->last_query || strncmp(q->last_query, bytes, length) != 0 || q->last_query[length])
        q->last_query = arena_strndup(q->names, bytes, length);
    GROW(q->at, q->n, q->cap);
    q->at[q->n++] = (judgement){
        q->last_query, arena_strndup(q->names, tab + 1, (size_t)(second - tab - 1)), x->f->split};
    return OK;
}

static int by_query(const void *a, const void *b) {
    const judgement *x = a, *y = b;
    int order = strcmp(x->query, y->query);
    if (order) return order;
    if (x->split != y->split) return x->split > y->split ? -1 : 1;
    return strcmp(x->document, y->document);
}

typedef struct qrels_walk {
    const ingest_file *f;
    qrels *q;
} qrels_walk;

static status add_qrels_file(void *arg, const char *path) {
    qrels_walk *w = arg;
    size_t n = strlen(path);
    bool is_table = n > 4 && (strcmp(path + n - 4, ".tsv") == 0 ||
                              (n > 7 && strcmp(path + n - 7, ".tsv.gz") == 0));
    if (!is_table) return OK;
    ingest_file f = *w->f;
    store_split named;
    const char *name = strrchr(path, '/');
    f.path = path;
    if (!f.split_given)
        f.split = split_of_words(name ? name + 1 : path, &named) ? named : SPLIT_TRAIN;
    qrels_file x = {w->q, &f};
    status st = reader_open(path, &f.r);
    if (!st) st = lines_each(f.r, 0, put_judgement, &x);
    reader_close(f.r);
    return st;
}

/* The judgements in folder/qrels; none where there is no such folder. */
static status qrels_read(const ingest_file *f, const char *folder, qrels *q) {
    char *path = xasprintf("%s/qrels", folder);
    q->names = arena_new(0);
    status st = file_is_folder(path) ? file_walk(path, add_qrels_file, &(qrels_walk){f, q}) : OK;
    if (q->n) qsort(q->at, (size_t)q->n, sizeof *q->at, by_query);
    free(path);
    return st;
}

static void qrels_clear(qrels *q) {
    free(q->at);
    arena_free(q->names);
}

/* The first judgement of a query; q->n: none. */
static int64_t qrels_find(const qrels *q, const char *query) {
    int64_t low = 0, high = q->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(q->at[middle].query, query) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < q->n && strcmp(q->at[low].query, query) == 0 ? low : q->n;
}

/* ---- lines ---- */

/* "_id" as text; numbers are met too. Caller frees; NULL: none. */
static char *id_of(const json_t *j) {
    const json_t *id = json_object_get(j, "_id");
    if (json_is_string(id) && *json_string_value(id)) return xstrdup(json_string_value(id));
    return json_is_integer(id) ? json_line(id) : NULL;
}

static status parse_line(ingest_file *f, ingest_counts *c, const char *bytes, size_t n,
                         int64_t number, json_t **out, char **id) {
    json_error_t e = {.text = "longer than 64 MiB"};
    json_t *j = bytes ? json_load_record(bytes, n, 0, &e) : NULL;
    *id = id_of(j);
    *out = j;
    if (*id && json_is_string(json_object_get(j, "text"))) return OK;
    c->skipped++;
    ingest_skip_record(f, "line %lld: %s", (long long)number,
                       j ? "wanted \"_id\" and \"text\"" : e.text);
    free(*id);
    *id = NULL;
    return OK;
}

static bool is_blank(const char *s) {
    return s[strspn(s, " \t\r\n")] == 0;
}

static status put_document(void *arg, const char *bytes, size_t n, int64_t number) {
    ingest_file *f = arg;
    json_t *j;
    char *id;
    status st = parse_line(f, &ingest_counts_of(f)->documents, bytes, n, number, &j, &id);
    if (!st && id) {
        const json_t *metadata = json_object_get(j, "metadata");
        char *meta = json_object_size(metadata) ? json_line(metadata) : NULL;
        const char *title = json_str(j, "title", ""), *text = json_str(j, "text", "");
        if (is_blank(text)) text = title;
        st = ingest_document(
            f,
            &(store_document){
                .id = id, .title = title, .text = text, .text_bytes = strlen(text), .meta = meta});
        free(meta);
    }
    free(id);
    json_decref(j);
    return st;
}

typedef struct queries {
    ingest_file *f;
    qrels q;
    int64_t n_unjudged;
} queries;

static status put_judged(queries *x, const char *id, const char *text) {
    json_t *documents = json_array();
    int64_t first = qrels_find(&x->q, id);
    store_split split = x->f->split;
    if (first < x->q.n && !x->f->split_given) x->f->split = x->q.at[first].split;
    for (int64_t i = first; i < x->q.n && strcmp(x->q.at[i].query, id) == 0; i++)
        if (x->q.at[i].split == x->q.at[first].split)
            json_array_append_new(documents, json_string(x->q.at[i].document));
    char *list = json_line(documents);
    status st =
        ingest_question(x->f, &(store_question){.id = id, .question = text, .documents = list});
    x->f->split = split;
    free(list);
    json_decref(documents);
    return st;
}

static status put_query(void *arg, const char *bytes, size_t n, int64_t number) {
    queries *x = arg;
    json_t *j;
    char *id;
    status st = parse_line(x->f, &ingest_counts_of(x->f)->questions, bytes, n, number, &j, &id);
    if (!st && id) {
        if (x->q.n && qrels_find(&x->q, id) == x->q.n)
            x->n_unjudged++;
        else
            st = put_judged(x, id, json_str(j, "text", ""));
    }
    free(id);
    json_decref(j);
    return st;
}

/* ---- files and folders ---- */

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
}

static bool is_queries(const char *path) {
    const char *name = strrchr(path, '/');
    return strncmp(name ? name + 1 : path, "quer", 4) == 0;
}

static status read_queries(ingest_file *f) {
    queries x = {.f = f};
    char *folder = folder_of(f->path);
    status st = qrels_read(f, folder, &x.q);
    if (!st) st = lines_each(f->r, 0, put_query, &x);
    if (x.n_unjudged) {
        ingest_counts_of(f)->questions.skipped += x.n_unjudged;
        ingest_remark(f, "%lld quer%s that qrels/ does not judge", (long long)x.n_unjudged,
                      x.n_unjudged == 1 ? "y" : "ies");
    }
    qrels_clear(&x.q);
    free(folder);
    return st;
}

static status read_corpus(ingest_file *f) {
    return lines_each(f->r, 0, put_document, f);
}

/* A table of judgements alone says nothing that could be kept. */
static bool is_qrels(const char *head) {
    return strncmp(head, "query-id\tcorpus-id\t", 19) == 0;
}

int beir_knows(const ingest_head *h) {
    if (is_qrels(h->at)) return 60;
    const char *head = h->at + strspn(h->at, "\xEF\xBB\xBF \t\r\n");
    if (*head != '{') return 0;
    json_error_t e;
    json_t *j = json_load_record(head, strlen(head), JSON_DISABLE_EOF_CHECK, &e);
    bool mine = json_object_get(j, "_id") && json_is_string(json_object_get(j, "text"));
    json_decref(j);
    return mine ? 55 : 0;
}

status beir_read(ingest_file *f) {
    const char *head;
    size_t n;
    TRY(reader_peek(f->r, &head, &n));
    if (n >= 19 && is_qrels(head)) {
        ingest_remark(f, "judgements are read with their set: give the folder that holds "
                         "corpus.jsonl, queries.jsonl and qrels/");
        return OK;
    }
    return is_queries(f->path) ? read_queries(f) : read_corpus(f);
}

bool beir_folder_knows(const char *path) {
    char *corpus = file_or_gz(path, "corpus.jsonl"),
         *queries_path = file_or_gz(path, "queries.jsonl");
    bool mine = corpus && queries_path;
    free(corpus);
    free(queries_path);
    return mine;
}

status beir_folder_read(ingest_file *f) {
    char *corpus = file_or_gz(f->path, "corpus.jsonl"), *q = file_or_gz(f->path, "queries.jsonl");
    status st = corpus ? ingest_part(f, corpus, read_corpus) : OK;
    if (!st && q) st = ingest_part(f, q, read_queries);
    free(corpus);
    free(q);
    return st;
}
