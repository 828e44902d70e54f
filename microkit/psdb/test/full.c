/* Disks that are full to the last sector, and full tables. */
#include "archive.h"
#include "check.h"
#include "object.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

static struct rig *open_disk(struct disk *disk, const struct rig_options *options) {
    struct rig *rig = rig_open(disk, options);
    CHECK(rig != NULL);
    if (psdb_state(rig->store) != PSDB_READY) FAIL("does not open: %s", rig->reports);
    return rig;
}

static uint64_t archive_end(const struct disk *disk) {
    struct archive archive = archive_read(disk->bytes, disk->sectors, 0);
    archive_check_groups(&archive, disk->bytes);
    if (archive.error[0] != '\0') FAIL("the archive: %s", archive.error);
    uint64_t end = archive.end;
    archive_free(&archive);
    return end;
}

/* Fills the disk. The store refuses an object that is one sector too large, but takes one that needs all
 * free sectors. */
static void fill(uint64_t sectors, uint64_t leave) {
    struct disk *disk = disk_make(sectors);
    struct rig_options options = {.region_bytes = 512 * 1024};
    struct rig *rig = open_disk(disk, &options);
    note("disk of %llu sectors, %llu left for the last", (unsigned long long)sectors,
         (unsigned long long)leave);
    CHECK_SAME(seal(rig, 0, README(0), 1, 10), PSDB_OK);
    CHECK_SAME(publish(rig, 1, 0, 2, 10), PSDB_OK);
    uint64_t left = sectors - 2 - archive_end(disk);
    if (left > leave + 3) {
        /* commit member, header, data */
        CHECK_SAME(seal(rig, 0, BUNDLE(0, 0), 3, (uint32_t)((left - leave - 3) * SECTOR)), PSDB_OK);
        left = leave;
    }
    CHECK_SAME(sectors - 2 - archive_end(disk), left);
    uint64_t sum = disk_sum(disk, sectors);
    uint64_t written = rig->sectors_written;
    uint32_t room = left > 3 ? (uint32_t)((left - 3) * SECTOR) : 0;
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 1), 4, room + 1), PSDB_FULL);
    CHECK_SAME(commit(rig, 0, 0, 0, 1, 4, room + 1), PSDB_FULL);
    CHECK_SAME(publish(rig, 0, 0, 4, room + 1), PSDB_FULL);
    CHECK_SAME(rig->sectors_written, written);
    CHECK_SAME(disk_sum(disk, sectors), sum);
    CHECK_SAME(psdb_state(rig->store), PSDB_READY);
    if (room > 0) {
        CHECK_SAME(seal(rig, 0, BUNDLE(0, 1), 5, room), PSDB_OK);
        CHECK_SAME(archive_end(disk), sectors - 2);
    }
    CHECK_SAME(seal(rig, 0, ORIGIN(0), 5, 1), PSDB_FULL);
    CHECK_SAME(seal(rig, 0, README(0), 1, 10), PSDB_OK);
    for (int again = 0; again < 2; again++) {
        check_object(rig, 0, README(0), 1, 10);
        check_object(rig, 1, CHECKPOINT(0), 2, 10);
        if (room > 0) {
            check_object(rig, 0, BUNDLE(0, 1), 5, room);
        } else {
            check_none(rig, 0, BUNDLE(0, 1));
        }
        CHECK_SAME(seal(rig, 0, ORIGIN(0), 5, 1), PSDB_FULL);
        if (again == 0) {
            rig_close(rig);
            rig = open_disk(disk, &options);
        }
    }
    rig_close(rig);
    disk_free(disk);
}

TEST(down_to_the_last_sector) {
    for (uint64_t sectors = 128; sectors < 140; sectors++)
        for (uint64_t leave = 0; leave < 12; leave++) fill(sectors, leave);
    for (uint64_t leave = 0; leave < 300; leave += 23) fill(600, leave);
}

TEST(free_sectors_are_those_that_can_be_used) {
    for (uint64_t sectors = 128; sectors < 200; sectors += 7) {
        struct disk *disk = disk_make(sectors);
        struct rig *rig = open_disk(disk, NULL);
        CHECK_SAME(ask_stat(rig, 0, 0).extra, sectors - 2);
        CHECK_SAME(seal(rig, 0, README(0), 1, 10), PSDB_OK);
        CHECK_SAME(ask_stat(rig, 1, 1).extra, sectors - 2 - archive_end(disk));
        rig_close(rig);
        disk_free(disk);
    }
}

/* The first group of a tenant also has a directory member. */
TEST(the_first_group_on_a_small_disk) {
    for (uint64_t data = 120; data < 126; data++) {
        struct disk *disk = disk_make(128);
        struct rig *rig = open_disk(disk, NULL);
        uint64_t needed = 2 + 1 + 1 + data + 2;
        enum psdb_status status = seal(rig, 0, README(0), 1, (uint32_t)(data * SECTOR));
        CHECK_SAME(status, needed <= 128 ? PSDB_OK : PSDB_FULL);
        CHECK(needed <= 128 || rig->sectors_written == 0);
        rig_close(rig);
        disk_free(disk);
    }
}

struct counts {
    unsigned ok;
    unsigned full;
};

static void count_answer(struct rig *rig, uint32_t tenant, const struct psdb_response *response) {
    struct counts *counts = rig->options.context;
    (void)tenant;
    CHECK(response->status == PSDB_OK || response->status == PSDB_FULL);
    if (response->status == PSDB_OK) {
        counts->ok++;
    } else {
        counts->full++;
    }
}

/* Some of the waiting requests do not fit on the disk. The others succeed. */
TEST(some_of_a_group_fit) {
    static const uint32_t lengths[] = {20000, 30000, 20000, 500, 40000, 500, 1};
    for (uint64_t sectors = 128; sectors < 330; sectors += 3) {
        struct disk *disk = disk_make(sectors);
        struct counts counts = {0};
        struct rig_options options = {.answered = count_answer, .context = &counts};
        struct rig *rig = open_disk(disk, &options);
        note("%llu sectors", (unsigned long long)sectors);
        random_bytes(1, rig->tenants[0].region, 40000);
        for (uint64_t i = 0; i < 7; i++) {
            struct psdb_request request = seal_request(BUNDLE(0, i), 0, lengths[i]);
            CHECK(rig_submit(rig, 0, &request));
        }
        rig_run(rig);
        CHECK_SAME(counts.ok + counts.full, 7);
        /* Even the smallest disk has room for three of them. */
        CHECK(counts.ok >= 3);
        uint64_t room = sectors - 2 - archive_end(disk);
        rig->options.answered = NULL;
        for (uint64_t i = 0; i < 7; i++) {
            uint8_t *bytes = NULL;
            uint64_t length = 0;
            if (read_whole(rig, 0, BUNDLE(0, i), &bytes, &length) == PSDB_OK) {
                CHECK_SAME(length, lengths[i]);
            } else {
                CHECK(room < sectors_of(lengths[i]) + 3);
            }
            free(bytes);
        }
        rig_close(rig);
        disk_free(disk);
    }
}

TEST(the_table_of_objects_is_full) {
    struct rig_options options = {.slots = 16};
    struct disk *disk = disk_make(4096);
    struct rig *rig = open_disk(disk, &options);
    uint64_t sealed = 0;
    while (seal(rig, 0, BUNDLE(0, sealed), sealed, 100) == PSDB_OK) sealed++;
    CHECK(sealed >= 8 && sealed <= 11);
    for (int again = 0; again < 2; again++) {
        uint64_t sum = disk_sum(disk, disk->sectors);
        CHECK_SAME(seal(rig, 0, BUNDLE(0, sealed), 1, 100), PSDB_FULL);
        CHECK_SAME(seal(rig, 1, README(0), 1, 100), PSDB_FULL);
        CHECK_SAME(seal(rig, 0, BUNDLE(0, 1), 1, 100), PSDB_OK);
        CHECK_SAME(seal(rig, 0, BUNDLE(0, 1), 2, 100), PSDB_CONFLICT);
        CHECK_SAME(disk_sum(disk, disk->sectors), sum);
        for (uint64_t i = 0; i < sealed; i++) check_object(rig, 0, BUNDLE(0, i), i, 100);
        check_none(rig, 0, BUNDLE(0, sealed));
        rig_close(rig);
        rig = open_disk(disk, &options);
    }
    rig_close(rig);
    /* With a larger table the store continues. */
    rig = open_disk(disk, NULL);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, sealed), 1, 100), PSDB_OK);
    rig_close(rig);
    /* With a smaller table than the disk needs, it stops. */
    options.slots = 8;
    rig = rig_open(disk, &options);
    CHECK(rig != NULL);
    CHECK_SAME(psdb_state(rig->store), PSDB_STOPPED);
    CHECK(rig->reports[0] != '\0');
    rig_close(rig);
    disk_free(disk);
}

/* Many seals at once, with room for only some of them in the table. */
TEST(the_table_of_objects_becomes_full_in_a_group) {
    struct counts counts = {0};
    struct rig_options options = {.slots = 16, .answered = count_answer, .context = &counts};
    struct disk *disk = disk_make(4096);
    struct rig *rig = open_disk(disk, &options);
    memset(rig->tenants[0].region, 7, 100);
    for (uint64_t i = 0; i < PSDB_QUEUE; i++) {
        struct psdb_request request = seal_request(BUNDLE(0, i), 0, 100);
        CHECK(rig_submit(rig, 0, &request));
    }
    rig_run(rig);
    CHECK(counts.ok >= 8 && counts.ok <= 11);
    CHECK_SAME(counts.ok + counts.full, PSDB_QUEUE);
    rig_close(rig);
    options.answered = NULL;
    rig = open_disk(disk, &options);
    rig_close(rig);
    disk_free(disk);
}

TEST(the_table_of_the_tail_is_full) {
    struct rig_options options = {.tails = 4};
    struct disk *disk = disk_make(4096);
    struct rig *rig = open_disk(disk, &options);
    uint64_t next = 0;
    while (commit(rig, 0, 0, next * 100, next * 100 + 1, next, 50) == PSDB_OK) next++;
    CHECK(next >= 3 && next <= 4);
    for (int again = 0; again < 2; again++) {
        uint64_t written = rig->sectors_written;
        CHECK_SAME(commit(rig, 0, 0, 900, 901, 1, 50), PSDB_FULL);
        CHECK_SAME(rig->sectors_written, written);
        for (uint64_t i = 0; i < next; i++) check_object(rig, 0, TAIL_FILE(0, i * 100), i, 50);
        rig_close(rig);
        rig = open_disk(disk, &options);
    }
    CHECK_SAME(commit(rig, 0, 1, 0, 1, 1, 50), PSDB_OK);
    CHECK_SAME(commit(rig, 1, 0, 0, 1, 1, 50), PSDB_OK);
    /* Sealed entries need no place in the table. */
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 0), 1, 50), PSDB_OK);
    CHECK_SAME(commit(rig, 0, 0, 900, 901, 1, 50), PSDB_OK);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 1), 1, 50), PSDB_OK);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 2), 1, 50), PSDB_OK);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 3), 1, 50), PSDB_OK);
    check_tail(rig, 0, 0, (const uint64_t[]){900}, 1);
    for (uint64_t i = 0; i < 20; i++) {
        CHECK_SAME(seal(rig, 0, BUNDLE(0, 4 + i), 1, 50), PSDB_OK);
        CHECK_SAME(commit(rig, 0, 0, 256 * (5 + i), 256 * (5 + i) + 1, i, 50), PSDB_OK);
    }
    rig_close(rig);
    rig = open_disk(disk, &options);
    check_tail(rig, 0, 0, (const uint64_t[]){256 * 24}, 1);
    check_object(rig, 0, TAIL_FILE(0, 256 * 24), 19, 50);
    rig_close(rig);
    disk_free(disk);
}

/* Commits wait together, with room for only some of them in the table. */
TEST(the_table_of_the_tail_becomes_full_in_a_group) {
    struct counts counts = {0};
    struct rig_options options = {.tails = 4, .answered = count_answer, .context = &counts};
    struct disk *disk = disk_make(4096);
    struct rig *rig = open_disk(disk, &options);
    memset(rig->tenants[0].region, 7, 100);
    for (uint64_t i = 0; i < 20; i++) {
        struct psdb_request request = commit_request(0, i, i + 1, 0, 100);
        CHECK(rig_submit(rig, 0, &request));
    }
    rig_run(rig);
    CHECK(counts.ok >= 3 && counts.ok <= 4);
    CHECK_SAME(counts.ok + counts.full, 20);
    rig_close(rig);
    options.answered = NULL;
    rig = open_disk(disk, &options);
    check_tail(rig, 0, 0, (const uint64_t[]){0, 1, 2, 3}, counts.ok);
    rig_close(rig);
    disk_free(disk);
}

/* Disks that are too small. */
TEST(the_smallest_disks) {
    for (uint64_t sectors = 1; sectors < 8; sectors++) {
        struct disk *disk = disk_make(sectors);
        struct rig *rig = rig_open(disk, NULL);
        if (rig != NULL) {
            CHECK(seal(rig, 0, README(0), 1, 100000) == PSDB_FULL || psdb_state(rig->store) == PSDB_STOPPED);
            rig_close(rig);
        }
        disk_free(disk);
    }
}
