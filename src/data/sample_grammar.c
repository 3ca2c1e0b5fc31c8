/* The grammar file of the fictional encyclopedia: reading and checking it.
 *
 * One line is one statement: a keyword, then its words (docs/sample.md has the format).
 * `language`, `table`, `kind` and `relation` open a section, other keywords fill the one
 * that is open. Everything a template names is looked up here, so that a grammar that
 * opened cannot fail while text is written. */
#include "data/sample_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/file.h"
#include "util/unicode.h"

typedef struct parser {
    grammar *g;
    int line;
    int language, kind, relation; /* the open section, or -1 */
} parser;

#define WRONG(p, ...) return wrong((p)->g->path, (p)->line, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static status wrong(const char *path, int line,
                                                          const char *fmt, ...) {
    buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    status st = err_set(ERR_FORMAT, __FILE__, __LINE__, "%s:%d: %s", path, line, b.at);
    buf_clear(&b);
    return st;
}

/* ---- words of a line ---- */

/* Cuts the next blank-separated word off *rest; "" at the end. */
static char *next_word(char **rest) {
    char *s = *rest + strspn(*rest, " \t");
    char *end = s + strcspn(s, " \t");
    *rest = end + strspn(end, " \t");
    *end = '\0';
    return s;
}

static char *trim(char *s) {
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1])) s[--n] = '\0';
    return s;
}

/* A # at the beginning of a line or after a blank begins a comment. */
static void cut_comment(char *line) {
    for (char *s = line; (s = strchr(s, '#')); s++) {
        if (s > line && s[-1] != ' ' && s[-1] != '\t') continue;
        *s = '\0';
        return;
    }
}

static void words_add(grammar *g, words *w, const char *s) {
    GROW(w->at, w->n, w->cap);
    w->at[w->n++] = arena_strdup(g->mem, s);
}

static status want_integer(parser *p, char **rest, const char *what, int64_t *out) {
    char *s = next_word(rest), *end;
    long long v = strtoll(s, &end, 10);
    if (!*s || *end) WRONG(p, "%s is \"%s\", wanted a whole number", what, s);
    *out = v;
    return OK;
}

/* ---- sections ---- */

static status open_language(parser *p, char *rest) {
    grammar *g = p->g;
    GROW(g->languages, g->n_languages, g->cap_languages);
    p->language = g->n_languages++;
    p->kind = p->relation = -1;
    g->languages[p->language] = (language){.name = arena_strdup(g->mem, rest)};
    return OK;
}

/* table NAME = entry | entry | ...; a second line of the same name goes on with it. */
static status add_table(parser *p, char *rest) {
    grammar *g = p->g;
    char *name = next_word(&rest);
    if (*rest != '=') WRONG(p, "table %s: wanted \"table NAME = entry | entry | ...\"", name);
    table *t = (table *)grammar_table(g, name, strlen(name));
    if (!t) {
        GROW(g->tables, g->n_tables, g->cap_tables);
        t = &g->tables[g->n_tables++];
        *t = (table){.name = arena_strdup(g->mem, name)};
    }
    for (char *s = rest + 1, *bar; s; s = bar) {
        if ((bar = strchr(s, '|'))) *bar++ = '\0';
        s = trim(s);
        if (!*s) WRONG(p, "table %s has an empty entry", name);
        words_add(g, &t->entries, s);
    }
    return OK;
}

static status open_kind(parser *p, char *rest) {
    grammar *g = p->g;
    char *name = next_word(&rest);
    if (grammar_kind(g, name, strlen(name)) >= 0) WRONG(p, "kind %s is there already", name);
    kind k = {.name = arena_strdup(g->mem, name), .line = p->line};
    TRY(want_integer(p, &rest, "the kind's share", &k.weight));
    if (k.weight < 1 || k.weight > 1000000)
        WRONG(p, "the share of kind %s is %lld, wanted 1 to 1000000", name, (long long)k.weight);
    GROW(g->kinds, g->n_kinds, g->cap_kinds);
    p->kind = g->n_kinds++;
    p->language = p->relation = -1;
    g->kinds[p->kind] = k;
    return OK;
}

static status parse_years(parser *p, char **rest, relation *r) {
    if (strncmp(*rest, "after ", 6) == 0) {
        next_word(rest);
        r->after = arena_strdup(p->g->mem, next_word(rest));
    }
    TRY(want_integer(p, rest, "the first year", &r->lo));
    return want_integer(p, rest, "the last year", &r->hi);
}

/* The part of a relation line after its name: what values it takes. */
static status parse_value(parser *p, char *rest, relation *r) {
    arena *mem = p->g->mem;
    char *type = next_word(&rest);
    if (strcmp(type, "year") == 0 || strcmp(type, "date") == 0) {
        r->type = *type == 'y' ? VALUE_YEAR : VALUE_DATE;
        TRY(parse_years(p, &rest, r));
    } else if (strcmp(type, "number") == 0) {
        r->type = VALUE_NUMBER;
        TRY(want_integer(p, &rest, "the least number", &r->lo));
        TRY(want_integer(p, &rest, "the greatest number", &r->hi));
        TRY(want_integer(p, &rest, "the step", &r->step));
        if (r->step < 1) WRONG(p, "the step is %lld, wanted at least 1", (long long)r->step);
        r->unit = arena_strdup(mem, rest);
    } else if (strcmp(type, "one") == 0) {
        r->type = VALUE_TABLE;
        r->target_name = arena_strdup(mem, next_word(&rest));
    } else if (strcmp(type, "words") == 0) {
        r->type = VALUE_WORDS;
        r->pattern = arena_strdup(mem, rest);
    } else if (strcmp(type, "link") == 0) {
        r->type = VALUE_ENTITY;
        r->target_name = arena_strdup(mem, next_word(&rest));
        char *how = next_word(&rest);
        r->link = !strcmp(how, "owned")   ? LINK_OWNED
                  : !strcmp(how, "owner") ? LINK_OWNER
                                          : LINK_ANY;
        if (*how && r->link == LINK_ANY)
            WRONG(p, "\"%s\" after a link, wanted owned, owner or nothing", how);
    } else {
        WRONG(
            p,
            "relation %s has values of type \"%s\", wanted year, date, number, one, words or link",
            r->name, type);
    }
    if (r->lo > r->hi)
        WRONG(p, "the range %lld to %lld of relation %s is empty", (long long)r->lo,
              (long long)r->hi, r->name);
    return OK;
}

static status open_relation(parser *p, char *rest) {
    grammar *g = p->g;
    if (p->kind < 0) WRONG(p, "a relation stands outside of a kind");
    relation r = {.name = arena_strdup(g->mem, next_word(&rest)),
                  .kind = p->kind,
                  .line = p->line,
                  .target = -1,
                  .after_link = -1,
                  .after_relation = -1,
                  .unit = "",
                  .step = 1};
    kind *k = &g->kinds[p->kind];
    for (int i = 0; i < k->n_relations; i++)
        if (strcmp(g->relations[k->relations[i]].name, r.name) == 0)
            WRONG(p, "kind %s has a relation %s already", k->name, r.name);
    if (strncmp(rest, "always ", 7) == 0) {
        next_word(&rest);
        r.is_always = true;
    }
    TRY(parse_value(p, rest, &r));
    GROW(g->relations, g->n_relations, g->cap_relations);
    p->relation = g->n_relations;
    GROW(k->relations, k->n_relations, k->cap_relations);
    k->relations[k->n_relations++] = p->relation;
    g->relations[g->n_relations++] = r;
    return OK;
}

/* ---- statements inside a section ---- */

/* The list that a keyword of the open section adds one template to, or NULL. */
static words *template_list(parser *p, const char *key) {
    if (p->relation >= 0) {
        relation *r = &p->g->relations[p->relation];
        if (!strcmp(key, "say")) return &r->say;
        if (!strcmp(key, "ask")) return &r->ask;
        if (!strcmp(key, "hold")) return &r->hold;
        if (!strcmp(key, "of")) return &r->of;
        if (!strcmp(key, "of_hold")) return &r->of_hold;
        if (!strcmp(key, "back")) return &r->back;
    } else if (p->kind >= 0) {
        kind *k = &p->g->kinds[p->kind];
        if (!strcmp(key, "name")) return &k->names;
        if (!strcmp(key, "short")) return &k->shorts;
        if (!strcmp(key, "fill")) return &k->fill;
        if (!strcmp(key, "confuse")) return &k->confuse;
        if (!strcmp(key, "compare")) return &k->compare;
    }
    return NULL;
}

/* The list that a keyword of the open language adds syllables to, or NULL. */
static words *syllable_list(parser *p, const char *key) {
    if (p->language < 0) return NULL;
    language *l = &p->g->languages[p->language];
    if (!strcmp(key, "first")) return &l->first;
    if (!strcmp(key, "middle")) return &l->middle;
    if (!strcmp(key, "last")) return &l->last;
    if (!strcmp(key, "given_f")) return &l->given_f;
    if (!strcmp(key, "given_m")) return &l->given_m;
    return NULL;
}

static status parse_line(parser *p, char *line) {
    char *rest = line, *key = next_word(&rest);
    if (!strcmp(key, "language")) return open_language(p, rest);
    if (!strcmp(key, "table")) return add_table(p, rest);
    if (!strcmp(key, "kind")) return open_kind(p, rest);
    if (!strcmp(key, "relation")) return open_relation(p, rest);
    words *list = !strcmp(key, "opening") ? &p->g->openings : template_list(p, key);
    if (list) {
        if (!*rest) WRONG(p, "\"%s\" has no text", key);
        words_add(p->g, list, rest);
        return OK;
    }
    if ((list = syllable_list(p, key))) {
        while (*rest) words_add(p->g, list, next_word(&rest));
        return OK;
    }
    if (p->kind >= 0 && p->relation < 0 && !strcmp(key, "article")) {
        p->g->kinds[p->kind].article = arena_strdup(p->g->mem, rest);
        return OK;
    }
    if (p->kind >= 0 && p->relation < 0 && !strcmp(key, "person")) {
        p->g->kinds[p->kind].is_person = true;
        return OK;
    }
    WRONG(p, "\"%s\" is no keyword here (in %s)", key,
          p->relation >= 0   ? "a relation"
          : p->kind >= 0     ? "a kind"
          : p->language >= 0 ? "a language"
                             : "no section");
}

/* ---- checks ---- */

const table *grammar_table(const grammar *g, const char *name, size_t n) {
    for (int i = 0; i < g->n_tables; i++)
        if (strlen(g->tables[i].name) == n && memcmp(g->tables[i].name, name, n) == 0)
            return &g->tables[i];
    return NULL;
}

int grammar_kind(const grammar *g, const char *name, size_t n) {
    for (int i = 0; i < g->n_kinds; i++)
        if (strlen(g->kinds[i].name) == n && memcmp(g->kinds[i].name, name, n) == 0) return i;
    return -1;
}

/* Which holes a template has: 'X' for any form of {X}, 'Y', 'V', 'N', 'G'. */
static bool has_hole(const char *form, char what) {
    for (const char *s = form; (s = strchr(s, '{')); s++) {
        const char *name = strncmp(s + 1, "a ", 2) == 0 ? s + 3 : s + 1;
        if (*name == what && !(name[1] >= 'a' && name[1] <= 'z')) return true;
        if (what == 'X' && strncmp(name, "x}", 2) == 0) return true;
    }
    return false;
}

/* Is s[0..n) something that stands between braces? */
static bool is_hole(const grammar *g, const char *s, size_t n) {
    static const char *const fixed[] = {"X", "X's", "x", "V", "Y", "N", "G", "he", "his", "him"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strlen(fixed[i]) == n && memcmp(fixed[i], s, n) == 0) return true;
    if (n > 2 && memcmp(s, "a ", 2) == 0) return is_hole(g, s + 2, n - 2);
    if (s[0] == '@') return grammar_kind(g, s + 1, n - 1) >= 0;
    long long lo, hi;
    if (sscanf(s, "year %lld %lld}", &lo, &hi) == 2 || sscanf(s, "n %lld %lld}", &lo, &hi) == 2)
        return lo <= hi;
    return grammar_table(g, s, n) != NULL;
}

static status check_form(const grammar *g, int line, const char *form) {
    for (const char *s = form; (s = strpbrk(s, "{}")); s++) {
        size_t n = strcspn(s + 1, "{}");
        if (*s == '}' || s[n + 1] != '}')
            return wrong(g->path, line, "a brace is left open in \"%s\"", form);
        if (!is_hole(g, s + 1, n))
            return wrong(g->path, line, "nothing is called {%.*s} (in \"%s\")", (int)n, s + 1,
                         form);
        s += n + 1;
    }
    return OK;
}

/* Each template of a list must be well formed and have the holes listed in `wanted`. */
static status check_forms(const grammar *g, int line, const words *list, const char *wanted) {
    for (int i = 0; i < list->n; i++) {
        TRY(check_form(g, line, list->at[i]));
        for (const char *h = wanted; *h; h++)
            if (!has_hole(list->at[i], *h))
                return wrong(g->path, line, "\"%s\" has no {%c}", list->at[i], *h);
    }
    return OK;
}

static int find_relation(const grammar *g, int k, const char *name) {
    for (int i = 0; i < g->kinds[k].n_relations; i++)
        if (strcmp(g->relations[g->kinds[k].relations[i]].name, name) == 0)
            return g->kinds[k].relations[i];
    return -1;
}

/* Looks up "born" (of the same entity) or "author.born" (of the entity it links to). */
static status resolve_after(grammar *g, relation *r) {
    const char *name = r->after, *dot = strchr(name, '.');
    int k = r->kind;
    if (dot) {
        char *link = arena_strndup(g->mem, name, (size_t)(dot - name));
        r->after_link = find_relation(g, k, link);
        if (r->after_link < 0 || g->relations[r->after_link].type != VALUE_ENTITY)
            return wrong(g->path, r->line, "kind %s has no link called %s", g->kinds[k].name, link);
        k = g->relations[r->after_link].target;
        name = dot + 1;
    }
    r->after_relation = find_relation(g, k, name);
    if (r->after_relation < 0 || g->relations[r->after_relation].type > VALUE_DATE)
        return wrong(g->path, r->line, "kind %s has no year or date called %s", g->kinds[k].name,
                     name);
    return OK;
}

static status resolve_target(grammar *g, relation *r) {
    size_t n = r->target_name ? strlen(r->target_name) : 0;
    if (r->type == VALUE_TABLE) {
        const table *t = grammar_table(g, r->target_name, n);
        if (!t) return wrong(g->path, r->line, "there is no table called %s", r->target_name);
        r->target = (int)(t - g->tables);
    } else if (r->type == VALUE_ENTITY) {
        r->target = grammar_kind(g, r->target_name, n);
        if (r->target < 0)
            return wrong(g->path, r->line, "there is no kind called %s", r->target_name);
        if (r->of.n > 0) g->kinds[r->target].is_linked = true;
    }
    return OK;
}

/* A chain of `after` that comes back to where it began would never end. */
static status check_after(const grammar *g, int i) {
    int steps = 0;
    for (int j = i; j >= 0; j = g->relations[j].after_relation)
        if (++steps > g->n_relations)
            return wrong(g->path, g->relations[i].line, "the years of %s follow themselves",
                         g->relations[i].name);
    return OK;
}

static status check_relation(const grammar *g, const relation *r) {
    bool is_link = r->type == VALUE_ENTITY;
    if (!r->say.n || !r->ask.n || !r->hold.n)
        return wrong(g->path, r->line, "relation %s needs at least one say, one ask and one hold",
                     r->name);
    if (!is_link && (r->of.n || r->of_hold.n || r->back.n))
        return wrong(g->path, r->line, "relation %s has `of` or `back`, but is no link", r->name);
    if (!r->of.n != !r->of_hold.n)
        return wrong(g->path, r->line, "relation %s needs both `of` and `of_hold`, or neither",
                     r->name);
    TRY(check_forms(g, r->line, &r->say, "XV"));
    TRY(check_forms(g, r->line, &r->ask, "X"));
    TRY(check_forms(g, r->line, &r->hold, "X"));
    TRY(check_forms(g, r->line, &r->of, "X"));
    TRY(check_forms(g, r->line, &r->of_hold, "X"));
    TRY(check_forms(g, r->line, &r->back, "XY"));
    if (r->type == VALUE_WORDS) TRY(check_form(g, r->line, r->pattern));
    for (int i = 0; i < r->say.n; i++) /* "{V} ..." would be written with a capital */
        if ((r->type == VALUE_TABLE || r->type == VALUE_WORDS) && r->say.at[i][0] == '{' &&
            has_hole(r->say.at[i], 'V') && strchr("Va", r->say.at[i][1]))
            return wrong(g->path, r->line,
                         "\"%s\" begins with its value, which would change its case", r->say.at[i]);
    return OK;
}

static const char *find_in(const words *list, const words *among) {
    for (int i = 0; i < list->n; i++)
        for (int j = 0; j < among->n; j++)
            if (strcmp(list->at[i], among->at[j]) == 0) return list->at[i];
    return NULL;
}

/* A wording kept for dev and test must not be a training wording of any relation. */
static status check_held(const grammar *g, const relation *r) {
    for (int i = 0; i < g->n_relations; i++) {
        const relation *other = &g->relations[i];
        const char *form = find_in(&r->hold, &other->ask);
        if (!form) form = find_in(&r->of_hold, &other->of);
        if (form)
            return wrong(g->path, r->line,
                         "\"%s\" is kept for dev and test, but line %d uses it in training", form,
                         other->line);
    }
    return OK;
}

static status check_kind(const grammar *g, const kind *k) {
    if (!k->names.n || !k->n_relations || (!k->shorts.n && !k->is_person))
        return wrong(g->path, k->line,
                     "kind %s needs at least one name, one short and one relation", k->name);
    if (!g->relations[k->relations[0]].is_always)
        return wrong(g->path, k->line,
                     "the first relation of kind %s opens its articles: say always", k->name);
    TRY(check_forms(g, k->line, &k->names, "N"));
    TRY(check_forms(g, k->line, &k->fill, ""));
    TRY(check_forms(g, k->line, &k->confuse, "XY"));
    return check_forms(g, k->line, &k->compare, "XY");
}

static status check_language(const grammar *g, const language *l) {
    if (!l->first.n || !l->middle.n || !l->last.n || !l->given_f.n || !l->given_m.n)
        return wrong(g->path, 1, "language %s needs first, middle, last, given_f and given_m",
                     l->name);
    return OK;
}

static status resolve(grammar *g) {
    if (!g->n_languages || !g->n_kinds)
        FAIL(ERR_FORMAT, "%s: no %s in it; docs/sample.md describes the format", g->path,
             g->n_languages ? "kind" : "language");
    for (int i = 0; i < g->n_relations; i++) TRY(resolve_target(g, &g->relations[i]));
    for (int i = 0; i < g->n_relations; i++)
        if (g->relations[i].after) TRY(resolve_after(g, &g->relations[i]));
    for (int i = 0; i < g->n_relations; i++) TRY(check_after(g, i));
    for (int i = 0; i < g->n_relations; i++) TRY(check_relation(g, &g->relations[i]));
    for (int i = 0; i < g->n_relations; i++) TRY(check_held(g, &g->relations[i]));
    for (int i = 0; i < g->n_kinds; i++) TRY(check_kind(g, &g->kinds[i]));
    for (int i = 0; i < g->n_languages; i++) TRY(check_language(g, &g->languages[i]));
    return OK;
}

/* ---- open and free ---- */

static status parse(grammar *g, char *text) {
    parser p = {.g = g, .language = -1, .kind = -1, .relation = -1};
    for (char *line = text, *end; line; line = end) {
        if ((end = strchr(line, '\n'))) *end++ = '\0';
        p.line++;
        cut_comment(line);
        line = trim(line);
        if (*line) TRY(parse_line(&p, line));
    }
    return resolve(g);
}

status grammar_open(const char *path, grammar **out) {
    buf text = {0};
    status st = OK;
    grammar *g = xcalloc(1, sizeof *g);
    g->mem = arena_new((size_t)64 << 20);
    g->path = arena_strdup(g->mem, path ? path : "built-in grammar");
    if (path)
        st = file_read(path, (size_t)16 << 20, &text);
    else
        buf_add(&text, sample_builtin, (size_t)(sample_builtin_end - sample_builtin));
    if (!st &&
        (text.len == 0 || utf8_invalid_at(text.at, text.len) >= 0 || memchr(text.at, 0, text.len)))
        st = err_set(ERR_FORMAT, __FILE__, __LINE__, "%s: %s, wanted a grammar in UTF-8", g->path,
                     text.len ? "not text" : "empty");
    if (!st) st = parse(g, text.at);
    buf_clear(&text);
    if (st) {
        grammar_free(g);
        return st;
    }
    *out = g;
    return OK;
}

static void free_words(words *list, int n) {
    for (int i = 0; i < n; i++) free(list[i].at);
}

void grammar_free(grammar *g) {
    if (!g) return;
    for (int i = 0; i < g->n_languages; i++) {
        language *l = &g->languages[i];
        free_words((words[]){l->first, l->middle, l->last, l->given_f, l->given_m}, 5);
    }
    for (int i = 0; i < g->n_tables; i++) free_words(&g->tables[i].entries, 1);
    for (int i = 0; i < g->n_kinds; i++) {
        kind *k = &g->kinds[i];
        free_words((words[]){k->names, k->shorts, k->fill, k->confuse, k->compare}, 5);
        free(k->relations);
    }
    for (int i = 0; i < g->n_relations; i++) {
        relation *r = &g->relations[i];
        free_words((words[]){r->say, r->ask, r->hold, r->of, r->of_hold, r->back}, 6);
    }
    free_words(&g->openings, 1);
    free(g->languages);
    free(g->tables);
    free(g->kinds);
    free(g->relations);
    arena_free(g->mem);
    free(g);
}
