/* floor: metric. Any bytes as judgements and as a run: refused with a sentence, or evaluated by
 * every measure to finite numbers. The input is cut at its first empty line. */
#include "metric/trec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Every line but runid's ends in a number or a quoted string. */
static void check_lines(const char *line) {
    for (; *line; line += strcspn(line, "\n") + 1) {
        const char *last = line + strcspn(line, "\n") - 3;
        bool is_finite = strncmp(last, "nan", 3) != 0 && strncmp(last, "inf", 3) != 0;
        MUST(is_finite || strncmp(line, "runid", 5) == 0, "%s", line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    const char *text = (const char *)bytes, *cut = n ? memmem(text, n, "\n\n", 2) : NULL;
    size_t n_qrels = cut ? (size_t)(cut - text) : n, begin = cut ? n_qrels + 2 : n;
    const char *measures[] = {"all_trec", "G.0=-1,1=0.5", "rbp.p=0.5,2=4"};
    trec_options options = {
        .per_query = true, .complete = true, .level = 1, .measures = measures, .n_measures = 3};
    trec_qrels *q = NULL;
    trec_run *r = NULL;
    buf out = {0};
    status st = trec_qrels_parse("qrels", text, n_qrels, &q);
    if (st) MUST(err_msg()[0], "no sentence");
    status st_run = trec_run_parse("run", text + begin, n - begin, &r);
    if (st_run) MUST(err_msg()[0], "no sentence");
    if (!st && !st_run) {
        MUST(trec_evaluate(q, r, &options, &out) == OK, "%s", err_msg());
        MUST(trec_qrels_count(q) > 0 && out.len > 0, "nothing was evaluated");
        check_lines(out.at);
    }
    trec_qrels_free(q);
    trec_run_free(r);
    buf_clear(&out);
    return 0;
}
