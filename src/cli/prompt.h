#ifndef RAGLAN_CLI_PROMPT_H
#define RAGLAN_CLI_PROMPT_H
/* A prompt for questions: line editing and history on a terminal (libedit's one door), plain lines
 * elsewhere. */
#include <stdbool.h>

#include "util/err.h"

typedef struct prompt prompt;
/* history_name: a file under $XDG_STATE_HOME/raglan (~/.local/state/raglan) that keeps lines
 * between sessions; NULL: none. text is borrowed. */
prompt *prompt_open(const char *text, const char *history_name);
/* The next line without its end, borrowed until the next call; NULL at the end of input. */
const char *prompt_line(prompt *p);
void prompt_close(prompt *p); /* saves the history; NULL is a no-op */

/* Lines from the prompt ">>> " to fn until `quit` (which is answered "bye bye!"), the end of input,
 * Ctrl+C (ERR_STOPPED) or a failure. A line that fn refuses with ERR_ARG is said, and the next one
 * asked for; blank ones are passed over. */
typedef status (*prompt_fn)(void *arg, const char *line);
status prompt_loop(prompt_fn fn, void *arg);
#endif
