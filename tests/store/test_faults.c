/* What the world does to a collection: processes killed, two at once, full disks, other
 * people's files, old and new versions, flipped bits. SQLite is used beside the store here, to
 * play the world. */
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "store/store.h"
#include "temp.h"
#include "util/file.h"
#include "util/log.h"

static const char *fresh_home(void) {
    static int n;
    char name[32];
    snprintf(name, sizeof name, "home%d", n++);
    return temp_path(name);
}

static store *opened(const char *home, store_mode mode) {
    store *s;
    if (store_open(home, mode, &s)) fail_msg("%s", err_msg());
    return s;
}

static status put(store *s, int i, store_change *change) {
    char id[32], text[64];
    snprintf(id, sizeof id, "document %d", i);
    snprintf(text, sizeof text, "the text of document number %d", i);
    store_document d = {.id = id, .text = text, .text_bytes = strlen(text)};
    return store_put_document(s, &d, change, NULL);
}

static void put_ok(store *s, int i) {
    store_change change;
    assert_int_equal(put(s, i, &change), OK);
}

static int64_t n_documents(store *s) {
    store_counts c;
    assert_int_equal(store_count(s, &c), OK);
    return c.documents;
}

/* Runs SQL on a home's database behind the store's back. */
static void sql(const char *home, const char *text) {
    sqlite3 *db;
    char *path = xasprintf("%s/collection.db", home), *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s", error);
    sqlite3_close(db);
    free(path);
}

static void assert_refused(const char *home, store_mode mode, status code, const char *part) {
    store *s;
    assert_int_equal(store_open(home, mode, &s), code);
    if (!strstr(err_msg(), part)) fail_msg("wanted \"%s\" in: %s", part, err_msg());
}

/* Makes a home whose collection.db holds these bytes. */
static const char *home_with_bytes(const void *bytes, size_t n) {
    const char *home = fresh_home();
    assert_int_equal(mkdir(home, 0777), 0);
    char *path = xasprintf("%s/collection.db", home);
    assert_int_equal(file_write(path, bytes, n), OK);
    free(path);
    return home;
}

/* ---- processes ---- */

enum { BATCH = 10, ALL = 4000 };

/* Ingests in batches and writes a byte to fd after each commit. */
static void ingest_until_killed(const char *home, int fd) {
    store *s;
    store_change change;
    if (store_open(home, STORE_WRITE, &s)) _exit(1);
    for (int i = 0; i < ALL; i += BATCH) {
        if (store_begin(s)) _exit(2);
        for (int j = i; j < i + BATCH; j++)
            if (put(s, j, &change)) _exit(3);
        if (store_commit(s)) _exit(4);
        if (write(fd, "x", 1) != 1) _exit(5);
    }
    _exit(6);
}

static void count_problem(void *arg, const char *sentence) {
    (void)sentence;
    ++*(int *)arg;
}

static void kill_9_loses_nothing_acknowledged(void **state) {
    (void)state;
    const char *home = fresh_home();
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) ingest_until_killed(home, pipes[1]);
    close(pipes[1]);
    int acknowledged = 0;
    char byte;
    while (acknowledged < 5 && read(pipes[0], &byte, 1) == 1) acknowledged++;
    kill(child, SIGKILL);
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFSIGNALED(how));
    while (read(pipes[0], &byte, 1) == 1) acknowledged++;
    close(pipes[0]);

    store *s = opened(home, STORE_READ); /* before any writer tidied up */
    assert_true(n_documents(s) >= BATCH * acknowledged);
    store_close(s);
    s = opened(home, STORE_WRITE); /* its lock died with it */
    int64_t n = n_documents(s), problems, mended;
    int told = 0;
    assert_true(n >= BATCH * acknowledged);
    assert_int_equal(n % BATCH, 0); /* a batch is there as a whole or not at all */
    assert_int_equal(store_check(s, false, count_problem, &told, &problems, &mended), OK);
    assert_int_equal(problems, 0);
    store_change change;
    for (int i = 0; i < n + BATCH; i++) { /* the same command again continues */
        assert_int_equal(put(s, i, &change), OK);
        assert_int_equal(change, i < n ? STORE_UNCHANGED : STORE_ADDED);
    }
    store_close(s);
}

/* As when a process dies while it makes the file: before there is a WAL, what was written lies in
 * the file and what it replaced in a journal. */
static void a_reader_takes_back_what_a_killed_writer_left(void **state) {
    (void)state;
    const char *home = fresh_home();
    char *path = xasprintf("%s/collection.db", home), *journal = xasprintf("%s-journal", path);
    store *s = opened(home, STORE_WRITE);
    put_ok(s, 1);
    store_close(s);
    sql(home, "PRAGMA journal_mode = DELETE");
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db;
        bool ok = sqlite3_open(path, &db) == SQLITE_OK &&
                  sqlite3_exec(db,
                               "PRAGMA cache_size = 1; BEGIN; DELETE FROM documents;"
                               "CREATE TABLE big(x); WITH RECURSIVE n(i) AS "
                               "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
                               "INSERT INTO big SELECT zeroblob(4000) FROM n",
                               NULL, NULL, NULL) == SQLITE_OK;
        _exit(ok ? 0 : 1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    assert_true(file_size(journal) > 0);
    s = opened(home, STORE_READ);
    assert_int_equal(n_documents(s), 1);
    store_close(s);
    free(journal);
    free(path);
}

static void a_second_writer_is_told_who_the_first_is(void **state) {
    (void)state;
    const char *home = fresh_home();
    int ready[2], done[2];
    char byte;
    assert_int_equal(pipe(ready) | pipe(done), 0);
    pid_t child = fork();
    if (child == 0) {
        store *s;
        if (store_open(home, STORE_WRITE, &s)) _exit(1);
        store_change change;
        if (put(s, 1, &change) || store_begin(s) || put(s, 2, &change)) _exit(2);
        if (write(ready[1], "x", 1) != 1 || read(done[0], &byte, 1) != 1) _exit(3);
        if (store_commit(s)) _exit(4);
        store_close(s);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)child);
    assert_refused(home, STORE_WRITE, ERR_BUSY, pid);
    store *beside = opened(home, STORE_READ); /* a reader works, and sees what was committed */
    assert_int_equal(n_documents(beside), 1);
    assert_int_equal(write(done[1], "x", 1), 1);
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    assert_int_equal(n_documents(beside), 2);
    store_close(beside);
    store_close(opened(home, STORE_WRITE));
    for (int i = 0; i < 2; i++) close(ready[i]), close(done[i]);
}

/* ---- the disk ---- */

/* Puts documents of 40 KB, each acknowledged alone, until one fails. */
static int64_t fill(store *s, status *failure) {
    static char text[40960];
    int64_t n = 0;
    store_change change;
    memset(text, 'x', sizeof text);
    for (*failure = OK; n < 10000; n++) {
        char id[32];
        snprintf(id, sizeof id, "%lld", (long long)n);
        store_document d = {.id = id, .text = text, .text_bytes = sizeof text};
        *failure = store_put_document(s, &d, &change, NULL);
        if (*failure) return n;
    }
    return n;
}

static void a_write_error_is_said_and_nothing_acknowledged_is_lost(void **state) {
    (void)state;
    const char *home = fresh_home();
    store *s = opened(home, STORE_WRITE);
    struct rlimit limit, small;
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    status failure;
    int64_t n = fill(s, &failure);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(failure, ERR_IO);
    assert_non_null(strstr(err_msg(), "what was committed is safe"));
    assert_non_null(strstr(err_msg(), home));
    assert_in_range(n, 10, 200);
    assert_int_equal(n_documents(s), n);
    put_ok(s, 1); /* with room again, the same handle goes on */
    store_close(s);
    s = opened(home, STORE_READ);
    assert_int_equal(n_documents(s), n + 1);
    store_close(s);
}

static void a_failed_batch_cannot_be_committed(void **state) {
    (void)state;
    store *s = opened(fresh_home(), STORE_WRITE);
    struct rlimit limit, small;
    put_ok(s, 1);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(store_begin(s), OK);
    setrlimit(RLIMIT_FSIZE, &small);
    status failure;
    fill(s, &failure);
    status st = failure ? failure : store_commit(s);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(st, ERR_IO);
    if (failure) assert_int_equal(store_commit(s), ERR_IO);
    assert_int_equal(n_documents(s), 1);
    store_close(s);
}

static void a_full_disk_is_called_so(void **state) {
    (void)state;
    const char *home = fresh_home();
    assert_int_equal(mkdir(home, 0777), 0);
    /* a disk of 2 MB that only this process sees, so that nothing is left of it after a crash */
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", home, "tmpfs", 0, "size=2m")) {
        print_message("no right to mount a small disk here\n");
        skip();
    }
    store *s = opened(home, STORE_WRITE);
    status failure;
    int64_t n = fill(s, &failure);
    assert_int_equal(failure, ERR_IO);
    assert_non_null(strstr(err_msg(), "the disk is full"));
    assert_int_equal(n_documents(s), n);
    store_close(s);
    s = opened(home, STORE_READ);
    assert_int_equal(n_documents(s), n);
    store_close(s);
    umount(home);
}

static void a_read_only_home_can_be_read(void **state) {
    (void)state;
    const char *home = fresh_home();
    store *s = opened(home, STORE_WRITE);
    put_ok(s, 1);
    store_close(s);
    if (geteuid() == 0) { /* root may write anywhere: become nobody in a child */
        pid_t child = fork();
        if (child == 0) {
            chmod(temp_root, 0755);
            chmod(home, 0555);
            if (setgid(65534) || setuid(65534)) _exit(9);
            if (store_open(home, STORE_READ, &s)) _exit(1);
            if (n_documents(s) != 1) _exit(2);
            store_close(s);
            _exit(store_open(home, STORE_WRITE, &s) == ERR_IO ? 0 : 3);
        }
        int how;
        waitpid(child, &how, 0);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
        chmod(home, 0755);
        return;
    }
    chmod(home, 0555);
    s = opened(home, STORE_READ);
    assert_int_equal(n_documents(s), 1);
    store_close(s);
    assert_refused(home, STORE_WRITE, ERR_IO, home);
    chmod(home, 0755);
}

/* ---- files ---- */

static void a_home_without_a_collection_says_how_to_make_one(void **state) {
    (void)state;
    assert_refused(fresh_home(), STORE_READ, ERR_STATE, "raglan ingest");
    assert_refused(home_with_bytes("", 0), STORE_READ, ERR_STATE, "raglan ingest");
}

static void a_file_that_is_no_database_is_refused(void **state) {
    (void)state;
    char junk[8192];
    memset(junk, 'j', sizeof junk);
    const char *home = home_with_bytes(junk, sizeof junk);
    assert_refused(home, STORE_READ, ERR_FORMAT, "is not a database");
    assert_refused(home, STORE_WRITE, ERR_FORMAT, "is not a database");
    char *path = xasprintf("%s/collection.db", home);
    assert_int_equal(file_size(path), sizeof junk); /* and left as it was */
    free(path);
}

static void another_programs_database_is_refused_and_left_alone(void **state) {
    (void)state;
    const char *home = fresh_home();
    assert_int_equal(mkdir(home, 0777), 0);
    sql(home, "CREATE TABLE mail(body TEXT)");
    assert_refused(home, STORE_WRITE, ERR_FORMAT, "is another program's database");
    assert_refused(home, STORE_READ, ERR_FORMAT, "is another program's database");
}

static void a_newer_schema_is_refused_with_both_versions(void **state) {
    (void)state;
    const char *home = fresh_home();
    store_close(opened(home, STORE_WRITE));
    sql(home, "PRAGMA user_version = 99");
    assert_refused(home, STORE_READ, ERR_FORMAT,
                   "has schema version 99, written by a newer raglan");
    assert_refused(home, STORE_WRITE, ERR_FORMAT, "knows up to 2: update raglan");
}

/* A collection as version 1 wrote it: the schema of then, word for word, and a row of each kind. */
static const char version_1[] =
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE cuts(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE documents(key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    "  id_given INTEGER NOT NULL, hash TEXT NOT NULL, cut INTEGER NOT NULL DEFAULT 0, bytes "
    "INTEGER NOT NULL,"
    "  uri TEXT NOT NULL, title TEXT NOT NULL, path TEXT NOT NULL, format TEXT NOT NULL, meta TEXT "
    "NOT NULL,"
    "  text TEXT NOT NULL);"
    "CREATE INDEX documents_cut ON documents(cut);"
    "CREATE INDEX documents_path ON documents(path);"
    "CREATE TABLE passages(id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL, "
    "ordinal INTEGER NOT NULL,"
    "  begin INTEGER NOT NULL, end INTEGER NOT NULL, n_title INTEGER NOT NULL, hash INTEGER NOT "
    "NULL,"
    "  tokens BLOB NOT NULL);"
    "CREATE INDEX passages_document ON passages(document, ordinal);"
    "CREATE TABLE questions(key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, split "
    "INTEGER NOT NULL,"
    "  hash TEXT NOT NULL, tenth_document INTEGER NOT NULL, tenth_id INTEGER NOT NULL, "
    "unanswerable INTEGER NOT NULL,"
    "  kind TEXT NOT NULL, evidence TEXT NOT NULL, path TEXT NOT NULL, format TEXT NOT NULL, "
    "question TEXT NOT NULL,"
    "  answers TEXT NOT NULL, documents TEXT NOT NULL, full_answer TEXT NOT NULL);"
    "CREATE INDEX questions_split ON questions(split);"
    "CREATE INDEX questions_path ON questions(path);"
    "INSERT INTO documents VALUES(7, 'd7', 1, '372ea08cab33e71c02c651dbc83a474d32c676ea', 0, 4, "
    "'wiki/Angola.txt', 't',"
    "  'p', 'text', '', 'text');"
    "INSERT INTO questions VALUES(3, 'q3', 2, 'h', 0, 0, 0, '', '', '', '', 'Who?', '[]', "
    "'[\"Angola.txt\"]', '');"
    "PRAGMA application_id = 0x7261676c;"
    "PRAGMA user_version = 1;";

static void version_1_is_brought_to_the_present(void **state) {
    (void)state;
    const char *home = fresh_home();
    assert_int_equal(mkdir(home, 0777), 0);
    sql(home, version_1);
    assert_refused(home, STORE_READ, ERR_STATE, "has schema version 1, this raglan reads 2");
    store *s = opened(home, STORE_WRITE);
    arena *a = arena_new(1 << 20);
    int64_t *keys, n, problems, mended;
    store_document d;
    bool found;
    assert_int_equal(store_get_document(s, 7, a, &d, &found), OK);
    assert_true(found);
    assert_string_equal(d.text, "text");
    assert_int_equal(store_resolve(s, "Angola.txt", a, &keys, &n), OK); /* what version 2 brought */
    assert_int_equal(n, 1);
    assert_int_equal(keys[0], 7);
    put_ok(s, 1);
    assert_int_equal(store_check(s, false, NULL, NULL, &problems, &mended), OK);
    assert_int_equal(problems, 0);
    store_close(s);
    s = opened(home, STORE_READ);
    assert_int_equal(n_documents(s), 2);
    store_close(s);
    arena_free(a);
}

/* ---- damage ---- */

static void add_line(void *arg, const char *sentence) {
    buf_printf(arg, "%s\n", sentence);
}

static const char *home_with_passages(void) {
    const char *home = fresh_home();
    store *s = opened(home, STORE_WRITE);
    assert_int_equal(store_cut_set(s, "cut"), OK);
    for (int i = 1; i <= 3; i++) {
        int32_t tokens[] = {5, 6, 700};
        store_passage p[] = {{.end = 5, .tokens = tokens, .n_tokens = 3},
                             {.begin = 5, .end = 9, .tokens = tokens, .n_tokens = 3}};
        put_ok(s, i);
        assert_int_equal(store_put_passages(s, i, p, 2), OK);
    }
    store_close(s);
    return home;
}

/* Hurts a collection by SQL; check must tell of it in these words, repair must settle it and
 * keep all three documents. */
static void assert_found_and_mended(const char *hurt, const char *words, int64_t n_stale) {
    const char *home = home_with_passages();
    sql(home, hurt);
    store *s = opened(home, STORE_WRITE);
    buf b = {0};
    int64_t found, mended;
    store_counts c;
    assert_int_equal(store_check(s, false, add_line, &b, &found, &mended), OK);
    if (!b.at || !strstr(b.at, words))
        fail_msg("wanted \"%s\" in: %s", words, b.at ? b.at : "nothing");
    assert_int_equal(mended, 0);
    assert_int_equal(store_check(s, true, NULL, NULL, &found, &mended), OK);
    assert_int_equal(mended, found);
    assert_int_equal(store_check(s, false, NULL, NULL, &found, &mended), OK);
    assert_int_equal(found, 0);
    assert_int_equal(store_count(s, &c), OK);
    assert_int_equal(c.documents, 3);
    assert_int_equal(c.stale, n_stale); /* cut again by the next index */
    buf_clear(&b);
    store_close(s);
}

static void check_finds_damage_and_repair_keeps_the_truth(void **state) {
    (void)state;
    assert_found_and_mended("INSERT INTO passages VALUES(50, 99, 0, 0, 1, 0, 0, x'05')",
                            "passage 50: its document is not there", 0);
    assert_found_and_mended("UPDATE passages SET end = 500 WHERE id = 1",
                            "passage 1: claims bytes 0 to 500 of a text of 29", 1);
    assert_found_and_mended("UPDATE passages SET tokens = x'0506' WHERE id = 2",
                            "passage 2: its tokens are not those that were stored", 1);
    assert_found_and_mended("UPDATE passages SET tokens = x'ff' WHERE id = 3",
                            "passage 3: its tokens are not those that were stored", 1);
    assert_found_and_mended("DELETE FROM passages WHERE document = 2",
                            "document document 2: has lost its passages", 1);
    assert_found_and_mended("DELETE FROM passages WHERE id = 1", "has 1 passage numbered 1 to 1",
                            1);
    assert_found_and_mended(
        "UPDATE documents SET text = 'xhe text of document number 3' WHERE key = 3",
        "document document 3: its text is not the one that was stored", 1);
    assert_found_and_mended("INSERT INTO uris VALUES('u', 99, 'u')",
                            "1 uri of documents that are not there", 0);
}

static void a_sound_collection_has_no_problems(void **state) {
    (void)state;
    store *s = opened(home_with_passages(), STORE_READ); /* checking needs no writer */
    int64_t found, mended;
    assert_int_equal(store_check(s, false, NULL, NULL, &found, &mended), OK);
    assert_int_equal(found, 0);
    store_close(s);
}

/* Whatever byte of the file is hurt, the program ends in a sentence or works on. */
static void flipped_and_missing_bytes_never_crash(void **state) {
    (void)state;
    char *path = xasprintf("%s/collection.db", home_with_passages());
    buf whole = {0};
    assert_int_equal(file_read(path, 0, &whole), OK);
    free(path);
    for (size_t i = 0; i < 60; i++) {
        buf hurt = {0};
        buf_add(&hurt, whole.at, i < 50 ? whole.len : whole.len * (i - 50) / 10);
        if (i < 50) hurt.at[(i * 7919 + 16) % hurt.len] ^= 0x55;
        const char *home = home_with_bytes(hurt.at ? hurt.at : "", hurt.len);
        store *s;
        int64_t found, mended;
        status st = store_open(home, STORE_WRITE, &s);
        if (!st) {
            st = store_check(s, true, NULL, NULL, &found, &mended);
            store_close(s);
        }
        if (st) assert_true(strlen(err_msg()) > 20);
        buf_clear(&hurt);
    }
    buf_clear(&whole);
}

int main(void) {
    log_level_set(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_9_loses_nothing_acknowledged),
        cmocka_unit_test(a_reader_takes_back_what_a_killed_writer_left),
        cmocka_unit_test(a_second_writer_is_told_who_the_first_is),
        cmocka_unit_test(a_write_error_is_said_and_nothing_acknowledged_is_lost),
        cmocka_unit_test(a_failed_batch_cannot_be_committed),
        cmocka_unit_test(a_full_disk_is_called_so),
        cmocka_unit_test(a_read_only_home_can_be_read),
        cmocka_unit_test(a_home_without_a_collection_says_how_to_make_one),
        cmocka_unit_test(a_file_that_is_no_database_is_refused),
        cmocka_unit_test(another_programs_database_is_refused_and_left_alone),
        cmocka_unit_test(a_newer_schema_is_refused_with_both_versions),
        cmocka_unit_test(version_1_is_brought_to_the_present),
        cmocka_unit_test(check_finds_damage_and_repair_keeps_the_truth),
        cmocka_unit_test(a_sound_collection_has_no_problems),
        cmocka_unit_test(flipped_and_missing_bytes_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
