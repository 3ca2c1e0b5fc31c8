/* BM25 on the classic test collections in BEIR form, under RAGLAN_TEST_DATA. The floors
 * catch breakage; the measured figures are printed and stand beside them. */
#include "help.h"
#include "metric/ranking.h"
#include "search/lexical.h"
#include "util/json.h"

enum { DEPTH = 100 };

/* A query's judgements, and the ranked list it got. */
typedef struct topic {
    char *id, *text;
    int64_t *docs; /* [n] ids of judged documents */
    int *levels;   /* [n] */
    int n, cap, cap_levels;
} topic;

typedef struct collection {
    lexical_builder *builder;
    topic *topics;
    int n, cap;
    int64_t n_bytes;
} collection;

static status add_document(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which, (void)line;
    collection *c = arg;
    json_t *j;
    TRY(json_parse(bytes, n, "corpus", &j));
    const char *title = json_str(j, "title", ""), *text = json_str(j, "text", "");
    int64_t id = atoll(json_str(j, "_id", "-1"));
    status st = lexical_builder_add(c->builder, id, title, strlen(title), text, strlen(text));
    c->n_bytes += (int64_t)(strlen(title) + strlen(text));
    json_decref(j);
    return st;
}

static status add_topic(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which, (void)line;
    collection *c = arg;
    json_t *j;
    TRY(json_parse(bytes, n, "queries", &j));
    GROW(c->topics, c->n, c->cap);
    c->topics[c->n++] =
        (topic){.id = xstrdup(json_str(j, "_id", "")), .text = xstrdup(json_str(j, "text", ""))};
    json_decref(j);
    return OK;
}

static void scan(const char *folder, const char *file, json_record_fn fn, collection *c) {
    char *path = xasprintf("%s/%s", folder, file);
    reader *r;
    SUCCEEDS(reader_open(path, &r));
    SUCCEEDS(json_scan(r, "", 0, fn, c));
    reader_close(r);
    free(path);
}

static void read_qrels(const char *folder, collection *c) {
    char *path = xasprintf("%s/qrels/test.tsv", folder);
    reader *r;
    buf line = {0};
    bool more;
    SUCCEEDS(reader_open(path, &r));
    SUCCEEDS(reader_line(r, &line, &more)); /* the head line */
    for (;;) {
        SUCCEEDS(reader_line(r, &line, &more));
        if (!more) break;
        char query[32], document[32];
        int level;
        assert_int_equal(sscanf(line.at, "%31s %31s %d", query, document, &level), 3);
        for (int i = 0; i < c->n; i++) {
            topic *t = &c->topics[i];
            if (strcmp(t->id, query) != 0) continue;
            GROW(t->docs, t->n, t->cap);
            GROW(t->levels, t->n, t->cap_levels);
            t->docs[t->n] = atoll(document);
            t->levels[t->n++] = level;
        }
    }
    buf_clear(&line);
    reader_close(r);
    free(path);
}

static int compare_levels(const void *a, const void *b) {
    return *(const int *)b - *(const int *)a;
}

static double ndcg_of(const lexical *ix, const topic *t, const bm25 *p) {
    hit hits[DEPTH];
    int rel[DEPTH], judged[4096];
    int64_t n;
    SUCCEEDS(lexical_search(ix, t->text, strlen(t->text), p, DEPTH, (hit_filter){0}, hits, &n));
    for (int64_t i = 0; i < n; i++) {
        rel[i] = RANK_UNJUDGED;
        for (int j = 0; j < t->n; j++)
            if (t->docs[j] == hits[i].id) rel[i] = t->levels[j];
    }
    assert_in_range(t->n, 1, 4096);
    memcpy(judged, t->levels, (size_t)t->n * sizeof *judged);
    qsort(judged, (size_t)t->n, sizeof *judged, compare_levels);
    return rank_ndcg(&(ranking){rel, n, judged, t->n, 1}, 10);
}

/* Mean nDCG@10 over the topics that have judgements. */
static double measure(const char *name, const char *language) {
    const char *data = getenv("RAGLAN_TEST_DATA");
    if (!data || !*data) {
        print_message("RAGLAN_TEST_DATA is not set: skipped\n");
        skip();
    }
    char *source = xasprintf("%s/%s/beir", data, name), *folder = make_folder();
    char segment[SEGMENT_NAME];
    collection c = {0};
    lexical *ix;
    SUCCEEDS(
        lexical_builder_open(folder, &(lexical_build_options){.language = language}, &c.builder));
    scan(source, "corpus.jsonl.gz", add_document, &c);
    SUCCEEDS(lexical_builder_finish(c.builder, segment));
    lexical_builder_close(c.builder);
    scan(source, "queries.jsonl", add_topic, &c);
    read_qrels(source, &c);
    SUCCEEDS(lexical_open(folder, (const char *[]){segment}, 1, (id_list){0}, &ix));
    double sum = 0;
    int judged = 0;
    for (int i = 0; i < c.n; i++)
        if (c.topics[i].n) {
            sum += ndcg_of(ix, &c.topics[i], &bm25_default);
            judged++;
        }
    print_message("%s, %s: %d passages, %d queries, ndcg@10 %.4f\n", name, language,
                  (int)lexical_count(ix), judged, sum / judged);
    for (int i = 0; i < c.n; i++) {
        free(c.topics[i].id);
        free(c.topics[i].text);
        free(c.topics[i].docs);
        free(c.topics[i].levels);
    }
    free(c.topics);
    lexical_close(ix);
    free(source);
    free(folder);
    return sum / judged;
}

static void cranfield_is_searched_as_well_as_bm25_can(void **state) {
    (void)state;
    assert_true(measure("cranfield", "english") > .35);
}

static void cisi_is_searched_as_well_as_bm25_can(void **state) {
    (void)state;
    assert_true(measure("cisi", "english") > .30);
}

static void cacm_is_searched_better_than_by_the_run_that_came_with_it(void **state) {
    (void)state;
    assert_true(measure("cacm", "english") > .3387); /* Solr's BM25, by trec_eval */
}

static void npl_is_searched_as_well_as_bm25_can(void **state) {
    (void)state;
    assert_true(measure("npl", "english") > .30);
}

static void stemming_helps(void **state) {
    (void)state;
    assert_true(measure("cranfield", "english") > measure("cranfield", "none"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cranfield_is_searched_as_well_as_bm25_can),
        cmocka_unit_test(cisi_is_searched_as_well_as_bm25_can),
        cmocka_unit_test(cacm_is_searched_better_than_by_the_run_that_came_with_it),
        cmocka_unit_test(npl_is_searched_as_well_as_bm25_can),
        cmocka_unit_test(stemming_helps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
