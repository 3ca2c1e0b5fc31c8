/* The manifest file: JSON with a checksum over its other fields.
 *
 *   {"generation", "cut", "language", "lexical": [{"file", "passages", "first", "last"}],
 *    "vectors": [the same], "model", "tokenizer", "dim", "deleted": [ids],
 *    "fusion": {"mode", "lambda", "share", "reach", "near", "tuned"}, "checksum"} */
#include "search/manifest.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/manifest_int.h"
#include "util/hash.h"
#include "util/json.h"

void manifest_init(manifest *m) {
    *m = (manifest){.fuse = fusion_default};
}

void manifest_clear(manifest *m) {
    free(m->lexical);
    free(m->vectors);
    free(m->deleted);
    manifest_init(m);
}

id_list manifest_deleted(const manifest *m) {
    return (id_list){m->deleted, m->n_deleted};
}

/* ---- to JSON and back ---- */

static json_t *segments_to_json(const manifest_segment *s, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:I, s:I}", "file", s[i].file, "passages",
                                        (json_int_t)s[i].n, "first", (json_int_t)s[i].first_id,
                                        "last", (json_int_t)s[i].last_id));
    return list;
}

static json_t *to_json(const manifest *m) {
    json_t *deleted = json_array();
    for (int64_t i = 0; i < m->n_deleted; i++)
        json_array_append_new(deleted, json_integer(m->deleted[i]));
    return json_pack(
        "{s:I, s:s, s:s, s:o, s:o, s:s, s:s, s:I, s:{s:s, s:f, s:f, s:i, s:f, s:b}, s:o}",
        "generation", (json_int_t)m->generation, "cut", m->cut, "language", m->language, "lexical",
        segments_to_json(m->lexical, m->n_lexical), "vectors",
        segments_to_json(m->vectors, m->n_vectors), "model", m->key.model, "tokenizer",
        m->key.tokenizer, "dim", (json_int_t)m->key.dim, "fusion", "mode",
        fusion_mode_name(m->fuse.mode), "lambda", m->fuse.lambda, "share", m->fuse.share, "reach",
        m->fuse.reach, "near", m->fuse.near, "tuned", (int)m->is_tuned, "deleted", deleted);
}

/* Checksum of all fields but "checksum". */
static void checksum(json_t *j, char hex[17]) {
    json_object_del(j, "checksum");
    char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
    MUST(text, "a manifest can always be written as JSON");
    snprintf(hex, 17, "%016" PRIx64, hash64(text, strlen(text)));
    free(text);
}

/* KIND-0123456789abcdef.seg and nothing else: no name leads out of the folder. */
bool manifest_is_segment(const char *name, const char *kind) {
    size_t n = strlen(kind);
    if (strncmp(name, kind, n) != 0 || name[n] != '-') return false;
    name += n + 1;
    return strspn(name, "0123456789abcdef") == 16 && strcmp(name + 16, ".seg") == 0;
}

static status segments_from_json(const json_t *j, const char *kind, const char *path,
                                 manifest_segment **out, int *n_out) {
    const json_t *list = json_object_get(j, kind), *item;
    size_t i;
    if (!json_is_array(list)) FAIL(ERR_FORMAT, "%s: no list of %s segments", path, kind);
    *out = xcalloc(json_array_size(list) + 1, sizeof **out);
    json_array_foreach(list, i, item) {
        manifest_segment *s = &(*out)[i];
        const char *file = json_str(item, "file", "");
        if (!manifest_is_segment(file, kind))
            FAIL(ERR_FORMAT, "%s: '%s' is not the name of a %s segment", path, file, kind);
        strcpy(s->file, file);
        s->n = json_int(item, "passages", -1);
        s->first_id = json_int(item, "first", -1);
        s->last_id = json_int(item, "last", -1);
        if (s->n < 1 || s->first_id < 0 || s->last_id < s->first_id)
            FAIL(ERR_FORMAT, "%s: impossible counts for %s", path, file);
    }
    *n_out = (int)json_array_size(list);
    return OK;
}

static status deleted_from_json(const json_t *j, const char *path, manifest *m) {
    const json_t *list = json_object_get(j, "deleted"), *item;
    size_t i;
    m->deleted = xcalloc(json_array_size(list) + 1, sizeof *m->deleted);
    json_array_foreach(list, i, item) {
        int64_t id = json_integer_value(item);
        if (id < 0 || (i > 0 && id <= m->deleted[i - 1]))
            FAIL(ERR_FORMAT, "%s: deleted ids do not ascend at %" PRId64, path, id);
        m->deleted[m->n_deleted++] = id;
    }
    return OK;
}

static status from_json(json_t *j, const char *path, manifest *m) {
    char given[17], real[17];
    snprintf(given, sizeof given, "%s", json_str(j, "checksum", ""));
    checksum(j, real);
    if (strcmp(given, real) != 0)
        FAIL(ERR_FORMAT, "%s: damaged (checksum %s, wanted %s); run `raglan check --repair`", path,
             real, given);
    m->generation = json_int(j, "generation", 0);
    snprintf(m->cut, sizeof m->cut, "%s", json_str(j, "cut", ""));
    snprintf(m->language, sizeof m->language, "%s", json_str(j, "language", ""));
    snprintf(m->key.model, sizeof m->key.model, "%s", json_str(j, "model", ""));
    snprintf(m->key.tokenizer, sizeof m->key.tokenizer, "%s", json_str(j, "tokenizer", ""));
    m->key.dim = json_int(j, "dim", 0);
    const json_t *f = json_object_get(j, "fusion");
    const char *mode = json_str(f, "mode", "");
    bool is_rrf = !strcmp(mode, fusion_mode_name(FUSION_RRF));
    if (is_rrf ||
        !strcmp(mode, fusion_mode_name(FUSION_SUM))) { /* else another formula's weights */
        m->fuse.mode = is_rrf ? FUSION_RRF : FUSION_SUM;
        m->fuse.lambda = json_num(f, "lambda", fusion_default.lambda);
        m->fuse.share = json_num(f, "share", fusion_default.share);
        m->fuse.reach = (int)json_int(f, "reach", fusion_default.reach);
        m->fuse.near = json_num(f, "near", fusion_default.near);
        m->is_tuned = json_flag(f, "tuned", false);
    }
    TRY(segments_from_json(j, "lexical", path, &m->lexical, &m->n_lexical));
    TRY(segments_from_json(j, "vectors", path, &m->vectors, &m->n_vectors));
    return deleted_from_json(j, path, m);
}

status manifest_read(const char *folder, manifest *out) {
    char *path = xasprintf("%s/manifest.json", folder);
    manifest_init(out);
    json_t *j = NULL;
    status st = OK;
    if (file_exists(path)) {
        st = json_read(path, &j);
        if (!st) st = from_json(j, path, out);
    }
    json_decref(j);
    free(path);
    if (st) manifest_clear(out);
    return st;
}

status manifest_write(const char *folder, manifest *m) {
    char *path = xasprintf("%s/manifest.json", folder);
    m->generation++;
    json_t *j = to_json(m);
    MUST(j, "a manifest can always be written as JSON");
    char hex[17];
    checksum(j, hex);
    json_object_set_new(j, "checksum", json_string(hex));
    status st = json_save(path, j);
    if (st) m->generation--;
    json_decref(j);
    free(path);
    return st;
}

/* ---- changing it ---- */

static void append(manifest_segment **list, int *n, const char *name, const int64_t *ids,
                   int64_t n_ids) {
    if (!n_ids) return;
    *list = xrealloc(*list, ((size_t)*n + 1) * sizeof **list);
    manifest_segment s = {.n = n_ids, .first_id = ids[0], .last_id = ids[n_ids - 1]};
    snprintf(s.file, sizeof s.file, "%s", name);
    (*list)[(*n)++] = s;
}

status manifest_add_lexical(const char *folder, manifest *m, const char *name) {
    lexical_segment s;
    TRY(lexical_segment_open(folder, name, &s));
    status st = OK;
    if (m->n_lexical && strcmp(m->language, s.language) != 0)
        st = err_set(ERR_STATE, __FILE__, __LINE__, "%s/%s: stemmed as %s, the index as %s", folder,
                     name, s.language, m->language);
    if (!st) {
        strcpy(m->language, s.language);
        append(&m->lexical, &m->n_lexical, name, s.ids, s.n);
    }
    lexical_segment_close(&s);
    return st;
}

status manifest_add_vectors(const char *folder, manifest *m, const char *name) {
    vectors v;
    TRY(vectors_open(folder, name, m->n_vectors ? &m->key : NULL, &v));
    m->key = v.key;
    append(&m->vectors, &m->n_vectors, name, v.ids, v.n);
    vectors_close(&v);
    return OK;
}

void manifest_drop_lexical(manifest *m) {
    m->n_lexical = 0;
    m->language[0] = 0;
}

void manifest_drop_vectors(manifest *m) {
    m->n_vectors = 0;
    m->key = (vectors_key){0};
}

static int64_t last_of(const manifest_segment *s, int n) {
    int64_t last = -1;
    for (int i = 0; i < n; i++)
        if (s[i].last_id > last) last = s[i].last_id;
    return last;
}

int64_t manifest_last_lexical(const manifest *m) {
    return last_of(m->lexical, m->n_lexical);
}

int64_t manifest_last_vector(const manifest *m) {
    return last_of(m->vectors, m->n_vectors);
}

static bool in_range(const manifest_segment *s, int n, int64_t id) {
    for (int i = 0; i < n; i++)
        if (id >= s[i].first_id && id <= s[i].last_id) return true;
    return false;
}

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void manifest_delete(manifest *m, const int64_t *ids, int64_t n) {
    int64_t *all = xmalloc((size_t)(m->n_deleted + n + 1) * sizeof *all), n_all = 0;
    for (int64_t i = 0; i < m->n_deleted; i++) all[n_all++] = m->deleted[i];
    for (int64_t i = 0; i < n; i++)
        if (in_range(m->lexical, m->n_lexical, ids[i]) ||
            in_range(m->vectors, m->n_vectors, ids[i]))
            all[n_all++] = ids[i];
    qsort(all, (size_t)n_all, sizeof *all, compare_ids);
    int64_t kept = 0;
    for (int64_t i = 0; i < n_all; i++)
        if (!kept || all[kept - 1] != all[i]) all[kept++] = all[i];
    free(m->deleted);
    m->deleted = all;
    m->n_deleted = kept;
}
