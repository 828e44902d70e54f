/* PSDB's protection domain: connects the tenants' rings with store.h. The channel identifies the tenant. */
#include "blk/message.h"
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/ring.h"
#include "lib/stop.h"
#include "psdb/store.h"
#include "sha256/sha256.h"

_Static_assert(TENANT_COUNT <= PSDB_MAX_TENANTS, "PSDB has room for the tenants");
_Static_assert(PSDB_QUEUE == RING_SLOTS, "a ring holds as many requests as PSDB takes");
_Static_assert(SHA256_STATE <= PSDB_SHA256_STATE, "PSDB has room for the hash's state");

static const char *const names[] = TENANT_NAMES;
static const microkit_channel channels[] = CH_LEDGERS;
static const uintptr_t sides[] = AT_LEDGERS_RING_MINE;
static const uintptr_t their_sides[] = AT_LEDGERS_RING_THEIRS;
static const uintptr_t regions[] = AT_LEDGERS_DATA;

static struct psdb *const store = (struct psdb *)AT_STORE;
static struct psdb_tenant tenants[TENANT_COUNT];
static struct ring ledgers[TENANT_COUNT];
static bool answered[TENANT_COUNT];
static struct ring blk;
static enum { WAITING, OPEN, NO_DISK } disk;
static bool ready;

static void ask_blk(enum blk_op op, uint64_t sector, uint32_t sectors) {
    const struct blk_message message = {.op = (uint8_t)op, .sector = sector, .sectors = sectors};
    STOP_UNLESS(ring_ask(&blk, &message));
    microkit_notify(CH_BLK);
}

/* ---- struct psdb_host */

static void begin_disk(void *context, enum psdb_disk_op op, uint64_t sector, uint32_t sectors) {
    (void)context;
    ask_blk(op == PSDB_DISK_READ ? BLK_READ : op == PSDB_DISK_WRITE ? BLK_WRITE : BLK_FLUSH, sector, sectors);
}

static void reply_to_tenant(void *context, uint32_t tenant, const struct psdb_response *response) {
    (void)context;
    ring_answer(&ledgers[tenant], response);
    answered[tenant] = true;
}

static void report_line(void *context, const char *text) {
    (void)context;
    console(text);
}

static const struct psdb_host host = {
    .disk = begin_disk,
    .reply = reply_to_tenant,
    .report = report_line,
    .sha256_begin = sha256_begin,
    .sha256_add = sha256_add,
    .sha256_end = sha256_end,
};

/* ---- events */

static void open_store(uint64_t sectors) {
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        tenants[i] = (struct psdb_tenant){names[i], (uint8_t *)regions[i], SIZE_LEDGERS_DATA};
    }
    STOP_UNLESS(psdb_bytes() <= SIZE_STORE);
    STOP_UNLESS((uint64_t)2 * TENANT_COUNT * TAILS_EACH * sizeof(struct psdb_tail_file) <= SIZE_TAILS);
    const struct psdb_config config = {
        .disk_sectors = sectors,
        .buffer = (uint8_t *)AT_DISK,
        .buffer_bytes = SIZE_DISK,
        .slots = (struct psdb_slot *)AT_SLOTS,
        .slot_count = SIZE_SLOTS / sizeof(struct psdb_slot),
        .tails = (struct psdb_tail_file *)AT_TAILS,
        .tails_each = TAILS_EACH,
        .tenants = tenants,
        .tenant_count = TENANT_COUNT,
        .host = &host,
        .context = NULL,
    };
    if (psdb_start(store, &config)) {
        disk = OPEN;
    } else {
        disk = NO_DISK;
        console("the store cannot be opened: every request fails");
    }
}

static void refuse_request(uint32_t tenant, const struct psdb_request *request) {
    const struct psdb_response response = {
        .id = request->id,
        .opcode = request->opcode | 0x80,
        .status = PSDB_IO,
        .offset = request->offset,
    };
    reply_to_tenant(NULL, tenant, &response);
}

static void take_from_ledgers(void) {
    struct psdb_request request;
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        while (ring_serve(&ledgers[i], &request)) {
            if (disk == NO_DISK) {
                refuse_request(i, &request);
            } else {
                STOP_UNLESS(psdb_submit(store, i, &request));
            }
        }
    }
}

static void take_from_blk(void) {
    struct blk_message message;
    while (ring_take(&blk, &message)) {
        const bool ok = message.status == BLK_OK;
        if (disk == OPEN) {
            psdb_disk_done(store, ok);
            continue;
        }
        if (ok) {
            open_store(message.sector);
        } else {
            disk = NO_DISK;
            console("there is no disk: every request fails");
        }
        take_from_ledgers();
    }
}

void init(void) {
    for (uint32_t i = 0; i < TENANT_COUNT; i++) ring_begin(&ledgers[i], sides[i], their_sides[i]);
    ring_begin(&blk, AT_BLK_RING_MINE, AT_BLK_RING_THEIRS);
    ask_blk(BLK_CAPACITY, 0, 0);
}

/* Takes requests before the disk's answer, because the answer may begin a group, which they then join. */
void notified(microkit_channel channel) {
    if (disk != WAITING) take_from_ledgers();
    if (channel == CH_BLK) take_from_blk();
    if (disk == OPEN) psdb_run(store);
    if (disk == OPEN && !ready && psdb_state(store) != PSDB_OPENING) {
        ready = true;
        if (psdb_state(store) == PSDB_READY) console("ready");
    }
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        if (answered[i]) microkit_notify(channels[i]);
        answered[i] = false;
    }
}
