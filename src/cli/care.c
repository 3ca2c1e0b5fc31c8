/* Commands that look after a collection: list, remove, check, compact. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/opts.h"
#include "rag/rag_int.h"

/* ---- list ---- */

typedef struct listing {
    bool json;
} listing;

static status list_document(void *arg, const store_document *d) {
    const listing *l = arg;
    if (!l->json) {
        printf("%s\t%zu\t%s\t%s\n", d->id, d->text_bytes, d->title, d->uri);
        return OK;
    }
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "id", d->id, "title", d->title, "uri", d->uri,
                  "bytes", (json_int_t)d->text_bytes, "hash", d->hash, "format", d->format);
    char *line = json_line(j);
    puts(line);
    free(line);
    json_decref(j);
    return OK;
}

static status list_question(void *arg, const store_question *q) {
    const listing *l = arg;
    if (!l->json) {
        printf("%s\t%s\t%s\n", q->id, store_split_name(q->split), q->question);
        return OK;
    }
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:b}", "id", q->id, "split", store_split_name(q->split),
                  "question", q->question, "kind", q->kind, "unanswerable", q->unanswerable);
    char *line = json_line(j);
    puts(line);
    free(line);
    json_decref(j);
    return OK;
}

int cmd_list(int argc, char **argv) {
    bool questions = false;
    opt table[] = {{.name = "questions",
                    .kind = OPT_FLAG,
                    .to = &questions,
                    .help = "list questions instead of documents"}};
    opts o = {.command = "list",
              .about = "Lists the documents (id, bytes, title, uri) or the questions, a line each.",
              .shared = OPTS_HOME | OPTS_JSON,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    listing l = {o.json};
    status st = (status)rag_open(o.home, NULL, &r);
    if (!st)
        st = questions ? store_each_question(r->s, SPLIT_ALL, list_question, &l)
                       : store_each_document(r->s, 0, list_document, &l);
    rag_close(r);
    return cli_exit(st);
}

/* ---- remove ---- */

static status remove_all(rag *r, const opts *o) {
    store_removed sum = {0};
    for (int i = 0; i < o->n_args; i++) {
        store_removed one;
        TRY(store_remove(r->s, o->args[i], &one));
        if (one.documents + one.questions == 0)
            FAIL(ERR_ARG,
                 "'%s' is no document's id or uri and no ingested path; see `raglan list "
                 "--save_dir %s`",
                 o->args[i], r->home_word);
        sum.documents += one.documents;
        sum.passages += one.passages;
        sum.questions += one.questions;
    }
    printf("removed %" PRId64 " document%s with %" PRId64 " passage%s, and %" PRId64
           " question%s\n",
           sum.documents, plural(sum.documents), sum.passages, plural(sum.passages), sum.questions,
           plural(sum.questions));
    return OK;
}

int cmd_remove(int argc, char **argv) {
    opts o = {.command = "remove",
              .arguments = "ID|PATH...",
              .about = "Removes documents or questions by id or uri, or all that came from a path. "
                       "They are gone from search at "
                       "once; `raglan index` and `raglan compact` give back the space.",
              .min_args = 1,
              .max_args = -1,
              .shared = OPTS_HOME};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    status st = (status)rag_open(o.home, &(rag_options){.write = true}, &r);
    if (!st) st = remove_all(r, &o);
    rag_close(r);
    return cli_exit(st);
}

/* ---- check ---- */

static void say(void *arg, const char *sentence) {
    (void)arg;
    printf("%s\n", sentence);
}

/* Each checkpoint's bytes must have the sha1 that is its name. */
static status check_checkpoints(rag *r, int64_t *found) {
    checkpoint_list list;
    TRY(checkpoint_scan(r->home, NULL, &list));
    for (int64_t i = 0; i < list.n; i++) {
        status st = checkpoint_verify(r->home, &list.at[i]);
        if (!st) continue;
        if (st != ERR_BUSY) { /* replaced by a training run beside us: no fault */
            printf("%s\n", err_msg());
            ++*found;
        }
        err_clear();
    }
    checkpoint_list_clear(&list);
    return OK;
}

/* Search files are derived: with repair a damaged index is dropped, and `raglan index` makes it
 * again. */
static status check_index(rag *r, bool repair, int64_t *found, int64_t *mended) {
    char *folder = rag_path(r, "index"), *path = xasprintf("%s/manifest.json", folder);
    manifest m;
    int64_t faults = 0;
    if (manifest_read(folder, &m)) {
        printf("%s\n", err_msg());
        err_clear();
        faults = 1;
    } else {
        TRY(manifest_check(folder, &m, say, NULL, &faults));
        if (!rag_owns_index(r, &m)) {
            printf("the search files are of another collection, or of passages cut otherwise: "
                   "`raglan index --save_dir %s` makes them anew\n",
                   r->home_word);
            faults++;
        }
    }
    *found += faults;
    status st = OK;
    if (faults > 0 && repair) {
        manifest_clear(&m);
        manifest_init(&m);
        st = file_remove(path);
        if (!st) st = manifest_sweep(folder, &m);
        if (!st) *mended += faults;
        if (!st)
            printf("dropped the search files: `raglan index --save_dir %s` makes them again\n",
                   r->home_word);
    }
    manifest_clear(&m);
    free(path);
    free(folder);
    return st;
}

/* The tokenizer is no derived file: vectors and checkpoints belong to it. */
static void check_tokenizer(rag *r, int64_t *found) {
    char *path = rag_path(r, HOME_TOKENIZER);
    if (file_exists(path) && rag_need_tokenizer(r)) {
        printf("%s; put it back from a copy, or make another: `raglan train tokenizer --new_model "
               "--save_dir %s`, then train all\n",
               err_msg(), r->home_word);
        err_clear();
        ++*found;
    }
    free(path);
}

static status check_all(rag *r, bool repair, int64_t *left) {
    int64_t found = 0, mended = 0;
    TRY(store_check(r->s, repair, say, NULL, &found, &mended));
    check_tokenizer(r, &found);
    TRY(check_index(r, repair, &found, &mended));
    TRY(check_checkpoints(r, &found));
    *left = found - mended;
    if (found == 0)
        printf("no faults\n");
    else
        printf("%" PRId64 " fault%s, %" PRId64 " mended\n", found, plural(found), mended);
    return OK;
}

int cmd_check(int argc, char **argv) {
    bool repair = false;
    opt table[] = {
        {.name = "repair",
         .kind = OPT_FLAG,
         .to = &repair,
         .help = "remove what is derived and wrong, so that it is made again; truth is kept"}};
    opts o = {.command = "check",
              .about = "Reads every byte of the collection, its search files and its checkpoints, "
                       "and says what is damaged. "
                       "Exit status 1 if faults are left.",
              .shared = OPTS_HOME,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    int64_t left = 0;
    status st = (status)rag_open(o.home, &(rag_options){.write = repair}, &r);
    if (!st) st = check_all(r, repair, &left);
    rag_close(r);
    return st ? cli_exit(st) : left > 0;
}

/* ---- compact ---- */

static status compact(rag *r) {
    int64_t freed = 0;
    char *folder = rag_path(r, "index");
    manifest m;
    status st = manifest_read(folder, &m);
    if (!st && m.generation > 0) st = manifest_compact(folder, &m);
    manifest_clear(&m);
    free(folder);
    if (!st) st = store_compact(r->s, &freed);
    if (!st) printf("gave %" PRId64 " bytes back\n", freed);
    return st;
}

int cmd_compact(int argc, char **argv) {
    opts o = {
        .command = "compact",
        .about =
            "Merges search files, drops what was removed, and gives the space back to the disk.",
        .shared = OPTS_HOME};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    status st = (status)rag_open(o.home, &(rag_options){.write = true}, &r);
    if (!st) st = rag_index(r);
    if (!st) st = compact(r);
    rag_close(r);
    return cli_exit(st);
}
