/* The prompt of `ask` and of the published form. On a terminal libedit edits lines and keeps a
 * history under XDG_STATE_HOME; elsewhere lines are read as they come, so a pipe can ask too. */
#include "cli/prompt.h"

#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/file.h"
#include "util/log.h"
#include "util/stop.h"

enum { HISTORY_LINES = 1000 };

struct prompt {
    const char *text;
    EditLine *edit; /* NULL: not a terminal */
    History *history;
    char *path; /* of the history; NULL: not kept */
    char *line;
    size_t cap;
};

static char *prompt_text(EditLine *e) {
    prompt *p;
    el_get(e, EL_CLIENTDATA, &p);
    return (char *)p->text;
}

static char *history_path(const char *name) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *folder = state && *state ? xasprintf("%s/raglan", state)
                   : home && *home ? xasprintf("%s/.local/state/raglan", home)
                                   : NULL;
    if (!folder) return NULL;
    char *path = file_make_folders(folder) ? NULL : xasprintf("%s/%s", folder, name);
    free(folder);
    err_clear();
    return path;
}

static void open_editor(prompt *p, const char *history_name) {
    HistEvent e;
    p->edit = el_init("raglan", stdin, stdout, stderr);
    p->history = history_init();
    if (!p->edit || !p->history) return;
    history(p->history, &e, H_SETSIZE, HISTORY_LINES);
    history(p->history, &e, H_SETUNIQUE, 1);
    el_set(p->edit, EL_CLIENTDATA, p);
    el_set(p->edit, EL_PROMPT, prompt_text);
    el_set(p->edit, EL_EDITOR, "emacs");
    el_set(p->edit, EL_HIST, history, p->history);
    if (history_name) p->path = history_path(history_name);
    if (p->path) history(p->history, &e, H_LOAD, p->path);
}

prompt *prompt_open(const char *text, const char *history_name) {
    prompt *p = xcalloc(1, sizeof *p);
    p->text = text;
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) open_editor(p, history_name);
    return p;
}

static const char *edited_line(prompt *p) {
    int n = 0;
    const char *line = el_gets(p->edit, &n);
    if (!line || n <= 0) return NULL;
    HistEvent e;
    if (line[strspn(line, " \t\n")]) history(p->history, &e, H_ENTER, line);
    free(p->line);
    p->line = xstrndup(line, (size_t)n - (line[n - 1] == '\n'));
    return p->line;
}

const char *prompt_line(prompt *p) {
    if (p->edit && p->history) return edited_line(p);
    if (log_level_get() >= LOG_INFO) { /* not on stdout, which is for answers */
        fputs(p->text, stderr);
        fflush(stderr);
    }
    fflush(stdout);
    ssize_t n = getline(&p->line, &p->cap, stdin);
    if (n < 0) return NULL;
    while (n > 0 && strchr("\r\n", p->line[n - 1])) p->line[--n] = 0;
    return p->line;
}

void prompt_close(prompt *p) {
    if (!p) return;
    HistEvent e;
    if (p->history && p->path) history(p->history, &e, H_SAVE, p->path);
    if (p->history) history_end(p->history);
    if (p->edit) el_end(p->edit);
    free(p->path);
    free(p->line);
    free(p);
}

status prompt_loop(prompt_fn fn, void *arg) {
    prompt *p = prompt_open(">>> ", "history");
    status st = OK;
    const char *line;
    while (!st && !stop_requested() && (line = prompt_line(p))) {
        if (strcmp(line, "quit") == 0) {
            fputs("bye bye!\n", stderr);
            break;
        }
        if (line[strspn(line, " \t")] == 0) continue;
        st = fn(arg, line);
        if (st != ERR_ARG) continue;
        log_error("%s", err_msg());
        st = OK;
    }
    prompt_close(p);
    if (!st && stop_requested()) FAIL(ERR_STOPPED, "stopped");
    return st;
}
