/*
 * A disk: virtio-blk (section 5.2), one operation at a time. It must offer FLUSH, must not be read-only, and
 * what it answers to each operation is looked at.
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
    uintptr_t page;    /* the second page of the two: the operation's header and status */
    uint64_t physical; /* … as the device sees it */
    bool busy;
    bool failed; /* it broke the rules of virtio: every later operation fails */
};

/* `pages`: two pages of zeros that the device may reach, physically at `physical`. NULL, or what is wrong. */
const char *disk_begin(struct disk *disk, uintptr_t registers, uintptr_t pages, uint64_t physical);
/*
 * Begins one operation on memory at the physical address `data`; not while one is under way. False: it cannot
 * be begun. The caller has checked that the memory is its own to give.
 */
bool disk_start(struct disk *disk, enum disk_op op, uint64_t sector, uint32_t sectors, uint64_t data);

enum disk_news { DISK_WAITING, DISK_DONE, DISK_FAILED };

/* On an interrupt: what became of the operation under way. */
enum disk_news disk_interrupt(struct disk *disk);

#endif
