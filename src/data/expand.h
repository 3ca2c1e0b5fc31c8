#ifndef RAGLAN_DATA_EXPAND_H
#define RAGLAN_DATA_EXPAND_H
/* Short answers made full sentences: by a language model behind any server with OpenAI's chat
 * interface, or, without one, by a template ("The answer is York."). */
#include "util/mem.h"

typedef struct expand_options {
    const char *url;   /* the server: "http://127.0.0.1:8080/v1"; NULL: the template */
    const char *model; /* name that the server knows; NULL: "default" */
    const char *key;   /* of the interface; NULL: none */
    double timeout_s;  /* of one request; 0: 60 */
    int retries;
    double first_wait_s; /* http.h */
} expand_options;

typedef struct expand expand;
/* cache: a file of JSON lines that keeps every sentence a server made, as soon as it was made, so
 * that a stopped run goes on where it was; the same question, answer and model is never asked for
 * twice. Only read and written where there is a url. */
status expand_open(const expand_options *o, const char *cache, expand **out);
void expand_close(expand *e); /* NULL is a no-op */

/* The sentence, appended to out. What the model said is used if it holds the answer, else the
 * template is. ERR_IO: the server gives no usable reply after all retries, ERR_STOPPED. */
status expand_answer(expand *e, const char *question, const char *answer, buf *out);

typedef struct expand_counts {
    int64_t asked, from_cache, templates, refused; /* refused: replies without the answer in them */
} expand_counts;
expand_counts expand_count(const expand *e);
#endif
