/* The training loop: the order of events, and nothing of what a step computes.
 *
 *     evaluate when due -> save when due -> end? -> stop asked? -> step -> report
 *
 * Everything that decides about a step - parameters, moments, generator, schedule, position -
 * is in the checkpoint, and nothing that differs between two runs (time, saves, reports,
 * interrupts) reaches it. So a run that was stopped or killed and goes on ends in the same
 * bytes as one that never stopped. */
#include "train/trainer_int.h"

#include "util/stop.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOT_FINITE_MOST  10 /* steps in a row without a finite loss end the run */
#define STEP_REST_MOST_S 10 /* a stop waits so long for a step made of parts */

/* One step. Afterwards r->step counts it, whether or not it taught anything. */
static status take_step(run *r) {
    double norm = NAN;
    rng was = r->r, mine = rng_fork(&r->r, "step");
    step_result s = {.run = r};
    r->step_begun_s = now_s();
    r->opt.lr = schedule_lr(&r->o.lr, r->step);
    status st = r->t->step(r->t->self, r->step, r->total, &mine, &s);
    if (st) { /* as if it had never begun */
        params_zero_grad(r->t->p);
        r->r = was;
        return st;
    }
    if (!s.skipped && isfinite(s.loss))
        norm = adamw_step(&r->opt, r->t->p, r->be);
    else
        params_zero_grad(r->t->p);
    r->step++;
    r->last_step_s = now_s() - r->step_begun_s;
    if (s.skipped) {
        report_step(r, &s, norm, r->last_step_s);
        return OK;
    }
    r->not_finite = isnan(norm) ? r->not_finite + 1 : 0;
    if (r->not_finite >= NOT_FINITE_MOST)
        FAIL(ERR_STATE,
             "%s diverged: neither loss nor gradient was finite for %d steps up to %" PRId64
             "; checkpoint %.12s is the last good one; try a lower --learning_rate",
             r->t->type, NOT_FINITE_MOST, r->before + r->step,
             r->identifier[0] ? r->identifier : "(none)");
    report_step(r, &s, norm, r->last_step_s);
    return OK;
}

status train_pulse(step_result *out, double share) {
    run *r = out->run;
    if (!r || share <= 0) return OK;
    double passed = now_s() - r->step_begun_s;
    if (stop_requested() && passed * (1 - share) > STEP_REST_MOST_S * share)
        FAIL(ERR_STOPPED, "stopped in a step");
    report_pulse(r, out, share);
    return OK;
}

/* Every steps_per_eval and at the end; the last but one is left out when the end is near. */
static bool evaluation_is_due(const run *r) {
    int64_t every = r->o.steps_per_eval, left = r->total - r->step;
    bool at = left == 0 || (every > 0 && r->step % every == 0 && left >= every / 4);
    return r->step > 0 && at && r->evaluated != r->step;
}

/* Dev figures, where the trainee has any. */
static status evaluate(run *r) {
    if (!r->t->evaluate) {
        r->evaluated = r->step;
        return OK;
    }
    double begun = now_s();
    dev_result d = {.score = NAN};
    status st = r->t->evaluate(r->t->self, r->step == r->total && r->o.minutes <= 0, &d);
    if (st) {
        json_decref(d.figures);
        json_decref(d.baseline);
        return st;
    }
    json_decref(r->dev);
    json_decref(r->baseline);
    r->dev = d.figures;
    r->baseline = d.baseline;
    r->score = d.score;
    r->evaluated = r->step;
    bool is_better = !isnan(d.score) && !(d.score <= r->best); /* best may be NaN */
    r->since_best = is_better ? 0 : r->since_best + 1;
    if (is_better) r->best = d.score;
    r->fit.eval_s = now_s() - begun;
    report_evaluation(r, r->fit.eval_s);
    return OK;
}

/* A save in the middle that fails costs nothing yet: it is said, and tried again at the next
 * evaluation or a minute later. */
static void save_on_the_way(run *r) {
    if (run_save(r, false) != OK)
        log_error("%s; training goes on and tries again in %.0f s", err_msg(), r->o.save_every_s);
}

static bool save_is_due(const run *r) {
    if (r->saved == r->step || r->step == r->first_step) return false;
    return now_s() - r->saved_s + r->last_step_s >= r->o.save_every_s;
}

/* State saved, then ERR_STOPPED; if it cannot be saved that is the failure. */
static status stop(run *r) {
    if (r->saved != r->step) TRY(run_save(r, false));
    FAIL(ERR_STOPPED,
         "stopped at step %" PRId64 " of %" PRId64 ", saved as checkpoint %.12s: the same command "
         "goes on from there",
         r->before + r->step, r->before + r->total, r->identifier);
}

static status loop(run *r) {
    for (;;) {
        bool evaluates = evaluation_is_due(r);
        if (evaluates) {
            status st = evaluate(r);
            if (st == ERR_STOPPED) return stop(r);
            if (st) return st;
            if (r->o.visualisation) report_show(r);
        }
        bool no_patience = r->o.patience > 0 && r->since_best >= r->o.patience;
        if (no_patience) r->total = r->step;
        if (r->step == r->total) return run_save(r, true);
        if (evaluates || save_is_due(r)) save_on_the_way(r);
        if (stop_requested()) return stop(r);
        status st = take_step(r);
        if (st == ERR_STOPPED) return stop(r);
        if (st) return st;
        fit_watch(r);
    }
}

/* The best on dev is used, which need not be what the run ended with: after fine-tuning it may be
 * older than the run. */
static void say_in_use(const run *r) {
    checkpoint best;
    if (checkpoint_find(r->o.home, r->t->type, NULL, CHECKPOINT_BEST, &best) != OK) {
        err_clear();
        return;
    }
    if (best.identifier[0] && strcmp(best.identifier, r->identifier))
        log_info("in use is %s checkpoint %.12s of step %" PRId64 ", which did better on dev",
                 r->t->type, best.identifier, best.step);
    checkpoint_clear(&best);
}

static void say_end(const run *r, int64_t fitted) {
    log_info("%s: %" PRId64 " step%s done in %.0f s, checkpoint %.12s", r->t->type,
             r->step - r->first_step, plural(r->step - r->first_step), now_s() - r->begun_s,
             r->identifier);
    say_in_use(r);
    if (r->o.minutes <= 0 || r->total == fitted) return;
    char *command = fit_command(r);
    log_info("the clock allowed %" PRId64 " step%s instead of %" PRId64
             "; as many from the start, at rates planned for them: %s",
             r->total, plural(r->total), fitted, command);
    free(command);
}

static status carry_out(run *r) {
    bool done;
    TRY(run_begin(r, &done));
    if (done) return OK;
    TRY(file_make_folders(r->o.home));
    if (r->o.minutes > 0) {
        status st = fit_run(r);
        if (st == ERR_STOPPED && r->saved < 0)
            FAIL(ERR_STOPPED, "stopped before the first step of %s: nothing to save", r->t->type);
        if (st == ERR_STOPPED) return stop(r);
        if (st) return st;
    }
    int64_t fitted = r->total;
    r->o.lr.total = r->total;
    report_open(r);
    r->saved_s = now_s();
    status st = loop(r);
    report_close(r);
    if (!st) say_end(r, fitted);
    return st;
}

status train_run(const trainee *t, const train_options *o, char identifier[41]) {
    run r = {.t = t, .o = *o, .be = backend_cpu(), .opt = o->optimizer, .begun_s = now_s()};
    if (r.o.save_every_s <= 0) r.o.save_every_s = 60;
    if (r.o.steps_per_report <= 0) r.o.steps_per_report = 10;
    r.last_norm = NAN;
    status st = carry_out(&r);
    memcpy(identifier, r.identifier, 41);
    json_decref(r.dev);
    json_decref(r.baseline);
    return st;
}
