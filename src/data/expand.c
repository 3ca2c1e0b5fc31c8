/* The client of answer expansion: what a server said once is kept in a file of JSON lines and in a
 * table, so a stopped run asks only for what is missing. */
#include "data/expand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/http.h"
#include "data/lines.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/unicode.h"

/* What is known: an open hash table from hash(model, question, answer) to a sentence. */
typedef struct known {
    uint64_t key; /* 0: free */
    char *sentence;
} known;

struct expand {
    expand_options o;
    http *http;
    char *url, *model; /* url: with the path of the interface */
    FILE *cache;
    char *cache_path;
    known *at; /* [cap] */
    int64_t n, cap;
    expand_counts counts;
    buf reply;
};

static const char instruction[] =
    "You turn the short answer to a question into one short, full sentence. Keep the answer's own "
    "words, add no facts, and write nothing but the sentence.";

/* ---- what was made before ---- */

static uint64_t key_of(const expand *e, const char *question, const char *answer) {
    buf b = {0};
    const char *const parts[] = {e->model, question, answer};
    for (int i = 0; i < 3; i++) buf_add(&b, parts[i], strlen(parts[i]) + 1);
    uint64_t key = hash64(b.at, b.len) | 1;
    buf_clear(&b);
    return key;
}

static known *slot_of(const expand *e, uint64_t key) {
    int64_t i = (int64_t)(key >> 1) & (e->cap - 1);
    while (e->at[i].key && e->at[i].key != key) i = (i + 1) & (e->cap - 1);
    return &e->at[i];
}

static void grow(expand *e) {
    known *old = e->at;
    int64_t n_old = e->cap;
    e->cap = n_old ? 2 * n_old : 1024;
    e->at = xcalloc((size_t)e->cap, sizeof *e->at);
    for (int64_t i = 0; i < n_old; i++)
        if (old[i].key) *slot_of(e, old[i].key) = old[i];
    free(old);
}

static void remember(expand *e, uint64_t key, const char *sentence) {
    if (2 * e->n >= e->cap) grow(e);
    known *k = slot_of(e, key);
    e->n += k->key == 0;
    free(k->sentence);
    *k = (known){key, xstrdup(sentence)};
}

/* A line of the cache. The last one may be cut: the process ended while it was written. */
static status recall(void *arg, const char *bytes, size_t n, int64_t number) {
    (void)number;
    expand *e = arg;
    json_t *j = bytes ? json_loadb(bytes, n, 0, NULL) : NULL;
    const char *question = json_str(j, "question", NULL), *answer = json_str(j, "answer", NULL);
    const char *sentence = json_str(j, "full_answer", NULL), *model = json_str(j, "model", "");
    if (question && answer && sentence && strcmp(model, e->model) == 0)
        remember(e, key_of(e, question, answer), sentence);
    json_decref(j);
    return OK;
}

static status read_cache(expand *e) {
    if (!file_exists(e->cache_path)) return OK;
    reader *r = NULL;
    TRY(reader_open(e->cache_path, &r));
    status st = lines_each(r, 0, recall, e);
    reader_close(r);
    return st;
}

static status write_cache(expand *e, const char *question, const char *answer,
                          const char *sentence) {
    json_t *j = json_pack("{s:s, s:s, s:s, s:s}", "model", e->model, "question", question, "answer",
                          answer, "full_answer", sentence);
    char *line = json_line(j);
    bool written = fprintf(e->cache, "%s\n", line) > 0 && fflush(e->cache) == 0;
    free(line);
    json_decref(j);
    if (!written) FAIL(ERR_IO, "%s: cannot write: %s", e->cache_path, strerror(errno));
    return OK;
}

/* ---- opening ---- */

/* "http://host", "http://host/v1" and the whole address are all taken. */
static char *chat_url(const char *url) {
    static const char path[] = "/chat/completions";
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/') n--;
    bool whole =
        n >= sizeof path - 1 && strncmp(url + n - (sizeof path - 1), path, sizeof path - 1) == 0;
    const char *host = strstr(url, "://");
    bool bare = !memchr(host ? host + 3 : url, '/', n - (size_t)((host ? host + 3 : url) - url));
    return xasprintf("%.*s%s%s", (int)n, url, bare ? "/v1" : "", whole ? "" : path);
}

static status open_server(expand *e, const char *cache) {
    if (strncmp(e->o.url, "http://", 7) != 0 && strncmp(e->o.url, "https://", 8) != 0)
        FAIL(ERR_ARG, "the address '%s' does not begin with http:// or https://", e->o.url);
    e->url = chat_url(e->o.url);
    e->cache_path = xstrdup(cache);
    TRY(read_cache(e));
    e->cache = fopen(cache, "ae");
    if (!e->cache) FAIL(ERR_IO, "%s: cannot open: %s", cache, strerror(errno));
    if (file_size(cache) > 0) fputc('\n', e->cache); /* behind a line that was cut */
    return http_new(&(http_options){.bearer = e->o.key,
                                    .timeout_s = e->o.timeout_s,
                                    .retries = e->o.retries,
                                    .first_wait_s = e->o.first_wait_s},
                    &e->http);
}

status expand_open(const expand_options *o, const char *cache, expand **out) {
    expand *e = xcalloc(1, sizeof *e);
    e->o = *o;
    e->model = xstrdup(o->model && *o->model ? o->model : "default");
    grow(e);
    status st = o->url ? open_server(e, cache) : OK;
    if (st)
        expand_close(e);
    else
        *out = e;
    return st;
}

void expand_close(expand *e) {
    if (!e) return;
    http_free(e->http);
    if (e->cache) fclose(e->cache);
    for (int64_t i = 0; i < e->cap; i++) free(e->at[i].sentence);
    free(e->at);
    free(e->url);
    free(e->model);
    free(e->cache_path);
    buf_clear(&e->reply);
    free(e);
}

expand_counts expand_count(const expand *e) {
    return e->counts;
}

/* ---- sentences ---- */

static void add_template(const char *answer, buf *out) {
    size_t n = strlen(answer);
    while (n > 0 && strchr(" .", answer[n - 1])) n--;
    buf_printf(out, "The answer is %.*s.", (int)n, answer);
}

static bool holds(const char *sentence, const char *answer) {
    buf a = {0}, b = {0};
    utf8_add_lower(&a, sentence, strlen(sentence));
    utf8_add_lower(&b, answer, strlen(answer));
    bool found = a.at && b.at && strstr(a.at, b.at);
    buf_clear(&a);
    buf_clear(&b);
    return found;
}

/* The reply's first line that says something, without blanks around. */
static char *first_line(const char *text) {
    text += strspn(text, " \t\r\n");
    size_t n = strcspn(text, "\r\n");
    while (n > 0 && strchr(" \t", text[n - 1])) n--;
    return xstrndup(text, n);
}

static char *request_of(const expand *e, const char *question, const char *answer) {
    char *say = xasprintf("Question: %s\nShort answer: %s\nSentence:", question, answer);
    json_t *j = json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:s}], s:i, s:i, s:b}", "model", e->model,
                          "messages", "role", "system", "content", instruction, "role", "user",
                          "content", say, "temperature", 0, "max_tokens", 96, "stream", 0);
    char *body = json_line(j);
    json_decref(j);
    free(say);
    return body;
}

/* choices[0].message.content */
static status content_of(const expand *e, char **out) {
    json_t *j = NULL;
    TRY(json_parse(e->reply.at, e->reply.len, e->url, &j));
    const json_t *choice = json_array_get(json_object_get(j, "choices"), 0);
    const char *content = json_str(json_object_get(choice, "message"), "content", NULL);
    if (content) *out = first_line(content);
    json_decref(j);
    if (!content)
        FAIL(ERR_IO, "%s: the reply has no choices[0].message.content: %.200s", e->url,
             e->reply.at);
    return OK;
}

static status ask_server(expand *e, const char *question, const char *answer, char **sentence) {
    char *body = request_of(e, question, answer);
    status st = http_post_json(e->http, e->url, body, &e->reply);
    free(body);
    if (!st) st = content_of(e, sentence);
    e->counts.asked += !st;
    return st;
}

status expand_answer(expand *e, const char *question, const char *answer, buf *out) {
    if (!e->http) {
        e->counts.templates++;
        add_template(answer, out);
        return OK;
    }
    uint64_t key = key_of(e, question, answer);
    known *k = slot_of(e, key);
    if (k->key) {
        e->counts.from_cache++;
        buf_puts(out, k->sentence);
        return OK;
    }
    char *sentence = NULL;
    TRY(ask_server(e, question, answer, &sentence));
    if (!holds(sentence, answer)) {
        buf plain = {0};
        add_template(answer, &plain);
        e->counts.refused++;
        free(sentence);
        sentence = buf_steal(&plain);
    }
    status st = write_cache(e, question, answer, sentence);
    if (!st) {
        remember(e, key, sentence);
        buf_puts(out, sentence);
    }
    free(sentence);
    return st;
}
