/* Parsing of a subcommand's options against its table (opts.h). Every refusal is one
 * sentence: the option, the value, what was wanted, the nearest known name. */
#include "cli/opts_int.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/par.h"

/* ---- names ---- */

static char plain(char c) {
    return c == '-' ? '_' : c;
}

static bool same_name(const char *name, const char *written, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (plain(name[i]) != plain(written[i]) || !name[i]) return false;
    return !name[n];
}

/* Levenshtein's distance by its recurrence, one row at a time; words are cut at 63 letters. */
static int distance(const char *a, const char *b) {
    int row[64], n = (int)strnlen(b, 63);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1] && i < 64; i++) {
        int diagonal = row[0]; /* of the row above */
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int change = diagonal + (plain(a[i - 1]) != plain(b[j - 1]));
            int shorter = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < shorter ? change : shorter;
        }
    }
    return row[n];
}

const char *opts_nearest(const char *word, const char *const *words, int n) {
    const char *nearest = NULL;
    int least = 0;
    for (int i = 0; i < n; i++) {
        int d = distance(word, words[i]);
        if (nearest && d >= least) continue;
        nearest = words[i];
        least = d;
    }
    return nearest;
}

bool opts_choice(const char *choices, int i, char out[64]) {
    for (; i > 0 && choices; i--) {
        choices = strchr(choices, '|');
        choices += choices != NULL;
    }
    if (!choices) return false;
    snprintf(out, 64, "%.*s", (int)strcspn(choices, "|"), choices);
    return true;
}

/* ---- the shared options ---- */

int opts_shared(opts *o, opt table[OPTS_SHARED_MOST]) {
    int n = 0;
    if (o->shared & OPTS_HOME)
        table[n++] =
            (opt){"save_dir",
                  OPT_TEXT,
                  &o->home,
                  NULL,
                  0,
                  0,
                  "DIR",
                  "home of the collection, made where absent; else RAGLAN_HOME, else raglan-home",
                  false};
    if (o->shared & OPTS_THREADS)
        table[n++] =
            (opt){"threads",   OPT_INT,
                  &o->threads, NULL,
                  1,           1024,
                  "N",         "threads to use; without it, all processors the process may use",
                  false};
    if (o->shared & OPTS_SEED)
        table[n++] = (opt){"seed", OPT_INT,  &o->seed, "42",
                           0,      INFINITY, "N",      "where all randomness flows from",
                           false};
    if (o->shared & OPTS_GPU)
        table[n++] = (opt){"gpu", OPT_FLAG, &o->gpu, NULL,
                           0,     0,        NULL,    "use a CUDA device where there is one",
                           false};
    if (o->shared & OPTS_JSON)
        table[n++] = (opt){
            "json", OPT_FLAG, &o->json, NULL, 0, 0, NULL, "print JSON for programs to read", false};
    table[n++] =
        (opt){"quiet", OPT_FLAG, &o->quiet, NULL, 0, 0, NULL, "only warnings and errors on stderr",
              false};
    table[n++] =
        (opt){"verbose", OPT_FLAG, &o->verbose, NULL, 0, 0, NULL, "say more on stderr", false};
    table[n++] = (opt){"help", OPT_FLAG, NULL, NULL, 0, 0, NULL, "this text", false};
    return n;
}

/* ---- values ---- */

int opts_wrong(const opts *o, const char *fmt, ...) {
    buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "raglan %s: %s (see raglan help %s)\n", o->command, text.at, o->command);
    buf_clear(&text);
    return 2;
}

static const char *dashes(const opt *p) {
    return p->name[1] ? "--" : "-";
}

/* "a whole number from 1 to 1000" */
static void wanted_number(const opt *p, char out[96]) {
    const char *kind = p->kind == OPT_INT ? "a whole number" : "a number";
    if (p->min == p->max)
        snprintf(out, 96, "%s", kind);
    else if (isinf(p->max))
        snprintf(out, 96, "%s of at least %g", kind, p->min);
    else
        snprintf(out, 96, "%s from %.10g to %.10g", kind, p->min, p->max);
}

static bool read_number(const opt *p, const char *text) {
    char *end;
    errno = 0;
    long long whole = p->kind == OPT_INT ? strtoll(text, &end, 10) : 0;
    double x = p->kind == OPT_INT ? (double)whole : strtod(text, &end);
    bool is_number = end != text && !*end && isfinite(x) && strpbrk(text, "xX \t") == NULL &&
                     (errno == 0 || (p->kind == OPT_FLOAT && fabs(x) < 1));
    if (!is_number || (p->min != p->max && (x < p->min || x > p->max))) return false;
    if (p->kind == OPT_INT)
        *(int64_t *)p->to = whole;
    else
        *(double *)p->to = x;
    return true;
}

/* Sets the option; false when the value does not fit, and *wanted says what would. */
static bool set_value(const opt *p, const char *text, buf *wanted) {
    char word[64], number[96];
    switch (p->kind) {
    case OPT_FLAG: {
        static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
        for (int i = 0; i < 6; i++) {
            if (strcmp(text, words[i]) != 0) continue;
            *(bool *)p->to = i % 2;
            return true;
        }
        buf_puts(wanted, "yes or no");
        return false;
    }
    case OPT_INT:
    case OPT_FLOAT:
        if (read_number(p, text)) return true;
        wanted_number(p, number);
        buf_puts(wanted, number);
        return false;
    case OPT_TEXT:
        *(const char **)p->to = text;
        return true;
    case OPT_TEXTS: {
        opt_texts *list = p->to;
        int room = (int)(sizeof list->at / sizeof *list->at);
        if (list->n < room) {
            list->at[list->n++] = text;
            return true;
        }
        buf_printf(wanted, "at most %d of them", room);
        return false;
    }
    case OPT_CHOICE: {
        const char *words[32];
        char copies[32][64];
        int n = 0;
        for (; n < 32 && opts_choice(p->value, n, word); n++) {
            words[n] = strcpy(copies[n], word);
            if (!same_name(words[n], text, strlen(text))) continue;
            *(int *)p->to = n;
            return true;
        }
        for (int i = 0; i < n; i++)
            buf_printf(wanted, "%s%s", i ? i == n - 1 ? " or " : ", " : "", words[i]);
        buf_printf(wanted, "; the nearest is %s", opts_nearest(text, words, n));
        return false;
    }
    }
    return false;
}

static int take(const opts *o, opt *p, const char *text) {
    buf wanted = {0};
    int code = -1;
    if (set_value(p, text, &wanted))
        p->given = true;
    else
        code = opts_wrong(o, "%s%s: found '%s', wanted %s", dashes(p), p->name, text, wanted.at);
    buf_clear(&wanted);
    return code;
}

/* ---- argv ---- */

/* What the parser walks: the command's own table and the shared one behind it. */
typedef struct walk {
    opts *o;
    opt shared[OPTS_SHARED_MOST];
    int n_shared;
    int argc, at; /* argv[at] is next */
    char **argv;
} walk;

static opt *find(walk *w, const char *written, size_t n) {
    for (int i = 0; i < w->o->n_options; i++)
        if (w->o->options[i].name && same_name(w->o->options[i].name, written, n))
            return &w->o->options[i];
    for (int i = 0; i < w->n_shared; i++)
        if (same_name(w->shared[i].name, written, n)) return &w->shared[i];
    return NULL;
}

static int unknown(const walk *w, const char *written) {
    const char *names[256];
    char word[64];
    int n = 0;
    for (int i = 0; i < w->o->n_options && n < 240; i++)
        if (w->o->options[i].name) names[n++] = w->o->options[i].name;
    for (int i = 0; i < w->n_shared; i++) names[n++] = w->shared[i].name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(written, "="), written + strspn(written, "-"));
    word[strcspn(word, "=")] = 0;
    const char *nearest = opts_nearest(word, names, n), *dash = nearest[1] ? "--" : "-";
    return opts_wrong(w->o, "unknown option '%s', the nearest known is %s%s", written, dash,
                      nearest);
}

/* The value of p that is a word of its own: the next of argv, unless that looks like an option. */
static int take_next(walk *w, opt *p) {
    const char *text = w->at < w->argc ? w->argv[w->at] : NULL;
    if (!text || strncmp(text, "--", 2) == 0)
        return opts_wrong(w->o, "%s%s: found %s%s%s, wanted %s%s", dashes(p), p->name,
                          text ? "'" : "nothing", text ? text : "", text ? "'" : "",
                          p->value ? p->value : "a value",
                          text ? ": a value that begins with -- is given as --name=value" : "");
    w->at++;
    return take(w->o, p, text);
}

static int read_long(walk *w, char *word) {
    char *name = word + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    opt *p = n > 1 ? find(w, name, n) : NULL;
    if (!p) return unknown(w, word);
    if (equals) return take(w->o, p, equals + 1);
    if (p->kind == OPT_FLAG) return take(w->o, p, "yes");
    return take_next(w, p);
}

/* "-q", "-qc", "-l 2", "-l2" */
static int read_short(walk *w, char *word) {
    for (char *letter = word + 1; *letter; letter++) {
        opt *p = find(w, letter, 1);
        if (!p) return unknown(w, word);
        int code = p->kind == OPT_FLAG ? take(w->o, p, "yes")
                   : letter[1]         ? take(w->o, p, letter + 1)
                                       : take_next(w, p);
        if (code >= 0 || p->kind != OPT_FLAG) return code;
    }
    return -1;
}

/* Numbers are arguments though they begin with a dash. */
static bool is_argument(const char *word) {
    return word[0] != '-' || !word[1] || strchr("0123456789.", word[1]);
}

static int read_words(walk *w) {
    opts *o = w->o;
    o->args = w->argv + 1;
    o->n_args = 0;
    for (bool only_arguments = false; w->at < w->argc;) {
        char *word = w->argv[w->at++];
        int code = -1;
        if (only_arguments || is_argument(word))
            o->args[o->n_args++] = word; /* never ahead of at */
        else if (strcmp(word, "--") == 0)
            only_arguments = true;
        else
            code = word[1] == '-' ? read_long(w, word) : read_short(w, word);
        if (code >= 0) return code;
    }
    if (o->n_args < o->min_args || (o->max_args >= 0 && o->n_args > o->max_args)) {
        int extra = o->max_args >= 0 && o->n_args > o->max_args ? o->max_args : -1;
        if (extra >= 0)
            return opts_wrong(o, "found one argument too many, '%s', wanted %s", o->args[extra],
                              o->arguments ? o->arguments : "none");
        return opts_wrong(o, "found %s, wanted %s", o->n_args ? "too few arguments" : "no argument",
                          o->arguments);
    }
    return -1;
}

/* "--help", "-h" or "--help=FORM" anywhere among the options; NULL: not asked for. */
static const char *help_form(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return "";
        if (strncmp(argv[i], "--help=", 7) == 0) return argv[i] + 7;
    }
    return NULL;
}

static void set_defaults(walk *w) {
    opts *o = w->o;
    const char *home = getenv("RAGLAN_HOME");
    o->home = home && home[0] ? home : "raglan-home";
    o->threads = 0;
    o->gpu = o->json = o->quiet = o->verbose = false;
    for (int i = 0; i < o->n_options + w->n_shared; i++) {
        opt *p = i < o->n_options ? &o->options[i] : &w->shared[i - o->n_options];
        buf wanted = {0};
        if (!p->name || !p->to) continue;
        p->given = false;
        if (p->kind == OPT_FLAG && !p->standard) *(bool *)p->to = false;
        if (p->standard)
            MUST(set_value(p, p->standard, &wanted), "default '%s' of --%s: wanted %s", p->standard,
                 p->name, wanted.at);
    }
}

int opts_parse(opts *o, int argc, char **argv) {
    walk w = {.o = o, .argc = argc, .argv = argv, .at = 1};
    w.n_shared = opts_shared(o, w.shared);
    set_defaults(&w);
    const char *form = help_form(argc, argv);
    if (form && opts_print(o, form)) return 0;
    if (form) return opts_wrong(o, "--help: found '%s', wanted bash or man", form);
    int code = read_words(&w);
    if (code >= 0) return code;
    if (o->quiet && o->verbose) return opts_wrong(o, "--quiet and --verbose exclude each other");
    log_level_set(o->quiet ? LOG_WARN : o->verbose ? LOG_DEBUG : LOG_INFO);
    if (o->shared & OPTS_THREADS) par_threads_set((int)o->threads);
    if (o->gpu) log_warn("--gpu: no CUDA device can be used here; going on with the CPU");
    return -1;
}

bool opts_given(const opts *o, const char *name) {
    for (int i = 0; i < o->n_options; i++)
        if (o->options[i].name && strcmp(o->options[i].name, name) == 0) return o->options[i].given;
    MUST(false, "command %s has no option '%s'", o->command, name);
}
