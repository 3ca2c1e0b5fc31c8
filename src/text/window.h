#ifndef RAGLAN_TEXT_WINDOW_H
#define RAGLAN_TEXT_WINDOW_H
/* Windows: a document's pieces cut into passages of context_size tokens.
 *
 * As published, windows do not overlap and ignore sentences; both are options. Together they
 * hold every piece; no edge falls inside a character that is spelled in bytes. */
#include "text/tokenizer.h"

typedef struct window_options {
    int64_t context_size; /* tokens of a passage, title included; 0: 64; at least 8 */
    int64_t overlap;      /* tokens a window shares with the one before; < context_size / 2 */
    bool title;     /* put the title in front of each window: its first tokens, at most a quarter
                       of context_size, and they count towards it */
    bool sentences; /* end a window at the last sentence end in its second half, if any */
} window_options;

typedef struct window {
    int64_t first, n;   /* tokens[first .. first + n) of the document */
    int64_t begin, end; /* bytes of the text, without the blanks around; the title is not in it */
} window;

typedef struct window_list {
    window *at;
    int64_t n, cap;
    int64_t n_title; /* tokens of the title that stand in front of each window */
} window_list;
void window_list_clear(window_list *l);

/* Fills in defaults; ERR_ARG names the option that is out of range. */
status window_check(window_options *o);

/* Cuts. `doc` holds the pieces of text[0..n), `title` those of the title (NULL: none). A blank
 * document has no windows. The list is emptied first. A passage's tokens are
 * title->id[0 .. n_title), then doc->id[first .. first + n). */
void window_cut(const window_options *o, const char *text, size_t n, const tokens *doc,
                const tokens *title, window_list *out);

/* What a cut depends on, as one line of JSON: passages made under another line are stale.
 *   {"tokenizer": "<sha1>", "context_size": 64, "overlap": 0, "title": false, "sentences": false}
 * Caller frees. */
char *window_describe(const window_options *o, const char *tokenizer_hash);

#endif
