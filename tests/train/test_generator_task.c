/* What a step of the generator learns from. The source itself is included, since questions made
 * ready are what there is to look at. */
#include "cmocka_all.h"
#include "train/generator_task.c"
#include "train/taught.h"
#include "util/par.h"

static const doc docs[] = {
    {"orlen", "Orlen", "The Orlen is a river. It was mapped by Ada Quill in 1820."},
    {"belmora", "Belmora", "Belmora is a harbour at the river Orlen, where ferries wait for fog."},
    {"quill", "Ada Quill", "Ada Quill was a painter of ships and died in 1851 in Belmora."},
    {"sheep", "", "Sheep eat grass on all the hills of the north."},
};
enum { ORLEN, BELMORA, QUILL, SHEEP, N_DOCS };

/* Split dev holds one of each kind, so that nothing is taken from train. */
static const store_question questions[] = {
    {.id = "1",
     .question = "Who mapped the Orlen?",
     .answers = "[\"ada quill\"]",
     .documents = "[\"orlen\"]",
     .full_answer = "It was Ada Quill who mapped it."},
    {.id = "2",
     .question = "Where did she die?",
     .answers = "[\"Belmora\"]",
     .documents = "[\"quill\"]"},
    {.id = "3", .question = "Who owns the moon?", .unanswerable = true},
    {.id = "4", .question = "What is lost?", .answers = "[\"an answer in no passage\"]"},
    {.id = "5", .question = " ", .answers = "[\"Belmora\"]"},
    {.id = "d1",
     .question = "Who mapped the Orlen?",
     .answers = "[\"Ada Quill\"]",
     .split = SPLIT_DEV},
    {.id = "d2", .question = "Who owns the moon?", .unanswerable = true, .split = SPLIT_DEV},
    {.id = "d3", .question = "What may this be?", .split = SPLIT_DEV}, /* nobody knows */
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions, N_TRAIN = 5, N_DEV = 3, K = 3 };

/* What retrieval found: the gold passage for question 2 alone. */
static int64_t found[N_TRAIN * K] = {BELMORA, SHEEP, -1, /* 1 */ SHEEP, QUILL, ORLEN, /* 2 */
                                     ORLEN,   -1,    -1, /* 3 */ -1,    -1,    -1,    /* 4 */
                                     -1,      -1,    -1 /* 5 */};
static int64_t found_dev[N_DEV * K] = {ORLEN, SHEEP, -1, ORLEN, -1, -1, ORLEN, -1, -1};

typedef struct fixture {
    collection k;
    arena *a;
    token_traits *tr; /* in a */
    qa_set *train, *dev;
    generator *m;
    lexical *lex;
    generator_task *task;
} fixture;

/* Labelled questions alone, two passages each. */
static const generator_task_options always_gold = {.batch_size = 4,
                                                   .accumulate = 1,
                                                   .n_passages = 2,
                                                   .early_passages = 2,
                                                   .gold_last = 1,
                                                   .place_weight = .5f,
                                                   .dev_questions = 10};

static fixture fixture_new(const generator_task_options *o) {
    fixture f = {.k = collection_new(docs, N_DOCS, questions, N_QUESTIONS, 400, 40)};
    assert_int_equal(f.k.c->n, N_DOCS);
    f.lex = lexical_of(&f.k);
    f.a = arena_new((size_t)1 << 24);
    f.tr = arena_push(f.a, sizeof *f.tr);
    *f.tr = traits_of(f.k.t, f.a);
    f.train = questions_of(&f.k, SPLIT_TRAIN, 0);
    f.dev = questions_of(&f.k, SPLIT_DEV, 0);
    assert_int_equal(f.train->n, N_TRAIN);
    assert_int_equal(f.dev->n, N_DEV);
    generator_config c = generator_defaults();
    c.vocab = tokenizer_size(f.k.t);
    c.dim = 32;
    c.n_encoder = 1;
    c.n_heads = 2;
    c.dropout = .1f;
    f.m = generator_new(&c, 1, true);
    SUCCEEDS(generator_task_new(f.m, f.tr, f.k.c, f.k.t, f.train, (top_passages){found, K}, f.dev,
                                (top_passages){found_dev, K}, f.lex, o, &f.task));
    return f;
}

static void fixture_free(fixture *f) {
    generator_task_free(f->task);
    generator_free(f->m);
    qa_set_free(f->train);
    qa_set_free(f->dev);
    arena_free(f->a);
    lexical_close(f->lex);
    collection_free(&f->k);
}

/* The passages chosen for train question q, as letters: "ob" is orlen, then belmora. */
static const char *chosen(fixture *f, int64_t q, float gold, uint64_t seed) {
    static char letters[K + 1];
    int64_t passages[K];
    rng r = rng_new(seed);
    int64_t n = choose_passages(f->task, q, 2, false, gold, &r, passages);
    for (int64_t i = 0; i < n; i++) letters[i] = docs[passages[i]].id[0];
    letters[n] = 0;
    return letters;
}

static reader_question made(fixture *f, int64_t q, const int64_t *passages, int64_t n) {
    reader_question rq = reader_question_of(f->task->inputs, f->k.c, f->train, q, passages, n);
    set_target(f->task, q, passages, &rq, (reader_passage *)rq.passages);
    return rq;
}

static const char *target(fixture *f, const reader_question *q) {
    static char text[200];
    buf b = {0};
    tokenizer_decode(f->k.t, q->answer, q->n_answer, &b);
    snprintf(text, sizeof text, "%s", b.at ? b.at : "");
    buf_clear(&b);
    return text;
}

/* ---- passages ---- */

static void gold_is_put_among_passages_that_lack_it(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    int n_first = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        const char *c = chosen(&f, 0, 1, seed); /* two places, both taken: one of them yields */
        assert_true(!strcmp(c, "os") || !strcmp(c, "bo"));
        n_first += c[0] == 'o';
        assert_string_equal(chosen(&f, 0, 0, seed), "bs");
        assert_string_equal(chosen(&f, 1, 1, seed), "sq"); /* found: nothing to put */
        assert_string_equal(chosen(&f, 1, 0, seed), "sq");
        assert_string_equal(chosen(&f, 2, 1, seed), "o"); /* unanswerable: as found */
    }
    assert_in_range(n_first, 8, 32);
    fixture_free(&f);
}

static void gold_comes_as_often_as_asked(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    int n = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) n += strchr(chosen(&f, 0, .7f, seed), 'o') != NULL;
    assert_in_range(n, 640, 760);
    fixture_free(&f);
}

static void a_share_of_questions_loses_every_answering_passage(void **state) {
    (void)state;
    generator_task_options o = always_gold;
    o.empty_share = .25f;
    fixture f = fixture_new(&o);
    int n_empty = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        const char *c = chosen(&f, 1, 1, seed);
        if (!strcmp(c, "so"))
            n_empty++; /* the next one found moves up */
        else
            assert_string_equal(c, "sq");
        assert_string_equal(chosen(&f, 2, 1, seed), "o");
    }
    assert_in_range(n_empty, 200, 300);
    fixture_free(&f);
}

/* In the first half the passages are few, the first that answers always among them. */
static void early_steps_sample_passages_around_the_answer(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    int n_sheep = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        int64_t passages[2];
        rng r = rng_new(seed);
        assert_int_equal(choose_passages(f.task, 1, 1, true, 1, &r, passages), 1);
        /* sheep may be drawn before the answer is met, and then there is no place left for it: the
         * answer takes it */
        assert_int_equal(passages[0], QUILL);
        r = rng_new(seed);
        assert_int_equal(choose_passages(f.task, 1, 2, true, 1, &r, passages), 2);
        assert_true(passages[0] == QUILL || passages[1] == QUILL);
        n_sheep += passages[0] == SHEEP;
        assert_true(passages[0] == SHEEP || passages[1] == ORLEN); /* in the order found */
    }
    assert_in_range(n_sheep, 60, 180);
    fixture_free(&f);
}

/* ---- targets ---- */

static void targets_are_spelled_as_in_the_passage(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    const int64_t passages[] = {SHEEP, ORLEN};
    reader_question q = made(&f, 0, passages, 2);
    assert_string_equal(target(&f, &q), "Ada Quill"); /* asked for as "ada quill" */
    span at = q.passages[1].answer;
    assert_ptr_equal(q.answer, q.passages[1].ids + at.begin);
    assert_int_equal(q.n_answer, at.end - at.begin);
    assert_string_equal(said(&f.k, ORLEN, at), "Ada Quill");
    assert_int_equal(q.passages[0].answer.end, 0);
    fixture_free(&f);
}

static void without_an_answering_passage_the_answer_is_empty(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    const int64_t passages[] = {SHEEP, BELMORA, QUILL}; /* quill says it, but is not the document */
    assert_int_equal(made(&f, 0, passages, 3).n_answer, 0);
    assert_int_equal(made(&f, 2, passages, 3).n_answer, 0);
    assert_int_equal(made(&f, 0, passages, 0).n_answer, 0);
    fixture_free(&f);
}

static void full_answers_are_learnt_where_wanted(void **state) {
    (void)state;
    generator_task_options o = always_gold;
    o.full_answers = true;
    fixture f = fixture_new(&o);
    const int64_t passages[] = {ORLEN, QUILL};
    reader_question q = made(&f, 0, passages, 2);
    assert_string_equal(target(&f, &q), "It was Ada Quill who mapped it.");
    assert_true(q.passages[0].answer.end > 0); /* places are learnt all the same */
    q = made(&f, 1, passages, 2);
    assert_string_equal(target(&f, &q), "Belmora"); /* none given: the short one */
    fixture_free(&f);
}

/* ---- steps ---- */

static void only_questions_that_teach_are_asked_each_once_an_epoch(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    assert_int_equal(f.task->usable.n, 3); /* 4 has no passage, 5 no token */
    for (int64_t epoch = 0; epoch < 4; epoch++) {
        int64_t sum = 0;
        for (int64_t i = 0; i < 3; i++) sum += 1 << epochs_at(&f.task->usable, 3 * epoch + i);
        assert_int_equal(sum, 1 + 2 + 4);
    }
    fixture_free(&f);
}

static step_result run_step(fixture *f, int64_t step, int64_t total) {
    rng r = rng_new((uint64_t)(100 + step));
    step_result out = {0};
    SUCCEEDS(task_step(f->task, step, total, &r, &out));
    assert_false(out.skipped);
    return out;
}

static void a_resumed_run_takes_the_same_steps(void **state) {
    (void)state;
    generator_task_options o = always_gold;
    o.gold_last = .5f;
    o.empty_share = .2f;
    fixture a = fixture_new(&o);
    for (int64_t step = 0; step < 6; step++) {
        fixture b = fixture_new(&o);
        params_zero_grad(a.m->p);
        step_result x = run_step(&a, step, 6), y = run_step(&b, step, 6);
        assert_true(x.loss == y.loss && x.tokens == y.tokens);
        float *da = flat_copy(a.m->p, true), *db = flat_copy(b.m->p, true);
        assert_memory_equal(da, db, (size_t)params_count(a.m->p) * sizeof *da);
        free(da);
        free(db);
        fixture_free(&b);
    }
    fixture_free(&a);
}

static float *trained(int threads, int64_t *n) {
    par_threads_set(threads);
    fixture f = fixture_new(&always_gold);
    adamw opt = adamw_default();
    for (int64_t step = 0; step < 4; step++) {
        run_step(&f, step, 4);
        adamw_step(&opt, f.m->p, backend_cpu());
    }
    float *out = flat_copy(f.m->p, false);
    *n = params_count(f.m->p);
    fixture_free(&f);
    par_threads_set(0);
    return out;
}

static void steps_do_not_depend_on_the_number_of_threads(void **state) {
    (void)state;
    int64_t n;
    float *one = trained(1, &n);
    for (int t = 0; t < 3; t++) {
        float *many = trained((int[]){2, 3, 5}[t], &n);
        assert_memory_equal(one, many, (size_t)n * sizeof *one);
        free(many);
    }
    free(one);
}

/* Parts of a step weigh as many questions as they have: the loss of one large batch, taken apart.
 */
static void a_large_step_is_taken_in_parts(void **state) {
    (void)state;
    generator_task_options o = always_gold;
    o.batch_size = 600; /* of about 60 rows: five parts */
    fixture f = fixture_new(&o);
    step_result out = run_step(&f, 0, 10);
    assert_true(out.tokens > 3 * PART_ROWS);
    assert_true(arena_peak(f.task->a) < (size_t)256 << 20);
    o.batch_size = 3; /* an epoch: the same questions, so nearly the same loss */
    f.task->o = o;
    assert_float_equal(run_step(&f, 0, 10).loss, out.loss, .1 * out.loss);
    fixture_free(&f);
}

/* Four slices of 5 questions, or one of 20. */
static void slices_ask_the_questions_of_the_batch_that_they_make_up(void **state) {
    (void)state;
    double loss[2];
    int64_t n_tokens[2];
    size_t peak[2];
    for (int i = 0; i < 2; i++) {
        generator_task_options o = always_gold;
        o.batch_size = i ? 5 : 20;
        o.accumulate = i ? 4 : 1;
        fixture f = fixture_new(&o);
        for (int64_t b = 0; b < f.m->c.n_encoder; b++)
            f.m->read[b].o.dropout = f.m->read_feed[b].o.dropout = 0;
        for (int64_t b = 0; b < f.m->c.n_decoder; b++)
            f.m->write[b].o.dropout = f.m->look[b].o.dropout = f.m->write_feed[b].o.dropout = 0;
        step_result out = run_step(&f, 3, 10);
        loss[i] = out.loss, n_tokens[i] = out.tokens, peak[i] = arena_peak(f.task->a);
        fixture_free(&f);
    }
    assert_int_equal(n_tokens[0], n_tokens[1]);
    assert_float_equal(loss[0], loss[1],
                       .02 * loss[0]); /* a mean of means: parts differ in tokens */
    assert_true(peak[1] < peak[0] / 2);
}

static void memory_does_not_grow_from_step_to_step(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    size_t peak = 0, inputs = 0;
    for (int round = 0; round < 4; round++) {
        for (int64_t step = 0; step < 6; step++) run_step(&f, step, 6);
        if (round == 0) peak = arena_peak(f.task->a), inputs = arena_peak(f.task->inputs);
        assert_int_equal(arena_peak(f.task->a), peak);
        assert_int_equal(arena_peak(f.task->inputs), inputs);
    }
    fixture_free(&f);
}

/* ---- dev ---- */

/* Trained on its three questions the generator copies the name and keeps silent about the moon. */
static void a_trained_generator_answers_and_is_silent(void **state) {
    (void)state;
    fixture f = fixture_new(&always_gold);
    adamw opt = adamw_default();
    opt.lr = .01f;
    for (int64_t step = 0; step < 80; step++) {
        run_step(&f, step, 80);
        adamw_step(&opt, f.m->p, backend_cpu());
    }
    trainee t = {0};
    generator_task_trainee(f.task, &t);
    assert_string_equal(t.type, "generator");
    for (int final = 0; final < 2; final++) {
        dev_result out = {0};
        SUCCEEDS(t.evaluate(t.self, final, &out));
        assert_float_equal(json_num(out.figures, "em", -1), 100, 1e-9);
        assert_float_equal(json_num(out.figures, "f1", -1), 100, 1e-9);
        assert_float_equal(json_num(out.figures, "no_answer", -1), 100, 1e-9);
        assert_float_equal(out.score, 1, 1e-9);
        json_decref(out.figures);
    }
    buf text = {0};
    for (int i = 0; i < 2; i++) {
        json_t *example = NULL;
        SUCCEEDS(t.show(t.self, 10, &text, &example));
        assert_string_equal(json_str(example, "answer", "?"), json_str(example, "gold", "!"));
        json_decref(example);
    }
    assert_non_null(strstr(text.at, "answer:   Ada Quill\n"));
    assert_non_null(strstr(text.at, "wanted:   (not in these documents)\n"));
    buf_clear(&text);
    fixture_free(&f);
}

/* The score, by which checkpoints are compared, is that of the same questions at the end. */
static void the_last_score_is_of_the_same_questions(void **state) {
    (void)state;
    generator_task_options o = always_gold;
    o.dev_questions = 1;
    fixture f = fixture_new(&o);
    dev_result few = {0}, all = {0};
    SUCCEEDS(task_evaluate(f.task, false, &few));
    SUCCEEDS(task_evaluate(f.task, true, &all));
    assert_true(few.score == all.score);
    assert_non_null(json_object_get(all.figures, "no_answer"));
    json_decref(few.figures);
    json_decref(all.figures);
    fixture_free(&f);
}

static void too_little_to_learn_from_is_said(void **state) {
    (void)state;
    collection k = collection_new(docs, N_DOCS, &questions[2], 3, 400, 40);
    arena *a = arena_new((size_t)1 << 24);
    token_traits tr = traits_of(k.t, a);
    qa_set *train = questions_of(&k, SPLIT_TRAIN, 0), *dev = questions_of(&k, SPLIT_TEST, 0);
    generator_config c = generator_defaults();
    c.vocab = tokenizer_size(k.t);
    generator *m = generator_new(&c, 1, true);
    generator_task *task = NULL;
    top_passages none = {found, K};
    assert_int_equal(
        generator_task_new(m, &tr, k.c, k.t, train, none, dev, none, NULL, &always_gold, &task),
        ERR_STATE);
    assert_non_null(strstr(err_msg(), "raglan ingest"));
    assert_null(task);
    generator_free(m);
    qa_set_free(train);
    qa_set_free(dev);
    arena_free(a);
    collection_free(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gold_is_put_among_passages_that_lack_it),
        cmocka_unit_test(gold_comes_as_often_as_asked),
        cmocka_unit_test(a_share_of_questions_loses_every_answering_passage),
        cmocka_unit_test(early_steps_sample_passages_around_the_answer),
        cmocka_unit_test(targets_are_spelled_as_in_the_passage),
        cmocka_unit_test(without_an_answering_passage_the_answer_is_empty),
        cmocka_unit_test(full_answers_are_learnt_where_wanted),
        cmocka_unit_test(only_questions_that_teach_are_asked_each_once_an_epoch),
        cmocka_unit_test(a_resumed_run_takes_the_same_steps),
        cmocka_unit_test(steps_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(a_large_step_is_taken_in_parts),
        cmocka_unit_test(slices_ask_the_questions_of_the_batch_that_they_make_up),
        cmocka_unit_test(memory_does_not_grow_from_step_to_step),
        cmocka_unit_test(a_trained_generator_answers_and_is_silent),
        cmocka_unit_test(the_last_score_is_of_the_same_questions),
        cmocka_unit_test(too_little_to_learn_from_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
