#include "disk.h"

#include <stddef.h>

#define QUEUE_SIZE 8u
#define FEATURE_READ_ONLY (UINT64_C(1) << 5)
#define FEATURE_FLUSH (UINT64_C(1) << 9)
#define CAPACITY 0u
/* 2^50 sectors: sums of sectors do not overflow. */
#define MAX_SECTORS (UINT64_C(1) << 50)

enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4 };
enum { STATUS_OK = 0, STATUS_NONE = 0xff };

struct header {
    uint32_t type;
    uint32_t zero;
    uint64_t sector;
};

#define STATUS_AT sizeof(struct header)

const char *disk_begin(struct disk *disk, uintptr_t registers, uintptr_t pages, uint64_t physical) {
    *disk = (struct disk){.page = pages + VIRTIO_PAGE, .physical = physical + VIRTIO_PAGE};
    const char *wrong =
        virtio_negotiate(&disk->device, registers, VIRTIO_ID_BLK, 0, FEATURE_FLUSH | FEATURE_READ_ONLY);
    if (wrong != NULL) return wrong;
    if ((disk->device.features & FEATURE_FLUSH) == 0) return "the disk does not offer FLUSH";
    if ((disk->device.features & FEATURE_READ_ONLY) != 0) return "the disk is read-only";
    wrong = virtio_queue_begin(&disk->queue, &disk->device, 0, QUEUE_SIZE, pages, physical);
    if (wrong != NULL) return wrong;
    virtio_ready(&disk->device);
    disk->sectors = virtio_config64(&disk->device, CAPACITY);
    if (disk->sectors > MAX_SECTORS) return "the disk reports an impossible size";
    return NULL;
}

static bool within(const struct disk *disk, uint64_t sector, uint32_t sectors) {
    return sectors > 0 && sectors <= UINT32_MAX / DISK_SECTOR && sector < disk->sectors &&
           sectors <= disk->sectors - sector;
}

bool disk_start(struct disk *disk, enum disk_op op, uint64_t sector, uint32_t sectors, uint64_t data) {
    if (disk->failed || disk->busy) return false;
    if (op == DISK_FLUSH ? sector != 0 || sectors != 0 : !within(disk, sector, sectors)) return false;
    volatile struct header *header = (volatile struct header *)disk->page;
    header->type = op == DISK_FLUSH ? TYPE_FLUSH : op == DISK_READ ? TYPE_IN : TYPE_OUT;
    header->zero = 0;
    header->sector = sector;
    *(volatile uint8_t *)(disk->page + STATUS_AT) = STATUS_NONE;
    const struct virtio_buffer first = {disk->physical, sizeof(struct header), false};
    const struct virtio_buffer bytes = {data, sectors * DISK_SECTOR, op == DISK_READ};
    const struct virtio_buffer status = {disk->physical + STATUS_AT, 1, true};
    const struct virtio_buffer whole[] = {first, bytes, status};
    const struct virtio_buffer bare[] = {first, status};
    const uint16_t head =
        op == DISK_FLUSH ? virtio_give(&disk->queue, bare, 2) : virtio_give(&disk->queue, whole, 3);
    disk->busy = head != VIRTIO_NOTHING;
    if (disk->busy) virtio_kick(&disk->queue);
    return disk->busy;
}

enum disk_news disk_interrupt(struct disk *disk) {
    struct virtio_done done;
    const bool sane = virtio_interrupt(&disk->device);
    const bool back = virtio_take_back(&disk->queue, &done);
    disk->failed = disk->failed || !sane || disk->queue.broken;
    if (!disk->busy || (!back && !disk->failed)) return DISK_WAITING;
    disk->busy = false;
    if (!back) return DISK_FAILED;
    return *(volatile uint8_t *)(disk->page + STATUS_AT) == STATUS_OK ? DISK_DONE : DISK_FAILED;
}
