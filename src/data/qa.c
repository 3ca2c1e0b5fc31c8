/* Questions of a split with the passages that answer them.
 *
 * Two ways to the same judgement (DPR's has_answer): a question that names its documents is
 * tried on their passages, document by document, each passage prepared once; the others are
 * sought in the whole collection by one scan that looks up each position's first two words in
 * a table of all answers. */
#include <stdlib.h>
#include <string.h>

#include "data/corpus.h"
#include "util/hash.h"
#include "util/json.h"

typedef struct pair {
    int64_t a, b;
} pair;

typedef struct pair_list {
    pair *at;
    int64_t n, cap;
} pair_list;

static void pair_add(pair_list *l, int64_t a, int64_t b) {
    GROW(l->at, l->n, l->cap);
    l->at[l->n++] = (pair){a, b};
}

static int pair_order(const void *x, const void *y) {
    const pair *p = x, *q = y;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

static void pair_sort(pair_list *l) {
    if (l->n > 1) qsort(l->at, (size_t)l->n, sizeof *l->at, pair_order);
}

typedef struct loading {
    qa_set *set;
    store *s;
    const corpus *c;
    const tokenizer *t;
    int64_t limit, cap, token_cap, n_tokens;
    answer_set **answers;  /* [n] of each question, NULL: none */
    pair_list by_document; /* document key, question */
    pair_list found;       /* question, passage index */
    tokens scratch;
    arena *tmp;
} loading;

/* ---- reading questions ---- */

/* Answers without any token would be found everywhere, and nothing could be learnt from them. */
static status add_answers(loading *l, qa *q, const char *json) {
    json_t *list = NULL;
    TRY(json_parse(json, strlen(json), "answers of a question", &list));
    char **answers = ARENA_ARRAY(l->set->a, char *, json_array_size(list) + 1);
    buf form = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *a = json_string_value(json_array_get(list, i));
        has_prepare(HAS_TOKENS, a ? a : "", a ? strlen(a) : 0, &form);
        if (form.len < 2)
            l->set->n_dropped++;
        else
            answers[q->n_answers++] = arena_strdup(l->set->a, a);
    }
    buf_clear(&form);
    q->answers = answers;
    json_decref(list);
    return OK;
}

static void add_question_tokens(loading *l, qa *q) {
    tokens_reset(&l->scratch);
    tokenizer_encode(l->t, q->question, strlen(q->question), &l->scratch);
    while (l->n_tokens + l->scratch.n > l->token_cap) {
        l->token_cap = l->token_cap ? 2 * l->token_cap : 65536;
        l->set->tokens = xrealloc(l->set->tokens, (size_t)l->token_cap * sizeof *l->set->tokens);
    }
    q->tokens = (span){l->n_tokens, l->n_tokens + l->scratch.n};
    if (l->scratch.n)
        memcpy(l->set->tokens + l->n_tokens, l->scratch.id, (size_t)l->scratch.n * sizeof(int32_t));
    l->n_tokens = q->tokens.end;
}

/* The documents that may answer, as keys: of a two-hop question only the last one it names, where
 * its second hop ends. */
static status add_documents(loading *l, const store_question *sq, int64_t **keys, int64_t *n) {
    store_question q = *sq;
    char *last = NULL;
    if (strcmp(q.kind, "two_hop") == 0 && !*q.evidence) {
        json_t *names = NULL;
        TRY(json_parse(q.documents, strlen(q.documents), "documents of a question", &names));
        while (json_array_size(names) > 1) json_array_remove(names, 0);
        q.documents = last = json_line(names);
        json_decref(names);
    }
    status st = store_question_documents(l->s, &q, l->tmp, keys, n, NULL);
    free(last);
    return st;
}

static status add_question(void *arg, const store_question *sq) {
    loading *l = arg;
    qa_set *set = l->set;
    if (l->limit > 0 && set->n >= l->limit) return OK;
    if (set->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 1024;
        set->at = xrealloc(set->at, (size_t)l->cap * sizeof *set->at);
        l->answers = xrealloc(l->answers, (size_t)l->cap * sizeof *l->answers);
    }
    qa q = {.id = arena_strdup(set->a, sq->id),
            .question = arena_strdup(set->a, sq->question),
            .kind = arena_strdup(set->a, sq->kind),
            .full_answer = arena_strdup(set->a, sq->full_answer),
            .unanswerable = sq->unanswerable};
    TRY(add_answers(l, &q, sq->answers));
    add_question_tokens(l, &q);

    int64_t *keys = NULL, n_keys = 0;
    size_t mark = arena_mark(l->tmp);
    TRY(add_documents(l, sq, &keys, &n_keys));
    q.n_documents = n_keys;
    l->answers[set->n] =
        q.n_answers ? answer_set_new(HAS_TOKENS, (const char *const *)q.answers, q.n_answers, NULL)
                    : NULL;
    q.has_judgement = !q.unanswerable && (n_keys > 0 || q.n_answers > 0);
    if (q.has_judgement)
        for (int64_t i = 0; i < n_keys; i++) pair_add(&l->by_document, keys[i], set->n);
    arena_reset(l->tmp, mark);
    set->at[set->n++] = q;
    return OK;
}

/* ---- questions with documents ---- */

static void prepare_passage(const loading *l, int64_t i, buf *text, buf *form) {
    buf_reset(text);
    span s = l->c->text[i];
    tokens_text(l->t, l->c->tokens + s.begin, s.end - s.begin, text, NULL);
    has_prepare(HAS_TOKENS, text->at ? text->at : "", text->len, form);
}

static void judge_documents(loading *l) {
    buf text = {0}, form = {0};
    pair_sort(&l->by_document);
    for (int64_t i = 0, j; i < l->by_document.n; i = j) {
        for (j = i; j < l->by_document.n && l->by_document.at[j].a == l->by_document.at[i].a; j++) {
        }
        span passages = corpus_document(l->c, l->by_document.at[i].a);
        for (int64_t p = passages.begin; p < passages.end; p++) {
            prepare_passage(l, p, &text, &form);
            for (int64_t k = i; k < j; k++) {
                int64_t q = l->by_document.at[k].b;
                if (!l->answers[q] || has_answer(l->answers[q], &form)) pair_add(&l->found, q, p);
            }
        }
    }
    buf_clear(&text);
    buf_clear(&form);
}

/* ---- questions that any document may answer ---- */

/* An answer in the table of first words: an open hash table with chains. */
typedef struct opening {
    uint64_t key;
    int64_t question, next;
} opening;

typedef struct answer_table {
    opening *at;
    int64_t n, cap, n_slots;
    int64_t *slot; /* [n_slots] first opening, or -1 */
} answer_table;

/* The form is 0x1F token 0x1F token 0x1F ...: hash of the token at `at`, end of it in *end. */
static uint64_t token_hash(const buf *form, size_t at, size_t *end) {
    const char *stop = memchr(form->at + at, 0x1F, form->len - at);
    *end = (size_t)(stop - form->at);
    return hash64(form->at + at, *end - at);
}

static uint64_t two_key(uint64_t first, uint64_t second) {
    return first * 0x9e3779b97f4a7c15u ^ second;
}

static void table_add(answer_table *t, uint64_t key, int64_t question) {
    GROW(t->at, t->n, t->cap);
    t->at[t->n++] = (opening){key, question, -1};
}

static void table_link(answer_table *t) {
    for (t->n_slots = 64; t->n_slots < 2 * t->n; t->n_slots *= 2) {
    }
    t->slot = xmalloc((size_t)t->n_slots * sizeof *t->slot);
    for (int64_t i = 0; i < t->n_slots; i++) t->slot[i] = -1;
    for (int64_t i = 0; i < t->n; i++) {
        int64_t *s = &t->slot[t->at[i].key & (uint64_t)(t->n_slots - 1)];
        t->at[i].next = *s;
        *s = i;
    }
}

static void fill_table(loading *l, answer_table *t) {
    buf form = {0};
    for (int64_t q = 0; q < l->set->n; q++) {
        const qa *x = &l->set->at[q];
        if (!x->has_judgement || x->n_documents > 0) continue;
        for (int64_t i = 0; i < x->n_answers; i++) {
            has_prepare(HAS_TOKENS, x->answers[i], strlen(x->answers[i]), &form);
            size_t end;
            uint64_t key = token_hash(&form, 1, &end);
            if (end + 1 < form.len) key = two_key(key, token_hash(&form, end + 1, &end));
            table_add(t, key, q);
        }
    }
    buf_clear(&form);
    table_link(t);
}

static void try_key(loading *l, const answer_table *t, uint64_t key, const buf *form, int64_t p,
                    int64_t *last) {
    for (int64_t i = t->slot[key & (uint64_t)(t->n_slots - 1)]; i >= 0; i = t->at[i].next) {
        int64_t q = t->at[i].question;
        if (t->at[i].key != key || last[q] == p + 1) continue;
        if (!has_answer(l->answers[q], form)) continue;
        last[q] = p + 1;
        pair_add(&l->found, q, p);
    }
}

static void judge_anywhere(loading *l) {
    answer_table t = {0};
    fill_table(l, &t);
    buf text = {0}, form = {0};
    int64_t *last = xcalloc((size_t)l->set->n + 1,
                            sizeof *last); /* 1 + passage that a question was found in last */
    for (int64_t p = 0; t.n > 0 && p < l->c->n; p++) {
        prepare_passage(l, p, &text, &form);
        uint64_t before = 0;
        for (size_t at = 1; at < form.len;) {
            size_t end;
            uint64_t h = token_hash(&form, at, &end);
            if (at > 1) try_key(l, &t, two_key(before, h), &form, p, last);
            try_key(l, &t, h, &form, p, last);
            before = h;
            at = end + 1;
        }
    }
    free(last);
    free(t.at);
    free(t.slot);
    buf_clear(&text);
    buf_clear(&form);
}

/* ---- together ---- */

static void gather_relevant(loading *l) {
    qa_set *set = l->set;
    pair_sort(&l->found);
    set->relevant = ARENA_ARRAY(set->a, int64_t, l->found.n + 1);
    int64_t at = 0;
    for (int64_t q = 0; q < set->n; q++) {
        set->at[q].relevant.begin = set->n_relevant;
        for (; at < l->found.n && l->found.at[at].a == q; at++)
            if (set->n_relevant == set->at[q].relevant.begin ||
                set->relevant[set->n_relevant - 1] != l->found.at[at].b)
                set->relevant[set->n_relevant++] = l->found.at[at].b;
        set->at[q].relevant.end = set->n_relevant;
        if (set->at[q].has_judgement && set->at[q].relevant.begin == set->n_relevant)
            set->n_without++;
    }
}

status qa_set_load(store *s, const corpus *c, const tokenizer *t, store_split split, int64_t limit,
                   qa_set **out) {
    loading l = {.set = xcalloc(1, sizeof(qa_set)),
                 .s = s,
                 .c = c,
                 .t = t,
                 .limit = limit,
                 .tmp = arena_new(0)};
    l.set->a = arena_new(0);
    status st = store_each_question(s, split, add_question, &l);
    if (!st) {
        judge_documents(&l);
        judge_anywhere(&l);
        gather_relevant(&l);
    }
    for (int64_t i = 0; i < l.set->n; i++) answer_set_free(l.answers[i]);
    free(l.answers);
    free(l.by_document.at);
    free(l.found.at);
    tokens_clear(&l.scratch);
    arena_free(l.tmp);
    if (st) {
        qa_set_free(l.set);
        return st;
    }
    *out = l.set;
    return OK;
}

void qa_set_respell(qa_set *q, const tokenizer *to) {
    tokens out = {0};
    for (int64_t i = 0; i < q->n; i++) {
        int64_t begin = out.n;
        tokenizer_encode(to, q->at[i].question, strlen(q->at[i].question), &out);
        q->at[i].tokens = (span){begin, out.n};
    }
    free(q->tokens);
    q->tokens = xrealloc(out.id, (size_t)(out.n + 1) * sizeof *out.id);
    out.id = NULL;
    tokens_clear(&out);
}

void qa_set_free(qa_set *q) {
    if (!q) return;
    free(q->at);
    free(q->tokens);
    arena_free(q->a);
    free(q);
}

bool qa_is_relevant(const qa_set *set, const qa *q, int64_t i) {
    int64_t lo = q->relevant.begin, hi = q->relevant.end;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (set->relevant[mid] < i)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < q->relevant.end && set->relevant[lo] == i;
}
