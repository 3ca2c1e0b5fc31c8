/* raglan ingest: files and folders into the collection, and the count of what became of them. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/opts.h"
#include "rag/rag_int.h"

/* The formats three times over: their names, the choice, the lines of the help. */
#define FOLDER_FORMAT       FORMAT
#define FORMAT(name, about) #name,
static const char *const formats[] = {
    "auto",
#include "data/formats.def"
};
#undef FORMAT
#define FORMAT(name, about) "|" #name
static const char format_choices[] = "auto"
#include "data/formats.def"
    ;
#undef FORMAT
#define FORMAT(name, about) "\n  " #name ": " about
static const char about_ingest[] =
    "Adds documents and questions from files and folders (\"-\": standard input); .gz is welcome. "
    "Reading again is cheap and safe: what is unchanged stays, what changed is replaced, what a "
    "file no longer holds is removed. A file that cannot be read is skipped and reported.\n\n  "
    "Formats:"
#include "data/formats.def"
    ;
#undef FORMAT
#undef FOLDER_FORMAT

static json_t *counts_json(const rag_counts *c) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "added", (json_int_t)c->added, "unchanged",
                     (json_int_t)c->unchanged, "replaced", (json_int_t)c->replaced, "removed",
                     (json_int_t)c->removed, "skipped", (json_int_t)c->skipped);
}

static void print_json(const rag_ingest_report *r) {
    json_t *skipped = json_array();
    for (int64_t i = 0; i < r->n_skipped; i++)
        json_array_append_new(skipped, json_pack("{s:s, s:s}", "path", r->skipped_path[i], "reason",
                                                 r->skipped_reason[i]));
    json_t *j = json_pack("{s:o, s:o, s:o}", "documents", counts_json(&r->documents), "questions",
                          counts_json(&r->questions), "skipped", skipped);
    char *line = json_line(j);
    puts(line);
    free(line);
    json_decref(j);
}

static void print_counts(const char *what, const rag_counts *c) {
    printf("%-10s %8ld added %8ld unchanged %8ld replaced %8ld removed %8ld skipped\n", what,
           (long)c->added, (long)c->unchanged, (long)c->replaced, (long)c->removed,
           (long)c->skipped);
}

int cmd_ingest(int argc, char **argv) {
    int format, split = -1;
    /* clang-format off */
    opt table[] = {
        {"format", OPT_CHOICE, &format, "auto", 0, 0, format_choices,
         "format of the files; auto looks at names and content", false},
        {"split", OPT_CHOICE, &split, NULL, 0, 0, "train|dev|test",
         "where questions go; default: what the file says, else train", false},
    };
    /* clang-format on */
    opts o = {.command = "ingest",
              .arguments = "PATH...",
              .about = about_ingest,
              .min_args = 1,
              .max_args = -1,
              .shared = OPTS_HOME | OPTS_THREADS | OPTS_JSON,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    int st = rag_open(o.home, &(rag_options){.write = true}, &r);
    if (st) return cli_exit((status)st);
    rag_ingest_report report = {0};
    st = rag_ingest(r, (const char *const *)o.args, o.n_args, formats[format],
                    split < 0 ? NULL : store_split_name((store_split)split), &report);
    if (!st || st == RAG_ERR_STOPPED || st == RAG_ERR_ARG) { /* what was read is kept */
        if (o.json)
            print_json(&report);
        else {
            print_counts("documents", &report.documents);
            print_counts("questions", &report.questions);
        }
    }
    rag_ingest_report_clear(&report);
    rag_close(r);
    return cli_exit((status)st);
}
