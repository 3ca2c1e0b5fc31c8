/* Batches of texts through the retriever, without gradients. The graph and its memory stay with the
 * retriever between calls: fresh pages for every batch cost a tenth of the time. */
#include "model/embedder.h"

#include <stdlib.h>
#include <string.h>

#include "util/stop.h"

/* Small enough that a batch's activations stay near the cores, large enough to fill the kernels. */
enum { BATCH_TOKENS = 2048 };

static int64_t title_tokens(const retriever *m, const corpus *c, int64_t i) {
    int64_t n = c->title[i].end - c->title[i].begin;
    return !m->c.title ? 0 : n < EMBED_TITLE_MAX ? n : EMBED_TITLE_MAX;
}

int64_t embed_passage_ids(const retriever *m, const corpus *c, int64_t i, int32_t *ids) {
    int64_t n_title = title_tokens(m, c, i), n = c->text[i].end - c->text[i].begin;
    if (n_title) memcpy(ids, c->tokens + c->title[i].begin, (size_t)n_title * sizeof *ids);
    if (n) memcpy(ids + n_title, c->tokens + c->text[i].begin, (size_t)n * sizeof *ids);
    return n_title + n;
}

/* The model's own graph for inference: its memory is kept between calls. */
static graph *inference_graph(retriever *m) {
    if (!m->inference) {
        m->inference_arena = arena_new(0);
        m->inference = graph_new(m->inference_arena, NULL, false);
    }
    return m->inference;
}

static void run(retriever *m, const int32_t *ids, const span *texts, int64_t n, text_kind kind,
                float *out) {
    graph *g = inference_graph(m);
    tensor *v = retriever_encode(m, g, ids, (spans){n, texts}, kind, true);
    memcpy(out, v->v, (size_t)(n * m->c.embedding_dim) * sizeof(float));
    graph_reset(g, 0);
}

void embed_texts(retriever *m, const int32_t *ids, const span *texts, int64_t n, text_kind kind,
                 float *out) {
    span *s = xmalloc((size_t)(n + 1) * sizeof *s);
    for (int64_t i = 0, j; i < n; i = j) {
        /* spans of this batch, moved to begin at the batch's first token */
        int64_t first = texts[i].begin, last = first;
        for (j = i; j < n && (j == i || texts[j].end - first <= BATCH_TOKENS); j++) {
            if (texts[j].begin != last) break;
            int64_t end = texts[j].end - first;
            s[j - i] = (span){texts[j].begin - first, end < EMBED_TEXT_MAX ? end : EMBED_TEXT_MAX};
            last = texts[j].end;
        }
        run(m, ids + first, s, j - i, kind, out + i * m->c.embedding_dim);
    }
    free(s);
}

status embed_passages(retriever *m, const corpus *c, const int64_t *index, int64_t n, float *out,
                      void (*progress)(void *arg, int64_t done), void *arg) {
    int64_t longest = 0;
    for (int64_t i = 0; i < n; i++) {
        span s = c->text[index ? index[i] : i];
        if (s.end - s.begin > longest) longest = s.end - s.begin;
    }
    int32_t *ids = xmalloc((size_t)(BATCH_TOKENS + longest + EMBED_TITLE_MAX) * sizeof *ids);
    span *texts = xmalloc((size_t)BATCH_TOKENS * sizeof *texts);
    status st = OK;
    for (int64_t i = 0, j; i < n && !st; i = j) {
        int64_t at = 0;
        for (j = i; j < n && j - i < BATCH_TOKENS; j++) {
            int64_t p = index ? index[j] : j;
            span s = c->text[p];
            if (j > i && at + title_tokens(m, c, p) + s.end - s.begin > BATCH_TOKENS) break;
            int64_t k = embed_passage_ids(m, c, p, ids + at);
            texts[j - i] = (span){at, at + k};
            at += k;
        }
        embed_texts(m, ids, texts, j - i, TEXT_PASSAGE, out + i * m->c.embedding_dim);
        if (progress) progress(arg, j);
        if (stop_requested())
            st = err_set(ERR_STOPPED, __FILE__, __LINE__,
                         "stopped while embedding passages, %ld of %ld done", (long)j, (long)n);
    }
    free(ids);
    free(texts);
    return st;
}
