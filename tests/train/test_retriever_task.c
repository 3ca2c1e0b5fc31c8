/* What a step of the retriever learns from. The source itself is included, since the batches are
 * what there is to look at. */
#include "cmocka_all.h"
#include "train/taught.h"
#include "train/retriever_pairs.c"
#include "train/retriever_task.c"
#include "util/par.h"

static const doc docs[] = {
    {"orlen", "Orlen",
     "The Orlen is a river. It was mapped by Ada Quill in 1820 and then once more."},
    {"belmora", "Belmora", "Belmora is a harbour at the river Orlen, where ferries wait for fog."},
    {"quill", "Ada Quill",
     "Ada Quill was a painter of ships, a mapper, and died in 1851 in Belmora."},
    {"copy", "Another Belmora",
     "Belmora is a harbour at the river Orlen, where ferries wait for fog."},
    {"sheep", "Sheep", "Sheep eat grass on all the hills of the north, and so do goats and cows."},
    {"goats", "", "Goats eat all that sheep leave, and more; the hills are bare where they live."},
    {"ferry", "Ferries",
     "Ferries cross the river where no bridge stands, in fog and in fair weather."},
};
enum { N_DOCS = sizeof docs / sizeof *docs };

static const store_question questions[] = {
    {.id = "1",
     .question = "Which painter of ships mapped the Orlen?",
     .answers = "[\"Ada Quill\"]",
     .documents = "[\"orlen\"]"},
    {.id = "2", .question = "Where do ferries wait?", .answers = "[\"Belmora\", \"fog\"]"},
    {.id = "3",
     .question = "What do sheep eat?",
     .answers = "[\"grass\"]",
     .documents = "[\"sheep\"]"},
    {.id = "4", .question = "Nobody knows?", .answers = "[\"an answer in no passage\"]"},
    {.id = "5", .question = " ", .answers = "[\"Belmora\"]"},
    {.id = "6", .question = "When did the painter of ships die?", .answers = "[\"1851\"]"},
    {.id = "d", .question = "What waits for fog?", .answers = "[\"ferries\"]", .split = SPLIT_DEV},
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions, N_LABELLED = 4 };

typedef struct fixture {
    collection k;
    lexical *lex;
    qa_set *train, *dev;
    retriever *m;
    retriever_task *task;
} fixture;

static retriever *model_of(const collection *k, bool bag) {
    retriever_config c = {.vocab = tokenizer_size(k->t),
                          .dim = 8,
                          .embedding_dim = 8,
                          .window = 16,
                          .n_blocks = 1,
                          .n_heads = 2,
                          .dropout = .1f,
                          .bag = bag,
                          .unit = bag,
                          .title = bag};
    return retriever_new(&c, NULL, 1, true);
}

static const retriever_task_options contrastive = {.batch_size = 12,
                                                   .block_batch = 8,
                                                   .accumulate = 1,
                                                   .hard_negatives = 2,
                                                   .label_share = .5f,
                                                   .crop_share = .2f,
                                                   .label_epochs = 1000,
                                                   .bag_share = .4f,
                                                   .dev_questions = 9,
                                                   .dev_passages = 9};
/* The same batches, half of each at a time. */
static const retriever_task_options sliced = {.batch_size = 6,
                                              .block_batch = 4,
                                              .accumulate = 2,
                                              .hard_negatives = 2,
                                              .label_share = .5f,
                                              .crop_share = .2f,
                                              .label_epochs = 1000,
                                              .bag_share = .4f,
                                              .dev_questions = 9,
                                              .dev_passages = 9};
static const retriever_task_options published = {.loss = LOSS_PUBLISHED,
                                                 .batch_size = 4,
                                                 .accumulate = 1,
                                                 .dev_questions = 9,
                                                 .dev_passages = 9};
static const retriever_task_options published_twice = {.loss = LOSS_PUBLISHED,
                                                       .batch_size = 4,
                                                       .accumulate = 2,
                                                       .dev_questions = 9,
                                                       .dev_passages = 9};
enum { N_KINDS = 4 };
static const retriever_task_options *const kinds[N_KINDS] = {&contrastive, &sliced, &published,
                                                             &published_twice};

static fixture fixture_new(const retriever_task_options *o) {
    fixture f = {.k = collection_new(docs, N_DOCS, questions, N_QUESTIONS, 400, 40)};
    f.lex = lexical_of(&f.k);
    f.train = questions_of(&f.k, SPLIT_TRAIN, 0);
    f.dev = questions_of(&f.k, SPLIT_DEV, 0);
    f.m = model_of(&f.k, o->loss == LOSS_CONTRASTIVE);
    SUCCEEDS(retriever_task_new(f.m, f.k.c, f.k.t, f.train, f.dev, f.lex, o, &f.task));
    return f;
}

static void fixture_free(fixture *f) {
    retriever_task_free(f->task);
    retriever_free(f->m);
    qa_set_free(f->train);
    qa_set_free(f->dev);
    lexical_close(f->lex);
    collection_free(&f->k);
}

static pairs pairs_of(fixture *f, int64_t n, int64_t n_labels, uint64_t seed) {
    rng r = rng_new(seed);
    pairs b;
    graph_reset(f->task->g, 0);
    SUCCEEDS(make_pairs(f->task, n, n_labels, 0, &r, &b));
    return b;
}

/* ---- batches ---- */

static bool same_text(const corpus *c, int64_t i, int64_t j) {
    int64_t n = c->text[i].end - c->text[i].begin;
    return c->text[j].end - c->text[j].begin == n &&
           !memcmp(c->tokens + c->text[i].begin, c->tokens + c->text[j].begin, (size_t)n * 4);
}

static void duplicates_and_known_positives_are_masked_and_nothing_else(void **state) {
    (void)state;
    fixture f = fixture_new(&contrastive);
    int n_copies = 0, n_known = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        pairs b = pairs_of(&f, 12, 8, seed);
        for (int64_t i = 0; i < b.query.n; i++) {
            int64_t own = b.source[b.positive[i]];
            for (int64_t j = 0; j < b.passage.n; j++) {
                bool copy = same_text(f.k.c, own, b.source[j]),
                     known = b.question[i] >= 0 &&
                             qa_is_relevant(f.train, &f.train->at[b.question[i]], b.source[j]);
                bool want = j != b.positive[i] && (copy || known);
                assert_int_equal(b.masked[i * b.passage.n + j], want);
                n_copies += want && own != b.source[j] && !known;
                n_known += want && !copy;
            }
        }
    }
    assert_true(n_copies > 0); /* "copy" says what "belmora" says */
    assert_true(n_known > 0);
    fixture_free(&f);
}

static void labelled_questions_bring_an_answer_and_hard_negatives(void **state) {
    (void)state;
    fixture f = fixture_new(&contrastive);
    assert_int_equal(f.task->labelled.n, N_LABELLED); /* 4 has no passage, 5 no token */
    for (uint64_t seed = 0; seed < 10; seed++) {
        pairs b = pairs_of(&f, 6, 4, seed);
        bool asked[N_QUESTIONS] = {0};
        assert_int_equal(b.query.n, 6);
        assert_int_equal(b.passage.n, 6 + 4 * 2);
        for (int64_t i = 0; i < 4; i++) {
            const qa *q = &f.train->at[b.question[i]];
            span s = b.query.at[i];
            assert_int_equal(s.end - s.begin, q->tokens.end - q->tokens.begin);
            assert_memory_equal(b.query.ids + s.begin, f.train->tokens + q->tokens.begin,
                                (size_t)(s.end - s.begin) * 4);
            assert_int_equal(b.positive[i], i);
            assert_true(qa_is_relevant(f.train, q, b.source[i]));
            assert_false(asked[b.question[i]]); /* an epoch asks each once */
            asked[b.question[i]] = true;
            for (int64_t j = 0; j < 2; j++)
                assert_false(qa_is_relevant(f.train, q, b.source[6 + 2 * i + j]));
        }
        for (int64_t j = 0; j < b.passage.n; j++)
            if (j < 4 || j >= 6) { /* with their titles, whole */
                int32_t ids[128];
                int64_t n = embed_passage_ids(f.m, f.k.c, b.source[j], ids);
                span s = b.passage.at[j];
                assert_int_equal(s.end - s.begin, n);
                assert_memory_equal(b.passage.ids + s.begin, ids, (size_t)n * 4);
            }
    }
    fixture_free(&f);
}

/* "quill" is not the document that question 1 names, but says who it was. */
static void a_passage_that_holds_the_answer_is_no_hard_negative(void **state) {
    (void)state;
    fixture f = fixture_new(&contrastive);
    hit hits[N_DOCS];
    int64_t n, quill = -1;
    const qa *q = &f.train->at[0];
    assert_string_equal(q->id, "1");
    SUCCEEDS(lexical_search(f.lex, q->question, strlen(q->question), &bm25_default, N_DOCS,
                            (hit_filter){0}, hits, &n));
    for (int64_t i = 0; i < n; i++) {
        int64_t p = corpus_find(f.k.c, hits[i].id);
        if (p != q->relevant.begin && f.k.c->document[p] == 3) quill = p;
    }
    assert_true(quill >= 0); /* found by its words */
    SUCCEEDS(find_hard(f.task, 0, f.task->hard));
    assert_true(f.task->hard[0] >= 0);
    for (int i = 0; i < HARD_POOL; i++) assert_int_not_equal(f.task->hard[i], quill);
    fixture_free(&f);
}

static void the_seed_decides_the_order_of_questions(void **state) {
    (void)state;
    int n_differ = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        retriever_task_options o = contrastive;
        fixture f = fixture_new(&o), g = fixture_new((o.seed = seed, &o));
        int64_t one[N_LABELLED], other[N_LABELLED];
        for (int64_t i = 0; i < N_LABELLED; i++) {
            one[i] = epochs_at(&f.task->labelled, i);
            other[i] = epochs_at(&g.task->labelled, i);
        }
        bool same = memcmp(one, other, sizeof one) == 0;
        assert_true(same || seed != contrastive.seed);
        n_differ += !same;
        fixture_free(&f);
        fixture_free(&g);
    }
    assert_true(n_differ > 3); /* of 24 orders */
}

/* How often x begins in a text's tokens, in order, not necessarily in a row. */
static bool is_subsequence(const int32_t *x, int64_t n, const int32_t *of, int64_t m) {
    int64_t i = 0;
    for (int64_t j = 0; j < m && i < n; j++) i += x[i] == of[j];
    return i == n;
}

static void crops_are_parts_of_their_passages(void **state) {
    (void)state;
    fixture f = fixture_new(&contrastive);
    int n_runs = 0, n_whole = 0, n = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        pairs b = pairs_of(&f, 10, 0, seed);
        for (int64_t i = 0; i < 10; i++, n++) {
            int64_t p = b.source[b.positive[i]];
            span text = f.k.c->text[p], title = f.k.c->title[p], q = b.query.at[i],
                 kept = b.passage.at[b.positive[i]];
            const int32_t *ids = f.k.c->tokens + text.begin, *query = b.query.ids + q.begin;
            int64_t n_text = text.end - text.begin, n_q = q.end - q.begin,
                    n_title = title.end - title.begin, n_kept = kept.end - kept.begin - n_title;
            assert_int_equal(b.question[i], -1);
            assert_in_range(n_q, CROP_MIN, CROP_MAX);
            assert_true(is_subsequence(query, n_q, ids, n_text));
            assert_memory_equal(b.passage.ids + kept.begin, f.k.c->tokens + title.begin,
                                (size_t)n_title * 4);
            assert_true(is_subsequence(b.passage.ids + kept.begin + n_title, n_kept, ids, n_text));
            assert_in_range(n_kept, n_text - n_q, n_text); /* only what the query has may go */
            n_whole += n_kept == n_text;
            for (int64_t at = 0; at + n_q <= n_text; at++)
                if (!memcmp(ids + at, query, (size_t)n_q * 4)) {
                    n_runs++;
                    break;
                }
        }
    }
    assert_in_range(n_runs, n / 3, 2 * n / 3);
    assert_in_range(n_whole, n / 3, 2 * n / 3);
    fixture_free(&f);
}

/* ---- steps ---- */

static step_result run_step(fixture *f, int64_t step, int64_t total) {
    rng r = rng_new((uint64_t)(100 + step));
    step_result out = {0};
    SUCCEEDS(task_step(f->task, step, total, &r, &out));
    return out;
}

/* Nothing but (step, rng) decides a step: a task that starts in the middle takes the same one. */
static void a_resumed_run_takes_the_same_steps(void **state) {
    (void)state;
    for (int i = 0; i < N_KINDS; i++) {
        fixture a = fixture_new(kinds[i]);
        for (int64_t step = 0; step < 10; step++) {
            fixture b = fixture_new(kinds[i]);
            params_zero_grad(a.m->p);
            params_zero_grad(b.m->p);
            step_result x = run_step(&a, step, 10), y = run_step(&b, step, 10);
            assert_true(x.loss == y.loss && x.tokens == y.tokens && x.skipped == y.skipped);
            float *da = flat_copy(a.m->p, true), *db = flat_copy(b.m->p, true);
            assert_memory_equal(da, db, (size_t)params_count(a.m->p) * sizeof *da);
            free(da);
            free(db);
            fixture_free(&b);
        }
        fixture_free(&a);
    }
}

/* Six steps through all stages; what the parameters are then. */
static float *trained(const retriever_task_options *o, int threads, int64_t *n) {
    par_threads_set(threads);
    fixture f = fixture_new(o);
    adamw opt = adamw_default();
    opt.lr = .01f;
    for (int64_t step = 0; step < 6; step++) {
        run_step(&f, step, 6);
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
    for (int i = 0; i < N_KINDS; i++) {
        int64_t n;
        float *one = trained(kinds[i], 1, &n);
        for (int t = 0; t < 3; t++) {
            float *many = trained(kinds[i], (int[]){2, 3, 5}[t], &n);
            assert_memory_equal(one, many, (size_t)n * sizeof *one);
            free(many);
        }
        free(one);
    }
}

/* Gradients of a step without dropout, which differs from slice to slice; bytes that it took. */
static float *gradients(const retriever_task_options *o, int64_t step, step_result *out,
                        size_t *peak) {
    fixture f = fixture_new(o);
    f.m->attends[0].o.dropout = f.m->feeds[0].o.dropout = 0;
    for (int64_t i = 0; i < f.m->mix->rows * f.m->mix->cols; i++) /* let blocks be heard */
        f.m->mix->v[i] = (float)sin((double)i);
    params_touch(f.m->p);
    params_zero_grad(f.m->p);
    *out = run_step(&f, step, 10);
    *peak = arena_peak(f.task->a);
    float *d = flat_copy(f.m->p, true);
    fixture_free(&f);
    return d;
}

static void slices_have_the_loss_and_gradient_of_the_whole_batch_in_less_memory(void **state) {
    (void)state;
    fixture f = fixture_new(&contrastive);
    int64_t n = params_count(f.m->p);
    fixture_free(&f);
    for (int64_t step = 0; step < 10; step += 9) { /* crops and the bag alone; all together */
        step_result whole, parts;
        size_t much, little;
        float *a = gradients(&contrastive, step, &whole, &much);
        float *b = gradients(&sliced, step, &parts, &little);
        assert_float_equal(parts.loss, whole.loss, 1e-5 * whole.loss);
        assert_int_equal(parts.tokens, whole.tokens);
        assert_true(little < much * 3 / 4);
        double squares = 0, error = 0;
        for (int64_t i = 0; i < n; i++) {
            squares += (double)a[i] * (double)a[i];
            error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        }
        assert_true(squares > 0);
        if (!(error <= 1e-8 * squares))
            fail_msg("step %ld: off by %.3g", (long)step, sqrt(error / squares));
        free(a);
        free(b);
    }
}

static void the_first_steps_leave_the_blocks_and_labels_alone(void **state) {
    (void)state;
    fixture f = fixture_new(&contrastive);
    for (int64_t step = 0; step < 10; step++) {
        params_zero_grad(f.m->p);
        run_step(&f, step, 10);
        double mix = 0;
        for (int64_t i = 0; i < f.m->mix->rows * f.m->mix->cols; i++)
            mix += fabs((double)f.m->mix->d[i]);
        assert_int_equal(mix > 0, step >= 4);                   /* bag_share .4 */
        assert_int_equal(f.task->labelled.now >= 0, step >= 2); /* crop_share .2 */
    }
    fixture_free(&f);
}

/* Ten times each over 32 steps that could take 6 or 4 labels; but one label a step at least. */
static void few_questions_are_met_only_so_often(void **state) {
    (void)state;
    retriever_task_options o = contrastive;
    fixture f = fixture_new(&o);
    double met = 32 * 12 - 24 * 4; /* pairs: steps 8 to 39 of 12, the last 24 of 8 */
    f.task->o.label_epochs = 10;
    assert_float_equal(label_share(f.task, 40), 10 * (double)f.task->labelled.n / met, 1e-6);
    f.task->o.label_epochs = 1000;
    assert_float_equal(label_share(f.task, 40), .5, 1e-9);
    f.task->o.label_epochs = 0;
    assert_float_equal(label_share(f.task, 40), 1. / 32, 1e-9);
    run_step(&f, 7, 40);
    assert_int_equal(f.task->labelled.now, -1);
    run_step(&f, 8, 40);
    assert_int_equal(f.task->labelled.now, 8 / f.task->labelled.n);
    fixture_free(&f);
}

static void a_temperature_below_a_hundredth_is_taken_back(void **state) {
    (void)state;
    fixture f = fixture_new(&contrastive);
    f.m->log_scale->v[0] = 9;
    run_step(&f, 0, 10);
    assert_float_equal(f.m->log_scale->v[0], log(100), 1e-6);
    fixture_free(&f);
}

/* Steps of the same shapes take the same memory, however many. */
static void memory_does_not_grow_from_step_to_step(void **state) {
    (void)state;
    for (int i = 0; i < N_KINDS; i++) {
        fixture f = fixture_new(kinds[i]);
        size_t peak = 0, inputs = 0;
        for (int round = 0; round < 4; round++) {
            for (int64_t step = 0; step < 10; step++) run_step(&f, step, 10);
            if (round == 0) peak = arena_peak(f.task->a), inputs = arena_peak(f.task->inputs);
            assert_int_equal(arena_peak(f.task->a), peak);
            assert_int_equal(arena_peak(f.task->inputs), inputs);
        }
        fixture_free(&f);
    }
}

/* ---- the published loss ---- */

static int64_t n_tokens(const fixture *f, int64_t passage) {
    return f->k.c->text[passage].end - f->k.c->text[passage].begin;
}

/* Of four passages at most two answer; how many do is seen by all passages having a length of their
 * own (the copies of Belmora aside, which answer alike). */
static void published_steps_take_at_most_half_positives(void **state) {
    (void)state;
    fixture f = fixture_new(&published);
    for (int64_t step = 0; step < 12; step++) {
        const qa *q = &f.train->at[step % f.train->n];
        int64_t n_relevant = q->relevant.end - q->relevant.begin;
        params_zero_grad(f.m->p);
        step_result out = run_step(&f, step, 12);
        bool usable = n_relevant > 0 && q->tokens.end > q->tokens.begin;
        assert_int_equal(out.skipped, !usable);
        if (!usable) {
            float *d = flat_copy(f.m->p, true);
            for (int64_t i = 0; i < params_count(f.m->p); i++) assert_true(d[i] == 0);
            free(d);
            continue;
        }
        int64_t least = 0, most = 0, n_positive = n_relevant < 2 ? n_relevant : 2;
        for (int which = 0; which < 2;
             which++) { /* bounds of the lengths of each side's passages */
            int64_t lo = 1000, hi = 0, n = which ? 4 - n_positive : n_positive;
            for (int64_t p = 0; p < f.k.c->n; p++)
                if (qa_is_relevant(f.train, q, p) == !which) {
                    lo = n_tokens(&f, p) < lo ? n_tokens(&f, p) : lo;
                    hi = n_tokens(&f, p) > hi ? n_tokens(&f, p) : hi;
                }
            least += n * lo;
            most += n * hi;
        }
        assert_in_range(out.tokens - (q->tokens.end - q->tokens.begin), least, most);
        assert_true(out.loss > 0);
    }
    fixture_free(&f);
}

/* ---- what cannot be trained ---- */

static void too_little_to_learn_from_is_said(void **state) {
    (void)state;
    collection k = collection_new(docs, 1, &questions[3], 1, 400, 40);
    lexical *lex = lexical_of(&k);
    qa_set *train = questions_of(&k, SPLIT_TRAIN, 0), *dev = questions_of(&k, SPLIT_TEST, 0);
    retriever *m = model_of(&k, true);
    retriever_task *task = NULL;
    assert_int_equal(retriever_task_new(m, k.c, k.t, train, dev, lex, &contrastive, &task),
                     ERR_STATE);
    assert_non_null(strstr(err_msg(), "1 passage;"));
    qa_set_free(train);
    lexical_close(lex);
    collection_free(&k);

    k = collection_new(docs, 2, &questions[3], 1, 400, 40);
    lex = lexical_of(&k);
    train = questions_of(&k, SPLIT_TRAIN, 0);
    assert_int_equal(retriever_task_new(m, k.c, k.t, train, dev, lex, &published, &task),
                     ERR_STATE);
    assert_non_null(strstr(err_msg(), "--loss contrastive"));
    assert_null(task);
    qa_set_free(train);
    qa_set_free(dev);
    retriever_free(m);
    lexical_close(lex);
    collection_free(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates_and_known_positives_are_masked_and_nothing_else),
        cmocka_unit_test(labelled_questions_bring_an_answer_and_hard_negatives),
        cmocka_unit_test(a_passage_that_holds_the_answer_is_no_hard_negative),
        cmocka_unit_test(the_seed_decides_the_order_of_questions),
        cmocka_unit_test(crops_are_parts_of_their_passages),
        cmocka_unit_test(a_resumed_run_takes_the_same_steps),
        cmocka_unit_test(steps_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(slices_have_the_loss_and_gradient_of_the_whole_batch_in_less_memory),
        cmocka_unit_test(the_first_steps_leave_the_blocks_and_labels_alone),
        cmocka_unit_test(few_questions_are_met_only_so_often),
        cmocka_unit_test(a_temperature_below_a_hundredth_is_taken_back),
        cmocka_unit_test(memory_does_not_grow_from_step_to_step),
        cmocka_unit_test(published_steps_take_at_most_half_positives),
        cmocka_unit_test(too_little_to_learn_from_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
