#ifndef RAGLAN_DATA_DATASET_H
#define RAGLAN_DATA_DATASET_H
/* The published dataset step: what the origin makes of a TriviaQA folder before it trains, file
 * by file under its names. raglan's own training needs none of it (it reads the collection); it is
 * for those who want these files.
 *
 * From SRC (only read), into D, for every SRC/qa/NAME-train.json (NAME: "wikipedia", "web"):
 *
 *   qa/NAME-train-simplified.json   {"Data": [{"QuestionId", "EntityPages": [file names],
 *                                   "Question", "Answer", "FullAnswer"}]}
 *   evidence/wikipedia/             the pages that these name
 *   qa/full-answers.jsonl           sentences that a server made (expand.h)
 *   qa/NAME-train.txt               question and short answer, a line each
 *   tokenizer/files.txt             all evidence, then all qa/NAME-train.txt
 *   retriever/chunks.npy            int32 [chunks, context_size]: each line of a file as BOS,
 *                                   pieces, EOS; joined, cut in windows, the last one padded by 0
 *   retriever/files.json            {"context_size", "tokenizer", "files": [{"name", "first",
 *                                   "chunks"}]}: rows of chunks.npy by file
 *   retriever/NAME-train-questions.npy, -answers.npy
 *                                   int32 [questions, L]: BOS, pieces, EOS, 0...; L the next
 *                                   power of two of the longest
 *   qa/unsupported-NAME-train.json  {"question_ids": [places, from 0]}: questions none of whose
 *                                   own chunks holds the answer's pieces in a row
 *   generator/NAME-train.npy        int32 [questions, 2, L]: question, full answer
 *
 * and into the home H tokenizer/wiki.model. Letters are kept as they are; lower_case folds them,
 * as the origin does. A step that lacks what an earlier one makes says which. Memory: a page, and
 * the pieces of the questions. */
#include "data/expand.h"
#include "store/store.h"
#include "text/tokenizer.h"

typedef struct dataset_options {
    const char *from, *to, *home;
    bool lower_case;
    int64_t context_size; /* 0: 64 */
    tokenizer_options tokenizer;
    expand_options expand;
} dataset_options;

/* ERR_STATE where there is no file to begin with; ERR_STOPPED: go on with the same call. */
status dataset_prepare(const dataset_options *o);         /* prepare_generator_qa_dataset */
status dataset_qa_text(const dataset_options *o);         /* qa_json_to_txt */
status dataset_train_tokenizer(const dataset_options *o); /* train_tokenizer */
status dataset_load_retriever(const dataset_options *o);  /* load_retriever_dataset */
status dataset_load_generator(const dataset_options *o);  /* load_generator_dataset */

typedef struct dataset_step {
    const char *name, *about;
    status (*run)(const dataset_options *o);
    bool needs_from, needs_home;
} dataset_step;
extern const dataset_step dataset_steps[5]; /* in order */

/* Has SRC any qa/NAME-train.json? */
bool dataset_is_there(const char *from);
/* Gives the questions of a collection the full answers that dataset_prepare wrote into `to`;
 * *n of them changed. */
status dataset_full_answers(store *s, const char *to, int64_t *n);
#endif
