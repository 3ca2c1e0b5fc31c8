/* The program: finds the subcommand and runs it. `help`, `completion` and `manual` are here,
 * because they ask every command for what its option table says. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/opts.h"
#include "tensor/backend.h"
#include "util/log.h"
#include "util/stop.h"

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
#define COMMAND(name, summary) {#name, summary, cmd_##name},
#include "cli/commands.def"
#undef COMMAND
};
#define N_COMMANDS ((int)(sizeof commands / sizeof *commands))

static const char about[] = "learns to answer questions from your documents, with sources";

static const command *find(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

/* A command in `--option value COMMAND`: no value of an option, and the published form takes no
 * arguments. */
static const command *find_after_options(int argc, char **argv) {
    for (int i = 2; i < argc && argv[1][0] == '-'; i++)
        if (argv[i - 1][0] != '-' && find(argv[i])) return find(argv[i]);
    return NULL;
}

/* Asks a command for one form of its help. */
static int ask(const command *c, char *form) {
    char name[64];
    snprintf(name, sizeof name, "%s", c->name);
    return c->run(2, (char *[]){name, form, NULL});
}

static int unknown(const char *word) {
    const char *names[N_COMMANDS + 1] = {"help"};
    int n = 1;
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].summary[0]) names[n++] = commands[i].name;
    fprintf(stderr, "raglan: unknown command '%s', the nearest known is %s (see raglan help)\n",
            word, opts_nearest(word, names, n));
    return 2;
}

static void list(FILE *out) {
    fprintf(out, "raglan %s: %s\n\nusage: raglan COMMAND [options] [arguments]\n\n", RAGLAN_VERSION,
            about);
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].summary[0])
            fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fprintf(out,
            "\nto begin:\n\n"
            "  raglan sample tales             or documents of your own\n"
            "  raglan ingest tales\n"
            "  raglan index                    enough for raglan search WORDS\n"
            "  raglan train all --minutes 10   enough for raglan ask, if there were questions\n"
            "\nraglan help COMMAND explains one; raglan --version says which raglan this is;\n"
            "raglan --target none|dataset|retriever|all is the published form (raglan help "
            "published)\n");
}

static int help(int argc, char **argv) {
    if (argc < 2) {
        list(stdout);
        return 0;
    }
    const command *c = find(argv[1]);
    return c ? ask(c, "--help") : unknown(argv[1]);
}

/* One `case` of command and previous word, filled by the commands themselves. */
int cmd_completion(int argc, char **argv) {
    opts o = {.command = "completion",
              .about = "Prints the completion of bash, for example for ~/.bashrc:\n\n"
                       "  source <(raglan completion)"};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    printf("_raglan() {\n"
           "    local words='help");
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].summary[0]) printf(" %s", commands[i].name);
    printf("'\n"
           "    [ \"$COMP_CWORD\" -gt 1 ] && case \"${COMP_WORDS[1]}:${COMP_WORDS[COMP_CWORD - "
           "1]}\" in\n");
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].summary[0]) ask(&commands[i], "--help=bash");
    printf("    help:*) ;;\n"
           "    *) words= ;;\n"
           "    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
           "}\n"
           "complete -o default -F _raglan raglan\n");
    return 0;
}

int cmd_manual(int argc, char **argv) {
    opts o = {.command = "manual", .about = "Prints the manual page, for man -l or a man1 folder."};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    printf(".TH RAGLAN 1 \"\" \"raglan %s\"\n"
           ".SH NAME\nraglan \\- %s\n"
           ".SH SYNOPSIS\n.B raglan\n.I COMMAND\n[options] [arguments]\n"
           ".SH DESCRIPTION\n"
           "Inside long option names \\- and _ are equal. Results go to standard output, "
           "everything else to\n"
           "standard error.\n"
           ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 130 after Ctrl+C or SIGTERM.\n"
           ".SH ENVIRONMENT\n"
           ".TP\n.B RAGLAN_HOME\nhome of the collection where \\-\\-save_dir is not given\n"
           ".TP\n.B RAGLAN_CPU\nfamily of kernels to use: ref, avx2, avx512, bf16 or amx\n"
           ".SH COMMANDS\n",
           RAGLAN_VERSION, about);
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].summary[0]) ask(&commands[i], "--help=man");
    return 0;
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        list(stderr);
        return 2;
    }
    const char *word = argv[1];
    if (!strcmp(word, "help")) return help(argc - 1, argv + 1);
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return help(1, argv + 1);
    if (!strcmp(word, "--version")) {
        printf("raglan %s\n", RAGLAN_VERSION);
        return 0;
    }
    const command *published = find("published"), *late = find_after_options(argc, argv);
    if (late) {
        fprintf(stderr,
                "raglan: found options before the command '%s', wanted them behind it: raglan %s "
                "[options] (see raglan help %s)\n",
                late->name, late->name, late->name);
        return 2;
    }
    bool is_published = word[0] == '-' && published;
    const command *c = is_published ? published : find(word);
    if (!c) return unknown(word);
    const backend *be;
    status st = backend_find(NULL, &be); /* RAGLAN_CPU, before anything is computed */
    if (st) return cli_exit(st);
    return is_published ? c->run(argc, argv) : c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
    stop_install();
    int code = run(argc, argv);
    /* A full disk behind stdout shows only now: a result that was not written is a failure. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
        log_error("standard output: cannot write the result");
        code = 1;
    }
    return code;
}
