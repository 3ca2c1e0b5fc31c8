/* raglan sample: writes a fictional encyclopedia to try everything else on. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/opts.h"
#include "data/sample.h"

static void print_json(const sample_report *r) {
    printf("{\"articles\": %lld, \"bytes\": %lld, \"kinds\": %lld, \"relations\": %lld, "
           "\"questions\": {\"train\": %lld, \"dev\": %lld, \"test\": %lld}, "
           "\"one_hop\": %lld, \"two_hop\": %lld, \"unanswerable\": %lld}\n",
           (long long)r->articles, (long long)r->bytes, (long long)r->kinds,
           (long long)r->relations, (long long)r->questions[SAMPLE_TRAIN],
           (long long)r->questions[SAMPLE_DEV], (long long)r->questions[SAMPLE_TEST],
           (long long)r->one_hop, (long long)r->two_hop, (long long)r->unanswerable);
}

static void print_text(const char *dir, const sample_report *r) {
    printf("%s/docs: %lld article%s, %.1f MB, on %lld kinds of things with %lld relations\n", dir,
           (long long)r->articles, plural(r->articles), (double)r->bytes / 1e6, (long long)r->kinds,
           (long long)r->relations);
    printf("%s/questions.{train,dev,test}.jsonl: %lld, %lld and %lld questions "
           "(%lld one_hop, %lld two_hop, %lld unanswerable)\n",
           dir, (long long)r->questions[SAMPLE_TRAIN], (long long)r->questions[SAMPLE_DEV],
           (long long)r->questions[SAMPLE_TEST], (long long)r->one_hop, (long long)r->two_hop,
           (long long)r->unanswerable);
}

int cmd_sample(int argc, char **argv) {
    int64_t articles;
    const char *grammar = NULL;
    opt table[] = {
        {"articles", OPT_INT, &articles, "1000", 1, 10000000, "N", "articles to write", false},
        {"grammar", OPT_TEXT, &grammar, NULL, 0, 0, "FILE",
         "words and facts to use instead of the built-in ones (docs/sample.md)", false},
    };
    opts o = {.command = "sample",
              .arguments = "DIR",
              .min_args = 1,
              .max_args = 1,
              .about = "Writes a fictional encyclopedia with questions, answers and evidence into "
                       "DIR: text that nobody has read before, of any size. The same seed and "
                       "number of articles give the same bytes.\n\n"
                       "  raglan sample tales\n"
                       "  raglan ingest tales/docs tales/questions.*.jsonl",
              .shared = OPTS_SEED | OPTS_JSON,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;

    sample_options so = {.articles = articles, .seed = (uint64_t)o.seed, .grammar = grammar};
    sample_report report;
    status st = sample_write(o.args[0], &so, &report);
    if (st) return cli_exit(st);
    o.json ? print_json(&report) : print_text(o.args[0], &report);
    return 0;
}
