#include "net/card.h"

#include "lib/domain.h"
#include "lib/stop.h"
#include "virtio/virtio.h"

#include <string.h>

#define QUEUE 128u
#define BUFFER 2048u
/* The bytes before each frame (5.1.6); with VIRTIO_F_VERSION_1 always this many. */
#define PREFIX 12u

#define VIRTIO_NET_F_MAC (UINT64_C(1) << 5)
#define VIRTIO_NET_F_STATUS (UINT64_C(1) << 16)
enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, LINK_UP = 1 };
enum { RECEIVING = 0, SENDING = 1 };

/* How long to wait for the device to send if all buffers are under way. */
#define PATIENCE_US 500u

_Static_assert(2 * VIRTIO_PAGE + 2 * QUEUE * BUFFER == CARD_PAGES * VIRTIO_PAGE,
               "the queues and buffers fill the pages");

static struct virtio_device device;
static uintptr_t memory;
static uint64_t memory_physical;

static struct direction {
    struct virtio_queue queue;
    uint32_t first;          /* the offset of its first buffer in the pages */
    uint16_t buffers[QUEUE]; /* by head of a chain under way: its buffer */
    bool must_kick;
} receiving, sending;

static uint16_t idle[QUEUE]; /* free buffers for sending */
static uint32_t idle_count;
static uint16_t taken; /* the buffer of the frame that card_receive() returned */
static bool has_taken;

static uint32_t offset_of(const struct direction *direction, uint16_t buffer) {
    return direction->first + buffer * BUFFER;
}

static void give_buffer(struct direction *direction, uint16_t buffer, uint32_t length, bool writable) {
    const struct virtio_buffer given = {memory_physical + offset_of(direction, buffer), length, writable};
    const uint16_t head = virtio_give(&direction->queue, &given, 1);
    if (head == VIRTIO_NOTHING) return;
    direction->buffers[head] = buffer;
    direction->must_kick = true;
}

const char *card_begin(uintptr_t registers, uintptr_t pages, uint64_t physical, uint8_t address[6]) {
    memory = pages;
    memory_physical = physical;
    receiving.first = 2 * VIRTIO_PAGE;
    sending.first = receiving.first + QUEUE * BUFFER;
    const char *wrong =
        virtio_negotiate(&device, registers, VIRTIO_ID_NET, VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS);
    if (wrong != NULL) return wrong;
    wrong = virtio_queue_begin(&receiving.queue, &device, RECEIVING, QUEUE, pages, physical);
    if (wrong != NULL) return wrong;
    wrong = virtio_queue_begin(&sending.queue, &device, SENDING, QUEUE, pages + VIRTIO_PAGE,
                               physical + VIRTIO_PAGE);
    if (wrong != NULL) return wrong;
    virtio_quiet(&sending.queue);
    virtio_ready(&device);
    for (uint32_t i = 0; i < 6; i++) address[i] = virtio_config8(&device, CONFIG_MAC + i);
    for (uint16_t i = 0; i < QUEUE; i++) {
        give_buffer(&receiving, i, BUFFER, true);
        idle[idle_count++] = i;
    }
    card_kick();
    return NULL;
}

void card_interrupt(void) {
    if (!virtio_interrupt(&device)) receiving.queue.broken = true;
}

bool card_is_broken(void) {
    return receiving.queue.broken || sending.queue.broken;
}

bool card_has_link(void) {
    if ((device.features & VIRTIO_NET_F_STATUS) == 0) return true;
    return (virtio_config8(&device, CONFIG_STATUS) & LINK_UP) != 0;
}

const uint8_t *card_receive(uint32_t *length) {
    struct virtio_done done;
    STOP_UNLESS(!has_taken);
    while (virtio_take_back(&receiving.queue, &done)) {
        taken = receiving.buffers[done.head];
        has_taken = true;
        const uint8_t *buffer = (const uint8_t *)memory + offset_of(&receiving, taken);
        if (done.length >= PREFIX + CARD_HEADER && done.length <= PREFIX + CARD_FRAME) {
            *length = done.length - PREFIX;
            return buffer + PREFIX;
        }
        card_give_back();
    }
    return NULL;
}

void card_give_back(void) {
    STOP_UNLESS(has_taken);
    has_taken = false;
    give_buffer(&receiving, taken, BUFFER, true);
}

static void take_back_sent(void) {
    struct virtio_done done;
    while (virtio_take_back(&sending.queue, &done)) idle[idle_count++] = sending.buffers[done.head];
}

uint8_t *card_room(void) {
    if (idle_count == 0) take_back_sent();
    if (idle_count == 0 && !card_is_broken()) {
        const uint64_t until = ticks() + ticks_per_second() * PATIENCE_US / 1000000;
        card_kick();
        while (idle_count == 0 && ticks() < until && !card_is_broken()) take_back_sent();
    }
    if (idle_count == 0 || card_is_broken()) return NULL;
    uint8_t *buffer = (uint8_t *)memory + offset_of(&sending, idle[idle_count - 1]);
    memset(buffer, 0, PREFIX);
    return buffer + PREFIX;
}

void card_send(uint32_t length) {
    STOP_UNLESS(idle_count > 0 && length <= CARD_FRAME);
    give_buffer(&sending, idle[--idle_count], PREFIX + length, false);
}

void card_kick(void) {
    if (receiving.must_kick) virtio_kick(&receiving.queue);
    if (sending.must_kick) virtio_kick(&sending.queue);
    receiving.must_kick = sending.must_kick = false;
}
