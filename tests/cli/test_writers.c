/* Two processes on one home: one writes, everyone reads. */
#include "cmocka_all.h"
#include "tiny.h"

static void a_second_writer_is_told_who_the_first_is(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town questions.jsonl --save_dir home");
    raglan_ok("index --save_dir home");
    pid_t first = raglan_start("train retriever --num_iters 1000000 --save_dir home " TINY);
    assert_true(raglan_says(first, "Iter "));

    char owner[64];
    snprintf(owner, sizeof owner, "process %d", (int)first);
    const char *const writers[] = {"ingest town", "index", "remove town/mill.md", "compact",
                                   "train tokenizer"};
    for (int i = 0; i < 5; i++) {
        char line[512];
        snprintf(line, sizeof line, "%s %s --save_dir home >said 2>&1", RAGLAN_PROGRAM, writers[i]);
        char command[1024];
        snprintf(command, sizeof command, "cd %s && %s", temp_path("."), line);
        assert_int_equal(exit_code(system(command)), 1);
        static char said[4096];
        slurp(temp_path("said"), said, sizeof said);
        assert_says(said, owner);
    }
    const char *const readers[] = {"search lighthouse", "info", "list", "check"};
    for (int i = 0; i < 40; i++) { /* while checkpoints come and go */
        char command[1024];
        snprintf(command, sizeof command, "cd %s && %s %s --save_dir home >said 2>&1",
                 temp_path("."), RAGLAN_PROGRAM, readers[i % 4]);
        assert_int_equal(exit_code(system(command)), 0);
    }
    kill(first, SIGKILL);
    assert_int_equal(raglan_finish(first), 128 + SIGKILL);
    raglan_ok("ingest town --save_dir home"); /* a dead writer does not hold the home */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_writer_is_told_who_the_first_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
