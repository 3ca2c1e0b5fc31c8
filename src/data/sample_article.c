/* The article of one entity: its stated facts in random order and wording, told between
 * things that make reading necessary: scenery, other entities' facts that touch this one,
 * and the confusion with a namesake. Some facts are told twice, in two wordings.
 *
 * How the subject is named is moderate: in full where a paragraph begins or another entity
 * has just been spoken of, else mostly in full or short, sometimes by a pronoun; so a window
 * of some 45 words under the title can nearly always be read by itself. */
#include "data/sample_int.h"

#include <string.h>

enum {
    MAX_ITEMS = 64,
    MAX_FACTS = 13, /* told in one article */
    MIN_SENTENCES = 8,
    MAX_BACK = 3,
    REPEAT_PERCENT = 30,
    CONFUSE_PERCENT = 60
};

typedef enum item_type { ITEM_FACT, ITEM_FILL, ITEM_BACK, ITEM_CONFUSE } item_type;

typedef struct item {
    item_type type;
    int form;      /* index of the template */
    int relation;  /* ITEM_FACT, ITEM_BACK; ITEM_CONFUSE: what is said of the other */
    int64_t other; /* ITEM_BACK, ITEM_CONFUSE */
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
        plan_insert(p, p->n, (item){ITEM_FACT, form, rel, -1});
    }
}

/* Sentences about others that end here: "Sel Varrin was born in Belmora". */
static void plan_back(const world *w, int64_t e, rng *r, plan *p) {
    int64_t first = w->links_from[e], n = w->links_from[e + 1] - first;
    int64_t start = n > 0 ? rng_below(r, n) : 0;
    for (int64_t i = 0; i < n && i < MAX_BACK; i++) {
        const backlink *l = &w->links[first + (start + i) % n];
        int form = (int)rng_below(r, w->g->relations[l->relation].back.n);
        plan_insert(p, p->n, (item){ITEM_BACK, form, l->relation, l->from});
    }
}

/* The namesake, or now and then any other of its kind, and one fact about it. */
static void plan_confuse(const world *w, int64_t e, rng *r, plan *p) {
    const entity *x = &w->entities[e];
    const kind *k = &w->g->kinds[x->kind];
    int64_t other = x->namesake;
    if (!k->confuse.n || other < 0 || rng_below(r, 100) >= CONFUSE_PERCENT + 30) return;
    int64_t order[64];
    int n = shuffled(r, k->n_relations, order);
    for (int i = 0; i < n; i++) {
        int rel = k->relations[order[i]];
        if (!fact_is_stated(w, other, rel)) continue;
        plan_insert(p, p->n, (item){ITEM_CONFUSE, (int)rng_below(r, k->confuse.n), rel, other});
        return;
    }
}

static void plan_fill(const world *w, int64_t e, rng *r, plan *p) {
    const kind *k = &w->g->kinds[w->entities[e].kind];
    int64_t order[64];
    int n = shuffled(r, k->fill.n, order), wanted = 1 + (int)rng_below(r, 3);
    for (int i = 0; i < n && (i < wanted || p->n < MIN_SENTENCES - 1); i++)
        plan_insert(p, p->n, (item){ITEM_FILL, (int)order[i], -1, -1});
}

static void plan_shuffle(rng *r, plan *p) {
    for (int i = p->n - 1; i > 0; i--) {
        int j = (int)rng_below(r, i + 1);
        item t = p->at[i];
        p->at[i] = p->at[j];
        p->at[j] = t;
    }
}

/* Tells some facts again, in another wording, at least four sentences later. */
static void plan_repeats(const world *w, rng *r, plan *p) {
    for (int i = 0, n = p->n; i + 4 < n; i++) {
        item again = p->at[i];
        if (again.type != ITEM_FACT || rng_below(r, 100) >= REPEAT_PERCENT) continue;
        int n_say = w->g->relations[again.relation].say.n;
        if (n_say < 2) continue;
        again.form = (again.form + 1 + (int)rng_below(r, n_say - 1)) % n_say;
        plan_insert(p, i + 4 + (int)rng_below(r, p->n - i - 3), again);
    }
}

/* One item as one sentence or two. Returns whether a pronoun may follow. */
static bool write_item(const scene *base, const item *it, buf *text, buf *out) {
    const grammar *g = base->w->g;
    const relation *r = it->relation >= 0 ? &g->relations[it->relation] : NULL;
    const kind *k = &g->kinds[base->w->entities[base->self].kind];
    scene s = *base;
    s.other = it->other;
    switch (it->type) {
    case ITEM_FACT:
        scene_fact(&s, s.self, it->relation, text);
        expand_sentence(&s, r->say.at[it->form], out);
        return r->type != VALUE_ENTITY;
    case ITEM_FILL:
        expand_sentence(&s, k->fill.at[it->form], out);
        return !strchr(k->fill.at[it->form], '@');
    case ITEM_BACK: expand_sentence(&s, r->back.at[it->form], out); return false;
    case ITEM_CONFUSE:
        s.mention = MENTION_FULL;
        expand_sentence(&s, k->confuse.at[it->form], out);
        buf_putc(out, ' ');
        s.self = it->other;
        s.other = -1;
        scene_fact(&s, s.self, it->relation, text);
        expand_sentence(&s, r->say.at[rng_below(s.r, r->say.n)], out);
        return false;
    }
    return false;
}

static mention draw_mention(rng *r, bool pronoun_is_clear) {
    int64_t d = rng_below(r, 100);
    if (d < 25 && pronoun_is_clear) return MENTION_PRONOUN;
    return d < 55 ? MENTION_SHORT : MENTION_FULL;
}

void article_write(const world *w, int64_t e, buf *out) {
    const kind *k = &w->g->kinds[w->entities[e].kind];
    rng r = world_draw(w, e, DRAW_ARTICLE, 0);
    plan p = {.n = 0};
    plan_facts(w, e, &r, &p);
    plan_back(w, e, &r, &p);
    plan_confuse(w, e, &r, &p);
    plan_fill(w, e, &r, &p);
    plan_shuffle(&r, &p);
    plan_repeats(w, &r, &p);
    int lead = k->relations[0];
    plan_insert(&p, 0, (item){ITEM_FACT, (int)rng_below(&r, w->g->relations[lead].say.n), lead, -1});

    scene s = {.w = w, .self = e, .other = -1, .r = &r};
    buf text = {0};
    bool is_clear = false; /* whose turn a pronoun would take */
    int left = 0;          /* sentences until the paragraph ends */
    buf_printf(out, "# %s\n", w->entities[e].name);
    for (int i = 0; i < p.n; i++) {
        bool is_first = left == 0;
        if (is_first) left = 3 + (int)rng_below(&r, 3);
        buf_puts(out, is_first ? "\n" : " ");
        s.mention = is_first || (p.at[i].type != ITEM_FACT && !is_clear) ? MENTION_FULL
                                                                         : draw_mention(&r, is_clear);
        is_clear = write_item(&s, &p.at[i], &text, out);
        if (--left == 0 || i == p.n - 1) {
            buf_putc(out, '\n');
            left = 0;
        }
    }
    buf_clear(&text);
}
