#ifndef RAGLAN_CLI_CLI_H
#define RAGLAN_CLI_CLI_H
/* The program: a table of subcommands (commands.def), each cmd_NAME in a file of its own. */
#include "util/err.h"

/* argv[0] is the command's name; the result is the exit code: 0 done, 1 failed, 2 wrong
 * usage, 130 stopped by Ctrl+C or SIGTERM. */
#define COMMAND(name, summary) int cmd_##name(int argc, char **argv);
#include "cli/commands.def"
#undef COMMAND

/* The exit code of a status, after saying its sentence on stderr. */
int cli_exit(status st);
#endif
