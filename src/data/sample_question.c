/* Questions about one entity, with answers, aliases and evidence.
 *
 * one_hop        a stated fact of the entity
 * two_hop        a stated link X -> Y, and a stated fact of Y: "When was the town where X was
 *                born founded?" Evidence is both articles, the one with the answer last
 * unanswerable   a fact of the entity that is true but told nowhere
 *
 * What training may see. Questions go to the split of their entity X, in the wordings kept
 * for it: `ask` for train, `hold` for dev and test. A two-hop question also asks for a fact of Y.
 * Where Y is an entity of another split, the question is dropped, except for X in dev or
 * test and a fact of Y that is reserved: one in five facts of things that are linked to,
 * which no training question asks, whether by one hop or two. */
#include "data/sample_int.h"

#include <string.h>

#include "util/json.h"
#include "util/unicode.h"

/* One-hop questions about an entity of dev or test. Training asks for each fact, and for what is
 * not told, in several wordings: one learns from them what the words of a question mean. */
enum { N_ONE_HOP = 6, TRAIN_WORDINGS = 3, MAX_FACTS = 64 };

static const char *const kind_names[] = {"one_hop", "two_hop", "unanswerable"};

typedef struct asker {
    const world *w;
    int64_t self;
    int split;
    int n_asked; /* numbers the ids */
    rng r;
    buf *out;
    buf question, answer, full, subject, value; /* scratch */
    sample_report *report;
} asker;

static const words *forms_for(int split, const words *ask, const words *hold) {
    return split == SAMPLE_TRAIN ? ask : hold;
}

/* A wording that bears "the town where X was born" in X's place: none with a possessive,
 * searched from index `first` on. */
static const char *plain_form(const words *forms, int64_t first) {
    for (int i = 0; i < forms->n; i++) {
        const char *form = forms->at[(first + i) % forms->n];
        if (!strstr(form, "{X's}")) return form;
    }
    return NULL;
}

/* ---- one line of JSON ---- */

static void add_alias(json_t *answers, const char *s) {
    for (size_t i = 0; i < json_array_size(answers); i++)
        if (strcmp(json_string_value(json_array_get(answers, i)), s) == 0) return;
    json_array_append_new(answers, json_string(s));
}

/* The answer first, then what else is right: without accents, without the comma of the
 * thousands, the American order of a date, the name with its article. */
static json_t *answers_of(const world *w, int64_t e, int rel, const char *answer) {
    const relation *r = &w->g->relations[rel];
    json_t *answers = json_pack("[s]", answer);
    buf b = {0};
    fact f;
    MUST(fact_of(w, e, rel, &f), "entity %lld", (long long)e);
    if (r->type == VALUE_ENTITY) {
        const char *article = w->g->kinds[r->target].article;
        buf_printf(&b, "%s%s%s", article ? article : "", article ? " " : "", answer);
        add_alias(answers, b.at);
        buf_reset(&b);
        utf8_add_form(&b, answer, strlen(answer), UTF8_NFD);
        size_t n = 0;
        for (size_t i = 0; i < b.len;) {
            size_t from = i;
            int32_t c = utf8_next(b.at, b.len, &i);
            if (utf8_class(c) == CHAR_MARK) continue;
            memmove(b.at + n, b.at + from, i - from);
            n += i - from;
        }
        b.at[n] = '\0';
        add_alias(answers, b.at);
    } else if (r->type == VALUE_DATE) {
        const char *month = strchr(answer, ' ') + 1, *year = strrchr(answer, ' ') + 1;
        buf_printf(&b, "%.*s %d, %s", (int)(year - 1 - month), month, f.day, year);
        add_alias(answers, b.at);
    } else if (r->type == VALUE_NUMBER) {
        for (const char *s = answer; *s; s++)
            if (*s != ',') buf_putc(&b, *s);
        add_alias(answers, b.at);
    }
    buf_clear(&b);
    return answers;
}

static char *document_of(const world *w, int64_t e) {
    return xasprintf("docs/%s.md", w->entities[e].slug);
}

/* Writes the question that lies in a->question. The fact asked is (last, rel); the
 * evidence is self's article and, by two hops, last's. */
static void emit(asker *a, int type, int64_t last, int rel) {
    const world *w = a->w;
    char *id = xasprintf("%s-%d", w->entities[a->self].slug, ++a->n_asked);
    json_t *documents = json_array();
    for (int hop = 0; hop < (last == a->self ? 1 : 2); hop++) {
        char *path = document_of(w, hop == 0 ? a->self : last);
        json_array_append_new(documents, json_string(path));
        free(path);
    }
    json_t *o = json_pack("{s:s, s:s}", "id", id, "question", a->question.at);
    bool is_answerable = type != 2;
    json_object_set_new(o, "answers",
                        is_answerable ? answers_of(w, last, rel, a->answer.at) : json_array());
    json_object_set_new(o, "documents", documents);
    if (is_answerable) json_object_set_new(o, "full_answer", json_string(a->full.at));
    json_object_set_new(o, "kind", json_string(kind_names[type]));
    json_object_set_new(o, "unanswerable", json_boolean(!is_answerable));
    char *line = json_line(o);
    buf_puts(&a->out[a->split], line);
    buf_putc(&a->out[a->split], '\n');
    free(line);
    free(id);
    json_decref(o);
    a->report->questions[a->split]++;
    (*(int64_t *[]){&a->report->one_hop, &a->report->two_hop, &a->report->unanswerable}[type])++;
}

/* Puts question, answer and full answer about (e, rel) into the scratch buffers. */
static void compose(asker *a, scene *s, int64_t e, int rel, const char *form) {
    const relation *r = &a->w->g->relations[rel];
    buf_reset(&a->question);
    buf_reset(&a->answer);
    buf_reset(&a->full);
    expand_sentence(s, form, &a->question);
    scene_fact(s, e, rel, &a->value);
    buf_puts(&a->answer, a->value.at);
    const char *plain = s->subject ? plain_form(&r->say, 0) : NULL;
    expand_sentence(s, plain ? plain : r->say.at[0], &a->full);
}

/* ---- the three kinds ---- */

/* Sorts the entity's relations into stated and untold ones, each in random order. */
static void sort_relations(asker *a, int64_t told[MAX_FACTS], int *n_told,
                           int64_t untold[MAX_FACTS], int *n_untold) {
    const world *w = a->w;
    const kind *k = &w->g->kinds[w->entities[a->self].kind];
    fact f;
    *n_told = *n_untold = 0;
    for (int i = 0; i < k->n_relations && i < MAX_FACTS; i++) {
        int rel = k->relations[i];
        if (fact_is_stated(w, a->self, rel)) {
            if (fact_may_be_asked(w, a->self, rel, a->split)) told[(*n_told)++] = rel;
        } else if (fact_of(w, a->self, rel, &f)) {
            untold[(*n_untold)++] = rel;
        }
    }
    rng_shuffle(&a->r, told, *n_told);
    rng_shuffle(&a->r, untold, *n_untold);
}

static void ask_one_hop(asker *a, const int64_t *told, int n_told) {
    int64_t first = rng_below(&a->r, 1 << 20);
    int n = a->split == SAMPLE_TRAIN ? TRAIN_WORDINGS * N_ONE_HOP : N_ONE_HOP;
    for (int i = 0; n_told > 0 && i < n; i++) {
        int rel = (int)told[i % n_told], round = i / n_told;
        const relation *r = &a->w->g->relations[rel];
        const words *forms = forms_for(a->split, &r->ask, &r->hold);
        if (round >= forms->n) continue; /* no wording left for it */
        scene s = {.w = a->w, .self = a->self, .other = -1, .r = &a->r};
        compose(a, &s, a->self, rel, forms->at[(first + rel + round) % forms->n]);
        emit(a, 0, a->self, rel);
    }
}

/* Asks for (y, rel) by way of the link from self to y; false if it may or can not. */
static bool ask_by_way(asker *a, int link_rel, int64_t y, int rel) {
    const world *w = a->w;
    const relation *link = &w->g->relations[link_rel], *r = &w->g->relations[rel];
    fact end;
    if (!fact_is_stated(w, y, rel) || !fact_may_be_asked(w, y, rel, a->split)) return false;
    if (!fact_of(w, y, rel, &end) || end.entity == a->self) return false;
    const words *forms = forms_for(a->split, &r->ask, &r->hold);
    const char *form = plain_form(forms, rng_below(&a->r, forms->n));
    if (!form) return false;
    const words *ofs = forms_for(a->split, &link->of, &link->of_hold);
    scene s = {.w = w, .self = a->self, .other = -1, .r = &a->r};
    buf_reset(&a->subject);
    expand(&s, ofs->at[rng_below(&a->r, ofs->n)], &a->subject);
    s.self = y;
    s.subject = a->subject.at;
    compose(a, &s, y, rel, form);
    emit(a, 1, y, rel);
    return true;
}

/* By any of the told links: first one whose far article tells the whole way in one place, else
 * (about one question in six) any fact of the far article. */
static void ask_two_hop(asker *a, const int64_t *told, int n_told) {
    const world *w = a->w;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n_told; i++) {
            int link_rel = (int)told[i];
            fact f;
            if (!w->g->relations[link_rel].of.n || !fact_of(w, a->self, link_rel, &f)) continue;
            if (pass == 0) {
                int rel = article_bridge(w, f.entity, a->self, link_rel);
                if (rel >= 0 && ask_by_way(a, link_rel, f.entity, rel)) return;
                continue;
            }
            const kind *k = &w->g->kinds[w->g->relations[link_rel].target];
            int64_t first = rng_below(&a->r, k->n_relations);
            for (int j = 0; j < k->n_relations; j++)
                if (ask_by_way(a, link_rel, f.entity, k->relations[(first + j) % k->n_relations]))
                    return;
        }
    }
}

static void ask_untold(asker *a, const int64_t *untold, int n_untold) {
    /* A little more than one an article, because some articles tell everything. */
    int wanted = 1 + (rng_below(&a->r, 100) < 10);
    int wordings = a->split == SAMPLE_TRAIN ? TRAIN_WORDINGS : 1;
    for (int i = 0; i < n_untold && i < wanted; i++) {
        const relation *r = &a->w->g->relations[untold[i]];
        const words *forms = forms_for(a->split, &r->ask, &r->hold);
        int64_t first = rng_below(&a->r, forms->n);
        for (int j = 0; j < wordings && j < forms->n; j++) {
            scene s = {.w = a->w, .self = a->self, .other = -1, .r = &a->r};
            buf_reset(&a->question);
            expand_sentence(&s, forms->at[(first + j) % forms->n], &a->question);
            emit(a, 2, a->self, (int)untold[i]);
        }
    }
}

void questions_write(const world *w, int64_t e, buf out[SAMPLE_SPLITS], sample_report *report) {
    asker a = {.w = w, .self = e, .split = world_split(w, e), .out = out, .report = report};
    a.r = world_draw(w, e, DRAW_QUESTION, 0);
    int64_t told[MAX_FACTS], untold[MAX_FACTS];
    int n_told, n_untold;
    sort_relations(&a, told, &n_told, untold, &n_untold);
    ask_one_hop(&a, told, n_told);
    /* every other entity of dev and test, each of training more than once */
    int chains = a.split == SAMPLE_TRAIN ? TRAIN_WORDINGS - 1 : (int)rng_below(&a.r, 2);
    for (int i = 0; i < chains; i++) {
        ask_two_hop(&a, told, n_told);
        rng_shuffle(&a.r, told, n_told);
    }
    ask_untold(&a, untold, n_untold);
    buf_clear(&a.question);
    buf_clear(&a.answer);
    buf_clear(&a.full);
    buf_clear(&a.subject);
    buf_clear(&a.value);
}
