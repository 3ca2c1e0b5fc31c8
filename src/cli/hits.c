/* Hits as lines for people and as JSON. */
#include "cli/hits.h"

#include <stdio.h>
#include <string.h>

json_t *hits_json(const rag_hits *h) {
    json_t *list = json_array();
    for (int64_t i = 0; i < h->n; i++) {
        const rag_hit *x = &h->at[i];
        json_array_append_new(list,
                              json_pack("{s:I, s:f, s:s, s:s, s:s, s:[I, I], s:s}", "rank",
                                        (json_int_t)x->rank, "score", x->score, "document",
                                        x->document, "title", x->title, "uri", x->uri, "bytes",
                                        (json_int_t)x->begin, (json_int_t)x->end, "text", x->text));
    }
    return list;
}

const char *mode_name(rag_mode mode) {
    static const char *const names[] = {"auto", "bm25", "dense", "hybrid"};
    return names[mode];
}

/* One line of text: line ends become blanks; cut before a character. */
static void print_text(const char *text, int width) {
    size_t n = strlen(text), end = n < (size_t)width ? n : (size_t)width;
    while (end < n && end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
    printf("    ");
    for (size_t i = 0; i < end; i++) putchar(strchr("\r\n\t", text[i]) ? ' ' : text[i]);
    printf("%s\n", end < n ? " ..." : "");
}

void hits_print(const rag_hits *h, int width) {
    for (int64_t i = 0; i < h->n; i++) {
        const rag_hit *x = &h->at[i];
        printf("[%ld] %s%s%s, bytes %ld-%ld, score %.3f\n", (long)x->rank, x->title,
               *x->title && *x->uri ? ", " : "",
               *x->uri     ? x->uri
               : *x->title ? ""
                           : x->document,
               (long)x->begin, (long)x->end, x->score);
        if (width > 0) print_text(x->text, width);
    }
}
