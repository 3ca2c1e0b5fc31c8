/* A folder's names are folded (NFC, lower case) and sorted once, when the first name of it is asked
 * for that does not exist as it stands. */
#include "data/evidence.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "data/ingest.h"
#include "util/unicode.h"

typedef struct name_pair {
    char *folded, *name;
} name_pair;

struct evidence {
    const char *root;
    /* the names of the folder that was looked into last, by their folded form */
    char *folder; /* NULL: none yet */
    name_pair *at;
    int64_t n, cap;
};

static char *fold(const char *name) {
    buf composed = {0}, lower = {0};
    utf8_add_form(&composed, name, strlen(name), UTF8_NFC);
    utf8_add_lower(&lower, composed.at ? composed.at : "", composed.len);
    buf_clear(&composed);
    return buf_steal(&lower);
}

static int by_folded(const void *a, const void *b) {
    return strcmp(((const name_pair *)a)->folded, ((const name_pair *)b)->folded);
}

static void forget_folder(evidence *e) {
    for (int64_t i = 0; i < e->n; i++) {
        free(e->at[i].folded);
        free(e->at[i].name);
    }
    free(e->folder);
    e->folder = NULL;
    e->n = 0;
}

static void read_folder(evidence *e, const char *folder) {
    if (e->folder && strcmp(e->folder, folder) == 0) return;
    forget_folder(e);
    e->folder = xstrdup(folder);
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *entry; (entry = readdir(d));) {
        GROW(e->at, e->n, e->cap);
        e->at[e->n++] = (name_pair){fold(entry->d_name), xstrdup(entry->d_name)};
    }
    closedir(d);
    if (e->n) qsort(e->at, (size_t)e->n, sizeof *e->at, by_folded);
}

evidence *evidence_new(const char *root) {
    evidence *e = xcalloc(1, sizeof *e);
    e->root = root;
    return e;
}

void evidence_free(evidence *e) {
    if (!e) return;
    forget_folder(e);
    free(e->at);
    free(e);
}

char *evidence_find(evidence *e, const char *below) {
    char *path = file_or_gz(e->root, below);
    if (path) return path;
    char *folder = xasprintf("%s/%s", e->root, below), *slash = strrchr(folder, '/');
    *slash = 0;
    read_folder(e, folder);
    name_pair key = {.folded = fold(slash + 1)}, *found = NULL;
    if (e->n) found = bsearch(&key, e->at, (size_t)e->n, sizeof *e->at, by_folded);
    if (found) path = xasprintf("%s/%s", folder, found->name);
    free(key.folded);
    free(folder);
    return path;
}

bool evidence_is_inside(const char *name) {
    if (*name == '/') return false;
    for (const char *p = name; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || !p[2])) return false;
    }
    return *name != 0;
}
