/* Every opcode, and every status except those of failures. */
#include "archive.h"
#include "check.h"
#include "object.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

#define DISK 4096u /* sectors: 2 MiB */

static struct rig *open_new(void) {
    struct rig *rig = rig_open(disk_make(DISK), NULL);
    CHECK(rig != NULL);
    CHECK_SAME(psdb_state(rig->store), PSDB_READY);
    return rig;
}

static struct rig *reopen(struct rig *rig) {
    struct disk *disk = rig->disk;
    struct rig_options options = rig->options;
    rig_close(rig);
    uint64_t sum = disk_sum(disk, disk->sectors);
    rig = rig_open(disk, &options);
    CHECK(rig != NULL);
    CHECK_SAME(rig->sectors_written, 0);
    CHECK_SAME(disk_sum(disk, disk->sectors), sum);
    CHECK_SAME(psdb_state(rig->store), PSDB_READY);
    return rig;
}

static void end(struct rig *rig) {
    struct disk *disk = rig->disk;
    check_archive(disk, NULL);
    rig_close(rig);
    disk_free(disk);
}

TEST(an_empty_disk) {
    struct rig *rig = open_new();
    struct psdb_response stat = ask_stat(rig, 0, PSDB_MAIN);
    CHECK_SAME(stat.status, PSDB_OK);
    CHECK_SAME(stat.value, DISK);
    CHECK(stat.extra <= DISK && stat.extra > DISK - 100);
    CHECK_SAME(stat.index, 0);
    check_none(rig, 0, CHECKPOINT(PSDB_MAIN));
    check_none(rig, 0, README(PSDB_MAIN));
    check_none(rig, 0, TAIL_FILE(PSDB_AUDIT, 0));
    check_tail(rig, 0, PSDB_MAIN, NULL, 0);
    check_tail(rig, 1, PSDB_AUDIT, NULL, 0);
    CHECK_SAME(rig->sectors_written, 0);
    CHECK(!psdb_run(rig->store));
    end(rig);
}

static const struct object objects[] = {
    {0, PSDB_README, 0, 0, NULL},
    {0, PSDB_ORIGIN, 0, 0, NULL},
    {0, PSDB_VKEY, 0, 0, "ed25519"},
    {0, PSDB_VKEY, 0, 0, "a"},
    {0, PSDB_VKEY, 0, 0, "-"},
    {0, PSDB_VKEY, 0, 0, "abcdefghijklm-09"},
    {0, PSDB_TILE, 0, 0, NULL},
    {0, PSDB_TILE, 0, 1, NULL},
    {0, PSDB_TILE, 1, 0, NULL},
    {0, PSDB_TILE, 0, 999, NULL},
    {0, PSDB_TILE, 0, 1000, NULL},
    {0, PSDB_TILE, 0, 1234067, NULL},
    {0, PSDB_TILE, 0, (PSDB_MAX_SIZE >> 8) - 1, NULL},
    {0, PSDB_TILE, 5, 30, NULL},
    {0, PSDB_BUNDLE, 0, 0, NULL},
    {0, PSDB_BUNDLE, 0, 1, NULL},
    {0, PSDB_BUNDLE, 0, 256, NULL},
    {0, PSDB_BUNDLE, 0, 1001, NULL},
    {0, PSDB_BUNDLE, 0, (PSDB_MAX_SIZE >> 8) - 1, NULL},
};
#define OBJECTS (sizeof objects / sizeof objects[0])

static struct object in_ledger(struct object object, uint8_t ledger) {
    object.ledger = ledger;
    return object;
}

/* Returns a different length and seed for each tenant, ledger and object. */
static uint64_t seed_of(uint32_t tenant, uint8_t ledger, size_t i) {
    return tenant * 1000 + ledger * 500 + i + 1;
}
static uint32_t length_of(uint32_t tenant, uint8_t ledger, size_t i) {
    return (uint32_t)(1 + (seed_of(tenant, ledger, i) * 97) % 1300);
}

/* An object sealed for one tenant and ledger is absent from the others. */
static void check_sealed(struct rig *rig, uint32_t tenants, size_t sealed) {
    for (uint32_t tenant = 0; tenant < 2; tenant++) {
        for (uint8_t ledger = 0; ledger < 2; ledger++) {
            for (size_t i = 0; i < OBJECTS; i++) {
                struct object object = in_ledger(objects[i], ledger);
                if (tenant >= tenants || i >= sealed) {
                    check_none(rig, tenant, object);
                } else {
                    check_object(rig, tenant, object, seed_of(tenant, ledger, i),
                                 length_of(tenant, ledger, i));
                }
            }
        }
    }
}

TEST(every_kind_is_sealed_and_read) {
    struct rig *rig = open_new();
    for (uint32_t tenant = 0; tenant < 2; tenant++) {
        for (size_t i = 0; i < OBJECTS; i++) {
            for (uint8_t ledger = 0; ledger < 2; ledger++) {
                CHECK_SAME(seal(rig, tenant, in_ledger(objects[i], ledger), seed_of(tenant, ledger, i),
                                length_of(tenant, ledger, i)),
                           PSDB_OK);
            }
        }
        check_sealed(rig, tenant + 1, OBJECTS);
    }
    rig = reopen(rig);
    check_sealed(rig, 2, OBJECTS);
    end(rig);
}

TEST(names_modes_and_times_of_members) {
    struct rig *rig = open_new();
    for (size_t i = 0; i < OBJECTS; i++)
        CHECK_SAME(seal(rig, 0, in_ledger(objects[i], PSDB_AUDIT), i, 20), PSDB_OK);
    CHECK_SAME(commit(rig, 0, PSDB_MAIN, 512, 513, 7, 100), PSDB_OK);
    CHECK_SAME(commit(rig, 1, PSDB_AUDIT, 1234567890123456, 1234567890123457, 7, 513), PSDB_OK);
    CHECK_SAME(publish(rig, 0, PSDB_MAIN, 8, 512), PSDB_OK);
    CHECK_SAME(publish(rig, 1, PSDB_AUDIT, 9, 1), PSDB_OK);
    struct archive archive = archive_read(rig->disk->bytes, DISK, 0);
    archive_check_groups(&archive, rig->disk->bytes);
    CHECK(archive.error[0] == '\0');
    for (size_t i = 0; i < OBJECTS; i++) {
        struct object object = in_ledger(objects[i], PSDB_AUDIT);
        const struct member *member = archive_find(&archive, object_path("acme", &object));
        if (member == NULL) FAIL("no member %s", object_path("acme", &object));
        CHECK_SAME(member->mode, 0444);
        CHECK_SAME(member->size, 20);
        CHECK_SAME(member->mtime, NOW);
        CHECK(member->type == '0' && member->link[0] == '\0');
    }
    static const char *const others[] = {"acme/tail/000000000512", "other/audit/tail/1234567890123456",
                                         "acme/checkpoint", "other/audit/checkpoint"};
    for (size_t i = 0; i < 4; i++) {
        const struct member *member = archive_find(&archive, others[i]);
        if (member == NULL) FAIL("no member %s", others[i]);
        CHECK_SAME(member->mode, 0600);
        CHECK_SAME(member->mtime, NOW);
    }
    CHECK(strcmp(archive.members[0].name, COMMIT_NAME) == 0);
    CHECK(strcmp(archive.members[1].name, "acme/") == 0 && archive.members[1].type == '5');
    CHECK_SAME(check_archive(rig->disk, "acme/"), 1);
    CHECK_SAME(check_archive(rig->disk, "other/"), 1);
    archive_free(&archive);
    rig = reopen(rig);
    CHECK_SAME(seal(rig, 0, README(PSDB_MAIN), 1, 5), PSDB_OK);
    CHECK_SAME(check_archive(rig->disk, "acme/"), 1);
    check_object(rig, 1, TAIL_FILE(PSDB_AUDIT, 1234567890123456), 7, 513);
    end(rig);
}

TEST(the_longest_name) {
    static const char name[] = "a23456789-123456789-123456789-123456789-123456789-123456789-123";
    struct rig_options options = {.names = {name, "b"}};
    struct rig *rig = rig_open(disk_make(DISK), &options);
    CHECK(rig != NULL);
    struct object longest[] = {BUNDLE(PSDB_AUDIT, (PSDB_MAX_SIZE >> 8) - 1),
                               TILE(PSDB_AUDIT, 0, 35184372088830), VKEY(PSDB_AUDIT, "abcdefghijklmnop"),
                               TAIL_FILE(PSDB_AUDIT, PSDB_MAX_SIZE - 1)};
    for (uint64_t i = 0; i < 3; i++) CHECK_SAME(seal(rig, 0, longest[i], i, 100), PSDB_OK);
    CHECK_SAME(commit(rig, 0, PSDB_AUDIT, PSDB_MAX_SIZE - 1, PSDB_MAX_SIZE, 3, 100), PSDB_OK);
    for (int again = 0; again < 2; again++) {
        for (uint64_t i = 0; i < 4; i++) check_object(rig, 0, longest[i], i, 100);
        if (again == 0) rig = reopen(rig);
    }
    for (uint64_t i = 0; i < 4; i++) CHECK_SAME(check_archive(rig->disk, object_path(name, &longest[i])), 1);
    end(rig);
}

TEST(lengths_at_the_edges_of_sectors_and_of_the_buffer) {
    static const uint32_t lengths[] = {1,           511,    512,    513,    1023,  1024,  1025,
                                       65535 - 512, 64512,  65023,  65024,  65025, 65535, 65536,
                                       65537,       131072, 131073, 200000, 262144};
    struct rig *rig = open_new();
    for (uint64_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        CHECK_SAME(seal(rig, 0, BUNDLE(0, i), i, lengths[i]), PSDB_OK);
    for (int again = 0; again < 2; again++) {
        for (uint64_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            check_object(rig, 0, BUNDLE(0, i), i, lengths[i]);
            CHECK_SAME(seal(rig, 0, BUNDLE(0, i), i, lengths[i]), PSDB_OK);
            CHECK_SAME(seal(rig, 0, BUNDLE(0, i), i + 1, lengths[i]), PSDB_CONFLICT);
        }
        if (again == 0) rig = reopen(rig);
    }
    end(rig);
}

TEST(the_same_bytes_again_and_others) {
    struct rig *rig = open_new();
    CHECK_SAME(seal(rig, 0, TILE(0, 0, 3), 1, 11520), PSDB_OK);
    uint64_t written = rig->sectors_written;
    for (int again = 0; again < 2; again++) {
        CHECK_SAME(seal(rig, 0, TILE(0, 0, 3), 1, 11520), PSDB_OK);
        CHECK_SAME(seal(rig, 0, TILE(0, 0, 3), 2, 11520), PSDB_CONFLICT);
        CHECK_SAME(seal(rig, 0, TILE(0, 0, 3), 1, 11519), PSDB_CONFLICT);
        CHECK_SAME(seal(rig, 0, TILE(0, 0, 3), 1, 11521), PSDB_CONFLICT);
        CHECK_SAME(rig->sectors_written, again == 0 ? written : 0);
        check_object(rig, 0, TILE(0, 0, 3), 1, 11520);
        if (again == 0) rig = reopen(rig);
    }
    /* One bit, in the first and in the last byte. */
    uint8_t *region = rig->tenants[0].region;
    for (uint32_t i = 0; i < 2; i++) {
        random_bytes(1, region, 11520);
        region[i * 11519] ^= 0x80;
        struct psdb_request request = seal_request(TILE(0, 0, 3), 0, 11520);
        CHECK_SAME(rig_ask(rig, 0, &request).status, PSDB_CONFLICT);
    }
    CHECK_SAME(check_archive(rig->disk, "acme/tile/0/003.b64"), 1);
    end(rig);
}

/* Submits SEALs of one object that differ by their offset in the region, and runs them together. */
static void seal_together(struct rig *rig, struct object object, const uint32_t *offsets, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct psdb_request request = seal_request(object, offsets[i], 1000);
        CHECK(rig_submit(rig, 0, &request));
    }
    rig_run(rig);
}

struct counts {
    unsigned by_status[PSDB_INVALID + 1];
};

static void count_answer(struct rig *rig, uint32_t tenant, const struct psdb_response *response) {
    (void)tenant;
    ((struct counts *)rig->options.context)->by_status[response->status]++;
}

TEST(two_writers_of_one_object_in_one_group) {
    struct rig *rig = open_new();
    struct counts counts = {{0}};
    static const uint32_t same[] = {0, 4096, 0};
    static const uint32_t other[] = {0, 8192, 4096};
    rig->options.answered = count_answer;
    rig->options.context = &counts;
    uint8_t *region = rig->tenants[0].region;
    random_bytes(1, region, 1000);
    random_bytes(1, region + 4096, 1000);
    random_bytes(2, region + 8192, 1000);
    seal_together(rig, README(0), same, 3);
    CHECK_SAME(counts.by_status[PSDB_OK], 3);
    seal_together(rig, ORIGIN(0), other, 3);
    CHECK_SAME(counts.by_status[PSDB_OK], 5);
    CHECK_SAME(counts.by_status[PSDB_CONFLICT], 1);
    rig->options.answered = NULL;
    rig = reopen(rig);
    check_object(rig, 0, README(0), 1, 1000);
    check_object(rig, 0, ORIGIN(0), 1, 1000);
    CHECK_SAME(check_archive(rig->disk, "acme/origin"), 1);
    CHECK_SAME(check_archive(rig->disk, "acme/README.txt"), 1);
    end(rig);
}

TEST(verify_sh_is_beside_the_readme) {
    struct rig *rig = open_new();
    struct psdb_request third = seal_request(VERIFIER(0), 0, 100);
    CHECK_SAME(seal(rig, 0, README(0), 1, 1000), PSDB_OK);
    check_none(rig, 0, VERIFIER(0));
    CHECK_SAME(seal(rig, 0, VERIFIER(0), 2, 40000), PSDB_OK);
    CHECK_SAME(seal(rig, 0, VERIFIER(1), 3, 10), PSDB_OK);
    CHECK_SAME(seal(rig, 0, VERIFIER(0), 1, 1000), PSDB_CONFLICT);
    third.index = 2;
    CHECK_SAME(rig_ask(rig, 0, &third).status, PSDB_INVALID);
    for (int i = 0; i < 2; i++) {
        check_object(rig, 0, README(0), 1, 1000);
        check_object(rig, 0, VERIFIER(0), 2, 40000);
        check_object(rig, 0, VERIFIER(1), 3, 10);
        rig = reopen(rig);
    }
    CHECK_SAME(check_archive(rig->disk, "acme/README.txt"), 1);
    CHECK_SAME(check_archive(rig->disk, "acme/verify.sh"), 1);
    CHECK_SAME(check_archive(rig->disk, "acme/audit/verify.sh"), 1);
    end(rig);
}

TEST(waiting_writes_of_all_tenants_join_one_group) {
    struct rig *rig = open_new();
    const uint64_t flushes = rig->flushes;
    for (uint32_t tenant = 0; tenant < 2; tenant++) {
        random_bytes(tenant + 1, rig->tenants[tenant].region, 2000);
        struct psdb_request requests[] = {seal_request(BUNDLE(0, 0), 0, 2000), publish_request(1, 0, 2000),
                                          commit_request(0, 0, 1, 0, 2000), seal_request(README(1), 0, 2000)};
        for (size_t i = 0; i < 4; i++) CHECK(rig_submit(rig, tenant, &requests[i]));
    }
    rig_run(rig);
    CHECK_SAME(rig->answers, 8);
    CHECK_SAME(check_archive(rig->disk, COMMIT_NAME), 1);
    CHECK_SAME(rig->flushes, flushes + 2);
    rig = reopen(rig);
    for (uint32_t tenant = 0; tenant < 2; tenant++) {
        check_object(rig, tenant, BUNDLE(0, 0), tenant + 1, 2000);
        check_object(rig, tenant, CHECKPOINT(1), tenant + 1, 2000);
        check_object(rig, tenant, TAIL_FILE(0, 0), tenant + 1, 2000);
        check_object(rig, tenant, README(1), tenant + 1, 2000);
    }
    end(rig);
}

TEST(read_from_a_place_on) {
    struct rig *rig = open_new();
    static uint8_t bytes[3000];
    random_bytes(5, bytes, sizeof bytes);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 0), 5, sizeof bytes), PSDB_OK);
    static const uint32_t ats[] = {0, 1, 511, 512, 513, 1024, 2559, 2560, 2561, 2998, 2999, 3000};
    static const uint32_t lengths[] = {0, 1, 2, 511, 512, 513, 2999, 3000, 3001, 100000};
    uint8_t *region = rig->tenants[0].region;
    for (size_t a = 0; a < sizeof ats / sizeof ats[0]; a++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            struct psdb_request request = read_request(BUNDLE(0, 0), ats[a], 77, lengths[l]);
            note("at %u, length %u", ats[a], lengths[l]);
            memset(region, 0x33, 110000);
            struct psdb_response response = rig_ask(rig, 0, &request);
            uint32_t rest = (uint32_t)sizeof bytes - ats[a];
            uint32_t expected = rest < lengths[l] ? rest : lengths[l];
            CHECK_SAME(response.status, PSDB_OK);
            CHECK_SAME(response.value, sizeof bytes);
            CHECK_SAME(response.length, expected);
            CHECK_BYTES(region + 77, bytes + ats[a], expected);
            CHECK(region[76] == 0x33 && region[77 + expected] == 0x33);
        }
    }
    end(rig);
}

TEST(at_behind_the_end_gives_no_bytes) {
    struct rig *rig = open_new();
    CHECK_SAME(seal(rig, 0, README(0), 5, 100), PSDB_OK);
    static const uint64_t ats[] = {101,           512,        513,       1u << 20, (1ull << 32) + 50,
                                   PSDB_MAX_SIZE, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof ats / sizeof ats[0]; i++) {
        struct psdb_request request = read_request(README(0), ats[i], 0, 1000);
        memset(rig->tenants[0].region, 0x33, 1000);
        struct psdb_response response = rig_ask(rig, 0, &request);
        note("at %llu", (unsigned long long)ats[i]);
        CHECK(response.status == PSDB_OK || response.status == PSDB_INVALID);
        if (response.status == PSDB_INVALID) CHECK_SAME(response.field, offsetof(struct psdb_request, at));
        CHECK_SAME(response.length, 0);
        for (size_t k = 0; k < 1000; k++) CHECK(rig->tenants[0].region[k] == 0x33);
    }
    end(rig);
}

TEST(checkpoint_is_replaced_by_later_members) {
    struct rig *rig = open_new();
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_SAME(publish(rig, 0, 0, 10 + i, (uint32_t)(200 * i + 1)), PSDB_OK);
        CHECK_SAME(publish(rig, 0, 1, 20 + i, 30), PSDB_OK);
        check_object(rig, 0, CHECKPOINT(0), 10 + i, 200 * i + 1);
        check_none(rig, 1, CHECKPOINT(0));
    }
    CHECK_SAME(check_archive(rig->disk, "acme/checkpoint"), 5);
    rig = reopen(rig);
    check_object(rig, 0, CHECKPOINT(0), 14, 801);
    check_object(rig, 0, CHECKPOINT(1), 24, 30);
    CHECK_SAME(publish(rig, 0, 0, 14, 801), PSDB_OK);
    check_object(rig, 0, CHECKPOINT(0), 14, 801);
    end(rig);
}

TEST(the_last_of_several_publishes_in_one_group) {
    struct rig *rig = open_new();
    for (uint32_t i = 0; i < 5; i++) {
        random_bytes(i, rig->tenants[0].region + i * 1000, 1000);
        struct psdb_request request = publish_request(0, i * 1000, 1000);
        CHECK(rig_submit(rig, 0, &request));
    }
    rig_run(rig);
    check_object(rig, 0, CHECKPOINT(0), 4, 1000);
    rig = reopen(rig);
    check_object(rig, 0, CHECKPOINT(0), 4, 1000);
    end(rig);
}

TEST(commits_go_forward) {
    struct rig *rig = open_new();
    static const uint64_t starts[] = {0, 1, 5, 300};
    for (size_t i = 0; i < 3; i++) CHECK_SAME(commit(rig, 0, 0, starts[i], starts[i + 1], i, 100), PSDB_OK);
    CHECK_SAME(commit(rig, 0, 0, 300, 400, 3, 100), PSDB_OK);
    for (int again = 0; again < 2; again++) {
        CHECK_SAME(commit(rig, 0, 0, 300, 400, 3, 100), PSDB_CONFLICT);
        CHECK_SAME(commit(rig, 0, 0, 299, 400, 3, 100), PSDB_CONFLICT);
        CHECK_SAME(commit(rig, 0, 0, 0, 1, 0, 100), PSDB_CONFLICT);
        for (size_t i = 0; i < 4; i++) check_object(rig, 0, TAIL_FILE(0, starts[i]), i, 100);
        check_none(rig, 0, TAIL_FILE(0, 2));
        check_tail(rig, 0, 0, starts, 4);
        check_tail(rig, 0, 1, NULL, 0);
        check_tail(rig, 1, 0, NULL, 0);
        if (again == 0) rig = reopen(rig);
    }
    CHECK_SAME(commit(rig, 0, 1, 0, 1, 9, 100), PSDB_OK);
    CHECK_SAME(commit(rig, 0, 0, 400, 401, 9, 100), PSDB_OK);
    end(rig);
}

TEST(two_commits_of_one_start_in_one_group) {
    struct rig *rig = open_new();
    struct counts counts = {{0}};
    static const uint64_t starts[] = {0, 5, 5, 0, 7};
    rig->options.answered = count_answer;
    rig->options.context = &counts;
    for (uint32_t i = 0; i < 5; i++) {
        random_bytes(i, rig->tenants[0].region + i * 1000, 1000);
        struct psdb_request request = commit_request(0, starts[i], starts[i] + 1, i * 1000, 1000);
        CHECK(rig_submit(rig, 0, &request));
    }
    rig_run(rig);
    CHECK_SAME(counts.by_status[PSDB_OK], 3);
    CHECK_SAME(counts.by_status[PSDB_CONFLICT], 2);
    rig->options.answered = NULL;
    rig = reopen(rig);
    check_tail(rig, 0, 0, (const uint64_t[]){0, 5, 7}, 3);
    check_object(rig, 0, TAIL_FILE(0, 0), 0, 1000);
    check_object(rig, 0, TAIL_FILE(0, 5), 1, 1000);
    end(rig);
}

static void check_trimmed(struct rig *rig, const uint64_t *starts, uint64_t count, uint64_t bundles) {
    check_tail(rig, 0, 0, starts, count);
    CHECK_SAME(ask_stat(rig, 0, 0).index, bundles);
}

TEST(sealed_bundles_trim_the_tail) {
    struct rig *rig = open_new();
    static const uint64_t starts[] = {0, 100, 256, 300, 512, 513, 700, 1100};
    for (size_t i = 0; i < 8; i++) CHECK_SAME(commit(rig, 0, 0, starts[i], starts[i] + 1, i, 100), PSDB_OK);
    check_trimmed(rig, starts, 8, 0);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 1), 1, 100), PSDB_OK);
    check_trimmed(rig, starts, 8, 0);
    CHECK_SAME(seal(rig, 0, TILE(0, 0, 0), 1, 100), PSDB_OK);
    CHECK_SAME(seal(rig, 0, BUNDLE(1, 0), 1, 100), PSDB_OK);
    CHECK_SAME(seal(rig, 1, BUNDLE(0, 0), 1, 100), PSDB_OK);
    check_trimmed(rig, starts, 8, 0);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 0), 1, 100), PSDB_OK);
    rig = reopen(rig);
    check_trimmed(rig, starts + 4, 4, 2);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 2), 1, 100), PSDB_OK);
    check_trimmed(rig, starts + 6, 2, 3);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 4), 1, 100), PSDB_OK);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 3), 1, 100), PSDB_OK);
    check_trimmed(rig, starts + 7, 1, 5);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 6), 1, 100), PSDB_OK);
    check_trimmed(rig, starts + 7, 1, 5);
    rig = reopen(rig);
    check_trimmed(rig, starts + 7, 1, 5);
    /* Tail files that are not listed still exist. */
    for (size_t i = 7; i < 8; i++) check_object(rig, 0, TAIL_FILE(0, starts[i]), i, 100);
    end(rig);
}

/* No object holds the entries before it: listing such a tail answers CORRUPT until they are sealed. */
TEST(a_tail_that_begins_behind_what_is_sealed) {
    struct rig *rig = open_new();
    struct psdb_request request = tail_request(0, 0, 0, 800);
    CHECK_SAME(commit(rig, 0, 0, 300, 301, 1, 100), PSDB_OK);
    CHECK_SAME(commit(rig, 0, 0, 600, 601, 1, 100), PSDB_OK);
    for (int again = 0; again < 2; again++) {
        CHECK_SAME(rig_ask(rig, 0, &request).status, PSDB_CORRUPT);
        check_object(rig, 0, TAIL_FILE(0, 300), 1, 100);
        CHECK_SAME(ask_stat(rig, 0, 0).status, PSDB_OK);
        rig = reopen(rig);
    }
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 0), 1, 100), PSDB_OK);
    CHECK_SAME(rig_ask(rig, 0, &request).status, PSDB_CORRUPT);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 1), 1, 100), PSDB_OK);
    check_trimmed(rig, (const uint64_t[]){300, 600}, 2, 2);
    end(rig);
}

TEST(the_tail_in_pieces) {
    struct rig *rig = open_new();
    for (uint64_t i = 0; i < 50; i++) CHECK_SAME(commit(rig, 0, 0, 10 * i, 10 * i + 1, i, 10), PSDB_OK);
    uint8_t *region = rig->tenants[0].region;
    for (uint64_t from = 0; from <= 500; from += 5) {
        for (uint32_t room = 0; room < 70; room += 9) {
            struct psdb_request request = tail_request(0, from, 40, room);
            memset(region, 0x44, 1000);
            struct psdb_response response = rig_ask(rig, 0, &request);
            note("from %llu, room %u", (unsigned long long)from, room);
            if (response.status == PSDB_INVALID && room % 8 != 0) continue;
            uint64_t first = (from + 9) / 10;
            uint64_t rest = 50 - first;
            uint64_t expected = rest < room / 8 ? rest : room / 8;
            CHECK_SAME(response.status, PSDB_OK);
            CHECK_SAME(response.value, rest);
            CHECK_SAME(response.length, expected * 8);
            CHECK(region[39] == 0x44 && region[40 + expected * 8] == 0x44);
            for (uint64_t i = 0; i < expected; i++) {
                uint64_t start = 0;
                memcpy(&start, region + 40 + 8 * i, 8);
                CHECK_SAME(start, 10 * (first + i));
            }
        }
    }
    end(rig);
}

TEST(a_full_queue) {
    struct rig *rig = open_new();
    for (int round = 0; round < 3; round++) {
        for (uint32_t tenant = 0; tenant < 2; tenant++) {
            struct psdb_request request = stat_request(0);
            for (unsigned i = 0; i < PSDB_QUEUE; i++) {
                request.id = i;
                CHECK(rig_submit(rig, tenant, &request));
            }
            CHECK(!rig_submit(rig, tenant, &request));
        }
        rig_run(rig);
        CHECK_SAME(rig->answers, (uint64_t)(round + 1) * 2 * PSDB_QUEUE);
    }
    end(rig);
}

TEST(a_queue_full_of_writes) {
    struct rig *rig = open_new();
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < PSDB_QUEUE; i++) {
            random_bytes((uint64_t)round * 100 + i, rig->tenants[0].region + i * 1000, 700);
            struct psdb_request request =
                seal_request(BUNDLE(0, (uint64_t)round * 100 + i), (uint32_t)i * 1000, 700);
            CHECK(rig_submit(rig, 0, &request));
        }
        rig_run(rig);
    }
    rig = reopen(rig);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < PSDB_QUEUE; i++)
            check_object(rig, 0, BUNDLE(0, round * 100 + i), round * 100 + i, 700);
    }
    end(rig);
}

TEST(requests_wait_while_the_disk_is_opened) {
    struct rig *rig = open_new();
    CHECK_SAME(seal(rig, 0, README(0), 1, 100), PSDB_OK);
    struct disk *disk = rig->disk;
    rig_close(rig);
    rig = rig_start(disk, NULL);
    CHECK(rig != NULL);
    CHECK_SAME(psdb_state(rig->store), PSDB_OPENING);
    struct psdb_request read = read_request(README(0), 0, 0, 1000);
    struct psdb_request write = seal_request(ORIGIN(0), 5000, 100);
    CHECK(rig_submit(rig, 0, &read));
    CHECK(rig_submit(rig, 0, &write));
    while (psdb_state(rig->store) == PSDB_OPENING) {
        CHECK_SAME(rig->answers, 0);
        CHECK(rig_step(rig));
    }
    rig_run(rig);
    CHECK_SAME(rig->answers, 2);
    check_object(rig, 0, README(0), 1, 100);
    end(rig);
}

/* A READ that comes while a group is written is answered before the group is durable. */
static void answered_between(struct rig *rig, uint32_t tenant, const struct psdb_response *response) {
    (void)tenant;
    if (response->opcode == (PSDB_READ | 0x80)) CHECK(rig->waiting_count > 0);
}

TEST(reads_are_served_between_the_operations_of_a_group) {
    struct rig *rig = open_new();
    CHECK_SAME(seal(rig, 1, README(0), 1, 3000), PSDB_OK);
    random_bytes(9, rig->tenants[0].region, 200000);
    struct psdb_request write = seal_request(BUNDLE(0, 0), 0, 200000);
    struct psdb_request read = read_request(README(0), 0, 0, 4000);
    CHECK(rig_submit(rig, 0, &write));
    for (int i = 0; i < 3; i++) CHECK(rig_step(rig));
    rig->options.answered = answered_between;
    CHECK(rig_submit(rig, 1, &read));
    rig_run(rig);
    rig->options.answered = NULL;
    check_object(rig, 0, BUNDLE(0, 0), 9, 200000);
    check_object(rig, 1, README(0), 1, 3000);
    end(rig);
}

TEST(free_sectors_count_down) {
    struct rig *rig = open_new();
    uint64_t before = ask_stat(rig, 0, 0).extra;
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_SAME(seal(rig, 0, BUNDLE(0, i), i, 5000), PSDB_OK);
        uint64_t after = ask_stat(rig, 0, 0).extra;
        CHECK(after < before);
        if (i > 0) CHECK_SAME(before - after, 2 + 1 + 10);
        CHECK_SAME(ask_stat(rig, 1, 1).extra, after);
        before = after;
    }
    rig = reopen(rig);
    CHECK_SAME(ask_stat(rig, 1, 1).extra, before);
    end(rig);
}

TEST(a_read_finds_a_broken_header) {
    struct rig *rig = open_new();
    CHECK_SAME(seal(rig, 0, README(0), 1, 100), PSDB_OK);
    CHECK_SAME(seal(rig, 0, ORIGIN(0), 2, 100), PSDB_OK);
    CHECK_SAME(publish(rig, 0, 0, 3, 100), PSDB_OK);
    CHECK_SAME(commit(rig, 0, 0, 0, 1, 3, 100), PSDB_OK);
    struct archive archive = archive_read(rig->disk->bytes, DISK, 0);
    static const char *const names[] = {"acme/README.txt", "acme/origin", "acme/checkpoint",
                                        "acme/tail/000000000000"};
    const struct object broken[] = {README(0), ORIGIN(0), CHECKPOINT(0), TAIL_FILE(0, 0)};
    for (size_t i = 0; i < 4; i++) {
        const struct member *member = archive_find(&archive, names[i]);
        CHECK(member != NULL);
        const struct member *another = archive_find(&archive, names[(i + 1) % 4]);
        uint8_t *header = disk_at(rig->disk, member->sector);
        uint8_t kept[SECTOR];
        memcpy(kept, header, SECTOR);
        for (int way = 0; way < 3; way++) {
            note("%s, way %d", names[i], way);
            if (way == 0) {
                header[3] ^= 1;
            } else if (way == 1) {
                memset(header, 0, SECTOR);
            } else {
                memcpy(header, disk_at(rig->disk, another->sector), SECTOR);
            }
            struct psdb_request request = read_request(broken[i], 0, 0, 1000);
            memset(rig->tenants[0].region, 0x33, 1000);
            struct psdb_response response = rig_ask(rig, 0, &request);
            CHECK_SAME(response.status, PSDB_CORRUPT);
            CHECK_SAME(response.length, 0);
            for (size_t k = 0; k < 1000; k++) CHECK(rig->tenants[0].region[k] == 0x33);
            memcpy(header, kept, SECTOR);
            CHECK_SAME(rig_ask(rig, 0, &request).status, PSDB_OK);
        }
    }
    archive_free(&archive);
    end(rig);
}

TEST(configurations_that_are_not_usable) {
    struct disk *disk = disk_make(DISK);
    static const struct rig_options wrong[] = {
        {.names = {""}},
        {.names = {"-a"}},
        {.names = {"Acme"}},
        {.names = {"a/b"}},
        {.names = {"a."}},
        {.names = {".."}},
        {.names = {"a23456789-123456789-123456789-123456789-123456789-123456789-1234"}},
        {.names = {"acme", "acme"}},
        {.names = {"acme"}, .buffer_bytes = 65024},
        {.names = {"acme"}, .buffer_bytes = 65537},
        {.names = {"acme"}, .slots = 1000},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        note("configuration %u", (unsigned)i);
        CHECK(rig_start(disk, &wrong[i]) == NULL);
    }
    disk_free(disk);
}

/* Configurations that the rig itself cannot make. */
TEST(configurations_without_memory) {
    struct rig *rig = open_new();
    struct psdb *store = aligned_alloc(16, (psdb_bytes() + 15) / 16 * 16);
    CHECK(store != NULL);
    for (unsigned way = 0; way < 14; way++) {
        struct psdb_config config = rig->config;
        struct psdb_tenant tenants[32];
        for (unsigned i = 0; i < 32; i++) tenants[i] = rig->tenants[0];
        config.tenants = tenants;
        config.tenant_count = 1;
        if (way == 0) config.disk_sectors = 0;
        if (way == 1) config.disk_sectors = UINT64_MAX;
        if (way == 2) config.buffer = NULL;
        if (way == 3) config.slots = NULL;
        if (way == 4) config.slot_count = 0;
        if (way == 5) config.slot_count = 2;
        if (way == 6) config.tails = NULL;
        if (way == 7) config.tails_each = 0;
        if (way == 8) config.tenants = NULL;
        if (way == 9) config.tenant_count = 0;
        if (way == 10) config.tenant_count = 32;
        if (way == 11) tenants[0].name = NULL;
        if (way == 12) tenants[0].region = NULL;
        if (way == 13) config.buffer_bytes = 0;
        note("way %u", way);
        memset(store, 0, psdb_bytes());
        rig->reports[0] = '\0';
        CHECK(!psdb_start(store, &config));
        CHECK_SAME(psdb_state(store), PSDB_STOPPED);
        CHECK_HAS(rig->reports, "not a usable configuration");
    }
    free(store);
    end(rig);
}
