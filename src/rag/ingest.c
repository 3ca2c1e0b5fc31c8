/* Filling a collection through the public interface. */
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "rag/rag_int.h"

static rag_counts counts_of(const ingest_counts *c) {
    return (rag_counts){c->added, c->unchanged, c->replaced, c->skipped, c->removed};
}

int rag_ingest(rag *r, const char *const *paths, int n, const char *format, const char *split,
               rag_ingest_report *out) {
    ingest_options o = {.format = format, .split = -1};
    store_split s;
    if (split && !store_split_parse(split, &s))
        FAIL(ERR_ARG, "unknown split '%s', wanted train, dev or test", split);
    if (split) o.split = (int)s;
    ingest_report report = {0};
    status st = ingest_paths(r->s, paths, n, &o, &report);
    rag_forget_index(r);
    if (out) {
        *out = (rag_ingest_report){.documents = counts_of(&report.documents),
                                   .questions = counts_of(&report.questions),
                                   .n_skipped = report.n_skips};
        out->skipped_path = xcalloc((size_t)report.n_skips + 1, sizeof(char *));
        out->skipped_reason = xcalloc((size_t)report.n_skips + 1, sizeof(char *));
        for (int64_t i = 0; i < report.n_skips; i++) {
            out->skipped_path[i] = xstrdup(report.skips[i].path);
            out->skipped_reason[i] = xstrdup(report.skips[i].reason);
        }
    }
    ingest_report_clear(&report);
    return st;
}

void rag_ingest_report_clear(rag_ingest_report *report) {
    for (int64_t i = 0; i < report->n_skipped; i++) {
        free(report->skipped_path[i]);
        free(report->skipped_reason[i]);
    }
    free(report->skipped_path);
    free(report->skipped_reason);
    *report = (rag_ingest_report){0};
}

int rag_add_document(rag *r, const char *id, const char *title, const char *text) {
    store_change change;
    rag_forget_index(r);
    return store_put_document(
        r->s,
        &(store_document){
            .id = id, .title = title, .text = text, .text_bytes = strlen(text), .format = "api"},
        &change, NULL);
}

int rag_remove(rag *r, const char *name, int64_t *n_removed) {
    store_removed gone;
    TRY(store_remove(r->s, name, &gone));
    rag_forget_index(r);
    if (n_removed) *n_removed = gone.documents + gone.questions;
    return OK;
}
