/* Which measures to print: "-m name", "-m name.parameters" and the nicknames, see trec.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "metric/trec_int.h"

bool trec_has_cuts(const trec_measure_def *def) {
    return def->takes == TAKES_RANKS || def->takes == TAKES_SHARES;
}

/* What options say about one measure. */
typedef struct wish {
    bool wanted;
    const char *params; /* NULL: the defaults */
} wish;

/* Marks the measures that one -m argument names. */
static status add_wish(wish *wishes, const char *arg) {
    size_t len = strcspn(arg, ".");
    const char *params = arg[len] ? arg + len + 1 : NULL;
    if (params && !*params) FAIL(ERR_ARG, "measure '%s' has no parameters behind its dot", arg);
    bool official = !strncmp(arg, "official", len) && len == 8;
    bool all = !strncmp(arg, "all_trec", len) && len == 8;
    bool set = !strncmp(arg, "set", len) && len == 3;
    bool found = false;
    for (int i = 0; i < n_trec_measure_defs; i++) {
        const trec_measure_def *d = &trec_measure_defs[i];
        bool named = strlen(d->name) == len && !memcmp(d->name, arg, len);
        if (!named && !(official && d->official) && !(all && d->all) && !(set && d->set)) continue;
        found = wishes[i].wanted = true;
        if (!named || !params) continue;
        if (d->takes == TAKES_NOTHING)
            FAIL(ERR_ARG, "measure '%s' takes no parameters, found '%s'", d->name, params);
        if (!wishes[i].params) wishes[i].params = params; /* the first wins, as in trec_eval */
    }
    if (!found)
        FAIL(ERR_ARG,
             "measure '%s' is not known; wanted a trec_eval name such as map, P.5,10 or "
             "ndcg_cut.10, "
             "or official, set, all_trec",
             arg);
    return OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* "5,10,15" -> numbers, in order of value where they are cuts. */
static status parse_numbers(trec_measure *m, const char *text) {
    const char *at = text;
    bool cuts = trec_has_cuts(m->def);
    for (int64_t cap = 0;; at++) {
        char *end;
        double v = strtod(at, &end);
        if (end == at || (*end && *end != ','))
            FAIL(ERR_ARG, "measure '%s': parameters are '%s', wanted numbers with commas between",
                 m->def->name, text);
        GROW(m->params, m->n_params, cap);
        m->params[m->n_params++] = m->def->takes == TAKES_RANKS ? (double)(int64_t)v : v;
        at = end;
        if (!*at) break;
    }
    if (!cuts) return OK;
    qsort(m->params, (size_t)m->n_params, sizeof *m->params, by_value);
    if (m->def->takes == TAKES_RANKS && m->params[0] < 1)
        FAIL(ERR_ARG, "measure '%s': cut-offs are '%s', wanted 1 or more each", m->def->name, text);
    for (int64_t i = 1; i < m->n_params; i++)
        if (m->params[i] == m->params[i - 1])
            FAIL(ERR_ARG, "measure '%s': a cut-off stands twice in '%s'", m->def->name, text);
    return OK;
}

/* "1=3,2=9" -> pairs. */
static status parse_pairs(trec_measure *m, const char *text) {
    int64_t cap = 0;
    for (const char *at = text; *at;) {
        trec_pair p = {0};
        size_t len = strcspn(at, "=,");
        char *end;
        bool has_key = at[len] == '=' && len > 0 && len < sizeof p.key;
        if (has_key) memcpy(p.key, at, len);
        p.value = has_key ? strtod(at + len + 1, &end) : 0;
        if (!has_key || end == at + len + 1 || (*end && *end != ','))
            FAIL(ERR_ARG,
                 "measure '%s': parameters are '%s', wanted relevance=gain pairs such as 1=3,2=9",
                 m->def->name, text);
        GROW(m->pairs, m->n_params, cap);
        m->pairs[m->n_params++] = p;
        at = *end ? end + 1 : end;
    }
    return OK;
}

static void name_values(trec_measure *m, const char *given) {
    const char *name = m->def->name;
    bool cuts = trec_has_cuts(m->def);
    m->n_values = cuts ? m->n_params : 1;
    m->names = xcalloc((size_t)m->n_values, sizeof *m->names);
    m->sum = xcalloc((size_t)m->n_values, sizeof *m->sum);
    for (int64_t i = 0; i < m->n_values; i++) {
        if (m->def->takes == TAKES_RANKS)
            m->names[i] = xasprintf("%s_%lld", name, (long long)m->params[i]);
        else if (m->def->takes == TAKES_SHARES)
            m->names[i] = xasprintf("%s_%3.2f", name, m->params[i]);
        else if (given)
            m->names[i] = xasprintf("%s_%s", name, given);
        else
            m->names[i] = xstrdup(name);
    }
}

static status measure_init(trec_measure *m, const trec_measure_def *def, const char *given) {
    m->def = def;
    const char *params = given ? given : def->defaults;
    if (def->takes == TAKES_GAINS)
        TRY(parse_pairs(m, params));
    else if (def->takes != TAKES_NOTHING)
        TRY(parse_numbers(m, params));
    if (!strcmp(def->name, "utility") && m->n_params != 4)
        FAIL(ERR_ARG, "measure 'utility': %lld coefficients in '%s', wanted 4",
             (long long)m->n_params, params);
    name_values(m, given);
    return OK;
}

status trec_measures_new(const trec_options *options, trec_measure **out, int64_t *n) {
    wish *wishes = xcalloc((size_t)n_trec_measure_defs, sizeof *wishes);
    trec_measure *m = xcalloc((size_t)n_trec_measure_defs, sizeof *m);
    int64_t found = 0;
    status st = options->n_measures ? OK : add_wish(wishes, "official");
    for (int i = 0; i < options->n_measures && !st; i++)
        st = add_wish(wishes, options->measures[i]);
    for (int i = 0; i < n_trec_measure_defs && !st; i++)
        if (wishes[i].wanted)
            st = measure_init(&m[found++], &trec_measure_defs[i], wishes[i].params);
    free(wishes);
    if (st) {
        trec_measures_free(m, found);
        return st;
    }
    *out = m;
    *n = found;
    return OK;
}

void trec_measures_free(trec_measure *m, int64_t n) {
    for (int64_t i = 0; m && i < n; i++) {
        for (int64_t v = 0; v < m[i].n_values; v++) free(m[i].names[v]);
        free(m[i].names);
        free(m[i].params);
        free(m[i].pairs);
        free(m[i].sum);
    }
    free(m);
}

int trec_measure_names(const char **names, int most) {
    static const char *const nicknames[] = {"official", "set", "all_trec"};
    int n = 0;
    for (int i = 0; i < n_trec_measure_defs && n < most; i++)
        names[n++] = trec_measure_defs[i].name;
    for (int i = 0; i < 3 && n < most; i++) names[n++] = nicknames[i];
    return n;
}
