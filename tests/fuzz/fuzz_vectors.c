/* floor: search. Hostile bytes as a segment of vectors: hashes are not compared, so that the
 * fuzzer reaches shapes, codes and bounds; then a search runs over whatever was accepted. */
#include <stdlib.h>

#include "search/flat.h"
#include "search/vectors_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void search_it(const vectors *v) {
    flat *ix;
    hit hits[3];
    float *q = xcalloc((size_t)v->key.dim, sizeof *q);
    q[0] = 1;
    if (flat_of(*v, (id_list){0}, &ix) == OK) {
        MUST(flat_search(ix, q, 1, v->key.dim, 3, (hit_filter){0}, hits) == OK, "%s", err_msg());
        for (int i = 0; i < 3; i++) MUST(hits[i].id == -1 || v->n > 0, "a hit out of nothing");
        flat_close(ix);
    }
    free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    segment s;
    vectors v = {0};
    if (segment_parse(bytes, n, "input", "vectors", false, &s) == OK) {
        if (vectors_parse(&s, NULL, &v) == OK) search_it(&v);
        segment_close(&s);
    }
    err_clear();
    return 0;
}
