#ifndef RAGLAN_TRAIN_TRAINER_INT_H
#define RAGLAN_TRAIN_TRAINER_INT_H
/* The inside of the training loop: trainer.c (order of events), resume.c (where to go on),
 * report.c (lines and tables), fit.c (--minutes), html.c (the report page). */
#include "train/trainer.h"
#include "util/log.h"

#include <stdio.h>

#define FIT_BINS 8

/* The measured cost of the run: seconds of a step in each eighth of the schedule (a schedule
 * may switch parts of a model on), of an evaluation, of a save. */
typedef struct fit {
    double deadline_s; /* on now_s()'s clock; 0: no --minutes */
    double budget_s;
    double step_s[FIT_BINS];
    double eval_s, save_s;
    double slower;     /* steps take so many times the measured cost, a moving mean */
    int64_t watched;   /* steps in it */
    int64_t most;      /* the total never exceeds it: an unfinished run's own */
    double adjusted_s; /* seconds into the run when the total was last looked at */
} fit;

/* Sums since the last report line. */
typedef struct window {
    double loss;
    int64_t steps, learned, tokens;
    double busy_s, begun_s;
    double pulse_s; /* when a line last spoke of a step under way */
} window;

typedef struct run {
    const trainee *t;
    train_options o; /* steps_per_eval and lr.total may be fitted */
    const backend *be;
    adamw opt;
    rng r;
    int64_t before;      /* steps of the runs before this one */
    int64_t step, total; /* of this run */
    char identifier[41]; /* newest checkpoint, "" before the first save */
    char parent[41];     /* the one that this run began from, "" for a new model */

    int64_t evaluated;  /* step of the last evaluation, -1 before */
    int64_t saved;      /* step of the last save, -1 before */
    double saved_s;     /* when it was tried */
    double score, best; /* dev score of the last evaluation, best of this run; NaN: none */
    int64_t since_best; /* evaluations since */
    json_t *dev, *baseline;
    int64_t not_finite; /* steps in a row whose loss or gradient was not */

    double begun_s, before_s; /* this command's start; seconds spent by earlier ones */
    double step_begun_s, last_step_s, last_norm;
    int64_t first_step; /* step at which this command began */
    window w;
    fit fit;
    FILE *log; /* NULL: could not be opened */
    bool has_bar;
    char label[32];
    progress bar;
} run;

/* ---- resume.c ---- */
/* Finds out what to go on from and loads it; *done: nothing is left to do. */
status run_begin(run *r, bool *done);
status run_save(run *r, bool finished);        /* times itself */
json_t *run_meta(const run *r, bool finished); /* the checkpoint's metadata; caller json_decref */

/* ---- fit.c ---- */
/* Measures and sets total (and stretches steps_per_eval). Parameters and state are as before. */
status fit_run(run *r);
/* Lowers total when the clock would run out; called after each step. */
void fit_watch(run *r);
/* The command given, with the total as --num_iters in the place of --minutes; caller frees. */
char *fit_command(const run *r);
double fit_left_s(const run *r); /* expected seconds to the end; NaN without --minutes */

/* ---- report.c ---- */
void report_open(run *r); /* the TSV, cut to the steps that count; the progress bar */
void report_close(run *r);
void report_step(run *r, const step_result *s, double norm, double seconds);
void report_pulse(run *r, const step_result *s, double share); /* when nothing was said for long */
void report_evaluation(run *r, double seconds);
void report_show(run *r); /* the trainee's example, and the page anew */

/* ---- html.c ---- */
/* Writes <home>/reports/<type>.html from <home>/logs/<type>.tsv, .examples.jsonl and meta. */
status html_report(const char *home, const char *type, const json_t *meta);

#endif
