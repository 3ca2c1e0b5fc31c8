/* Porter's stemmer with NLTK's extensions, see porter.h. Steps carry the paper's numbers. A rule
 * list stops at the first suffix that fits, whether or not its condition lets it act. */
#include "metric/porter.h"

#include <stdbool.h>
#include <string.h>

static bool is_vowel_letter(char c) {
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

/* A y is a consonant at the start and after a vowel. */
static bool is_consonant(const char *w, size_t i) {
    bool consonant = !is_vowel_letter(w[i]);
    if (w[i] != 'y') return consonant;
    size_t first = i;
    while (first > 0 && w[first - 1] == 'y') first--;
    bool alternate = (i - first) % 2 == 0; /* same as the first y of the run */
    bool first_is_consonant = first == 0 || is_vowel_letter(w[first - 1]);
    return first_is_consonant == alternate;
}

/* m of [C](VC){m}[V]. */
static int measure(const char *w, size_t n) {
    int m = 0;
    for (size_t i = 1; i < n; i++) m += !is_consonant(w, i - 1) && is_consonant(w, i);
    return m;
}

static bool has_vowel(const char *w, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!is_consonant(w, i)) return true;
    return false;
}

static bool ends(const char *w, size_t n, const char *suffix) {
    size_t len = strlen(suffix);
    return n >= len && !memcmp(w + n - len, suffix, len);
}

/* *o: consonant, vowel, consonant other than w x y; NLTK adds the two-letter vowel, consonant. */
static bool ends_cvc(const char *w, size_t n) {
    if (n == 2) return !is_consonant(w, 0) && is_consonant(w, 1);
    return n >= 3 && is_consonant(w, n - 3) && !is_consonant(w, n - 2) && is_consonant(w, n - 1) &&
           !strchr("wxy", w[n - 1]);
}

typedef struct rule {
    const char *suffix, *to;
    int min_measure; /* of the stem before the suffix */
} rule;

static size_t put(char *w, size_t stem, const char *to) {
    size_t len = strlen(to);
    memcpy(w + stem, to, len);
    return stem + len;
}

static size_t apply(char *w, size_t n, const rule *rules, size_t n_rules) {
    for (size_t i = 0; i < n_rules; i++) {
        if (!ends(w, n, rules[i].suffix)) continue;
        size_t stem = n - strlen(rules[i].suffix);
        return measure(w, stem) >= rules[i].min_measure ? put(w, stem, rules[i].to) : n;
    }
    return n;
}

#define APPLY(w, n, rules) apply((w), (n), (rules), sizeof(rules) / sizeof *(rules))

static size_t step1a(char *w, size_t n) {
    static const rule rules[] = {{"sses", "ss", 0}, {"ies", "i", 0}, {"ss", "ss", 0}, {"s", "", 0}};
    if (n == 4 && ends(w, n, "ies")) return 3;
    return APPLY(w, n, rules);
}

/* After -ed or -ing is gone. */
static size_t step1b_repair(char *w, size_t n) {
    static const char *const completed[] = {"at", "bl", "iz"};
    for (int i = 0; i < 3; i++)
        if (ends(w, n, completed[i])) return put(w, n, "e");
    if (n >= 2 && w[n - 1] == w[n - 2] && is_consonant(w, n - 1))
        return strchr("lsz", w[n - 1]) ? n : n - 1;
    return measure(w, n) == 1 && ends_cvc(w, n) ? put(w, n, "e") : n;
}

static size_t step1b(char *w, size_t n) {
    if (ends(w, n, "ied")) return n == 4 ? 3 : n - 2;
    if (ends(w, n, "eed")) return measure(w, n - 3) > 0 ? n - 1 : n;
    if (ends(w, n, "ed") && has_vowel(w, n - 2)) return step1b_repair(w, n - 2);
    if (ends(w, n, "ing") && has_vowel(w, n - 3)) return step1b_repair(w, n - 3);
    return n;
}

/* NLTK: happy -> happi, but enjoy and by stay. */
static size_t step1c(char *w, size_t n) {
    if (n > 2 && w[n - 1] == 'y' && is_consonant(w, n - 2)) w[n - 1] = 'i';
    return n;
}

static size_t step2(char *w, size_t n) {
    static const rule rules[] = {
        {"ational", "ate", 1}, {"tional", "tion", 1}, {"enci", "ence", 1},   {"anci", "ance", 1},
        {"izer", "ize", 1},    {"bli", "ble", 1},     {"alli", "al", 1},     {"entli", "ent", 1},
        {"eli", "e", 1},       {"ousli", "ous", 1},   {"ization", "ize", 1}, {"ation", "ate", 1},
        {"ator", "ate", 1},    {"alism", "al", 1},    {"iveness", "ive", 1}, {"fulness", "ful", 1},
        {"ousness", "ous", 1}, {"aliti", "al", 1},    {"iviti", "ive", 1},   {"biliti", "ble", 1},
        {"fulli", "ful", 1}};
    if (ends(w, n, "alli") && measure(w, n - 4) > 0) return step2(w, n - 2);
    if (ends(w, n, "logi"))
        return measure(w, n - 3) > 0 ? n - 1 : n; /* the l belongs to the stem */
    return APPLY(w, n, rules);
}

static size_t step3(char *w, size_t n) {
    static const rule rules[] = {{"icate", "ic", 1}, {"ative", "", 1},  {"alize", "al", 1},
                                 {"iciti", "ic", 1}, {"ical", "ic", 1}, {"ful", "", 1},
                                 {"ness", "", 1}};
    return APPLY(w, n, rules);
}

static size_t step4(char *w, size_t n) {
    static const rule rules[] = {{"al", "", 2},    {"ance", "", 2}, {"ence", "", 2}, {"er", "", 2},
                                 {"ic", "", 2},    {"able", "", 2}, {"ible", "", 2}, {"ant", "", 2},
                                 {"ement", "", 2}, {"ment", "", 2}, {"ent", "", 2},  {"ou", "", 2},
                                 {"ism", "", 2},   {"ate", "", 2},  {"iti", "", 2},  {"ous", "", 2},
                                 {"ive", "", 2},   {"ize", "", 2}};
    if (ends(w, n, "ion"))
        return n > 3 && strchr("st", w[n - 4]) && measure(w, n - 3) > 1 ? n - 3 : n;
    return APPLY(w, n, rules);
}

static size_t step5(char *w, size_t n) {
    if (ends(w, n, "e")) {
        int m = measure(w, n - 1);
        if (m > 1 || (m == 1 && !ends_cvc(w, n - 1))) n--;
    }
    return ends(w, n, "ll") && measure(w, n - 1) > 1 ? n - 1 : n;
}

/* Words that NLTK's list stems by itself. */
static bool irregular(char *w, size_t *n) {
    static const char *const forms[][2] = {
        {"sky", "sky"},        {"skies", "sky"},        {"dying", "die"},
        {"lying", "lie"},      {"tying", "tie"},        {"news", "news"},
        {"innings", "inning"}, {"inning", "inning"},    {"outings", "outing"},
        {"outing", "outing"},  {"cannings", "canning"}, {"canning", "canning"},
        {"howe", "howe"},      {"proceed", "proceed"},  {"exceed", "exceed"},
        {"succeed", "succeed"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strlen(forms[i][0]) != *n || memcmp(w, forms[i][0], *n)) continue;
        *n = put(w, 0, forms[i][1]);
        return true;
    }
    return false;
}

size_t porter_stem(char *w, size_t n) {
    if (irregular(w, &n) || n <= 2) return n;
    n = step1a(w, n);
    n = step1b(w, n);
    n = step1c(w, n);
    n = step2(w, n);
    n = step3(w, n);
    n = step4(w, n);
    return step5(w, n);
}
