#ifndef RAGLAN_EVAL_EVAL_H
#define RAGLAN_EVAL_EVAL_H
/* Evaluation: how good is a collection at finding passages and at answering (docs/evaluation.md)?
 *
 *     units       what is ranked: passages, or whole documents
 *     judgements  which of them are relevant to which question
 *     ranked      what a search mode finds for each question
 *     answered    what the generator says to each question
 *
 * The figures are those of the field, by the definitions in metric/: a run, its judgements and
 * the predictions written here give the same numbers in the official scorers. They depend on the
 * data, the models, the options and the seed alone, not on the number of threads; what does vary
 * from run to run, time, stands under keys named latency_ms. */
#include "model/finder.h"
#include "model/generator.h"
#include "util/json.h"

/* What is measured. All borrowed. */
typedef struct eval_input {
    const tokenizer *t;
    const token_traits *traits;
    const corpus *c;
    const qa_set *questions;
    finder find;
    generator *g;      /* NULL: none, nothing is answered */
    const backend *be; /* the precision it answers in; NULL: backend_cpu */
    search_mode mode;  /* how passages are found that the generator reads */
    int64_t top_k;     /* how many of them */
    bool full_answers; /* the generator learned full sentences: what BLEU and ROUGE compare with */
    uint64_t seed;     /* of the resamples */
} eval_input;

/* ---- what is ranked ---- */

/* Passages by their index in the corpus, named DOCUMENT:BEGIN-END (the document's id and the
 * bytes of its text), so that a name still means the same text after the collection was indexed
 * anew; or documents by their place in corpus.document_key, named by their id. In names, and in
 * question ids, bytes that a TREC file cannot hold (blanks, controls) are written as %20. */
typedef struct eval_units {
    const corpus *c;
    bool documents;       /* ranked are documents: each as high as its best passage */
    char **document;      /* [c->n_documents] ids */
    int64_t *begin, *end; /* [c->n] bytes in the document */
    arena *a;
} eval_units;
status eval_units_load(store *s, const corpus *c, eval_units **out);
void eval_units_free(eval_units *u);
int64_t eval_unit_of(const eval_units *u, int64_t passage);
void eval_unit_name(const eval_units *u, int64_t unit, buf *out); /* replaces out */
void eval_trec_id(const char *id, buf *out); /* appends an id as TREC files can hold it */

/* ---- what is relevant ---- */

typedef struct judgement {
    int64_t unit; /* -1: judged, but not in this collection */
    int rel;
} judgement;

typedef struct judgements {
    const eval_units *u;
    int64_t n;    /* questions */
    bool *counts; /* [n] the question is part of the retrieval figures */
    span *of;     /* [n] into at, ascending by unit */
    judgement *at;
    bool from_file;
} judgements;

/* Those of the questions themselves: their relevant passages count 1, questions without any
 * are misses, unanswerable ones and ones that nothing is known of are left out. */
judgements *judgements_of(const eval_units *u, const qa_set *q);
/* Those of a TREC qrels file (or BEIR's TSV of three columns), which decide: questions it does not
 * judge are left out. Its documents are passage names or document ids: the latter make u->documents
 * true. ERR_FORMAT where nothing in it is of this collection. */
status judgements_read(const char *path, eval_units *u, const qa_set *q, judgements **out);
void judgements_free(judgements *j);
int judgement_of(const judgements *j, int64_t question, int64_t unit); /* RANK_UNJUDGED: none */
/* A question that counts and has nothing relevant gets the line "ID 0 none 0", so that trec_eval -c
 * counts it too. */
status judgements_write(const judgements *j, const qa_set *q, file_writer *w);

/* ---- retrieval ---- */

enum { EVAL_DEPTH = 100 }; /* units ranked for each question */

/* Best first, in trec_eval's order: by score, equal ones by name, the greater first. */
typedef struct ranked {
    int64_t n;      /* questions */
    int64_t *unit;  /* [n, EVAL_DEPTH] */
    float *score;   /* [n, EVAL_DEPTH] */
    int64_t *count; /* [n] how many there are */
} ranked;
/* Searches for every question of the set. Shows progress. ERR_STOPPED after Ctrl+C. */
status eval_rank(const eval_input *in, const eval_units *u, search_mode mode, ranked *out);
void ranked_clear(ranked *r);
status ranked_write(const ranked *r, const eval_units *u, const qa_set *q, const char *tag,
                    file_writer *w);

/* {"questions", "success@1" ..., "ci95": {...}, "by_kind": {...}, "latency_ms": {...}}. baseline
 * (may be NULL) is BM25's ranking of the same questions: adds "minus_bm25", the differences with
 * their intervals. Times come from up to EVAL_TIMED questions, one at a time. */
status eval_retrieval(const eval_input *in, const judgements *j, search_mode mode, const ranked *r,
                      const ranked *baseline, json_t **out);

/* {"mean", "least"}: cosine of the questions' vectors as the retriever makes them in in->be and in
 * f32. Its precision is in->be afterwards. */
status eval_vectors_against(const eval_input *in, json_t **out);

/* ---- answers ---- */

enum { EVAL_TIMED = 200, EVAL_TIMED_ANSWERS = 50 };

/* One answer. */
typedef struct answered {
    bool asked;        /* answerable with known answers, or unanswerable */
    const char *text;  /* "": not in these documents */
    double confidence; /* probability of this answer, the empty one included */
    double empty;      /* probability of the empty one */
    int64_t cited;     /* passage it is credited to, -1: none was read */
    double em, f1;     /* [0, 1] by SQuAD 1.1's rules; of an unanswerable question by 2.0's */
} answered;

typedef struct answered_set {
    answered *at; /* [n] */
    int64_t n;
    arena *a; /* owns texts */
} answered_set;
/* Answers every question as `ask` does, greedily, from the in->top_k best passages by in->mode;
 * oracle: from the question's first relevant passage alone (asked: those that have one).
 * ERR_STOPPED after Ctrl+C. */
status eval_answer(const eval_input *in, bool oracle, answered_set *out);
void answered_clear(answered_set *s);
/* {"same", "em", "f1"}: what answering in another precision changed, beside f32's answers to the same
 * questions: share of answers with the same text, differences of EM and F1 over answerable ones. */
json_t *eval_against(const qa_set *q, const answered_set *s, const answered_set *f32);
/* {"id": "text"}, as SQuAD's scorers read it. */
status answered_write(const answered_set *s, const qa_set *q, file_writer *w);

/* The part "answers" of the report; oracle may be NULL. ERR_STATE where no question can be
 * scored. */
status eval_answers(const eval_input *in, const judgements *j, const answered_set *s,
                    const answered_set *oracle, json_t **out);

/* ---- for people ---- */

/* The whole report, as `eval --json` prints it, as tables. */
void eval_table(const json_t *report, buf *out);
#endif
