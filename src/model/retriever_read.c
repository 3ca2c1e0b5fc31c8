/* Our own retriever without a tape: the formula of retriever_encode on narrow rows (nn/read.h), a
 * chunk of texts at a time, for texts of one window. Those of several, whose state has to wait for
 * the window before, are left to the graph. The last two products are of a row a text: the graph's
 * too. Differs from the graph by what rounding between products does. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/retriever.h"
#include "nn/read.h"
#include "util/par.h"

enum { CHUNK_ROWS = 400 };

typedef struct reading {
    retriever *m;
    const int32_t *ids;
    const span *texts;
    text_kind kind;
    const span *chunks;  /* of texts */
    const float *places; /* [longest, D] sinusoids and the marker */
    float *bag, *state;  /* [n_texts, D] */
} reading;

static void add_scaled(int64_t n, float by, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] += by * x[i];
}

static void to_unit(int64_t n, float *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    float by = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (int64_t i = 0; i < n; i++) x[i] *= by;
}

/* A text's rows x [n, D], and its bag. */
static void embed_text(const reading *r, span text, float *x, float *bag) {
    const retriever *m = r->m;
    int64_t dim = m->c.dim, rows = text.end - text.begin;
    for (int64_t t = 0; t < rows; t++, x += dim) {
        int32_t id = r->ids[text.begin + t];
        MUST(0 <= id && id < m->c.vocab, "token %d of a vocabulary of %" PRId64, id, m->c.vocab);
        const float *e = m->embedding->v + id * dim, *place = r->places + t * dim;
        for (int64_t j = 0; j < dim; j++) x[j] = e[j] + place[j];
        if (m->c.bag) add_scaled(dim, m->token_weight->v[2 * id + (int)r->kind], e, bag);
    }
    to_unit(dim, bag);
}

static void read_chunk(void *arg, int64_t at, int worker) {
    const reading *r = arg;
    retriever *m = r->m;
    span chunk = r->chunks[at];
    const span *texts = r->texts + chunk.begin;
    int64_t n = chunk.end - chunk.begin, first = texts[0].begin, dim = m->c.dim;
    int64_t rows = texts[n - 1].end - first;
    float *bag = r->bag + chunk.begin * dim, *state = r->state + chunk.begin * dim;
    desk *d = desk_at(m->desks, worker, rows > CHUNK_ROWS ? rows : CHUNK_ROWS);
    span *own = xmalloc((size_t)n * sizeof *own);
    for (int64_t i = 0; i < n; i++) {
        own[i] = (span){texts[i].begin - first, texts[i].end - first};
        embed_text(r, texts[i], d->x + own[i].begin * dim, bag + i * dim);
    }
    for (int i = 0; i < m->c.n_blocks; i++) {
        read_attend(&m->attends[i], d, rows, (spans){n, own}, NULL);
        read_feed(&m->feeds[i], d, rows);
    }
    read_norm_after(d, rows, m->norm, m->norm_bias);
    for (int64_t i = 0; i < n; i++) {
        int64_t length = own[i].end - own[i].begin;
        for (int64_t t = own[i].begin; t < own[i].end; t++)
            add_scaled(dim, 1 / (float)length, d->x + t * dim, state + i * dim);
    }
    free(own);
}

/* Sinusoids of positions 0..n-1 and the marker of this kind. */
static const float *places_of(retriever *m, graph *g, int64_t n, text_kind kind) {
    arena *a = graph_arena(g);
    int32_t *position = ARENA_ARRAY(a, int32_t, n + 1);
    for (int64_t t = 0; t < n; t++) position[t] = (int32_t)t;
    tensor *zeros = t_const(g, n, m->c.dim, arena_push(a, (size_t)(n * m->c.dim + 1) * 4));
    return t_add(g, t_add_sinusoid(g, zeros, position), t_rows(g, m->marker, kind, kind + 1))->v;
}

bool retriever_reads(const retriever *m, const backend *be, span text) {
    return be->narrow && !m->bert && m->c.n_blocks > 0 && text.end - text.begin <= m->c.window &&
           narrow_fits(m->c.dim, 4 * m->c.dim, m->c.n_heads);
}

tensor *retriever_read(retriever *m, graph *g, const backend *be, const int32_t *ids, spans texts,
                       text_kind kind) {
    arena *a = graph_arena(g);
    int64_t longest = 1, dim = m->c.dim;
    for (int64_t i = 0; i < texts.n; i++) {
        int64_t rows = texts.at[i].end - texts.at[i].begin;
        longest = rows > longest ? rows : longest;
    }
    span *chunks = ARENA_ARRAY(a, span, texts.n + 1);
    int64_t n = read_cut(texts, CHUNK_ROWS, chunks);
    desks_of(&m->desks, be->narrow, dim, 4 * dim);
    size_t bytes = (size_t)(texts.n * dim + 1) * sizeof(float);
    reading r = {m,
                 ids,
                 texts.at,
                 kind,
                 chunks,
                 places_of(m, g, longest, kind),
                 arena_push(a, bytes),
                 arena_push(a, bytes)};
    par_for(n, read_chunk, &r);
    tensor *x = t_const(g, texts.n, dim, r.state);
    if (m->c.bag)
        x = t_add(g, t_const(g, texts.n, dim, r.bag), t_linear(g, x, m->mix, NULL, ACT_NONE));
    x = t_linear(g, x, m->out, NULL, ACT_NONE);
    return m->c.unit ? t_normalize(g, x) : x;
}
