/* The only holder of the virtio-rng. It fills one client's page after another with 256 random bytes. */
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/random.h"
#include "virtio/virtio.h"

#include <string.h>

#define QUEUE_SIZE 8u

uintptr_t queue_physical;

static const uintptr_t pages[] = AT_CLIENTS_RANDOM;
static const microkit_channel channels[] = CH_CLIENTS;

#define CLIENTS (sizeof pages / sizeof *pages)

/* The device writes to the page after the queue's page. */
static uint8_t *const bytes = (uint8_t *)(AT_QUEUE + VIRTIO_PAGE);
static struct virtio_device device;
static struct virtio_queue queue;
static bool wants[CLIENTS];
static uint32_t have;
static bool asked;

static void ask_device(void) {
    const struct virtio_buffer buffer = {queue_physical + VIRTIO_PAGE + have, RANDOM_BYTES - have, true};
    asked = virtio_give(&queue, &buffer, 1) != VIRTIO_NOTHING;
    if (asked) virtio_kick(&queue);
}

static void fill_page(uint32_t client) {
    struct random_page *page = (struct random_page *)pages[client];
    const uint32_t count = page->count;
    __atomic_store_n(&page->count, count + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(page->bytes, bytes, RANDOM_BYTES);
    __atomic_store_n(&page->count, count + 2, __ATOMIC_RELEASE);
    memset(bytes, 0, RANDOM_BYTES);
    microkit_notify(channels[client]);
}

/* Finds the next client that wants bytes, from `*next` on. */
static bool find_client(uint32_t *next) {
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const uint32_t client = (*next + i) % CLIENTS;
        if (!wants[client]) continue;
        *next = client;
        return true;
    }
    return false;
}

static void fill_pages(void) {
    static uint32_t next;
    if (asked || !find_client(&next)) return;
    if (have == RANDOM_BYTES) {
        wants[next] = false;
        have = 0;
        fill_page(next);
        next = (next + 1) % CLIENTS;
        if (!find_client(&next)) return;
    }
    ask_device();
}

static void handle_interrupt(void) {
    struct virtio_done done;
    const bool sane = virtio_interrupt(&device);
    while (virtio_take_back(&queue, &done)) {
        have += done.length;
        asked = false;
    }
    if (sane && !queue.broken) return;
    console("the entropy device broke the rules of virtio: it is not used any more");
    asked = true;
}

void init(void) {
    const char *wrong = virtio_negotiate(&device, AT_DEVICE, VIRTIO_ID_RNG, 0, 0);
    if (wrong == NULL) wrong = virtio_queue_begin(&queue, &device, 0, QUEUE_SIZE, AT_QUEUE, queue_physical);
    if (wrong != NULL) {
        console(wrong);
        asked = true;
        return;
    }
    virtio_ready(&device);
    for (uint32_t i = 0; i < CLIENTS; i++) wants[i] = true;
    fill_pages();
}

void notified(microkit_channel channel) {
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (channel == channels[i]) wants[i] = true;
    }
    if (channel == CH_DEVICE) {
        handle_interrupt();
        microkit_irq_ack(channel);
    }
    fill_pages();
}
