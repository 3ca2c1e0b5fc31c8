/* raglan ask: one question and its answer, or a prompt. The answer is printed piece by piece as it
 * is chosen, its sources after it. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/asking.h"
#include "cli/hits.h"
#include "cli/opts.h"
#include "cli/prompt.h"

static void print_piece(void *arg, const char *text, size_t n) {
    (void)arg;
    fwrite(text, 1, n, stdout);
    fflush(stdout);
}

static void print_json(const char *question, const rag_answer *a) {
    json_t *j = json_pack("{s:s, s:s, s:f, s:o}", "question", question, "answer", a->text,
                          "confidence", a->confidence, "sources", hits_json(a->sources));
    char *line = json_line(j);
    puts(line);
    fflush(stdout);
    free(line);
    json_decref(j);
}

status ask_one(void *arg, const char *question) {
    asking *x = arg;
    rag_answer *a = NULL;
    rag_ask_options o = x->o;
    if (!x->json) o.on_text = print_piece;
    status st = (status)rag_ask(x->r, question, &o, &a);
    if (st) return st;
    if (x->json)
        print_json(question, a);
    else {
        printf("%s\n", !*a->text ? "(not in these documents)" : a->is_cut ? " ..." : "");
        if (a->sources->n) printf("\nsources (confidence %.2f):\n", a->confidence);
        hits_print(a->sources, 0);
        fflush(stdout);
    }
    rag_answer_free(a);
    return OK;
}

int cmd_ask(int argc, char **argv) {
    int mode, precision;
    const char *retriever = NULL, *generator = NULL;
    int64_t top_k, beams, sample_top_k, max_tokens;
    double temperature;
    /* clang-format off */
    opt table[] = {
        {"top_k", OPT_INT, &top_k, "4", 1, 1000, "K", "passages to read", false},
        {"mode", OPT_CHOICE, &mode, "auto", 0, 0, MODE_CHOICES,
         "how to find them; auto is hybrid where there are vectors, else bm25", false},
        {"precision", OPT_CHOICE, &precision, "auto", 0, 0, PRECISION_CHOICES,
         "what the generator multiplies in; auto: what this processor does fastest, f32 or bf16", false},
        {"beams", OPT_INT, &beams, "1", 1, 64, "N", "beams; 1: greedy", false},
        {"temperature", OPT_FLOAT, &temperature, "0", 0, 10, "T", "above 0: sample", false},
        {"sample_top_k", OPT_INT, &sample_top_k, "50", 0, 1e6, "K",
         "tokens to sample from; 0: all", false},
        {"max_tokens", OPT_INT, &max_tokens, "0", 0, 4096, "N",
         "longest answer; 0: the model's own limit", false},
        {"retriever_identifier", OPT_TEXT, &retriever, NULL, 0, 0, "SHA1",
         "retriever to use; default: the best on dev", false},
        {"identifier", OPT_TEXT, &generator, NULL, 0, 0, "SHA1",
         "generator to use; default: the best on dev", false},
    };
    /* clang-format on */
    opts o = {.command = "ask",
              .arguments = "[QUESTION]",
              .about = "Answers a question from the collection and names its sources.\n\n"
                       "Without QUESTION: a prompt; `quit` or the end of input leaves. With --json "
                       "one object a question.",
              .min_args = 0,
              .max_args = 1,
              .shared = OPTS_HOME | OPTS_THREADS | OPTS_SEED | OPTS_GPU | OPTS_JSON,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    asking x = {.json = o.json,
                .o = {.mode = (rag_mode)mode,
                      .precision = (rag_precision)precision,
                      .top_k = top_k,
                      .beams = (int)beams,
                      .temperature = temperature,
                      .sample_top_k = (int)sample_top_k,
                      .max_tokens = max_tokens,
                      .seed = (uint64_t)o.seed}};
    int st = rag_open(o.home, &(rag_options){.retriever = retriever, .generator = generator}, &x.r);
    if (!st) st = o.n_args ? ask_one(&x, o.args[0]) : prompt_loop(ask_one, &x);
    rag_close(x.r);
    return cli_exit((status)st);
}
