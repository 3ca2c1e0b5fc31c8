/* The texts of the dataset step: simplified questions, evidence, the tokenizer's text. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "data/dataset_int.h"
#include "data/evidence.h"
#include "data/lines.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/stop.h"
#include "util/unicode.h"

const dataset_step dataset_steps[5] = {
    {"prepare_generator_qa_dataset", "simplified questions with full answers, and their pages",
     dataset_prepare, true, false},
    {"qa_json_to_txt", "questions and answers as text", dataset_qa_text, false, false},
    {"train_tokenizer", "the tokenizer's text, and the tokenizer", dataset_train_tokenizer, false,
     true},
    {"load_retriever_dataset", "chunks, questions and answers as arrays", dataset_load_retriever,
     false, true},
    {"load_generator_dataset", "questions with full answers as arrays", dataset_load_generator,
     false, true},
};

/* ---- files ---- */

typedef struct each {
    const char *ending;
    dataset_file_fn fn;
    void *arg;
    int64_t n;
} each;

static status each_file(void *arg, const char *path) {
    each *e = arg;
    size_t n = strlen(path), m = strlen(e->ending);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    if (n < m || strncmp(path + n - m, e->ending, m) != 0) return OK;
    if (stop_requested()) FAIL(ERR_STOPPED, "stopped; the same command goes on");
    e->n++;
    return e->fn(e->arg, path);
}

status dataset_each(const char *folder, const char *ending, dataset_file_fn fn, void *arg,
                    int64_t *n) {
    each e = {.ending = ending, .fn = fn, .arg = arg};
    status st = file_is_folder(folder) ? file_walk(folder, each_file, &e) : OK;
    *n = e.n;
    return st;
}

char *dataset_stem(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *end = strstr(name, "-train");
    return end ? xstrndup(name, (size_t)(end - name) + 6) : xstrdup(name);
}

static status make_folder(const char *to, const char *below) {
    char *folder = xasprintf("%s/%s", to, below);
    status st = file_make_folders(folder);
    free(folder);
    return st;
}

/* ---- simplified questions ---- */

typedef struct qa_walk {
    dataset_qa_fn fn;
    void *arg;
    int64_t place;
} qa_walk;

static status each_qa(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which, (void)line;
    qa_walk *w = arg;
    json_t *j = NULL;
    if (stop_requested()) FAIL(ERR_STOPPED, "stopped; the same command goes on");
    TRY(json_parse(bytes, n, "a simplified question", &j));
    dataset_qa q = {.id = json_str(j, "QuestionId", ""),
                    .question = json_str(j, "Question", ""),
                    .answer = json_str(j, "Answer", ""),
                    .full_answer = json_str(j, "FullAnswer", ""),
                    .pages = json_object_get(j, "EntityPages"),
                    .place = w->place++};
    status st = w->fn(w->arg, &q);
    json_decref(j);
    return st;
}

status dataset_each_qa(const char *path, dataset_qa_fn fn, void *arg) {
    reader *r = NULL;
    TRY(reader_open(path, &r));
    status st = json_scan(r, "Data.*", 0, each_qa, &(qa_walk){fn, arg, 0});
    reader_close(r);
    return st;
}

/* ---- prepare_generator_qa_dataset ---- */

typedef struct prepare {
    const dataset_options *o;
    evidence *files;
    expand *sentences;
    file_writer *out; /* the simplified file */
    int64_t n, n_pages, n_missing;
    progress bar;
} prepare;

/* The text as it is written: folded where that was asked for. Caller frees. */
static char *letters(const prepare *p, const char *text, size_t n) {
    buf b = {0};
    if (p->o->lower_case)
        utf8_add_lower(&b, text, n);
    else
        buf_add(&b, text, n);
    return buf_steal(&b);
}

/* Writes what is not there as it should be: again is cheap, and a source that is its own
 * destination is left alone. */
static status write_if_changed(const char *path, const char *text, size_t n) {
    buf old = {0};
    bool same = false;
    if (file_exists(path)) {
        TRY(file_read(path, 0, &old));
        same = old.len == n && memcmp(old.at, text, n) == 0;
        buf_clear(&old);
    }
    return same ? OK : file_write(path, text, n);
}

static status copy_page(prepare *p, const char *name) {
    char *below = xasprintf("evidence/wikipedia/%s", name);
    char *to = xasprintf("%s/%s", p->o->to, below), *from = evidence_find(p->files, below);
    buf text = {0};
    status st = OK;
    if (!from) {
        if (p->n_missing++ == 0)
            log_warn("%s/%s is missing; its question is kept", p->o->from, below);
    } else {
        st = file_read(from, 0, &text);
        char *folder = xstrdup(to);
        *strrchr(folder, '/') = 0;
        if (!st) st = file_make_folders(folder);
        free(folder);
        char *kept = letters(p, text.at ? text.at : "", text.len);
        size_t n = p->o->lower_case ? strlen(kept) : text.len;
        char *real_from = realpath(from, NULL), *real_to = realpath(to, NULL);
        bool itself = real_from && real_to && strcmp(real_from, real_to) == 0;
        if (!st && !itself) st = write_if_changed(to, kept, n);
        p->n_pages += !st;
        free(real_from);
        free(real_to);
        free(kept);
    }
    buf_clear(&text);
    free(below);
    free(from);
    free(to);
    return st;
}

static status copy_pages(prepare *p, const json_t *pages, json_t *names) {
    size_t i;
    json_t *page;
    json_array_foreach(pages, i, page) {
        const char *name = json_str(page, "Filename", NULL);
        if (!name || !evidence_is_inside(name)) continue;
        json_array_append_new(names, json_string(name));
        TRY(copy_page(p, name));
    }
    return OK;
}

static status simplify_question(prepare *p, const json_t *q, json_t *names) {
    const char *question = json_str(q, "Question", "");
    const char *answer = json_str(json_object_get(q, "Answer"), "Value", "");
    buf sentence = {0};
    TRY(copy_pages(p, json_object_get(q, "EntityPages"), names));
    if (*answer) TRY(expand_answer(p->sentences, question, answer, &sentence));
    const char *full = sentence.at ? sentence.at : "";
    char *a = letters(p, question, strlen(question)), *b = letters(p, answer, strlen(answer));
    char *c = letters(p, full, strlen(full));
    json_t *j = json_pack("{s:s, s:O, s:s, s:s, s:s}", "QuestionId", json_str(q, "QuestionId", ""),
                          "EntityPages", names, "Question", a, "Answer", b, "FullAnswer", c);
    char *line = json_line(j);
    status st = file_writer_printf(p->out, "%s\n%s", p->n ? "," : "", line);
    p->n++;
    progress_update(&p->bar, p->n);
    buf_clear(&sentence);
    free(line);
    free(a);
    free(b);
    free(c);
    json_decref(j);
    return st;
}

static status simplify_record(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)which;
    prepare *p = arg;
    char what[64];
    snprintf(what, sizeof what, "the question at line %lld", (long long)line);
    if (stop_requested())
        FAIL(ERR_STOPPED, "stopped; the same command goes on (sentences that a server made are "
                          "kept)");
    json_t *q = NULL, *names = json_array();
    status st = json_parse(bytes, n, what, &q);
    if (st == ERR_FORMAT) {
        log_warn("%s: left out", err_msg());
        err_clear();
        st = OK;
    } else if (!st) {
        st = simplify_question(p, q, names);
    }
    json_decref(q);
    json_decref(names);
    return st;
}

static status simplify_file(void *arg, const char *path) {
    prepare *p = arg;
    char *stem = dataset_stem(path), *to = xasprintf("%s/qa/%s-simplified.json", p->o->to, stem);
    reader *r = NULL;
    p->n = 0;
    status st = reader_open(path, &r);
    if (!st) st = file_writer_open(to, &p->out);
    if (!st) {
        progress_begin(&p->bar, "preparing questions", "questions", -1);
        st = file_writer_printf(p->out, "{\"Data\": [");
        if (!st) st = json_scan(r, "Data.*", 0, simplify_record, p);
        progress_end(&p->bar);
        if (!st) st = file_writer_printf(p->out, "\n]}\n");
        if (st)
            file_writer_abort(p->out);
        else
            st = file_writer_commit(p->out, NULL);
        if (!st) log_info("wrote %s: %lld question%s", to, (long long)p->n, plural(p->n));
    }
    reader_close(r);
    free(stem);
    free(to);
    return st;
}

/* The questions lie in SRC/qa, or in SRC itself. Caller frees. */
static char *source_folder(const char *from) {
    char *qa = xasprintf("%s/qa", from);
    if (file_is_folder(qa)) return qa;
    free(qa);
    return xstrdup(from);
}

static status count_only(void *arg, const char *path) {
    (void)arg, (void)path;
    return OK;
}

bool dataset_is_there(const char *from) {
    char *folder = source_folder(from);
    int64_t n = 0;
    status st = dataset_each(folder, "-train.json", count_only, NULL, &n);
    free(folder);
    if (st) err_clear();
    return n > 0;
}

static void say_sentences(const expand_counts *c) {
    if (c->asked || c->from_cache)
        log_info("full answers: %lld by the server, %lld kept from before, %lld replies without "
                 "the answer replaced by the template",
                 (long long)c->asked, (long long)c->from_cache, (long long)c->refused);
    else
        log_info("full answers: %lld by the template (name a server with --expand_url for better "
                 "ones)",
                 (long long)c->templates);
}

status dataset_prepare(const dataset_options *o) {
    if (!file_is_folder(o->from)) FAIL(ERR_ARG, "%s: no such folder", o->from);
    TRY(make_folder(o->to, "qa"));
    TRY(make_folder(o->to, "evidence/wikipedia"));
    prepare p = {.o = o, .files = evidence_new(o->from)};
    char *cache = xasprintf("%s/qa/full-answers.jsonl", o->to), *folder = source_folder(o->from);
    int64_t n = 0;
    status st = expand_open(&o->expand, cache, &p.sentences);
    if (!st) st = dataset_each(folder, "-train.json", simplify_file, &p, &n);
    if (!st && n == 0)
        st = err_set(ERR_STATE, __FILE__, __LINE__,
                     "%s holds no qa/NAME-train.json (TriviaQA's layout): nothing to prepare",
                     o->from);
    if (p.sentences) {
        expand_counts c = expand_count(p.sentences);
        say_sentences(&c);
    }
    if (p.n_missing)
        log_warn("missing: %lld evidence file%s", (long long)p.n_missing, plural(p.n_missing));
    expand_close(p.sentences);
    evidence_free(p.files);
    free(cache);
    free(folder);
    return st;
}

/* ---- qa_json_to_txt ---- */

static status write_pair(void *arg, const dataset_qa *q) {
    return file_writer_printf(arg, "%s\n%s\n", q->question, q->answer);
}

static status qa_file_text(void *arg, const char *path) {
    const dataset_options *o = arg;
    char *stem = dataset_stem(path), *to = xasprintf("%s/qa/%s.txt", o->to, stem);
    file_writer *w = NULL;
    status st = file_writer_open(to, &w);
    if (!st) st = dataset_each_qa(path, write_pair, w);
    if (!st) {
        st = file_writer_commit(w, NULL);
        if (!st) log_info("wrote %s", to);
    } else {
        file_writer_abort(w);
    }
    free(stem);
    free(to);
    return st;
}

status dataset_qa_text(const dataset_options *o) {
    char *folder = xasprintf("%s/qa", o->to);
    int64_t n = 0;
    status st = dataset_each(folder, "-train-simplified.json", qa_file_text, (void *)o, &n);
    if (!st && n == 0)
        st = err_set(ERR_STATE, __FILE__, __LINE__,
                     "%s holds no NAME-train-simplified.json: run `raglan dataset "
                     "prepare_generator_qa_dataset --from_dir SRC --to_dir %s`",
                     folder, o->to);
    free(folder);
    return st;
}

/* ---- train_tokenizer ---- */

static status append_file(void *arg, const char *path) {
    char *block = xmalloc(65536), last = '\n';
    reader *r = NULL;
    status st = reader_open(path, &r);
    for (size_t got = 1; !st && got;) {
        st = reader_read(r, block, 65536, &got);
        if (!st && got) st = file_writer_add(arg, block, got);
        if (!st && got) last = block[got - 1];
    }
    if (!st && last != '\n') st = file_writer_add(arg, "\n", 1);
    reader_close(r);
    free(block);
    return st;
}

static status write_files_text(const dataset_options *o, const char *to) {
    char *pages = xasprintf("%s/evidence/wikipedia", o->to), *qa = xasprintf("%s/qa", o->to);
    file_writer *w = NULL;
    int64_t n_pages = 0, n_qa = 0;
    status st = file_writer_open(to, &w);
    if (!st) {
        st = dataset_each(pages, "", append_file, w, &n_pages);
        if (!st) st = dataset_each(qa, "-train.txt", append_file, w, &n_qa);
        if (!st && n_qa == 0)
            st = err_set(ERR_STATE, __FILE__, __LINE__,
                         "%s holds no NAME-train.txt: run `raglan dataset qa_json_to_txt --to_dir "
                         "%s`",
                         qa, o->to);
        if (st)
            file_writer_abort(w);
        else
            st = file_writer_commit(w, NULL);
    }
    if (!st)
        log_info("wrote %s: %lld page%s, %lld file%s of questions", to, (long long)n_pages,
                 plural(n_pages), (long long)n_qa, plural(n_qa));
    free(pages);
    free(qa);
    return st;
}

typedef struct line_source {
    reader *r;
    buf line;
} line_source;

static status next_line(void *arg, const char **text, size_t *n, bool *more) {
    line_source *s = arg;
    TRY(reader_line(s->r, &s->line, more));
    *text = s->line.at;
    *n = s->line.len;
    return OK;
}

status dataset_train_tokenizer(const dataset_options *o) {
    TRY(make_folder(o->to, "tokenizer"));
    TRY(make_folder(o->home, "tokenizer"));
    char *files = xasprintf("%s/tokenizer/files.txt", o->to);
    char *model = xasprintf("%s/tokenizer/wiki.model", o->home);
    line_source s = {0};
    double begin = now_s();
    status st = write_files_text(o, files);
    if (!st) st = reader_open(files, &s.r);
    if (!st) {
        tokenizer_options t = o->tokenizer;
        t.lower_case = o->lower_case;
        st = tokenizer_train(&t, next_line, &s, model);
    }
    if (!st) log_info("trained the tokenizer in %.1f s: %s", now_s() - begin, model);
    reader_close(s.r);
    buf_clear(&s.line);
    free(files);
    free(model);
    return st;
}

/* ---- full answers into a collection ---- */

typedef struct giving {
    store *s;
    arena *a;
    int64_t n;
} giving;

static status give_full_answer(void *arg, const dataset_qa *q) {
    giving *g = arg;
    store_question known;
    store_change change;
    bool found = false;
    if (!*q->id || !*q->full_answer) return OK;
    arena_reset(g->a, 0);
    TRY(store_find_question(g->s, q->id, g->a, &known, &found));
    if (!found || strcmp(known.full_answer, q->full_answer) == 0) return OK;
    known.full_answer = q->full_answer;
    g->n++;
    return store_put_question(g->s, &known, &change, NULL);
}

static status give_file(void *arg, const char *path) {
    return dataset_each_qa(path, give_full_answer, arg);
}

status dataset_full_answers(store *s, const char *to, int64_t *n) {
    giving g = {.s = s, .a = arena_new(0)};
    char *folder = xasprintf("%s/qa", to);
    int64_t n_files;
    status st = store_begin(s);
    if (!st) {
        st = dataset_each(folder, "-train-simplified.json", give_file, &g, &n_files);
        if (st)
            store_rollback(s);
        else
            st = store_commit(s);
    }
    *n = g.n;
    arena_free(g.a);
    free(folder);
    return st;
}
