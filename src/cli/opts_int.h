#ifndef RAGLAN_CLI_OPTS_INT_H
#define RAGLAN_CLI_OPTS_INT_H
/* Shared by opts.c (parsing) and opts_help.c (what is printed from the table). */
#include "cli/opts.h"

#define OPTS_SHARED_MOST 8

/* The options of o->shared and the three that are always there, pointing into o; their count. */
int opts_shared(opts *o, opt table[OPTS_SHARED_MOST]);

/* Copies the i-th word (from 0) of "a|b|c" into out; false when there is none. */
bool opts_choice(const char *choices, int i, char out[64]);

/* Print on stdout: `form` is "" (the help), "bash" or "man". False: no such form. */
bool opts_print(opts *o, const char *form);
#endif
