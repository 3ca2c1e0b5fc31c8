/* Files to their readers: the table of formats, what a file is told by, and the walk through
 * folders, some of which are one data set as a whole. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/ingest_int.h"

/* ---- the table of formats ---- */

static const ingest_format formats[] = {
#define FORMAT(name, about) {#name, about, name##_knows, name##_read, NULL, NULL},
#define FOLDER_FORMAT(name, about)                                                                 \
    {#name, about, name##_knows, name##_read, name##_folder_knows, name##_folder_read},
#include "data/formats.def"
#undef FORMAT
#undef FOLDER_FORMAT
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

const char *ingest_format_names(void) {
    return "auto"
#define FORMAT(name, about)        ", " #name
#define FOLDER_FORMAT(name, about) ", " #name
#include "data/formats.def"
#undef FORMAT
#undef FOLDER_FORMAT
        ;
}

const ingest_format *ingest_find_format(const char *name) {
    for (int i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}

/* ---- what a file is ---- */

/* Kinds of content that are not parsed, by how they begin: better left out and said than indexed
 * as if their marks were words. */
static const char *foreign(const char *head, size_t n) {
    static const struct {
        const char *begins, *reason;
    } kinds[] = {
        {"%PDF-", "PDF is not parsed; make text of it, for example with pdftotext"},
        {"{\\rtf", "RTF is not parsed; make text of it"},
        {"%!PS", "PostScript is not parsed; make text of it, for example with ps2ascii"},
        {"PK\003\004",
         "a zip archive (or an office document) is not parsed; unpack it, or save it as text"},
        {"BZh",
         "bzip2 is not unpacked here; use bunzip2, or pipe it in: bzcat FILE | raglan ingest -"},
        {"\xFD"
         "7zXZ",
         "xz is not unpacked here; use unxz, or pipe it in: xzcat FILE | raglan ingest -"},
        {"(\xB5/\xFD",
         "zstd is not unpacked here; use unzstd, or pipe it in: zstdcat FILE | raglan ingest -"},
        {"SQLite format 3", "a SQLite database is not a text"},
        {"\xFF\xFE", "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8"},
        {"\xFE\xFF", "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8"},
        {"<!doctype html", "HTML is not parsed; make text of it, for example with pandoc -t plain"},
        {"<html", "HTML is not parsed; make text of it, for example with pandoc -t plain"},
        {"<?xml", "XML is not parsed; make text or JSON lines of it"},
        {"<mediawiki", "XML is not parsed; make text or JSON lines of it"},
    };
    if (n == 0) return "the file is empty";
    if (n >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0) head += 3, n -= 3;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t m = strlen(kinds[i].begins);
        if (n >= m && strncasecmp(head, kinds[i].begins, m) == 0) return kinds[i].reason;
    }
    if (n > 262 && memcmp(head + 257, "ustar", 5) == 0)
        return "a tar archive is not unpacked here; unpack it and give the folder";
    if (memchr(head, 0, n)) return "binary, not text";
    while (*head && strchr(" \t\r\n", *head)) head++;
    if (*head == '<') {
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) /* behind blanks */
            if (*kinds[i].begins == '<' &&
                !strncasecmp(head, kinds[i].begins, strlen(kinds[i].begins)))
                return kinds[i].reason;
    }
    return NULL;
}

/* The format that is surest; NULL: none, and *reason says why. */
static const ingest_format *guess(const ingest_head *h, const char **reason) {
    const ingest_format *best = NULL;
    int most = 0;
    for (int i = 0; i < N_FORMATS; i++) {
        int sure = formats[i].knows(h);
        if (sure > most) most = sure, best = &formats[i];
    }
    *reason = best && best->read != text_read ? NULL : foreign(h->at, h->n);
    if (*reason) return NULL;
    if (!best)
        *reason = h->at[strspn(h->at, " \t\r\n")] == '{' || h->at[strspn(h->at, " \t\r\n")] == '['
                      ? "JSON of a shape that no reader knows (see raglan help ingest)"
                      : "of no known format";
    return best;
}

bool split_of_words(const char *name, store_split *out) {
    char word[32];
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "._- ");
        if (n > 0 && n < sizeof word) {
            memcpy(word, p, n);
            word[n] = 0;
            if (store_split_parse(word, out)) return true;
        }
        p += n + (p[n] != 0);
    }
    return false;
}

/* What the option or the file's name says. */
static void choose_split(ingest_file *f) {
    const char *name = strrchr(f->path, '/');
    f->split_given = f->in->o->split >= 0;
    if (f->split_given)
        f->split = (store_split)f->in->o->split;
    else if (!split_of_words(name ? name + 1 : f->path, &f->split))
        f->split = SPLIT_TRAIN;
}

char *file_or_gz(const char *folder, const char *name) {
    const char *const endings[] = {"", ".gz"};
    for (int i = 0; i < 2; i++) {
        char *path = xasprintf("%s/%s%s", folder, name, endings[i]);
        if (file_exists(path) && !file_is_folder(path)) return path;
        free(path);
    }
    return NULL;
}

/* ---- reading ---- */

/* What is wrong with a file is that file's: what it gave so far stays, the others go on. */
static status end_file(ingest_file *f, status st) {
    if ((st != ERR_FORMAT && st != ERR_IO) || f->in->failed) return st;
    const char *why = err_msg();
    size_t n = strlen(f->path);
    if (!strncmp(why, f->path, n) && !strncmp(why + n, ": ", 2)) why += n + 2; /* named already */
    f->in->out->documents.skipped++;
    ingest_skip_record(f, "%s", why);
    err_clear();
    return OK;
}

/* From a file's first record to its last: what an earlier reading found in it and this one did not
 * goes in the same transaction, if the file is not long (ingest.h). */
static status read_records(ingest_file *f, status (*read)(ingest_file *f)) {
    ingest *in = f->in;
    int64_t n_unread = in->n_unread, n_before = in->n_records + in->n_said;
    in->in_file = 0;
    in->file_s = now_s();
    status st = end_file(f, read(f));
    if (!st && in->n_records + in->n_said == n_before) {
        in->out->documents.skipped++;
        ingest_skip_record(f, "holds no document and no question (read as %s)", f->format);
    }
    if (!st) st = ingest_forget_rest(f, in->n_unread == n_unread);
    return st ? st : ingest_commit_when_due(in, false);
}

/* Opens the file and, unless a format is set, looks at its beginning. */
static status open_file(ingest_file *f, const ingest_format **format, const char **reason) {
    const char *bytes;
    size_t n;
    *reason = NULL;
    TRY(reader_open(f->path, &f->r));
    TRY(reader_peek(f->r, &bytes, &n));
    if (*format) {
        if (n == 0) *reason = "the file is empty";
        return OK;
    }
    char *head = xmalloc(n + 1); /* may hold NUL characters */
    if (n) memcpy(head, bytes, n);
    head[n] = 0;
    *format = guess(&(ingest_head){f->path, head, n}, reason);
    free(head);
    return OK;
}

static status read_file(ingest *in, const char *path) {
    ingest_file f = {.in = in, .path = path, .is_stream = file_is_stream(path)};
    const ingest_format *format = in->format;
    const char *reason;
    choose_split(&f);
    status st = open_file(&f, &format, &reason);
    if (!st && reason) {
        in->out->documents.skipped++;
        ingest_skip_record(&f, "%s", reason);
        st = ingest_forget_rest(&f, false);
    } else if (!st) {
        f.format = format->name;
        st = read_records(&f, format->read);
    } else {
        st = end_file(&f, st);
    }
    reader_close(f.r);
    return st;
}

status ingest_part(const ingest_file *folder, const char *path, status (*read)(ingest_file *f)) {
    ingest_file f = *folder;
    f.path = path;
    choose_split(&f);
    status st = reader_open(path, &f.r);
    st = st ? end_file(&f, st) : read_records(&f, read);
    reader_close(f.r);
    return st;
}

/* ---- folders ---- */

static int visible(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static status read_folder(ingest *in, const char *path);

/* Links to folders are not followed: they may lead back. */
static status read_entry(ingest *in, const char *path) {
    struct stat s;
    if (lstat(path, &s) == 0 && S_ISDIR(s.st_mode)) return read_folder(in, path);
    if (stat(path, &s) == 0 && !S_ISREG(s.st_mode)) return OK;
    return read_file(in, path);
}

static status read_entries(ingest *in, const char *path) {
    struct dirent **entries;
    ingest_file f = {.in = in, .path = path};
    int n = scandir(path, &entries, visible, by_bytes);
    if (n < 0)
        return end_file(
            &f, err_set(ERR_IO, __FILE__, __LINE__, "cannot list the folder: %s", strerror(errno)));
    status st = OK;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    for (int i = 0; i < n; i++) {
        char *below = xasprintf("%.*s/%s", (int)length, path, entries[i]->d_name);
        if (!st) st = read_entry(in, below);
        free(below);
        free(entries[i]);
    }
    free(entries);
    return st;
}

static status read_folder(ingest *in, const char *path) {
    const ingest_format *format = NULL;
    for (int i = 0; i < N_FORMATS && !format; i++)
        if (formats[i].folder_knows && (!in->format || in->format == &formats[i]) &&
            formats[i].folder_knows(path))
            format = &formats[i];
    if (!format) return read_entries(in, path);
    ingest_file f = {.in = in, .path = path, .format = format->name};
    return end_file(&f, format->folder_read(&f));
}

status ingest_path(ingest *in, const char *path) {
    if (strcmp(path, "-") != 0 && file_is_folder(path)) return read_folder(in, path);
    return read_file(in, path);
}
