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
    int64_t tokens;    /* tokens that went through the model */
    bool skipped;      /* nothing to learn from (published loss: a question without a positive) */
} step_result;

typedef struct dev_result {
    double score;      /* higher is better; chooses the best checkpoint */
    json_t *figures;   /* {"mrr@10": .., "success@5": ..}; owned by the trainer afterwards */
    json_t *baseline;  /* {"mrr@10": ..} of BM25, a line in the charts; may be NULL */
} dev_result;

typedef struct trainee {
    const char *type;         /* "retriever", "generator" */
    void *self;
    params *p;
    json_t *config;           /* architecture: must match the checkpoint's, else both values are shown */
    json_t *hashes;           /* {"tokenizer": .., "data": .., ...} into the metadata */
    /* Adds gradients of one step's loss to the parameters (they are zero on entry). */
    status (*step)(void *self, int64_t step, int64_t total, rng *r, step_result *out);
    status (*evaluate)(void *self, bool final, dev_result *out);   /* NULL: no dev figures */
    /* Visualisation: one example (question, passages or answers) as text lines and as JSON for the report. */
    status (*show)(void *self, int64_t step, buf *text, json_t **example);
    /* Whatever else must survive a restart beyond step and rng (may be NULL). */
    json_t *(*save)(void *self);
    status (*load)(void *self, const json_t *j);
} trainee;

typedef struct train_options {
    const char *home;
    const char *identifier;        /* go on from this one; NULL: newest */
    bool new_model;                /* ignore what is there */
    int64_t num_iters;             /* total of this run */
    bool num_iters_given;          /* on the command line: after a finished run, this many more */
    double minutes;                /* > 0: fit num_iters to the measured rate; stated as the command that repeats it */
    int64_t steps_per_report, steps_per_eval;
    double save_every_s;           /* 60 */
    int64_t patience;              /* stop after so many evaluations without a better dev score; 0: never */
    bool visualisation;
    uint64_t seed;
    schedule lr;                   /* total is filled in by the trainer */
    adamw optimizer;
    const char *command;           /* how to say the repeat: "raglan train retriever --save_dir x" */
} train_options;

/* Runs to the end, to a stop (ERR_STOPPED, state saved) or to a failure. */
status train_run(const trainee *t, const train_options *o, char identifier[41]);

#endif
