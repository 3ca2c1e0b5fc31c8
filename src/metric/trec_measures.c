/* trec_eval's measures of one query. The table at the end is the list; every measure is one short
 * function above it that gives one value. Definitions: trec_eval's own documentation (its -h text)
 * and the papers named here. Relevant means relevance >= level; nothing found divides nothing: 0.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/trec_int.h"

#define CALC(name) static double name(const trec_query *q, const trec_measure *m, double cut)
#define UNUSED     (void)q, (void)m, (void)cut

static double share(double a, double b) {
    return b != 0 ? a / b : 0;
}

/* --- counts ----------------------------------------------------------------------------- */

CALC(num_ret) {
    UNUSED;
    return (double)q->r.n_ret;
}

CALC(num_rel) {
    UNUSED;
    return (double)q->n_rel;
}

CALC(num_rel_ret) {
    UNUSED;
    return (double)q->n_rel_ret;
}

CALC(num_nonrel_judged_ret) {
    UNUSED;
    int64_t n = 0;
    for (int64_t i = 0; i < q->r.n_ret; i++) n += q->r.rel[i] >= 0 && q->r.rel[i] < q->r.level;
    return (double)n;
}

/* --- precision and recall ------------------------------------------------------------------ */

CALC(map) {
    UNUSED;
    return rank_average_precision(&q->r, RANK_ALL);
}

CALC(map_cut) {
    UNUSED;
    return rank_average_precision(&q->r, (int64_t)cut);
}

/* Geometric means live as logarithms; 1e-5 stands for 0. */
static double log_floored(double x) {
    return log(x > 1e-5 ? x : 1e-5);
}

CALC(gm_map) {
    return log_floored(map(q, m, cut));
}

CALC(r_prec) {
    UNUSED;
    return rank_precision(&q->r, q->n_rel);
}

CALC(r_prec_mult) {
    UNUSED;
    return rank_precision(&q->r, (int64_t)(cut * (double)q->n_rel + 0.9));
}

CALC(recip_rank) {
    UNUSED;
    return rank_reciprocal(&q->r, RANK_ALL);
}

CALC(precision) {
    UNUSED;
    return rank_precision(&q->r, (int64_t)cut);
}

CALC(recall) {
    UNUSED;
    return rank_recall(&q->r, (int64_t)cut);
}

CALC(success) {
    UNUSED;
    return rank_success(&q->r, (int64_t)cut);
}

/* Precision over the most that this cut allows. */
CALC(relative_p) {
    UNUSED;
    double most = fmin(cut, (double)q->n_rel);
    return share((double)rank_retrieved(&q->r, (int64_t)cut), most);
}

CALC(unjudged) {
    UNUSED;
    int64_t n = 0;
    for (int64_t i = 0; i < q->r.n_ret && i < (int64_t)cut; i++) n += q->r.rel[i] < 0;
    return (double)n / cut;
}

/* Interpolated precision: the best at or behind the rank where this share of the relevant
 * documents has been found. */
CALC(iprec_at_recall) {
    UNUSED;
    int64_t wanted = lround(cut * (double)q->n_rel), found = 0;
    double best = 0;
    if (wanted > q->n_rel_ret) return 0;
    for (int64_t i = 0; i < q->r.n_ret; i++) {
        found += q->r.rel[i] >= q->r.level;
        if (found >= wanted) best = fmax(best, (double)found / (double)(i + 1));
    }
    return best;
}

CALC(avg_11pt) {
    UNUSED;
    double sum = 0;
    for (int64_t i = m->n_params - 1; i >= 0; i--) sum += iprec_at_recall(q, m, m->params[i]);
    return sum / (double)m->n_params;
}

/* --- incomplete judgements ----------------------------------------------------------------- */

/* Buckley & Voorhees 2004: share of judged non-relevant documents (the first R) ranked below each
 * relevant one. */
CALC(bpref) {
    UNUSED;
    int64_t nonrel_judged = 0, nonrel = 0;
    for (int64_t i = 0; i < q->r.n_judged; i++)
        nonrel_judged += q->r.judged[i] >= 0 && q->r.judged[i] < q->r.level;
    double sum = 0, bound = fmin((double)nonrel_judged, (double)q->n_rel);
    for (int64_t i = 0; i < q->r.n_ret; i++) {
        if (q->r.rel[i] < 0) continue;
        if (q->r.rel[i] < q->r.level)
            nonrel++;
        else
            sum += nonrel ? 1.0 - fmin((double)nonrel, (double)q->n_rel) / bound : 1.0;
    }
    return share(sum, (double)q->n_rel);
}

CALC(gm_bpref) {
    return log_floored(bpref(q, m, cut));
}

/* Yilmaz & Aslam 2006: average precision inferred from a sample of the pool. At a relevant
 * document: itself, and of the pooled ones above it as many as the judged ones lead to expect. */
CALC(inf_ap) {
    UNUSED;
    const double eps = 1e-5;
    double sum = 0, rel = 0, nonrel = 0, sampled_out = 0;
    for (int64_t i = 0; i < q->r.n_ret; i++) {
        int level = q->r.rel[i];
        sampled_out += level == RANK_UNJUDGED;
        nonrel += level >= 0 && level < q->r.level;
        if (level < 0 || level < q->r.level) continue;
        double expected_share = (rel + eps) / (rel + nonrel + 2 * eps);
        sum += (1 + (rel + nonrel + sampled_out) * expected_share) / (double)(i + 1);
        rel++;
    }
    return share(sum, (double)q->n_rel);
}

/* --- the retrieved set --------------------------------------------------------------------- */

CALC(set_p) {
    UNUSED;
    return share((double)q->n_rel_ret, (double)q->r.n_ret);
}

CALC(set_recall) {
    UNUSED;
    return share((double)q->n_rel_ret, (double)q->n_rel);
}

CALC(set_relative_p) {
    UNUSED;
    return share((double)q->n_rel_ret, fmin((double)q->r.n_ret, (double)q->n_rel));
}

CALC(set_map) {
    UNUSED;
    double found = (double)q->n_rel_ret;
    return share(found * found, (double)q->r.n_ret * (double)q->n_rel);
}

CALC(set_f) {
    double p = set_p(q, m, cut), r = set_recall(q, m, cut), x = m->params[0];
    return share((x + 1.0) * p * r, x * p + r);
}

/* Worth of: relevant found, other found, relevant missed, other left out. */
CALC(utility) {
    UNUSED;
    double found = (double)q->n_rel_ret, ret = (double)q->r.n_ret, rel = (double)q->n_rel;
    const double *worth = m->params;
    return worth[0] * found + worth[1] * (ret - found) + worth[2] * (rel - found) +
           worth[3] * (found - ret - rel);
}

/* --- gains --------------------------------------------------------------------------------- */

/* The gain of a relevance level: as -m names it ("ndcg.1=3"), else the level itself. */
static double gain_of(const trec_measure *m, int level) {
    for (int64_t i = 0; i < m->n_params; i++) {
        char *end;
        long named = strtol(m->pairs[i].key, &end, 10);
        if (!*end && end > m->pairs[i].key && named == level) return m->pairs[i].value;
    }
    return level > 0 ? level : 0;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The positive gains of all judged documents, highest first; caller frees. */
static double *ideal_gains(const trec_query *q, const trec_measure *m, int64_t *n) {
    double *ideal = xmalloc((size_t)(q->r.n_judged + 1) * sizeof *ideal);
    *n = 0;
    for (int64_t i = 0; i < q->r.n_judged; i++) {
        double gain = q->r.judged[i] < 0 ? 0 : gain_of(m, q->r.judged[i]);
        if (gain > 0) ideal[(*n)++] = gain;
    }
    qsort(ideal, (size_t)*n, sizeof *ideal, descending);
    return ideal;
}

static double discount(int64_t i) {
    return log2((double)(i + 2)); /* document i has rank i + 1 */
}

CALC(ndcg) {
    UNUSED;
    int64_t n;
    double *ideal = ideal_gains(q, m, &n), dcg = 0, best = 0;
    for (int64_t i = 0; i < q->r.n_ret; i++) dcg += gain_of(m, q->r.rel[i]) / discount(i);
    for (int64_t i = 0; i < n; i++) best += ideal[i] / discount(i);
    free(ideal);
    return share(dcg, best);
}

CALC(ndcg_cut) {
    UNUSED;
    return rank_ndcg(&q->r, (int64_t)cut);
}

/* nDCG averaged over the ranks of relevant documents; those not retrieved count at the end. */
CALC(ndcg_rel) {
    UNUSED;
    int64_t n, found = 0;
    double *ideal = ideal_gains(q, m, &n), dcg = 0, best = 0, sum = 0;
    for (int64_t i = 0; i < q->r.n_ret || i < n; i++) {
        double gain = i < q->r.n_ret ? gain_of(m, q->r.rel[i]) : 0;
        dcg += gain / discount(i);
        if (i < n) best += ideal[i] / discount(i);
        if (gain > 0) {
            sum += dcg / best;
            found++;
        }
    }
    sum += (double)(n - found) * share(dcg, best);
    free(ideal);
    return n ? sum / (double)n : 0;
}

/* nDCG averaged over the ranks where the ideal gain changes, and over the end of the list. */
CALC(r_ndcg) {
    UNUSED;
    if (!q->n_rel) return 0;
    int64_t n, changes = 0;
    double *ideal = ideal_gains(q, m, &n), dcg = 0, best = 0, sum = 0;
    for (int64_t i = 0; i < q->r.n_ret || i <= n; i++) {
        if (i > 0 && i <= n && (i == n || ideal[i] != ideal[i - 1])) {
            sum += share(dcg, best);
            changes++;
        }
        if (i < q->r.n_ret) dcg += gain_of(m, q->r.rel[i]) / discount(i);
        if (i < n) best += ideal[i] / discount(i);
    }
    if (q->r.n_ret > n + 1 && best > 0) {
        sum += dcg / best;
        changes++;
    }
    free(ideal);
    return share(sum, (double)changes);
}

/* Between MAP and nDCG: a gain is discounted by the cost of what was wrong before it. */
CALC(gain_g) {
    UNUSED;
    int64_t n;
    double *ideal = ideal_gains(q, m, &n), cost = 0, had = 0, sum = 0, best = 0;
    for (int64_t i = 0; i < q->r.n_ret; i++) {
        double gain = gain_of(m, q->r.rel[i]);
        had += gain;
        cost += i < n && ideal[i] > 1 ? ideal[i] : 1;
        if (gain != 0) sum += gain / log2(2 + cost - had);
    }
    for (int64_t i = 0; i < n; i++) best += ideal[i];
    free(ideal);
    return share(sum, best);
}

CALC(binary_g) {
    UNUSED;
    int64_t found = 0;
    double sum = 0;
    for (int64_t i = 0; i < q->r.n_ret; i++)
        if (q->r.rel[i] >= q->r.level) sum += 1.0 / log2((double)(3 + i - ++found));
    return share(sum, (double)q->n_rel);
}

/* Rank-biased precision (Moffat & Zobel 2008): the reader goes on with probability p. */
static double persistence(const trec_measure *m) {
    double p = 0.9;
    for (int64_t i = 0; i < m->n_params; i++)
        if (!strcmp(m->pairs[i].key, "p")) p = m->pairs[i].value;
    return p;
}

/* Gains as they are when all lie in [0, 1], else scaled to it. */
CALC(rbp) {
    UNUSED;
    double low = gain_of(m, 0), high = low, p = persistence(m), weight = 1, sum = 0;
    for (int64_t i = 0; i < q->r.n_judged; i++) {
        double gain = gain_of(m, q->r.judged[i]);
        low = fmin(low, gain);
        high = fmax(high, gain);
    }
    bool scaled = low < 0 || high > 1;
    for (int64_t i = 0; i < q->r.n_ret; i++, weight *= p) {
        if (q->r.rel[i] < 0) continue;
        double gain = gain_of(m, q->r.rel[i]);
        sum += weight * (scaled ? share(gain - low, high - low) : gain);
    }
    return (1.0 - p) * sum;
}

/* What rbp could still gain if everything unjudged were relevant. */
CALC(rbp_resid) {
    UNUSED;
    bool any = false;
    double p = persistence(m), weight = 1, sum = 0;
    for (int64_t i = 0; i < q->r.n_ret; i++, weight *= p) {
        if (q->r.rel[i] >= 0) continue;
        any = true;
        sum += weight;
    }
    return any ? weight + (1 - p) * sum : 0;
}

/* --- the table ----------------------------------------------------------------------------- */

#define CUTS   "5,10,15,20,30,100,200,500,1000"
#define TENTHS "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0"
#define FIFTHS "0.2,0.4,0.6,0.8,1.0,1.2,1.4,1.6,1.8,2.0"

enum { O = 1, A = 1, S = 1 }; /* official, all_trec, set */

/* clang-format off */
const trec_measure_def trec_measure_defs[] = {
    /* name                  kind            sets     parameters and their defaults  one value */
    {"runid",                 TREC_TAG,       O, A, S, TAKES_NOTHING, "",             NULL},
    {"num_q",                 TREC_QUERIES,   O, A, S, TAKES_NOTHING, "",             NULL},
    {"num_ret",               TREC_SUM,       O, A, S, TAKES_NOTHING, "",             num_ret},
    {"num_rel",               TREC_SUM,       O, A, S, TAKES_NOTHING, "",             num_rel},
    {"num_rel_ret",           TREC_SUM,       O, A, S, TAKES_NOTHING, "",             num_rel_ret},
    {"map",                   TREC_MEAN,      O, A, 0, TAKES_NOTHING, "",             map},
    {"gm_map",                TREC_GEOMETRIC, O, A, 0, TAKES_NOTHING, "",             gm_map},
    {"Rprec",                 TREC_MEAN,      O, A, 0, TAKES_NOTHING, "",             r_prec},
    {"bpref",                 TREC_MEAN,      O, A, 0, TAKES_NOTHING, "",             bpref},
    {"recip_rank",            TREC_MEAN,      O, A, 0, TAKES_NOTHING, "",             recip_rank},
    {"iprec_at_recall",       TREC_MEAN,      O, A, 0, TAKES_SHARES,  TENTHS,         iprec_at_recall},
    {"P",                     TREC_MEAN,      O, A, 0, TAKES_RANKS,   CUTS,           precision},
    {"relstring",             TREC_STRING,    0, A, 0, TAKES_REALS,   "10",           NULL},
    {"recall",                TREC_MEAN,      0, A, 0, TAKES_RANKS,   CUTS,           recall},
    {"infAP",                 TREC_MEAN,      0, A, 0, TAKES_NOTHING, "",             inf_ap},
    {"gm_bpref",              TREC_GEOMETRIC, 0, A, 0, TAKES_NOTHING, "",             gm_bpref},
    {"Rprec_mult",            TREC_MEAN,      0, A, 0, TAKES_SHARES,  FIFTHS,         r_prec_mult},
    {"utility",               TREC_MEAN,      0, A, S, TAKES_REALS,   "1,-1,0,0",     utility},
    {"11pt_avg",              TREC_MEAN,      0, A, 0, TAKES_REALS,   TENTHS,         avg_11pt},
    {"binG",                  TREC_MEAN,      0, A, 0, TAKES_NOTHING, "",             binary_g},
    {"G",                     TREC_MEAN,      0, A, 0, TAKES_GAINS,   "",             gain_g},
    {"ndcg",                  TREC_MEAN,      0, A, 0, TAKES_GAINS,   "",             ndcg},
    {"ndcg_rel",              TREC_MEAN,      0, A, 0, TAKES_GAINS,   "",             ndcg_rel},
    {"Rndcg",                 TREC_MEAN,      0, A, 0, TAKES_GAINS,   "",             r_ndcg},
    {"ndcg_cut",              TREC_MEAN,      0, A, 0, TAKES_RANKS,   CUTS,           ndcg_cut},
    {"map_cut",               TREC_MEAN,      0, A, 0, TAKES_RANKS,   CUTS,           map_cut},
    {"relative_P",            TREC_MEAN,      0, A, 0, TAKES_RANKS,   CUTS,           relative_p},
    {"success",               TREC_MEAN,      0, A, 0, TAKES_RANKS,   "1,5,10",       success},
    {"set_P",                 TREC_MEAN,      0, A, S, TAKES_NOTHING, "",             set_p},
    {"set_relative_P",        TREC_MEAN,      0, A, S, TAKES_NOTHING, "",             set_relative_p},
    {"set_recall",            TREC_MEAN,      0, A, S, TAKES_NOTHING, "",             set_recall},
    {"set_map",               TREC_MEAN,      0, A, S, TAKES_NOTHING, "",             set_map},
    {"set_F",                 TREC_MEAN,      0, A, S, TAKES_REALS,   "1",            set_f},
    {"num_nonrel_judged_ret", TREC_SUM,       0, A, 0, TAKES_NOTHING, "",             num_nonrel_judged_ret},
    {"rbp",                   TREC_MEAN,      0, A, 0, TAKES_GAINS,   "",             rbp},
    {"rbp_resid",             TREC_MEAN,      0, A, 0, TAKES_GAINS,   "",             rbp_resid},
    {"unj",                   TREC_MEAN,      0, A, 0, TAKES_RANKS,   "5,10,20",      unjudged},
};
/* clang-format on */
const int n_trec_measure_defs = sizeof trec_measure_defs / sizeof *trec_measure_defs;
