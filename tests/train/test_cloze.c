/* Cloze questions: a gap in a passage, a question from round it, the passages that BM25 finds. */
#include "cmocka_all.h"
#include "train/cloze.h"
#include "train/taught.h"

static const doc docs[] = {
    {"orlen", "Orlen",
     "The Orlen is a river. It was mapped by Ada Quill in 1820 and then once more."},
    {"belmora", "Belmora", "Belmora is a harbour at the river Orlen, where ferries wait for fog."},
    {"quill", "", "Ada Quill was a painter of ships, a mapper, and died in 1851 in Belmora."},
    {"short", "Short", "No."},
    {"sheep", "Sheep", "Sheep eat grass on all the hills of the north, and so do goats and cows."},
};
enum { N_DOCS = sizeof docs / sizeof *docs };

typedef struct fixture {
    collection k;
    lexical *lex;
    cloze z;
    arena *a;
} fixture;

static fixture fixture_new(int n_docs) {
    fixture f = {.k = collection_new(docs, n_docs, NULL, 0, 400, 60)};
    f.lex = lexical_of(&f.k);
    f.z = (cloze){f.k.c, f.k.t, f.lex};
    f.a = arena_new((size_t)1 << 24);
    return f;
}

static void fixture_free(fixture *f) {
    arena_free(f->a);
    lexical_close(f->lex);
    collection_free(&f->k);
}

static int32_t first_id(const reader_question *q) {
    return q->answer[0];
}

/* One passage holds the answer where it says, and no token of a question comes from the gap. */
static void answers_stand_where_the_gap_was(void **state) {
    (void)state;
    fixture f = fixture_new(N_DOCS);
    int n_names = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        arena_reset(f.a, 0);
        rng r = rng_new(seed);
        reader_question q;
        SUCCEEDS(cloze_question(&f.z, f.a, 3, &r, &q));
        assert_in_range(q.n_answer, 1, 10);
        assert_in_range(q.n_passages, 1, 3);
        int n_flagged = 0;
        for (int64_t i = 0; i < q.n_passages; i++) {
            const reader_passage *p = &q.passages[i];
            if (p->answer.end == p->answer.begin) continue;
            n_flagged++;
            assert_int_equal(p->answer.end - p->answer.begin, q.n_answer);
            assert_memory_equal(p->ids + p->answer.begin, q.answer, (size_t)q.n_answer * 4);
            assert_true(p->answer.begin > 0);
        }
        assert_int_equal(n_flagged, 1);
        assert_true(tokenizer_flags(f.k.t, first_id(&q)) & PIECE_WORD); /* whole words */
        n_names += (tokenizer_flags(f.k.t, first_id(&q)) & (PIECE_CAPITAL | PIECE_DIGIT)) != 0;
    }
    assert_in_range(n_names, 100, 260);
    fixture_free(&f);
}

static void the_same_draws_make_the_same_question(void **state) {
    (void)state;
    fixture f = fixture_new(N_DOCS);
    for (uint64_t seed = 0; seed < 20; seed++) {
        rng r = rng_new(seed), again = rng_new(seed);
        reader_question x, y;
        SUCCEEDS(cloze_question(&f.z, f.a, 2, &r, &x));
        SUCCEEDS(cloze_question(&f.z, f.a, 2, &again, &y));
        assert_int_equal(x.n_ids, y.n_ids);
        if (x.n_ids) assert_memory_equal(x.ids, y.ids, (size_t)x.n_ids * 4);
        assert_ptr_equal(x.answer, y.answer);
        assert_int_equal(x.n_passages, y.n_passages);
        assert_int_equal(rng_next(&r), rng_next(&again));
    }
    fixture_free(&f);
}

/* With one place the gap's own passage takes it, whatever the search prefers. */
static void the_gaps_passage_is_always_read(void **state) {
    (void)state;
    fixture f = fixture_new(N_DOCS);
    for (uint64_t seed = 0; seed < 50; seed++) {
        rng r = rng_new(seed);
        reader_question q;
        SUCCEEDS(cloze_question(&f.z, f.a, 1, &r, &q));
        assert_int_equal(q.n_passages, 1);
        assert_true(q.passages[0].answer.end > q.passages[0].answer.begin);
    }
    fixture_free(&f);
}

static void passages_without_room_for_a_gap_give_no_question(void **state) {
    (void)state;
    static const doc small[] = {{"a", "", "No."}, {"b", "", "Yes."}};
    collection k = collection_new(small, 2, NULL, 0, 400, 60);
    lexical *lex = lexical_of(&k);
    arena *a = arena_new((size_t)1 << 20);
    cloze z = {k.c, k.t, lex};
    rng r = rng_new(1);
    reader_question q;
    SUCCEEDS(cloze_question(&z, a, 3, &r, &q));
    assert_int_equal(q.n_answer, 0);
    arena_free(a);
    lexical_close(lex);
    collection_free(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_stand_where_the_gap_was),
        cmocka_unit_test(the_same_draws_make_the_same_question),
        cmocka_unit_test(the_gaps_passage_is_always_read),
        cmocka_unit_test(passages_without_room_for_a_gap_give_no_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
