/* Ctrl+C. The handler only counts; SA_RESTART is left out so that a blocking read (the
 * prompt, standard input) returns with EINTR and its caller can look at stop_requested(). */
#include "util/stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int asked;

static void on_signal(int sig) {
    (void)sig;
    if (atomic_fetch_add(&asked, 1) > 0) _exit(130);
}

void stop_install(void) {
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_handler = on_signal;
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

bool stop_requested(void) {
    return atomic_load_explicit(&asked, memory_order_relaxed) > 0;
}

void stop_request(void) {
    atomic_store(&asked, 1);
}

void stop_reset(void) {
    atomic_store(&asked, 0);
}
