#ifndef RAGLAN_UTIL_LOG_H
#define RAGLAN_UTIL_LOG_H
/* Log lines and progress bars, both on stderr; stdout is for results.
 * A warning reads "raglan: warning: sentence", an info line is the sentence alone; levels below the set one are silent.
 * The only global mutable state of the house besides err_msg(). */
#include "util/err.h"

typedef enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level;
void log_level_set(log_level level); /* default LOG_INFO; --quiet: LOG_WARN, --verbose: LOG_DEBUG */
log_level log_level_get(void);
void log_write(log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* A long job's progress: on a terminal one line redrawn at most 10 times a second, with
 * share, rate and time left; elsewhere a plain line every 10 s; nothing when quiet.
 * Log lines written meanwhile go above the bar. One bar at a time; calls from one thread. */
typedef struct progress {
    const char *label; /* "embedding passages", borrowed */
    const char *unit;  /* "passages" */
    int64_t total;     /* < 0: unknown */
    int64_t done;
    double start_s, drawn_s;
} progress;
void progress_begin(progress *p, const char *label, const char *unit, int64_t total);
void progress_update(progress *p, int64_t done);
void progress_end(progress *p); /* clears the bar, or prints the last plain line */

double now_s(void); /* monotonic seconds */

#endif
