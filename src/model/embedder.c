/* Batches of texts through the retriever, without gradients. The graph and its memory stay with the
 * retriever between calls: fresh pages for every batch cost a tenth of the time. */
#include "model/embedder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/stop.h"

enum {
    BATCH_TOKENS = 2048, /* of a graph: its activations stay near the cores and fill the kernels */
    ROUND_TOKENS = 8192, /* of passages between two reports of progress */
};

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
        m->inference = graph_new(m->inference_arena, m->be, false);
    }
    return m->inference;
}

void embed_precisely(retriever *m, const backend *be) {
    graph_free(m->inference);
    arena_free(m->inference_arena);
    m->inference = NULL;
    m->inference_arena = NULL;
    m->be = be;
}

/* narrow: as retriever_reads says of all of them. */
static void run(retriever *m, const backend *be, bool narrow, const int32_t *ids, const span *texts,
                int64_t n, text_kind kind, float *out) {
    graph *g = inference_graph(m);
    spans s = {n, texts};
    tensor *v = narrow ? retriever_read(m, g, be, ids, s, kind)
                       : retriever_encode(m, g, ids, s, kind, true);
    memcpy(out, v->v, (size_t)(n * m->c.embedding_dim) * sizeof(float));
    graph_reset(g, 0);
}

/* Rows of v [n, D] to unit length. */
static void normalize(int64_t n, int64_t dim, float *v) {
    for (int64_t i = 0; i < n; i++, v += dim) {
        double sum = 0;
        for (int64_t j = 0; j < dim; j++) sum += (double)v[j] * v[j];
        float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
        for (int64_t j = 0; j < dim; j++) v[j] *= scale;
    }
}

void embed_texts(retriever *m, const int32_t *ids, const span *texts, int64_t n, text_kind kind,
                 float *out) {
    const backend *be = m->be ? m->be : backend_cpu();
    if (m->bert && bert_read(m->bert, be, ids, (spans){n, texts}, out)) {
        if (m->c.unit) normalize(n, m->c.embedding_dim, out);
        return;
    }
    span *s = xmalloc((size_t)(n + 1) * sizeof *s);
    for (int64_t i = 0, j; i < n; i = j) {
        /* spans of this batch, moved to begin at the batch's first token */
        int64_t first = texts[i].begin, last = first;
        bool narrow = retriever_reads(m, be, texts[i]); /* these are cut for the threads there */
        int64_t most = narrow ? ROUND_TOKENS : BATCH_TOKENS;
        for (j = i; j < n && (j == i || texts[j].end - first <= most); j++) {
            if (texts[j].begin != last || retriever_reads(m, be, texts[j]) != narrow) break;
            int64_t end = texts[j].end - first;
            s[j - i] = (span){texts[j].begin - first, end < EMBED_TEXT_MAX ? end : EMBED_TEXT_MAX};
            last = texts[j].end;
        }
        run(m, be, narrow, ids + first, s, j - i, kind, out + i * m->c.embedding_dim);
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
    int32_t *ids = xmalloc((size_t)(ROUND_TOKENS + longest + EMBED_TITLE_MAX) * sizeof *ids);
    span *texts = xmalloc((size_t)ROUND_TOKENS * sizeof *texts);
    status st = OK;
    for (int64_t i = 0, j; i < n && !st; i = j) {
        int64_t at = 0;
        for (j = i; j < n && j - i < ROUND_TOKENS; j++) {
            int64_t p = index ? index[j] : j;
            span s = c->text[p];
            if (j > i && at + title_tokens(m, c, p) + s.end - s.begin > ROUND_TOKENS) break;
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
