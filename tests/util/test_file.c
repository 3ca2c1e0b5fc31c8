/* Files: reading plain and compressed, writing that survives, walking, locks. */
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "cmocka_all.h"
#include "temp.h"

static char *whole(const char *path) {
    buf b = {0};
    assert_int_equal(file_read(path, 0, &b), OK);
    return buf_steal(&b);
}

static void assert_holds(const char *path, const char *text) {
    char *found = whole(path);
    assert_string_equal(found, text);
    free(found);
}

/* One gzip member after the other, one for each text. */
static size_t gzip(const char *const *texts, int n, uint8_t *out, size_t room) {
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = (Bytef *)texts[i];
        z.avail_in = (uInt)strlen(texts[i]);
        z.next_out = out + used;
        z.avail_out = (uInt)(room - used);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        used += z.total_out;
        deflateEnd(&z);
    }
    return used;
}

/* ---- reading ---- */

static void lines_come_without_their_ends(void **state) {
    (void)state;
    reader *r;
    buf line = {0};
    bool more;
    static const char *const wanted[] = {"one", "", "two\r!", "last"};
    assert_int_equal(reader_open(temp_text("lines", "one\n\r\ntwo\r!\nlast"), &r), OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(reader_line(r, &line, &more), OK);
        assert_true(more);
        assert_string_equal(line.at, wanted[i]);
        assert_int_equal(reader_line_number(r), i + 1);
    }
    assert_int_equal(reader_line(r, &line, &more), OK);
    assert_false(more);
    reader_close(r);
    buf_clear(&line);
}

static void nul_bytes_are_kept(void **state) {
    (void)state;
    reader *r;
    buf line = {0};
    bool more;
    assert_int_equal(reader_open(temp_file("nul", "a\0b\nc", 5), &r), OK);
    assert_int_equal(reader_line(r, &line, &more), OK);
    assert_int_equal(line.len, 3);
    assert_memory_equal(line.at, "a\0b", 3);
    reader_close(r);
    buf_clear(&line);
}

static void a_giant_line_is_read_whole(void **state) {
    (void)state;
    enum { N = 3000000 };
    char *text = xmalloc(N);
    memset(text, 'x', N);
    const char *path = temp_file("giant", text, N);
    reader *r;
    buf line = {0};
    bool more;
    assert_int_equal(reader_open(path, &r), OK);
    assert_int_equal(reader_line(r, &line, &more), OK);
    assert_true(more);
    assert_int_equal(line.len, N);
    reader_close(r);
    buf_clear(&line);
    free(text);
}

static void an_empty_file_has_no_lines(void **state) {
    (void)state;
    reader *r;
    buf line = {0};
    bool more = true;
    assert_int_equal(reader_open(temp_text("empty", ""), &r), OK);
    assert_int_equal(reader_line(r, &line, &more), OK);
    assert_false(more);
    reader_close(r);
    buf_clear(&line);
    assert_holds(temp_path("empty"), "");
}

static void gzip_is_known_by_its_bytes_and_members_follow_each_other(void **state) {
    (void)state;
    uint8_t bytes[4096];
    size_t n = gzip((const char *const[]){"first\n", "", "second\n"}, 3, bytes, sizeof bytes);
    assert_holds(temp_file("no_suffix", bytes, n), "first\nsecond\n");
    memset(bytes + n, 0, 100); /* padding of zero bytes */
    assert_holds(temp_file("padded", bytes, n + 100), "first\nsecond\n");
}

static status read_status(const char *path) {
    buf b = {0};
    status st = file_read(path, 0, &b);
    buf_clear(&b);
    return st;
}

static void every_truncation_of_a_gzip_file_is_noticed(void **state) {
    (void)state;
    uint8_t bytes[4096];
    size_t n =
        gzip((const char *const[]){"some text, some text, some more text"}, 1, bytes, sizeof bytes);
    for (size_t cut = 3; cut < n; cut++) {
        assert_int_equal(read_status(temp_file("cut.gz", bytes, cut)), ERR_FORMAT);
        assert_non_null(strstr(err_msg(), "cut.gz: the gzip data ends too early"));
    }
    assert_int_equal(read_status(temp_file("whole.gz", bytes, n)), OK);
}

static void a_flipped_bit_in_gzip_data_is_noticed(void **state) {
    (void)state;
    uint8_t bytes[4096];
    size_t n =
        gzip((const char *const[]){"some text, some text, some more text"}, 1, bytes, sizeof bytes);
    bytes[n - 6] ^= 1; /* in the checksum */
    assert_int_equal(read_status(temp_file("flip.gz", bytes, n)), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "damaged gzip data"));
    bytes[n - 6] ^= 1;
    bytes[n] = 'x'; /* what follows is no member */
    assert_int_equal(read_status(temp_file("tail.gz", bytes, n + 1)), ERR_FORMAT);
}

static void what_came_before_the_damage_is_delivered(void **state) {
    (void)state;
    uint8_t bytes[4096];
    size_t n = gzip((const char *const[]){"one\ntwo\n", "three\n"}, 2, bytes, sizeof bytes);
    reader *r;
    buf line = {0};
    bool more;
    assert_int_equal(reader_open(temp_file("half.gz", bytes, n - 4), &r), OK);
    assert_int_equal(reader_line(r, &line, &more), OK);
    assert_string_equal(line.at, "one");
    assert_int_equal(reader_line(r, &line, &more), OK);
    assert_string_equal(line.at, "two");
    assert_int_equal(reader_line(r, &line, &more), OK);
    assert_string_equal(line.at, "three");
    assert_int_equal(reader_line(r, &line, &more), ERR_FORMAT);
    reader_close(r);
    buf_clear(&line);
}

static void a_missing_file_and_a_folder_are_refused_by_name(void **state) {
    (void)state;
    reader *r = NULL;
    assert_int_equal(reader_open(temp_path("absent"), &r), ERR_IO);
    assert_non_null(strstr(err_msg(), "absent: cannot open: No such file or directory"));
    assert_int_equal(reader_open("/", &r), ERR_IO);
    assert_string_equal(err_msg(), "/: is a folder, wanted a file");
    assert_null(r);
}

static void a_file_over_the_limit_is_refused(void **state) {
    (void)state;
    buf b = {0};
    assert_int_equal(file_read(temp_text("ten", "0123456789"), 9, &b), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "ten: is larger than 9 bytes"));
    buf_clear(&b);
}

static void a_mapping_shows_the_bytes(void **state) {
    (void)state;
    file_map m;
    assert_int_equal(file_map_open(temp_text("map", "bytes"), &m), OK);
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.at, "bytes", 5);
    file_map_close(&m);
    assert_int_equal(file_map_open(temp_text("map0", ""), &m), OK);
    assert_null(m.at);
    assert_int_equal(m.size, 0);
    file_map_close(&m);
    assert_int_equal(file_map_open(temp_path("absent"), &m), ERR_IO);
    assert_int_equal(file_map_open("/", &m), ERR_IO);
}

/* ---- writing ---- */

static void the_old_file_stays_until_commit(void **state) {
    (void)state;
    const char *path = temp_text("book", "old");
    file_writer *w;
    assert_int_equal(file_writer_open(path, &w), OK);
    assert_int_equal(file_writer_printf(w, "new %d", 1), OK);
    assert_int_equal(file_writer_add(w, "!", 1), OK);
    assert_int_equal(file_writer_offset(w), 6);
    assert_holds(path, "old");
    assert_int_equal(file_writer_commit(w, NULL), OK);
    assert_holds(path, "new 1!");
    assert_false(file_exists(temp_path("book.new")));
}

static void a_commit_may_choose_the_name(void **state) {
    (void)state;
    file_writer *w;
    assert_int_equal(file_writer_open(temp_path("draft"), &w), OK);
    assert_int_equal(file_writer_add(w, "named by content", 16), OK);
    assert_int_equal(file_writer_commit(w, temp_path("final")), OK);
    assert_holds(temp_path("final"), "named by content");
    assert_false(file_exists(temp_path("draft")));
    assert_false(file_exists(temp_path("draft.new")));
}

static void a_link_is_written_through_and_stays_one(void **state) {
    (void)state;
    const char *target = temp_text("target", "old"), *link = temp_path("link"),
               *null = temp_path("null");
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(file_write(link, "new", 3), OK);
    assert_holds(target, "new");
    assert_int_equal(symlink("/dev/null", null), 0);
    assert_int_equal(file_write(null, "gone", 4), OK);
    struct stat s;
    assert_int_equal(lstat(link, &s), 0);
    assert_true(S_ISLNK(s.st_mode));
    assert_int_equal(lstat(null, &s), 0);
    assert_true(S_ISLNK(s.st_mode));
}

static void an_abort_leaves_nothing(void **state) {
    (void)state;
    file_writer *w;
    assert_int_equal(file_writer_open(temp_path("never"), &w), OK);
    assert_int_equal(file_writer_add(w, "x", 1), OK);
    file_writer_abort(w);
    file_writer_abort(NULL);
    assert_false(file_exists(temp_path("never")));
    assert_false(file_exists(temp_path("never.new")));
}

static void large_pieces_arrive_whole(void **state) {
    (void)state;
    enum { N = 300001 };
    char *text = xmalloc(N);
    for (int i = 0; i < N; i++) text[i] = (char)('a' + i % 26);
    file_writer *w;
    assert_int_equal(file_writer_open(temp_path("large"), &w), OK);
    for (int at = 0, size = 1; at < N; at += size, size = size * 3 % 70001 + 1) {
        if (size > N - at) size = N - at;
        assert_int_equal(file_writer_add(w, text + at, (size_t)size), OK);
    }
    assert_int_equal(file_writer_commit(w, NULL), OK);
    file_map m;
    assert_int_equal(file_map_open(temp_path("large"), &m), OK);
    assert_int_equal(m.size, N);
    assert_memory_equal(m.at, text, N);
    file_map_close(&m);
    free(text);
}

/* PATH.new leads to /dev/full, where every write fails as on a full disk. */
static void a_full_disk_keeps_the_old_file(void **state) {
    (void)state;
    if (!file_exists("/dev/full")) skip();
    const char *path = temp_text("precious", "old");
    assert_int_equal(symlink("/dev/full", temp_path("precious.new")), 0);
    assert_int_equal(file_write(path, "new", 3), ERR_IO);
    assert_non_null(strstr(err_msg(), "precious: cannot write: No space left on device"));
    assert_holds(path, "old");
    struct stat s;
    assert_int_equal(lstat(temp_path("precious.new"), &s), -1);
}

/* RLIMIT_FSIZE: the write fails in the middle, after some blocks went through. */
static void a_file_size_limit_keeps_the_old_file(void **state) {
    (void)state;
    const char *path = temp_text("limited", "old");
    static char text[1 << 18];
    struct rlimit before, small = {1 << 17, RLIM_INFINITY};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    file_writer *w;
    assert_int_equal(file_writer_open(path, &w), OK);
    status st = file_writer_add(w, text, sizeof text);
    assert_int_equal(st, ERR_IO);
    assert_non_null(strstr(err_msg(), "limited: cannot write: File too large"));
    assert_false(file_exists(temp_path("limited.new"))); /* gone before the abort */
    assert_int_equal(file_writer_add(w, text, 1), ERR_IO);
    assert_int_equal(file_writer_commit(w, NULL), ERR_IO);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_holds(path, "old");
}

static void an_unwritable_folder_is_named(void **state) {
    (void)state;
    assert_int_equal(file_write("/proc/raglan/x", "x", 1), ERR_IO);
    assert_string_equal(err_msg(), "/proc/raglan/x: cannot write: No such file or directory");
    if (geteuid() == 0) return; /* root writes wherever it likes */
    assert_int_equal(file_make_folders(temp_path("shut")), OK);
    assert_int_equal(chmod(temp_path("shut"), 0555), 0);
    assert_int_equal(file_write(temp_path("shut/x"), "x", 1), ERR_IO);
    assert_non_null(strstr(err_msg(), "shut/x: cannot write: Permission denied"));
}

static void a_kill_before_the_rename_leaves_the_old_file(void **state) {
    (void)state;
    const char *path = temp_text("killed", "old");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        file_writer *w;
        static char text[1 << 18];
        if (file_writer_open(path, &w) || file_writer_add(w, text, sizeof text)) _exit(1);
        kill(getpid(), SIGKILL);
    }
    int how = 0;
    waitpid(child, &how, 0);
    assert_true(WIFSIGNALED(how));
    assert_holds(path, "old");
    assert_true(file_exists(temp_path("killed.new")));
    assert_int_equal(file_write(path, "new", 3), OK); /* the rest is written over */
    assert_holds(path, "new");
}

/* ---- facts, folders, walking ---- */

static void facts_about_paths(void **state) {
    (void)state;
    const char *path = temp_text("facts", "1234");
    assert_true(file_exists(path));
    assert_false(file_is_folder(path));
    assert_true(file_is_folder("/"));
    assert_int_equal(file_size(path), 4);
    assert_int_equal(file_size(temp_path("absent")), -1);
    assert_int_equal(file_remove(path), OK);
    assert_int_equal(file_remove(path), OK); /* absent is fine */
    assert_false(file_exists(path));
    assert_int_equal(file_remove("/"), ERR_IO);
}

static void folders_are_made_with_their_parents(void **state) {
    (void)state;
    assert_int_equal(file_make_folders(temp_path("a/b//c/")), OK);
    assert_true(file_is_folder(temp_path("a/b/c")));
    assert_int_equal(file_make_folders(temp_path("a/b/c")), OK);
    temp_text("plain", "");
    assert_int_equal(file_make_folders(temp_path("plain/d")), ERR_IO);
    assert_non_null(strstr(err_msg(), "plain: is a file, wanted a folder"));
}

static status collect(void *arg, const char *path) {
    const char *name = strstr(path, "walk/");
    buf_printf(arg, "%s ", name ? name + 5 : path);
    return OK;
}

static status stop_at_b(void *arg, const char *path) {
    collect(arg, path);
    if (strstr(path, "/b")) FAIL(ERR_STOPPED, "enough");
    return OK;
}

static void a_walk_goes_depth_first_in_byte_order(void **state) {
    (void)state;
    assert_int_equal(file_make_folders(temp_path("walk/b")), OK);
    assert_int_equal(file_make_folders(temp_path("walk/.git")), OK);
    static const char *const names[] = {"walk/c",   "walk/a",       "walk/B",     "walk/b/2",
                                        "walk/b/1", "walk/.hidden", "walk/.git/x"};
    for (int i = 0; i < 7; i++) temp_text(names[i], "");
    assert_int_equal(symlink("..", temp_path("walk/b/loop")), 0);
    assert_int_equal(symlink("../a", temp_path("walk/b/link")), 0);
    assert_int_equal(symlink("nowhere", temp_path("walk/dangling")), 0);
    assert_int_equal(mkfifo(temp_path("walk/fifo"), 0600), 0);
    buf seen = {0};
    assert_int_equal(file_walk(temp_path("walk"), collect, &seen), OK);
    assert_string_equal(seen.at, "B a b/1 b/2 b/link c ");
    buf_reset(&seen);
    assert_int_equal(file_walk(temp_path("walk/a"), collect, &seen), OK);
    assert_string_equal(seen.at, "a ");
    buf_reset(&seen);
    assert_int_equal(file_walk(temp_path("walk"), stop_at_b, &seen), ERR_STOPPED);
    assert_string_equal(seen.at, "B a b/1 ");
    assert_int_equal(file_walk(temp_path("absent"), collect, &seen), ERR_IO);
    buf_clear(&seen);
}

/* ---- locks ---- */

static void a_second_writer_hears_the_first_ones_number(void **state) {
    (void)state;
    int fd, other;
    const char *path = temp_path("lock");
    assert_int_equal(file_lock(path, &fd), OK);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "held by process %d", (int)getppid());
        close(fd); /* what fork passed on */
        _exit(file_lock(path, &other) == ERR_BUSY && strstr(err_msg(), wanted) ? 0 : 1);
    }
    int how = -1;
    waitpid(child, &how, 0);
    assert_int_equal(how, 0);
    file_unlock(fd);
    assert_int_equal(file_lock(path, &fd), OK);
    file_unlock(fd);
}

static void a_lock_ends_with_its_process(void **state) {
    (void)state;
    int fd;
    const char *path = temp_path("lock2");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (file_lock(path, &fd)) _exit(1);
        kill(getpid(), SIGKILL);
    }
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(file_lock(path, &fd), OK);
    file_unlock(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_without_their_ends),
        cmocka_unit_test(nul_bytes_are_kept),
        cmocka_unit_test(a_giant_line_is_read_whole),
        cmocka_unit_test(an_empty_file_has_no_lines),
        cmocka_unit_test(gzip_is_known_by_its_bytes_and_members_follow_each_other),
        cmocka_unit_test(every_truncation_of_a_gzip_file_is_noticed),
        cmocka_unit_test(a_flipped_bit_in_gzip_data_is_noticed),
        cmocka_unit_test(what_came_before_the_damage_is_delivered),
        cmocka_unit_test(a_missing_file_and_a_folder_are_refused_by_name),
        cmocka_unit_test(a_file_over_the_limit_is_refused),
        cmocka_unit_test(a_mapping_shows_the_bytes),
        cmocka_unit_test(the_old_file_stays_until_commit),
        cmocka_unit_test(a_commit_may_choose_the_name),
        cmocka_unit_test(a_link_is_written_through_and_stays_one),
        cmocka_unit_test(an_abort_leaves_nothing),
        cmocka_unit_test(large_pieces_arrive_whole),
        cmocka_unit_test(a_full_disk_keeps_the_old_file),
        cmocka_unit_test(a_file_size_limit_keeps_the_old_file),
        cmocka_unit_test(an_unwritable_folder_is_named),
        cmocka_unit_test(a_kill_before_the_rename_leaves_the_old_file),
        cmocka_unit_test(facts_about_paths),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(a_walk_goes_depth_first_in_byte_order),
        cmocka_unit_test(a_second_writer_hears_the_first_ones_number),
        cmocka_unit_test(a_lock_ends_with_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
