/*
 * A disk: virtio-blk (section 5.2), one operation at a time. It must offer FLUSH and must not be read-only.
 * The status of every operation is checked.
 */
#ifndef VIRTIO_DISK_H
#define VIRTIO_DISK_H

#include "virtio.h"

#define DISK_SECTOR 512u

enum disk_op { DISK_READ = 1, DISK_WRITE = 2, DISK_FLUSH = 3 };

struct disk {
    struct virtio_device device;
    struct virtio_queue queue;
    uint64_t sectors;
    uintptr_t page;    /* the second page: the operation's header and status */
    uint64_t physical; /* its physical address */
    bool busy;
    bool failed; /* it broke the rules of virtio: every later operation fails */
};

/* Begins a disk. `pages`: two zeroed pages with the physical address `physical`. Returns NULL, or why the
 * disk cannot be used. */
const char *disk_begin(struct disk *disk, uintptr_t registers, uintptr_t pages, uint64_t physical);
/*
 * Begins one operation on memory at the physical address `data`. Returns false if it cannot begin, as when
 * one is under way. The caller checks that it may use that memory.
 */
bool disk_start(struct disk *disk, enum disk_op op, uint64_t sector, uint32_t sectors, uint64_t data);

enum disk_news { DISK_WAITING, DISK_DONE, DISK_FAILED };

/* Handles an interrupt. Returns the state of the operation under way. */
enum disk_news disk_interrupt(struct disk *disk);

#endif
