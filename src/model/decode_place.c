/* Decoding: what the place scores [rows, 2] say, the probabilities of each row to begin and to end an
 * answer: which passage to credit, and the best stretch of one passage. */
#include <math.h>
#include <string.h>

#include "model/decode_int.h"

/* The log of the sum of exponentials of a column of scores over a question's rows: all, as in
 * training (generator_loss), or those of titles and passages. */
static double log_sum(const reader_batch *b, span rows, const float *score, bool all) {
    double top = -INFINITY, sum = 0;
    for (int64_t r = rows.begin; r < rows.end; r++)
        if ((all || b->source_id[r] >= 0) && score[2 * r] > top) top = score[2 * r];
    for (int64_t r = rows.begin; r < rows.end; r++)
        if (all || b->source_id[r] >= 0) sum += exp(score[2 * r] - top);
    return top + log(sum);
}

/* The best start and end in one passage, at most `most` tokens apart. */
static void best_span(const reader_batch *b, span pair, const float *score, int64_t most,
                      double total, decoded *out) {
    for (int64_t i = pair.begin; i < pair.end; i++)
        for (int64_t j = i; j < pair.end && j < i + most && b->source_id[j] >= 0; j++) {
            double p = (double)score[2 * i] + (double)score[2 * j + 1] - total;
            if (out->n_span > 0 && p <= out->span_log_prob) continue;
            out->span_log_prob = p;
            out->n_span = j - i + 1;
            memcpy(out->span_ids, b->ids + i, (size_t)out->n_span * sizeof *b->ids);
        }
}

void place_answer(const reader_batch *b, int64_t question, const float *score, int64_t most,
                  decoded *out) {
    span rows = b->questions[question], pairs = b->pairs_of[question];
    double total = log_sum(b, rows, score, true) + log_sum(b, rows, score + 1, true);
    double starts = log_sum(b, rows, score, false);
    for (int64_t i = pairs.begin; i < pairs.end; i++) {
        double *share = &out->passage_share[i - pairs.begin];
        for (int64_t r = b->pairs[i].begin; r < b->pairs[i].end; r++)
            if (b->source_id[r] >= 0) *share += exp(score[2 * r] - starts);
        best_span(b, b->pairs[i], score, most, total, out);
    }
}
