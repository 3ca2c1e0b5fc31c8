/* Reading a WordPiece tokenizer: a tokenizer.json of Hugging Face's tokenizers, of which the parts
 * that BERT has are known and everything else is refused by name; or the older vocab.txt with
 * tokenizer_config.json, from which such a file is made. */
#include <stdlib.h>
#include <string.h>

#include "text/wordpiece_int.h"
#include "util/hash.h"
#include "util/json.h"

enum { VOCAB_MOST = 4 << 20, CHARS_MOST = 256, PREFIX_MOST = 16, FILE_MOST = 64 << 20 };

/* ---- tokenizer.json ---- */

/* j[key]'s "type" must be `wanted`. */
static status want_type(const json_t *j, const char *key, const char *wanted, const char *what) {
    const json_t *part = json_object_get(j, key);
    const char *type = json_str(part, "type", json_is_object(part) ? "(none)" : "(absent)");
    if (strcmp(type, wanted))
        FAIL(ERR_FORMAT, "%s: its %s is %s, wanted %s: only BERT's tokenizer can be imported", what,
             key, type, wanted);
    return OK;
}

static status add_piece(wordpiece *w, const char *piece, const json_t *id, const char *what) {
    json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (i < 0 || i >= w->size)
        FAIL(ERR_FORMAT, "%s: piece '%.40s' has id %lld, wanted 0 to %d", what, piece, (long long)i,
             w->size - 1);
    if (w->piece[i] && strcmp(w->piece[i], piece))
        FAIL(ERR_FORMAT, "%s: pieces '%.40s' and '%.40s' both have id %lld", what, w->piece[i],
             piece, (long long)i);
    if (!w->piece[i]) w->piece[i] = xstrdup(piece);
    return OK;
}

static status add_special(wordpiece *w, const json_t *j, const char *what) {
    const char *piece;
    TRY(json_want_str(j, "content", what, &piece));
    if (json_flag(j, "normalized", false) || json_flag(j, "single_word", false) ||
        json_flag(j, "lstrip", false) || json_flag(j, "rstrip", false))
        FAIL(ERR_FORMAT,
             "%s: added token '%.40s' is matched in a way that is not supported (normalized, "
             "single_word, lstrip or rstrip), wanted one that is matched as it stands",
             what, piece);
    if (!*piece) FAIL(ERR_FORMAT, "%s: an added token is empty", what);
    TRY(add_piece(w, piece, json_object_get(j, "id"), what));
    w->special[w->n_special++] = (wordpiece_special){(int32_t)json_int(j, "id", 0), strlen(piece)};
    w->begins_special[(unsigned char)*piece] = true;
    return OK;
}

static int longest_first(const void *a, const void *b) {
    const wordpiece_special *x = a, *y = b;
    if (x->n_bytes != y->n_bytes) return x->n_bytes > y->n_bytes ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Added tokens may stand in the vocabulary too, or go on behind it. */
static int32_t count_pieces(const json_t *vocab, const json_t *added) {
    json_int_t n = (json_int_t)json_object_size(vocab);
    size_t i;
    json_t *j;
    json_array_foreach(added, i, j) {
        if (!json_object_get(vocab, json_str(j, "content", ""))) n++;
    }
    return n > 0 && n <= VOCAB_MOST ? (int32_t)n : 0;
}

static status read_pieces(wordpiece *w, const json_t *vocab, const json_t *added,
                          const char *what) {
    w->size = count_pieces(vocab, added);
    if (!w->size)
        FAIL(ERR_FORMAT, "%s: a vocabulary of %zu pieces, wanted 1 to %d", what,
             json_object_size(vocab), VOCAB_MOST);
    w->piece = xcalloc((size_t)w->size, sizeof *w->piece);
    w->special = xcalloc(json_array_size(added) + 1, sizeof *w->special);
    const char *piece;
    json_t *id, *j;
    json_object_foreach((json_t *)vocab, piece, id) TRY(add_piece(w, piece, id, what));
    size_t i;
    json_array_foreach(added, i, j) TRY(add_special(w, j, what));
    qsort(w->special, (size_t)w->n_special, sizeof *w->special, longest_first);
    for (int32_t k = 0; k < w->size; k++)
        if (!w->piece[k])
            FAIL(ERR_FORMAT, "%s: no piece has id %d of %d: is one listed twice?", what, k,
                 w->size);
    return OK;
}

static void hash_pieces(wordpiece *w) {
    for (w->n_slots = 64; w->n_slots < 2 * (int64_t)w->size;) w->n_slots *= 2;
    w->slot = xmalloc((size_t)w->n_slots * sizeof *w->slot);
    memset(w->slot, 0xff, (size_t)w->n_slots * sizeof *w->slot); /* -1 */
    for (int32_t id = 0; id < w->size; id++) {
        size_t n = strlen(w->piece[id]);
        int64_t i = (int64_t)(hash64(w->piece[id], n) & (uint64_t)(w->n_slots - 1));
        while (w->slot[i] >= 0) i = (i + 1) & (w->n_slots - 1);
        w->slot[i] = id;
        if (n > w->longest) w->longest = n;
    }
}

static status read_model(wordpiece *w, const json_t *model, const char *what) {
    w->max_chars = json_int(model, "max_input_chars_per_word", 100);
    w->prefix = xstrdup(json_str(model, "continuing_subword_prefix", "##"));
    w->n_prefix = strlen(w->prefix);
    if (w->max_chars < 1 || w->max_chars > CHARS_MOST)
        FAIL(ERR_FORMAT, "%s: max_input_chars_per_word is %lld, wanted 1 to %d", what,
             (long long)w->max_chars, CHARS_MOST);
    if (w->n_prefix < 1 || w->n_prefix > PREFIX_MOST)
        FAIL(ERR_FORMAT, "%s: continuing_subword_prefix '%.40s' has %zu bytes, wanted 1 to %d",
             what, w->prefix, w->n_prefix, PREFIX_MOST);
    const char *unknown = json_str(model, "unk_token", "[UNK]");
    w->unknown = wordpiece_find(w, unknown, strlen(unknown));
    if (w->unknown < 0)
        FAIL(ERR_FORMAT, "%s: the vocabulary lacks the unknown piece '%.40s'", what, unknown);
    return OK;
}

static status read_all(wordpiece *w, const json_t *j, const char *what) {
    TRY(want_type(j, "model", "WordPiece", what));
    TRY(want_type(j, "normalizer", "BertNormalizer", what));
    TRY(want_type(j, "pre_tokenizer", "BertPreTokenizer", what));
    const json_t *n = json_object_get(j, "normalizer"), *model = json_object_get(j, "model");
    w->clean = json_flag(n, "clean_text", true);
    w->chinese = json_flag(n, "handle_chinese_chars", true);
    w->lower = json_flag(n, "lowercase", true);
    w->strip = json_flag(n, "strip_accents", w->lower); /* null: as lowercase says */
    TRY(read_pieces(w, json_object_get(model, "vocab"), json_object_get(j, "added_tokens"), what));
    hash_pieces(w);
    return read_model(w, model, what);
}

status wordpiece_load(const char *bytes, size_t n, const char *what, wordpiece **out) {
    json_t *j = NULL;
    TRY(json_parse(bytes, n, what, &j));
    wordpiece *w = xcalloc(1, sizeof *w);
    status st = read_all(w, j, what);
    json_decref(j);
    if (st)
        wordpiece_free(w);
    else
        *out = w;
    return st;
}

void wordpiece_free(wordpiece *w) {
    if (!w) return;
    for (int32_t i = 0; w->piece && i < w->size; i++) free(w->piece[i]);
    free(w->piece);
    free(w->special);
    free(w->slot);
    free(w->prefix);
    free(w);
}

/* ---- vocab.txt ---- */

static const char *const special_pieces[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

/* One piece a line, its number the id. */
static status read_lines(const char *path, json_t *vocab) {
    reader *r = NULL;
    TRY(reader_open(path, &r));
    buf line = {0};
    bool more = true;
    status st = OK;
    for (json_int_t id = 0; !st; id++) {
        st = reader_line(r, &line, &more);
        if (st || !more) break;
        const char *piece = line.at ? line.at : "";
        if (json_object_get(vocab, piece))
            st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                         "%s:%lld: piece '%.40s' stands twice, first as id %lld", path,
                         (long long)id + 1, piece,
                         (long long)json_integer_value(json_object_get(vocab, piece)));
        else if (json_object_set_new(vocab, piece, json_integer(id)))
            st = err_set(ERR_FORMAT, __FILE__, __LINE__, "%s:%lld: not UTF-8", path,
                         (long long)id + 1);
    }
    buf_clear(&line);
    reader_close(r);
    return st;
}

static json_t *added_tokens(const json_t *vocab) {
    json_t *added = json_array();
    for (size_t i = 0; i < sizeof special_pieces / sizeof *special_pieces; i++) {
        json_t *id = json_object_get(vocab, special_pieces[i]);
        if (id)
            json_array_append_new(added,
                                  json_pack("{s:O, s:s, s:b, s:b}", "id", id, "content",
                                            special_pieces[i], "special", 1, "normalized", 0));
    }
    return added;
}

static status from_vocab(const char *vocab_path, const char *config_path, buf *out) {
    json_t *config = NULL, *vocab = json_object();
    status st = file_exists(config_path) ? json_read(config_path, &config) : OK;
    if (!st) st = read_lines(vocab_path, vocab);
    if (!st) {
        const json_t *strip = json_object_get(config, "strip_accents");
        json_t *j = json_pack(
            "{s:s, s:o, s:{s:s, s:b, s:b, s:O, s:b}, s:{s:s}, s:{s:s, s:s, s:s, s:i, s:O}}",
            "version", "1.0", "added_tokens", added_tokens(vocab), "normalizer", "type",
            "BertNormalizer", "clean_text", 1, "handle_chinese_chars",
            json_flag(config, "tokenize_chinese_chars", true), "strip_accents",
            strip ? strip : json_null(), "lowercase", json_flag(config, "do_lower_case", true),
            "pre_tokenizer", "type", "BertPreTokenizer", "model", "type", "WordPiece", "unk_token",
            json_str(config, "unk_token", "[UNK]"), "continuing_subword_prefix", "##",
            "max_input_chars_per_word", 100, "vocab", vocab);
        char *line = json_line(j);
        buf_puts(out, line);
        free(line);
        json_decref(j);
    }
    json_decref(config);
    json_decref(vocab);
    return st;
}

status tokenizer_read_folder(const char *folder, buf *json) {
    char *whole = xasprintf("%s/tokenizer.json", folder);
    char *vocab = xasprintf("%s/vocab.txt", folder);
    char *config = xasprintf("%s/tokenizer_config.json", folder);
    status st = file_exists(whole)   ? file_read(whole, FILE_MOST, json)
                : file_exists(vocab) ? from_vocab(vocab, config, json)
                                     : err_set(ERR_ARG, __FILE__, __LINE__,
                                               "%s: holds neither tokenizer.json nor vocab.txt, "
                                               "wanted one of them",
                                               folder);
    free(whole);
    free(vocab);
    free(config);
    return st;
}
