/* Text and Markdown: a document a file. The first line is the title when it is a heading ("#
 * Title"), else the file's name is. A file over 8 MiB is cut into several documents at line ends,
 * so that memory does not grow with it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/ingest.h"

enum { PART_BYTES = 8 << 20 };

static bool ends_in(const char *path, const char *suffix) {
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcasecmp(path + n - m, suffix) == 0;
}

/* Records of a shape that no reader knows are no text to read. */
static bool looks_like_json(const char *head) {
    head += strspn(head, "\xEF\xBB\xBF \t\r\n");
    if (*head != '{' && *head != '[') return false;
    bool is_array = *head++ == '[';
    head += strspn(head, " \t\r\n");
    return *head && strchr(is_array ? "[{\"]" : "\"}", *head);
}

int text_knows(const ingest_head *h) {
    if (h->n == 0 || memchr(h->at, 0, h->n)) return 0;
    static const char *const mine[] = {".txt", ".md",     ".markdown", ".text",
                                       ".rst", ".txt.gz", ".md.gz"};
    static const char *const data[] = {".json", ".jsonl", ".json.gz", ".jsonl.gz"};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        if (ends_in(h->path, mine[i])) return 50;
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        if (ends_in(h->path, data[i])) return 0; /* bare numbers, words */
    return looks_like_json(h->at) ? 0 : 1;       /* whatever is text */
}

/* The file's name without folder and endings. */
static char *name_of(const char *path) {
    const char *name = strrchr(path, '/');
    char *s = xstrdup(name ? name + 1 : path);
    for (int i = 0; i < 2; i++) {
        char *dot = strrchr(s, '.');
        if (dot && dot > s && strlen(dot) <= 9) *dot = 0;
    }
    return s;
}

/* A Markdown heading in the first line, without its marks; *skip bytes belong to it. */
static char *heading_of(const char *text, size_t n, size_t *skip) {
    size_t i = 0, line = 0;
    *skip = 0;
    while (i < n && text[i] == '#') i++;
    if (i == 0 || i > 6 || i == n || text[i] != ' ') return NULL;
    while (line < n && text[line] != '\n') line++;
    while (i < line && text[i] == ' ') i++;
    size_t end = line;
    while (end > i && strchr(" \r#", text[end - 1])) end--;
    *skip = line < n ? line + 1 : line;
    return end > i ? xstrndup(text + i, end - i) : NULL;
}

static status put_part(ingest_file *f, const char *title, int64_t part, const char *text,
                       size_t n) {
    char *uri = f->is_stream ? NULL
                : part == 0  ? xstrdup(f->path)
                             : xasprintf("%s#part%ld", f->path, (long)part + 1);
    status st = ingest_document(
        f, &(store_document){.uri = uri, .title = title, .text = text, .text_bytes = n});
    free(uri);
    return st;
}

/* Where to cut a full buffer: behind the last line end of its second half, else at a blank, else
 * before a character. */
static size_t cut_at(const buf *b) {
    for (size_t i = b->len; i > b->len / 2; i--)
        if (b->at[i - 1] == '\n') return i;
    for (size_t i = b->len; i > b->len / 2; i--)
        if (b->at[i - 1] == ' ') return i;
    size_t i = b->len;
    while (i > 0 && ((unsigned char)b->at[i - 1] & 0xC0) == 0x80) i--;
    return i > 1 ? i - 1 : b->len;
}

status text_read(ingest_file *f) {
    buf text = {0};
    char *block = xmalloc(65536), *title = NULL;
    size_t got = 1, skip = 0;
    int64_t part = 0;
    status st = OK;
    while (!st && got > 0) {
        st = reader_read(f->r, block, 65536, &got);
        if (st) break;
        buf_add(&text, block, got);
        if (!title && (got == 0 || text.len >= 65536)) {
            if (text.len >= 3 && memcmp(text.at, "\xEF\xBB\xBF", 3) == 0)
                memmove(text.at, text.at + 3, text.len -= 3);
            title = heading_of(text.at ? text.at : "", text.len, &skip);
            if (!title) title = f->is_stream ? xstrdup("") : name_of(f->path);
        }
        if (text.len < PART_BYTES) continue;
        size_t n = cut_at(&text);
        st = put_part(f, title, part++, text.at + skip, n - skip);
        memmove(text.at, text.at + n, text.len - n);
        text.len -= n;
        skip = 0;
    }
    if (!st && (text.len > skip || part == 0))
        st = put_part(f, title, part++, text.at ? text.at + skip : "", text.len - skip);
    buf_clear(&text);
    free(block);
    free(title);
    return st;
}
