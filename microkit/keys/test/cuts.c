/* Power cuts at every write and flush, errors at every operation, damaged and foreign disks. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

static struct rig rig;
static char out[KEYS_SLOT + 1];

#define LEDGERS 4u

/* A ledger, with the signed checkpoints that became durable in it. */
static struct {
    char vkey[400];
    uint64_t size;
    uint64_t kept; /* the newest size that keys has acknowledged */
    uint8_t root;
    char line[400];
} ledgers[LEDGERS];

static void copy(char *to, size_t room, const char *text) {
    const size_t length = strlen(text);
    CHECK(length < room);
    memcpy(to, text, length + 1);
}

/* Checks that no kept checkpoint is replaced, and that the ledger can continue. */
static void check_ledgers(void) {
    for (uint32_t i = 0; i < LEDGERS; i++) {
        const uint32_t tenant = i / 2;
        const uint8_t ledger = i % 2;
        CHECK_SAME(rig_vkey(&rig, tenant, ledger, out), KEYS_OK);
        if (ledgers[i].vkey[0] != '\0') CHECK(strcmp(out, ledgers[i].vkey) == 0);
        copy(ledgers[i].vkey, sizeof ledgers[i].vkey, out);
        int64_t size;
        uint8_t root;
        CHECK_SAME(rig_mark(&rig, tenant, ledger, &size, &root), KEYS_OK);
        CHECK(size >= (int64_t)ledgers[i].kept || ledgers[i].kept == 0);
        /* The ledger has the last checkpoint that it reported to keys as durable, even if a power cut lost
         * the answer. */
        CHECK(size <= (int64_t)ledgers[i].size);
        if (ledgers[i].kept == 0) continue;
        const uint8_t other = ledgers[i].root ^ 1;
        CHECK_SAME(rig_checkpoint(&rig, tenant, ledger, ledgers[i].kept - 1, other, out), KEYS_REFUSED);
        CHECK_SAME(rig_checkpoint(&rig, tenant, ledger, ledgers[i].kept, other, out), KEYS_REFUSED);
        const struct record_last *last = &rig.store.ledgers[i].last;
        if (ledgers[i].size > ledgers[i].kept || last->size > ledgers[i].kept) continue;
        CHECK_SAME(rig_checkpoint(&rig, tenant, ledger, ledgers[i].kept, ledgers[i].root, out), KEYS_OK);
        CHECK(strcmp(out, ledgers[i].line) == 0);
    }
}

/* Signs `count` times, or until a power cut, which may come before the ledger has the checkpoint. */
static void sign_on(uint32_t count) {
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t i = rig_random(&rig, LEDGERS);
        const uint64_t size = ledgers[i].size + 1 + rig_random(&rig, 3);
        const uint8_t root = (uint8_t)rig_random(&rig, 256);
        const int status = rig_checkpoint(&rig, i / 2, i % 2, size, root, out);
        if (status < 0) return;
        CHECK_SAME(status, KEYS_OK);
        if (rig_random(&rig, 20) == 0) {
            rig.is_cut = true;
            return;
        }
        ledgers[i].size = size;
        ledgers[i].root = root;
        copy(ledgers[i].line, sizeof ledgers[i].line, out);
        const int kept = rig_kept(&rig, i / 2, i % 2);
        if (kept < 0) return;
        CHECK_SAME(kept, KEYS_OK);
        ledgers[i].kept = size;
    }
}

/* Starts again and again, each time with a power cut at another place, even while keys are made. */
TEST(the_power_goes_at_every_write) {
    const uint64_t rounds = setting("KEYS_TEST_ROUNDS", 60);
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        memset(ledgers, 0, sizeof ledgers);
        rig_make(&rig, seed, LEDGERS / 2);
        for (uint32_t cut = 1; cut <= 24; cut++) {
            note("seed %llu, cut %u", (unsigned long long)seed, cut);
            rig.cut_at = cut;
            rig_boot(&rig);
            if (!rig.is_cut) {
                check_ledgers();
                sign_on(20);
            }
            CHECK(rig.is_cut);
        }
        rig.cut_at = 0;
        rig_boot(&rig);
        check_ledgers();
        sign_on(20);
        rig_free(&rig);
    }
}

TEST(the_disk_fails_at_every_operation) {
    for (uint32_t fail = 1; fail < 420; fail++) {
        note("operation %u", fail);
        memset(ledgers, 0, sizeof ledgers);
        rig_make(&rig, fail, LEDGERS / 2);
        rig.fail_at = fail;
        rig_boot(&rig);
        int status = KEYS_OK;
        for (uint64_t size = 1; size < 30 && status == KEYS_OK; size++) {
            status = rig_checkpoint(&rig, 0, 0, size, 1, out);
            if (status == KEYS_OK) status = rig_kept(&rig, 0, 0);
            if (status == KEYS_OK) ledgers[0].kept = size;
        }
        if (status != KEYS_OK) {
            CHECK_SAME(status, KEYS_FAILED);
            CHECK_HAS(rig.said, "the key disk has failed: nothing is signed");
            for (uint32_t i = 0; i < LEDGERS; i++) {
                CHECK_SAME(rig_checkpoint(&rig, i / 2, i % 2, 100, 1, out), KEYS_FAILED);
                CHECK_SAME(rig_vkey(&rig, i / 2, i % 2, out), KEYS_FAILED);
            }
        }
        rig.fail_at = 0;
        rig_boot(&rig);
        if (ledgers[0].kept > 0) {
            CHECK_SAME(rig_checkpoint(&rig, 0, 0, ledgers[0].kept, 2, out), KEYS_REFUSED);
        }
        CHECK_SAME(rig_checkpoint(&rig, 0, 0, 100, 1, out), KEYS_OK);
        rig_free(&rig);
    }
}

static uint64_t sectors_used[40];

static uint32_t find_used(void) {
    uint32_t count = 0;
    for (uint64_t i = 0; i < rig.sectors; i++) {
        bool used = false;
        for (uint32_t at = 0; at < RECORD_BYTES; at++) used = used || rig.durable[i * RECORD_BYTES + at] != 0;
        if (used) sectors_used[count++] = i;
    }
    return count;
}

/* After any change of one byte, no key replaces an existing one, at most one ledger is affected, and no
 * checkpoint before the last one is undone. */
TEST(a_changed_byte) {
    char vkeys[LEDGERS][400];
    rig_make(&rig, 11, LEDGERS / 2);
    rig_boot(&rig);
    for (uint32_t i = 0; i < LEDGERS; i++) {
        (void)rig_vkey(&rig, i / 2, i % 2, vkeys[i]);
        CHECK_SAME(rig_checkpoint(&rig, i / 2, i % 2, 5, 1, out), KEYS_OK);
        CHECK_SAME(rig_kept(&rig, i / 2, i % 2), KEYS_OK);
        CHECK_SAME(rig_checkpoint(&rig, i / 2, i % 2, 8, 1, out), KEYS_OK);
    }
    const size_t bytes = rig.sectors * RECORD_BYTES;
    uint8_t *whole = malloc(bytes);
    memcpy(whole, rig.durable, bytes);
    const uint32_t count = find_used();
    CHECK_SAME(count, 2 + 3 * LEDGERS);
    for (uint32_t sector = 0; sector < count; sector++) {
        for (uint32_t at = 0; at < RECORD_BYTES; at += 1 + rig_random(&rig, 6)) {
            note("sector %u, byte %u", (unsigned)sectors_used[sector], at);
            memcpy(rig.durable, whole, bytes);
            rig.durable[sectors_used[sector] * RECORD_BYTES + at] ^= (uint8_t)(1 + rig_random(&rig, 255));
            rig_boot(&rig);
            CHECK(strstr(rig.said, "a key is made") == NULL);
            uint32_t failed = 0;
            for (uint32_t i = 0; i < LEDGERS; i++) {
                const int status = rig_checkpoint(&rig, i / 2, i % 2, 4, 1, out);
                CHECK(status == KEYS_REFUSED || status == KEYS_FAILED);
                failed += status == KEYS_FAILED;
                if (status == KEYS_FAILED) continue;
                CHECK_SAME(rig_vkey(&rig, i / 2, i % 2, out), KEYS_OK);
                CHECK(strcmp(out, vkeys[i]) == 0);
            }
            /* Without the superblock's magic the disk is a foreign one, and all keys fail. */
            CHECK(failed <= 1 || (sector < 2 && at < 16 && failed == LEDGERS));
        }
    }
    free(whole);
    rig_free(&rig);
}

TEST(another_disk_is_left_alone) {
    rig_make(&rig, 12, 2);
    for (uint32_t round = 0; round < 3000; round++) {
        const uint32_t holes = rig_random(&rig, 3);
        memset(rig.durable, 0, rig.sectors * RECORD_BYTES);
        for (uint64_t i = 0; i < rig.sectors; i += 8) {
            if (holes > 0 && rig_random(&rig, 4) > 0) continue;
            for (uint32_t at = 0; at < 64; at++) {
                rig.durable[i * RECORD_BYTES + rig_random(&rig, RECORD_BYTES)] =
                    (uint8_t)rig_random(&rig, 256);
            }
            /* Sometimes the sectors hold a record of a key disk. */
            if (holes == 2) {
                struct record_last last = {.sequence = rig_random(&rig, 4), .size = rig_random(&rig, 9)};
                struct record_super super = {.sequence = rig_random(&rig, 4), .keys = rig_random(&rig, 70)};
                struct record_key key = {.length = 6, .name = "test/0"};
                uint8_t *place = rig.durable + i * RECORD_BYTES;
                const uint32_t what = rig_random(&rig, 4);
                if (what == 0) record_write_last(place, &last);
                if (what == 1) record_write_super(place, &super);
                if (what == 2) record_write_key(place, &key);
            }
        }
        const bool empty = memcmp(rig.durable, rig.durable + 1, rig.sectors * RECORD_BYTES - 1) == 0;
        rig_boot(&rig);
        CHECK(rig.writes == 0 || empty || holes > 0);
        (void)rig_checkpoint(&rig, 0, 0, 5, 1, out);
        (void)rig_checkpoint(&rig, 1, 1, 5, 1, out);
    }
    /* A tar archive, or a file system whose first sectors are zeros. */
    for (uint64_t first = 0; first <= 8; first += 8) {
        memset(rig.durable, 0, rig.sectors * RECORD_BYTES);
        memcpy(rig.durable + first * RECORD_BYTES, "service/tail/000000000000", 25);
        memset(rig.durable + first * RECORD_BYTES + 100, '0', 50);
        rig_boot(&rig);
        CHECK_SAME(rig.writes, 0);
        CHECK_HAS(rig.said, "the key disk holds something else, or is damaged");
    }
    rig_free(&rig);
}

TEST(a_key_twice_signs_nothing) {
    rig_make(&rig, 13, 1);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 5, 1, out), KEYS_OK);
    struct record_super super = {.sequence = 3, .keys = 3};
    memcpy(rig.durable + RECORD_KEY(2) * RECORD_BYTES, rig.durable + RECORD_KEY(0) * RECORD_BYTES,
           RECORD_BYTES);
    record_write_super(rig.durable + RECORD_SUPER(1) * RECORD_BYTES, &super);
    rig_boot(&rig);
    CHECK_HAS(rig.said, "test/0: the key disk has two keys of that name");
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 9, 1, out), KEYS_FAILED);
    CHECK_SAME(rig_checkpoint(&rig, 0, 1, 9, 1, out), KEYS_OK);
    rig_free(&rig);
}

TEST(a_record_of_another_place_signs_nothing) {
    rig_make(&rig, 14, 1);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 5, 1, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 1, 3, 1, out), KEYS_OK);
    memcpy(rig.durable + RECORD_SIGNED(0, 1) * RECORD_BYTES, rig.durable + RECORD_SIGNED(1, 1) * RECORD_BYTES,
           RECORD_BYTES);
    rig_boot(&rig);
    CHECK_HAS(rig.said, "test/0: the record of its last checkpoint belongs to another key");
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 4, 1, out), KEYS_FAILED);
    rig_free(&rig);
}
