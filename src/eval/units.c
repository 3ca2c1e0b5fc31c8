/* Names of passages and documents in TREC's files. */
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"

/* A field of a TREC file ends at a blank, and a line that begins with # is a comment. */
void eval_trec_id(const char *id, buf *out) {
    for (const char *c = id; *c; c++) {
        unsigned char b = (unsigned char)*c;
        if (b <= ' ' || b == 0x7F || (c == id && b == '#'))
            buf_printf(out, "%%%02X", b);
        else
            buf_putc(out, *c);
    }
}

static status add_document(void *arg, const store_document *d) {
    eval_units *u = arg;
    int64_t at = id_find(u->c->document_key, u->c->n_documents, d->key);
    if (at < 0) return OK;
    buf name = {0};
    eval_trec_id(d->id, &name);
    u->document[at] = arena_strdup(u->a, name.at ? name.at : "");
    buf_clear(&name);
    return OK;
}

static status add_passage(void *arg, const store_passage *p) {
    eval_units *u = arg;
    int64_t at = corpus_find(u->c, p->id);
    if (at < 0) return OK;
    u->begin[at] = p->begin;
    u->end[at] = p->end;
    return OK;
}

status eval_units_load(store *s, const corpus *c, eval_units **out) {
    eval_units *u = xcalloc(1, sizeof *u);
    u->c = c;
    u->a = arena_new(0);
    u->begin = xcalloc((size_t)c->n + 1, sizeof *u->begin);
    u->end = xcalloc((size_t)c->n + 1, sizeof *u->end);
    u->document = xcalloc((size_t)c->n_documents + 1, sizeof *u->document);
    status st = store_each_document(s, 0, add_document, u);
    if (!st) st = store_each_passage(s, 0, add_passage, u);
    for (int64_t i = 0; i < c->n_documents; i++) /* removed since the corpus was loaded */
        if (!u->document[i]) u->document[i] = arena_printf(u->a, "removed-%lld", (long long)i);
    if (st)
        eval_units_free(u);
    else
        *out = u;
    return st;
}

void eval_units_free(eval_units *u) {
    if (!u) return;
    free(u->begin);
    free(u->end);
    free(u->document);
    arena_free(u->a);
    free(u);
}

static int64_t document_of(const eval_units *u, int64_t passage) {
    return id_find(u->c->document_key, u->c->n_documents, u->c->document[passage]);
}

int64_t eval_unit_of(const eval_units *u, int64_t passage) {
    return u->documents ? document_of(u, passage) : passage;
}

void eval_unit_name(const eval_units *u, int64_t unit, buf *out) {
    buf_reset(out);
    if (u->documents)
        buf_puts(out, u->document[unit]);
    else
        buf_printf(out, "%s:%lld-%lld", u->document[document_of(u, unit)],
                   (long long)u->begin[unit], (long long)u->end[unit]);
}
