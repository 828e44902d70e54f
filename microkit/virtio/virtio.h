/*
 * The driver's side of virtio 1.2 over MMIO, only the modern interface: negotiation and split virtqueues.
 * https://docs.oasis-open.org/virtio/virtio/v1.2/virtio-v1.2.html (the section numbers below refer to it).
 *
 * The driver checks everything that the device writes: a used descriptor must be the head of a chain under
 * way, and its length at most the chain's. The driver stops using a device that breaks the rules.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_PAGE 4096u
#define VIRTIO_MAX_QUEUE 128u
#define VIRTIO_NOTHING 0xffffu

enum virtio_device_id { VIRTIO_ID_NET = 1, VIRTIO_ID_BLK = 2, VIRTIO_ID_RNG = 4 };

#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)

struct virtio_device {
    volatile uint32_t *registers;
    uint64_t features; /* negotiated */
};

/* Section 2.7: the memory that the device and the driver share. */
struct virtio_descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct virtio_used_entry {
    uint32_t id;
    uint32_t length;
};

struct virtio_queue {
    struct virtio_device *device;
    uint16_t index;
    uint16_t size;
    volatile struct virtio_descriptor *descriptors;
    volatile uint16_t *available; /* flags, index, ring[size] */
    volatile uint16_t *used;      /* flags, index, entries */
    bool broken;
    /* The rest is private to the driver. */
    uint16_t available_index;
    uint16_t used_index;
    uint16_t free; /* the first free descriptor, of a chain by `next` */
    uint16_t free_count;
    uint16_t next[VIRTIO_MAX_QUEUE];     /* in its chain; VIRTIO_NOTHING for the last */
    bool head[VIRTIO_MAX_QUEUE];         /* the first of a chain that is under way */
    uint32_t writable[VIRTIO_MAX_QUEUE]; /* by head: bytes that the device may write */
};

/* A piece of memory for the device, by its physical address. */
struct virtio_buffer {
    uint64_t address;
    uint32_t length;
    bool writable; /* by the device; a chain's readable buffers come first */
};

/* A chain that the device has used. */
struct virtio_done {
    uint16_t head;
    uint32_t length; /* the bytes that the device reports as written */
};

/*
 * Resets the device and negotiates (3.1.1) all of `needed`, and those of `wanted` that it offers. Returns
 * NULL, or what is wrong with the device.
 */
const char *virtio_negotiate(struct virtio_device *device, uintptr_t registers, uint32_t id, uint64_t needed,
                             uint64_t wanted);
/*
 * Sets up one queue of `size` (a power of two, at most VIRTIO_MAX_QUEUE) in one page of zeros at `page`,
 * with the physical address `physical`. Returns NULL, or what is wrong.
 */
const char *virtio_queue_begin(struct virtio_queue *queue, struct virtio_device *device, uint16_t index,
                               uint16_t size, uintptr_t page, uint64_t physical);
/* Starts the device, after its queues began. */
void virtio_ready(struct virtio_device *device);

/* Reads a field of the device's configuration space, again if it changes meanwhile (2.5.1). */
uint64_t virtio_config64(const struct virtio_device *device, uint32_t offset);
uint8_t virtio_config8(const struct virtio_device *device, uint32_t offset);

/* Gives the device a chain of 1 to 4 buffers. Returns its head, or VIRTIO_NOTHING if there is no room. */
uint16_t virtio_give(struct virtio_queue *queue, const struct virtio_buffer *buffers, uint16_t count);
/* Asks the device not to interrupt when it has used this queue's chains; it may do so anyway (2.7.7). */
void virtio_quiet(struct virtio_queue *queue);
/* Notifies the device of new chains. */
void virtio_kick(struct virtio_queue *queue);
/* Takes back a used chain. Returns false if there is none, or the queue is broken (queue->broken). */
bool virtio_take_back(struct virtio_queue *queue, struct virtio_done *done);
/* Acknowledges an interrupt; call it before taking chains back. Returns false if the device needs a reset. */
bool virtio_interrupt(struct virtio_device *device);

#endif
