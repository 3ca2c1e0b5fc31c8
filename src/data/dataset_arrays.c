/* The arrays of the dataset step: chunks of the pages, questions and answers, padded as the origin
 * pads them. Padding exists in these files only. */
#include <stdlib.h>
#include <string.h>

#include "data/dataset_int.h"
#include "data/npy.h"
#include "util/file.h"
#include "util/log.h"

static status open_tokenizer(const dataset_options *o, tokenizer **t) {
    char *path = xasprintf("%s/tokenizer/wiki.model", o->home);
    status st = file_exists(path)
                    ? tokenizer_open(path, t)
                    : err_set(ERR_STATE, __FILE__, __LINE__,
                              "%s has no tokenizer yet: run `raglan dataset train_tokenizer`, or "
                              "`raglan train tokenizer`, with --save_dir %s",
                              o->home, o->home);
    free(path);
    return st;
}

/* ---- chunks ---- */

typedef struct chunks {
    const dataset_options *o;
    const tokenizer *t;
    npy *out;
    int64_t context_size;
    int32_t *window; /* [context_size] the one that fills */
    int64_t n;       /* tokens in it */
    tokens pieces;
    json_t *files; /* [{"name", "first", "chunks"}] */
    size_t root;   /* length of the pages' folder in a path */
} chunks;

static status add_token(chunks *c, int32_t id) {
    c->window[c->n++] = id;
    if (c->n < c->context_size) return OK;
    c->n = 0;
    return npy_add(c->out, c->window);
}

/* BOS, the pieces of the line without blanks around, EOS; a blank line is BOS, EOS. */
static status add_line(chunks *c, const char *text, size_t n) {
    while (n && strchr(" \t\r\n", *text)) text++, n--;
    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    tokens_reset(&c->pieces);
    tokenizer_encode(c->t, text, n, &c->pieces);
    TRY(add_token(c, TOKEN_BOS));
    for (int64_t i = 0; i < c->pieces.n; i++) TRY(add_token(c, c->pieces.id[i]));
    return add_token(c, TOKEN_EOS);
}

static status add_page(void *arg, const char *path) {
    chunks *c = arg;
    reader *r = NULL;
    buf line = {0};
    int64_t first = npy_rows(c->out);
    status st = reader_open(path, &r);
    for (bool more = true; !st && more;) {
        st = reader_line(r, &line, &more);
        if (!st && more) st = add_line(c, line.at, line.len);
    }
    if (!st && c->n) { /* the last window of a page is padded */
        memset(c->window + c->n, 0, (size_t)(c->context_size - c->n) * sizeof *c->window);
        c->n = 0;
        st = npy_add(c->out, c->window);
    }
    if (!st)
        json_array_append_new(c->files, json_pack("{s:s, s:I, s:I}", "name", path + c->root,
                                                  "first", (json_int_t)first, "chunks",
                                                  (json_int_t)(npy_rows(c->out) - first)));
    reader_close(r);
    buf_clear(&line);
    return st;
}

static status write_chunks(chunks *c) {
    char *to = xasprintf("%s/retriever/chunks.npy", c->o->to);
    char *list = xasprintf("%s/retriever/files.json", c->o->to);
    char *pages = xasprintf("%s/evidence/wikipedia", c->o->to);
    int64_t n_pages = 0;
    c->root = strlen(pages) + 1;
    c->window = xcalloc((size_t)c->context_size, sizeof *c->window);
    status st = npy_open(to, &c->context_size, 1, &c->out);
    if (!st) {
        st = dataset_each(pages, "", add_page, c, &n_pages);
        int64_t n = npy_rows(c->out);
        if (st)
            npy_abort(c->out);
        else
            st = npy_close(c->out);
        if (!st)
            log_info("wrote %s: %lld chunk%s of %lld page%s", to, (long long)n, plural(n),
                     (long long)n_pages, plural(n_pages));
    }
    if (!st) {
        json_t *j = json_pack("{s:I, s:s, s:O}", "context_size", (json_int_t)c->context_size,
                              "tokenizer", tokenizer_hash(c->t), "files", c->files);
        st = json_save(list, j);
        json_decref(j);
    }
    free(c->window);
    free(to);
    free(list);
    free(pages);
    return st;
}

/* ---- rows of one length ---- */

/* Texts as tokens, one after another: begin[i] .. begin[i + 1]. */
typedef struct texts {
    const tokenizer *t;
    int32_t *id;
    int64_t n_ids, cap_ids;
    int64_t *begin;
    int64_t n, cap;
    int64_t longest;
    tokens pieces;
} texts;

static void texts_push(texts *x, int32_t id) {
    GROW(x->id, x->n_ids, x->cap_ids);
    x->id[x->n_ids++] = id;
}

static void texts_add(texts *x, const char *text) {
    GROW(x->begin, x->n + 1, x->cap);
    x->begin[x->n] = x->n_ids;
    tokens_reset(&x->pieces);
    tokenizer_encode(x->t, text, strlen(text), &x->pieces);
    texts_push(x, TOKEN_BOS);
    for (int64_t i = 0; i < x->pieces.n; i++) texts_push(x, x->pieces.id[i]);
    texts_push(x, TOKEN_EOS);
    x->begin[++x->n] = x->n_ids;
    int64_t length = x->n_ids - x->begin[x->n - 1];
    if (length > x->longest) x->longest = length;
}

static void texts_clear(texts *x) {
    free(x->id);
    free(x->begin);
    tokens_clear(&x->pieces);
    *x = (texts){0};
}

static int64_t power_of_two(int64_t n) {
    int64_t p = 1;
    while (p < n) p *= 2;
    return p;
}

static void fill_row(const texts *x, int64_t i, int32_t *row, int64_t length) {
    int64_t n = x->begin[i + 1] - x->begin[i];
    memset(row, 0, (size_t)length * sizeof *row);
    memcpy(row, x->id + x->begin[i], (size_t)n * sizeof *row);
}

/* int32 [n / per_row, per_row, L], or [n, L] where per_row is 1. */
static status write_texts(const texts *x, int per_row, const char *path) {
    int64_t length = power_of_two(x->longest), dims[2] = {per_row, length};
    int32_t *row = xmalloc((size_t)(per_row * length) * sizeof *row);
    npy *out = NULL;
    status st = per_row == 1 ? npy_open(path, &length, 1, &out) : npy_open(path, dims, 2, &out);
    for (int64_t i = 0; !st && i < x->n; i += per_row) {
        for (int k = 0; k < per_row; k++) fill_row(x, i + k, row + k * length, length);
        st = npy_add(out, row);
    }
    if (out && st)
        npy_abort(out);
    else if (out)
        st = npy_close(out);
    if (!st) log_info("wrote %s", path);
    free(row);
    return st;
}

/* ---- questions that their own pages do not answer ---- */

typedef struct support {
    const chunks *c;
    const int32_t *rows; /* of chunks.npy, [.., context_size] */
    json_t *by_name;     /* file name -> place in c->files */
    texts questions, answers;
    json_t *unsupported; /* [place] */
} support;

static bool holds(const int32_t *chunk, int64_t n_chunk, const int32_t *answer, int64_t n) {
    for (int64_t i = 0; i + n <= n_chunk; i++)
        if (memcmp(chunk + i, answer, (size_t)n * sizeof *answer) == 0) return true;
    return false;
}

/* The answer's pieces, without BOS and EOS, in a row within one chunk of a page that the question
 * names. */
static bool is_supported(const support *s, const json_t *pages, const int32_t *answer, int64_t n) {
    size_t i;
    json_t *name;
    if (n == 0) return false;
    json_array_foreach(pages, i, name) {
        const json_t *place = json_object_get(s->by_name, json_string_value(name));
        const json_t *file = json_array_get(s->c->files, (size_t)json_integer_value(place));
        if (!place) continue;
        int64_t first = json_int(file, "first", 0), n_chunks = json_int(file, "chunks", 0);
        for (int64_t k = first; k < first + n_chunks; k++)
            if (holds(s->rows + k * s->c->context_size, s->c->context_size, answer, n)) return true;
    }
    return false;
}

static status add_qa(void *arg, const dataset_qa *q) {
    support *s = arg;
    texts_add(&s->questions, q->question);
    texts_add(&s->answers, q->answer);
    const texts *a = &s->answers;
    const int32_t *pieces = a->id + a->begin[a->n - 1] + 1;
    if (!is_supported(s, q->pages, pieces, a->begin[a->n] - a->begin[a->n - 1] - 2))
        json_array_append_new(s->unsupported, json_integer(q->place));
    return OK;
}

static status save_unsupported(const support *s, const char *stem) {
    char *path = xasprintf("%s/qa/unsupported-%s.json", s->c->o->to, stem);
    json_t *j = json_pack("{s:O}", "question_ids", s->unsupported);
    char *line = json_line(j);
    status st = file_write(path, line, strlen(line));
    if (!st)
        log_info("wrote %s: %zu of %lld question%s", path, json_array_size(s->unsupported),
                 (long long)s->questions.n, plural(s->questions.n));
    free(line);
    free(path);
    json_decref(j);
    return st;
}

static status support_file(void *arg, const char *path) {
    support *s = arg;
    char *stem = dataset_stem(path);
    char *questions = xasprintf("%s/retriever/%s-questions.npy", s->c->o->to, stem);
    char *answers = xasprintf("%s/retriever/%s-answers.npy", s->c->o->to, stem);
    s->questions.t = s->answers.t = s->c->t;
    s->unsupported = json_array();
    status st = dataset_each_qa(path, add_qa, s);
    if (!st) st = write_texts(&s->questions, 1, questions);
    if (!st) st = write_texts(&s->answers, 1, answers);
    if (!st) st = save_unsupported(s, stem);
    json_decref(s->unsupported);
    texts_clear(&s->questions);
    texts_clear(&s->answers);
    free(stem);
    free(questions);
    free(answers);
    return st;
}

static json_t *places_of(const json_t *files) {
    json_t *by_name = json_object();
    size_t i;
    json_t *file;
    json_array_foreach(files, i, file)
        json_object_set_new(by_name, json_str(file, "name", ""), json_integer((json_int_t)i));
    return by_name;
}

/* Calls fn for each simplified file of the dataset. */
static status each_simplified(const dataset_options *o, dataset_file_fn fn, void *arg) {
    char *qa = xasprintf("%s/qa", o->to);
    int64_t n = 0;
    status st = dataset_each(qa, "-train-simplified.json", fn, arg, &n);
    if (!st && n == 0)
        st = err_set(ERR_STATE, __FILE__, __LINE__,
                     "%s holds no NAME-train-simplified.json: run `raglan dataset "
                     "prepare_generator_qa_dataset --from_dir SRC --to_dir %s`",
                     qa, o->to);
    free(qa);
    return st;
}

static status write_questions(chunks *c) {
    char *path = xasprintf("%s/retriever/chunks.npy", c->o->to);
    file_map m = {0};
    support s = {.c = c, .by_name = places_of(c->files)};
    status st = file_map_open(path, &m);
    if (!st) {
        size_t header = 10 + (size_t)(m.at[8] | m.at[9] << 8); /* npy.c */
        s.rows = (const int32_t *)(m.at + header);
        st = each_simplified(c->o, support_file, &s);
    }
    file_map_close(&m);
    json_decref(s.by_name);
    free(path);
    return st;
}

status dataset_load_retriever(const dataset_options *o) {
    tokenizer *t = NULL;
    char *folder = xasprintf("%s/retriever", o->to);
    status st = open_tokenizer(o, &t);
    if (!st) st = file_make_folders(folder);
    if (!st) {
        chunks c = {.o = o,
                    .t = t,
                    .context_size = o->context_size > 0 ? o->context_size : 64,
                    .files = json_array()};
        st = write_chunks(&c);
        if (!st) st = write_questions(&c);
        json_decref(c.files);
        tokens_clear(&c.pieces);
    }
    tokenizer_close(t);
    free(folder);
    return st;
}

/* ---- generator ---- */

typedef struct pairs {
    const dataset_options *o;
    texts both; /* question, full answer, question, ... */
} pairs;

static status add_pair(void *arg, const dataset_qa *q) {
    pairs *p = arg;
    texts_add(&p->both, q->question);
    texts_add(&p->both, q->full_answer);
    return OK;
}

static status pairs_file(void *arg, const char *path) {
    pairs *p = arg;
    const tokenizer *t = p->both.t;
    char *stem = dataset_stem(path), *to = xasprintf("%s/generator/%s.npy", p->o->to, stem);
    status st = dataset_each_qa(path, add_pair, p);
    if (!st) st = write_texts(&p->both, 2, to);
    texts_clear(&p->both);
    p->both.t = t;
    free(stem);
    free(to);
    return st;
}

status dataset_load_generator(const dataset_options *o) {
    tokenizer *t = NULL;
    char *folder = xasprintf("%s/generator", o->to);
    status st = open_tokenizer(o, &t);
    if (!st) st = file_make_folders(folder);
    if (!st) st = each_simplified(o, pairs_file, &(pairs){.o = o, .both.t = t});
    tokenizer_close(t);
    free(folder);
    return st;
}
