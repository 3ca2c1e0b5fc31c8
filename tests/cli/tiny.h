#ifndef RAGLAN_TESTS_CLI_TINY_H
#define RAGLAN_TESTS_CLI_TINY_H
/* Collections small enough to be trained in a test, even under sanitizers. */
#include "program.h"

/* A model of a few thousand parameters, for `raglan train`. */
#define TINY                                                                                       \
    "--vocab_size 400 --dim 16 --num_blocks 1 --num_heads 2 --batch_size 4 --context_size 32"

/* One question of each kind about a town that fits into three passages. */
static inline void write_town(void) {
    file_make_folders(temp_path("town"));
    temp_text("town/light.md", "# Belmora Light\n\nThe lighthouse of Belmora was built by Edda "
                               "Quill in 1871. It is 40 metres tall and painted red.\n");
    temp_text("town/harbour.md", "# Belmora Harbour\n\nThe harbour of Belmora has room for forty "
                                 "boats. Its master is Jon Tarn.\n");
    temp_text("town/mill.md", "# Old Mill\n\nThe old mill stands on the river Wend. It ground "
                              "barley until the flood of 1902.\n");
    temp_text("questions.jsonl",
              "{\"id\": \"q1\", \"question\": \"Who built the lighthouse?\", \"answers\": [\"Edda "
              "Quill\"]}\n"
              "{\"id\": \"q2\", \"question\": \"Who is master of the harbour?\", \"answers\": "
              "[\"Jon Tarn\"]}\n"
              "{\"id\": \"q3\", \"question\": \"On which river stands the mill?\", \"answers\": "
              "[\"Wend\", \"the Wend\"]}\n"
              "{\"id\": \"q4\", \"question\": \"Who painted the town hall?\", \"answers\": [], "
              "\"unanswerable\": true}\n");
    temp_text("test.jsonl", "{\"id\": \"t1\", \"question\": \"When was the lighthouse built?\", "
                            "\"answers\": [\"1871\"]}\n");
}
#endif
