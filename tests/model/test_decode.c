/* Decoding: what the cache computes is what teacher forcing computes, and each way of choosing
 * tokens does as it says. Plain kernels unless RAGLAN_CPU says otherwise, so that both sides
 * agree to many digits. */
#include "model/decode_int.h"
#include "small.h"
#include "util/par.h"

#include <stdlib.h>

enum { VOCAB = 16, N_QUESTIONS = 10 };

typedef struct fixture {
    arena *a;
    generator *m;
    token_traits tr;
    reader_question q[N_QUESTIONS]; /* question i over i % 4 passages */
} fixture;

static fixture fixture_of(int64_t vocab) {
    fixture f = {.a = arena_new((size_t)1 << 30)};
    rng r = rng_new(11);
    f.m = small_generator(vocab);
    f.tr = small_traits(f.a, vocab);
    for (int64_t k = 0; k < f.m->c.dim; k++) /* some answers shall end of themselves */
        f.m->embedding->v[f.tr.eos * f.m->c.dim + k] += 1.0f * f.m->norm_out_bias->v[k];
    params_touch(f.m->p);
    for (int64_t i = 0; i < N_QUESTIONS; i++) f.q[i] = random_question(f.a, &r, vocab, i % 4);
    return f;
}

static void clear(fixture *f) {
    generator_free(f->m);
    arena_free(f->a);
}

static const decode_options greedy = {.n_beams = 1};

/* The sum of -log p over the targets of `answer`, then EOS if `ends`, all at once. */
static double forced(const fixture *f, const reader_question *q, const int32_t *answer, int64_t n,
                     bool ends) {
    arena *a = arena_new((size_t)1 << 26);
    graph *g = graph_new(a, NULL, false);
    int32_t ids[32] = {0};
    if (n) memcpy(ids, answer, (size_t)n * sizeof *ids);
    reader_question asked = *q;
    reader_limits l = f->m->c.limits;
    asked.answer = ids;
    asked.n_answer = n + !ends; /* one token too many: what follows answer is not judged */
    l.answer = n;
    double sum = 0;
    if (n + ends > 0) {
        reader_batch b = reader_batch_new(a, &f->tr, &l, &asked, 1);
        sum = (double)generator_loss(f->m, g, &b, 0, NULL)->v[0] * (double)(n + ends);
    }
    graph_free(g);
    arena_free(a);
    return sum;
}

static void greedy_answers_take_the_most_probable_token_step_by_step(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    int64_t n_steps = 0, n_ended = 0;
    for (int64_t i = 0; i < N_QUESTIONS; i++) {
        double before = 0;
        for (int64_t t = 0; t <= d[i].n; t++) {
            int32_t prefix[8], next = t < d[i].n ? d[i].ids[t] : f.tr.eos;
            if (t == d[i].n && d[i].is_cut) break;
            if (t) memcpy(prefix, d[i].ids, (size_t)t * sizeof *prefix);
            double cost[VOCAB], chosen = INFINITY;
            for (int32_t w = 0; w < VOCAB; w++) {
                prefix[t] = w;
                cost[w] = w == f.tr.eos ? forced(&f, &f.q[i], prefix, t, true)
                                        : forced(&f, &f.q[i], prefix, t + 1, false);
            }
            chosen = cost[next];
            for (int w = 0; w < VOCAB; w++) assert_true(cost[w] >= chosen - 1e-4);
            assert_true(chosen >= before - 1e-5);
            if (t == 0) assert_float_equal(d[i].empty_log_prob, -cost[f.tr.eos], 1e-4);
            before = chosen;
            n_steps++;
        }
        n_ended += !d[i].is_cut;
        assert_float_equal(d[i].log_prob, -forced(&f, &f.q[i], d[i].ids, d[i].n, true), 1e-3);
    }
    assert_true(n_steps > 2 * N_QUESTIONS); /* there was something to see */
    assert_in_range(n_ended, 1, N_QUESTIONS);
    clear(&f);
}

static void assert_same(const decoded *x, const decoded *y) {
    assert_int_equal(x->n, y->n);
    if (x->n) assert_memory_equal(x->ids, y->ids, (size_t)x->n * sizeof *x->ids);
    assert_true(x->log_prob == y->log_prob);
    assert_true(x->empty_log_prob == y->empty_log_prob);
    assert_int_equal(x->is_cut, y->is_cut);
    assert_int_equal(x->n_passages, y->n_passages);
    for (int64_t i = 0; i < x->n_passages; i++)
        assert_true(x->passage_share[i] == y->passage_share[i]);
}

static const decode_options ways[] = {
    {.n_beams = 1},
    {.n_beams = 3},
    {.n_beams = 1, .temperature = .8f, .seed = 5},
    {.n_beams = 1, .temperature = 1.5f, .sample_top_k = 4, .seed = 6},
    {.n_beams = 2, .max_tokens = 2, .empty_bias = -2},
};
enum { N_WAYS = sizeof ways / sizeof *ways };

static void answers_of_a_batch_are_those_of_single_questions(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    for (int w = 0; w < N_WAYS; w++) {
        decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &ways[w]);
        for (int64_t i = 0; i < N_QUESTIONS; i++)
            assert_same(generator_decode(f.m, f.a, &f.tr, &f.q[i], 1, &ways[w]), &d[i]);
    }
    clear(&f);
}

static void answers_do_not_depend_on_the_number_of_threads(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    par_threads_set(1);
    decoded *one = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &ways[1]);
    for (int threads = 2; threads <= 5; threads++) {
        par_threads_set(threads);
        decoded *many = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &ways[1]);
        for (int64_t i = 0; i < N_QUESTIONS; i++) assert_same(&one[i], &many[i]);
    }
    par_threads_set(0);
    clear(&f);
}

/* Three places for all: a question comes at every step, while those before it go on. */
static void questions_admitted_among_others_get_the_answers_they_get_alone(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    for (int w = 0; w < 2 * N_WAYS; w++) {
        decode_options o = ways[w / 2];
        o.be = w % 2 ? backend_int8(backend_cpu()) : backend_cpu();
        decoding *d = decoding_new(f.m, &f.tr, o.be, 3, o.n_beams);
        decoded out[N_QUESTIONS], *to;
        int64_t next = 0, left = 0, most = 0;
        while (next < N_QUESTIONS || left > 0) {
            if (next < N_QUESTIONS && decoding_room(d) > 0) {
                to = &out[next];
                decoding_admit(d, f.a, &f.q[next++], 1, &o, &to);
                assert_false(to->is_done);
            }
            int64_t running = 3 - decoding_room(d);
            most = running > most ? running : most;
            left = decoding_step(d);
        }
        assert_int_equal(decoding_room(d), 3);
        assert_in_range(most, 2, 3); /* they did run side by side */
        decoding_free(d);
        for (int64_t i = 0; i < N_QUESTIONS; i++) {
            assert_true(out[i].is_done);
            assert_same(generator_decode(f.m, f.a, &f.tr, &f.q[i], 1, &o), &out[i]);
        }
    }
    clear(&f);
}

static void reading_in_chunks_gives_the_bytes_of_the_whole_encoder(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    par_threads_set(5); /* and so as many chunks */
    reader_batch b = reader_batch_new(f.a, &f.tr, &f.m->c.limits, f.q, N_QUESTIONS);
    assert_true(b.n_pairs > 5);
    int64_t dim = f.m->c.dim;
    size_t bytes = (size_t)(b.n_rows * 2 * dim) * half_bytes(backend_cpu());
    void **kv = ARENA_ARRAY(f.a, void *, f.m->c.n_decoder);
    for (int i = 0; i < f.m->c.n_decoder; i++) kv[i] = arena_take(f.a, bytes);
    read_rows rows = {kv, ARENA_ARRAY(f.a, float, b.n_rows *dim),
                      ARENA_ARRAY(f.a, float, b.n_rows * 2)};
    generator_read(f.m, backend_cpu(), f.a, &b, &rows);
    graph *g = graph_new(f.a, NULL, false);
    tensor *x = generator_encode(f.m, g, &b);
    const float *keys = t_linear(g, x, f.m->copy_k, NULL, ACT_NONE)->v;
    const tensor *first = attend_keys(g, &f.m->look[0], x, NULL, true);
    assert_memory_equal(rows.copy_keys, keys, (size_t)(b.n_rows * dim) * sizeof *keys);
    assert_memory_equal(rows.kv[0], first->h ? (void *)first->h : first->v, bytes);
    graph_free(g);
    par_threads_set(0);
    clear(&f);
}

/* ---- reading on narrow rows ---- */

enum { WIDE = 64, WRITERS = 2 };

/* Wide enough for tiles, uneven enough that attention and norms have work. */
static generator *wide_generator(void) {
    generator_config c = {.vocab = VOCAB,
                          .dim = WIDE,
                          .n_encoder = 2,
                          .n_decoder = WRITERS,
                          .n_heads = 2,
                          .copy = true,
                          .limits = {.question = 8, .title = 3, .passage = 12, .answer = 6}};
    generator *m = generator_new(&c, 5, false);
    randomize(m->p, 6, .12);
    return m;
}

/* All that is read of a batch, one behind the other: keys and values, copy keys, places. */
static float *read_all(generator *m, const backend *be, arena *a, const reader_batch *b,
                       int64_t n[3]) {
    int64_t rows = b->n_rows;
    n[0] = WRITERS * rows * 2 * WIDE, n[1] = rows * WIDE, n[2] = rows * 2;
    float *all = ARENA_ARRAY(a, float, n[0] + n[1] + n[2]);
    void *kv[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        kv[i] = be->round ? arena_take(a, (size_t)(rows * 2 * WIDE) * sizeof(bf16))
                          : (void *)(all + i * rows * 2 * WIDE);
    generator_read(m, be, a, b, &(read_rows){kv, all + n[0], all + n[0] + n[1]});
    for (int i = 0; be->round && i < WRITERS; i++)
        be->widen(rows * 2 * WIDE, kv[i], all + i * rows * 2 * WIDE);
    return all;
}

static void narrow_rows_are_those_of_the_graph_within_rounding(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    generator *m = wide_generator();
    const backend *families[4];
    reader_batch b = reader_batch_new(f.a, &f.tr, &m->c.limits, f.q, N_QUESTIONS);
    int64_t parts[3];
    const float *want = read_all(m, backend_ref(), f.a, &b, parts);
    for (int i = 0, n = narrow_families(families); i < n; i++) {
        bool bytes = i >= n / 2;
        const float *x = want, *got = read_all(m, families[i], f.a, &b, parts);
        for (int part = 0; part < 3; x += parts[part], got += parts[part], part++) {
            double off = 0, size = 0;
            for (int64_t j = 0; j < parts[part]; j++) {
                off += pow((double)got[j] - (double)x[j], 2);
                size += pow((double)x[j], 2);
            }
            double wrong = sqrt(off / size), most = bytes ? .03 : .008;
            if (!(wrong <= most))
                fail_msg("%s%s: part %d is wrong by %.4f of its size, wanted at most %.4f",
                         families[i]->name, bytes ? " in bytes" : "", part, wrong, most);
        }
    }
    generator_free(m);
    clear(&f);
}

static void narrow_rows_do_not_depend_on_company_or_threads(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    generator *m = wide_generator();
    const backend *families[4];
    reader_batch b = reader_batch_new(f.a, &f.tr, &m->c.limits, f.q, N_QUESTIONS);
    int64_t parts[3], alone[3];
    for (int i = 0, n = narrow_families(families); i < n; i++) {
        par_threads_set(1);
        const float *want = read_all(m, families[i], f.a, &b, parts);
        par_threads_set(5);
        const float *got = read_all(m, families[i], f.a, &b, parts);
        assert_memory_equal(got, want, (size_t)(parts[0] + parts[1] + parts[2]) * sizeof *got);
        for (int64_t q = 1; q < N_QUESTIONS; q++) {
            reader_batch one = reader_batch_new(f.a, &f.tr, &m->c.limits, &f.q[q], 1);
            got = read_all(m, families[i], f.a, &one, alone);
            int64_t row = b.questions[q].begin;
            if (one.n_rows == 0) continue;
            assert_memory_equal(got, want + row * 2 * WIDE,
                                (size_t)(one.n_rows * 2 * WIDE) * sizeof *got);
            assert_memory_equal(got + alone[0], want + parts[0] + row * WIDE,
                                (size_t)(one.n_rows * WIDE) * sizeof *got);
        }
    }
    par_threads_set(0);
    generator_free(m);
    clear(&f);
}

/* Of 8 + 64 answers of at most two tokens, as many beams as there are first tokens keep the best.
 */
static void beams_enough_for_all_find_the_best_answer(void **state) {
    (void)state;
    enum { SMALL = 8 };
    fixture f = fixture_of(SMALL);
    for (int64_t i = 0; i < N_QUESTIONS; i++) {
        double best = forced(&f, &f.q[i], NULL, 0, true);
        for (int32_t x = 0; x < SMALL; x++) {
            if (x == f.tr.eos) continue;
            double one = forced(&f, &f.q[i], &x, 1, true);
            if (one < best) best = one;
            for (int32_t y = 0; y < SMALL; y++) {
                if (y == f.tr.eos) continue;
                double two = forced(&f, &f.q[i], (int32_t[]){x, y}, 2, true);
                if (two < best) best = two;
            }
        }
        decode_options o = {.n_beams = SMALL * SMALL, .max_tokens = 2};
        decoded *d = generator_decode(f.m, f.a, &f.tr, &f.q[i], 1, &o);
        assert_float_equal(d->log_prob, -best, 1e-4);
        assert_float_equal(d->log_prob, -forced(&f, &f.q[i], d->ids, d->n, true), 1e-4);
    }
    clear(&f);
}

static void beams_find_answers_at_least_as_probable_on_average(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    double sum[3] = {0};
    for (int k = 0; k < 3; k++) {
        decode_options o = {.n_beams = (int[]){1, 2, 6}[k]};
        decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &o);
        for (int64_t i = 0; i < N_QUESTIONS; i++) sum[k] += d[i].log_prob;
    }
    assert_true(sum[1] >= sum[0] - 1e-6);
    assert_true(sum[2] >= sum[0] - 1e-6);
    assert_true(sum[2] > sum[0] + .01); /* and for some questions better */
    clear(&f);
}

static void the_length_cap_ends_answers_and_says_so(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decoded *free_ = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    int n_cut = 0;
    for (int64_t cap = 1; cap <= 3; cap++) {
        decode_options o = {.n_beams = 1, .max_tokens = cap};
        decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &o);
        for (int64_t i = 0; i < N_QUESTIONS; i++) {
            bool is_cut = free_[i].n > cap;
            assert_int_equal(d[i].n, is_cut ? cap : free_[i].n);
            assert_int_equal(d[i].is_cut, is_cut || free_[i].is_cut);
            if (d[i].n) assert_memory_equal(d[i].ids, free_[i].ids, (size_t)d[i].n * 4);
            n_cut += is_cut;
        }
    }
    assert_true(n_cut > 0);
    decode_options more = {.n_beams = 1, .max_tokens = 1000}; /* the model's own limit holds */
    decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &more);
    for (int64_t i = 0; i < N_QUESTIONS; i++) assert_same(&d[i], &free_[i]);
    clear(&f);
}

static void sampling_among_one_token_is_greedy(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decode_options o = {.n_beams = 1, .temperature = 2, .sample_top_k = 1, .seed = 3};
    decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &o),
            *want = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    for (int64_t i = 0; i < N_QUESTIONS; i++) assert_same(&d[i], &want[i]);
    clear(&f);
}

/* First tokens of 600 seeds at temperature 1 come as often as they are probable. */
static void sampled_tokens_come_as_often_as_they_are_probable(void **state) {
    (void)state;
    enum { N_SEEDS = 600 };
    fixture f = fixture_of(VOCAB);
    int count[VOCAB] = {0};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        size_t mark = arena_mark(f.a);
        decode_options o = {.n_beams = 1, .temperature = 1, .max_tokens = 1, .seed = seed};
        decoded *d = generator_decode(f.m, f.a, &f.tr, &f.q[3], 1, &o);
        count[d->n ? d->ids[0] : f.tr.eos]++;
        arena_reset(f.a, mark);
    }
    for (int32_t w = 0; w < VOCAB; w++) {
        double p = exp(-forced(&f, &f.q[3], &w, w != f.tr.eos, w == f.tr.eos));
        assert_float_equal((double)count[w] / N_SEEDS, p, 4 * sqrt(p / N_SEEDS) + .005);
    }
    clear(&f);
}

static void a_bias_decides_between_an_answer_and_none(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decoded *plain = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    for (int side = 0; side < 2; side++) {
        decode_options o = {.n_beams = 1, .empty_bias = side ? 30 : -30};
        decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &o);
        for (int64_t i = 0; i < N_QUESTIONS; i++) {
            assert_int_equal(d[i].n == 0, side == 1);
            assert_true(d[i].empty_log_prob == plain[i].empty_log_prob);
            if (side) assert_float_equal(d[i].log_prob, 0, 1e-4);
        }
    }
    clear(&f);
}

/* A short answer is the best span, or empty where the model's own bias says that none is there;
 * without passages there is no span, and what was written stands. */
static void a_short_answer_is_the_best_span_or_none(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decoded *written = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    decode_options o = {.n_beams = 1, .may_place = true};
    for (int side = 0; side < 2; side++) {
        f.m->empty_bias = side ? 30 : -30;
        decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &o);
        for (int64_t i = 0; i < N_QUESTIONS; i++) {
            assert_true(d[i].empty_log_prob == written[i].empty_log_prob);
            if (d[i].n_span == 0) continue;
            assert_int_equal(d[i].n, side ? 0 : d[i].n_span);
            assert_memory_equal(d[i].ids, d[i].span_ids, (size_t)d[i].n * sizeof *d[i].ids);
            assert_true(d[i].log_prob == (side ? d[i].empty_log_prob : d[i].span_log_prob));
        }
        assert_int_equal(d[1].n_span > 0, true);
        assert_int_equal(d[0].n_span, 0);
    }
    clear(&f);
}

static void passages_share_the_credit(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    for (int64_t i = 0; i < N_QUESTIONS; i++) {
        assert_int_equal(d[i].n_passages, i % 4);
        double sum = 0;
        int64_t tokens = 0;
        for (int64_t j = 0; j < i % 4; j++) {
            const reader_passage *p = &f.q[i].passages[j];
            sum += d[i].passage_share[j];
            tokens += p->n_ids + p->n_title;
            if (p->n_ids + p->n_title == 0) assert_true(d[i].passage_share[j] == 0);
        }
        assert_float_equal(sum, tokens > 0, 1e-9);
    }
    clear(&f);
}

/* The span of one passage whose start and end score best, by its own tokens; probabilities of
 * starts and ends are over all passages' tokens. */
static void the_best_span_is_a_stretch_of_a_passage(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    for (int64_t i = 0; i < N_QUESTIONS; i++) {
        int64_t tokens = 0, n_places = 0;
        for (int64_t j = 0; j < f.q[i].n_passages; j++) {
            const reader_passage *p = &f.q[i].passages[j];
            tokens += p->n_ids + p->n_title;
            for (int side = 0; side < 2; side++) {
                const int32_t *ids = side ? p->title : p->ids;
                int64_t n = side ? p->n_title : p->n_ids;
                for (int64_t at = 0; at + d[i].n_span <= n; at++)
                    n_places += !memcmp(ids + at, d[i].span_ids, (size_t)d[i].n_span * 4);
            }
        }
        assert_int_equal(d[i].n_span > 0, tokens > 0);
        if (tokens == 0) continue;
        assert_true(n_places > 0);
        assert_in_range(d[i].n_span, 1, f.m->c.limits.answer);
        assert_true(d[i].span_log_prob <= 1e-9);
        assert_true(d[i].span_log_prob >= -2 * log((double)tokens) - 20);
    }
    clear(&f);
}

typedef struct heard {
    int32_t ids[8];
    int64_t n;
} heard;

static void hear(void *arg, int32_t id) {
    heard *h = arg;
    h->ids[h->n++] = id;
}

static void tokens_are_told_as_they_are_chosen(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    for (int64_t i = 0; i < N_QUESTIONS; i++) {
        heard h = {0};
        decode_options o = {.n_beams = 1, .on_token = hear, .arg = &h};
        decoded *d = generator_decode(f.m, f.a, &f.tr, &f.q[i], 1, &o);
        assert_int_equal(h.n, d->n);
        if (d->n) assert_memory_equal(h.ids, d->ids, (size_t)d->n * sizeof *d->ids);
    }
    clear(&f);
}

static void answers_outlive_what_is_taken_from_the_arena_next(void **state) {
    (void)state;
    fixture f = fixture_of(VOCAB);
    decoded *d = generator_decode(f.m, f.a, &f.tr, f.q, N_QUESTIONS, &greedy);
    memset(arena_take(f.a, (size_t)1 << 20), 0xee, (size_t)1 << 20);
    for (int64_t i = 0; i < N_QUESTIONS; i++) {
        for (int64_t t = 0; t < d[i].n; t++) assert_in_range(d[i].ids[t], 0, VOCAB - 1);
        for (int64_t j = 0; j < d[i].n_passages; j++)
            assert_true(d[i].passage_share[j] >= 0 && d[i].passage_share[j] <= 1 + 1e-9);
    }
    clear(&f);
}

static void generator_configuration_survives_json(void **state) {
    (void)state;
    generator_config c = generator_defaults(), back;
    c.vocab = 777;
    c.copy = false;
    json_t *j = generator_config_json(&c);
    assert_int_equal(generator_config_read(j, &back), OK);
    json_t *again = generator_config_json(&back);
    assert_true(json_equal(j, again));
    assert_int_equal(back.limits.title, c.limits.title);
    assert_false(back.copy);
    json_object_set_new(j, "answer_tokens", json_integer(0));
    assert_int_equal(generator_config_read(j, &back), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "answer_tokens 0"));
    json_decref(j);
    json_decref(again);
}

int main(void) {
    setenv("RAGLAN_CPU", "ref", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_answers_take_the_most_probable_token_step_by_step),
        cmocka_unit_test(answers_of_a_batch_are_those_of_single_questions),
        cmocka_unit_test(answers_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(questions_admitted_among_others_get_the_answers_they_get_alone),
        cmocka_unit_test(reading_in_chunks_gives_the_bytes_of_the_whole_encoder),
        cmocka_unit_test(narrow_rows_are_those_of_the_graph_within_rounding),
        cmocka_unit_test(narrow_rows_do_not_depend_on_company_or_threads),
        cmocka_unit_test(beams_enough_for_all_find_the_best_answer),
        cmocka_unit_test(beams_find_answers_at_least_as_probable_on_average),
        cmocka_unit_test(the_length_cap_ends_answers_and_says_so),
        cmocka_unit_test(sampling_among_one_token_is_greedy),
        cmocka_unit_test(sampled_tokens_come_as_often_as_they_are_probable),
        cmocka_unit_test(a_bias_decides_between_an_answer_and_none),
        cmocka_unit_test(a_short_answer_is_the_best_span_or_none),
        cmocka_unit_test(passages_share_the_credit),
        cmocka_unit_test(the_best_span_is_a_stretch_of_a_passage),
        cmocka_unit_test(tokens_are_told_as_they_are_chosen),
        cmocka_unit_test(answers_outlive_what_is_taken_from_the_arena_next),
        cmocka_unit_test(generator_configuration_survives_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
