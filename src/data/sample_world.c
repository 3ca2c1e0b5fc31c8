/* The world of the fictional encyclopedia: who exists, under which name, and what is true.
 *
 * Names are made one after another, because each must differ from all before it; one in
 * six is made nearly equal to an earlier one on purpose (Belmora, Belmoria), so that finding
 * the right article takes reading, not just spelling. Facts are functions of the seed. */
#include "data/sample_int.h"

#include <stdlib.h>
#include <string.h>

#include "util/hash.h"
#include "util/unicode.h"

enum {
    STATED_PERCENT = 78,
    RESERVED_PERCENT = 20,
    NAMESAKE_PERCENT = 17,
    DEV_PERCENT = 10,
    TEST_PERCENT = 10
};

rng world_draw(const world *w, int64_t e, int purpose, int rel) {
    uint64_t stream = rng_hash(w->seed, (uint64_t)e);
    return rng_new(rng_hash(stream, (uint64_t)purpose << 32 | (uint64_t)(uint32_t)rel));
}

int world_split(const world *w, int64_t e) {
    const char *slug = w->entities[e].slug;
    int64_t percent = (int64_t)(hash64(slug, strlen(slug)) % 100);
    return percent < DEV_PERCENT                  ? SAMPLE_DEV
           : percent < DEV_PERCENT + TEST_PERCENT ? SAMPLE_TEST
                                                  : SAMPLE_TRAIN;
}

/* ---- facts ---- */

/* The entity a link points at, or -1.
 *
 * owner  the i-th of a kind belongs to the i-th of the other kind, those beyond to any
 * owned  the other way round: so a country's capital is a town of this country
 * A link inside one kind goes to an earlier ordinal, so that nothing flows in circles. */
static int64_t link_of(const world *w, const entity *x, const relation *r, rng *draw) {
    int64_t n = w->n_members[r->target];
    if (r->link == LINK_OWNED) return x->ordinal < n ? w->members[r->target][x->ordinal] : -1;
    if (r->link == LINK_OWNER && x->ordinal < n) return w->members[r->target][x->ordinal];
    if (r->target == x->kind) n = x->ordinal;
    return n > 0 ? w->members[r->target][rng_below(draw, n)] : -1;
}

static bool year_of(const world *w, int64_t e, const relation *r, rng *draw, int64_t *year) {
    int64_t base = 0;
    if (r->after) {
        fact before;
        if (r->after_link >= 0) {
            if (!fact_of(w, e, r->after_link, &before)) return false;
            e = before.entity;
        }
        if (!fact_of(w, e, r->after_relation, &before)) return false;
        base = before.year;
    }
    *year = base + r->lo + rng_below(draw, r->hi - r->lo + 1);
    return true;
}

bool fact_of(const world *w, int64_t e, int rel, fact *out) {
    const relation *r = &w->g->relations[rel];
    rng draw = world_draw(w, e, DRAW_FACT, rel);
    fact f = {.entity = -1};
    switch (r->type) {
    case VALUE_DATE:
        f.month = 1 + (int)rng_below(&draw, 12);
        f.day = 1 + (int)rng_below(&draw, f.month == 2 ? 28 : 30);
        /* fall through */
    case VALUE_YEAR:
        if (!year_of(w, e, r, &draw, &f.year)) return false;
        break;
    case VALUE_NUMBER:
        f.number = r->lo + r->step * rng_below(&draw, (r->hi - r->lo) / r->step + 1);
        break;
    case VALUE_TABLE:
        f.entry = (int)rng_below(&draw, w->g->tables[r->target].entries.n);
        break;
    case VALUE_ENTITY:
        f.entity = link_of(w, &w->entities[e], r, &draw);
        if (f.entity < 0) return false;
        break;
    case VALUE_WORDS:
        break; /* drawn where it is written */
    }
    *out = f;
    return true;
}

bool fact_is_stated(const world *w, int64_t e, int rel) {
    const relation *r = &w->g->relations[rel];
    fact f;
    if (!fact_of(w, e, rel, &f)) return false;
    rng draw = world_draw(w, e, DRAW_STATED, rel);
    return r->is_always || rng_below(&draw, 100) < STATED_PERCENT;
}

static bool is_reserved(const world *w, int64_t e, int rel) {
    if (!w->g->kinds[w->entities[e].kind].is_linked) return false;
    rng draw = world_draw(w, e, DRAW_RESERVED, rel);
    return rng_below(&draw, 100) < RESERVED_PERCENT;
}

bool fact_may_be_asked(const world *w, int64_t e, int rel, int split) {
    bool is_same_split = world_split(w, e) == split;
    if (split == SAMPLE_TRAIN) return is_same_split && !is_reserved(w, e, rel);
    return is_same_split || (world_split(w, e) == SAMPLE_TRAIN && is_reserved(w, e, rel));
}

static void put_number(int64_t n, buf *out) {
    if (n >= 1000) {
        put_number(n / 1000, out);
        buf_printf(out, ",%03d", (int)(n % 1000));
    } else {
        buf_printf(out, "%d", (int)n);
    }
}

void fact_text(const world *w, int64_t e, int rel, const fact *f, buf *out) {
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    const relation *r = &w->g->relations[rel];
    rng draw = world_draw(w, e, DRAW_FACT, rel);
    switch (r->type) {
    case VALUE_DATE:
        buf_printf(out, "%d %s ", f->day, months[f->month - 1]); /* fall through */
    case VALUE_YEAR:
        buf_printf(out, "%d", (int)f->year);
        break;
    case VALUE_NUMBER:
        put_number(f->number, out);
        if (*r->unit) buf_printf(out, " %s", r->unit);
        break;
    case VALUE_TABLE:
        buf_puts(out, w->g->tables[r->target].entries.at[f->entry]);
        break;
    case VALUE_ENTITY:
        buf_puts(out, w->entities[f->entity].name);
        break;
    case VALUE_WORDS:
        expand(&(scene){.w = w, .self = e, .other = -1, .r = &draw}, r->pattern, out);
        break;
    }
}

/* ---- names ---- */

static const char *pick(rng *r, const words *list) {
    return list->at[rng_below(r, list->n)];
}

/* An invented word. Retries after a clash grow longer, so there are always enough. */
static void put_root(rng *r, const language *l, int n_tries, buf *out) {
    int64_t d = rng_below(r, 100);
    int64_t n_middle = (d < 55 ? 0 : d < 97 ? 1 : 2) + n_tries / 4;
    buf_puts(out, pick(r, &l->first));
    while (n_middle-- > 0) buf_puts(out, pick(r, &l->middle));
    buf_puts(out, pick(r, &l->last));
}

static void put_given(rng *r, const language *l, bool is_female, buf *out) {
    buf_puts(out, pick(r, &l->first));
    if (rng_below(r, 100) < 25) buf_puts(out, pick(r, &l->middle));
    buf_puts(out, pick(r, is_female ? &l->given_f : &l->given_m));
}

static char next_vowel(char c) {
    static const char vowels[] = "aeoiua";
    const char *at = strchr(vowels, c);
    return c && at ? at[1] : '\0';
}

/* Copies a root with one small change: its last vowel another one, an i before a final
 * vowel, or a letter doubled. Where the chosen change cannot be made, the copy is equal and
 * the caller tries again. */
static void put_near_root(rng *r, const char *root, buf *out) {
    enum { VOWEL, INSERT, DOUBLE, WAYS };
    int64_t way = rng_below(r, WAYS);
    size_t n = strlen(root), vowel = 0, twin = 0;
    for (size_t i = 1; i < n; i++) {
        if (next_vowel(root[i])) vowel = i;
        bool is_between = next_vowel(root[i - 1]) && next_vowel(root[i + 1]);
        if (is_between && strchr("lnrst", root[i]) && !twin) twin = i;
    }
    bool may_change = vowel > 0 && next_vowel(root[vowel]) != root[vowel - 1];
    bool may_insert = vowel == n - 1 && !next_vowel(root[n - 2]) && root[vowel] != 'i';
    for (size_t i = 0; i < n; i++) {
        if (way == INSERT && i == vowel && may_insert) buf_putc(out, 'i');
        if (way == DOUBLE && i == twin && i > 0) buf_putc(out, root[i]);
        buf_putc(out, way == VOWEL && i == vowel && may_change ? next_vowel(root[i]) : root[i]);
    }
}

/* Lower-case ASCII letters and digits of the name, all else turned to "-". */
static void put_slug(const char *name, buf *out) {
    buf plain = {0};
    utf8_add_form(&plain, name, strlen(name), UTF8_NFD);
    bool gap = false;
    for (size_t i = 0; i < plain.len; i++) {
        char c = plain.at[i];
        if ((c & 0x80) || c == '\'') continue; /* accents, apostrophes */
        if (c >= 'A' && c <= 'Z') c = (char)(c + 'a' - 'A');
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            if (gap && out->len) buf_putc(out, '-');
            buf_putc(out, c);
            gap = false;
        } else {
            gap = true;
        }
    }
    buf_clear(&plain);
}

static int64_t *find_slot(const world *w, const char *slug) {
    uint64_t at = hash64(slug, strlen(slug));
    for (;; at++) {
        int64_t *slot = &w->slots[at & (uint64_t)(w->n_slots - 1)];
        if (*slot < 0 || strcmp(w->entities[*slot].slug, slug) == 0) return slot;
    }
}

int64_t world_find(const world *w, const char *slug) {
    return *find_slot(w, slug);
}

/* The whole name by one of the kind's patterns; words_seed draws pattern and table words, so
 * that namesakes share both. */
static void put_name(const world *w, const entity *x, buf *out) {
    rng draw = rng_new(x->words_seed);
    scene s = {.w = w, .self = x - w->entities, .other = -1, .r = &draw};
    expand_sentence(&s, pick(&draw, &w->g->kinds[x->kind].names), out);
}

/* Draws x's words afresh, or by a small change from namesake's. */
static void draw_words(world *w, rng *r, entity *x, int n_tries) {
    const language *l = &w->g->languages[rng_below(r, w->g->n_languages)];
    buf root = {0}, given = {0};
    if (x->namesake >= 0) {
        const entity *y = &w->entities[x->namesake];
        x->words_seed = y->words_seed;
        x->is_female = y->is_female;
        bool change_given = w->g->kinds[x->kind].is_person && rng_below(r, 2);
        change_given ? buf_puts(&root, y->root) : put_near_root(r, y->root, &root);
        change_given ? put_near_root(r, y->given, &given) : buf_puts(&given, y->given);
    } else {
        x->words_seed = rng_next(r);
        x->is_female = rng_below(r, 2);
        put_root(r, l, n_tries, &root);
        if (w->g->kinds[x->kind].is_person) put_given(r, l, x->is_female, &given);
    }
    x->root = arena_strdup(w->mem, root.at);
    x->given = arena_strdup(w->mem, given.at ? given.at : "");
    buf_clear(&root);
    buf_clear(&given);
}

static void name_entity(world *w, int64_t e) {
    entity *x = &w->entities[e];
    rng r = world_draw(w, e, DRAW_NAME, 0);
    buf name = {0}, slug = {0};
    x->namesake = -1;
    if (x->ordinal > 0 && rng_below(&r, 100) < NAMESAKE_PERCENT)
        x->namesake = w->members[x->kind][rng_below(&r, x->ordinal)];
    for (int n_tries = 0;; n_tries++) {
        size_t mark = arena_mark(w->mem);
        if (n_tries == 8) x->namesake = -1;
        draw_words(w, &r, x, n_tries);
        buf_reset(&name);
        buf_reset(&slug);
        put_name(w, x, &name);
        put_slug(name.at, &slug);
        int64_t *slot = find_slot(w, slug.at);
        if (*slot < 0) {
            x->name = arena_strdup(w->mem, name.at);
            x->slug = arena_strdup(w->mem, slug.at);
            *slot = e;
            break;
        }
        arena_reset(w->mem, mark);
    }
    if (x->namesake >= 0 && w->entities[x->namesake].namesake < 0)
        w->entities[x->namesake].namesake = e;
    buf_clear(&name);
    buf_clear(&slug);
}

/* ---- the whole ---- */

/* Gives each entity its kind: at every step the kind that is furthest behind its share. */
static void assign_kinds(world *w) {
    const grammar *g = w->g;
    int64_t total = 0;
    for (int k = 0; k < g->n_kinds; k++) total += g->kinds[k].weight;
    for (int64_t e = 0; e < w->n; e++) {
        int best = 0;
        double most = -1e300;
        for (int k = 0; k < g->n_kinds; k++) {
            double share = (double)g->kinds[k].weight / (double)total;
            double behind = share * (double)(e + 1) - (double)w->n_members[k];
            if (behind > most) {
                most = behind;
                best = k;
            }
        }
        w->entities[e].kind = best;
        w->entities[e].ordinal = (int32_t)w->n_members[best]++;
    }
    for (int k = 0; k < g->n_kinds; k++)
        w->members[k] = ARENA_ARRAY(w->mem, int64_t, w->n_members[k] + 1);
    for (int64_t e = 0; e < w->n; e++) w->members[w->entities[e].kind][w->entities[e].ordinal] = e;
}

/* Visits every stated link; pass 0 counts them by target, pass 1 puts them in place. */
static void gather_links(world *w) {
    int64_t *next = xcalloc((size_t)w->n + 1, sizeof *next);
    w->links_from = arena_push(w->mem, (size_t)(w->n + 1) * sizeof *w->links_from);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t e = 0; e < w->n; e++) {
            const kind *k = &w->g->kinds[w->entities[e].kind];
            for (int i = 0; i < k->n_relations; i++) {
                const relation *r = &w->g->relations[k->relations[i]];
                fact f;
                if (!r->back.n || !fact_is_stated(w, e, k->relations[i])) continue;
                MUST(fact_of(w, e, k->relations[i], &f), "entity %lld", (long long)e);
                if (pass == 0)
                    w->links_from[f.entity + 1]++;
                else
                    w->links[next[f.entity]++] = (backlink){e, k->relations[i]};
            }
        }
        if (pass == 1) break;
        for (int64_t e = 0; e < w->n; e++) w->links_from[e + 1] += w->links_from[e];
        w->links = ARENA_ARRAY(w->mem, backlink, w->links_from[w->n] + 1);
        memcpy(next, w->links_from, (size_t)w->n * sizeof *next);
    }
    free(next);
}

world *world_new(const grammar *g, int64_t n, uint64_t seed) {
    world *w = xcalloc(1, sizeof *w);
    w->g = g;
    w->seed = seed;
    w->n = n;
    w->mem = arena_new(0);
    w->entities = arena_push(w->mem, (size_t)n * sizeof *w->entities);
    w->members = arena_push(w->mem, (size_t)g->n_kinds * sizeof *w->members);
    w->n_members = arena_push(w->mem, (size_t)g->n_kinds * sizeof *w->n_members);
    for (w->n_slots = 16; w->n_slots < 2 * n;) w->n_slots *= 2;
    w->slots = ARENA_ARRAY(w->mem, int64_t, w->n_slots);
    for (int64_t i = 0; i < w->n_slots; i++) w->slots[i] = -1;
    assign_kinds(w);
    for (int64_t e = 0; e < n; e++) name_entity(w, e);
    gather_links(w);
    return w;
}

void world_free(world *w) {
    if (!w) return;
    arena_free(w->mem);
    free(w);
}
