#ifndef RAGLAN_UTIL_STOP_H
#define RAGLAN_UTIL_STOP_H
/* Ctrl+C: the first SIGINT or SIGTERM asks running work to finish its step, save and return
 * ERR_STOPPED; the second ends the process at once with 130 (files stay intact, because
 * everything is renamed into place). Long loops ask stop_requested() at every step. */
#include <stdbool.h>
void stop_install(void);
bool stop_requested(void);
void stop_request(void); /* as if the signal had come; for tests */
void stop_reset(void);
#endif
