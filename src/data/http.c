/* HTTP by libcurl: one request at a time, tried again after growing pauses where the server may get
 * better (429, 5xx, no connection); Ctrl+C ends a transfer and a pause. */
#include "data/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/log.h"
#include "util/stop.h"

enum { REPLY_MOST = 16 << 20, WAIT_MOST_S = 60 };

struct http {
    CURL *curl;
    struct curl_slist *headers;
    http_options o;
    buf *reply;
};

/* ---- libcurl's callbacks ---- */

static size_t take(char *bytes, size_t one, size_t n, void *arg) {
    http *h = arg;
    if (h->reply->len + one * n > REPLY_MOST) return 0; /* ends the transfer */
    buf_add(h->reply, bytes, one * n);
    return one * n;
}

static int look(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)arg, (void)a, (void)b, (void)c, (void)d;
    return stop_requested();
}

status http_new(const http_options *o, http **out) {
    http *h = xcalloc(1, sizeof *h);
    h->o = *o;
    h->curl = curl_easy_init();
    if (!h->curl) {
        free(h);
        FAIL(ERR_MEM, "libcurl cannot start");
    }
    h->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (o->bearer && *o->bearer) {
        char *line = xasprintf("Authorization: Bearer %s", o->bearer);
        h->headers = curl_slist_append(h->headers, line);
        free(line);
    }
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h->curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS,
                     (long)(1000 * (o->timeout_s > 0 ? o->timeout_s : 60)));
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, look);
    curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
    *out = h;
    return OK;
}

void http_free(http *h) {
    if (!h) return;
    curl_slist_free_all(h->headers);
    curl_easy_cleanup(h->curl);
    free(h);
}

/* One try. *again: it failed in a way that may pass. *wait_s: how long the server wants. */
static status try_once(http *h, const char *url, const char *body, bool *again, double *wait_s) {
    long code = 0;
    curl_off_t wait = 0;
    buf_reset(h->reply);
    buf_add(h->reply, "", 0);
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    CURLcode c = curl_easy_perform(h->curl);
    if (c == CURLE_ABORTED_BY_CALLBACK) FAIL(ERR_STOPPED, "stopped while waiting for %s", url);
    *again = c == CURLE_COULDNT_CONNECT || c == CURLE_OPERATION_TIMEDOUT ||
             c == CURLE_GOT_NOTHING || c == CURLE_RECV_ERROR || c == CURLE_SEND_ERROR ||
             c == CURLE_COULDNT_RESOLVE_HOST || c == CURLE_PARTIAL_FILE;
    if (c != CURLE_OK) FAIL(ERR_IO, "%s: %s", url, curl_easy_strerror(c));
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &wait);
    *wait_s = (double)wait;
    *again = code == 408 || code == 429 || code >= 500;
    if (code != 200) FAIL(ERR_IO, "%s: HTTP status %ld: %.200s", url, code, h->reply->at);
    return OK;
}

/* Sleeps, unless Ctrl+C. */
static status wait_for(double seconds) {
    for (double end = now_s() + seconds; now_s() < end;) {
        if (stop_requested()) FAIL(ERR_STOPPED, "stopped while waiting to try again");
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return OK;
}

status http_post_json(http *h, const char *url, const char *body, buf *reply) {
    double wait_s = h->o.first_wait_s > 0 ? h->o.first_wait_s : 1;
    h->reply = reply;
    for (int i = 0;; i++) {
        bool again = false;
        double asked_s = 0;
        status st = try_once(h, url, body, &again, &asked_s);
        if (!st || st == ERR_STOPPED) return st;
        if (!again || i >= h->o.retries) return err_wrap(st, "after %d tries", i + 1);
        if (asked_s > wait_s) wait_s = asked_s;
        if (wait_s > WAIT_MOST_S) wait_s = WAIT_MOST_S;
        log_info("%s; trying again in %.3g s", err_msg(), wait_s);
        err_clear();
        TRY(wait_for(wait_s));
        wait_s *= 2;
    }
}
