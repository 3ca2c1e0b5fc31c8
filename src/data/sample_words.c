/* Templates to sentences: fills the holes, minds a/an, pronouns and capitals. */
#include "data/sample_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* {X} forms: as a subject, as a possessive, as an object. */
typedef enum role { ROLE_SUBJECT, ROLE_POSSESSIVE, ROLE_OBJECT } role;

static void put_pronoun(const scene *s, role as, buf *out) {
    static const char *const forms[3][3] = {
        {"it", "its", "it"}, {"he", "his", "him"}, {"she", "her", "her"}};
    const entity *x = &s->w->entities[s->self];
    int who = !s->w->g->kinds[x->kind].is_person ? 0 : x->is_female ? 2 : 1;
    buf_puts(out, forms[who][as]);
}

static void put_full(const world *w, int64_t e, buf *out) {
    const char *article = w->g->kinds[w->entities[e].kind].article;
    if (article) buf_printf(out, "%s ", article);
    buf_puts(out, w->entities[e].name);
}

/* A second mention within one sentence is a pronoun, unless the subject was reworded. A
 * first mention as an object never is: "the founder of it" reads badly. */
static void put_self(const scene *s, role as, int n_before, buf *out) {
    const kind *k = &s->w->g->kinds[s->w->entities[s->self].kind];
    bool may_open = s->mention == MENTION_PRONOUN && as != ROLE_OBJECT;
    if (!s->subject && (may_open || n_before > 0)) {
        put_pronoun(s, as, out);
        return;
    }
    if (s->subject)
        buf_puts(out, s->subject);
    else if (s->mention == MENTION_FULL)
        put_full(s->w, s->self, out);
    else if (k->is_person)
        buf_puts(out, s->w->entities[s->self].root);
    else
        buf_puts(out, k->shorts.at[rng_below(s->r, k->shorts.n)]);
    if (as == ROLE_POSSESSIVE) buf_puts(out, "'s");
}

/* "a" or "an" in front of what is written next, judged by its first letter; the grammar
 * avoids the few words that sound otherwise (hour, union). */
static const char *article_for(const char *next) {
    return strchr("aeiouAEIOU", *next) && *next ? "an " : "a ";
}

static void put_hole(const scene *s, const char *hole, size_t n, int *n_mentions, buf *out) {
    const world *w = s->w;
    long long lo, hi;
    if (n > 2 && memcmp(hole, "a ", 2) == 0) {
        size_t at = out->len;
        put_hole(s, hole + 2, n - 2, n_mentions, out);
        char *tail = xstrdup(out->at + at);
        out->len = at;
        buf_printf(out, "%s%s", article_for(tail), tail);
        free(tail);
    } else if (n == 1 && *hole == 'X') {
        put_self(s, ROLE_SUBJECT, (*n_mentions)++, out);
    } else if (n == 3 && memcmp(hole, "X's", 3) == 0) {
        put_self(s, ROLE_POSSESSIVE, (*n_mentions)++, out);
    } else if (n == 1 && *hole == 'x') {
        put_self(s, ROLE_OBJECT, (*n_mentions)++, out);
    } else if (n == 2 && memcmp(hole, "he", 2) == 0) {
        put_pronoun(s, ROLE_SUBJECT, out);
    } else if (n == 3 && memcmp(hole, "his", 3) == 0) {
        put_pronoun(s, ROLE_POSSESSIVE, out);
    } else if (n == 3 && memcmp(hole, "him", 3) == 0) {
        put_pronoun(s, ROLE_OBJECT, out);
    } else if (n == 1 && *hole == 'Y') {
        put_full(w, s->other, out);
    } else if (n == 1 && *hole == 'V') {
        if (s->value_article) buf_printf(out, "%s ", s->value_article);
        buf_puts(out, s->value);
    } else if (n == 1 && *hole == 'N') {
        buf_puts(out, w->entities[s->self].root);
    } else if (n == 1 && *hole == 'G') {
        buf_puts(out, w->entities[s->self].given);
    } else if (*hole == '@') {
        int k = grammar_kind(w->g, hole + 1, n - 1);
        if (w->n_members[k] > 0)
            put_full(w, w->members[k][rng_below(s->r, w->n_members[k])], out);
        else
            buf_puts(out, "a far place");
    } else if (sscanf(hole, "year %lld %lld}", &lo, &hi) == 2 ||
               sscanf(hole, "n %lld %lld}", &lo, &hi) == 2) {
        buf_printf(out, "%lld", lo + (long long)rng_below(s->r, hi - lo + 1));
    } else {
        const table *t = grammar_table(w->g, hole, n);
        MUST(t, "no table %.*s", (int)n, hole);
        buf_puts(out, t->entries.at[rng_below(s->r, t->entries.n)]);
    }
}

void expand(const scene *s, const char *form, buf *out) {
    int n_mentions = 0;
    while (*form) {
        size_t n = strcspn(form, "{");
        buf_add(out, form, n);
        form += n;
        if (!*form) break;
        n = strcspn(form, "}");
        put_hole(s, form + 1, n - 1, &n_mentions, out);
        form += n + 1;
    }
}

void expand_sentence(const scene *s, const char *form, buf *out) {
    size_t at = out->len;
    expand(s, form, out);
    if (out->len > at && out->at[at] >= 'a' && out->at[at] <= 'z')
        out->at[at] = (char)(out->at[at] - 'a' + 'A');
}

void scene_fact(scene *s, int64_t e, int rel, buf *text) {
    fact f;
    MUST(fact_of(s->w, e, rel, &f), "entity %lld has no fact %d", (long long)e, rel);
    buf_reset(text);
    fact_text(s->w, e, rel, &f, text);
    s->value = text->at;
    s->value_article = f.entity >= 0 ? s->w->g->kinds[s->w->entities[f.entity].kind].article : NULL;
}
