/* Disk failures: at every operation of a history, and writes that the disk stores wrongly. */
#include "archive.h"
#include "check.h"
#include "history.h"

#include <stdlib.h>
#include <string.h>

#define STEPS 10u
#define DISK 8192u

struct run {
    struct history *history;
    struct disk *disk;
    uint64_t seed;
    uint64_t lie; /* the write, from 1 on, of which the disk changes a sector */
    uint64_t writes;
    bool lied; /* false if it was the last write of a group, which makes the group valid */
};

static void observe(struct rig *rig, enum psdb_disk_op op);
static struct run *current;

/* Runs the history of a seed with a failing operation. Returns the number of operations. */
static uint64_t run_with(struct run *run, uint64_t fail, bool later) {
    struct rig_options options = history_options();
    run->disk = disk_make(DISK);
    run->history = history_make(run->seed, (struct model){0});
    run->writes = 0;
    options.fail_operation = fail;
    options.fail_later = later;
    options.fail_seed = run->seed;
    options.observe = observe;
    options.context = run->history;
    current = run;
    run->history->may_fail = fail != 0 || run->lie != 0;
    note("seed %llu, operation %llu fails%s, write %llu lies", (unsigned long long)run->seed,
         (unsigned long long)fail, later ? " and all later" : "", (unsigned long long)run->lie);
    run->history->rig = rig_start(run->disk, &options);
    CHECK(run->history->rig != NULL);
    for (unsigned i = 0; i < STEPS; i++) history_step(run->history);
    history_settle(run->history);
    return run->history->rig->operations;
}

static void observe(struct rig *rig, enum psdb_disk_op op) {
    struct run *run = current;
    if (op != PSDB_DISK_WRITE || ++run->writes != run->lie) return;
    uint64_t some = rig->sector + run->lie * 7 % rig->sectors;
    uint8_t *bytes = disk_at(rig->disk, some);
    run->lied = rig->sectors != 1 || memcmp(bytes, COMMIT_NAME, sizeof COMMIT_NAME) != 0;
    if (run->lied) bytes[77] ^= 0x10;
}

/* Checks that the store still returns all acknowledged objects. */
static void check_reads(const struct run *run) {
    struct rig *rig = run->history->rig;
    struct model model = model_copy(&run->history->model);
    rig->options.fail_operation = 0;
    rig->options.context = NULL;
    model_check(&model, rig);
    model_free(&model);
}

/* Checks that the store writes nothing after a failed write or flush, but still reads. */
static void check_read_only(const struct run *run) {
    struct rig *rig = run->history->rig;
    uint64_t written = rig->sectors_written;
    uint64_t flushes = rig->flushes;
    rig->options.fail_operation = 0;
    rig->options.context = NULL;
    CHECK_SAME(seal(rig, 0, VKEY(0, "new-key"), 1, 100), PSDB_IO);
    CHECK_SAME(commit(rig, 1, 0, PSDB_MAX_SIZE - 1, PSDB_MAX_SIZE, 1, 100), PSDB_IO);
    CHECK_SAME(publish(rig, 0, 1, 1, 100), PSDB_IO);
    CHECK_SAME(rig->sectors_written, written);
    CHECK_SAME(rig->flushes, flushes);
    CHECK_SAME(psdb_state(rig->store), PSDB_READ_ONLY);
    CHECK_HAS(rig->reports, "read-only");
}

/* Opens the disk again, and checks all acknowledged objects. */
static void check_reopened(struct run *run) {
    struct rig_options options = history_options();
    struct rig *rig = rig_open(run->disk, &options);
    CHECK(rig != NULL);
    if (psdb_state(rig->store) != PSDB_READY) FAIL("does not open again: %s", rig->reports);
    model_check(&run->history->model, rig);
    CHECK_SAME(seal(rig, 0, VKEY(0, "new-key"), 1, 100), PSDB_OK);
    rig_close(rig);
}

static void end_run(struct run *run) {
    rig_close(run->history->rig);
    history_free(run->history);
    disk_free(run->disk);
}

static void check_run(struct run *run) {
    enum psdb_state state = psdb_state(run->history->rig->store);
    CHECK(state == PSDB_READY || state == PSDB_READ_ONLY);
    check_reads(run);
    if (state == PSDB_READ_ONLY) check_read_only(run);
    check_reopened(run);
}

TEST(every_operation_fails_once) {
    uint64_t seeds = setting("PSDB_TEST_SEEDS", 4);
    unsigned read_only = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct run run = {.seed = seed};
        uint64_t operations = run_with(&run, 0, false);
        CHECK_SAME(psdb_state(run.history->rig->store), PSDB_READY);
        end_run(&run);
        for (uint64_t fail = 2; fail <= operations; fail++) {
            for (int later = 0; later < 2; later++) {
                (void)run_with(&run, fail, later != 0);
                if (psdb_state(run.history->rig->store) == PSDB_READ_ONLY) read_only++;
                check_run(&run);
                end_run(&run);
            }
        }
    }
    CHECK(read_only > 50);
}

/* A failed operation, then a power cut. */
TEST(a_failed_operation_and_a_power_cut) {
    for (uint64_t seed = 11; seed <= 12; seed++) {
        struct run run = {.seed = seed};
        uint64_t operations = run_with(&run, 0, false);
        end_run(&run);
        for (uint64_t fail = 2; fail <= operations; fail++) {
            (void)run_with(&run, fail, false);
            disk_forget_unflushed(run.disk);
            check_reopened(&run);
            end_run(&run);
        }
    }
}

/* After a failed opening, no request succeeds, and nothing is written. */
TEST(a_read_fails_while_the_disk_is_opened) {
    struct run run = {.seed = 21};
    (void)run_with(&run, 0, false);
    struct rig_options options = history_options();
    options.answered = NULL;
    struct rig *rig = rig_open(run.disk, &options);
    CHECK(rig != NULL);
    uint64_t operations = rig->operations;
    rig_close(rig);
    uint64_t sum = disk_sum(run.disk, DISK);
    CHECK(operations > 0);
    for (uint64_t fail = 1; fail < operations; fail++) {
        note("read %llu fails", (unsigned long long)fail);
        options.fail_operation = fail;
        rig = rig_open(run.disk, &options);
        CHECK(rig != NULL);
        CHECK_SAME(psdb_state(rig->store), PSDB_STOPPED);
        CHECK(rig->reports[0] != '\0');
        CHECK(seal(rig, 0, README(0), 1, 100) != PSDB_OK);
        CHECK(publish(rig, 0, 0, 1, 100) != PSDB_OK);
        struct psdb_request read = read_request(README(0), 0, 0, 100);
        enum psdb_status status = rig_ask(rig, 0, &read).status;
        CHECK(status == PSDB_CORRUPT || status == PSDB_IO);
        CHECK_SAME(disk_sum(run.disk, DISK), sum);
        rig_close(rig);
    }
    end_run(&run);
}

/* The last operation of opening is a flush. If it fails, the store is read-only. */
TEST(the_flush_at_opening_fails) {
    struct run run = {.seed = 21};
    (void)run_with(&run, 0, false);
    struct rig_options options = history_options();
    options.answered = NULL;
    struct rig *rig = rig_open(run.disk, &options);
    CHECK(rig != NULL);
    CHECK_SAME(rig->flushes, 1);
    options.fail_operation = rig->operations;
    struct psdb_request read = read_request(README(0), 0, 0, 100);
    enum psdb_status status = rig_ask(rig, 0, &read).status;
    rig_close(rig);
    rig = rig_open(run.disk, &options);
    CHECK(rig != NULL);
    CHECK_SAME(psdb_state(rig->store), PSDB_READ_ONLY);
    CHECK_HAS(rig->reports, "read-only");
    CHECK_SAME(seal(rig, 0, VKEY(0, "new-key"), 1, 100), PSDB_IO);
    CHECK_SAME(rig_ask(rig, 0, &read).status, status);
    rig_close(rig);
    end_run(&run);
}

/* The disk stores other bytes than were written. The store reads back a group before the group is valid. */
TEST(every_write_is_kept_wrong_once) {
    for (uint64_t seed = 31; seed <= 33; seed++) {
        struct run run = {.seed = seed};
        (void)run_with(&run, 0, false);
        uint64_t writes = run.writes;
        end_run(&run);
        for (uint64_t lie = 1; lie <= writes; lie++) {
            run.lie = lie;
            (void)run_with(&run, 0, false);
            if (run.lied) {
                CHECK_SAME(psdb_state(run.history->rig->store), PSDB_READ_ONLY);
                check_run(&run);
            }
            end_run(&run);
        }
    }
}

/* A failed read fails one request. The next one succeeds. */
TEST(a_failed_read_is_answered_and_no_more) {
    struct rig_options options = {0};
    struct rig *rig = rig_open(disk_make(DISK), &options);
    CHECK(rig != NULL);
    CHECK_SAME(seal(rig, 0, README(0), 1, 100000), PSDB_OK);
    CHECK_SAME(publish(rig, 0, 0, 1, 100), PSDB_OK);
    uint64_t before = rig->operations;
    check_object(rig, 0, README(0), 1, 100000);
    uint64_t operations = rig->operations - before;
    for (uint64_t k = 1; k <= operations; k++) {
        struct psdb_request request = read_request(README(0), 0, 0, 200000);
        rig->options.fail_operation = rig->operations + k;
        struct psdb_response response = rig_ask(rig, 0, &request);
        CHECK_SAME(response.status, PSDB_IO);
        CHECK_SAME(response.length, 0);
        CHECK_SAME(psdb_state(rig->store), PSDB_READY);
    }
    rig->options.fail_operation = 0;
    check_object(rig, 0, README(0), 1, 100000);
    CHECK_SAME(seal(rig, 0, ORIGIN(0), 1, 100), PSDB_OK);
    struct disk *disk = rig->disk;
    rig_close(rig);
    disk_free(disk);
}

/* A SEAL of a sealed object fails if the object cannot be read. */
TEST(a_seal_whose_comparison_fails) {
    struct rig *rig = rig_open(disk_make(DISK), NULL);
    CHECK(rig != NULL);
    CHECK_SAME(seal(rig, 0, README(0), 1, 100000), PSDB_OK);
    uint64_t before = rig->operations;
    CHECK_SAME(seal(rig, 0, README(0), 1, 100000), PSDB_OK);
    uint64_t operations = rig->operations - before;
    for (uint64_t k = 1; k <= operations; k++) {
        rig->options.fail_operation = rig->operations + k;
        CHECK_SAME(seal(rig, 0, README(0), 1, 100000), PSDB_IO);
    }
    rig->options.fail_operation = 0;
    CHECK_SAME(seal(rig, 0, README(0), 1, 100000), PSDB_OK);
    struct disk *disk = rig->disk;
    check_archive(disk, NULL);
    rig_close(rig);
    disk_free(disk);
}
