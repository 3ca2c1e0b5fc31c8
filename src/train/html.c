/* The report page: report.html with its three places filled in - dygraphs' style and script,
 * and the run's data as one JSON value. The page loads nothing from anywhere, so it can be kept,
 * sent and opened offline. */
#include "train/trainer_int.h"

#include <stdlib.h>
#include <string.h>

/* A file as bytes of the program, at name[0] .. name_end[0]; its path comes from report.cmake. */
#define EMBED(name, path)                                                                          \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global raglan_" #name "\n.global raglan_" #name "_end\n"                             \
            "raglan_" #name ":\n.incbin \"" path "\"\nraglan_" #name "_end:\n"                     \
            ".byte 0\n.popsection\n");                                                             \
    extern const char raglan_##name[], raglan_##name##_end[]

EMBED(report_html, RAGLAN_REPORT_HTML);
#ifdef RAGLAN_DYGRAPHS_JS
EMBED(dygraphs_js, RAGLAN_DYGRAPHS_JS);
EMBED(dygraphs_css, RAGLAN_DYGRAPHS_CSS);
#endif

/* ---- data ---- */

/* A cell's number, null when it is empty. */
static json_t *cell(const char *text) {
    char *end;
    double x = strtod(text, &end);
    json_t *j = end > text ? json_real(x) : NULL;
    return j ? j : json_null();
}

/* "mrr@10=0.512 bm25:mrr@10=0.480" into figures and baseline. */
static void add_dev(json_t *dev, double step, char *cells) {
    json_t *figures = json_object(), *baseline = json_object();
    char *rest;
    for (char *part = strtok_r(cells, " ", &rest); part; part = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(part, '=');
        if (!equals) continue;
        *equals = 0;
        bool is_base = !strncmp(part, "bm25:", 5);
        json_object_set_new(is_base ? baseline : figures, is_base ? part + 5 : part,
                            cell(equals + 1));
    }
    json_array_append_new(
        dev, json_pack("{s:f, s:o, s:o}", "step", step, "figures", figures, "baseline", baseline));
}

static void add_row(char *line, json_t *steps, json_t *dev) {
    char *cells[8] = {0};
    int n = 0;
    for (char *c = line; c && n < 8; n++) {
        cells[n] = c;
        c = strchr(c, '\t');
        if (c) *c++ = 0;
    }
    if (n < 8 || !strcmp(cells[0], "step")) return;
    if (cells[7][0]) {
        add_dev(dev, strtod(cells[0], NULL), cells[7]);
        return;
    }
    json_t *row = json_array();
    for (int i = 0; i < 7; i++) json_array_append_new(row, cell(cells[i]));
    json_array_append_new(steps, row);
}

static void add_example(char *line, json_t *examples) {
    json_t *row;
    if (json_parse(line, strlen(line), "example", &row) == OK) json_array_append_new(examples, row);
}

/* Calls fn for each line of <home>/logs/<type>.<ending>; a log that is not there has none. */
static status each_line(const char *home, const char *type, const char *ending,
                        void (*fn)(char *line, json_t *data), json_t *data) {
    char *path = xasprintf("%s/logs/%s.%s", home, type, ending);
    buf b = {0};
    status st = file_exists(path) ? file_read(path, 0, &b) : OK;
    char *rest = NULL;
    for (char *line = b.len ? strtok_r(b.at, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        fn(line, data);
    buf_clear(&b);
    free(path);
    return st;
}

static void on_row(char *line, json_t *data) {
    add_row(line, json_object_get(data, "steps"), json_object_get(data, "dev"));
}

static void on_example(char *line, json_t *data) {
    add_example(line, json_object_get(data, "examples"));
}

/* ---- the page ---- */

/* JSON inside a script element: "<" is spelled so that no text can close the element. */
static void add_data(buf *page, const json_t *data) {
    char *text = json_line(data);
    for (const char *c = text; *c; c++) {
        if (*c == '<')
            buf_puts(page, "\\u003c");
        else
            buf_putc(page, *c);
    }
    free(text);
}

/* Copies the template and fills the places "{{NAME}}". */
static void fill(buf *page, const json_t *data) {
    const char *at = raglan_report_html, *end = raglan_report_html_end;
    while (at < end) {
        const char *place = strstr(at, "{{");
        if (!place) break;
        buf_add(page, at, (size_t)(place - at));
        at = strstr(place, "}}") + 2;
        if (!strncmp(place, "{{DATA}}", 8)) add_data(page, data);
#ifdef RAGLAN_DYGRAPHS_JS
        if (!strncmp(place, "{{DYGRAPHS_JS}}", 15))
            buf_add(page, raglan_dygraphs_js,
                    (size_t)(raglan_dygraphs_js_end - raglan_dygraphs_js));
        if (!strncmp(place, "{{DYGRAPHS_CSS}}", 16))
            buf_add(page, raglan_dygraphs_css,
                    (size_t)(raglan_dygraphs_css_end - raglan_dygraphs_css));
#endif
    }
    buf_add(page, at, (size_t)(end - at));
}

status html_report(const char *home, const char *type, const json_t *meta) {
    json_t *data = json_pack("{s:s, s:[], s:[], s:[], s:O}", "type", type, "steps", "dev",
                             "examples", "meta", (json_t *)meta);
    char *folder = xasprintf("%s/reports", home), *path = xasprintf("%s/%s.html", folder, type);
    buf page = {0};
    status st = each_line(home, type, "tsv", on_row, data);
    if (!st) st = each_line(home, type, "examples.jsonl", on_example, data);
    if (!st) st = file_make_folders(folder);
    if (!st) {
        fill(&page, data);
        st = file_write(path, page.at, page.len);
    }
    buf_clear(&page);
    free(folder);
    free(path);
    json_decref(data);
    return st;
}
