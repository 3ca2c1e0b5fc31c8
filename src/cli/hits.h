#ifndef RAGLAN_CLI_HITS_H
#define RAGLAN_CLI_HITS_H
/* How hits look, for people and as JSON. */
#include "rag/rag.h"
#include "util/json.h"

json_t *hits_json(const rag_hits *h);
const char *mode_name(rag_mode mode); /* "bm25", ... */
/* A numbered list: title, uri, byte range, score, and the text (width bytes of it; 0: none). */
void hits_print(const rag_hits *h, int width);
#define MODE_CHOICES      "auto|bm25|dense|hybrid"
#define PRECISION_CHOICES "auto|f32|bf16|int8"
#endif
