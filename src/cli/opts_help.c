/* What is printed from an option table: the help, a piece of the bash completion, a section
 * of the manual page. */
#include "cli/opts_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH  96
#define COLUMN 30 /* where the explanations begin */

/* Calls fn for the command's own options (headings too), then a heading, then the shared ones. */
static void each(opts *o, void (*fn)(const opts *o, const opt *p)) {
    opt shared[OPTS_SHARED_MOST], heading = {.help = "Options"};
    int n = opts_shared(o, shared);
    if (o->n_options && o->options[0].name) fn(o, &heading);
    for (int i = 0; i < o->n_options; i++) fn(o, &o->options[i]);
    heading.help = "Shared options";
    fn(o, &heading);
    for (int i = 0; i < n; i++) fn(o, &shared[i]);
}

/* Prints words from column `at` on, broken before WIDTH; later lines begin at `indent`. */
static void print_wrapped(const char *text, int at, int indent) {
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (at > indent && at + 1 + n > WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", n, text);
        at += n;
        text += n + strspn(text + n, " ");
    }
    putchar('\n');
}

/* "10; 1 to 1000", "at least 1", "" */
static void limits(const opt *p, char *out, size_t size) {
    const char *standard = p->standard && p->standard[0] ? p->standard : NULL;
    char range[80] = "";
    bool is_number = p->kind == OPT_INT || p->kind == OPT_FLOAT;
    if (is_number && p->min != p->max) {
        if (isinf(p->max))
            snprintf(range, sizeof range, "at least %.10g", p->min);
        else
            snprintf(range, sizeof range, "%.10g to %.10g", p->min, p->max);
    }
    snprintf(out, size, "%s%s%s", standard ? standard : "", standard && range[0] ? "; " : "",
             range);
}

/* "--top_k K", "-q" */
static int signature(const opt *p, char *out, size_t size) {
    return snprintf(out, size, "%s%s%s%s", p->name[1] ? "--" : "-", p->name, p->value ? " " : "",
                    p->value ? p->value : "");
}

/* ---- help ---- */

static void help_line(const opts *o, const opt *p) {
    (void)o;
    char left[256], note[160], text[1024];
    if (!p->name) {
        printf("\n%s:\n", p->help);
        return;
    }
    int n = signature(p, left, sizeof left);
    limits(p, note, sizeof note);
    snprintf(text, sizeof text, "%s%s%s%s", p->help, note[0] ? " (" : "", note, note[0] ? ")" : "");
    printf("  %s", left);
    if (n + 2 < COLUMN)
        printf("%*s", COLUMN - n - 2, "");
    else
        printf("\n%*s", COLUMN, "");
    print_wrapped(text, COLUMN, COLUMN);
}

/* The next paragraph of `about`, its length in *n; NULL at the end. */
static const char *paragraph(const char **about, int *n) {
    const char *text = *about, *end = text ? strstr(text, "\n\n") : NULL;
    if (!text || !*text) return NULL;
    *n = end ? (int)(end - text) : (int)strlen(text);
    *about = end ? end + 2 : NULL;
    return text;
}

static void print_help(opts *o) {
    printf("raglan %s%s%s [options]\n", o->command, o->arguments ? " " : "",
           o->arguments ? o->arguments : "");
    const char *about = o->about, *text;
    for (int n; (text = paragraph(&about, &n));) {
        char copy[2048];
        snprintf(copy, sizeof copy, "%.*s", n, text);
        putchar('\n');
        if (copy[0] == ' ')
            puts(copy);
        else
            print_wrapped(copy, 0, 0);
    }
    each(o, help_line);
}

/* ---- bash ---- */

/* Two kinds of cases of `case "$command:$previous"`: the words of a choice, the options. */
static void bash_choice(const opts *o, const opt *p) {
    char word[64];
    if (!p->name || p->kind != OPT_CHOICE) return;
    printf("    %s:--%s) words='", o->command, p->name);
    for (int i = 0; opts_choice(p->value, i, word); i++) printf("%s%s", i ? " " : "", word);
    printf("' ;;\n");
}

static void bash_name(const opts *o, const opt *p) {
    (void)o;
    if (p->name) printf("%s%s ", p->name[1] ? "--" : "-", p->name);
}

static void print_bash(opts *o) {
    each(o, bash_choice);
    printf("    %s:*) words='", o->command);
    each(o, bash_name);
    printf("' ;;\n");
}

/* ---- manual ---- */

/* roff: a backslash and a dash are escaped, a dot or quote does not begin a line. */
static void roff(const char *text) {
    if (*text == '.' || *text == '\'') fputs("\\&", stdout);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        if (*text == '\n' && (text[1] == '.' || text[1] == '\'')) fputs("\\&", stdout);
    }
}

static void man_line(const opts *o, const opt *p) {
    (void)o;
    char text[256];
    if (!p->name) {
        printf(".PP\n%s:\n", p->help);
        return;
    }
    printf(".TP\n.B ");
    signature(p, text, sizeof text);
    roff(text);
    putchar('\n');
    roff(p->help);
    limits(p, text, sizeof text);
    if (text[0]) {
        fputs(" (", stdout);
        roff(text);
        putchar(')');
    }
    putchar('\n');
}

static void print_man(opts *o) {
    printf(".SS raglan %s%s%s [options]\n", o->command, o->arguments ? " " : "",
           o->arguments ? o->arguments : "");
    const char *about = o->about, *text;
    for (int n; (text = paragraph(&about, &n));) {
        char copy[2048];
        snprintf(copy, sizeof copy, "%.*s", n, text);
        puts(copy[0] == ' ' ? ".PP\n.nf" : ".PP");
        roff(copy);
        puts(copy[0] == ' ' ? "\n.fi" : "");
    }
    each(o, man_line);
}

bool opts_print(opts *o, const char *form) {
    if (!form[0])
        print_help(o);
    else if (!strcmp(form, "bash"))
        print_bash(o);
    else if (!strcmp(form, "man"))
        print_man(o);
    else
        return false;
    return true;
}
