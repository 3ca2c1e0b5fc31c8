/* Memory of the kernels: packed weights that live as long as their tensor, and scratch that
 * lives as long as its thread.
 *
 * A leaf weight is read by three products a step (forward, input gradient, and again in
 * decoding), and changes once. So its packed copies, one for each orientation, are kept until
 * `version` says that the optimizer has been there. */
#include "tensor/cpu/cpu_int.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    char *at;
    size_t bytes;
} block;

/* Makes room for `bytes`; contents are lost when it grows. */
static void block_grow(block *b, size_t bytes) {
    if (bytes <= b->bytes) return;
    size_t wanted = b->bytes ? b->bytes : 4096;
    while (wanted < bytes) wanted *= 2;
    free(b->at);
    b->at = aligned_alloc(64, wanted);
    MUST(b->at, "out of memory: %zu bytes for packed matrices", wanted);
    b->bytes = wanted;
}

/* ---- scratch ---- */

static pthread_key_t key;
static void scratch_free(void *all) {
    for (int i = 0; i < N_SCRATCH; i++) free(((block *)all)[i].at);
    free(all);
}
static void make_key(void) {
    MUST(pthread_key_create(&key, scratch_free) == 0, "no thread key left");
}

void *scratch_take(enum scratch_slot slot, size_t bytes) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local block *mine;
    if (!mine) {
        pthread_once(&once, make_key);
        mine = xcalloc(N_SCRATCH, sizeof *mine);
        pthread_setspecific(key, mine);
    }
    block_grow(&mine[slot], bytes);
    return mine[slot].at;
}

/* ---- packed weights ---- */

typedef struct packed {
    const void *kind; /* whose order the panels are in; NULL: nothing packed yet */
    const float *b;
    int64_t k, n, ldb;
    uint64_t version;
    block panels;
} packed;

struct pack_cache {
    pthread_mutex_t lock;     /* several threads may read one model */
    packed way[PACK_WAYS][2]; /* [.][b_t] */
};

pack_cache *pack_new(void) {
    pack_cache *p = xcalloc(1, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void pack_free(pack_cache *p) {
    if (!p) return;
    for (int i = 0; i < PACK_WAYS; i++)
        for (int t = 0; t < 2; t++) free(p->way[i][t].panels.at);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void pack_forget(pack_cache *p) {
    for (int i = 0; i < PACK_WAYS; i++)
        for (int t = 0; t < 2; t++) p->way[i][t].kind = NULL;
}

const char *pack_get(pack_cache *p, enum pack_way way, const void *kind, const matmul *mm,
                     size_t bytes, pack_fn *pack) {
    pthread_mutex_lock(&p->lock);
    packed *w = &p->way[way][mm->b_t];
    bool same = w->kind == kind && w->b == mm->b && w->k == mm->k && w->n == mm->n &&
                w->ldb == mm->ldb && w->version == mm->version;
    if (!same) {
        block_grow(&w->panels, bytes);
        pack(kind, mm, w->panels.at);
        block panels = w->panels;
        *w = (packed){kind, mm->b, mm->k, mm->n, mm->ldb, mm->version, panels};
    }
    const char *at = w->panels.at;
    pthread_mutex_unlock(&p->lock);
    return at;
}
