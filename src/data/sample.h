#ifndef RAGLAN_DATA_SAMPLE_H
#define RAGLAN_DATA_SAMPLE_H
/* A fictional encyclopedia of any size, with questions, answers and evidence: text that no
 * model can have read before, whose right answers are known, for demos, tests and ablations.
 * Its words come from a grammar file (docs/sample.md), one of which is built in. */
#include "util/err.h"

typedef struct sample_options {
    int64_t articles;    /* >= 1 */
    uint64_t seed;       /* the same seed, articles and grammar give the same bytes */
    const char *grammar; /* path of a grammar file; NULL: the built-in one */
} sample_options;

enum { SAMPLE_TRAIN, SAMPLE_DEV, SAMPLE_TEST, SAMPLE_SPLITS };

typedef struct sample_report {
    int64_t articles;
    int64_t bytes; /* of all articles */
    int64_t kinds; /* of entities, in use */
    int64_t relations;
    int64_t questions[SAMPLE_SPLITS];
    int64_t one_hop, two_hop, unanswerable; /* over all splits */
} sample_report;

/* Writes dir/docs/SLUG.md, one file an article, its first line "# Title", and
 * dir/questions.{train,dev,test}.jsonl, whose `documents` are paths relative to dir.
 *
 * An entity's questions all lie in one split; a fact that a dev or test question asks for is
 * asked in no training question, and the wordings of dev and test questions are never used
 * in training. Running it again over its own output rewrites the same bytes.
 *
 * ERR_ARG if articles < 1, or if dir/docs holds files of something else (nothing is written);
 * ERR_FORMAT, with file:line, for a grammar that is wrong; ERR_IO where dir cannot be written;
 * ERR_STOPPED after Ctrl+C. Memory: about 400 bytes an article. */
status sample_write(const char *dir, const sample_options *o, sample_report *out);

#endif
