#include "rig.h"

#include "ledger/codec.h"
#include "lib/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void stop(const char *file, int line, const char *what) {
    check_failed(file, line, "stopped: %s", what);
}

uint32_t rig_random(struct rig *rig, uint32_t below) {
    rig->random ^= rig->random >> 12;
    rig->random ^= rig->random << 25;
    rig->random ^= rig->random >> 27;
    return (uint32_t)((rig->random * 0x2545f4914f6cdd1du) >> 32) % below;
}

/* ---- the host */

static void begin_disk(void *context, enum keys_disk_op op, uint64_t sector) {
    struct rig *rig = context;
    CHECK(rig->pending == RIG_NOTHING);
    CHECK(op == KEYS_DISK_FLUSH ? sector == 0 : sector < rig->sectors);
    rig->pending = RIG_DISK;
    rig->op = op;
    rig->at = sector;
}

static void ask_random(void *context) {
    struct rig *rig = context;
    CHECK(rig->pending == RIG_NOTHING);
    rig->pending = RIG_RANDOM;
}

static void take_answer(void *context, uint32_t tenant, const struct keys_message *message) {
    struct rig *rig = context;
    CHECK(!rig->has_answer && tenant < rig->tenants);
    rig->has_answer = true;
    rig->answer = *message;
}

static void hear(void *context, const char *line) {
    struct rig *rig = context;
    const size_t length = strlen(rig->said);
    CHECK(strlen(line) < KEYS_LINE);
    if (length + strlen(line) + 2 < RIG_SAID) (void)sprintf(rig->said + length, "%s\n", line);
}

static const struct keys_host host = {
    .disk = begin_disk, .random = ask_random, .answer = take_answer, .say = hear};

/* ---- the disk */

/* Each sector written since the last flush is complete, missing, or torn. */
static void cut(struct rig *rig) {
    for (uint64_t i = 0; i < rig->sectors; i++) {
        uint8_t *to = rig->durable + i * RECORD_BYTES;
        const uint8_t *from = rig->written + i * RECORD_BYTES;
        if (memcmp(to, from, RECORD_BYTES) == 0) continue;
        const uint32_t how = rig_random(rig, 4);
        if (how == 0) memcpy(to, from, RECORD_BYTES);
        if (how >= 2) memcpy(to, from, rig_random(rig, RECORD_BYTES));
    }
    rig->is_cut = true;
    rig->pending = RIG_NOTHING;
}

static bool perform(struct rig *rig) {
    uint8_t *place = rig->written + rig->at * RECORD_BYTES;
    if (++rig->operations == rig->fail_at) return false;
    if (rig->op == KEYS_DISK_READ) {
        memcpy(rig->sector, place, RECORD_BYTES);
        return true;
    }
    const bool goes = ++rig->changes == rig->cut_at;
    if (rig->op == KEYS_DISK_WRITE) {
        memcpy(place, rig->sector, RECORD_BYTES);
        rig->writes++;
    }
    if (goes) {
        cut(rig);
        return true;
    }
    if (rig->op == KEYS_DISK_FLUSH) rig_settle(rig);
    return true;
}

static void give_random(struct rig *rig) {
    uint8_t bytes[KEYS_RANDOM];
    for (uint32_t i = 0; i < KEYS_RANDOM; i++) {
        if (!rig->same_random) rig->entropy = rig->entropy * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)((rig->entropy >> 40) + (rig->same_random ? i : 0));
    }
    keys_random(&rig->store, bytes);
}

static void work(struct rig *rig) {
    while (rig->pending != RIG_NOTHING && !rig->is_cut) {
        const bool is_disk = rig->pending == RIG_DISK;
        rig->pending = RIG_NOTHING;
        if (!is_disk) {
            give_random(rig);
            continue;
        }
        const bool ok = perform(rig);
        if (!rig->is_cut) keys_disk_done(&rig->store, ok);
    }
}

/* ---- what tests call */

void rig_make(struct rig *rig, uint64_t seed, uint32_t tenants) {
    memset(rig, 0, sizeof *rig);
    rig->random = seed * 2 + 1;
    rig->entropy = seed + 1;
    rig->sectors = RECORD_DISK;
    rig->durable = calloc(rig->sectors, RECORD_BYTES);
    rig->written = calloc(rig->sectors, RECORD_BYTES);
    rig->tenants = tenants;
    for (uint32_t i = 0; i < tenants; i++) {
        (void)sprintf(rig->origins[i], "test/%u", i);
        rig->tenant[i] = (struct keys_tenant){rig->origins[i], calloc(1, KEYS_REGION)};
    }
}

void rig_free(struct rig *rig) {
    for (uint32_t i = 0; i < rig->tenants; i++) free(rig->tenant[i].region);
    free(rig->durable);
    free(rig->written);
}

void rig_settle(struct rig *rig) {
    memcpy(rig->durable, rig->written, rig->sectors * RECORD_BYTES);
    rig->flushes++;
}

void rig_boot(struct rig *rig) {
    memcpy(rig->written, rig->durable, rig->sectors * RECORD_BYTES);
    rig->is_cut = false;
    rig->has_answer = false;
    rig->pending = RIG_NOTHING;
    rig->writes = rig->changes = rig->operations = 0;
    rig->said[0] = '\0';
    const struct keys_config config = {
        .disk_sectors = rig->sectors,
        .sector = rig->sector,
        .tenants = rig->tenant,
        .tenant_count = rig->tenants,
        .host = &host,
        .context = rig,
    };
    keys_store_begin(&rig->store, &config);
    work(rig);
    CHECK(rig->is_cut || keys_store_is_free(&rig->store));
}

int rig_ask(struct rig *rig, uint32_t tenant, const struct keys_message *message) {
    rig->has_answer = false;
    CHECK(keys_store_is_free(&rig->store));
    keys_store_take(&rig->store, tenant, message);
    work(rig);
    if (rig->is_cut) return -1;
    CHECK(rig->has_answer && keys_store_is_free(&rig->store));
    CHECK(rig->answer.id == message->id && rig->answer.op == message->op);
    CHECK(rig->answer.offset == message->offset && rig->answer.length <= KEYS_SLOT);
    return rig->answer.status;
}

static int ask_text(struct rig *rig, uint32_t tenant, const struct keys_message *message, char *out) {
    const int status = rig_ask(rig, tenant, message);
    out[0] = '\0';
    if (status != KEYS_OK) return status;
    memcpy(out, rig->tenant[tenant].region + message->offset, rig->answer.length);
    out[rig->answer.length] = '\0';
    return status;
}

int rig_sign(struct rig *rig, uint32_t tenant, uint8_t ledger, const char *text, char *out) {
    const struct keys_message message = {
        .id = 7, .op = KEYS_SIGN, .ledger = ledger, .offset = KEYS_SLOT, .length = (uint32_t)strlen(text)};
    memcpy(rig->tenant[tenant].region + KEYS_SLOT, text, strlen(text));
    return ask_text(rig, tenant, &message, out);
}

void rig_text(const struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t size, uint8_t root,
              char *text) {
    uint8_t hash[32];
    char line[45] = {0};
    memset(hash, root, sizeof hash);
    base64_encode(line, hash, sizeof hash);
    if (size == 0) memcpy(line, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", 44);
    (void)sprintf(text, "%s%s\n%llu\n%s\n", rig->origins[tenant], ledger == 1 ? "/audit" : "",
                  (unsigned long long)size, line);
}

int rig_checkpoint(struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t size, uint8_t root, char *out) {
    char text[400];
    rig_text(rig, tenant, ledger, size, root, text);
    return rig_sign(rig, tenant, ledger, text, out);
}

int rig_vkey(struct rig *rig, uint32_t tenant, uint8_t ledger, char *out) {
    const struct keys_message message = {.id = 9, .op = KEYS_VKEY, .ledger = ledger};
    return ask_text(rig, tenant, &message, out);
}

int rig_kept(struct rig *rig, uint32_t tenant, uint8_t ledger) {
    return rig_ask(rig, tenant, &(struct keys_message){.id = 8, .op = KEYS_KEPT, .ledger = ledger});
}

int rig_mark(struct rig *rig, uint32_t tenant, uint8_t ledger, int64_t *size, uint8_t *root) {
    const struct keys_message message = {.id = 6, .op = KEYS_MARK, .ledger = ledger, .offset = 2 * KEYS_SLOT};
    const int status = rig_ask(rig, tenant, &message);
    if (status != KEYS_OK) return status;
    const uint8_t *at = rig->tenant[tenant].region + message.offset;
    const uint32_t length = rig->answer.length;
    CHECK(length == 0 || length == 8 || length == 40);
    *size = length == 0 ? -1 : 0;
    for (uint32_t i = 0; length > 0 && i < 8; i++) *size |= (int64_t)at[i] << 8 * i;
    *root = length == 40 ? at[8] : 0;
    for (uint32_t i = 8; i < length; i++) CHECK_SAME(at[i], *root);
    return status;
}
