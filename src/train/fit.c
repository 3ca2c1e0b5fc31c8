/* --minutes: how many steps fit; with --num_iters beside it, at most so many; without it, at most
 * useful_iters.
 *
 * The cost of a step changes along the schedule (a model may train a part of itself first), so
 * steps from all over the run are tried out ahead of time: gradients are made and thrown away,
 * and the optimizer takes a step of length zero. Nothing that decides about the run has moved
 * when it begins, hence the same number of steps given as --num_iters ends in the same bytes.
 * While the run goes on, the clock is watched: in the first three quarters of the time the total
 * follows what steps turn out to cost, then it only comes down, where the deadline wants it. */
#include "train/trainer_int.h"

#include "util/stop.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_SHARE   .04 /* of the budget, for trying out */
#define PROBE_ROUNDS  4
#define PROBES_LEAST  3    /* the last, first and middle steps, unless .. */
#define PROBE_MOST    .25  /* .. they take this share of the budget */
#define ADJUST_SHARE  .05  /* of the budget between two adjustments of the total, .. */
#define FOLLOW_SHARE  .75  /* .. as long as it may also grow */
#define EVAL_SHARE    .15  /* of the budget at most, for evaluations */
#define EVALS_LEAST   4    /* so many at least, where EVAL_SHARE allows */
#define PROVISIONAL   1000 /* steps, where no number was given: only shares of it matter */
#define RESERVE_SHARE .02  /* for what comes after the last step */

/* Wall-clock seconds of a step at `step`; leaves parameters, moments and state as they were. */
static status probe(run *r, int64_t step, double *seconds) {
    r->step_begun_s = now_s();
    rng mine = rng_new(rng_hash(r->o.seed, (uint64_t)step));
    step_result s = {.run = r};
    status st = r->t->step(r->t->self, step, r->total, &mine, &s);
    params_zero_grad(r->t->p);
    if (st) return st;
    /* Muon would let momenta fade; those of a new run are zero, as the gradients are */
    adamw still = {.lr = 0, .beta1 = 1, .beta2 = 1, .eps = 1, .muon = r->opt.muon && r->step == 0};
    adamw_step(&still, r->t->p, r->be);
    *seconds = now_s() - r->step_begun_s;
    return stop_requested() ? ERR_STOPPED : OK;
}

static int64_t bin_middle(const run *r, int bin) {
    return (int64_t)(((double)bin + .5) / FIT_BINS * (double)r->total);
}

/* Mean of several rounds over the bins, the first of which only warms up and counts where
 * there was no time for another. The ends before what lies between, so that a few
 * tries cover the run. */
static status probe_all(run *r) {
    static const int order[FIT_BINS] = {7, 0, 3, 5, 1, 2, 4, 6};
    double sum[FIT_BINS] = {0}, begun = now_s();
    int n[FIT_BINS] = {0}, measured = 0;
    for (int k = 0; k < PROBE_ROUNDS * FIT_BINS; k++) {
        int bin = order[k % FIT_BINS];
        if (bin < FIT_BINS - 1 && bin_middle(r, bin) < r->step) continue; /* behind us */
        double most = measured < PROBES_LEAST ? PROBE_MOST : PROBE_SHARE;
        if (measured++ > 0 && now_s() - begun > most * r->fit.budget_s) break;
        double seconds;
        TRY(probe(r, bin_middle(r, bin), &seconds));
        if (k >= FIT_BINS && k < 2 * FIT_BINS) sum[bin] = n[bin] = 0;
        sum[bin] += seconds;
        n[bin]++;
    }
    double last = 0; /* a bin without a measurement takes its right neighbour's */
    for (int bin = FIT_BINS - 1; bin >= 0; bin--) {
        if (n[bin]) last = sum[bin] / n[bin];
        r->fit.step_s[bin] = last;
    }
    return OK;
}

/* Seconds of steps from..total-1 as measured. */
static double steps_s(const run *r, int64_t from) {
    double begin = (double)from / (double)r->total, sum = 0;
    for (int bin = 0; bin < FIT_BINS; bin++) {
        double left = (double)bin / FIT_BINS, right = (double)(bin + 1) / FIT_BINS;
        if (right > begin) sum += r->fit.step_s[bin] * (right - fmax(left, begin));
    }
    return sum * (double)r->total;
}

/* What surrounds the steps: an evaluation with its save. */
static double round_s(const run *r) {
    return r->fit.eval_s + r->fit.save_s;
}

double fit_left_s(const run *r) {
    if (r->fit.budget_s <= 0) return NAN;
    int64_t every = r->o.steps_per_eval, rounds = r->step < r->total;
    if (every > 0 && r->step < r->total) rounds += (r->total - 1) / every - r->step / every;
    double steps = r->fit.slower * steps_s(r, r->step);
    return steps + steps / r->o.save_every_s * r->fit.save_s + (double)rounds * round_s(r);
}

static double clock_left_s(const run *r) {
    return r->fit.deadline_s - now_s() - RESERVE_SHARE * r->fit.budget_s;
}

/* Total and evaluation interval of a new run: with evaluations every E steps,
 * N * step + (N / E + 1) * evaluation = the time that is left. */
static void choose(run *r) {
    double left = fmax(clock_left_s(r), 0), aside = round_s(r);
    double step = steps_s(r, 0) / (double)r->total;
    step = fmax(step * (1 + r->fit.save_s / r->o.save_every_s), 1e-6);
    double evaluations = fmax(1, aside > 0 ? floor(EVAL_SHARE * left / aside) : 1e9);
    double most = fmin(fmax(1, (left - aside) / step), (double)r->fit.most);
    int64_t least_interval = (int64_t)ceil(most / evaluations);
    int64_t interval = (int64_t)ceil(most / EVALS_LEAST);
    if (r->o.steps_per_eval > 0 && r->o.steps_per_eval < interval) interval = r->o.steps_per_eval;
    r->o.steps_per_eval = interval > least_interval ? interval : least_interval;
    double each = step + aside / (double)r->o.steps_per_eval;
    r->total = (int64_t)fmax(1, floor((left - aside) / each));
    if (r->total > r->fit.most) r->total = r->fit.most;
}

/* Most steps of a new run that the clock decides on. */
static int64_t bound_of(const train_options *o) {
    if (o->num_iters_given) return o->num_iters;
    return o->useful_iters > 0 ? o->useful_iters : INT64_MAX;
}

/* An unfinished run keeps its total if the clock allows. */
static void shorten(run *r) {
    double left = clock_left_s(r), wanted = fit_left_s(r);
    if (wanted <= left || r->step >= r->total) return;
    double share = left > 0 ? left / wanted : 0;
    r->total = r->step + (int64_t)((double)(r->total - r->step) * share);
    r->o.lr.total = r->total;
}

/* ---- saying it ---- */

static bool is_word(const char *at, size_t n, const char *word) {
    if (n != strlen(word)) return false;
    for (size_t i = 0; i < n; i++)
        if (at[i] != word[i] && !(at[i] == '-' && word[i] == '_')) return false;
    return true;
}

/* Bytes up to the next blank that is not within quotes. */
static size_t word_length(const char *at) {
    bool quoted = false;
    size_t n = 0;
    for (; at[n] && (quoted || at[n] != ' '); n++) {
        if (at[n] == '\'') quoted = !quoted;
        if (at[n] == '\\' && !quoted) n++;
    }
    return n;
}

char *fit_command(const run *r) {
    static const char *const replaced[] = {"--minutes", "--num_iters", "--steps_per_eval"};
    buf b = {0};
    bool skip = false, after_train = false;
    for (const char *at = r->o.command ? r->o.command : "raglan train all"; *at;) {
        size_t n = word_length(at), name = strcspn(at, " =");
        bool ours = false;
        for (int i = 0; i < 3; i++) ours |= is_word(at, name, replaced[i]);
        if (after_train && is_word(at, n, "all"))
            buf_printf(&b, " %s", r->t->type);
        else if (!skip && !ours)
            buf_printf(&b, "%s%.*s", b.len ? " " : "", (int)n, at);
        skip = ours && name == n; /* the value is the next word */
        after_train = is_word(at, n, "train");
        at += n + strspn(at + n, " ");
    }
    buf_printf(&b, " --num_iters %" PRId64 " --steps_per_eval %" PRId64, r->total,
               r->o.steps_per_eval);
    return buf_steal(&b);
}

/* ---- the fit ---- */

static status measure(run *r) {
    TRY(probe_all(r));
    if (r->t->evaluate) {
        double begun = now_s();
        dev_result d = {0};
        status st = r->t->evaluate(r->t->self, false, &d);
        json_decref(d.figures);
        json_decref(d.baseline);
        if (st) return st;
        r->fit.eval_s = now_s() - begun;
    }
    return OK;
}

status fit_run(run *r) {
    fit *f = &r->fit;
    f->budget_s = 60 * r->o.minutes;
    f->deadline_s = r->begun_s + f->budget_s;
    f->slower = 1;
    /* Until one is measured: six syncs, and 200 MB/s of parameters and moments. */
    f->save_s = .06 + 12 * (double)params_count(r->t->p) / 2e8;
    bool is_new = r->step == 0 && r->saved < 0;
    if (is_new && r->total < FIT_BINS) r->total = PROVISIONAL;
    json_t *kept = r->t->save ? r->t->save(r->t->self) : NULL;
    log_info("trying out a few steps of %s, to fit %.3g minutes", r->t->type, r->o.minutes);
    status st = measure(r);
    if (kept && r->t->load && !st) st = r->t->load(r->t->self, kept);
    json_decref(kept);
    if (st) return st;
    if (is_new) {
        f->most = bound_of(&r->o);
        choose(r);
    } else {
        shorten(r);
        f->most = r->total;
    }
    f->adjusted_s = now_s() - r->begun_s;
    char *command = fit_command(r);
    log_info("fitted to %.3g minutes: %" PRId64
             " step%s (%.3g s a step, %.3g s an evaluation); the "
             "same again: %s",
             r->o.minutes, r->total - r->step, plural(r->total - r->step),
             steps_s(r, r->step) / (double)(r->total - r->step + 1), f->eval_s, command);
    free(command);
    if (is_new && !r->o.num_iters_given && r->total == f->most)
        log_info("more would only repeat what so small a collection teaches: done before the time "
                 "is up");
    return OK;
}

/* The total that the clock allows if what is left goes on as it went; up to twice as many steps. */
static void adjust(run *r) {
    double left = clock_left_s(r), wanted = fit_left_s(r);
    double share = fmin(fmax(left, 0) / fmax(wanted, 1e-6), 2);
    if (share > .95 && share < 1.05) return;
    int64_t total = r->step + (int64_t)((double)(r->total - r->step) * share);
    r->total = r->o.lr.total = total < r->fit.most ? total : r->fit.most;
}

void fit_watch(run *r) {
    fit *f = &r->fit;
    if (f->budget_s <= 0 || r->step >= r->total) return;
    int bin = (int)(FIT_BINS * (r->step - 1) / r->total);
    double weight = fmax(.02, 1 / (double)++f->watched), passed = now_s() - r->begun_s;
    if (f->step_s[bin] > 0) f->slower += weight * (r->last_step_s / f->step_s[bin] - f->slower);
    if (passed > FOLLOW_SHARE * f->budget_s) {
        shorten(r);
    } else if (passed - f->adjusted_s > ADJUST_SHARE * f->budget_s) {
        f->adjusted_s = passed;
        adjust(r);
    }
}
