#ifndef RAGLAN_DATA_HTTP_H
#define RAGLAN_DATA_HTTP_H
/* One HTTP request at a time to an address that the user named: the one door to libcurl. */
#include "util/mem.h"

typedef struct http http; /* keeps its connection open between requests */
typedef struct http_options {
    const char *bearer;  /* value of "Authorization: Bearer"; NULL or "": none */
    double timeout_s;    /* of one request; 0: 60 */
    int retries;         /* after a failure that may pass: no connection, time-out, 429, 5xx */
    double first_wait_s; /* before the first retry, doubled each time, at most a minute; 0: 1 */
} http_options;
status http_new(const http_options *o, http **out);
void http_free(http *h); /* NULL is a no-op */

/* POSTs a JSON body; the reply's bytes (at most 16 MiB) into reply, emptied first. Waits and tries
 * again as the options say; a server's Retry-After is heeded.
 * ERR_IO: no usable reply, with the address and the server's first words; ERR_STOPPED: Ctrl+C. */
status http_post_json(http *h, const char *url, const char *body, buf *reply);
#endif
