#ifndef RAGLAN_CLI_OPTS_H
#define RAGLAN_CLI_OPTS_H
/* Options of a subcommand: one table says names, kinds, defaults, ranges and help; parsing,
 * the help text, shell completion and the manual page all come from it.
 *
 *     int cmd_search(int argc, char **argv) {
 *         int64_t top_k;
 *         int mode;
 *         opt table[] = {
 *             {"top_k", OPT_INT, &top_k, "10", 1, 1000, "K", "passages to show"},
 *             {"mode", OPT_CHOICE, &mode, "hybrid", 0, 0, "bm25|dense|hybrid", "how to rank"},
 *         };
 *         opts o = {.command = "search", .arguments = "QUESTION", .min_args = 1, .max_args = 1,
 *                   .about = "Finds the passages nearest to a question.",
 *                   .shared = OPTS_HOME | OPTS_THREADS | OPTS_JSON, OPTS_TABLE(table)};
 *         int code = opts_parse(&o, argc, argv);
 *         if (code >= 0) return code;
 *         ...
 *         return cli_exit(st);
 *     }
 *
 * '-' and '_' are equal inside long names; "--name value" and "--name=value" both work; "--"
 * ends the options; "-" alone is an argument (standard input). A name of one letter is
 * written with one dash ("-q", "-l 2", "-l2"; flags may be joined: "-qc"). A flag is
 * "--gpu"; "--gpu=no" takes it back. What is given twice counts as given last. */
#include "util/err.h"

typedef enum opt_kind {
    OPT_FLAG,   /* to: bool * */
    OPT_INT,    /* to: int64_t * */
    OPT_FLOAT,  /* to: double *; not NaN, not infinite */
    OPT_TEXT,   /* to: const char **, borrowed from argv */
    OPT_CHOICE, /* to: int *, the place of the word in `value`, "auto|text|jsonl", from 0 */
    OPT_TEXTS,  /* to: opt_texts *; may be given several times */
} opt_kind;

typedef struct opt_texts {
    const char *at[32]; /* borrowed from argv */
    int n;
} opt_texts;

typedef struct opt {
    const char *name; /* as published, with '_'; NULL: a heading in the help, its text in `help` */
    opt_kind kind;
    void *to;
    const char *standard; /* the default, as typed; NULL: *to stays as it is (a flag: false) */
    double min, max;      /* of a number; min == max: no limits; max INFINITY: no upper limit */
    const char *value;    /* the value's name in the help: "N", "DIR", "a|b|c" */
    const char *help;     /* half a sentence, without a full stop */
    bool given;           /* set by opts_parse: the user said it */
} opt;

/* Options that mean the same in every command. --quiet, --verbose and --help are always there. */
enum {
    OPTS_HOME = 1,    /* --save_dir D, else RAGLAN_HOME, else raglan-home: opts.home */
    OPTS_THREADS = 2, /* --threads N; par_threads_set is called */
    OPTS_SEED = 4,    /* --seed N (42) */
    OPTS_GPU = 8,     /* --gpu */
    OPTS_JSON = 16,   /* --json */
};

#define OPTS_TABLE(table) .options = (table), .n_options = (int)(sizeof(table) / sizeof *(table))

typedef struct opts {
    const char *command;   /* "search" */
    const char *arguments; /* as the usage line shows them: "QUESTION", "[PATH...]"; NULL: none */
    const char *about;     /* sentences for the help; "\n\n" parts paragraphs, a paragraph that
                              begins with a blank is shown as it stands */
    opt *options;          /* writable: `given` is set */
    int n_options;
    unsigned shared;
    int min_args, max_args; /* max_args < 0: any number */

    /* out */
    const char *home;
    int64_t threads, seed; /* threads 0: all the process may use */
    bool gpu, json, quiet, verbose;
    char **args; /* the arguments that are no options; they lie in argv, which is reordered */
    int n_args;
} opts;

/* Reads argv[1..]; argv[0] is the command's name. Sets the log level and the thread count.
 * Returns -1 to go on, else the exit code: 0 after --help, 2 after one sentence on stderr
 * about wrong usage. */
int opts_parse(opts *o, int argc, char **argv);

/* Whether the user gave this option of the command's own table (a name in it). */
bool opts_given(const opts *o, const char *name);

/* The usage error that only a command can see (two options that exclude each other, a word
 * that is no part): prints "raglan COMMAND: sentence (see ...)", returns 2. */
int opts_wrong(const opts *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The word among n that is nearest to `word` by edit distance; NULL when n is 0. '-' equals '_'. */
const char *opts_nearest(const char *word, const char *const *words, int n);
#endif
