/* raglan in a program of your own: two documents, a search, and an answer where a generator is
 * trained. usage: ask HOME QUESTION
 *
 *     cc ask.c -o ask $(pkg-config --cflags --libs raglan) */
#include <inttypes.h>
#include <stdio.h>

#include <rag.h>

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: ask HOME QUESTION\n"), 2;
    rag *r = NULL;
    rag_hits *hits = NULL;
    rag_answer *answer = NULL;
    int st = rag_open(argv[1], &(rag_options){.write = true}, &r);
    if (!st)
        st = rag_add_document(r, "lighthouse", "Belmora Light",
                              "The lighthouse of Belmora was built by Edda Quill in 1871.");
    if (!st)
        st = rag_add_document(r, "harbour", "Belmora Harbour",
                              "The harbour of Belmora has room for forty fishing boats.");
    if (!st) st = rag_index(r); /* does only what is new */
    if (!st) st = rag_search(r, argv[2], RAG_AUTO, 3, &hits);
    for (int64_t i = 0; !st && i < hits->n; i++)
        printf("%" PRId64 ". %s: %s\n", hits->at[i].rank, hits->at[i].title, hits->at[i].text);
    if (!st) st = rag_ask(r, argv[2], NULL, &answer);
    if (!st) printf("answer: %s (confidence %.2f)\n", answer->text, answer->confidence);
    if (st) fprintf(stderr, "ask: %s\n", rag_error());
    rag_answer_free(answer);
    rag_hits_free(hits);
    rag_close(r);
    return st && st != RAG_ERR_STATE; /* no generator yet: the search stands */
}
