/* The article of one entity: its stated facts in random order and wording, told between
 * things that make reading necessary: scenery, other entities' facts that touch this one,
 * and the confusion with a namesake. Some facts are told twice, in two wordings.
 *
 * How the subject is named is moderate: in full where a paragraph begins or another entity
 * of its kind has just been spoken of, else mostly in full or short, sometimes by a pronoun; so a
 * window of some 45 words under the title can nearly always be read by itself. */
#include "data/sample_int.h"

#include <string.h>

enum {
    MAX_ITEMS = 64,
    MAX_FACTS = 13, /* told in one article */
    MIN_SENTENCES = 8,
    ENOUGH_SENTENCES = 20, /* then nothing is added any more */
    MAX_BACK = 4,
    REPEAT_PERCENT = 25,
    CONFUSE_PERCENT = 90,
    COMPARE_PERCENT = 50,
    OPENING_PERCENT = 18
};

typedef enum item_type {
    ITEM_FACT,
    ITEM_FILL,
    ITEM_BACK,    /* another entity's fact that points here */
    ITEM_CONFUSE, /* the namesake, and a fact of it */
    ITEM_COMPARE  /* any other of its kind, and a fact of it */
} item_type;

typedef struct item {
    item_type type;
    int form;      /* index of the template */
    int relation;  /* whose fact is told; -1 for ITEM_FILL */
    int64_t other; /* the other entity, or -1 */
    int bridge;    /* ITEM_BACK: relation of the own fact told right after it, or -1 */
    int bridge_form;
} item;

typedef struct plan {
    item at[MAX_ITEMS];
    int n;
} plan;

static void plan_insert(plan *p, int at, item it) {
    if (p->n == MAX_ITEMS) return;
    memmove(&p->at[at + 1], &p->at[at], (size_t)(p->n - at) * sizeof *p->at);
    p->at[at] = it;
    p->n++;
}

static int n_sentences(const plan *p) {
    int n = 1; /* the opening one */
    for (int i = 0; i < p->n; i++) {
        bool is_pair =
            p->at[i].type == ITEM_BACK ? p->at[i].bridge >= 0 : p->at[i].type > ITEM_BACK;
        n += is_pair ? 2 : 1;
    }
    return n;
}

static bool is_told(const plan *p, int rel, int form) {
    for (int i = 0; i < p->n; i++) {
        const item *it = &p->at[i];
        if (it->type == ITEM_FACT && it->relation == rel && it->form == form) return true;
        if (it->type == ITEM_BACK && it->bridge == rel && it->bridge_form == form) return true;
    }
    return false;
}

/* A wording of the own fact that the plan does not have yet, or -1. */
static int fresh_form(const world *w, const plan *p, int rel, rng *r) {
    int n = w->g->relations[rel].say.n, first = (int)rng_below(r, n);
    for (int i = 0; i < n; i++)
        if (!is_told(p, rel, (first + i) % n)) return (first + i) % n;
    return -1;
}

/* n indices 0..n-1 in random order, at most 64. */
static int shuffled(rng *r, int64_t n, int64_t order[64]) {
    if (n > 64) n = 64;
    for (int64_t i = 0; i < n; i++) order[i] = i;
    rng_shuffle(r, order, n);
    return (int)n;
}

/* All stated facts but the opening one, in the grammar's order. */
static void plan_facts(const world *w, int64_t e, rng *r, plan *p) {
    const kind *k = &w->g->kinds[w->entities[e].kind];
    for (int i = 1; i < k->n_relations && p->n < MAX_FACTS; i++) {
        int rel = k->relations[i];
        if (!fact_is_stated(w, e, rel)) continue;
        int form = (int)rng_below(r, w->g->relations[rel].say.n);
        plan_insert(p, p->n, (item){ITEM_FACT, form, rel, -1, -1, 0});
    }
}

/* Chooses for it->bridge a fact of e that a question by way of it->other may ask for. */
static void draw_bridge(const world *w, int64_t e, const plan *p, rng *r, item *it) {
    const kind *k = &w->g->kinds[w->entities[e].kind];
    int64_t order[64];
    int n = shuffled(r, k->n_relations, order), split = world_split(w, it->other);
    for (int i = 0; i < n && it->bridge < 0; i++) {
        int rel = k->relations[order[i]];
        fact f;
        if (order[i] == 0 || !fact_is_stated(w, e, rel) || !fact_may_be_asked(w, e, rel, split))
            continue;
        if (!fact_of(w, e, rel, &f) || f.entity == it->other) continue;
        it->bridge_form = fresh_form(w, p, rel, r);
        if (it->bridge_form >= 0) it->bridge = rel;
    }
}

/* Sentences about others that end here: "Sel Varrin was born in Belmora"; no wording twice.
 * Each is followed by a fact of this entity. */
static void plan_back(const world *w, int64_t e, rng *r, plan *p) {
    int64_t first = w->links_from[e], n = w->links_from[e + 1] - first;
    int64_t start = n > 0 ? rng_below(r, n) : 0;
    int begin = p->n;
    for (int64_t i = 0; i < n && p->n < begin + MAX_BACK; i++) {
        const backlink *l = &w->links[first + (start + i) % n];
        int form = (int)rng_below(r, w->g->relations[l->relation].back.n);
        bool is_new = true;
        for (int j = begin; j < p->n; j++)
            is_new = is_new && (p->at[j].relation != l->relation || p->at[j].form != form);
        if (!is_new) continue;
        item it = {ITEM_BACK, form, l->relation, l->from, -1, 0};
        draw_bridge(w, e, p, r, &it);
        plan_insert(p, p->n, it);
    }
}

/* A sentence about this entity and another of its kind, then a fact of the other. */
static void plan_other(const world *w, item_type type, const words *forms, int64_t other, rng *r,
                       plan *p) {
    const kind *k = &w->g->kinds[w->entities[other].kind];
    int64_t order[64];
    int n = forms->n ? shuffled(r, k->n_relations, order) : 0;
    for (int i = 0; i < n; i++) {
        int rel = k->relations[order[i]];
        if (!fact_is_stated(w, other, rel)) continue;
        plan_insert(p, p->n, (item){type, (int)rng_below(r, forms->n), rel, other, -1, 0});
        return;
    }
}

static void plan_others(const world *w, int64_t e, rng *r, plan *p) {
    const entity *x = &w->entities[e];
    const kind *k = &w->g->kinds[x->kind];
    int64_t any = w->members[x->kind][rng_below(r, w->n_members[x->kind])];
    if (x->namesake >= 0 && rng_below(r, 100) < CONFUSE_PERCENT)
        plan_other(w, ITEM_CONFUSE, &k->confuse, x->namesake, r, p);
    if (any != e && any != x->namesake && rng_below(r, 100) < COMPARE_PERCENT)
        plan_other(w, ITEM_COMPARE, &k->compare, any, r, p);
}

static void plan_fill(const world *w, int64_t e, rng *r, plan *p) {
    const kind *k = &w->g->kinds[w->entities[e].kind];
    int64_t order[64];
    int n = shuffled(r, k->fill.n, order), wanted = 2 + (int)rng_below(r, 3);
    for (int i = 0; i < n && n_sentences(p) < (i < wanted ? ENOUGH_SENTENCES : MIN_SENTENCES); i++)
        plan_insert(p, p->n, (item){ITEM_FILL, (int)order[i], -1, -1, -1, 0});
}

static void plan_shuffle(rng *r, plan *p) {
    for (int i = p->n - 1; i > 0; i--) {
        int j = (int)rng_below(r, i + 1);
        item t = p->at[i];
        p->at[i] = p->at[j];
        p->at[j] = t;
    }
}

/* Moves a fact away that would be told twice in a row. */
static void plan_separate(plan *p) {
    for (int i = 1; i < p->n; i++) {
        const item *a = &p->at[i - 1], *b = &p->at[i];
        int before = a->type == ITEM_BACK ? a->bridge : a->relation;
        if (b->type != ITEM_FACT || b->relation != before) continue;
        item t = *b;
        int to = i + 2 < p->n ? i + 2 : 0;
        p->at[i] = p->at[to];
        p->at[to] = t;
    }
}

/* Tells some facts again, in another wording, at least four sentences later. */
static void plan_repeats(const world *w, rng *r, plan *p) {
    for (int i = 0, n = p->n; i + 4 < n && n_sentences(p) < ENOUGH_SENTENCES; i++) {
        item again = p->at[i];
        if (again.type != ITEM_FACT || rng_below(r, 100) >= REPEAT_PERCENT) continue;
        again.form = fresh_form(w, p, again.relation, r);
        if (again.form < 0) continue;
        plan_insert(p, i + 4 + (int)rng_below(r, p->n - i - 3), again);
    }
}

/* A fact as a sentence, now and then after an opening: "By all accounts, the town ...". */
static void write_fact(const scene *s, const char *form, bool may_open, buf *out) {
    const words *openings = &s->w->g->openings;
    if (!may_open || !openings->n || rng_below(s->r, 100) >= OPENING_PERCENT) {
        expand_sentence(s, form, out);
        return;
    }
    buf_printf(out, "%s ", openings->at[rng_below(s->r, openings->n)]);
    size_t at = out->len;
    expand(s, form, out);
    if (form[0] >= 'A' && form[0] <= 'Z') out->at[at] = (char)(form[0] - 'A' + 'a');
}

/* This entity beside another, then a fact of the other. */
static void write_other(scene s, const item *it, const words *forms, buf *text, buf *out) {
    const words *say = &s.w->g->relations[it->relation].say;
    s.mention = MENTION_FULL;
    s.other = it->other;
    expand_sentence(&s, forms->at[it->form], out);
    buf_putc(out, ' ');
    s.self = it->other;
    scene_fact(&s, s.self, it->relation, text);
    expand_sentence(&s, say->at[rng_below(s.r, say->n)], out);
}

/* How the subject may be named next, after a sentence that speaks of an entity of kind k: in
 * full if it is of the same kind ("the town" could be either), else not by a pronoun. */
static mention after_kind(const scene *s, int k) {
    return s->w->entities[s->self].kind == k ? MENTION_FULL : MENTION_SHORT;
}

/* One item as one sentence or two. Returns the briefest way to name the subject next. */
static mention write_item(const scene *base, const item *it, bool may_open, buf *text, buf *out) {
    const world *w = base->w;
    const grammar *g = w->g;
    const relation *r = it->relation >= 0 ? &g->relations[it->relation] : NULL;
    const kind *k = &g->kinds[w->entities[base->self].kind];
    scene s = *base;
    s.other = it->other;
    switch (it->type) {
    case ITEM_FACT:
        scene_fact(&s, s.self, it->relation, text);
        write_fact(&s, r->say.at[it->form], may_open, out);
        return r->type == VALUE_ENTITY ? after_kind(&s, r->target) : MENTION_PRONOUN;
    case ITEM_FILL:
        expand_sentence(&s, k->fill.at[it->form], out);
        return strchr(k->fill.at[it->form], '@') ? MENTION_FULL : MENTION_PRONOUN;
    case ITEM_BACK:
        expand_sentence(&s, r->back.at[it->form], out);
        s.mention = after_kind(&s, r->kind);
        if (it->bridge < 0) return s.mention;
        r = &g->relations[it->bridge];
        buf_putc(out, ' ');
        scene_fact(&s, s.self, it->bridge, text);
        expand_sentence(&s, r->say.at[it->bridge_form], out);
        return r->type == VALUE_ENTITY ? after_kind(&s, r->target) : MENTION_SHORT;
    case ITEM_CONFUSE:
        write_other(s, it, &k->confuse, text, out);
        break;
    case ITEM_COMPARE:
        write_other(s, it, &k->compare, text, out);
        break;
    }
    return MENTION_FULL;
}

static mention draw_mention(rng *r, mention briefest) {
    int64_t d = rng_below(r, 100);
    mention drawn = d < 25 ? MENTION_PRONOUN : d < 55 ? MENTION_SHORT : MENTION_FULL;
    return drawn < briefest ? drawn : briefest;
}

static plan make_plan(const world *w, int64_t e, rng *r) {
    plan p = {.n = 0};
    plan_facts(w, e, r, &p);
    plan_back(w, e, r, &p);
    plan_others(w, e, r, &p);
    plan_fill(w, e, r, &p);
    plan_shuffle(r, &p);
    plan_separate(&p);
    plan_repeats(w, r, &p);
    int lead = w->g->kinds[w->entities[e].kind].relations[0];
    int form = (int)rng_below(r, w->g->relations[lead].say.n);
    if (fact_is_stated(w, e, lead)) /* a world of a few articles may lack the kind it links to */
        plan_insert(&p, 0, (item){ITEM_FACT, form, lead, -1, -1, 0});
    return p;
}

int article_bridge(const world *w, int64_t e, int64_t x, int link_relation) {
    rng r = world_draw(w, e, DRAW_ARTICLE, 0);
    plan p = make_plan(w, e, &r);
    for (int i = 0; i < p.n; i++)
        if (p.at[i].type == ITEM_BACK && p.at[i].other == x && p.at[i].relation == link_relation)
            return p.at[i].bridge;
    return -1;
}

void article_write(const world *w, int64_t e, buf *out) {
    rng r = world_draw(w, e, DRAW_ARTICLE, 0);
    plan p = make_plan(w, e, &r);
    scene s = {.w = w, .self = e, .other = -1, .r = &r};
    buf text = {0};
    mention briefest = MENTION_FULL;
    int left = 0; /* items until the paragraph ends */
    buf_printf(out, "# %s\n", w->entities[e].name);
    for (int i = 0; i < p.n; i++) {
        bool is_first = left == 0;
        if (is_first) {
            left = 3 + (int)rng_below(&r, 3);
            if (p.n - i - left == 1) left++; /* no paragraph of a single sentence */
        }
        buf_puts(out, is_first ? "\n" : " ");
        s.mention = draw_mention(&r, is_first ? MENTION_FULL : briefest);
        briefest = write_item(&s, &p.at[i], i > 0, &text, out);
        if (--left == 0 || i == p.n - 1) {
            buf_putc(out, '\n');
            left = 0;
        }
    }
    buf_clear(&text);
}
