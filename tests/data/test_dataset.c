/* The published dataset step on a small folder in TriviaQA's layout, and full answers from a server
 * on the loopback device that misbehaves as asked. */
#include "ingest_help.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "data/dataset.h"

/* ---- a server that plays a script ---- */

/* One reply a request, the last one again and again: a status and what the model says; status 0
 * closes the connection without a word, 1 keeps silent for two seconds. */
typedef struct reply {
    int status;
    const char *says;
} reply;

typedef struct server {
    int fd, port, n_requests;
    const reply *script;
    int n_script;
    char last[8192]; /* the last request, whole */
    pthread_t thread;
} server;

static void read_request(int fd, char *to, size_t room) {
    size_t n = 0, want = 0;
    while (n < room - 1 && (!want || n < want)) {
        ssize_t k = read(fd, to + n, room - 1 - n);
        if (k <= 0) break;
        to[n += (size_t)k] = 0;
        const char *body = strstr(to, "\r\n\r\n"), *length = strcasestr(to, "content-length:");
        if (body && length) want = (size_t)(body + 4 - to) + (size_t)atoi(length + 15);
    }
}

static void answer_request(server *s, int fd) {
    read_request(fd, s->last, sizeof s->last);
    const reply *r = &s->script[s->n_requests < s->n_script ? s->n_requests : s->n_script - 1];
    s->n_requests++;
    if (r->status == 1) sleep(2);
    if (r->status <= 1) return;
    char body[1024], head[256];
    int n = snprintf(body, sizeof body,
                     r->status == 200 ? "{\"choices\": [{\"message\": {\"content\": \"%s\"}}]}"
                                      : "{\"error\": \"%s\"}",
                     r->says);
    int m = snprintf(head, sizeof head,
                     "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                     "Connection: close\r\n\r\n",
                     r->status, n);
    if (write(fd, head, (size_t)m) != m || write(fd, body, (size_t)n) != n) return;
}

static void *serve(void *arg) {
    server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0) return NULL;
        answer_request(s, fd);
        close(fd);
    }
}

static void server_start(server *s, const reply *script, int n) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    *s = (server){.script = script, .n_script = n, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(server *s) {
    shutdown(s->fd, SHUT_RDWR);
    close(s->fd);
    pthread_join(s->thread, NULL);
}

/* Options for the server; its address lives until the next call. */
static expand_options asking(const server *s) {
    static char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", s->port);
    return (expand_options){.url = url,
                            .model = "m",
                            .key = "secret",
                            .retries = 2,
                            .timeout_s = 0.5,
                            .first_wait_s = 0.02};
}

/* The sentence for one question, with a cache of that name; "" on failure. */
static const char *sentence(const expand_options *o, const char *cache, expand_counts *counts) {
    static char text[256];
    buf out = {0};
    expand *e = NULL;
    text[0] = 0;
    assert_int_equal(expand_open(o, temp_path(cache), &e), OK);
    if (!expand_answer(e, "Where was \"Judi\" born?", "York", &out))
        snprintf(text, sizeof text, "%s", out.at);
    if (counts) *counts = expand_count(e);
    expand_close(e);
    buf_clear(&out);
    return text;
}

static void a_server_makes_the_sentence_once(void **state) {
    (void)state;
    const reply script[] = {{200, "\\n Judi was born in York. \\nMore."}};
    server s;
    expand_counts c;
    server_start(&s, script, 1);
    expand_options o = asking(&s);
    assert_string_equal(sentence(&o, "once.jsonl", &c), "Judi was born in York.");
    assert_int_equal(c.asked, 1);
    assert_string_equal(sentence(&o, "once.jsonl", &c), "Judi was born in York.");
    assert_int_equal(c.asked, 0);
    assert_int_equal(c.from_cache, 1);
    o.model = "another";
    sentence(&o, "once.jsonl", &c);
    assert_int_equal(c.asked, 1);
    server_stop(&s);
    assert_int_equal(s.n_requests, 2);
    assert_non_null(strstr(s.last, "POST /v1/chat/completions HTTP/1.1\r\n"));
    assert_non_null(strstr(s.last, "Authorization: Bearer secret\r\n"));
    assert_non_null(strstr(s.last, "\"model\": \"another\""));
    assert_non_null(strstr(s.last, "Question: Where was \\\"Judi\\\" born?"));
}

static void what_may_pass_is_tried_again(void **state) {
    (void)state;
    const reply script[] = {{503, "busy"}, {0, NULL}, {200, "In York."}};
    server s;
    server_start(&s, script, 3);
    expand_options o = asking(&s);
    assert_string_equal(sentence(&o, "again.jsonl", NULL), "In York.");
    server_stop(&s);
    assert_int_equal(s.n_requests, 3);
}

static void a_silent_server_times_out(void **state) {
    (void)state;
    const reply script[] = {{1, NULL}, {200, "In York."}};
    server s;
    server_start(&s, script, 2);
    expand_options o = asking(&s);
    assert_string_equal(sentence(&o, "silent.jsonl", NULL), "");
    assert_non_null(strstr(err_msg(), "after 3 tries: http://127.0.0.1:"));
    server_stop(&s);
}

static void a_refusal_is_not_tried_again(void **state) {
    (void)state;
    const reply script[] = {{401, "wrong key"}};
    server s;
    server_start(&s, script, 1);
    expand_options o = asking(&s);
    assert_string_equal(sentence(&o, "refused.jsonl", NULL), "");
    assert_non_null(strstr(err_msg(), "HTTP status 401: {\"error\": \"wrong key\"}"));
    server_stop(&s);
    assert_int_equal(s.n_requests, 1);
}

static void a_sentence_without_the_answer_is_replaced(void **state) {
    (void)state;
    const reply script[] = {{200, "I do not know."}};
    server s;
    expand_counts c;
    server_start(&s, script, 1);
    expand_options o = asking(&s);
    assert_string_equal(sentence(&o, "evasive.jsonl", &c), "The answer is York.");
    assert_int_equal(c.refused, 1);
    server_stop(&s);
}

static void an_address_that_is_none_is_refused(void **state) {
    (void)state;
    expand *e = NULL;
    assert_int_equal(expand_open(&(expand_options){.url = "ftp://x"}, temp_path("c"), &e), ERR_ARG);
    assert_string_equal(err_msg(), "the address 'ftp://x' does not begin with http:// or https://");
}

/* ---- the steps ---- */

static const char questions[] =
    "{\"Data\": [{\"QuestionId\": \"t1\", \"Question\": \"Where is the Tower?\", \"Answer\": "
    "{\"Value\": \"Riverton\", \"Aliases\": [\"Old Riverton\"]}, \"EntityPages\": [{\"Filename\": "
    "\"Tower.txt\"}]},\n"
    "{\"QuestionId\": \"t2\", \"Question\": \"Who built it?\", \"Answer\": {\"Value\": \"Ada\"}, "
    "\"EntityPages\": [{\"Filename\": \"Tower.txt\"}, {\"Filename\": \"Gone.txt\"}]}]}";

static void write_source(void) {
    buf page = {0};
    buf_puts(&page, "The Tower stands in Riverton.\n\n");
    for (int i = 0; i < 60; i++)
        buf_printf(&page, "Its floor number %d was laid in the year %d by masons.\n", i, 1800 + i);
    put_file("src/qa/wikipedia-train.json", questions);
    put_file("src/evidence/wikipedia/Tower.txt", page.at);
    buf_clear(&page);
}

static dataset_options options_of(void) {
    static char from[512], to[512], home_path[512];
    snprintf(from, sizeof from, "%s", temp_path("src"));
    snprintf(to, sizeof to, "%s", temp_path("dst"));
    snprintf(home_path, sizeof home_path, "%s", temp_path("dst-home"));
    return (dataset_options){.from = from,
                             .to = to,
                             .home = home_path,
                             .context_size = 16,
                             .tokenizer = {.vocab_size = 400}};
}

static const char *text_of(const char *below) {
    static buf b;
    buf_reset(&b);
    assert_int_equal(file_read(temp_path(below), 0, &b), OK);
    return b.at;
}

/* The shape of an .npy file as NumPy spells it, and its numbers. */
static const int32_t *npy_of(const char *below, const char *shape, size_t *n) {
    static buf b;
    buf_reset(&b);
    assert_int_equal(file_read(temp_path(below), 0, &b), OK);
    assert_memory_equal(b.at, "\x93NUMPY\x01\x00", 8);
    size_t header = 10 + (size_t)((uint8_t)b.at[8] | (uint8_t)b.at[9] << 8);
    assert_int_equal(header % 64, 0);
    assert_memory_equal(b.at + 10, "{'descr': '<i4', 'fortran_order': False, 'shape': ", 50);
    if (shape && strncmp(b.at + 60, shape, strlen(shape)) != 0)
        assert_string_equal(b.at + 60, shape);
    *n = (b.len - header) / 4;
    return (const int32_t *)(b.at + header);
}

static void the_steps_write_the_published_files(void **state) {
    (void)state;
    write_source();
    dataset_options o = options_of();
    for (int i = 0; i < 5; i++)
        if (dataset_steps[i].run(&o)) fail_msg("%s: %s", dataset_steps[i].name, err_msg());
    assert_string_equal(
        text_of("dst/qa/wikipedia-train-simplified.json"),
        "{\"Data\": [\n{\"QuestionId\": \"t1\", \"EntityPages\": [\"Tower.txt\"], \"Question\": "
        "\"Where is the Tower?\", \"Answer\": \"Riverton\", \"FullAnswer\": \"The answer is "
        "Riverton.\"},\n{\"QuestionId\": \"t2\", \"EntityPages\": [\"Tower.txt\", \"Gone.txt\"], "
        "\"Question\": \"Who built it?\", \"Answer\": \"Ada\", \"FullAnswer\": \"The answer is "
        "Ada.\"}\n]}\n");
    assert_string_equal(text_of("dst/qa/wikipedia-train.txt"),
                        "Where is the Tower?\nRiverton\nWho built it?\nAda\n");
    assert_memory_equal(text_of("dst/evidence/wikipedia/Tower.txt"), "The Tower stands", 16);
    assert_non_null(strstr(text_of("dst/tokenizer/files.txt"), "\nWho built it?\nAda\n"));
    assert_string_equal(text_of("dst/qa/unsupported-wikipedia-train.json"),
                        "{\"question_ids\": [1]}");

    size_t n;
    const int32_t *chunk = npy_of("dst/retriever/chunks.npy", NULL, &n);
    assert_true(n > 60 && n % 16 == 0);
    assert_int_equal(chunk[0], TOKEN_BOS);
    size_t blank = 1; /* the blank second line is BOS, EOS */
    while (chunk[blank] != TOKEN_EOS) blank++;
    assert_int_equal(chunk[blank + 1], TOKEN_BOS);
    assert_int_equal(chunk[blank + 2], TOKEN_EOS);
    npy_of("dst/retriever/wikipedia-train-questions.npy", "(2, ", &n);
    assert_true((n & (n - 1)) == 0); /* 2 rows of a power of two */
    const int32_t *pair = npy_of("dst/generator/wikipedia-train.npy", "(2, 2, ", &n);
    assert_true((n & (n - 1)) == 0);
    assert_int_equal(pair[0], TOKEN_BOS);
    assert_int_equal(pair[n / 4], TOKEN_BOS);

    tokenizer *t = NULL;
    assert_int_equal(tokenizer_open(temp_path("dst-home/tokenizer/wiki.model"), &t), OK);
    tokenizer_close(t);
    assert_int_equal(file_exists(temp_path("src/qa/wikipedia-train.txt")), false); /* only read */
}

static void lower_case_folds_what_is_written(void **state) {
    (void)state;
    write_source();
    dataset_options o = options_of();
    o.lower_case = true;
    o.to = temp_path("folded");
    assert_int_equal(dataset_prepare(&o), OK);
    assert_non_null(strstr(text_of("folded/qa/wikipedia-train-simplified.json"),
                           "\"EntityPages\": [\"Tower.txt\"], \"Question\": \"where is the "
                           "tower?\", \"Answer\": \"riverton\", \"FullAnswer\": \"the answer is "
                           "riverton.\""));
    assert_memory_equal(text_of("folded/evidence/wikipedia/Tower.txt"), "the tower stands in r",
                        21);
    assert_memory_equal(text_of("src/evidence/wikipedia/Tower.txt"), "The Tower stands in R", 21);
}

static void a_source_that_is_its_own_destination_is_left_alone(void **state) {
    (void)state;
    write_source();
    dataset_options o = options_of();
    o.lower_case = true;
    o.to = o.from;
    assert_int_equal(dataset_prepare(&o), OK);
    assert_memory_equal(text_of("src/evidence/wikipedia/Tower.txt"), "The Tower", 9);
    took t = ingest_path_as_is(o.from); /* what was written beside the questions is none */
    assert_string_equal(counts(t.questions), "2 0 0 0");
    assert_string_equal(question("t1").answers, "[\"Riverton\", \"Old Riverton\"]");
}

static void a_step_says_which_one_is_missing(void **state) {
    (void)state;
    dataset_options o = options_of();
    o.to = temp_path("nothing");
    assert_int_equal(dataset_qa_text(&o), ERR_STATE);
    assert_non_null(strstr(err_msg(), "run `raglan dataset prepare_generator_qa_dataset"));
    assert_int_equal(dataset_train_tokenizer(&o), ERR_STATE);
    assert_non_null(strstr(err_msg(), "run `raglan dataset qa_json_to_txt"));
    o.home = temp_path("nothing-home");
    assert_int_equal(dataset_load_generator(&o), ERR_STATE);
    o.from = temp_path("nothing");
    assert_int_equal(dataset_prepare(&o), ERR_STATE);
    assert_non_null(strstr(err_msg(), "holds no qa/NAME-train.json"));
}

static void full_answers_stay_when_questions_are_read_again(void **state) {
    (void)state;
    write_source();
    dataset_options o = options_of();
    int64_t n = 0;
    assert_int_equal(dataset_prepare(&o), OK);
    assert_int_equal(ingest_path_as_is(o.from).questions.added, 2);
    assert_int_equal(dataset_full_answers(home, o.to, &n), OK);
    assert_int_equal(n, 2);
    assert_string_equal(question("t1").full_answer, "The answer is Riverton.");
    assert_string_equal(counts(ingest_path_as_is(o.from).questions), "0 2 0 0");
    assert_string_equal(question("t1").full_answer, "The answer is Riverton.");
    assert_int_equal(dataset_full_answers(home, o.to, &n), OK);
    assert_int_equal(n, 0);
}

static void a_stopped_run_asks_only_for_what_is_left(void **state) {
    (void)state;
    write_source();
    const reply script[] = {{200, "It is in Riverton."},
                            {500, "out of memory"},
                            {500, "out of memory"},
                            {500, "out of memory"},
                            {200, "Ada built it."}};
    server s;
    server_start(&s, script, 5);
    dataset_options o = options_of();
    o.to = temp_path("resumed");
    o.expand = asking(&s);
    assert_int_equal(dataset_prepare(&o), ERR_IO);
    assert_false(file_exists(temp_path("resumed/qa/wikipedia-train-simplified.json")));
    assert_int_equal(dataset_prepare(&o), OK);
    server_stop(&s);
    assert_int_equal(s.n_requests, 5);
    const char *text = text_of("resumed/qa/wikipedia-train-simplified.json");
    assert_non_null(strstr(text, "It is in Riverton."));
    assert_non_null(strstr(text, "Ada built it."));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(a_server_makes_the_sentence_once),
        test(what_may_pass_is_tried_again),
        test(a_silent_server_times_out),
        test(a_refusal_is_not_tried_again),
        test(a_sentence_without_the_answer_is_replaced),
        test(an_address_that_is_none_is_refused),
        test(the_steps_write_the_published_files),
        test(lower_case_folds_what_is_written),
        test(a_source_that_is_its_own_destination_is_left_alone),
        test(a_step_says_which_one_is_missing),
        test(full_answers_stay_when_questions_are_read_again),
        test(a_stopped_run_asks_only_for_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
