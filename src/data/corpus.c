/* Loading a collection into memory: titles and passages as tokens in one array, and where each
 * document's passages lie. Also what follows from tokens alone: neighbours, places of answers,
 * IDF. */
#include "data/corpus.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/unicode.h"

typedef struct loader {
    corpus *c;
    const tokenizer *t;
    int64_t cap, token_cap, document_cap;
    span title; /* of the document last seen */
    tokens scratch;
} loader;

static span add_tokens(loader *l, const int32_t *ids, int64_t n) {
    corpus *c = l->c;
    if (c->n_tokens + n > l->token_cap) {
        l->token_cap = 2 * (c->n_tokens + n);
        c->tokens = xrealloc(c->tokens, (size_t)l->token_cap * sizeof *c->tokens);
    }
    if (n) memcpy(c->tokens + c->n_tokens, ids, (size_t)n * sizeof *ids);
    c->n_tokens += n;
    return (span){c->n_tokens - n, c->n_tokens};
}

/* Titles first: document keys ascend, and so do the keys that passages refer to within reach. */
static status add_document(void *arg, const store_document *d) {
    loader *l = arg;
    corpus *c = l->c;
    if (c->n_documents == l->document_cap) {
        l->document_cap = l->document_cap ? 2 * l->document_cap : 1024;
        c->document_key =
            xrealloc(c->document_key, (size_t)l->document_cap * sizeof *c->document_key);
        c->document_passages =
            xrealloc(c->document_passages, (size_t)l->document_cap * sizeof *c->document_passages);
    }
    tokens_reset(&l->scratch);
    tokenizer_encode(l->t, d->title, strlen(d->title), &l->scratch);
    c->document_key[c->n_documents] = d->key;
    c->document_passages[c->n_documents++] =
        add_tokens(l, l->scratch.id, l->scratch.n); /* the title, for now */
    return OK;
}

static int64_t find_key(const int64_t *keys, int64_t n, int64_t key) {
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (keys[mid] < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && keys[lo] == key ? lo : -1;
}

static status add_passage(void *arg, const store_passage *p) {
    loader *l = arg;
    corpus *c = l->c;
    if (c->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 4096;
        c->id = xrealloc(c->id, (size_t)l->cap * sizeof *c->id);
        c->document = xrealloc(c->document, (size_t)l->cap * sizeof *c->document);
        c->ordinal = xrealloc(c->ordinal, (size_t)l->cap * sizeof *c->ordinal);
        c->text = xrealloc(c->text, (size_t)l->cap * sizeof *c->text);
        c->title = xrealloc(c->title, (size_t)l->cap * sizeof *c->title);
    }
    int64_t d = find_key(c->document_key, c->n_documents, p->document);
    if (d < 0) return OK; /* a document added since the titles were read: the next load has it */
    c->id[c->n] = p->id;
    c->document[c->n] = p->document;
    c->ordinal[c->n] = (int32_t)p->ordinal;
    c->title[c->n] = c->document_passages[d];
    c->text[c->n++] = add_tokens(l, p->tokens + p->n_title, p->n_tokens - p->n_title);
    return OK;
}

/* document_passages held the titles while loading; now it says where the passages are. Ids of
 * one document are consecutive. */
static void link_documents(corpus *c) {
    memset(c->document_passages, 0, (size_t)c->n_documents * sizeof *c->document_passages);
    for (int64_t i = 0; i < c->n; i++) {
        span *s = &c->document_passages[find_key(c->document_key, c->n_documents, c->document[i])];
        if (s->end == 0) s->begin = i;
        s->end = i + 1;
    }
}

status corpus_load(store *s, const tokenizer *t, corpus **out) {
    loader l = {.c = xcalloc(1, sizeof(corpus)), .t = t};
    status st = store_each_document(s, 0, add_document, &l);
    if (!st) st = store_each_passage(s, 0, add_passage, &l);
    tokens_clear(&l.scratch);
    if (st) {
        corpus_free(l.c);
        return st;
    }
    if (l.c->n_documents) link_documents(l.c);
    *out = l.c;
    return OK;
}

void corpus_free(corpus *c) {
    if (!c) return;
    free(c->id);
    free(c->document);
    free(c->ordinal);
    free(c->text);
    free(c->title);
    free(c->tokens);
    free(c->document_key);
    free(c->document_passages);
    free(c);
}

int64_t corpus_find(const corpus *c, int64_t passage_id) {
    return find_key(c->id, c->n, passage_id);
}

span corpus_document(const corpus *c, int64_t document_key) {
    int64_t d = find_key(c->document_key, c->n_documents, document_key);
    return d < 0 ? (span){0, 0} : c->document_passages[d];
}

/* ---- text of tokens ---- */

void tokens_text(const tokenizer *t, const int32_t *ids, int64_t n, buf *out, int64_t *begins) {
    for (int64_t j = 0; j < n; j++) {
        if (begins) begins[j] = (int64_t)out->len;
        tokenizer_spell(t, ids[j], out);
    }
    if (begins) begins[n] = (int64_t)out->len;
}

/* Tokens being collected: a list that grows, and how to get there. */
typedef struct respelling {
    const corpus *c;
    const tokenizer *from, *to;
    tokens out;
    buf text;
} respelling;

static span respell(respelling *r, span s) {
    int64_t begin = r->out.n;
    buf_reset(&r->text);
    tokens_text(r->from, r->c->tokens + s.begin, s.end - s.begin, &r->text, NULL);
    if (r->text.len) tokenizer_encode(r->to, r->text.at, r->text.len, &r->out);
    return (span){begin, r->out.n};
}

void corpus_respell(corpus *c, const tokenizer *from, const tokenizer *to) {
    respelling r = {.c = c, .from = from, .to = to};
    span *text = xmalloc((size_t)(c->n + 1) * sizeof *text);
    span *title = xmalloc((size_t)(c->n + 1) * sizeof *title);
    for (int64_t i = 0; i < c->n; i++) {
        bool shared = i > 0 && c->document[i] == c->document[i - 1];
        title[i] = shared ? title[i - 1] : respell(&r, c->title[i]);
        text[i] = respell(&r, c->text[i]);
    }
    free(c->text);
    free(c->title);
    free(c->tokens);
    c->text = text;
    c->title = title;
    c->n_tokens = r.out.n;
    c->tokens = xrealloc(r.out.id, (size_t)(r.out.n + 1) * sizeof *r.out.id);
    r.out.id = NULL;
    tokens_clear(&r.out);
    buf_clear(&r.text);
}

int corpus_neighbours(void *corpus_, int64_t id, int reach, int64_t *ids) {
    const corpus *c = corpus_;
    int64_t at = corpus_find(c, id);
    int n = 0;
    if (at < 0) return 0;
    for (int64_t i = at - reach; i <= at + reach; i++)
        if (i != at && i >= 0 && i < c->n && c->document[i] == c->document[at]) ids[n++] = c->id[i];
    return n;
}

status corpus_tokens(void *corpus_, int64_t id, const int32_t **ids, int64_t *n) {
    const corpus *c = corpus_;
    int64_t at = corpus_find(c, id);
    span s = at < 0 ? (span){0, 0} : c->text[at];
    *ids = c->tokens + s.begin;
    *n = s.end - s.begin;
    return OK;
}

/* ---- an answer within a passage ---- */

/* A passage's text and where each of its tokens begins in it. */
typedef struct spelling {
    buf text;
    int64_t *begins; /* [n_tokens + 1] */
    int64_t n_tokens;
} spelling;

static spelling spelling_new(int64_t n_tokens) {
    return (spelling){.begins = xmalloc((size_t)(n_tokens + 1) * sizeof(int64_t)),
                      .n_tokens = n_tokens};
}

static void spelling_clear(spelling *s) {
    buf_clear(&s->text);
    free(s->begins);
}

/* The same in lower case. Of a character spelled by several tokens all begin where it does. */
static spelling spelling_lower(const spelling *s) {
    spelling low = spelling_new(s->n_tokens);
    int64_t j = 0;
    for (size_t i = 0; i < s->text.len;) {
        int64_t begin = (int64_t)low.text.len;
        utf8_put(&low.text, utf8_lower(utf8_next(s->text.at, s->text.len, &i)));
        for (; j < s->n_tokens && s->begins[j] < (int64_t)i; j++) low.begins[j] = begin;
    }
    for (; j <= s->n_tokens; j++) low.begins[j] = (int64_t)low.text.len;
    return low;
}

/* An answer as tokens would spell it: blanks in a row are one, none at the ends. */
static void spell_answer(const char *answer, bool fold, buf *out) {
    buf_reset(out);
    for (; *answer; answer++)
        if (!isspace((unsigned char)*answer))
            buf_putc(out, *answer);
        else if (out->len && out->at[out->len - 1] != ' ')
            buf_putc(out, ' ');
    while (out->len && out->at[out->len - 1] == ' ') out->at[--out->len] = 0;
    if (!fold) return;
    buf low = {0};
    for (size_t i = 0; i < out->len;) utf8_put(&low, utf8_lower(utf8_next(out->at, out->len, &i)));
    buf_clear(out);
    *out = low;
}

static bool is_word(int32_t c) {
    char_class k = utf8_class(c);
    return k == CHAR_LETTER || k == CHAR_MARK || k == CHAR_NUMBER;
}

/* Do the characters on both sides of byte `at` belong to one word? */
static bool inside_word(const buf *text, int64_t at) {
    if (at <= 0 || at >= (int64_t)text->len) return false;
    size_t before = (size_t)at - 1, after = (size_t)at;
    while (before > 0 && ((unsigned char)text->at[before] & 0xC0) == 0x80) before--;
    return is_word(utf8_next(text->at, text->len, &before)) &&
           is_word(utf8_next(text->at, text->len, &after));
}

/* The tokens whose text, but for a leading blank, is exactly bytes at..at+n. */
static span tokens_at(const spelling *s, int64_t at, int64_t n) {
    for (int64_t j = 0; j < s->n_tokens; j++) {
        int64_t b = s->begins[j];
        if (b < at && b + 1 == at && s->text.at[b] == ' ') b++;
        if (b != at) continue;
        for (int64_t k = j + 1; k <= s->n_tokens; k++)
            if (s->begins[k] == at + n) return (span){j, k};
        return (span){0, 0};
    }
    return (span){0, 0};
}

static span find_text(const spelling *s, const buf *answer) {
    int64_t n = (int64_t)answer->len;
    for (int64_t at = 0; n > 0 && at + n <= (int64_t)s->text.len; at++) {
        if (memcmp(s->text.at + at, answer->at, (size_t)n) != 0) continue;
        if (inside_word(&s->text, at) || inside_word(&s->text, at + n)) continue;
        span found = tokens_at(s, at, n);
        if (found.end > found.begin) return found;
    }
    return (span){0, 0};
}

static span find_any(const spelling *s, char *const *answers, int64_t n, bool fold) {
    buf answer = {0};
    span found = {0, 0};
    for (int64_t i = 0; i < n && found.end == 0; i++) {
        spell_answer(answers[i], fold, &answer);
        found = find_text(s, &answer);
    }
    buf_clear(&answer);
    return found;
}

span corpus_find_answer(const corpus *c, const tokenizer *t, int64_t i, char *const *answers,
                        int64_t n) {
    span found = {0, 0}, text = c->text[i];
    spelling s = spelling_new(text.end - text.begin);
    tokens_text(t, c->tokens + text.begin, s.n_tokens, &s.text, s.begins);
    if (utf8_invalid_at(s.text.at ? s.text.at : "", s.text.len) < 0) {
        found = find_any(&s, answers, n, false);
        if (found.end == 0) {
            spelling low = spelling_lower(&s);
            found = find_any(&low, answers, n, true);
            spelling_clear(&low);
        }
    }
    spelling_clear(&s);
    return found;
}

float *corpus_idf(const corpus *c, int64_t vocab) {
    float *idf = xcalloc((size_t)vocab, sizeof *idf);
    int64_t *last =
        xcalloc((size_t)vocab, sizeof *last); /* 1 + passage that counted this token last */
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = c->text[i].begin; j < c->text[i].end; j++) {
            int32_t id = c->tokens[j];
            if (id < 0 || id >= vocab || last[id] == i + 1) continue;
            last[id] = i + 1;
            idf[id]++;
        }
    for (int64_t v = 0; v < vocab; v++)
        idf[v] = logf((float)(c->n + 1) / (idf[v] > 0 ? idf[v] : 1)) + 1;
    free(last);
    return idf;
}
