#ifndef RAGLAN_TEXT_TOKENIZER_H
#define RAGLAN_TEXT_TOKENIZER_H
/* Tokenizer: text <-> pieces, with the byte range of every piece in the text it came from. Of two
 * kinds, told apart by their file: a SentencePiece model (Kudo & Richardson 2018), which is what a
 * collection trains on itself, and BERT's WordPiece (text/wordpiece.c), which comes with imported
 * encoders. The one door to SentencePiece is text/spm.cc; the file is an ordinary .model that other
 * tools read and encode alike.
 *
 * A model trained here keeps every character as it is, with two exceptions that are part of
 * the model file: a run of blanks, tabs and line ends counts as one blank, and lower_case
 * (an option, off) folds letters. Byte fallback spells what the vocabulary lacks, so no text
 * becomes UNK. A piece never crosses a blank. */
#include "util/mem.h"

typedef struct tokenizer tokenizer;

/* The same four ids in every model trained here; see tokenizer_has_specials. */
enum { TOKEN_PAD = 0, TOKEN_BOS = 1, TOKEN_EOS = 2, TOKEN_UNK = 3 };

typedef enum tokenizer_kind { TOKENIZER_BPE, TOKENIZER_UNIGRAM } tokenizer_kind;

typedef struct tokenizer_options {
    tokenizer_kind kind; /* default BPE */
    int64_t vocab_size;  /* pieces, specials and 256 bytes included; 0: 10000 */
    bool lower_case;     /* fold letters, as the origin does */
    uint64_t seed;       /* chooses among rare words where they outgrow word_bytes */
    int64_t word_bytes;  /* keep distinct words of at most so many bytes in memory; 0: 64 MB */
} tokenizer_options;

/* Where training text comes from: the next stretch of UTF-8 text (a line, a document), which
 * ends where a word ends. Borrowed until the next call; *more false at the end. Malformed bytes
 * are read as U+FFFD. */
typedef status (*text_source)(void *arg, const char **text, size_t *n, bool *more);

/* Trains on everything `next` gives and writes the model durably to path. All text counts, in
 * one pass, and none is kept but its distinct words, with their counts; where those outgrow
 * word_bytes, rare words are sampled, and of more than 200,000 the rarest are left out. One thread:
 * the same text gives the same bytes. A vocabulary larger than the text allows is cut to the
 * largest possible one, with a warning. ERR_ARG: vocab_size out of 300..1000000, or no text. */
status tokenizer_train(const tokenizer_options *o, text_source next, void *arg, const char *path);

/* Opens a .model (ours or another's) or a WordPiece tokenizer.json. ERR_STATE when absent (names
 * the command that trains one), ERR_FORMAT when damaged or of another kind. The handle is
 * immutable: any number of threads may use it. */
status tokenizer_open(const char *path, tokenizer **out);
/* The same from the bytes of such a file; `what` names them in errors. */
status tokenizer_read(const char *bytes, size_t n, const char *what, tokenizer **out);
void tokenizer_close(tokenizer *t); /* NULL is a no-op */
/* The WordPiece tokenizer of a Hugging Face folder as the bytes of a tokenizer.json: its own, or
 * one made of vocab.txt and tokenizer_config.json. ERR_ARG without either; ERR_FORMAT: a piece
 * stands twice, or the file is broken. What is in a tokenizer.json is looked at by tokenizer_open
 * only. */
status tokenizer_read_folder(const char *folder, buf *json);

const char *tokenizer_hash(const tokenizer *t); /* sha1 of the file's bytes, 40 digits */
int64_t tokenizer_size(const tokenizer *t);     /* pieces; ids are 0..size-1 */
/* The four special pieces stand at the ids above. False only for models trained elsewhere:
 * they encode and decode here, but raglan's own generator cannot be fed from them. */
bool tokenizer_has_specials(const tokenizer *t);

/* What a piece is, computed once at open. */
enum {
    PIECE_SPECIAL = 1,  /* control or unknown: PAD, BOS, EOS, UNK */
    PIECE_BYTE = 2,     /* <0x41>: one byte of a character spelled out */
    PIECE_WORD = 4,     /* begins a word: its text starts with a blank (WordPiece: has no ##) */
    PIECE_DIGIT = 8,    /* holds a number character */
    PIECE_CAPITAL = 16, /* its first letter is upper case */
    PIECE_PUNCT = 32,   /* has punctuation or symbols and no letter or number */
};
uint8_t tokenizer_flags(const tokenizer *t, int32_t id);
/* The piece as the model spells it ("▁the", "<0x0A>", "<s>", "##ing"); borrowed. */
const char *tokenizer_piece(const tokenizer *t, int32_t id);
int32_t tokenizer_find(const tokenizer *t, const char *piece); /* -1 when absent */

/* Pieces with their places. begin/end are byte offsets into the encoded text and tile it:
 * begin[0] = 0, begin[i + 1] = end[i], end[n - 1] = n_bytes. A piece owns the blanks before it
 * (the last one those after it too). Of a character spelled in bytes only the last piece has a
 * width, so an empty range means "the character goes on in the next piece". Init with {0}. */
typedef struct tokens {
    int32_t *id;    /* [n] */
    int64_t *begin; /* [n] */
    int64_t *end;   /* [n] */
    int64_t n, cap;
} tokens;
void tokens_reset(tokens *t); /* n = 0, memory kept */
void tokens_clear(tokens *t); /* memory freed */
void tokens_add(tokens *t, int32_t id, int64_t begin, int64_t end);

/* Appends the pieces of text (no BOS or EOS; a blank text has none). Cost is linear: texts are
 * encoded word by word, and words met before are remembered (a run of 64 KiB without a blank is
 * cut). Malformed UTF-8 encodes as U+FFFD, or as nothing where the normaliser drops that.
 * Thread-safe. */
void tokenizer_encode(const tokenizer *t, const char *text, size_t n, tokens *out);
/* The ids alone, into the arena (or NULL and *n = 0 for a blank text). */
int32_t *tokenizer_encode_ids(const tokenizer *t, const char *text, size_t n_bytes, arena *a,
                              int64_t *n);

/* Appends what one piece spells: words begin with a blank, a byte is that byte, specials are
 * nothing. */
void tokenizer_spell(const tokenizer *t, int32_t id, buf *out);
/* Appends the text of ids: specials vanish (UNK is " ⁇ "), bytes join to characters, the
 * blank in front of the first word is dropped. Incomplete characters become U+FFFD. */
void tokenizer_decode(const tokenizer *t, const int32_t *ids, int64_t n, buf *out);

/* The same as ids come one by one (streamed answers): appends only whole characters.
 * Init with {0}; _end flushes what is left. */
typedef struct token_stream {
    char pending[4];
    int n_pending;
    bool begun;
} token_stream;
void token_stream_add(const tokenizer *t, token_stream *s, int32_t id, buf *out);
void token_stream_end(token_stream *s, buf *out);

#endif
