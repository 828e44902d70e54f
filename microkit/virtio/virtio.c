#include "virtio.h"

#include <stddef.h>

/* Section 4.2.2: registers, as indexes of 32-bit words. */
enum {
    MAGIC = 0x000 / 4,
    VERSION = 0x004 / 4,
    DEVICE_ID = 0x008 / 4,
    DEVICE_FEATURES = 0x010 / 4,
    DEVICE_FEATURES_SEL = 0x014 / 4,
    DRIVER_FEATURES = 0x020 / 4,
    DRIVER_FEATURES_SEL = 0x024 / 4,
    QUEUE_SEL = 0x030 / 4,
    QUEUE_NUM_MAX = 0x034 / 4,
    QUEUE_NUM = 0x038 / 4,
    QUEUE_READY = 0x044 / 4,
    QUEUE_NOTIFY = 0x050 / 4,
    INTERRUPT_STATUS = 0x060 / 4,
    INTERRUPT_ACK = 0x064 / 4,
    STATUS = 0x070 / 4,
    QUEUE_DESC = 0x080 / 4,
    QUEUE_DRIVER = 0x090 / 4,
    QUEUE_DEVICE = 0x0a0 / 4,
    CONFIG_GENERATION = 0x0fc / 4,
    CONFIG = 0x100,
};

/* Section 2.1. */
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64, FAILED = 128 };
enum { DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2 };
enum { NO_INTERRUPT = 1 };

/* Orders earlier writes before later ones, also for the device. */
static void memory_barrier(void) {
#ifdef __aarch64__
    __asm__ volatile("dsb sy" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static uint64_t offered_features(volatile uint32_t *registers) {
    registers[DEVICE_FEATURES_SEL] = 0;
    const uint64_t low = registers[DEVICE_FEATURES];
    registers[DEVICE_FEATURES_SEL] = 1;
    return low | (uint64_t)registers[DEVICE_FEATURES] << 32;
}

static const char *fail_device(struct virtio_device *device, const char *why) {
    device->registers[STATUS] |= FAILED;
    return why;
}

const char *virtio_negotiate(struct virtio_device *device, uintptr_t registers, uint32_t id, uint64_t needed,
                             uint64_t wanted) {
    volatile uint32_t *at = (volatile uint32_t *)registers;
    *device = (struct virtio_device){.registers = at};
    if (at[MAGIC] != 0x74726976) return "no virtio device is there";
    if (at[VERSION] != 2) return "the device has no modern interface";
    if (at[DEVICE_ID] == 0) return "no device is there";
    if (at[DEVICE_ID] != id) return "a device of another kind is there";
    at[STATUS] = 0;
    while (at[STATUS] != 0) memory_barrier();
    at[STATUS] = ACKNOWLEDGE;
    at[STATUS] = ACKNOWLEDGE | DRIVER;
    needed |= VIRTIO_F_VERSION_1;
    const uint64_t there = offered_features(at);
    if ((there & needed) != needed) return fail_device(device, "the device lacks a required feature");
    device->features = there & (needed | wanted);
    at[DRIVER_FEATURES_SEL] = 0;
    at[DRIVER_FEATURES] = (uint32_t)device->features;
    at[DRIVER_FEATURES_SEL] = 1;
    at[DRIVER_FEATURES] = (uint32_t)(device->features >> 32);
    at[STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    if ((at[STATUS] & FEATURES_OK) == 0)
        return fail_device(device, "the device refuses the features it offered");
    return NULL;
}

static void set_address(volatile uint32_t *registers, uint32_t at, uint64_t address) {
    registers[at] = (uint32_t)address;
    registers[at + 1] = (uint32_t)(address >> 32);
}

/* The places of the three parts in the page: descriptors, available ring, used ring, aligned to 4 (2.7). */
static uint32_t available_at(uint16_t size) {
    return 16u * size;
}

static uint32_t used_at(uint16_t size) {
    return (available_at(size) + 6u + 2u * size + 3u) & ~3u;
}

_Static_assert(16 * VIRTIO_MAX_QUEUE + 6 + 2 * VIRTIO_MAX_QUEUE + 3 + 6 + 8 * VIRTIO_MAX_QUEUE <= VIRTIO_PAGE,
               "the largest queue fits a page");

const char *virtio_queue_begin(struct virtio_queue *queue, struct virtio_device *device, uint16_t index,
                               uint16_t size, uintptr_t page, uint64_t physical) {
    volatile uint32_t *registers = device->registers;
    if (size == 0 || size > VIRTIO_MAX_QUEUE || (size & (size - 1)) != 0) return "a queue's size is invalid";
    registers[QUEUE_SEL] = index;
    if (registers[QUEUE_READY] != 0) return fail_device(device, "a queue is in use after a reset");
    if (registers[QUEUE_NUM_MAX] < size) return fail_device(device, "a queue of the device is too small");
    *queue = (struct virtio_queue){
        .device = device,
        .index = index,
        .size = size,
        .descriptors = (volatile struct virtio_descriptor *)page,
        .available = (volatile uint16_t *)(page + available_at(size)),
        .used = (volatile uint16_t *)(page + used_at(size)),
        .free_count = size,
    };
    for (uint16_t i = 0; i < size; i++) queue->next[i] = (uint16_t)(i + 1);
    queue->next[size - 1] = VIRTIO_NOTHING;
    registers[QUEUE_NUM] = size;
    set_address(registers, QUEUE_DESC, physical);
    set_address(registers, QUEUE_DRIVER, physical + available_at(size));
    set_address(registers, QUEUE_DEVICE, physical + used_at(size));
    memory_barrier();
    registers[QUEUE_READY] = 1;
    return NULL;
}

void virtio_ready(struct virtio_device *device) {
    memory_barrier();
    device->registers[STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
}

uint64_t virtio_config64(const struct virtio_device *device, uint32_t offset) {
    for (;;) {
        const uint32_t before = device->registers[CONFIG_GENERATION];
        const uint64_t low = device->registers[(CONFIG + offset) / 4];
        const uint64_t high = device->registers[(CONFIG + offset) / 4 + 1];
        if (device->registers[CONFIG_GENERATION] == before) return low | high << 32;
    }
}

uint8_t virtio_config8(const struct virtio_device *device, uint32_t offset) {
    return ((volatile uint8_t *)device->registers)[CONFIG + offset];
}

uint16_t virtio_give(struct virtio_queue *queue, const struct virtio_buffer *buffers, uint16_t count) {
    if (queue->broken || count == 0 || count > 4 || count > queue->free_count) return VIRTIO_NOTHING;
    const uint16_t head = queue->free;
    uint16_t at = head;
    uint32_t writable = 0;
    for (uint16_t i = 0; i < count; i++) {
        volatile struct virtio_descriptor *descriptor = &queue->descriptors[at];
        const uint16_t next = queue->next[at];
        const bool last = i + 1 == count;
        descriptor->address = buffers[i].address;
        descriptor->length = buffers[i].length;
        descriptor->flags =
            (uint16_t)((buffers[i].writable ? DESCRIPTOR_WRITE : 0) | (last ? 0 : DESCRIPTOR_NEXT));
        descriptor->next = last ? 0 : next;
        if (buffers[i].writable) writable += buffers[i].length;
        if (last) {
            queue->next[at] = VIRTIO_NOTHING;
            queue->free = next;
        }
        at = next;
    }
    queue->free_count = (uint16_t)(queue->free_count - count);
    queue->head[head] = true;
    queue->writable[head] = writable;
    queue->available[2 + queue->available_index % queue->size] = head;
    memory_barrier();
    queue->available_index++;
    queue->available[1] = queue->available_index;
    return head;
}

void virtio_quiet(struct virtio_queue *queue) {
    queue->available[0] = NO_INTERRUPT;
}

void virtio_kick(struct virtio_queue *queue) {
    memory_barrier();
    queue->device->registers[QUEUE_NOTIFY] = queue->index;
}

/* Adds a chain's descriptors to the free ones. */
static void release_chain(struct virtio_queue *queue, uint16_t head) {
    uint16_t last = head;
    uint16_t count = 1;
    while (queue->next[last] != VIRTIO_NOTHING) {
        last = queue->next[last];
        count++;
    }
    queue->next[last] = queue->free;
    queue->free = head;
    queue->free_count = (uint16_t)(queue->free_count + count);
    queue->head[head] = false;
}

bool virtio_take_back(struct virtio_queue *queue, struct virtio_done *done) {
    const uint16_t there = (uint16_t)(queue->used[1] - queue->used_index);
    if (queue->broken || there == 0) return false;
    memory_barrier();
    const volatile struct virtio_used_entry *entries =
        (const volatile struct virtio_used_entry *)(queue->used + 2);
    const uint32_t id = entries[queue->used_index % queue->size].id;
    const uint32_t length = entries[queue->used_index % queue->size].length;
    if (there > queue->size || id >= queue->size || !queue->head[id] || length > queue->writable[id]) {
        queue->broken = true;
        return false;
    }
    *done = (struct virtio_done){.head = (uint16_t)id, .length = length};
    queue->used_index++;
    release_chain(queue, (uint16_t)id);
    return true;
}

bool virtio_interrupt(struct virtio_device *device) {
    const uint32_t why = device->registers[INTERRUPT_STATUS];
    device->registers[INTERRUPT_ACK] = why & 3;
    memory_barrier();
    return (device->registers[STATUS] & NEEDS_RESET) == 0;
}
