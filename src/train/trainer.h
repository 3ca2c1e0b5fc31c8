#ifndef RAGLAN_TRAIN_TRAINER_H
#define RAGLAN_TRAIN_TRAINER_H
/* The training loop, the same for every model: schedule, steps, report lines, TSV log, dev
 * evaluations, checkpoints, Ctrl+C, resume, fine-tuning, HTML report.
 *
 * A model joins by filling a `trainee`. The trainer owns the order of events; the trainee
 * owns what a step computes. All randomness of a step comes from the rng it is handed, all
 * progress through the data from (seed, step), so a resumed run takes the same steps. */
#include "model/checkpoint.h"
#include "util/rng.h"

typedef struct step_result {
    double loss;
    int64_t tokens;  /* tokens that went through the model */
    bool skipped;    /* nothing to learn from (published loss: a question without a positive) */
    struct run *run; /* the loop's, for train_pulse; NULL outside of a loop */
} step_result;

/* A step made of parts calls this after each; share: of the step that is done, out's loss and
 * tokens those of that share. A step of minutes so says every 20 s how far it is, and
 * ERR_STOPPED, to be returned, asks it to end when Ctrl+C came and it has more than 10 s to go. */
status train_pulse(step_result *out, double share);

typedef struct dev_result {
    double score;     /* higher is better; chooses the best checkpoint */
    json_t *figures;  /* {"mrr@10": .., "success@5": ..}; owned by the trainer afterwards */
    json_t *baseline; /* {"mrr@10": ..} of BM25, a line in the charts; may be NULL */
} dev_result;

typedef struct trainee {
    const char *type; /* "retriever", "generator" */
    void *self;
    params *p;
    json_t *config; /* architecture: must match the checkpoint's, else both values are shown */
    json_t *hashes; /* {"tokenizer": .., "data": .., ...} into the metadata */
    /* Adds gradients of one step's loss to the parameters (they are zero on entry). With
     * --minutes it is also called ahead of time, for steps all over the run, to measure their
     * cost; those gradients are thrown away. ERR_STOPPED (a long step may look at
     * stop_requested) drops the step: it is taken anew after the restart. */
    status (*step)(void *self, int64_t step, int64_t total, rng *r, step_result *out);
    /* NULL: no dev figures. final: the run's last, and no clock is running out. May return
     * ERR_STOPPED. */
    status (*evaluate)(void *self, bool final, dev_result *out);
    /* Visualisation: one example (question, passages or answers) as text lines and as JSON for
     * the report. */
    status (*show)(void *self, int64_t step, buf *text, json_t **example);
    /* Whatever else must survive a restart beyond step and rng (may be NULL). */
    json_t *(*save)(void *self);
    status (*load)(void *self, const json_t *j);
} trainee;

typedef struct train_options {
    const char *home;
    const char *identifier; /* go on from this one; NULL: newest */
    bool new_model;         /* ignore what is there */
    int64_t num_iters;      /* total of this run */
    bool num_iters_given;   /* on the command line: after a finished run, this many more */
    double minutes; /* > 0: fit num_iters to the measured rate (at most num_iters, where given); the
                       repeating command is said */
    int64_t useful_iters; /* with minutes alone: more steps are no use; 0: no bound */
    int64_t steps_per_report, steps_per_eval;
    double save_every_s; /* 60 */
    int64_t patience;    /* stop after so many evaluations without a better dev score; 0: never */
    bool visualisation;
    uint64_t seed;
    schedule lr; /* total is filled in by the trainer */
    adamw optimizer;
    /* As it was typed, for the one that repeats it: --minutes becomes --num_iters, "train all" this
     * type. */
    const char *command;
    json_t *run; /* every setting of the caller, kept in the metadata; borrowed, may be NULL */
} train_options;

/* What the checkpoint that a training run would go on from (identifier; NULL: the newest) was
 * made with, so that options not given can be taken from it: its "config" (architecture) and
 * "run" (the other settings; num_iters and steps_per_eval as they came to be). Both NULL and OK
 * when there is none. Caller json_decref's. *finished: the next run is fine-tuning. */
status train_peek(const char *home, const char *type, const char *identifier, json_t **config,
                  json_t **run, bool *finished);

/* Runs to the end, to a stop (ERR_STOPPED, state saved) or to a failure.
 *
 * New: o->num_iters steps. Unfinished run in the home: on to its own total, same steps as if it
 * had never stopped, byte for byte. Finished: num_iters more with fresh optimizer and schedule
 * when num_iters_given or minutes > 0, else nothing to do (OK). A checkpoint named by
 * identifier that is not the newest has no optimizer state any more: fine-tuning too.
 *
 * Steps count on over fine-tuning runs in report lines, logs and metadata; the trainee's step
 * and total are those of the present run. Reports go to stderr and, as a table, to
 * <home>/logs/<type>.tsv; with visualisation also to <home>/reports/<type>.html.
 *
 * identifier: of the newest checkpoint, out, as far as one was saved ("" else). The best on dev
 * is checkpoint_find(.., CHECKPOINT_BEST, ..).
 * ERR_ARG when the architecture differs from the checkpoint's (both values), ERR_STATE when its
 * tokenizer does, or when the loss is not finite for 10 steps in a row. A save that fails is
 * reported and tried again; the failure of the last one is the run's. */
status train_run(const trainee *t, const train_options *o, char identifier[41]);

#endif
