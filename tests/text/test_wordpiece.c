/* WordPiece as BERT has it. Expected pieces are those that Hugging Face's tokenizers 0.23 gives for
 * the same file; with RAGLAN_TEST_DATA, the published vocabulary of 30,522 pieces. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "temp.h"
#include "text/tokenizer.h"
#include "text/window.h"
#include "util/file.h"

static const char head[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"[UNK]\", \"normalized\": false},"
    "{\"id\": 2, \"content\": \"[SEP]\", \"normalized\": false}], \"pre_tokenizer\": "
    "{\"type\": \"BertPreTokenizer\"}, \"normalizer\": {\"type\": \"BertNormalizer\"";
/* clang-format off */
static const char vocabulary[] =
    "\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", "
    "\"max_input_chars_per_word\": 9, \"vocab\": {"
    "\"[UNK]\": 0, \"[CLS]\": 1, \"[SEP]\": 2, \"un\": 3, \"##aff\": 4, \"##able\": 5, "
    "\"cafe\": 6, \"##s\": 7, \",\": 8, \"-\": 9, \"\u4e2d\": 10, \"\u6587\": 11, \"a\": 12, "
    "\"##b\": 13, \"Cafe\": 14, \"caf\u00e9\": 15, \"i\": 16, \"##\u0307\": 17, "
    "\"\u1100\": 18, \"##\u1161\": 19, \"x\": 20}}}";
/* clang-format on */

/* A tokenizer with these options of the normaliser. */
static tokenizer *opened(const char *options) {
    char *json = xasprintf("%s%s}, %s", head, options, vocabulary);
    const char *path = temp_path("tokenizer.json");
    tokenizer *t = NULL;
    if (file_write(path, json, strlen(json)) || tokenizer_open(path, &t)) fail_msg("%s", err_msg());
    free(json);
    return t;
}

/* "piece:begin-end ..." of a text. */
static char *spelled(const tokenizer *t, const char *text) {
    tokens list = {0};
    buf b = {0};
    tokenizer_encode(t, text, strlen(text), &list);
    for (int64_t i = 0; i < list.n; i++)
        buf_printf(&b, "%s%s:%ld-%ld", i ? " " : "", tokenizer_piece(t, list.id[i]),
                   (long)list.begin[i], (long)list.end[i]);
    tokens_clear(&list);
    return buf_steal(&b);
}

static void expect(const tokenizer *t, const char *text, const char *wanted) {
    char *got = spelled(t, text);
    assert_string_equal(got, wanted);
    free(got);
}

static void words_are_spelled_by_the_longest_pieces(void **state) {
    (void)state;
    tokenizer *t = opened("");
    expect(t, "unaffable cafes", "un:0-2 ##aff:2-5 ##able:5-9 cafe:9-14 ##s:14-15");
    expect(t, "cafezz", "[UNK]:0-6");    /* no piece goes on with z: the whole word is unknown */
    expect(t, "aaaaaaaaaa", "[UNK]:0-10"); /* ten characters, at most nine */
    expect(t, "", "");
    expect(t, " \n\t", "");
    tokenizer_close(t);
}

static void punctuation_stands_alone(void **state) {
    (void)state;
    tokenizer *t = opened("");
    expect(t, "a,cafe-a", "a:0-1 ,:1-2 cafe:2-6 -:6-7 a:7-8");
    expect(t, " a  a ", "a:0-2 a:2-6"); /* a piece owns the blanks before it, the last one all */
    tokenizer_close(t);
}

static void accents_and_capitals_go_unless_they_are_kept(void **state) {
    (void)state;
    tokenizer *t = opened("");
    expect(t, "Caf\u00e9s", "cafe:0-5 ##s:5-6");
    expect(t, "Cafe\u0301s a", "cafe:0-6 ##s:6-7 a:7-9"); /* the mark belongs to its letter */
    expect(t, "\u0130", "i:0-2");
    tokenizer_close(t);
    t = opened(", \"lowercase\": true, \"strip_accents\": false");
    expect(t, "Caf\u00e9", "caf\u00e9:0-5");
    expect(t, "\u0130", "i:0-0 ##\u0307:0-2"); /* one capital, two characters, two pieces */
    tokenizer_close(t);
    t = opened(", \"lowercase\": false");
    expect(t, "Cafe caf\u00e9", "Cafe:0-4 caf\u00e9:4-10");
    tokenizer_close(t);
}

static void a_character_in_two_pieces_belongs_to_the_second(void **state) {
    (void)state;
    tokenizer *t = opened("");
    expect(t, "x \uac00 x", "x:0-1 \u1100:1-2 ##\u1161:2-5 x:5-7");
    tokenizer_close(t);
}

static void chinese_characters_are_words(void **state) {
    (void)state;
    tokenizer *t = opened("");
    expect(t, "a\u4e2d\u6587", "a:0-1 \u4e2d:1-4 \u6587:4-7");
    tokenizer_close(t);
    t = opened(", \"handle_chinese_chars\": false");
    expect(t, "\u4e2d\u6587", "[UNK]:0-6");
    tokenizer_close(t);
}

static void control_characters_vanish_where_text_is_cleaned(void **state) {
    (void)state;
    tokenizer *t = opened("");
    expect(t, "ca\u200bfe\x01s\ufffd", "cafe:0-7 ##s:7-12");
    expect(t, "a\u00a0a", "a:0-1 a:1-4");
    expect(t, "a\xff\xfe", "a:0-3"); /* malformed bytes are U+FFFD */
    tokenizer_close(t);
    t = opened(", \"clean_text\": false");
    expect(t, "ca\u200bfe a", "[UNK]:0-7 a:7-9");
    tokenizer_close(t);
}

static void added_tokens_are_found_in_the_raw_text(void **state) {
    (void)state;
    tokenizer *t = opened("");
    expect(t, "a[SEP]a [sep]", "a:0-1 [SEP]:1-6 a:6-7 [UNK]:7-9 [UNK]:9-12 [UNK]:12-13");
    assert_int_equal(tokenizer_flags(t, 2), PIECE_SPECIAL);
    assert_int_equal(tokenizer_flags(t, 5), 0);
    assert_int_equal(tokenizer_flags(t, 14), PIECE_WORD | PIECE_CAPITAL);
    assert_false(tokenizer_has_specials(t));
    tokenizer_close(t);
}

static void decoding_joins_pieces_to_words(void **state) {
    (void)state;
    tokenizer *t = opened("");
    buf b = {0};
    tokenizer_decode(t, (int32_t[]){1, 3, 4, 5, 2, 6, 7}, 7, &b);
    assert_string_equal(b.at, "[CLS] unaffable cafes"); /* of the specials, [SEP] alone is added */
    assert_int_equal(tokenizer_find(t, "##able"), 5);
    assert_int_equal(tokenizer_find(t, "##abl"), -1);
    buf_clear(&b);
    tokenizer_close(t);
}

static void windows_of_it_lead_back_into_the_text(void **state) {
    (void)state;
    tokenizer *t = opened("");
    const char text[] = "Cafes, a  Caf\u00e9 - unaffable, a cafe";
    tokens list = {0};
    window_list w = {0};
    window_options o = {.context_size = 8};
    tokenizer_encode(t, text, strlen(text), &list);
    assert_int_equal(window_check(&o), OK);
    window_cut(&o, text, strlen(text), &list, NULL, &w);
    assert_int_equal(w.n, 2);
    assert_memory_equal(text + w.at[0].begin, "Cafes, a  Caf\u00e9 - un", 20);
    assert_memory_equal(text + w.at[1].begin, "able, a cafe", 12);
    assert_int_equal(w.at[1].end, strlen(text));
    window_list_clear(&w);
    tokens_clear(&list);
    tokenizer_close(t);
}

/* ---- files ---- */

static void refused(const char *json, const char *part) {
    const char *path = temp_path("bad.json");
    tokenizer *t = NULL;
    assert_int_equal(file_write(path, json, strlen(json)), OK);
    assert_int_equal(tokenizer_open(path, &t), ERR_FORMAT);
    if (!strstr(err_msg(), part)) fail_msg("wanted '%s' in: %s", part, err_msg());
}

static void a_file_of_another_kind_is_refused_by_name(void **state) {
    (void)state;
    refused("{\"model\": {\"type\": \"BPE\"}}", "its model is BPE, wanted WordPiece");
    refused("{\"model\": {\"type\": \"WordPiece\"}, \"normalizer\": null}",
            "its normalizer is (absent), wanted BertNormalizer");
    refused(
        "{\"model\": {\"type\": \"WordPiece\"}, \"normalizer\": {\"type\": \"BertNormalizer\"}, "
        "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}}",
        "its pre_tokenizer is ByteLevel, wanted BertPreTokenizer");
    refused("{\"model\": ", "line 1");
    char *json;
#define BERT                                                                                       \
    "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"normalizer\": {\"type\": "             \
    "\"BertNormalizer\"}"
#define MODEL(vocab) "{" BERT ", \"model\": {\"type\": \"WordPiece\", \"vocab\": {" vocab "}}}"
    refused(MODEL(""), "a vocabulary of 0 pieces");
    refused(MODEL("\"[UNK]\": 0, \"a\": 0"), "'[UNK]' and 'a' both have id 0");
    refused(MODEL("\"[UNK]\": 0, \"a\": 2"), "piece 'a' has id 2, wanted 0 to 1");
    refused(MODEL("\"[UNK]\": 0, \"a\": \"1\""), "piece 'a' has id -1");
    refused(MODEL("\"a\": 0"), "lacks the unknown piece '[UNK]'");
    json = xasprintf("{\"added_tokens\": [{\"id\": 1, \"content\": \"x\", \"lstrip\": true}], %s",
                     &MODEL("\"[UNK]\": 0")[1]);
    refused(json, "added token 'x' is matched in a way that is not supported");
    free(json);
}

static const char *folder_of(const char *name, const char *vocab, const char *config) {
    char file[64];
    snprintf(file, sizeof file, "%s/vocab.txt", name);
    char *folder = xstrdup(temp_path(name));
    assert_int_equal(file_make_folders(folder), OK);
    if (vocab) assert_int_equal(file_write(temp_path(file), vocab, strlen(vocab)), OK);
    snprintf(file, sizeof file, "%s/tokenizer_config.json", name);
    if (config) assert_int_equal(file_write(temp_path(file), config, strlen(config)), OK);
    free(folder);
    return temp_path(name);
}

static void a_vocabulary_of_lines_becomes_a_tokenizer(void **state) {
    (void)state;
    buf json = {0};
    tokenizer *t = NULL;
    const char *folder = folder_of("lines", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nCaf\u00e9\n##s\n",
                                   "{\"do_lower_case\": false}");
    if (tokenizer_read_folder(folder, &json)) fail_msg("%s", err_msg());
    const char *path = temp_path("lines.json");
    assert_int_equal(file_write(path, json.at, json.len), OK);
    if (tokenizer_open(path, &t)) fail_msg("%s", err_msg());
    expect(t, "Caf\u00e9s caf\u00e9 [SEP]", "Caf\u00e9:0-5 ##s:5-6 [UNK]:6-12 [SEP]:12-18");
    tokenizer_close(t);
    buf_clear(&json);
}

static void a_vocabulary_with_a_piece_twice_is_refused(void **state) {
    (void)state;
    buf json = {0};
    assert_int_equal(tokenizer_read_folder(folder_of("twice", "[UNK]\na\nb\na\n", NULL), &json),
                     ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "vocab.txt:4: piece 'a' stands twice, first as id 1"));
    assert_int_equal(tokenizer_read_folder(folder_of("empty", NULL, NULL), &json), ERR_ARG);
    assert_non_null(strstr(err_msg(), "holds neither tokenizer.json nor vocab.txt"));
    buf_clear(&json);
}

/* ---- the published vocabulary ---- */

static void the_published_vocabulary_encodes_as_its_reference_does(void **state) {
    (void)state;
    const char *data = getenv("RAGLAN_TEST_DATA");
    if (!data) {
        print_message("RAGLAN_TEST_DATA is unset: skipped\n");
        skip();
    }
    static const struct {
        const char *text;
        int32_t ids[16];
    } cases[] = {
        {"Who built the lighthouse of Belmora?",
         {2040, 2328, 1996, 10171, 1997, 19337, 22122, 1029}},
        {"Hello, World! unaffable", {7592, 1010, 2088, 999, 14477, 20961, 3468}},
        {"Caf\u00e9 na\u00efve \u00c5ngstr\u00f6m", {7668, 15743, 17076, 15687}},
        {"\u4e2d\u6587 text", {1746, 1861, 3793}},
        {"don't U.S.A. 3.5%",
         {2123, 1005, 1056, 1057, 1012, 1055, 1012, 1037, 1012, 1017, 1012, 1019, 1003}},
        {"electroencephalographically", {16175, 10127, 21890, 21197, 20721, 3973}},
        {"\ud55c\uad6d\uc5b4", {1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008}},
    };
    char *gz = xasprintf("%s/tokenizers/bert-base-uncased/tokenizer.json.gz", data);
    char *lines = xasprintf("%s/tokenizers/bert-base-uncased", data);
    tokenizer *t[2] = {NULL};
    buf json = {0};
    if (tokenizer_open(gz, &t[0])) fail_msg("%s", err_msg()); /* the file itself */
    char *folder = xstrdup(temp_path("published"));
    assert_int_equal(file_make_folders(folder), OK);
    char *from = xasprintf("%s/vocab.txt", lines), *to = xasprintf("%s/vocab.txt", folder);
    assert_int_equal(file_read(from, 0, &json), OK);
    assert_int_equal(file_write(to, json.at, json.len), OK);
    buf_reset(&json);
    if (tokenizer_read_folder(folder, &json)) fail_msg("%s", err_msg());
    const char *made = temp_path("published.json");
    assert_int_equal(file_write(made, json.at, json.len), OK);
    if (tokenizer_open(made, &t[1])) fail_msg("%s", err_msg()); /* made of vocab.txt */
    for (int k = 0; k < 2; k++) {
        assert_int_equal(tokenizer_size(t[k]), 30522);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            tokens list = {0};
            tokenizer_encode(t[k], cases[i].text, strlen(cases[i].text), &list);
            for (int64_t j = 0; j < list.n; j++) assert_int_equal(list.id[j], cases[i].ids[j]);
            assert_int_equal(cases[i].ids[list.n], 0);
            tokens_clear(&list);
        }
        tokenizer_close(t[k]);
    }
    buf_clear(&json);
    free(gz);
    free(lines);
    free(folder);
    free(from);
    free(to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_spelled_by_the_longest_pieces),
        cmocka_unit_test(punctuation_stands_alone),
        cmocka_unit_test(accents_and_capitals_go_unless_they_are_kept),
        cmocka_unit_test(a_character_in_two_pieces_belongs_to_the_second),
        cmocka_unit_test(chinese_characters_are_words),
        cmocka_unit_test(control_characters_vanish_where_text_is_cleaned),
        cmocka_unit_test(added_tokens_are_found_in_the_raw_text),
        cmocka_unit_test(decoding_joins_pieces_to_words),
        cmocka_unit_test(windows_of_it_lead_back_into_the_text),
        cmocka_unit_test(a_file_of_another_kind_is_refused_by_name),
        cmocka_unit_test(a_vocabulary_of_lines_becomes_a_tokenizer),
        cmocka_unit_test(a_vocabulary_with_a_piece_twice_is_refused),
        cmocka_unit_test(the_published_vocabulary_encodes_as_its_reference_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
