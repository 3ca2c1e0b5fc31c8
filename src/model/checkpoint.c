/* Checkpoints. A set of files counts once its metadata has its name, and every file gets its
 * name only after its bytes are on disk (util/file.h), so at any instant the home holds the
 * previous generation whole or the new one whole:
 *
 *     parameters -> state -> metadata (commits) -> older sets swept away, metadata first
 *
 * A crash in between leaves files that no metadata speaks for; the next save removes them.
 * Every byte is covered: the parameters by their name, the state by its seal
 * (st_writer_seal), the metadata by its field "checksum". */
#include "model/checkpoint.h"

#include "util/hash.h"
#include "util/log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#define PARAMS   ".safetensors"
#define STATE    ".state.safetensors"
#define METADATA ".metadata"
#define VERIFIED ".verified"
#define REST_S   1 /* a file younger than the clock of its file system is fine is not relied on */

/* ---- names ---- */

/* "<home>/<identifier>.<type><suffix>"; caller frees. */
static char *file_of(const char *home, const char *identifier, const char *type,
                     const char *suffix) {
    return xasprintf("%s/%s.%s%s", home, identifier, type, suffix);
}

static bool has_file(const char *home, const char *identifier, const char *type,
                     const char *suffix) {
    char *path = file_of(home, identifier, type, suffix);
    bool there = file_exists(path);
    free(path);
    return there;
}

/* Cuts "<40 digits>.<type><suffix>" up; false when the name is not of that form. */
static bool read_name(const char *name, char identifier[41], char type[16], const char **suffix) {
    int n = 0, m = 0;
    while (n < 40 && (isdigit((unsigned char)name[n]) || (name[n] >= 'a' && name[n] <= 'f'))) n++;
    if (n < 40 || name[40] != '.') return false;
    while (m < 15 && name[41 + m] >= 'a' && name[41 + m] <= 'z') m++;
    if (m == 0 || name[41 + m] != '.') return false;
    memcpy(identifier, name, 40);
    identifier[40] = 0;
    memcpy(type, name + 41, (size_t)m);
    type[m] = 0;
    *suffix = name + 41 + m;
    return true;
}

/* Calls fn for each file of the home that is named as a checkpoint's of this type (NULL: any). */
typedef status (*on_file)(void *arg, const char *identifier, const char *type, const char *suffix);
static status each_file(const char *home, const char *type, on_file fn, void *arg) {
    DIR *d = opendir(home);
    if (!d && errno == ENOENT) return OK;
    if (!d) FAIL(ERR_IO, "%s: cannot list: %s", home, strerror(errno));
    status st = OK;
    for (struct dirent *e; !st && (e = readdir(d));) {
        char identifier[41], found[16];
        const char *suffix;
        if (read_name(e->d_name, identifier, found, &suffix) && (!type || !strcmp(type, found)))
            st = fn(arg, identifier, found, suffix);
    }
    closedir(d);
    return st;
}

/* ---- metadata ---- */

/* SHA-1 of the metadata as one line, its own field left out. */
static void checksum_of(const json_t *meta, char hex[41]) {
    json_t *bare = json_copy((json_t *)meta);
    json_object_del(bare, "checksum");
    char *line = json_line(bare);
    sha1_hex(line, strlen(line), hex);
    free(line);
    json_decref(bare);
}

static status check_meta(const json_t *meta, const char *identifier, const char *type,
                         const char *path) {
    char found[41];
    checksum_of(meta, found);
    const char *next = "delete this file to go on without that checkpoint";
    if (!json_is_object(meta) || strcmp(json_str(meta, "checksum", ""), found))
        FAIL(ERR_FORMAT, "%s: damaged: its checksum does not match; %s", path, next);
    if (strcmp(json_str(meta, "identifier", ""), identifier) ||
        strcmp(json_str(meta, "type", ""), type) || json_int(meta, "generation", 0) < 1)
        FAIL(ERR_FORMAT, "%s: speaks of another checkpoint than its name; %s", path, next);
    return OK;
}

static status read_meta(const char *home, const char *identifier, const char *type,
                        checkpoint *out) {
    char *path = file_of(home, identifier, type, METADATA);
    json_t *meta = NULL;
    status st = json_read(path, &meta);
    if (st == ERR_FORMAT)
        err_wrap(st, "damaged, delete this file to go on without that checkpoint");
    if (!st) st = check_meta(meta, identifier, type, path);
    free(path);
    if (st) {
        json_decref(meta);
        return st;
    }
    *out = (checkpoint){.generation = json_int(meta, "generation", 0),
                        .step = json_int(meta, "step", 0),
                        .total_steps = json_int(meta, "total_steps", 0),
                        .finished = json_flag(meta, "finished", false),
                        .dev_score = json_num(meta, "dev_score", NAN),
                        .meta = meta};
    memcpy(out->identifier, identifier, 41);
    memcpy(out->type, type, strlen(type) + 1);
    return OK;
}

const char *checkpoint_tokenizer(const checkpoint *c) {
    return json_str(json_object_get(c->meta, "hashes"), "tokenizer", "");
}

/* ---- scanning ---- */

typedef struct scan {
    const char *home;
    bool forgiving; /* leave out what is damaged instead of failing */
    checkpoint_list *list;
    int64_t cap;
} scan;

static status scan_file(void *arg, const char *identifier, const char *type, const char *suffix) {
    scan *s = arg;
    checkpoint_list *l = s->list;
    if (strcmp(suffix, METADATA) || !has_file(s->home, identifier, type, PARAMS)) return OK;
    GROW(l->at, l->n, s->cap);
    status st = read_meta(s->home, identifier, type, &l->at[l->n]);
    if (!st) l->n++;
    /* A training run beside us may have swept it away while we looked. */
    if (st == ERR_IO && !has_file(s->home, identifier, type, METADATA)) return OK;
    return s->forgiving && st == ERR_FORMAT ? OK : st;
}

static int by_type_and_generation(const void *a, const void *b) {
    const checkpoint *x = a, *y = b;
    int c = strcmp(x->type, y->type);
    return c ? c : (x->generation > y->generation) - (x->generation < y->generation);
}

/* Dev scores of two configurations, or over two tokenizers, do not say which is better. */
static bool is_comparable(const checkpoint *x, const checkpoint *y) {
    const char *tx = checkpoint_tokenizer(x), *ty = checkpoint_tokenizer(y);
    const json_t *cx = json_object_get(x->meta, "config"), *cy = json_object_get(y->meta, "config");
    return !strcmp(tx, ty) && (cx == cy || (cx && cy && json_equal(cx, cy)));
}

/* Flags newest and best among at[0..n-1], all of one type and in order of generation. */
static void flag(const char *home, checkpoint *at, int64_t n) {
    checkpoint *newest = &at[n - 1], *best = NULL;
    newest->is_newest = true;
    newest->has_state = has_file(home, newest->identifier, newest->type, STATE);
    for (int64_t i = 0; i < n; i++)
        if (!isnan(at[i].dev_score) && is_comparable(&at[i], newest) &&
            (!best || at[i].dev_score >= best->dev_score))
            best = &at[i];
    bool imported =
        newest->finished && newest->step == 0; /* asked for by name, measured by nobody */
    if (!best || imported) best = newest;
    best->is_best = true;
}

static status scan_home(const char *home, const char *type, bool forgiving, checkpoint_list *out) {
    checkpoint_list l = {0};
    scan s = {.home = home, .forgiving = forgiving, .list = &l};
    status st = each_file(home, type, scan_file, &s);
    if (st) {
        checkpoint_list_clear(&l);
        return st;
    }
    if (l.n) qsort(l.at, (size_t)l.n, sizeof *l.at, by_type_and_generation);
    for (int64_t begin = 0, end; begin < l.n; begin = end) {
        for (end = begin + 1; end < l.n && !strcmp(l.at[begin].type, l.at[end].type);) end++;
        flag(home, &l.at[begin], end - begin);
    }
    *out = l;
    return OK;
}

status checkpoint_scan(const char *home, const char *type, checkpoint_list *out) {
    return scan_home(home, type, false, out);
}

void checkpoint_clear(checkpoint *c) {
    json_decref(c->meta);
    *c = (checkpoint){0};
}

void checkpoint_list_clear(checkpoint_list *l) {
    for (int64_t i = 0; i < l->n; i++) checkpoint_clear(&l->at[i]);
    free(l->at);
    *l = (checkpoint_list){0};
}

/* ---- finding ---- */

static status no_such(const checkpoint_list *l, const char *type, const char *identifier,
                      const char *what) {
    buf there = {0};
    for (int64_t i = 0; i < l->n; i++)
        buf_printf(&there, "%s%.12s (step %" PRId64 ")", i ? ", " : "", l->at[i].identifier,
                   l->at[i].step);
    status st = err_set(ERR_ARG, __FILE__, __LINE__, "%s %s checkpoint '%s'; there %s", what, type,
                        identifier, there.len ? there.at : "is none");
    buf_clear(&there);
    return st;
}

static status pick(const checkpoint_list *l, const char *type, const char *identifier,
                   checkpoint_which which, int64_t *out) {
    *out = -1;
    size_t digits = identifier ? strlen(identifier) : 0;
    if (identifier && digits < 4)
        return no_such(l, type, identifier, "at least 4 digits are needed to name a");
    for (int64_t i = 0; i < l->n; i++) {
        const checkpoint *c = &l->at[i];
        bool wanted = identifier                   ? !strncasecmp(c->identifier, identifier, digits)
                      : which == CHECKPOINT_NEWEST ? c->is_newest
                                                   : c->is_best;
        if (wanted && *out >= 0) return no_such(l, type, identifier, "more than one");
        if (wanted) *out = i;
    }
    if (identifier && *out < 0) return no_such(l, type, identifier, "no");
    return OK;
}

status checkpoint_find(const char *home, const char *type, const char *identifier,
                       checkpoint_which which, checkpoint *out) {
    checkpoint_list l;
    int64_t i;
    TRY(checkpoint_scan(home, type, &l));
    status st = pick(&l, type, identifier, which, &i);
    if (!st) *out = (checkpoint){0};
    if (!st && i >= 0) {
        *out = l.at[i];
        json_incref(out->meta); /* the list drops its own */
    }
    checkpoint_list_clear(&l);
    return st;
}

/* ---- opening ---- */

/* Opens one file of a set. A set that was there when it was found and now is not has been
 * replaced by a training run beside us. */
static status open_part(const char *path, st_file **out) {
    if (!file_exists(path))
        FAIL(ERR_BUSY, "%s: replaced by a newer checkpoint meanwhile; try again", path);
    return st_open(path, out);
}

static status say_damaged(status st, const checkpoint *c) {
    return st == ERR_FORMAT
               ? err_wrap(st,
                          "checkpoint %.12s cannot be used (put the file back from a copy, or "
                          "delete %.12s*.metadata to go on with an older one, or train with "
                          "--new_model)",
                          c->identifier, c->identifier)
               : st;
}

static status check_hash(const st_file *f, const checkpoint *c, const char *path) {
    char found[41];
    st_file_sha1(f, found);
    if (strcmp(found, c->identifier))
        FAIL(ERR_FORMAT, "%s: damaged: its bytes hash to %s", path, found);
    return OK;
}

/* The parameters into p; NULL only checks the bytes. */
static status load_params(const char *path, const checkpoint *c, params *p) {
    st_file *f;
    TRY(open_part(path, &f));
    status st = check_hash(f, c, path);
    if (!st && p) st = st_load_params(f, p, path);
    st_close(f);
    return st;
}

/* ---- which files have been hashed before ---- */

/* What the file system says of a file: whoever changes a byte changes its times. "" for a file that
 * has changed just now, whose times could stay the same at the next change. */
typedef struct identity {
    char text[160];
} identity;

static identity identity_of(const char *path) {
    identity id = {""};
    struct stat s;
    if (stat(path, &s) || time(NULL) - s.st_ctim.tv_sec <= REST_S) return id;
    snprintf(id.text, sizeof id.text, "%ju %ju %jd %jd.%09ld %jd.%09ld\n", (uintmax_t)s.st_dev,
             (uintmax_t)s.st_ino, (intmax_t)s.st_size, (intmax_t)s.st_mtim.tv_sec,
             s.st_mtim.tv_nsec, (intmax_t)s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
    return id;
}

static bool was_verified(const char *note, const identity *id) {
    buf text = {0};
    bool same = id->text[0] && file_exists(note) && file_read(note, sizeof *id, &text) == OK &&
                !strcmp(text.at, id->text);
    buf_clear(&text);
    return same;
}

static status map_params(const char *path, const char *note, const checkpoint *c, params *p) {
    st_file *f;
    identity id = identity_of(path);
    TRY(open_part(path, &f));
    bool is_known = was_verified(note, &id);
    status st = is_known ? OK : check_hash(f, c, path);
    if (!st) st = st_map_params(f, p, path);
    if (st) {
        st_close(f);
        return st;
    }
    /* A home that cannot be written is hashed again at the next time. */
    if (!is_known && id.text[0] && file_write(note, id.text, strlen(id.text))) err_clear();
    return OK;
}

status checkpoint_map(const char *home, const checkpoint *c, params *p) {
    char *path = file_of(home, c->identifier, c->type, PARAMS);
    char *note = file_of(home, c->identifier, c->type, VERIFIED);
    status st = map_params(path, note, c, p);
    free(path);
    free(note);
    return say_damaged(st, c);
}

/* ---- loading ---- */

status checkpoint_load(const char *home, const checkpoint *c, params *p) {
    char *path = file_of(home, c->identifier, c->type, PARAMS);
    status st = load_params(path, c, p);
    free(path);
    return say_damaged(st, c);
}

status checkpoint_verify(const char *home, const checkpoint *c) {
    return checkpoint_load(home, c, NULL);
}

static status load_state(const char *path, const checkpoint *c, params *p, adamw *o,
                         json_t **extra) {
    st_file *f;
    TRY(open_part(path, &f));
    json_t *j = NULL;
    status st = st_verify(f, path);
    const char *of = st_meta(f, "identifier"), *text = st_meta(f, "extra");
    if (!st && (!of || !text || strcmp(of, c->identifier)))
        st = err_set(ERR_FORMAT, __FILE__, __LINE__, "%s: is the state of checkpoint %.12s", path,
                     of ? of : "(none)");
    if (!st) st = json_parse(text, strlen(text), path, &j);
    if (!st) st = st_load_moments(f, p, o, path);
    st_close(f);
    if (st)
        json_decref(j);
    else
        *extra = j;
    return st;
}

status checkpoint_load_state(const char *home, const checkpoint *c, params *p, adamw *o,
                             json_t **extra) {
    char *path = file_of(home, c->identifier, c->type, STATE);
    status st = load_state(path, c, p, o, extra);
    free(path);
    return say_damaged(st, c);
}

/* ---- saving ---- */

typedef struct sweep {
    const char *home;
    const checkpoint_list *known; /* with newest and best flagged */
} sweep;

static const checkpoint *known(const checkpoint_list *l, const char *identifier) {
    for (int64_t i = 0; i < l->n; i++)
        if (!strcmp(l->at[i].identifier, identifier)) return &l->at[i];
    return NULL;
}

/* Kept: newest (with its state) and best, and whatever a damaged metadata file still speaks
 * for: that one is for its owner to judge. */
static status sweep_file(void *arg, const char *identifier, const char *type, const char *suffix) {
    const sweep *s = arg;
    const checkpoint *c = known(s->known, identifier);
    bool has_params = has_file(s->home, identifier, type, PARAMS);
    bool speaks_for = !c && has_params && has_file(s->home, identifier, type, METADATA);
    bool kept = speaks_for || (c && (c->is_newest || c->is_best));
    if (c && !c->is_newest && !strcmp(suffix, STATE)) kept = false;
    if (strcmp(suffix, PARAMS) && strcmp(suffix, STATE) && strcmp(suffix, METADATA) &&
        strcmp(suffix, VERIFIED))
        kept = false;
    if (kept) return OK;
    if (c && !c->is_newest && !c->is_best) { /* the set ends with its metadata */
        char *meta = file_of(s->home, identifier, type, METADATA);
        status st = file_remove(meta);
        free(meta);
        if (st) return st;
    }
    char *path = file_of(s->home, identifier, type, suffix);
    status st = file_remove(path);
    free(path);
    return st;
}

/* What cannot be removed now is removed after the next save: a warning, no failure. */
static void sweep_home(const char *home, const char *type) {
    checkpoint_list l;
    status st = scan_home(home, type, true, &l);
    if (!st) {
        st = each_file(home, type, sweep_file, &(sweep){home, &l});
        checkpoint_list_clear(&l);
    }
    if (st) log_warn("older checkpoints stay: %s", err_msg());
}

static status save_params(const char *home, const char *type, const params *p,
                          char identifier[41]) {
    st_writer *w = st_writer_new();
    st_writer_meta(w, "type", type);
    st_add_params(w, p);
    st_writer_sha1(w, identifier);
    char *path = file_of(home, identifier, type, PARAMS);
    status st = st_writer_save(w, path, NULL);
    free(path);
    st_writer_free(w);
    return st;
}

static status save_state(const char *home, const char *type, const params *p, const adamw *o,
                         const json_t *extra, const char *identifier) {
    st_writer *w = st_writer_new();
    char *text = extra ? json_line(extra) : xstrdup("null");
    st_writer_meta(w, "identifier", identifier);
    st_writer_meta(w, "extra", text);
    st_add_moments(w, p, o);
    st_writer_seal(w);
    char *path = file_of(home, identifier, type, STATE);
    status st = st_writer_save(w, path, NULL);
    free(path);
    free(text);
    st_writer_free(w);
    return st;
}

static status save_meta(const char *home, const char *type, json_t *meta, int64_t generation,
                        const char *identifier) {
    json_object_set_new(meta, "type", json_string(type));
    json_object_set_new(meta, "identifier", json_string(identifier));
    json_object_set_new(meta, "generation", json_integer(generation));
    char hex[41];
    checksum_of(meta, hex);
    json_object_set_new(meta, "checksum", json_string(hex));
    char *path = file_of(home, identifier, type, METADATA);
    status st = json_save(path, meta);
    free(path);
    return st;
}

status checkpoint_save(const char *home, const char *type, const params *p, const adamw *o,
                       json_t *meta, const json_t *extra, char identifier[41]) {
    char id[41] = "";
    checkpoint_list l;
    TRY(scan_home(home, type, true, &l));
    int64_t generation = l.n ? l.at[l.n - 1].generation + 1 : 1;
    status st = save_params(home, type, p, id);
    if (!st && o) st = save_state(home, type, p, o, extra, id);
    if (!st) st = save_meta(home, type, meta, generation, id);
    if (st && !known(&l, id)) { /* the disk may be full: give back what is of no use */
        const char *const made[] = {STATE, PARAMS};
        char *why = xstrdup(err_msg());
        for (int i = 0; i < 2; i++) {
            char *path = file_of(home, id, type, made[i]);
            (void)file_remove(path);
            free(path);
        }
        err_set(st, __FILE__, __LINE__, "%s", why);
        free(why);
    }
    checkpoint_list_clear(&l);
    if (st) return err_wrap(st, "checkpoint not saved (the one before it is intact)");
    sweep_home(home, type);
    memcpy(identifier, id, 41);
    return OK;
}
