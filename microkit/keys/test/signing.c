/* Tests which checkpoints are signed, hostile messages, and that no secret leaves the store. */
#include "rig.h"

#include "keys/note.h"

#include <monocypher-ed25519.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static char out[KEYS_SLOT + 1], again[KEYS_SLOT + 1];

TEST(keys_are_made_once) {
    char vkeys[4][400];
    rig_make(&rig, 1, 2);
    rig_boot(&rig);
    CHECK_HAS(rig.said, "test/0: a key is made\n");
    CHECK_HAS(rig.said, "test/1/audit: a key is made\n");
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_SAME(rig_vkey(&rig, i / 2, i % 2, vkeys[i]), KEYS_OK);
        CHECK_HAS(rig.said, vkeys[i]);
        for (uint32_t j = 0; j < i; j++) CHECK(strcmp(vkeys[i], vkeys[j]) != 0);
    }
    CHECK(strncmp(vkeys[3], "test/1/audit+", 13) == 0);
    for (uint32_t boot = 0; boot < 2; boot++) {
        rig_boot(&rig);
        CHECK_SAME(rig.writes, 0);
        CHECK(strstr(rig.said, "made") == NULL);
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_SAME(rig_vkey(&rig, i / 2, i % 2, out), KEYS_OK);
            CHECK(strcmp(out, vkeys[i]) == 0);
        }
    }
    rig_free(&rig);
}

TEST(a_tenant_more_gets_keys_and_the_others_keep_theirs) {
    rig_make(&rig, 2, 3);
    rig.tenants = 2;
    rig_boot(&rig);
    (void)rig_vkey(&rig, 1, 1, again);
    CHECK_SAME(rig_checkpoint(&rig, 1, 1, 5, 1, out), KEYS_OK);
    CHECK_SAME(rig_kept(&rig, 1, 1), KEYS_OK);
    rig.tenants = 3;
    rig_boot(&rig);
    CHECK(strstr(rig.said, "test/1: a key is made") == NULL);
    CHECK_HAS(rig.said, "test/2: a key is made");
    CHECK_SAME(rig_vkey(&rig, 1, 1, out), KEYS_OK);
    CHECK(strcmp(out, again) == 0);
    CHECK_SAME(rig_checkpoint(&rig, 1, 1, 4, 1, out), KEYS_REFUSED);
    CHECK_SAME(rig_checkpoint(&rig, 2, 1, 4, 1, out), KEYS_OK);
    rig_free(&rig);
}

TEST(as_many_tenants_as_there_can_be) {
    rig_make(&rig, 3, KEYS_TENANTS);
    rig_boot(&rig);
    for (uint32_t i = 0; i < KEYS_TENANTS; i++) {
        CHECK_SAME(rig_checkpoint(&rig, i, 1, i, 1, out), KEYS_OK);
        CHECK_SAME(rig_kept(&rig, i, 1), KEYS_OK);
    }
    rig_boot(&rig);
    for (uint32_t i = 1; i < KEYS_TENANTS; i++) {
        CHECK_SAME(rig_checkpoint(&rig, i, 1, i - 1, 1, out), KEYS_REFUSED);
    }
    rig_free(&rig);
}

TEST(only_what_grows_is_signed) {
    rig_make(&rig, 4, 2);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 0, 0, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 1, 1, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 7, 2, again), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 6, 2, out), KEYS_REFUSED);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_OK);
    for (uint32_t boot = 0; boot < 3; boot++) {
        const uint32_t writes = rig.writes;
        CHECK_SAME(rig_checkpoint(&rig, 0, 0, 6, 2, out), KEYS_REFUSED);
        CHECK_HAS(rig.said, "test/0: refused to sign size 6: size 7 is already signed\n");
        CHECK_SAME(rig_checkpoint(&rig, 0, 0, 0, 0, out), KEYS_REFUSED);
        CHECK_SAME(rig_checkpoint(&rig, 0, 0, 7, 3, out), KEYS_REFUSED);
        CHECK_HAS(rig.said, "test/0: refused to sign another root at size 7\n");
        CHECK_SAME(rig_checkpoint(&rig, 0, 0, 7, 2, out), KEYS_OK);
        CHECK(strcmp(out, again) == 0);
        CHECK_SAME(rig.writes, writes);
        rig_boot(&rig);
    }
    CHECK_SAME(rig_checkpoint(&rig, 0, 1, 3, 9, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 1, 0, 3, 9, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, NOTE_MOST, 9, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 8, 9, out), KEYS_REFUSED);
    rig_free(&rig);
}

/* A power cut after signing, before the ledger has the checkpoint. */
TEST(what_the_ledger_never_had_is_given_up_once_in_a_start) {
    rig_make(&rig, 9, 1);
    rig_boot(&rig);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_INVALID);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 5, 1, out), KEYS_OK);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_OK);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 9, 2, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 9, 3, out), KEYS_REFUSED);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 8, 3, out), KEYS_REFUSED);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 5, 3, out), KEYS_REFUSED);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 4, 3, out), KEYS_REFUSED);
    /* A checkpoint that was signed again since the start is not replaced before the next start. */
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 9, 2, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 8, 3, out), KEYS_REFUSED);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 8, 3, out), KEYS_OK);
    CHECK_HAS(rig.said, "test/0: size 9, signed before the start, is replaced by size 8\n");
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 8, 4, out), KEYS_REFUSED);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 7, 4, out), KEYS_REFUSED);
    rig_boot(&rig);
    /* A larger checkpoint follows; the mark is still size 5. */
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 10, 4, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 6, 5, out), KEYS_REFUSED);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 6, 5, out), KEYS_OK);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_OK);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 6, 6, out), KEYS_REFUSED);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 6, 5, out), KEYS_OK);
    rig_free(&rig);
}

/* With imported keys: the very first commit is lost. */
TEST(the_first_one_of_a_key_may_be_given_up) {
    rig_make(&rig, 10, 1);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 600, 1, out), KEYS_OK);
    rig_boot(&rig);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 600, 2, out), KEYS_OK);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 600, 1, out), KEYS_REFUSED);
    rig_free(&rig);
}

static void check_mark(uint32_t tenant, uint8_t ledger, int64_t size, uint8_t root) {
    int64_t found_size;
    uint8_t found_root;
    CHECK_SAME(rig_mark(&rig, tenant, ledger, &found_size, &found_root), KEYS_OK);
    CHECK_SAME(found_size, size);
    CHECK_SAME(found_root, root);
}

TEST(a_ledger_is_told_what_it_must_have) {
    rig_make(&rig, 15, 2);
    rig_boot(&rig);
    check_mark(0, 0, -1, 0);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 5, 1, out), KEYS_OK);
    /* A signed checkpoint may not be in the ledger yet. */
    check_mark(0, 0, -1, 0);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_OK);
    check_mark(0, 0, 5, 1);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, UINT32_MAX + UINT64_C(7), 2, out), KEYS_OK);
    for (uint32_t boot = 0; boot < 2; boot++) {
        check_mark(0, 0, 5, 0);
        check_mark(0, 1, -1, 0);
        check_mark(1, 0, -1, 0);
        rig_boot(&rig);
    }
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, 6, 3, out), KEYS_OK);
    check_mark(0, 0, 5, 0);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_OK);
    check_mark(0, 0, 6, 3);
    CHECK_SAME(rig_checkpoint(&rig, 0, 0, UINT32_MAX + UINT64_C(9), 4, out), KEYS_OK);
    CHECK_SAME(rig_kept(&rig, 0, 0), KEYS_OK);
    const uint32_t writes = rig.writes;
    check_mark(0, 0, UINT32_MAX + INT64_C(9), 4);
    CHECK_SAME(rig.writes, writes);
    rig.sectors = 0;
    rig_boot(&rig);
    int64_t size;
    uint8_t root;
    CHECK_SAME(rig_mark(&rig, 0, 0, &size, &root), KEYS_FAILED);
    rig_free(&rig);
}

TEST(a_ledger_gets_its_own_key_only) {
    char text[400];
    rig_make(&rig, 5, 2);
    rig_boot(&rig);
    rig_text(&rig, 1, 0, 3, 1, text);
    CHECK_SAME(rig_sign(&rig, 0, 0, text, out), KEYS_INVALID);
    CHECK_SAME(rig_sign(&rig, 0, 1, text, out), KEYS_INVALID);
    CHECK_SAME(rig_sign(&rig, 1, 1, text, out), KEYS_INVALID);
    CHECK_HAS(rig.said, "test/1/audit: refused to sign a text that is not its checkpoint\n");
    CHECK_SAME(rig_sign(&rig, 1, 0, text, out), KEYS_OK);
    CHECK_SAME(rig_sign(&rig, 1, 0, "test/1\ngarbage\n", out), KEYS_INVALID);
    CHECK_SAME(rig_sign(&rig, 1, 0, "", out), KEYS_INVALID);
    rig_free(&rig);
}

TEST(refusals_are_said_but_not_all_of_them) {
    rig_make(&rig, 6, 1);
    rig_boot(&rig);
    for (uint32_t i = 0; i < 1000; i++) CHECK_SAME(rig_sign(&rig, 0, 0, "x", out), KEYS_INVALID);
    CHECK_HAS(rig.said, "(refusal 512)");
    uint32_t lines = 0;
    for (const char *at = rig.said; (at = strstr(at, "refused")) != NULL; at++) lines++;
    CHECK_SAME(lines, 8 + 6);
    rig_free(&rig);
}

static bool has(const uint8_t *bytes, size_t length, const uint8_t *secret) {
    for (size_t i = 0; i + 32 <= length; i++) {
        if (memcmp(bytes + i, secret, 32) == 0) return true;
    }
    return false;
}

/* Seeds and their scalars are in no region, on no line, and not left in the sector buffer. */
static void check_secrets(void) {
    uint8_t scalar[64];
    for (uint32_t i = 0; i < 2 * rig.tenants; i++) {
        const uint8_t *seed = rig.store.ledgers[i].secret;
        crypto_sha512(scalar, seed, 32);
        for (uint32_t tenant = 0; tenant < rig.tenants; tenant++) {
            CHECK(!has(rig.tenant[tenant].region, KEYS_REGION, seed));
            CHECK(!has(rig.tenant[tenant].region, KEYS_REGION, scalar));
        }
        CHECK(!has((const uint8_t *)rig.said, RIG_SAID, seed));
        CHECK(!has(rig.sector, sizeof rig.sector, seed));
        /* The store's memory has exactly one copy of the seed. */
        const uint8_t *store = (const uint8_t *)&rig.store;
        const size_t at = (size_t)(seed - store);
        CHECK(!has(store, at + 31, seed));
        CHECK(!has(seed + 1, sizeof rig.store - at - 1, seed));
    }
}

#define HOSTILE_TENANTS 3u

/* Makes a random message for the tenant: mostly with plausible fields, and often about a checkpoint. */
static struct keys_message hostile_message(uint32_t tenant) {
    struct keys_message message = {0};
    for (size_t i = 0; i < sizeof message; i++) ((uint8_t *)&message)[i] = (uint8_t)rig_random(&rig, 256);
    if (rig_random(&rig, 4) > 0) message.op = (uint8_t)rig_random(&rig, 6);
    if (rig_random(&rig, 4) > 0) message.ledger = (uint8_t)rig_random(&rig, 3);
    if (rig_random(&rig, 4) > 0) message.offset = rig_random(&rig, 10) * KEYS_SLOT;
    if (rig_random(&rig, 4) > 0) message.length = rig_random(&rig, 4200);
    if (message.offset > KEYS_REGION - 400 || rig_random(&rig, 2) == 0) return message;
    char *text = (char *)rig.tenant[tenant].region + message.offset;
    rig_text(&rig, rig_random(&rig, 4) == 0 ? rig_random(&rig, HOSTILE_TENANTS) : tenant, message.ledger,
             rig_random(&rig, 1000), (uint8_t)rig_random(&rig, 3), text);
    if (rig_random(&rig, 4) > 0) message.length = (uint32_t)strlen(text);
    if (rig_random(&rig, 8) == 0) {
        uint8_t *byte = (uint8_t *)text + rig_random(&rig, 60);
        *byte = (uint8_t)(*byte ^ 1u << rig_random(&rig, 8));
    }
    return message;
}

/* Checks the answer to a request that was granted. `before`: the tenant's region at the request. `sizes`: the
 * newest signed size of each ledger. */
static void check_granted(uint32_t tenant, const struct keys_message *message, const uint8_t *before,
                          uint64_t *sizes) {
    CHECK(message->offset % KEYS_SLOT == 0 && message->offset < KEYS_REGION && message->ledger < 2);
    const uint32_t name = 6 + 6u * message->ledger;
    const uint32_t vkey = NOTE_VKEY(name), line = NOTE_LINE(name);
    const struct record_last *last = &rig.store.ledgers[2 * tenant + message->ledger].last;
    const uint32_t mark = !last->has_kept ? 0 : last->kept == last->size ? 40 : 8;
    CHECK_SAME(rig.answer.length, message->op == KEYS_VKEY   ? vkey
                                  : message->op == KEYS_SIGN ? line
                                  : message->op == KEYS_MARK ? mark
                                                             : 0);
    if (message->op != KEYS_SIGN) return;
    uint64_t size = 0;
    uint8_t root[32];
    char origin[20];
    (void)sprintf(origin, "test/%u%s", tenant, message->ledger == 1 ? "/audit" : "");
    const char *text = (const char *)before + message->offset;
    CHECK(note_read(text, message->length, origin, strlen(origin), &size, root));
    CHECK(size >= sizes[2 * tenant + message->ledger]);
    sizes[2 * tenant + message->ledger] = size;
}

/* An answer repeats the request. The store writes only signatures and vkeys to the region, and only to the
 * requested slot. */
TEST(hostile_messages) {
    rig_make(&rig, 7, HOSTILE_TENANTS);
    rig_boot(&rig);
    uint8_t before[KEYS_REGION];
    uint64_t sizes[2 * HOSTILE_TENANTS] = {0};
    for (uint32_t round = 0; round < 200000; round++) {
        const uint32_t tenant = rig_random(&rig, HOSTILE_TENANTS);
        const struct keys_message message = hostile_message(tenant);
        const uint8_t *region = rig.tenant[tenant].region;
        memcpy(before, region, KEYS_REGION);
        const bool ok = rig_ask(&rig, tenant, &message) == KEYS_OK;
        if (ok) check_granted(tenant, &message, before, sizes);
        const size_t changed = ok ? rig.answer.length : 0;
        const size_t offset = ok ? message.offset : 0;
        CHECK(memcmp(before, region, offset) == 0);
        CHECK(memcmp(before + offset + changed, region + offset + changed, KEYS_REGION - offset - changed) ==
              0);
        if (round % 1000 != 0) continue;
        /* Reset the ledgers, so that checkpoints can be signed. */
        for (uint32_t i = 0; i < 2 * HOSTILE_TENANTS; i++) {
            rig.store.ledgers[i].last = (struct record_last){0};
            rig.store.ledgers[i].has_last = false;
            sizes[i] = 0;
        }
    }
    check_secrets();
    rig_free(&rig);
}

TEST(no_disk_a_small_one_or_bad_random_bytes) {
    rig_make(&rig, 8, 1);
    const uint64_t sectors = rig.sectors;
    for (uint64_t size = 0; size < sectors; size += sectors - 1) {
        rig.sectors = size;
        rig_boot(&rig);
        CHECK_HAS(rig.said, "nothing is signed");
        CHECK_SAME(rig_vkey(&rig, 0, 0, out), KEYS_FAILED);
        CHECK_SAME(rig_checkpoint(&rig, 0, 0, 1, 1, out), KEYS_FAILED);
    }
    rig.sectors = sectors;
    rig.same_random = true;
    rig_boot(&rig);
    CHECK_HAS(rig.said, "the random bytes are not random");
    CHECK_SAME(rig_vkey(&rig, 0, 0, out), KEYS_FAILED);
    rig.same_random = false;
    rig_boot(&rig);
    CHECK_SAME(rig_vkey(&rig, 0, 0, out), KEYS_OK);
    rig_free(&rig);
}
