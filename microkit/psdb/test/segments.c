/* Disks of several segments: pads, indexes, and opening through them. */
#include "archive.h"
#include "check.h"
#include "foreign.h"
#include "object.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct rig_options large = {.region_bytes = 6u << 20, .slots = 1u << 12, .tails = 256};

static struct rig *open_ready(struct disk *disk, struct rig_options options) {
    uint64_t sum = disk_sum(disk, 1000);
    struct rig *rig = rig_open(disk, &options);
    CHECK(rig != NULL);
    if (psdb_state(rig->store) != PSDB_READY) FAIL("does not open: %s", rig->reports);
    CHECK_SAME(rig->sectors_written, 0);
    CHECK_SAME(disk_sum(disk, 1000), sum);
    return rig;
}

/* Returns the archive's end, after checking the whole archive. */
static uint64_t archive_end(const struct disk *disk, uint64_t from) {
    struct archive archive = archive_read(disk->bytes, disk->sectors, from);
    archive_check_groups(&archive, disk->bytes);
    if (archive.error[0] != '\0') FAIL("the archive: %s", archive.error);
    uint64_t end = archive.end;
    archive_free(&archive);
    return end;
}

/* Reports whether a segment begins with an index group. */
static bool has_index(const struct disk *disk, uint64_t segment) {
    struct archive archive = archive_read(disk->bytes, disk->sectors, segment * SEGMENT);
    bool has = archive.count >= 2 && strcmp(archive.members[0].name, COMMIT_NAME) == 0 &&
               strcmp(archive.members[1].name, INDEX_NAME) == 0;
    archive_free(&archive);
    return has;
}

/* Writes objects of each kind until the archive is `until` sectors long. */
static uint64_t write_until(struct rig *rig, uint64_t first, uint64_t until, uint32_t length) {
    uint64_t i = first;
    for (; rig->sealed_end < until; i++) {
        uint32_t tenant = (uint32_t)(i % rig->config.tenant_count);
        CHECK_SAME(seal(rig, tenant, BUNDLE(0, i / rig->config.tenant_count), i, length), PSDB_OK);
        CHECK_SAME(seal(rig, tenant, TILE(1, 0, i), i, 100), PSDB_OK);
        CHECK_SAME(commit(rig, tenant, 0, 256 * i, 256 * i + 1, i, 300), PSDB_OK);
        CHECK_SAME(commit(rig, tenant, 1, i - tenant, i + 1, i, 300), PSDB_OK);
        CHECK_SAME(publish(rig, tenant, 0, i, 200), PSDB_OK);
    }
    return i;
}

static void check_all(struct rig *rig, uint64_t count, uint32_t length) {
    uint32_t tenants = rig->config.tenant_count;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t tenant = (uint32_t)(i % tenants);
        check_object(rig, tenant, BUNDLE(0, i / tenants), i, length);
        check_object(rig, tenant, TILE(1, 0, i), i, 100);
        if (i + tenants >= count) check_object(rig, tenant, CHECKPOINT(0), i, 200);
    }
    for (uint32_t tenant = 0; tenant < tenants; tenant++) {
        uint64_t bundles = (count - tenant + tenants - 1) / tenants;
        struct psdb_request request = tail_request(1, 0, 0, 8000);
        struct psdb_request main_tail = tail_request(0, 0, 0, 8000);
        CHECK_SAME(ask_stat(rig, tenant, 0).index, bundles);
        CHECK_SAME(rig_ask(rig, tenant, &request).value, bundles);
        uint64_t listed = 0;
        for (uint64_t i = tenant; i < count; i += tenants)
            if (i > bundles) listed++;
        /* The list also has the newest tail file that starts within the sealed bundles or at their end. */
        CHECK_SAME(rig_ask(rig, tenant, &main_tail).value, listed + 1);
    }
}

TEST(an_index_at_each_boundary) {
    struct disk *disk = disk_make(5 * SEGMENT + 5000);
    struct rig_options options = large;
    struct rig *rig = open_ready(disk, options);
    uint64_t count = 0;
    for (uint64_t segment = 1; segment <= 5; segment++) {
        count = write_until(rig, count, segment * SEGMENT + 100, 700000);
        CHECK(has_index(disk, segment));
        CHECK_SAME(archive_end(disk, segment * SEGMENT), rig->sealed_end);
        uint64_t end = rig->sealed_end;
        check_all(rig, count, 700000);
        rig_close(rig);
        options.foreign_end = end;
        rig = open_ready(disk, options);
        check_all(rig, count, 700000);
    }
    archive_end(disk, 0);
    uint64_t end = rig->sealed_end;
    rig_close(rig);
    options.foreign_end = end;
    rig = open_ready(disk, options);
    printf("opened %llu sectors by %llu reads of %llu sectors\n", (unsigned long long)end,
           (unsigned long long)rig->operations, (unsigned long long)rig->sectors_read);
    /* The first segment, the indexes, and the sectors after the last index. */
    CHECK(rig->sectors_read < SEGMENT + 3000);
    rig_close(rig);
    disk_free(disk);
}

/* Objects of the skipped segments are sealed, too. */
TEST(sealed_again_after_hopping) {
    struct disk *disk = disk_make(3 * SEGMENT);
    struct rig_options options = large;
    struct rig *rig = open_ready(disk, options);
    uint64_t count = write_until(rig, 0, 2 * SEGMENT + 100, 900000);
    options.foreign_end = rig->sealed_end;
    rig_close(rig);
    rig = open_ready(disk, options);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t tenant = (uint32_t)(i % 2);
        CHECK_SAME(seal(rig, tenant, TILE(1, 0, i), i, 100), PSDB_OK);
        CHECK_SAME(seal(rig, tenant, TILE(1, 0, i), i + 1, 100), PSDB_CONFLICT);
        CHECK_SAME(commit(rig, tenant, 0, 256 * i, 256 * i + 1, i, 100), PSDB_CONFLICT);
    }
    CHECK_SAME(rig->sectors_written, 0);
    rig_close(rig);
    disk_free(disk);
}

/* Only the first group of a tenant makes its directory, whatever its segment. */
TEST(one_directory_for_all_segments) {
    struct disk *disk = disk_make(3 * SEGMENT);
    struct rig_options options = large;
    struct rig *rig = open_ready(disk, options);
    (void)write_until(rig, 0, SEGMENT + 100, 900000);
    options.foreign_end = rig->sealed_end;
    rig_close(rig);
    rig = open_ready(disk, options);
    CHECK_SAME(publish(rig, 0, 1, 1, 100), PSDB_OK);
    CHECK_SAME(check_archive(disk, "acme/"), 1);
    rig_close(rig);
    disk_free(disk);
}

/* Writes of various sizes, with various numbers of sectors left before the boundary. */
TEST(what_is_left_before_a_boundary) {
    static const uint32_t lengths[] = {1, 513, 1500, 5000, 20000};
    for (uint64_t left = 0; left <= 8; left++) {
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            struct disk *disk = disk_make(2 * SEGMENT);
            struct rig_options options = {.foreign_end = SEGMENT - 20 - left};
            note("%llu sectors left, %u bytes", (unsigned long long)left, lengths[k]);
            put_filler(disk, SEGMENT - 20 - left);
            struct rig *rig = open_ready(disk, options);
            /* A group of twenty sectors: commit member, directory, header, data. */
            CHECK_SAME(seal(rig, 0, README(0), 1, 16 * SECTOR), PSDB_OK);
            for (uint64_t i = 0; i < 6; i++) {
                CHECK_SAME(seal(rig, i % 2 == 1, BUNDLE(1, i), i, lengths[k]), PSDB_OK);
                if (has_index(disk, 1)) CHECK_SAME(archive_end(disk, SEGMENT), rig->sealed_end);
            }
            for (int again = 0; again < 2; again++) {
                check_object(rig, 0, README(0), 1, 16 * SECTOR);
                for (uint64_t i = 0; i < 6; i++) check_object(rig, i % 2 == 1, BUNDLE(1, i), i, lengths[k]);
                uint64_t end = archive_end(disk, options.foreign_end);
                if (again == 0) CHECK_SAME(end, rig->sealed_end);
                if (end > SEGMENT) CHECK(has_index(disk, 1));
                if (again == 1) CHECK_SAME(publish(rig, 0, 0, 1, 100), PSDB_OK);
                rig_close(rig);
                if (again == 0) rig = open_ready(disk, options);
            }
            disk_free(disk);
        }
    }
}

/* If a member of another program crosses a boundary, the next boundary has the index. */
TEST(a_boundary_without_an_index) {
    struct disk *disk = disk_make(4 * SEGMENT);
    struct rig_options options = large;
    put_filler(disk, SEGMENT + 77);
    options.foreign_end = SEGMENT + 77;
    struct rig *rig = open_ready(disk, options);
    uint64_t count = write_until(rig, 0, 2 * SEGMENT + 100, 700000);
    CHECK(has_index(disk, 2));
    for (int again = 0; again < 2; again++) {
        check_all(rig, count, 700000);
        rig_close(rig);
        rig = open_ready(disk, options);
    }
    CHECK(rig->sectors_read < SEGMENT + 3000);
    rig_close(rig);
    disk_free(disk);
}

/* A group of more than 4 MiB crosses the boundary. */
TEST(a_large_group_crosses_a_boundary) {
    struct disk *disk = disk_make(4 * SEGMENT);
    struct rig_options options = large;
    put_filler(disk, SEGMENT - 3000);
    options.foreign_end = SEGMENT - 3000;
    struct rig *rig = open_ready(disk, options);
    CHECK_SAME(seal(rig, 0, README(1), 1, 100), PSDB_OK);
    uint64_t end = rig->sealed_end;
    CHECK_SAME(seal(rig, 0, README(0), 9, 5u << 20), PSDB_OK);
    CHECK_SAME(rig->sealed_end, end + 3 + (5u << 20) / SECTOR);
    uint64_t count = write_until(rig, 0, 3 * SEGMENT + 100, 700000);
    CHECK(has_index(disk, 2));
    CHECK(has_index(disk, 3));
    for (int again = 0; again < 2; again++) {
        check_object(rig, 0, README(0), 9, 5u << 20);
        check_object(rig, 0, README(1), 1, 100);
        check_all(rig, count, 700000);
        archive_end(disk, options.foreign_end);
        rig_close(rig);
        rig = open_ready(disk, options);
    }
    rig_close(rig);
    disk_free(disk);
}

/* Many waiting writes that together cross the boundary. */
TEST(a_group_of_many_at_a_boundary) {
    for (uint64_t left = 5; left < 170; left += 11) {
        struct disk *disk = disk_make(2 * SEGMENT);
        struct rig_options options = {.foreign_end = SEGMENT - left};
        put_filler(disk, SEGMENT - left);
        struct rig *rig = open_ready(disk, options);
        note("%llu sectors left", (unsigned long long)left);
        for (uint64_t i = 0; i < 60; i++) {
            uint32_t tenant = (uint32_t)(i % 2);
            random_bytes(i, rig->tenants[tenant].region + 4000 * i, 700);
            struct psdb_request request = seal_request(BUNDLE(0, i), (uint32_t)(4000 * i), 700);
            CHECK(rig_submit(rig, tenant, &request));
        }
        rig_run(rig);
        CHECK(has_index(disk, 1));
        for (int again = 0; again < 2; again++) {
            for (uint64_t i = 0; i < 60; i++) check_object(rig, (uint32_t)(i % 2), BUNDLE(0, i), i, 700);
            archive_end(disk, options.foreign_end);
            rig_close(rig);
            rig = open_ready(disk, options);
        }
        rig_close(rig);
        disk_free(disk);
    }
}

/* The disk ends soon after the boundary: FULL changes nothing, and acknowledged objects stay. */
TEST(a_disk_that_ends_near_a_boundary) {
    static const uint32_t lengths[] = {40000, 9000, 3000, 1024, 600, 200, 1};
    for (uint64_t beyond = 0; beyond < 30; beyond += 3) {
        for (uint64_t left = 0; left < 30; left += 2) {
            struct disk *disk = disk_make(SEGMENT + beyond);
            uint64_t end = SEGMENT - 6 - left;
            struct rig_options options = {.foreign_end = end};
            bool sealed[40] = {false};
            put_filler(disk, end);
            note("%llu sectors before the boundary, %llu after it", (unsigned long long)left,
                 (unsigned long long)beyond);
            struct rig *rig = open_ready(disk, options);
            enum psdb_status first = seal(rig, 0, README(0), 1, 1);
            CHECK(first == PSDB_OK || first == PSDB_FULL);
            for (uint64_t i = 0; i < 35; i++) {
                uint64_t written = rig->sectors_written;
                enum psdb_status status = seal(rig, 0, BUNDLE(0, i), i, lengths[i % 7]);
                CHECK(status == PSDB_OK || status == PSDB_FULL);
                sealed[i] = status == PSDB_OK;
                if (status == PSDB_FULL) CHECK_SAME(rig->sectors_written, written);
            }
            for (int again = 0; again < 2; again++) {
                for (uint64_t i = 0; i < 35; i++) {
                    if (sealed[i]) {
                        check_object(rig, 0, BUNDLE(0, i), i, lengths[i % 7]);
                    } else {
                        check_none(rig, 0, BUNDLE(0, i));
                    }
                }
                archive_end(disk, end);
                rig_close(rig);
                rig = open_ready(disk, options);
            }
            rig_close(rig);
            disk_free(disk);
        }
    }
}

/* A changed index is rejected. */
TEST(every_part_of_an_index) {
    struct disk *disk = disk_make(3 * SEGMENT);
    struct rig_options options = large;
    struct rig *rig = open_ready(disk, options);
    uint64_t count = write_until(rig, 0, 2 * SEGMENT + 100, 900000);
    options.foreign_end = rig->sealed_end;
    rig_close(rig);
    for (uint64_t segment = 1; segment <= 2; segment++) {
        struct archive archive = archive_read(disk->bytes, disk->sectors, segment * SEGMENT);
        CHECK(archive.count > 2);
        uint64_t sectors = archive.members[2].sector - segment * SEGMENT;
        archive_free(&archive);
        struct random random = {segment};
        for (unsigned k = 0; k < 16; k++) {
            uint64_t at = random_below(&random, k < 8 ? 4 * SECTOR : sectors * SECTOR);
            uint8_t *byte = disk_at(disk, segment * SEGMENT) + at;
            *byte ^= 4;
            note("segment %llu, byte %llu", (unsigned long long)segment, (unsigned long long)at);
            rig = rig_open(disk, &options);
            CHECK(rig != NULL);
            /* The padding after the last member's data is hashed, too. */
            CHECK_SAME(psdb_state(rig->store), PSDB_STOPPED);
            CHECK_HAS(rig->reports, "sector ");
            rig_close(rig);
            *byte ^= 4;
        }
    }
    rig = open_ready(disk, options);
    check_all(rig, count, 900000);
    rig_close(rig);
    disk_free(disk);
}

/* An index of another history after the archive's end. */
TEST(stale_indexes_behind_the_end) {
    struct disk *ours = disk_make(4 * SEGMENT);
    struct disk *theirs = disk_make(4 * SEGMENT);
    struct rig_options options = large;
    struct rig *rig = open_ready(theirs, options);
    CHECK_SAME(seal(rig, 0, ORIGIN(0), 1, 300), PSDB_OK);
    (void)write_until(rig, 0, 3 * SEGMENT + 100, 900000);
    rig_close(rig);
    for (uint64_t until = SEGMENT / 2; until < 3 * SEGMENT; until += SEGMENT) {
        rig = open_ready(ours, options);
        note("until sector %llu", (unsigned long long)until);
        options.foreign_end = rig->sealed_end;
        uint64_t count = write_until(rig, 0, until, 800000);
        uint64_t end = archive_end(ours, 0);
        rig_close(rig);
        struct disk *mixed = disk_copy(ours);
        memcpy(disk_at(mixed, end + 2), disk_at(theirs, end + 2), (size_t)(4 * SEGMENT - end - 2) * SECTOR);
        options.foreign_end = end;
        rig = open_ready(mixed, options);
        check_all(rig, count, 800000);
        check_none(rig, 0, ORIGIN(0));
        /* Then the store continues writing over the stale index. */
        count = write_until(rig, count, until + SEGMENT, 800000);
        CHECK_SAME(archive_end(mixed, 0), rig->sealed_end);
        rig_close(rig);
        options.foreign_end = end;
        rig = open_ready(mixed, options);
        check_all(rig, count, 800000);
        check_none(rig, 0, ORIGIN(0));
        rig_close(rig);
        disk_free(mixed);
        disk_free(ours);
        ours = disk_make(4 * SEGMENT);
        options.foreign_end = 0;
    }
    disk_free(ours);
    disk_free(theirs);
}

/* The tenants of a disk change their order, or some are missing for a while. */
TEST(tenants_that_come_and_go) {
    struct disk *disk = disk_make(4 * SEGMENT);
    struct rig_options options = large;
    struct rig *rig = open_ready(disk, options);
    uint64_t count = write_until(rig, 0, SEGMENT + 100, 900000);
    options.foreign_end = rig->sealed_end;
    rig_close(rig);

    options.names[0] = "acme";
    options.names[1] = NULL;
    rig = open_ready(disk, options);
    for (uint64_t i = 0; rig->sealed_end < 2 * SEGMENT + 100; i++)
        CHECK_SAME(seal(rig, 0, BUNDLE(1, i), i, 900000), PSDB_OK);
    CHECK(has_index(disk, 2));
    options.foreign_end = rig->sealed_end;
    rig_close(rig);

    rig = open_ready(disk, (struct rig_options){.names = {"other", "third", "acme"},
                                                .region_bytes = 6u << 20,
                                                .slots = 1u << 12,
                                                .tails = 256,
                                                .foreign_end = options.foreign_end});
    check_none(rig, 1, CHECKPOINT(0));
    for (uint64_t i = 0; i < count; i++) {
        uint32_t tenant = i % 2 == 0 ? 2 : 0;
        check_object(rig, tenant, BUNDLE(0, i / 2), i, 900000);
        check_object(rig, tenant, TILE(1, 0, i), i, 100);
        if (i + 2 >= count) check_object(rig, tenant, CHECKPOINT(0), i, 200);
        CHECK_SAME(commit(rig, tenant, 0, 256 * i, 256 * i + 1, i, 300), PSDB_CONFLICT);
    }
    CHECK_SAME(seal(rig, 1, README(0), 5, 100), PSDB_OK);
    /* The next index lists all of them again. */
    for (uint64_t i = 0; rig->sealed_end < 3 * SEGMENT + 100; i++)
        CHECK_SAME(seal(rig, 1, BUNDLE(0, i), i, 900000), PSDB_OK);
    CHECK(has_index(disk, 3));
    rig_close(rig);
    options.names[1] = "other";
    rig = open_ready(disk, options);
    CHECK(rig->sectors_read < disk->sectors);
    for (uint64_t i = 0; i < count; i++) {
        check_object(rig, (uint32_t)(i % 2), BUNDLE(0, i / 2), i, 900000);
        if (i + 2 >= count) check_object(rig, (uint32_t)(i % 2), CHECKPOINT(0), i, 200);
    }
    CHECK_SAME(ask_stat(rig, 1, 0).index, count / 2);
    rig_close(rig);
    disk_free(disk);
}

/* Changes a word of an index, and corrects its group's digest. */
static void lie(struct disk *disk, uint64_t word, uint64_t value) {
    struct archive archive = archive_read(disk->bytes, disk->sectors, SEGMENT);
    struct foreign group = {.disk = disk, .commit = SEGMENT, .at = archive.members[2].sector};
    memcpy(disk_at(disk, SEGMENT + 3) + 8 * word, &value, 8);
    end_group(&group);
    archive_free(&archive);
}

/* A false index in a group with the right digest: the store detects it, or reads the right bytes anyway. */
TEST(indexes_that_lie) {
    struct disk *disk = disk_make(SEGMENT + 4000);
    uint64_t end = SEGMENT - 40;
    struct rig_options options = {.foreign_end = end, .tails = 4, .slots = 64};
    put_filler(disk, end);
    struct rig *rig = open_ready(disk, options);
    uint64_t count = write_until(rig, 0, SEGMENT + 10, 600);
    options.foreign_end = rig->sealed_end;
    rig_close(rig);
    struct archive archive = archive_read(disk->bytes, disk->sectors, SEGMENT);
    uint64_t words = archive.members[1].size / 8;
    archive_free(&archive);
    unsigned stopped = 0;
    for (uint64_t word = 0; word < words; word++) {
        uint64_t before;
        memcpy(&before, disk_at(disk, SEGMENT + 3) + 8 * word, 8);
        const uint64_t values[] = {
            0,           1,           before + 1,       before - 1,         before ^ 0x100,
            SEGMENT + 1, SEGMENT - 1, UINT64_MAX,       1ull << 33,         before ^ 7,
            before ^ 8,  before << 8, UINT64_MAX / 512, 0x7265687461636d65, 0x700000000000000f};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            note("word %llu, value %llx", (unsigned long long)word, (unsigned long long)values[i]);
            if (values[i] == before) continue;
            lie(disk, word, values[i]);
            rig = rig_open(disk, &options);
            CHECK(rig != NULL);
            CHECK_SAME(rig->sectors_written, 0);
            if (psdb_state(rig->store) == PSDB_STOPPED) {
                CHECK_HAS(rig->reports, "sector ");
                stopped++;
            }
            for (uint64_t k = 0; psdb_state(rig->store) == PSDB_READY && k < count; k++) {
                struct psdb_request request = read_request(BUNDLE(0, k / 2), 0, 0, 1000);
                struct psdb_response response = rig_ask(rig, (uint32_t)(k % 2), &request);
                if (response.status == PSDB_OK)
                    check_object(rig, (uint32_t)(k % 2), BUNDLE(0, k / 2), k, 600);
            }
            rig_close(rig);
        }
        lie(disk, word, before);
    }
    CHECK(stopped > words);
    rig = open_ready(disk, options);
    check_all(rig, count, 600);
    rig_close(rig);
    disk_free(disk);
}

/* An index after the archive's end that continues the chain: a power cut may leave one that a tenant forged.
 * The store rejects it after writing there. */
TEST(an_index_behind_the_end_that_fits) {
    for (uint64_t segment = 0; segment < 2; segment++) {
        struct disk *disk = disk_make(4 * SEGMENT);
        struct rig_options options = large;
        struct rig *rig = open_ready(disk, options);
        uint64_t end = 0;
        CHECK_SAME(seal(rig, 0, README(1), 1, 100), PSDB_OK);
        uint64_t count = write_until(rig, 0, (segment + 1) * SEGMENT + 100, 600000);
        rig_close(rig);
        CHECK(has_index(disk, segment + 1));
        if (segment == 1) {
            /* After the index. */
            struct archive archive = archive_read(disk->bytes, disk->sectors, SEGMENT);
            end = archive.members[2].sector;
            archive_free(&archive);
        }
        memset(disk_at(disk, end), 0, (size_t)2 * SECTOR);
        options.foreign_end = end;
        rig = open_ready(disk, options);
        note("segment %u", (unsigned)segment);
        check_none(rig, 0, TILE(1, 0, count - 2));
        /* The first group is the same again, so the index is chained to it. */
        CHECK_SAME(seal(rig, 0, segment == 0 ? README(1) : ORIGIN(1), 1, 100), PSDB_OK);
        for (int again = 0; again < 2; again++) {
            check_object(rig, 0, README(1), 1, 100);
            check_none(rig, (uint32_t)(count - 1) % 2, TILE(1, 0, count - 1));
            check_none(rig, (uint32_t)(count - 2) % 2, TILE(1, 0, count - 2));
            rig_close(rig);
            rig = open_ready(disk, options);
        }
        rig_close(rig);
        disk_free(disk);
    }
}
