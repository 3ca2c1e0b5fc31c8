#ifndef RAGLAN_MODEL_CHECKPOINT_H
#define RAGLAN_MODEL_CHECKPOINT_H
/* Checkpoints in a home (docs/home.md):
 *
 *   <sha1>.<type>.safetensors         parameters; sha1 of this file's bytes is the identifier
 *   <sha1>.<type>.state.safetensors   optimizer, RNG, data position: the newest generation only
 *   <sha1>.<type>.metadata            JSON, renamed into place last: it commits the set
 *
 * metadata: {"type", "identifier", "generation", "step", "total_steps", "finished", "config": {},
 *            "run": {}, "hashes": {"tokenizer", "data", "parent", ...}, "dev": {}, "dev_score",
 *            "seed", "version", "checksum"}
 *
 * Newest = greatest generation; best = greatest dev_score among those of the newest one's
 * configuration and tokenizer (ties to the later). Kept: newest and best; older ones are removed
 * only after the new set is durable. A set without its metadata, or with a file missing, does not
 * exist (swept up at the next save). */
#include "nn/safetensors.h"

typedef struct checkpoint {
    char identifier[41];
    char type[16]; /* "retriever", "generator" */
    int64_t generation, step, total_steps;
    bool finished;
    double dev_score; /* NaN: not evaluated */
    bool is_newest, is_best, has_state;
    json_t *meta; /* the whole metadata */
} checkpoint;

typedef struct checkpoint_list {
    checkpoint *at; /* by type, then generation */
    int64_t n;
} checkpoint_list;
status checkpoint_scan(const char *home, const char *type /* NULL: all */, checkpoint_list *out);
void checkpoint_list_clear(checkpoint_list *l);

typedef enum checkpoint_which { CHECKPOINT_NEWEST, CHECKPOINT_BEST } checkpoint_which;
/* identifier (a prefix of 4 or more digits will do) beats which. *out NULL-filled and OK when there
 * is none of that type and no identifier was given; ERR_ARG when the identifier is unknown (lists
 * those there). Caller checkpoint_clear. */
status checkpoint_find(const char *home, const char *type, const char *identifier,
                       checkpoint_which which, checkpoint *out);
void checkpoint_clear(checkpoint *c);
const char *checkpoint_tokenizer(const checkpoint *c); /* hash of the one it reads; "": none */

/* Loads and verifies: the file's sha1 must be its name (ERR_FORMAT: damaged, which file, how to go
 * on; ERR_BUSY: a training run beside us has replaced it, so find again). */
status checkpoint_load(const char *home, const checkpoint *c, params *p);
/* The same for a model that is only read (built with PARAMS_BLANK), without reading the file: its
 * values stay in the mapping, and it is hashed only where <sha1>.<type>.verified does not say that
 * this very file (device, inode, size, times) has been hashed before. */
status checkpoint_map(const char *home, const checkpoint *c, params *p);
/* Reads and hashes, whatever is known of the file; loads nothing. */
status checkpoint_verify(const char *home, const checkpoint *c);
status checkpoint_load_state(const char *home, const checkpoint *c, params *p, adamw *o,
                             json_t **extra);

/* Saves a set; meta's identifier and generation are filled in. extra: the trainer's RNG and
 * position (JSON in the state file's metadata). */
status checkpoint_save(const char *home, const char *type, const params *p, const adamw *o,
                       json_t *meta, const json_t *extra, char identifier[41]);
#endif
