/* From a status to what the shell sees. */
#include "cli/cli.h"
#include "util/log.h"

int cli_exit(status st) {
    if (!st) return 0;
    log_debug("%s at %s", err_name(st), err_where());
    if (st == ERR_STOPPED) {
        log_warn("%s", err_msg());
        return 130;
    }
    log_error("%s", err_msg());
    return 1;
}
