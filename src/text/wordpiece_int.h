#ifndef RAGLAN_TEXT_WORDPIECE_INT_H
#define RAGLAN_TEXT_WORDPIECE_INT_H
/* WordPiece with BERT's normaliser and word splitter: the tokenizer of imported encoders.
 * wordpiece_load.c reads its file, wordpiece.c encodes. Private to src/text. */
#include "text/tokenizer.h"

/* A piece that is looked for in the raw text, before anything is normalised: "[SEP]". */
typedef struct wordpiece_special {
    int32_t id;
    size_t n_bytes;
} wordpiece_special;

typedef struct wordpiece {
    bool clean, chinese, strip, lower; /* BertNormalizer's options */
    int64_t max_chars;                 /* a longer word is unknown */
    int32_t unknown;
    char *prefix; /* of a piece inside a word: "##" */
    size_t n_prefix;
    char **piece; /* [size] */
    int32_t size;
    size_t longest; /* bytes of the longest piece, its prefix left out */
    int32_t *slot;  /* [n_slots] piece ids by hash, or -1; a power of two, at most half full */
    int64_t n_slots;
    wordpiece_special *special; /* [n_special] longest first */
    int64_t n_special;
    bool begins_special[256]; /* by first byte */
} wordpiece;

/* From the bytes of a tokenizer.json (Hugging Face tokenizers); `what` names them in errors.
 * ERR_FORMAT: what of it is not WordPiece as BERT has it. */
status wordpiece_load(const char *bytes, size_t n, const char *what, wordpiece **out);
void wordpiece_free(wordpiece *w); /* NULL is a no-op */

int32_t wordpiece_find(const wordpiece *w, const char *bytes, size_t n); /* -1 when absent */
bool wordpiece_is_special(const wordpiece *w, int32_t id);
bool wordpiece_begins_word(const wordpiece *w, int32_t id);
/* Appends pieces with ranges that tile the text, but for the blanks behind the last one. */
void wordpiece_encode(const wordpiece *w, const char *text, size_t n, tokens *out);

#endif
