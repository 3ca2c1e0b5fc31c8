#ifndef RAGLAN_TEXT_SPM_INT_H
#define RAGLAN_TEXT_SPM_INT_H
/* SentencePiece as C: the few calls that tokenizer.c and tokenizer_train.c need. Private to
 * src/text. */
#include "util/err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spm spm;

/* A model from the bytes of its file. ERR_FORMAT with SentencePiece's reason. */
status spm_load(const void *bytes, size_t n, spm **out);
void spm_free(spm *m);

int32_t spm_size(const spm *m);
const char *spm_piece(const spm *m, int32_t id); /* borrowed */
bool spm_is_byte(const spm *m, int32_t id);
bool spm_is_special(const spm *m, int32_t id);     /* control or unknown */
int32_t spm_find(const spm *m, const char *piece); /* -1 when absent */

/* Calls add for each piece of text in order, with its byte range there. Thread-safe. */
typedef void (*spm_piece_fn)(void *arg, int32_t id, int64_t begin, int64_t end);
void spm_encode(const spm *m, const char *text, size_t n, spm_piece_fn add, void *arg);

typedef struct spm_training {
    bool unigram;
    int64_t vocab_size;
    double coverage; /* share of character occurrences that get pieces; bytes spell the rest */
    const char *rules_path; /* normalisation: "hex code point<TAB>hex code points" a line */
    bool verbose;           /* let SentencePiece tell its progress on stderr */
    /* The next "word<TAB>count"; borrowed until the next call. False at the end. */
    bool (*next)(void *arg, const char **line, size_t *n);
    void *arg;
} spm_training;
/* The bytes of the trained model; caller frees. ERR_ARG with SentencePiece's reason. */
status spm_train(const spm_training *o, char **bytes, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
