/* The report as people see it. */
#include "cmocka_all.h"
#include <stdlib.h>
#include <string.h>

#include "eval/eval.h"

/* clang-format off */
static const char report[] =
    "{'questions': 100, 'documents': 40, 'passages': 300, 'split': 'dev', 'seed': 7, 'threads': 2,"
    " 'hashes': {'data': '0123456789abcdef', 'reranker': null},"
    " 'settings': {'top_k': 8, 'fusion': {'mode': 'sum', 'lambda': 0.3, 'tuned_on_dev': true}, 'relevant': 'qrels'},"
    " 'retrieval': {"
    "   'bm25': {'questions': 90, 'success@1': 0.5, 'success@5': 0.75, 'success@20': 0.8, 'success@100': 0.9, 'mrr@10': 0.61234,"
    "            'ndcg@10': 0.65, 'recall@20': 0.7, 'ci95': {'mrr@10': [0.55, 0.67]}, 'latency_ms': {'p50': 0.5, 'p95': 1.25},"
    "            'by_kind': {'one_hop': {'questions': 80, 'mrr@10': 0.625}}},"
    "   'hybrid': {'questions': 90, 'mrr@10': 0.7, 'minus_bm25': {'mrr@10': 0.08766, 'ci95': {'mrr@10': [-0.01, 0.18]}}, 'ci95': {'mrr@10': [0.65, 0.75]}, 'latency_ms': {'p50': 3.0, 'p95': 4.0}}},"
    " 'answers': {'questions': 100, 'answerable': 90, 'em': 40.0, 'f1': 50.0, 'ci95': {'em': [30.0, 50.0]},"
    "             'by_kind': {'one_hop': {'questions': 80, 'em': 45.0, 'f1': 55.0}},"
    "             'no_answer': {'HasAns_exact': 40.0, 'NoAns_exact': 80.0}, 'citation': {'precision': 0.5},"
    "             'bleu': {'score': 12.5, 'signature': 'nrefs:1'},"
    "             'oracle_passage': {'questions': 85, 'em': 60.0, 'f1': 70.0}, 'latency_ms': {'p50': 50.0, 'p95': 75.0, 'search': {'p50': 1.5}}}}";

static const char table[] =
    "100 questions of split dev, 40 documents, 300 passages; seed 7, 2 threads\n"
    "data 0123456789ab\n"
    "top_k 8, fusion (mode sum lambda 0.3 tuned_on_dev yes), relevant qrels\n"
    "\n"
    "retrieval           questions  success@1  success@5  success@20  success@100  mrr@10  ndcg@10  recall@20  95% of mrr@10   p50 ms   p95 ms\n"
    "bm25                       90     0.5000     0.7500      0.8000       0.9000  0.6123   0.6500     0.7000  0.5500-0.6700     0.50     1.25\n"
    "  one_hop                  80          -          -           -            -  0.6250        -          -\n"
    "hybrid                     90          -          -           -            -  0.7000        -          -  0.6500-0.7500     3.00     4.00\n"
    "  mrr@10 over bm25's +0.0877, 95% -0.0100 to +0.1800\n"
    "\n"
    "answers             questions      em      f1  95% of em\n"
    "answerable                 90   40.00   50.00  30.00-50.00\n"
    "  one_hop                  80   45.00   55.00\n"
    "oracle passage             85   60.00   70.00\n"
    "no answer            HasAns_exact 40  NoAns_exact 80\n"
    "citation             precision 0.5\n"
    "bleu                 score 12.5  signature nrefs:1\n"
    "latency ms           p50 50  p95 75  search (p50 1.5)\n";
/* clang-format on */

static json_t *parse(const char *text) {
    json_t *j;
    char *copy = xstrdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'') *c = '"';
    if (json_parse(copy, strlen(copy), "report", &j) != OK) fail_msg("%s", err_msg());
    free(copy);
    return j;
}

static void a_report_is_shown_as_tables(void **state) {
    (void)state;
    buf out = {0};
    json_t *j = parse(report);
    eval_table(j, &out);
    assert_string_equal(out.at, table);
    json_decref(j);
    buf_clear(&out);
}

static void parts_that_are_absent_are_not_shown(void **state) {
    (void)state;
    buf out = {0};
    json_t *j = parse("{'questions': 3, 'documents': 2, 'passages': 2, 'split': 'test', 'seed': 1,"
                      " 'threads': 1, 'hashes': {}, 'retrieval': {}}");
    eval_table(j, &out);
    assert_string_equal(
        out.at, "3 questions of split test, 2 documents, 2 passages; seed 1, 1 thread\n\n\n");
    json_decref(j);
    buf_clear(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_shown_as_tables),
        cmocka_unit_test(parts_that_are_absent_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
