/* raglan embed: lines of text in, vectors out, a batch at a time. A .npy header says how many rows
 * follow, which is known at the end: standard output must then be a file, whose beginning is
 * written once more. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/hits.h"
#include "cli/opts.h"
#include "rag/rag_int.h"
#include "util/file.h"
#include "util/stop.h"
#include "util/unicode.h"

enum { BATCH = 256 };

typedef struct embedding {
    rag *r;
    bool as_question, npy;
    int precision;
    int64_t dim, n;
    float *rows;
    char *text[BATCH];
    int n_texts;
} embedding;

static status flush(embedding *e) {
    if (e->n_texts == 0) return OK;
    TRY((status)rag_embed(e->r, (const char *const *)e->text, e->n_texts, e->as_question, e->rows));
    for (int i = 0; i < e->n_texts; i++) {
        const float *v = e->rows + i * e->dim;
        if (e->npy)
            fwrite(v, sizeof *v, (size_t)e->dim, stdout);
        else
            for (int64_t j = 0; j < e->dim; j++)
                printf("%s%.9g%s", j ? ", " : "[", (double)v[j], j + 1 == e->dim ? "]\n" : "");
        free(e->text[i]);
    }
    e->n += e->n_texts;
    e->n_texts = 0;
    if (ferror(stdout)) FAIL(ERR_IO, "standard output cannot be written");
    return OK;
}

/* The header of a .npy file (version 1.0): 128 bytes, so that the count can be written last. */
static void npy_header(int64_t n, int64_t dim) {
    char text[118];
    int used = snprintf(text, sizeof text,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (%ld, %ld), }", (long)n,
                        (long)dim);
    memset(text + used, ' ', sizeof text - (size_t)used);
    text[117] = '\n';
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, stdout);
    fwrite(text, 1, sizeof text, stdout);
}

static status add_line(embedding *e, const char *path, const buf *line) {
    const char *text = line->at ? line->at : "";
    int64_t bad = utf8_invalid_at(text, line->len), number = e->n + e->n_texts + 1;
    if (bad < 0 && memchr(text, 0, line->len)) bad = (int64_t)strlen(text);
    if (bad >= 0)
        FAIL(ERR_FORMAT, "%s:%lld: not UTF-8 text at byte %lld; convert it, for example with iconv",
             strcmp(path, "-") ? path : "standard input", (long long)number, (long long)bad);
    e->text[e->n_texts++] = xstrndup(text, line->len);
    return e->n_texts == BATCH ? flush(e) : OK;
}

static status run(embedding *e, const char *path) {
    if (e->npy && lseek(STDOUT_FILENO, 0, SEEK_CUR) < 0)
        FAIL(ERR_ARG, "--format npy needs standard output to be a file, because the count of rows "
                      "is written last: add `> vectors.npy`");
    TRY((status)rag_embedding_dim(e->r, &e->dim));
    const backend *be;
    TRY(backend_precise((precision)e->precision, &be));
    embed_precisely(e->r->m, be);
    e->rows = malloc((size_t)(BATCH * e->dim) * sizeof *e->rows);
    reader *r = NULL;
    TRY(reader_open(path, &r));
    if (e->npy) npy_header(0, e->dim);
    buf line = {0};
    bool more = true;
    status st = OK;
    while (!st && more) {
        st = reader_line(r, &line, &more);
        if (st || !more) break;
        st = add_line(e, path, &line);
        if (!st && stop_requested())
            st = err_set(ERR_STOPPED, __FILE__, __LINE__, "stopped after %ld line%s", (long)e->n,
                         plural(e->n));
    }
    if (!st) st = flush(e);
    for (int i = 0; i < e->n_texts; i++) free(e->text[i]);
    if (!st && e->npy) {
        if (fseek(stdout, 0, SEEK_SET) == 0)
            npy_header(e->n, e->dim);
        else
            st = err_set(ERR_IO, __FILE__, __LINE__, "standard output cannot be rewound");
    }
    buf_clear(&line);
    reader_close(r);
    return st;
}

int cmd_embed(int argc, char **argv) {
    int as, format, kind;
    const char *identifier = NULL;
    /* clang-format off */
    opt table[] = {
        {"as", OPT_CHOICE, &as, "passage", 0, 0, "passage|question",
         "which side of the retriever", false},
        {"format", OPT_CHOICE, &format, "json", 0, 0, "json|npy",
         "one JSON array a line, or one .npy file (f32)", false},
        {"precision", OPT_CHOICE, &kind, "auto", 0, 0, PRECISION_CHOICES,
         "what the retriever multiplies in", false},
        {"identifier", OPT_TEXT, &identifier, NULL, 0, 0, "SHA1",
         "the retriever to use; default: the best on dev", false},
    };
    /* clang-format on */
    opts o = {.command = "embed",
              .arguments = "[FILE]",
              .about = "Turns texts into vectors: one text a line in, one vector a line out. "
                       "Without FILE: standard input.",
              .min_args = 0,
              .max_args = 1,
              .shared = OPTS_HOME | OPTS_THREADS | OPTS_GPU,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    embedding e = {.as_question = as == 1, .npy = format == 1, .precision = kind};
    status st = (status)rag_open(o.home, &(rag_options){.retriever = identifier}, &e.r);
    if (!st) st = run(&e, o.n_args ? o.args[0] : "-");
    free(e.rows);
    rag_close(e.r);
    return cli_exit(st);
}
