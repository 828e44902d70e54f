/*
 * The only holder of the key disk and the private keys: connects the tenants' rings with store.h. The channel
 * identifies the tenant; tenants take turns.
 */
#include "keys/message.h"
#include "keys/store.h"
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/random.h"
#include "lib/ring.h"
#include "lib/stop.h"
#include "lib/text.h"
#include "virtio/disk.h"

#include <monocypher.h>

_Static_assert(TENANT_COUNT <= KEYS_TENANTS, "the key disk has room for the tenants");
_Static_assert(SIZE_LEDGERS_DATA == KEYS_REGION, "regions are as large as the messages say");
_Static_assert(KEYS_RANDOM == RANDOM_BYTES, "entropy provides the bytes of a key at once");
_Static_assert(SIZE_QUEUE == 3 * VIRTIO_PAGE, "the page of the sector follows the driver's two pages");

/* Set by Microkit's tool. */
uintptr_t queue_physical;

static const char *const origins[] = TENANT_ORIGINS;
static const microkit_channel channels[] = CH_LEDGERS;
static const uintptr_t sides[] = AT_LEDGERS_RING_MINE;
static const uintptr_t their_sides[] = AT_LEDGERS_RING_THEIRS;
static const uintptr_t regions[] = AT_LEDGERS_DATA;
static const struct random_page *const random_page = (const struct random_page *)AT_RANDOM;

static struct keys_store store;
static struct keys_tenant tenants[TENANT_COUNT];
static struct ring ledgers[TENANT_COUNT];
static struct disk disk;
static bool is_there;
/* A disk operation could not begin. */
static bool has_failed;
static bool wants_random;
/* The count of the page whose bytes were used last. */
static uint32_t used;

/* ---- struct keys_host */

static void begin_disk(void *context, enum keys_disk_op op, uint64_t sector) {
    (void)context;
    const enum disk_op what = op == KEYS_DISK_READ    ? DISK_READ
                              : op == KEYS_DISK_WRITE ? DISK_WRITE
                                                      : DISK_FLUSH;
    has_failed =
        !disk_start(&disk, what, sector, op == KEYS_DISK_FLUSH ? 0 : 1, queue_physical + 2 * VIRTIO_PAGE);
}

static void ask_random(void *context) {
    (void)context;
    wants_random = true;
}

static void answer_tenant(void *context, uint32_t tenant, const struct keys_message *message) {
    (void)context;
    ring_answer(&ledgers[tenant], message);
    microkit_notify(channels[tenant]);
}

static void print_line(void *context, const char *line) {
    (void)context;
    console(line);
}

static const struct keys_host host = {
    .disk = begin_disk,
    .random = ask_random,
    .answer = answer_tenant,
    .say = print_line,
};

/* ---- events */

/* Passes the page's bytes to the store, and asks for new ones. */
static void give_random(void) {
    uint8_t bytes[RANDOM_BYTES];
    const uint32_t count = __atomic_load_n(&random_page->count, __ATOMIC_ACQUIRE);
    if (count % 2 != 0 || count == used) return;
    memcpy(bytes, random_page->bytes, sizeof bytes);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&random_page->count, __ATOMIC_RELAXED) == count) {
        used = count;
        wants_random = false;
        microkit_notify(CH_ENTROPY);
        keys_random(&store, bytes);
    }
    crypto_wipe(bytes, sizeof bytes);
}

/* Takes a message of the next tenant that has one. */
static bool serve_next(void) {
    static uint32_t next;
    struct keys_message message;
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        const uint32_t tenant = (next + i) % TENANT_COUNT;
        if (!ring_serve(&ledgers[tenant], &message)) continue;
        next = (tenant + 1) % TENANT_COUNT;
        keys_store_take(&store, tenant, &message);
        return true;
    }
    return false;
}

static void run_until_idle(void) {
    do {
        if (has_failed) {
            has_failed = false;
            keys_disk_done(&store, false);
        }
        if (wants_random) give_random();
    } while (has_failed || (keys_store_is_free(&store) && serve_next()));
}

static void handle_interrupt(void) {
    const enum disk_news news = disk_interrupt(&disk);
    if (news == DISK_WAITING) return;
    if (disk.failed) console("the key disk's device broke the rules of virtio: it is not used any more");
    keys_disk_done(&store, news == DISK_DONE);
}

void init(void) {
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        ring_begin(&ledgers[i], sides[i], their_sides[i]);
        tenants[i] = (struct keys_tenant){origins[i], (uint8_t *)regions[i]};
    }
    const char *wrong = disk_begin(&disk, AT_DEVICE, AT_QUEUE, queue_physical);
    is_there = wrong == NULL;
    if (!is_there) {
        struct text text = {0};
        text_add(&text, "no key disk: ");
        text_add(&text, wrong);
        console(text.bytes);
    }
    const struct keys_config config = {
        .disk_sectors = is_there ? disk.sectors : 0,
        .sector = (uint8_t *)(AT_QUEUE + 2 * VIRTIO_PAGE),
        .tenants = tenants,
        .tenant_count = TENANT_COUNT,
        .host = &host,
        .context = NULL,
    };
    keys_store_begin(&store, &config);
    run_until_idle();
}

void notified(microkit_channel channel) {
    if (channel == CH_DEVICE) {
        if (is_there) handle_interrupt();
        microkit_irq_ack(CH_DEVICE);
    }
    run_until_idle();
}
