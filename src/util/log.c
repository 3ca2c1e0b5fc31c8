/* Log lines and the progress bar share stderr, so one lock orders them: a log line wipes the
 * bar, prints itself and puts the bar back. */
#include "util/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_S     0.1  /* on a terminal */
#define PLAIN_LINE_S 10.0 /* elsewhere */

static atomic_int level_now = LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char bar[160]; /* what stands on the terminal's last line, "" when nothing does */

double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void log_level_set(log_level level) {
    atomic_store(&level_now, (int)level);
}

log_level log_level_get(void) {
    return (log_level)atomic_load(&level_now);
}

void log_write(log_level level, const char *fmt, ...) {
    static const char *const prefix[] = {"raglan: error: ", "raglan: warning: ", "",
                                         "raglan: debug: "};
    if (level > log_level_get()) return;
    pthread_mutex_lock(&lock);
    if (bar[0]) fputs("\r\033[K", stderr);
    fputs(prefix[level], stderr);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (bar[0]) fputs(bar, stderr);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

/* Columns of the terminal behind stderr; 0 when there is none. */
static int columns(void) {
    struct winsize size;
    if (!isatty(STDERR_FILENO)) return 0;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void time_text(double s, char out[32]) {
    int64_t n = s < 0 ? 0 : (int64_t)(s + .5);
    if (n >= 3600)
        snprintf(out, 32, "%d:%02d:%02d", (int)(n / 3600), (int)(n / 60 % 60), (int)(n % 60));
    else
        snprintf(out, 32, "%d:%02d", (int)(n / 60), (int)(n % 60));
}

/* "embedding passages  42% 4200/10000 passages, 913.2/s, 0:06 left" */
static void describe(const progress *p, double t, char *out, size_t size) {
    double passed = t - p->start_s, rate = passed > 0 ? (double)p->done / passed : 0;
    char left[32], text[64] = "";
    if (p->total > 0 && rate > 0) {
        time_text((double)(p->total - p->done) / rate, left);
        snprintf(text, sizeof text, ", %s left", left);
    }
    if (p->total > 0)
        snprintf(out, size, "%s %3d%% %lld/%lld %s, %.*f/s%s", p->label,
                 (int)(100.0 * (double)p->done / (double)p->total), (long long)p->done,
                 (long long)p->total, p->unit, rate < 100, rate, text);
    else
        snprintf(out, size, "%s %lld %s, %.*f/s", p->label, (long long)p->done, p->unit, rate < 100,
                 rate);
}

void progress_begin(progress *p, const char *label, const char *unit, int64_t total) {
    double t = now_s();
    *p = (progress){.label = label, .unit = unit, .total = total, .start_s = t, .drawn_s = t};
}

void progress_update(progress *p, int64_t done) {
    p->done = done;
    if (log_level_get() < LOG_INFO) return;
    double t = now_s();
    if (t - p->drawn_s < REDRAW_S)
        return; /* the terminal is asked only when something may be due */
    int width = columns();
    if (!width && t - p->drawn_s < PLAIN_LINE_S) return;
    p->drawn_s = t;
    char text[sizeof bar];
    describe(p, t, text, sizeof text);
    if (!width) {
        log_info("%s", text);
        return;
    }
    if (width <= (int)strlen(text)) text[width - 1] = 0; /* a line that wraps cannot be redrawn */
    pthread_mutex_lock(&lock);
    memcpy(bar, text, sizeof bar);
    fprintf(stderr, "\r\033[K%s", bar);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

void progress_end(progress *p) {
    if (log_level_get() < LOG_INFO) return;
    if (columns()) {
        pthread_mutex_lock(&lock);
        if (bar[0]) fputs("\r\033[K", stderr);
        bar[0] = 0;
        fflush(stderr);
        pthread_mutex_unlock(&lock);
        return;
    }
    /* A short job that printed nothing needs no last line either. */
    if (p->drawn_s == p->start_s) return;
    double t = now_s();
    char text[sizeof bar];
    describe(p, t, text, sizeof text);
    log_info("%s", text);
}
