#ifndef RAGLAN_TESTS_TRAIN_TOY_H
#define RAGLAN_TESTS_TRAIN_TOY_H
/* A trainee small enough to see through: it learns the numbers 1..8 from noisy sums of them.
 * Its knobs make the things happen that a training loop has to live with. */
#include "train/trainer.h"
#include "util/stop.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOY_WIDTH 8

typedef struct toy {
    params *p;
    int64_t stop_after; /* asks for a stop after this step's gradients; -1: never */
    int64_t refuse_at;  /* this step returns ERR_STOPPED itself, once */
    int64_t nan_from;   /* the loss is NaN for nan_steps steps from here */
    int64_t nan_steps;
    bool stop_in_evaluation, skips_all;
    useconds_t step_us, eval_us;
    int64_t seen;                     /* steps computed; lives through restarts by save and load */
    int64_t evaluations, worse_after; /* from this evaluation on the score falls */
} toy;

static inline status toy_step(void *self, int64_t step, int64_t total, rng *r, step_result *out) {
    toy *y = self;
    (void)total;
    if (y->step_us) usleep(y->step_us);
    if (step == y->refuse_at) {
        y->refuse_at = -1;
        params_find(y->p, "w")->d[0] = 1e6f; /* half a gradient, to be dropped */
        return ERR_STOPPED;
    }
    y->seen++;
    if (step == y->stop_after) stop_request();
    out->skipped = y->skips_all || step % 5 == 3;
    if (out->skipped) return OK;
    tensor *w = params_find(y->p, "w");
    double x[TOY_WIDTH], error = .1 * rng_normal(r);
    for (int i = 0; i < TOY_WIDTH; i++) {
        x[i] = rng_normal(r);
        error += x[i] * ((double)w->v[i] - (i + 1));
    }
    for (int i = 0; i < TOY_WIDTH; i++) w->d[i] += (float)(2 * error * x[i]);
    out->loss = step >= y->nan_from && step < y->nan_from + y->nan_steps ? NAN : error * error;
    out->tokens = TOY_WIDTH;
    return OK;
}

static inline status toy_evaluate(void *self, bool final, dev_result *out) {
    toy *y = self;
    (void) final;
    if (y->eval_us) usleep(y->eval_us);
    if (y->stop_in_evaluation) {
        y->stop_in_evaluation = false;
        return ERR_STOPPED;
    }
    double far = 0;
    for (int i = 0; i < TOY_WIDTH; i++) far += fabs((double)params_find(y->p, "w")->v[i] - (i + 1));
    y->evaluations++;
    out->score = 1 / (1 + far);
    if (y->worse_after && y->evaluations > y->worse_after) out->score = -(double)y->evaluations;
    out->figures = json_pack("{s:f, s:f}", "mrr@10", out->score, "success@5", .5);
    out->baseline = json_pack("{s:f}", "mrr@10", .25);
    return OK;
}

static inline status toy_show(void *self, int64_t step, buf *text, json_t **example) {
    (void)self;
    buf_printf(text, "question: what is step %lld?\n", (long long)step);
    *example = json_pack("{s:s, s:[s, s]}", "question", "</script><b>&", "passages", "one", "two");
    return OK;
}

static inline json_t *toy_save(void *self) {
    return json_pack("{s:I}", "seen", (json_int_t)((toy *)self)->seen);
}

static inline status toy_load(void *self, const json_t *j) {
    ((toy *)self)->seen = json_int(j, "seen", 0);
    return OK;
}

static inline toy toy_new(void) {
    toy y = {.stop_after = -1, .refuse_at = -1, .nan_from = -1};
    y.p = params_new();
    params_add(y.p, "w", 1, TOY_WIDTH, (param_options){.init = INIT_NORMAL, .scale = .1f});
    MUST(params_build(y.p, 42, true) == OK, "%s", err_msg());
    return y;
}

/* The trainee of a toy; the caller owns config and hashes and frees them by toy_trainee_free. */
static inline trainee toy_trainee(toy *y) {
    return (trainee){.type = "toy",
                     .self = y,
                     .p = y->p,
                     .config = json_pack("{s:i, s:s}", "dim", TOY_WIDTH, "kind", "plain"),
                     .hashes = json_pack("{s:s, s:s}", "tokenizer", "t1", "data", "d1"),
                     .step = toy_step,
                     .evaluate = toy_evaluate,
                     .show = toy_show,
                     .save = toy_save,
                     .load = toy_load};
}

static inline void toy_trainee_free(trainee *t) {
    json_decref(t->config);
    json_decref(t->hashes);
    params_free(t->p);
}

static inline train_options toy_options(const char *home, int64_t num_iters) {
    adamw o = adamw_default();
    return (train_options){.home = home,
                           .num_iters = num_iters,
                           .steps_per_report = 10,
                           .steps_per_eval = 20,
                           .save_every_s = 60,
                           .seed = 42,
                           .lr = {.lr = .3f, .warmup = 5, .flat = .5f, .floor = .1f},
                           .optimizer = o,
                           .command = "raglan train toy"};
}

/* Makes a fresh folder of `made` ("/tmp/...XXXXXX"). */
static inline char *toy_home(void) {
    char *made = xstrdup("/tmp/raglan-train-XXXXXX");
    MUST(mkdtemp(made), "no folder under /tmp");
    return made;
}

static inline void toy_remove(const char *path) {
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char *inner = xasprintf("%s/%s", path, e->d_name);
        toy_remove(inner);
        free(inner);
    }
    if (d) closedir(d);
    remove(path);
}

#endif
