/* What a run says while it goes on: report lines on stderr, the same as a table in
 * <home>/logs/<type>.tsv, a progress bar on a terminal, examples and the page when visualisation
 * is on. A log that cannot be written is a warning; training goes on.
 *
 * The table has two kinds of rows: of steps (loss .. tokens_per_s filled in) and of evaluations
 * (dev filled in: "mrr@10=0.512 bm25:mrr@10=0.480"). A run that goes on from a checkpoint takes
 * the rows after it away, so each step is there once. */
#include "train/trainer_int.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER    "step\tseconds\tloss\tlr\tgrad_norm\tit_per_s\ttokens_per_s\tdev\n"
#define SILENCE_S 20 /* a report line comes after so long even between two due ones */

static int64_t shown_step(const run *r) {
    return r->before + r->step;
}

/* ---- files ---- */

static int64_t tsv_step(const char *line) {
    char *end;
    int64_t step = strtoll(line, &end, 10);
    return end > line ? step : -1; /* the header counts as before everything */
}

static int64_t example_step(const char *line) {
    json_t *j;
    if (json_parse(line, strlen(line), "example", &j)) return INT64_MAX;
    int64_t step = json_int(j, "step", INT64_MAX);
    json_decref(j);
    return step;
}

/* Cuts a log after its last whole line of a step <= upto; gone when it does not begin with `head`.
 */
static status cut_log(const char *path, const char *head, int64_t upto,
                      int64_t (*step_of)(const char *line)) {
    if (!file_exists(path)) return OK;
    buf b = {0};
    TRY(file_read(path, 0, &b));
    size_t kept = 0;
    bool is_ours = b.len >= strlen(head) && !memcmp(b.at, head, strlen(head));
    for (char *line = b.at, *end; is_ours && line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        if (step_of(line) > upto) break;
        kept = (size_t)(end + 1 - b.at);
    }
    buf_clear(&b);
    if (truncate(path, (off_t)kept) != 0) FAIL(ERR_IO, "%s: cannot cut: %s", path, strerror(errno));
    return OK;
}

static char *log_path(const run *r, const char *ending) {
    return xasprintf("%s/logs/%s.%s", r->o.home, r->t->type, ending);
}

static status open_log(run *r) {
    char *folder = xasprintf("%s/logs", r->o.home);
    char *table = log_path(r, "tsv"), *examples = log_path(r, "examples.jsonl");
    int64_t upto = shown_step(r) > 0 ? shown_step(r) : -2; /* a new model: not even the header */
    status st = file_make_folders(folder);
    if (!st) st = cut_log(table, HEADER, upto, tsv_step);
    if (!st) st = cut_log(examples, "", upto, example_step);
    if (!st && !(r->log = fopen(table, "ae")))
        st = err_set(ERR_IO, __FILE__, __LINE__, "%s: cannot write: %s", table, strerror(errno));
    if (!st && ftello(r->log) == 0) fputs(HEADER, r->log);
    free(folder);
    free(table);
    free(examples);
    return st;
}

void report_open(run *r) {
    if (open_log(r) != OK) log_warn("no training log: %s", err_msg());
    r->w.begun_s = now_s();
    r->has_bar = isatty(STDERR_FILENO) && r->total > r->step;
    snprintf(r->label, sizeof r->label, "training %s", r->t->type);
    if (r->has_bar) progress_begin(&r->bar, r->label, "steps", r->total - r->first_step);
}

static void write_page(const run *r) {
    json_t *meta = run_meta(r, r->step == r->total);
    if (r->log) fflush(r->log);
    if (html_report(r->o.home, r->t->type, meta) != OK) log_warn("no report page: %s", err_msg());
    json_decref(meta);
}

void report_close(run *r) {
    if (r->has_bar) progress_end(&r->bar);
    if (r->o.visualisation) write_page(r);
    if (r->log) fclose(r->log);
    r->log = NULL;
}

static void end_row(run *r) {
    if (!r->log) return;
    if (fflush(r->log) == 0) return;
    log_warn("the training log ends at step %" PRId64 ": %s", shown_step(r), strerror(errno));
    fclose(r->log);
    r->log = NULL;
}

/* ---- dev figures ---- */

/* "mrr@10 0.512 (BM25 0.480)" for each figure, at most `most`. */
static void add_figures(const run *r, buf *b, int most) {
    const char *key;
    json_t *value;
    json_object_foreach(r->dev, key, value) {
        if (!json_is_number(value) || most-- <= 0) continue;
        buf_printf(b, ", %s %.3f", key, json_number_value(value));
        const json_t *base = json_object_get(r->baseline, key);
        if (json_is_number(base)) buf_printf(b, " (BM25 %.3f)", json_number_value(base));
    }
}

static void add_cells(buf *b, const json_t *figures, const char *prefix) {
    const char *key;
    json_t *value, *o = (json_t *)figures;
    json_object_foreach(o, key, value) {
        if (json_is_number(value))
            buf_printf(b, "%s%s%s=%.6g", b->len ? " " : "", prefix, key, json_number_value(value));
    }
}

/* ---- lines ---- */

static void add_left(const run *r, buf *b, double step_s) {
    double left = fit_left_s(r);
    if (isnan(left)) {
        int64_t every = r->o.steps_per_eval > 0 ? r->o.steps_per_eval : r->total;
        double rounds = (double)((r->total - 1) / every - r->step / every + 1);
        left = step_s * (double)(r->total - r->step) + rounds * (r->fit.eval_s + r->fit.save_s);
    }
    int64_t s = r->step < r->total ? (int64_t)(left + .5) : 0;
    if (s >= 3600)
        buf_printf(b, ", %" PRId64 ":%02d:%02d left", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        buf_printf(b, ", %d:%02d left", (int)(s / 60), (int)(s % 60));
}

static void print_line(run *r) {
    window *w = &r->w;
    double busy = fmax(w->busy_s, 1e-9), rate = (double)w->steps / busy;
    double loss = w->learned ? w->loss / (double)w->learned : NAN;
    double tokens = (double)w->tokens / busy;
    buf b = {0};
    buf_printf(&b,
               "Iter %" PRId64 ": Train loss %.3f, It/sec %.3f, tokens/s %.0f, lr %.3g, grad %.3g",
               shown_step(r), loss, rate, tokens, (double)r->opt.lr, r->last_norm);
    add_figures(r, &b, 1);
    add_left(r, &b, 1 / rate);
    log_info("%s", b.at);
    buf_clear(&b);
    if (r->log) {
        fprintf(r->log, "%" PRId64 "\t%.1f\t", shown_step(r), r->before_s + now_s() - r->begun_s);
        if (w->learned) fprintf(r->log, "%.6g", loss);
        fprintf(r->log, "\t%.6g\t", (double)r->opt.lr);
        if (isfinite(r->last_norm)) fprintf(r->log, "%.6g", r->last_norm);
        fprintf(r->log, "\t%.6g\t%.6g\t\n", rate, tokens);
        end_row(r);
    }
    *w = (window){.begun_s = now_s(), .pulse_s = w->pulse_s};
}

void report_pulse(run *r, const step_result *s, double share) {
    double now = now_s(), passed = fmax(now - r->step_begun_s, 1e-9);
    if (now - fmax(r->step_begun_s, r->w.pulse_s) < SILENCE_S) return;
    r->w.pulse_s = now;
    log_info("Iter %" PRId64 ": Train loss %.3f, It/sec %.5f, tokens/s %.0f: %.0f%% of the next "
             "step",
             shown_step(r), s->loss / share, share / passed, (double)s->tokens / passed,
             100 * share);
}

void report_step(run *r, const step_result *s, double norm, double seconds) {
    window *w = &r->w;
    w->steps++;
    w->busy_s += seconds;
    w->tokens += s->tokens;
    if (!isnan(norm)) {
        w->loss += s->loss;
        w->learned++;
        r->last_norm = norm;
    }
    bool is_due = shown_step(r) % r->o.steps_per_report == 0 || r->step == r->total;
    if (is_due || now_s() - w->begun_s > SILENCE_S) print_line(r);
    if (r->has_bar) {
        r->bar.total = r->total - r->first_step;
        progress_update(&r->bar, r->step - r->first_step);
    }
}

void report_evaluation(run *r, double seconds) {
    buf b = {0};
    add_figures(r, &b, 100);
    log_info("Iter %" PRId64 ": Dev %s%s; %.1f s", shown_step(r), b.len ? b.at + 2 : "no figures",
             r->since_best > 0 ? ""
             : r->parent[0]    ? ", best of this run"
                               : ", best so far",
             seconds);
    buf_reset(&b);
    add_cells(&b, r->dev, "");
    add_cells(&b, r->baseline, "bm25:");
    if (r->log)
        fprintf(r->log, "%" PRId64 "\t%.1f\t\t\t\t\t\t%s\n", shown_step(r),
                r->before_s + now_s() - r->begun_s, b.len ? b.at : "");
    end_row(r);
    buf_clear(&b);
}

/* ---- visualisation ---- */

static status add_example(const run *r, json_t *example) {
    json_t *row = json_pack("{s:I, s:O}", "step", (json_int_t)shown_step(r), "example", example);
    char *line = json_line(row), *path = log_path(r, "examples.jsonl");
    FILE *f = fopen(path, "ae");
    bool failed = !f || fprintf(f, "%s\n", line) < 0;
    if (f && fclose(f) != 0) failed = true;
    status st =
        failed ? err_set(ERR_IO, __FILE__, __LINE__, "%s: cannot write: %s", path, strerror(errno))
               : OK;
    json_decref(row);
    free(line);
    free(path);
    return st;
}

void report_show(run *r) {
    if (r->t->show) {
        buf text = {0};
        json_t *example = NULL;
        status st = r->t->show(r->t->self, r->step, &text, &example);
        while (text.len && text.at[text.len - 1] == '\n') text.at[--text.len] = 0;
        if (!st && text.len) log_info("%s", text.at);
        if (!st && example) st = add_example(r, example);
        if (st) log_warn("no example at step %" PRId64 ": %s", shown_step(r), err_msg());
        json_decref(example);
        buf_clear(&text);
    }
    write_page(r);
}
