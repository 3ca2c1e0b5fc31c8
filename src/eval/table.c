/* An evaluation as tables for people. */
#include <string.h>

#include "eval/eval_int.h"

static const char *const shown[] = {"success@1", "success@5", "success@20", "success@100",
                                    "mrr@10",    "ndcg@10",   "recall@20"};
enum { N_SHOWN = sizeof shown / sizeof *shown };

/* "key value" of every number, word and switch in o, objects in it in brackets. */
static void add_pairs(const json_t *o, const char *between, buf *out) {
    const char *key, *gap = "";
    json_t *value;
    json_object_foreach((json_t *)o, key, value) {
        if (json_is_null(value)) continue;
        buf_printf(out, "%s%s ", gap, key);
        gap = between;
        if (json_is_number(value)) buf_printf(out, "%.4g", json_number_value(value));
        if (json_is_string(value)) buf_puts(out, json_string_value(value));
        if (json_is_boolean(value)) buf_puts(out, json_is_true(value) ? "yes" : "no");
        if (!json_is_object(value)) continue;
        buf_puts(out, "(");
        add_pairs(value, " ", out);
        buf_puts(out, ")");
    }
}

static void add_head(const json_t *report, buf *out) {
    const json_t *h = json_object_get(report, "hashes");
    int64_t n = json_int(report, "questions", 0), documents = json_int(report, "documents", 0);
    int64_t passages = json_int(report, "passages", 0), threads = json_int(report, "threads", 0);
    buf_printf(out,
               "%lld question%s of split %s, %lld document%s, %lld passage%s; seed %lld, %lld "
               "thread%s\n",
               (long long)n, plural(n), json_str(report, "split", ""), (long long)documents,
               plural(documents), (long long)passages, plural(passages),
               (long long)json_int(report, "seed", 0), (long long)threads, plural(threads));
    const char *key, *gap = "";
    json_t *value;
    json_object_foreach((json_t *)h, key, value) {
        if (!json_is_string(value)) continue;
        buf_printf(out, "%s%s %.12s", gap, key, json_string_value(value));
        gap = "  ";
    }
    buf_puts(out, "\n");
    add_pairs(json_object_get(report, "settings"), ", ", out);
    buf_puts(out, "\n");
}

/* ---- retrieval ---- */

static void add_figures(const char *name, const json_t *part, buf *out) {
    buf_printf(out, "%-20s%9lld", name, (long long)json_int(part, "questions", 0));
    for (int i = 0; i < N_SHOWN; i++) {
        const json_t *x = json_object_get(part, shown[i]);
        int width = (int)strlen(shown[i]) + 2;
        if (json_is_number(x))
            buf_printf(out, "%*.4f", width, json_number_value(x));
        else
            buf_printf(out, "%*s", width, "-");
    }
}

static void add_mode(const char *mode, const json_t *part, buf *out) {
    const json_t *ci = json_object_get(json_object_get(part, "ci95"), "mrr@10");
    const json_t *time = json_object_get(part, "latency_ms");
    add_figures(mode, part, out);
    buf_printf(out, "  %.4f-%.4f%9.2f%9.2f\n", json_real_value(json_array_get(ci, 0)),
               json_real_value(json_array_get(ci, 1)), json_num(time, "p50", 0),
               json_num(time, "p95", 0));
    const json_t *more = json_object_get(part, "minus_bm25");
    if (more) {
        ci = json_object_get(json_object_get(more, "ci95"), "mrr@10");
        buf_printf(out, "  mrr@10 over bm25's %+.4f, 95%% %+.4f to %+.4f\n",
                   json_num(more, "mrr@10", 0), json_real_value(json_array_get(ci, 0)),
                   json_real_value(json_array_get(ci, 1)));
    }
    const char *kind;
    json_t *of_kind;
    json_object_foreach(json_object_get(part, "by_kind"), kind, of_kind) {
        char name[64];
        snprintf(name, sizeof name, "  %s", kind);
        add_figures(name, of_kind, out);
        buf_puts(out, "\n");
    }
}

static void add_retrieval(const json_t *part, buf *out) {
    buf_printf(out, "\n%-20s%9s", "retrieval", "questions");
    for (int i = 0; i < N_SHOWN; i++) buf_printf(out, "  %s", shown[i]);
    buf_printf(out, "  %-13s%9s%9s\n", "95% of mrr@10", "p50 ms", "p95 ms");
    const char *mode;
    json_t *of_mode;
    json_object_foreach((json_t *)part, mode, of_mode) add_mode(mode, of_mode, out);
}

/* ---- answers ---- */

static void add_scores(const char *name, const json_t *part, const char *count, buf *out) {
    buf_printf(out, "%-20s%9lld%8.2f%8.2f", name, (long long)json_int(part, count, 0),
               json_num(part, "em", 0), json_num(part, "f1", 0));
}

static void add_line(const char *title, const json_t *o, buf *out) {
    if (!json_object_size(o)) return;
    buf_printf(out, "%-20s ", title);
    add_pairs(o, "  ", out);
    buf_puts(out, "\n");
}

static void add_answers(const json_t *part, buf *out) {
    buf_printf(out, "\n%-20s%9s%8s%8s  95%% of em\n", "answers", "questions", "em", "f1");
    const json_t *ci = json_object_get(json_object_get(part, "ci95"), "em");
    if (ci) {
        add_scores("answerable", part, "answerable", out);
        buf_printf(out, "  %.2f-%.2f\n", json_real_value(json_array_get(ci, 0)),
                   json_real_value(json_array_get(ci, 1)));
    }
    const char *kind;
    json_t *of_kind;
    json_object_foreach(json_object_get(part, "by_kind"), kind, of_kind) {
        char name[64];
        snprintf(name, sizeof name, "  %s", kind);
        add_scores(name, of_kind, "questions", out);
        buf_puts(out, "\n");
    }
    const json_t *oracle = json_object_get(part, "oracle_passage");
    if (oracle) {
        add_scores("oracle passage", oracle, "questions", out);
        buf_puts(out, "\n");
    }
    add_line("against f32", json_object_get(part, "against_f32"), out);
    add_line("no answer", json_object_get(part, "no_answer"), out);
    add_line("citation", json_object_get(part, "citation"), out);
    add_line("bleu", json_object_get(part, "bleu"), out);
    add_line("rouge, no stemmer", json_object_get(part, "rouge"), out);
    add_line("latency ms", json_object_get(part, "latency_ms"), out);
}

void eval_table(const json_t *report, buf *out) {
    add_head(report, out);
    const json_t *retrieval = json_object_get(report, "retrieval"),
                 *answers = json_object_get(report, "answers");
    if (json_object_size(retrieval)) add_retrieval(retrieval, out);
    add_line("cosine to f32", json_object_get(report, "vectors_against_f32"), out);
    if (answers) add_answers(answers, out);
}
