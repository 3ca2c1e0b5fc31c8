#ifndef RAGLAN_SEARCH_NEARNESS_H
#define RAGLAN_SEARCH_NEARNESS_H
/* Nearness: how much of a question stands close together in a passage. BM25 and a bag of embeddings
 * do not see where words are; a passage that holds a question's words within a few of its own is
 * more often the one that answers (Tao & Zhai 2007). Works on tokens: pieces of words, so that an
 * ending more or less costs a piece and not the word. */
#include <stdint.h>

enum {
    NEAR_WINDOW = 12, /* tokens that count as close together */
    NEAR_MOST = 64,   /* distinct tokens of a question that are looked at */
};

/* A question's distinct tokens and what each is worth. */
typedef struct near_question {
    int n;
    int32_t id[NEAR_MOST];
    float weight[NEAR_MOST];
} near_question;

/* Unless it is there already or NEAR_MOST are. */
void near_add(near_question *q, int32_t id, float weight);

/* The greatest weight of distinct question tokens in any NEAR_WINDOW tokens on end of a passage
 * ids [n]; 0: none in common. */
double nearness(const near_question *q, const int32_t *ids, int64_t n);
#endif
