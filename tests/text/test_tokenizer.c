/* Tokenizer: training, encoding with places, decoding. The training text is a small grammar's,
 * so that the tests need no data; with RAGLAN_TEST_DATA real models are compared as well. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "temp.h"
#include "text/spm_int.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/log.h"
#include "util/par.h"
#include "util/rng.h"

/* ---- a training text ---- */

static void add_sentences(buf *b, int n) {
    static const char *const who[] = {"Ada",   "the engineer", "A painter",
                                      "Bruno", "her sister",   "Chloé"};
    static const char *const did[] = {"built",     "measured", "painted",
                                      "described", "sold",     "repaired"};
    static const char *const what[] = {"a bridge", "the clock tower", "an old ship", "7 mills",
                                       "the map"};
    static const char *const when[] = {"in 1871", "before the war", "in Raglan", "at dawn",
                                       "for 20 years"};
    rng r = rng_new(7);
    for (int i = 0; i < n; i++)
        buf_printf(b, "%s %s %s %s.%s", who[rng_below(&r, 6)], did[rng_below(&r, 6)],
                   what[rng_below(&r, 5)], when[rng_below(&r, 5)], i % 4 == 3 ? "\n" : " ");
}

typedef struct once {
    const char *text;
    size_t n;
    bool given;
} once;

static status give_once(void *arg, const char **text, size_t *n, bool *more) {
    once *o = arg;
    *more = !o->given;
    *text = o->text;
    *n = o->n;
    o->given = true;
    return OK;
}

static status train(const tokenizer_options *o, const char *text, size_t n, const char *path) {
    once source = {text, n, false};
    return tokenizer_train(o, give_once, &source, path);
}

static buf corpus;
static tokenizer *ours; /* BPE, 400 pieces */

static int make_ours(void **state) {
    (void)state;
    log_level_set(LOG_ERROR);
    add_sentences(&corpus, 400);
    const char *path = temp_path("ours.model");
    tokenizer_options o = {.vocab_size = 400};
    return train(&o, corpus.at, corpus.len, path) || tokenizer_open(path, &ours);
}

static int drop_ours(void **state) {
    (void)state;
    tokenizer_close(ours);
    buf_clear(&corpus);
    return 0;
}

static char *spelled(const tokenizer *t, const tokens *list) {
    buf b = {0};
    for (int64_t i = 0; i < list->n; i++)
        buf_printf(&b, "%s%s", i ? "|" : "", tokenizer_piece(t, list->id[i]));
    return buf_steal(&b);
}

static tokens encoded(const tokenizer *t, const char *text) {
    tokens list = {0};
    tokenizer_encode(t, text, strlen(text), &list);
    return list;
}

static void assert_decodes_to(const tokenizer *t, const char *text, const char *wanted) {
    tokens list = encoded(t, text);
    buf b = {0};
    tokenizer_decode(t, list.id, list.n, &b);
    buf_putc(&b, '\0');
    assert_string_equal(b.at, wanted);
    buf_clear(&b);
    tokens_clear(&list);
}

/* ---- training ---- */

static void specials_have_their_fixed_places(void **state) {
    (void)state;
    assert_true(tokenizer_has_specials(ours));
    assert_string_equal(tokenizer_piece(ours, TOKEN_PAD), "<pad>");
    assert_string_equal(tokenizer_piece(ours, TOKEN_BOS), "<s>");
    assert_string_equal(tokenizer_piece(ours, TOKEN_EOS), "</s>");
    assert_string_equal(tokenizer_piece(ours, TOKEN_UNK), "<unk>");
    assert_int_equal(tokenizer_size(ours), 400);
    assert_int_equal(tokenizer_find(ours, "</s>"), TOKEN_EOS);
    assert_int_equal(tokenizer_find(ours, "no such piece"), -1);
}

static void same_text_gives_the_same_bytes(void **state) {
    (void)state;
    tokenizer_kind kinds[] = {TOKENIZER_BPE, TOKENIZER_UNIGRAM};
    for (int i = 0; i < 2; i++) {
        tokenizer_options o = {.kind = kinds[i], .vocab_size = 350};
        buf one = {0}, two = {0};
        const char *path = temp_path("again.model");
        par_threads_set(1);
        assert_int_equal(train(&o, corpus.at, corpus.len, path), OK);
        assert_int_equal(file_read(path, 0, &one), OK);
        par_threads_set(3);
        FILE *open_beside = fopen("/dev/null", "r"); /* takes the number of a descriptor */
        assert_int_equal(train(&o, corpus.at, corpus.len, path), OK);
        fclose(open_beside);
        assert_int_equal(file_read(path, 0, &two), OK);
        assert_int_equal(one.len, two.len);
        assert_memory_equal(one.at, two.at, one.len);
        buf_clear(&one);
        buf_clear(&two);
    }
    par_threads_set(0);
}

static void a_too_large_vocabulary_becomes_the_largest_possible(void **state) {
    (void)state;
    for (int kind = TOKENIZER_BPE; kind <= TOKENIZER_UNIGRAM; kind++) {
        tokenizer_options o = {.kind = (tokenizer_kind)kind, .vocab_size = 50000};
        const char *path = temp_path("large.model");
        tokenizer *t;
        assert_int_equal(train(&o, corpus.at, corpus.len, path), OK);
        assert_int_equal(tokenizer_open(path, &t), OK);
        assert_in_range(tokenizer_size(t), 300, 600);
        tokenizer_close(t);
    }
}

static void no_text_is_an_error_that_says_what_to_do(void **state) {
    (void)state;
    tokenizer_options o = {.vocab_size = 400};
    const char *blank = " \n\t\n";
    assert_int_equal(train(&o, blank, strlen(blank), temp_path("none.model")), ERR_ARG);
    assert_string_equal(
        err_msg(),
        "there is no text to train a tokenizer on; add documents with: raglan ingest PATH");
    assert_false(file_exists(temp_path("none.model")));
    o.vocab_size = 299;
    assert_int_equal(train(&o, corpus.at, corpus.len, temp_path("none.model")), ERR_ARG);
    assert_non_null(strstr(err_msg(), "vocab_size is 299"));
}

/* A word that occurs in one place only, 200 times, must be learned wherever it stands. */
static void assert_learned_from(const char *text, size_t n) {
    const char *path = temp_path("learned.model");
    tokenizer *t;
    tokenizer_options o = {.vocab_size = 400};
    assert_int_equal(train(&o, text, n, path), OK);
    assert_int_equal(tokenizer_open(path, &t), OK);
    assert_int_not_equal(tokenizer_find(t, "\xe2\x96\x81zyzzyva"), -1);
    tokenizer_close(t);
}

static void no_line_is_skipped_however_long_or_odd(void **state) {
    (void)state;
    buf b = {0};
    add_sentences(&b, 50);
    buf_putc(&b, '\n');
    for (int i = 0; i < 12000; i++)
        buf_puts(&b, "word "); /* a line of 60 KB, the word at its end */
    for (int i = 0; i < 200; i++) buf_puts(&b, "zyzzyva ");
    assert_learned_from(b.at, b.len);
    b.len = 0;
    add_sentences(&b, 50);
    for (int i = 0; i < 200; i++) { /* SentencePiece skips lines with its own mark, stops at NUL */
        buf_puts(&b, "\n\xe2\x96\x85 zyzzyva ");
        buf_putc(&b, '\0');
    }
    assert_learned_from(b.at, b.len);
    buf_clear(&b);
}

static void too_many_words_are_sampled_repeatably(void **state) {
    (void)state;
    buf b = {0};
    rng r = rng_new(3);
    buf_add(&b, corpus.at, corpus.len);
    for (int i = 0; i < 9000; i++) {
        for (int j = 0; j < 6; j++) buf_putc(&b, (char)('a' + rng_below(&r, 20)));
        buf_putc(&b, ' ');
    }
    tokenizer_options o = {.vocab_size = 450, .word_bytes = 4000, .seed = 1};
    const char *paths[] = {temp_path("s1.model"), temp_path("s2.model"), temp_path("s3.model")};
    char hash[3][41];
    for (int i = 0; i < 3; i++) {
        tokenizer *t;
        if (i == 2) o.seed = 2;
        assert_int_equal(train(&o, b.at, b.len, paths[i]), OK);
        assert_int_equal(tokenizer_open(paths[i], &t), OK);
        assert_int_not_equal(tokenizer_find(t, "\xe2\x96\x81the"), -1); /* the frequent ones stay */
        strcpy(hash[i], tokenizer_hash(t));
        tokenizer_close(t);
    }
    assert_string_equal(hash[0], hash[1]);
    assert_string_not_equal(hash[0], hash[2]);
    buf_clear(&b);
}

/* 3,000 characters once each must not push the words out of 500 pieces. */
static void rare_characters_do_not_eat_the_vocabulary(void **state) {
    (void)state;
    buf b = {0};
    for (int i = 0; i < 20; i++) buf_add(&b, corpus.at, corpus.len);
    for (int32_t c = 0x4e00; c < 0x4e00 + 3000; c++)
        buf_printf(&b, "%c%c%c ", 0xe0 | c >> 12, 0x80 | (c >> 6 & 63), 0x80 | (c & 63));
    tokenizer_options o = {.vocab_size = 500};
    const char *path = temp_path("rare.model");
    tokenizer *t;
    assert_int_equal(train(&o, b.at, b.len, path), OK);
    assert_int_equal(tokenizer_open(path, &t), OK);
    assert_int_not_equal(tokenizer_find(t, "\xe2\x96\x81sister"), -1);
    assert_decodes_to(t, "\xe4\xb8\x80 engineer \xe5\xa0\x80",
                      "\xe4\xb8\x80 engineer \xe5\xa0\x80");
    tokenizer_close(t);
    buf_clear(&b);
}

static void lower_case_folds_letters_and_keeps_places(void **state) {
    (void)state;
    tokenizer_options o = {.vocab_size = 380, .lower_case = true};
    const char *path = temp_path("lower.model");
    tokenizer *t;
    assert_int_equal(train(&o, corpus.at, corpus.len, path), OK);
    assert_int_equal(tokenizer_open(path, &t), OK);
    tokens upper = encoded(t, "THE ENGINEER Chlo\xc3\x89"),
           lower = encoded(t, "the engineer chlo\xc3\xa9");
    assert_int_equal(upper.n, lower.n);
    assert_memory_equal(upper.id, lower.id, (size_t)upper.n * sizeof *upper.id);
    assert_memory_equal(upper.end, lower.end, (size_t)upper.n * sizeof *upper.end);
    assert_decodes_to(t, "THE ENGINEER", "the engineer");
    tokens_clear(&upper);
    tokens_clear(&lower);
    tokenizer_close(t);
}

/* ---- encoding ---- */

static void case_is_kept_and_blanks_collapse(void **state) {
    (void)state;
    assert_decodes_to(ours, "  The  Engineer\n\n\tbuilt it.\r\n", "The Engineer built it.");
    assert_decodes_to(ours, "caf\xc3\xa9\xc2\xa0noir", "caf\xc3\xa9 noir");
}

static void what_the_vocabulary_lacks_is_spelled_in_bytes(void **state) {
    (void)state;
    tokens t = encoded(ours, "\xe6\x97\xa5.");
    char *s = spelled(ours, &t);
    assert_string_equal(s, "\xe2\x96\x81|<0xE6>|<0x97>|<0xA5>|.");
    assert_int_equal(t.end[1], 0); /* of a character only the last piece has a width */
    assert_int_equal(t.end[2], 0);
    assert_int_equal(t.end[3], 3);
    assert_int_equal(t.end[4], 4);
    free(s);
    tokens_clear(&t);
    assert_decodes_to(ours, "\xf0\x9f\x98\x80 and \xe6\x97\xa5\xe6\x9c\xac",
                      "\xf0\x9f\x98\x80 and \xe6\x97\xa5\xe6\x9c\xac");
}

static void assert_tiles(const tokens *t, size_t n) {
    int64_t at = 0;
    for (int64_t i = 0; i < t->n; i++) {
        assert_int_equal(t->begin[i], at);
        assert_true(t->end[i] >= at);
        at = t->end[i];
    }
    assert_int_equal(at, n);
}

static void places_tile_the_text(void **state) {
    (void)state;
    const char *texts[] = {"a", " a ", "Ada built\n\n 7 mills. ",
                           "\xc2\xa0"
                           "Chlo\xc3\xa9\xe6\x97\xa5  \t",
                           "\xff bad \xe6\x97"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tokens t = encoded(ours, texts[i]);
        assert_true(t.n > 0);
        assert_tiles(&t, strlen(texts[i]));
        tokens_clear(&t);
    }
}

static void pieces_own_the_blanks_before_them(void **state) {
    (void)state;
    tokens t = encoded(ours, "the \n bridge.");
    assert_string_equal(tokenizer_piece(ours, t.id[0]), "\xe2\x96\x81the");
    assert_int_equal(t.end[0], 3);
    assert_int_equal(t.begin[1], 3);
    tokens_clear(&t);
}

static void a_blank_text_has_no_pieces(void **state) {
    (void)state;
    const char *texts[] = {"", " ", "\n\t \r\n"};
    for (size_t i = 0; i < 3; i++) {
        tokens t = encoded(ours, texts[i]);
        assert_int_equal(t.n, 0);
        tokens_clear(&t);
    }
    arena *a = arena_new(1 << 20);
    int64_t n = 7;
    assert_null(tokenizer_encode_ids(ours, " ", 1, a, &n));
    assert_int_equal(n, 0);
    arena_free(a);
}

/* The whole equals its lines one after the other, at every length around a stretch's end. */
static void long_texts_encode_as_their_lines_do(void **state) {
    (void)state;
    tokens parts = {0};
    for (const char *line = corpus.at; *line;) {
        size_t n = strcspn(line, "\n");
        tokenizer_encode(ours, line, n, &parts);
        line += n + (line[n] == '\n');
    }
    assert_true(corpus.len > 3 * 4096);
    tokens whole = encoded(ours, corpus.at);
    assert_int_equal(whole.n, parts.n);
    assert_memory_equal(whole.id, parts.id, (size_t)whole.n * sizeof *whole.id);
    assert_tiles(&whole, corpus.len);
    tokens_clear(&whole);
    tokens_clear(&parts);
}

static void add_piece(void *arg, int32_t id, int64_t begin, int64_t end) {
    tokens_add(arg, id, begin, end);
}

/* Word by word gives what SentencePiece gives for the whole. */
static void texts_encode_as_sentencepiece_encodes_them_whole(void **state) {
    (void)state;
    buf model = {0};
    spm *m;
    assert_int_equal(file_read(temp_path("ours.model"), 0, &model), OK);
    assert_int_equal(spm_load(model.at, model.len, &m), OK);
    const char *texts[] = {corpus.at,
                           "",
                           "a",
                           "  lead and trail \n",
                           "a\xc2\xa0"
                           "b \xe3\x80\x80 c",
                           "\xff\xfe \xe6\x97",
                           "3.14 x\xe2\x96\x81y \xe2\x96\x81 z",
                           "the the the"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tokens whole = {0}, words = encoded(ours, texts[i]);
        spm_encode(m, texts[i], strlen(texts[i]), add_piece, &whole);
        assert_int_equal(words.n, whole.n);
        if (whole.n) assert_memory_equal(words.id, whole.id, (size_t)whole.n * sizeof *whole.id);
        for (int64_t k = 0; k + 1 < whole.n; k++) assert_true(words.end[k] == whole.end[k]);
        tokens_clear(&whole);
        tokens_clear(&words);
    }
    spm_free(m);
    buf_clear(&model);
}

static void a_long_text_without_blanks_encodes_whole(void **state) {
    (void)state;
    buf b = {0}, back = {0};
    for (int i = 0; i < 60000; i++) buf_puts(&b, "\xe6\x97\xa5");
    tokens t = encoded(ours, b.at);
    assert_int_equal(t.n, 3 * 60000 + 1); /* its bytes, and the blank of the first word */
    assert_tiles(&t, b.len);
    tokenizer_decode(ours, t.id, t.n, &back);
    assert_int_equal(back.len, b.len);
    assert_memory_equal(back.at, b.at, b.len);
    tokens_clear(&t);
    buf_clear(&b);
    buf_clear(&back);
}

static void encode_one(void *arg, int64_t i, int worker) {
    (void)worker;
    tokens *out = arg;
    tokenizer_encode(ours, corpus.at + 100 * i, 3000, &out[i]);
}

static void many_threads_encode_alike(void **state) {
    (void)state;
    enum { N = 40 };
    tokens many[N] = {0}, one[N] = {0};
    par_threads_set(4);
    par_for(N, encode_one, many);
    par_threads_set(1);
    par_for(N, encode_one, one);
    par_threads_set(0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(many[i].n, one[i].n);
        assert_memory_equal(many[i].id, one[i].id, (size_t)one[i].n * sizeof *one[i].id);
        tokens_clear(&many[i]);
        tokens_clear(&one[i]);
    }
}

/* ---- decoding ---- */

static void a_stream_gives_only_whole_characters(void **state) {
    (void)state;
    tokens t = encoded(ours, "a \xe6\x97\xa5!");
    token_stream s = {0};
    buf b = {0}, all = {0};
    for (int64_t i = 0; i < t.n; i++) {
        buf_reset(&b);
        token_stream_add(ours, &s, t.id[i], &b);
        if (i >= 2 && i <= 3) assert_int_equal(b.len, 0);
        buf_add(&all, b.at ? b.at : "", b.len);
    }
    token_stream_end(&s, &all);
    assert_string_equal(all.at, "a \xe6\x97\xa5!");
    buf_clear(&b);
    buf_clear(&all);
    tokens_clear(&t);
}

static void broken_byte_runs_become_replacement_marks(void **state) {
    (void)state;
    int32_t lead = tokenizer_find(ours, "<0xE6>"), next = tokenizer_find(ours, "<0x97>");
    int32_t the = tokenizer_find(ours, "\xe2\x96\x81the");
    int32_t ids[] = {TOKEN_BOS, the, lead, next, the, next, lead, TOKEN_EOS};
    buf b = {0};
    tokenizer_decode(ours, ids, 8, &b);
    assert_string_equal(b.at, "the\xef\xbf\xbd\xef\xbf\xbd the\xef\xbf\xbd\xef\xbf\xbd");
    buf_clear(&b);
}

/* ---- flags ---- */

static void pieces_tell_what_they_are(void **state) {
    (void)state;
    struct {
        const char *piece;
        int flags;
    } wanted[] = {{"<s>", PIECE_SPECIAL},
                  {"<0x41>", PIECE_BYTE},
                  {"\xe2\x96\x81the", PIECE_WORD},
                  {"1", PIECE_DIGIT},
                  {".", PIECE_PUNCT},
                  {"\xe2\x96\x81"
                   "Ada",
                   PIECE_WORD | PIECE_CAPITAL},
                  {"e", 0}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int32_t id = tokenizer_find(ours, wanted[i].piece);
        if (id < 0) fail_msg("no piece %s", wanted[i].piece);
        assert_int_equal(tokenizer_flags(ours, id), wanted[i].flags);
    }
}

/* ---- files ---- */

static void absent_and_damaged_models_are_named(void **state) {
    (void)state;
    tokenizer *t;
    assert_int_equal(tokenizer_open(temp_path("absent.model"), &t), ERR_STATE);
    assert_non_null(strstr(err_msg(), "raglan train tokenizer"));
    const char *empty = temp_text("empty.model", ""),
               *text = temp_text("text.model", "not a model\n");
    assert_int_equal(tokenizer_open(empty, &t), ERR_FORMAT);
    assert_int_equal(tokenizer_open(text, &t), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "text.model: not a usable SentencePiece model (12 bytes)"));
    buf b = {0};
    assert_int_equal(file_read(temp_path("ours.model"), 0, &b), OK);
    const char *half = temp_file("half.model", b.at, b.len - 100);
    assert_int_equal(tokenizer_open(half, &t), ERR_FORMAT);
    buf_clear(&b);
}

static void the_hash_is_that_of_the_file(void **state) {
    (void)state;
    buf b = {0};
    char hex[41];
    assert_int_equal(file_read(temp_path("ours.model"), 0, &b), OK);
    sha1_hex(b.at, b.len, hex);
    assert_string_equal(tokenizer_hash(ours), hex);
    buf_clear(&b);
}

/* ---- real models ---- */

static status compare_published(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which, (void)line;
    int *n_compared = arg;
    json_t *o;
    TRY(json_parse(bytes, n, "expected.jsonl", &o));
    const json_t *pieces = json_object_get(o, "pieces"), *ids = json_object_get(o, "ids");
    const char *model = json_str(o, "model", "");
    if (pieces && !json_object_get(o, "note") && strstr(model, ".model")) {
        char *path = xasprintf("%s/tokenizers/%s", getenv("RAGLAN_TEST_DATA"), model);
        tokenizer *t;
        assert_int_equal(tokenizer_open(path, &t), OK);
        tokens list = encoded(t, json_str(o, "text", ""));
        assert_int_equal(list.n, json_array_size(pieces));
        for (int64_t i = 0; i < list.n; i++) {
            assert_int_equal(list.id[i], json_integer_value(json_array_get(ids, (size_t)i)));
            if (!(tokenizer_flags(t, list.id[i]) & PIECE_SPECIAL))
                assert_string_equal(tokenizer_piece(t, list.id[i]),
                                    json_string_value(json_array_get(pieces, (size_t)i)));
        }
        ++*n_compared;
        tokens_clear(&list);
        tokenizer_close(t);
        free(path);
    }
    json_decref(o);
    return OK;
}

static void published_models_encode_as_published(void **state) {
    (void)state;
    const char *data = getenv("RAGLAN_TEST_DATA");
    if (!data) {
        print_message("RAGLAN_TEST_DATA is unset: no published models to compare with\n");
        skip();
    }
    char *path = xasprintf("%s/tokenizers/expected.jsonl", data);
    reader *r;
    int n = 0;
    assert_int_equal(reader_open(path, &r), OK);
    assert_int_equal(json_scan(r, "", 0, compare_published, &n), OK);
    assert_true(n >= 4);
    reader_close(r);
    free(path);
}

/* Botchan (English) and Wagahai (Japanese, hardly a blank) go in and come back whole. */
static void novels_come_back_whole(void **state) {
    (void)state;
    const char *data = getenv("RAGLAN_TEST_DATA");
    if (!data) {
        print_message("RAGLAN_TEST_DATA is unset: no novels to read\n");
        skip();
    }
    const char *names[] = {"botchan.txt.gz", "wagahaiwa_nekodearu.txt.gz"};
    for (int i = 0; i < 2; i++) {
        buf b = {0}, back = {0};
        char *path = xasprintf("%s/tokenizers/sentencepiece/%s", data, names[i]);
        assert_int_equal(file_read(path, 0, &b), OK);
        tokens t = {0};
        tokenizer_encode(ours, b.at, b.len, &t);
        assert_tiles(&t, b.len);
        tokenizer_decode(ours, t.id, t.n, &back);
        size_t k = 0; /* equal but for blanks */
        for (size_t j = 0; j < b.len; j++) {
            if (strchr(" \n\r\t", b.at[j])) continue;
            if (memcmp(b.at + j, "\xe3\x80\x80", 3) == 0) {
                j += 2;
                continue;
            }
            while (k < back.len && back.at[k] == ' ') k++;
            assert_true(k < back.len && back.at[k++] == b.at[j]);
        }
        free(path);
        tokens_clear(&t);
        buf_clear(&b);
        buf_clear(&back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specials_have_their_fixed_places),
        cmocka_unit_test(same_text_gives_the_same_bytes),
        cmocka_unit_test(a_too_large_vocabulary_becomes_the_largest_possible),
        cmocka_unit_test(no_text_is_an_error_that_says_what_to_do),
        cmocka_unit_test(no_line_is_skipped_however_long_or_odd),
        cmocka_unit_test(too_many_words_are_sampled_repeatably),
        cmocka_unit_test(rare_characters_do_not_eat_the_vocabulary),
        cmocka_unit_test(lower_case_folds_letters_and_keeps_places),
        cmocka_unit_test(case_is_kept_and_blanks_collapse),
        cmocka_unit_test(what_the_vocabulary_lacks_is_spelled_in_bytes),
        cmocka_unit_test(places_tile_the_text),
        cmocka_unit_test(pieces_own_the_blanks_before_them),
        cmocka_unit_test(a_blank_text_has_no_pieces),
        cmocka_unit_test(long_texts_encode_as_their_lines_do),
        cmocka_unit_test(texts_encode_as_sentencepiece_encodes_them_whole),
        cmocka_unit_test(a_long_text_without_blanks_encodes_whole),
        cmocka_unit_test(many_threads_encode_alike),
        cmocka_unit_test(a_stream_gives_only_whole_characters),
        cmocka_unit_test(broken_byte_runs_become_replacement_marks),
        cmocka_unit_test(pieces_tell_what_they_are),
        cmocka_unit_test(absent_and_damaged_models_are_named),
        cmocka_unit_test(the_hash_is_that_of_the_file),
        cmocka_unit_test(published_models_encode_as_published),
        cmocka_unit_test(novels_come_back_whole),
    };
    return cmocka_run_group_tests(tests, make_ours, drop_ours);
}
