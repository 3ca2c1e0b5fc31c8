/* floor: search. Hostile bytes as a lexical segment: hashes are not compared, so that the
 * fuzzer reaches the dictionary and the postings; every term is looked up and read whole. */
#include "search/lexical_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_term(const lexical_segment *s, int64_t i) {
    const char *text;
    size_t n;
    term_view t, found;
    if (lexical_term_view(s, i, &text, &n, &t)) return;
    if (lexical_find(s, text, n, &found)) return;
    for (int64_t b = 0; b < t.n_blocks; b++) {
        uint32_t docs[BLOCK], tfs[BLOCK];
        int count;
        if (lexical_block_read(s, &t, b, docs, tfs, &count)) return;
        uint64_t lengths = 0; /* reads each passage's length */
        for (int j = 0; j < count; j++) {
            MUST(docs[j] < s->n, "ordinal %u of %d", docs[j], (int)s->n);
            lengths += s->lengths[docs[j]];
        }
        MUST(lengths <= (uint64_t)count * UINT32_MAX, "%d lengths", count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    lexical_segment s;
    if (lexical_segment_parse(bytes, n, false, &s) == OK) {
        for (int64_t i = 0; i < s.n_terms; i++) read_term(&s, i);
        id_find(s.ids, s.n, 7);
        lexical_segment_close(&s);
    }
    err_clear();
    return 0;
}
