#ifndef RAGLAN_DATA_EVIDENCE_H
#define RAGLAN_DATA_EVIDENCE_H
/* TriviaQA's evidence files by the names that its questions give.
 *
 * The set was written on a system that does not tell composed from decomposed letters nor capitals
 * from small ones. Where a name does not exist as it stands (or with .gz behind it), the one of its
 * folder that differs in these only is taken. */
#include "util/mem.h"

typedef struct evidence evidence;
/* root: the folder that holds evidence/; borrowed. */
evidence *evidence_new(const char *root);
void evidence_free(evidence *e); /* NULL is a no-op */
/* The file that `below`, "evidence/wikipedia/Ada.txt", means; NULL: there is none. Caller frees. */
char *evidence_find(evidence *e, const char *below);
/* False for a name that leads out of its folder ("../x", "/x") or is empty. */
bool evidence_is_inside(const char *name);
#endif
