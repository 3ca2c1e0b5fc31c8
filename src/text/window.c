/* Cutting documents into windows of tokens. */
#include "text/window.h"

#include <stdlib.h>
#include <string.h>

status window_check(window_options *o) {
    if (!o->context_size) o->context_size = 64;
    if (o->context_size < 8 || o->context_size > 65536)
        FAIL(ERR_ARG, "context_size is %lld tokens, wanted 8 to 65536", (long long)o->context_size);
    if (o->overlap < 0 || 2 * o->overlap >= o->context_size)
        FAIL(ERR_ARG,
             "context_overlap is %lld tokens, wanted 0 to less than half of context_size %lld",
             (long long)o->overlap, (long long)o->context_size);
    return OK;
}

void window_list_clear(window_list *l) {
    free(l->at);
    *l = (window_list){0};
}

/* May an edge lie before token i? Not inside a character: there the token before is empty. */
static bool is_edge(const tokens *d, int64_t i) {
    return i <= 0 || i >= d->n || d->end[i - 1] > d->begin[i - 1];
}

/* The nearest place for an edge at or before i, but after `after`; a character longer than
 * the room there is (no window of 8 tokens can meet one) is passed whole. */
static int64_t edge_near(const tokens *d, int64_t i, int64_t after) {
    int64_t e = i;
    while (e > after && !is_edge(d, e)) e--;
    if (e > after) return e;
    for (e = i; !is_edge(d, e);) e++;
    return e;
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Does a sentence end before token i? After . ! ? a blank must follow (not so in "3.5"); the
 * wide marks of Chinese and Japanese end one by themselves. */
static bool is_sentence_edge(const char *text, const tokens *d, int64_t i) {
    static const char *const wide[] = {"\u3002", "\uff01", "\uff1f"};
    int64_t begin = d->begin[i - 1], end = d->end[i - 1];
    if (end == begin) return false;
    if (memchr(".!?", text[end - 1], 3)) return is_blank(text[end]);
    for (int k = 0; k < 3; k++)
        if (end - begin >= 3 && memcmp(text + end - 3, wide[k], 3) == 0) return true;
    return false;
}

/* The last sentence edge in the second half of first..end, or end. */
static int64_t sentence_edge(const char *text, const tokens *d, int64_t first, int64_t end) {
    for (int64_t i = end; i > first + (end - first) / 2; i--)
        if (is_sentence_edge(text, d, i)) return i;
    return end;
}

static void add_window(const char *text, const tokens *d, int64_t first, int64_t end,
                       window_list *out) {
    int64_t b = d->begin[first], e = d->end[end - 1];
    while (b < e && is_blank(text[b])) b++;
    while (e > b && is_blank(text[e - 1])) e--;
    GROW(out->at, out->n, out->cap);
    out->at[out->n++] = (window){first, end - first, b, e};
}

void window_cut(const window_options *o, const char *text, size_t n, const tokens *doc,
                const tokens *title, window_list *out) {
    MUST(doc->n == 0 || doc->end[doc->n - 1] == (int64_t)n, "pieces end at %lld of %zu bytes",
         (long long)doc->end[doc->n - 1], n);
    out->n = 0;
    out->n_title = 0;
    if (o->title && title) {
        int64_t room = o->context_size / 4;
        out->n_title = title->n <= room ? title->n : edge_near(title, room, 0);
    }
    int64_t size = o->context_size - out->n_title;
    for (int64_t first = 0, end = 0; end < doc->n;) {
        end = first + size;
        if (end >= doc->n) {
            end = doc->n;
        } else {
            end = edge_near(doc, end, first);
            if (o->sentences) end = sentence_edge(text, doc, first, end);
        }
        add_window(text, doc, first, end, out);
        int64_t before = first;
        first = edge_near(doc, end - o->overlap, before);
    }
}

char *window_describe(const window_options *o, const char *tokenizer_hash) {
    return xasprintf(
        "{\"tokenizer\": \"%s\", \"context_size\": %lld, \"overlap\": %lld, \"title\": %s, "
        "\"sentences\": %s}",
        tokenizer_hash, (long long)o->context_size, (long long)o->overlap,
        o->title ? "true" : "false", o->sentences ? "true" : "false");
}
