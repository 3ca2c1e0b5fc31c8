/* Natural Questions, open (Lee et al. 2019): {"question", "answer": [...]} a line, no documents.
 * The same questions in DPR's and EfficientQA's files have this form too. */
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "data/lines.h"
#include "util/json.h"

/* The first line has a question and a list of answers under "answer", and nothing to read. */
int nq_open_knows(const ingest_head *h) {
    const char *head = h->at + strspn(h->at, "\xEF\xBB\xBF \t\r\n");
    if (*head != '{') return 0;
    json_error_t e;
    json_t *j = json_load_record(head, strlen(head), JSON_DISABLE_EOF_CHECK, &e);
    bool mine = json_is_string(json_object_get(j, "question")) &&
                json_is_array(json_object_get(j, "answer")) && !json_object_get(j, "context") &&
                !json_object_get(j, "passage");
    json_decref(j);
    return mine ? 50 : 0;
}

static status put_line(void *arg, const char *bytes, size_t n, int64_t number) {
    ingest_file *f = arg;
    json_error_t e = {.text = "longer than 64 MiB"};
    json_t *j = bytes ? json_load_record(bytes, n, 0, &e) : NULL;
    if (!j || !json_is_string(json_object_get(j, "question"))) {
        ingest_counts_of(f)->questions.skipped++;
        ingest_skip_record(f, "line %lld: %s", (long long)number, j ? "has no question" : e.text);
        json_decref(j);
        return OK;
    }
    const json_t *answer = json_object_get(j, "answer");
    char *answers = json_is_array(answer) ? json_line(answer) : NULL;
    status st = ingest_question(f, &(store_question){.id = json_str(j, "id", NULL),
                                                     .question = json_str(j, "question", ""),
                                                     .answers = answers});
    free(answers);
    json_decref(j);
    return st;
}

status nq_open_read(ingest_file *f) {
    return lines_each(f->r, 0, put_line, f);
}
