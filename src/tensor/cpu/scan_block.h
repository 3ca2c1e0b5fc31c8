/* One block of a scan in vectors of 32 or 64 bytes: included by scan.c once for each way to multiply
 * bytes. The includer defines
 *
 *   FIND     the kernel's name                   TARGET  its instruction set
 *   LANES    32-bit lanes of a vector vi         Q       queries that share the loads of rows
 *   v_get, v_zero, v_each (a dword in each lane), v_add_dots (sum += bytes by bytes, four to a
 *   lane), v_reach (bits of the lanes that are at least a number), v_put
 *
 * FIND, TARGET and v_add_dots are undefined at the end.
 *
 * A lane is a row: each dword of a query is broadcast and multiplied with 4 bytes of every
 * row at once, so that sums need no adding across lanes and are compared where they lie. The
 * sums of Q queries and 4 vectors of rows stay in registers over the whole width. */
enum { JOIN(FIND, _rows) = 4 * LANES };

/* nq (1 or Q) queries from number i on, rows first..first + 4 LANES - 1. */
TARGET static inline __attribute__((always_inline)) scan_found *
JOIN(FIND, _part)(const scan_job *s, int64_t i, int nq, int first, scan_found *to) {
    enum { ROWS = JOIN(FIND, _rows) };
    const uint8_t *rows = s->block + 4 * first;
    const int8_t *q = s->q + i * s->width;
    vi sum[Q][4];
    for (int t = 0; t < nq; t++)
        for (int j = 0; j < 4; j++) sum[t][j] = v_zero();
    for (int64_t d = 0; d < s->width; d += 4, rows += 4 * SCAN_ROWS) {
        vi row[4];
        for (int j = 0; j < 4; j++) row[j] = v_get(rows + 4 * LANES * j);
        for (int t = 0; t < nq; t++) {
            int32_t dword;
            memcpy(&dword, q + t * s->width + d, sizeof dword);
            vi each = v_each(dword);
            for (int j = 0; j < 4; j++) sum[t][j] = v_add_dots(sum[t][j], row[j], each);
        }
    }
    uint64_t wanted = s->rows >> first;
    for (int t = 0; t < nq; t++) {
        uint64_t reach = 0;
        for (int j = 0; j < 4; j++) reach |= v_reach(sum[t][j], s->limit[i + t]) << (LANES * j);
        if (!(reach & wanted)) continue;
        _Alignas(64) int32_t dots[ROWS];
        for (int j = 0; j < 4; j++) v_put(dots + LANES * j, sum[t][j]);
        to = note(to, reach & wanted, dots, (int32_t)(i + t), first);
    }
    return to;
}

TARGET static int64_t FIND(const scan_job *s) {
    scan_found *to = s->found;
    for (int first = 0; first < SCAN_ROWS; first += JOIN(FIND, _rows)) {
        int64_t i = 0;
        for (; i + Q <= s->n; i += Q) to = JOIN(FIND, _part)(s, i, Q, first, to);
        for (; i < s->n; i++) to = JOIN(FIND, _part)(s, i, 1, first, to);
    }
    return to - s->found;
}

#undef FIND
#undef TARGET
#undef v_add_dots
