/* Where a run goes on from, and what it leaves for the next one. Beside parameters and moments
 * a run is: how far it came, the generator that its steps draw from, and what it remembers of
 * its evaluations. That is the "extra" of the checkpoint's state (model/checkpoint.h). */
#include "train/trainer_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void note(json_t *o, const char *key, json_t *value) {
    MUST(!json_object_set_new(o, key, value), "'%s' cannot be kept as JSON", key);
}

/* NaN is no JSON: it is left out, and read back as NaN. */
static void note_real(json_t *o, const char *key, double x) {
    if (isfinite(x)) note(o, key, json_real(x));
}

/* ---- comparing ---- */

static void add_difference(buf *b, const char *key, const json_t *theirs, const json_t *ours) {
    char *x = theirs ? json_line(theirs) : xstrdup("absent");
    char *y = ours ? json_line(ours) : xstrdup("absent");
    buf_printf(b, "%s%s is %s there and %s here", b->len ? ", " : "", key, x, y);
    free(x);
    free(y);
}

/* The architecture cannot change: every option that differs is named with both values. */
static status check_config(const checkpoint *c, const json_t *ours) {
    json_t *theirs = json_object_get(c->meta, "config"), *mine = (json_t *)ours, *value;
    const char *key;
    buf b = {0};
    json_object_foreach(mine, key, value) {
        const json_t *other = json_object_get(theirs, key);
        if (!other || !json_equal(other, value)) add_difference(&b, key, other, value);
    }
    json_object_foreach(theirs, key, value) {
        if (!json_object_get(mine, key)) add_difference(&b, key, value, NULL);
    }
    status st = OK;
    if (b.len)
        st = err_set(ERR_ARG, __FILE__, __LINE__,
                     "%s checkpoint %.12s is of another architecture: %s; leave these options out "
                     "to go on with it, or start afresh with --new_model",
                     c->type, c->identifier, b.at);
    buf_clear(&b);
    return st;
}

static status check_hashes(const checkpoint *c, const json_t *ours) {
    const json_t *theirs = json_object_get(c->meta, "hashes");
    const char *mine = json_str(ours, "tokenizer", ""), *other = json_str(theirs, "tokenizer", "");
    if (strcmp(mine, other))
        FAIL(ERR_STATE,
             "%s checkpoint %.12s was trained with tokenizer %.12s, this home's is %.12s: start "
             "afresh with --new_model",
             c->type, c->identifier, other, mine);
    const char *data = json_str(theirs, "data", ""); /* "": imported */
    if (*data && strcmp(json_str(ours, "data", ""), data))
        log_info("the collection has changed since checkpoint %.12s was saved", c->identifier);
    return OK;
}

/* ---- beginning ---- */

static void begin_new(run *r) {
    r->total = r->o.num_iters;
    r->r = rng_new(r->o.seed);
    log_info("training %s: %" PRId64 " parameters, seed %" PRIu64, r->t->type,
             params_count(r->t->p), r->o.seed);
}

/* A fresh run from trained parameters. Its draws differ from those of the run before. */
static void begin_fine_tuning(run *r, const checkpoint *c) {
    r->before = c->step;
    r->total = r->o.num_iters;
    r->r = rng_new(rng_hash(r->o.seed, (uint64_t)c->step));
    memcpy(r->parent, c->identifier, 41);
    log_info("fine-tuning %s checkpoint %.12s (step %" PRId64 ") with a fresh optimizer%s",
             r->t->type, c->identifier, c->step,
             c->finished ? "" : ": its own state is not kept any more");
}

static status read_extra(run *r, const json_t *x, const checkpoint *c) {
    const json_t *state = json_object_get(x, "rng");
    r->before = json_int(x, "before", -1);
    r->step = json_int(x, "step", -1);
    r->total = json_int(x, "total", -1);
    if (r->before < 0 || r->step < 0 || r->total < r->step || json_array_size(state) != 4)
        FAIL(ERR_FORMAT,
             "the state of checkpoint %.12s does not say where it stands: train with "
             "--new_model",
             c->identifier);
    for (size_t i = 0; i < 4; i++) {
        const char *digits = json_string_value(json_array_get(state, i));
        r->r.s[i] = digits ? strtoull(digits, NULL, 16) : 0;
    }
    r->evaluated = json_int(x, "evaluated", -1);
    r->since_best = json_int(x, "since_best", 0);
    r->score = json_num(x, "score", NAN);
    r->best = json_num(x, "best", NAN);
    r->before_s = json_num(x, "seconds", 0);
    r->dev = json_incref(json_object_get(x, "dev"));
    r->baseline = json_incref(json_object_get(x, "baseline"));
    snprintf(r->parent, sizeof r->parent, "%s", json_str(x, "parent", ""));
    json_t *mine = json_object_get(x, "trainee");
    return mine && r->t->load ? r->t->load(r->t->self, mine) : OK;
}

static status go_on_unfinished(run *r, const checkpoint *c) {
    json_t *extra;
    TRY(checkpoint_load_state(r->o.home, c, r->t->p, &r->opt, &extra));
    status st = read_extra(r, extra, c);
    json_decref(extra);
    if (st) return st;
    r->saved = r->step;
    log_info("%s goes on at step %" PRId64 " of %" PRId64 " (checkpoint %.12s)", r->t->type,
             r->before + r->step, r->before + r->total, c->identifier);
    if (r->o.num_iters_given && r->o.num_iters != r->total)
        log_info("an unfinished run keeps its own %" PRId64 " step%s; --num_iters %" PRId64
                 " counts once it is finished, or with --new_model",
                 r->total, plural(r->total), r->o.num_iters);
    return OK;
}

static status go_on(run *r, const checkpoint *c, bool *done) {
    TRY(check_hashes(c, r->t->hashes)); /* another tokenizer has another size, too */
    TRY(check_config(c, r->t->config));
    TRY(checkpoint_load(r->o.home, c, r->t->p));
    memcpy(r->identifier, c->identifier, 41);
    if (!c->finished && c->has_state) return go_on_unfinished(r, c);
    *done = c->finished && c->is_newest && !r->o.num_iters_given && r->o.minutes <= 0;
    if (*done)
        log_info("%s is trained (%" PRId64 " step%s, checkpoint %.12s); --num_iters N adds N "
                 "steps, --new_model starts afresh",
                 r->t->type, c->step, plural(c->step), c->identifier);
    else
        begin_fine_tuning(r, c);
    return OK;
}

status run_begin(run *r, bool *done) {
    *done = false;
    r->evaluated = r->saved = -1;
    r->score = r->best = NAN;
    if (r->o.num_iters < 1 && r->o.minutes <= 0)
        FAIL(ERR_ARG, "--num_iters %" PRId64 ": at least 1 step is wanted", r->o.num_iters);
    checkpoint c = {0};
    if (!r->o.new_model)
        TRY(checkpoint_find(r->o.home, r->t->type, r->o.identifier, CHECKPOINT_NEWEST, &c));
    status st = OK;
    if (c.meta)
        st = go_on(r, &c, done);
    else
        begin_new(r);
    checkpoint_clear(&c);
    r->first_step = r->step;
    return st;
}

status train_peek(const char *home, const char *type, const char *identifier, json_t **config,
                  json_t **settings, bool *finished) {
    checkpoint c;
    TRY(checkpoint_find(home, type, identifier, CHECKPOINT_NEWEST, &c));
    *config = json_incref(json_object_get(c.meta, "config"));
    *settings = json_incref(json_object_get(c.meta, "run"));
    *finished = c.meta && (c.finished || !c.has_state);
    checkpoint_clear(&c);
    return OK;
}

/* ---- saving ---- */

static json_t *make_extra(const run *r) {
    json_t *x = json_object(), *state = json_array();
    for (int i = 0; i < 4; i++) {
        char digits[20];
        snprintf(digits, sizeof digits, "%016" PRIx64, r->r.s[i]);
        json_array_append_new(state, json_string(digits));
    }
    note(x, "before", json_integer(r->before));
    note(x, "step", json_integer(r->step));
    note(x, "total", json_integer(r->total));
    note(x, "rng", state);
    note(x, "evaluated", json_integer(r->evaluated));
    note(x, "since_best", json_integer(r->since_best));
    note_real(x, "score", r->score);
    note_real(x, "best", r->best);
    note(x, "seconds", json_real(r->before_s + now_s() - r->begun_s));
    note(x, "parent", json_string(r->parent));
    if (r->dev) json_object_set(x, "dev", r->dev);
    if (r->baseline) json_object_set(x, "baseline", r->baseline);
    json_t *mine = r->t->save ? r->t->save(r->t->self) : NULL;
    if (mine) note(x, "trainee", mine);
    return x;
}

json_t *run_meta(const run *r, bool finished) {
    json_t *m = json_object();
    json_t *settings = r->o.run ? json_copy(r->o.run) : json_object();
    json_t *hashes = r->t->hashes ? json_copy(r->t->hashes) : json_object();
    note(settings, "num_iters", json_integer(r->total));
    note(settings, "steps_per_eval", json_integer(r->o.steps_per_eval));
    if (r->parent[0]) note(hashes, "parent", json_string(r->parent));
    note(m, "step", json_integer(r->before + r->step));
    note(m, "total_steps", json_integer(r->before + r->total));
    note(m, "finished", json_boolean(finished));
    if (r->t->config) json_object_set(m, "config", r->t->config);
    note(m, "run", settings);
    note(m, "hashes", hashes);
    if (r->evaluated == r->step) {
        if (r->dev) json_object_set(m, "dev", r->dev);
        note_real(m, "dev_score", r->score);
    }
    note(m, "seed", json_integer((json_int_t)r->o.seed));
    note(m, "version", json_string(RAGLAN_VERSION));
    return m;
}

status run_save(run *r, bool finished) {
    double begun = now_s();
    json_t *meta = run_meta(r, finished), *extra = make_extra(r);
    status st =
        checkpoint_save(r->o.home, r->t->type, r->t->p, &r->opt, meta, extra, r->identifier);
    json_decref(meta);
    json_decref(extra);
    r->saved_s = now_s();
    r->fit.save_s = r->saved_s - begun;
    if (!st) r->saved = r->step;
    return st;
}
