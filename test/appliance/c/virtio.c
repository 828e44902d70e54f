/* virtio/: the disk driver over devices in memory, one well-behaved and one not. */
#include "check.h"
#include "virtio/disk.h"

#include <string.h>

#define REGISTERS 0x200
#define SECTORS 4096u

/* Registers as 32-bit words. */
enum {
    MAGIC = 0,
    VERSION = 1,
    ID = 2,
    FEATURES = 4,
    QUEUE_MAX = 13,
    QUEUE_READY = 17,
    STATUS = 28,
    CONFIG = 64
};

static uint32_t *registers;
static uint8_t *pages;
static uint8_t *data;
static uint8_t image[SECTORS * DISK_SECTOR];
static struct disk disk;

/* One word holds both halves of the features: bit 0 of the upper half is VERSION_1, bit 9 of the lower half
 * FLUSH.
 */
static const char *begin(uint32_t features) {
    memset(registers, 0, REGISTERS);
    memset(pages, 0, 2 * VIRTIO_PAGE);
    registers[MAGIC] = 0x74726976;
    registers[VERSION] = 2;
    registers[ID] = VIRTIO_ID_BLK;
    registers[FEATURES] = features;
    registers[QUEUE_MAX] = 1024;
    registers[CONFIG] = SECTORS;
    return disk_begin(&disk, (uintptr_t)registers, (uintptr_t)pages, (uintptr_t)pages);
}

/* The parts of the queue's page, for 8 descriptors. */
static volatile struct virtio_descriptor *descriptor(uint16_t at) {
    return (struct virtio_descriptor *)pages + at;
}
static volatile uint16_t *available(void) {
    return (uint16_t *)(pages + 128);
}
static volatile uint16_t *used(void) {
    return (uint16_t *)(pages + 152);
}
static volatile struct virtio_used_entry *entry(uint16_t at) {
    return (struct virtio_used_entry *)(pages + 156) + at % 8;
}

static void put_used(uint32_t id, uint32_t length) {
    entry(used()[1])->id = id;
    entry(used()[1])->length = length;
    used()[1]++;
}

/* Performs the newest request. */
static void serve(uint8_t status) {
    const uint16_t head = available()[2 + (uint16_t)(available()[1] - 1) % 8];
    volatile struct virtio_descriptor *first = descriptor(head);
    CHECK(first->length == 16 && first->flags == 1);
    uint32_t type;
    uint64_t sector;
    memcpy(&type, (void *)(uintptr_t)first->address, 4);
    memcpy(&sector, (uint8_t *)(uintptr_t)first->address + 8, 8);
    volatile struct virtio_descriptor *last = descriptor(first->next);
    uint32_t length = 1;
    if (type != 4) {
        CHECK((last->flags & 1) == 1 && ((last->flags & 2) == 2) == (type == 0));
        uint8_t *bytes = (uint8_t *)(uintptr_t)last->address;
        if (type == 0) memcpy(bytes, image + sector * DISK_SECTOR, last->length);
        if (type == 1) memcpy(image + sector * DISK_SECTOR, bytes, last->length);
        if (type == 0) length += last->length;
        last = descriptor(last->next);
    }
    CHECK(last->length == 1 && last->flags == 2);
    *(uint8_t *)(uintptr_t)last->address = status;
    put_used(head, length);
}

static void test_negotiation(void) {
    CHECK(begin(0x201) == NULL && disk.sectors == SECTORS);
    CHECK((registers[STATUS] & 4) == 4 && registers[QUEUE_READY] == 1);
    CHECK(strstr(begin(0x001), "FLUSH") != NULL && (registers[STATUS] & 4) == 0);
    CHECK(strstr(begin(0x221), "read-only") != NULL);
    CHECK(strstr(begin(0x200), "lacks") != NULL && (registers[STATUS] & 128) == 128);
}

static void test_operations(void) {
    CHECK(begin(0x201) == NULL);
    for (uint32_t round = 0; round < 70000; round++) {
        const uint64_t sector = round % (SECTORS - 8);
        memset(data, (int)round, 8 * DISK_SECTOR);
        CHECK(disk_start(&disk, DISK_WRITE, sector, 8, (uintptr_t)data));
        CHECK(!disk_start(&disk, DISK_READ, 0, 1, (uintptr_t)data));
        CHECK(disk_interrupt(&disk) == DISK_WAITING);
        serve(0);
        CHECK(disk_interrupt(&disk) == DISK_DONE);
        memset(data, 0, 8 * DISK_SECTOR);
        CHECK(disk_start(&disk, DISK_READ, sector, 8, (uintptr_t)data));
        serve(0);
        CHECK(disk_interrupt(&disk) == DISK_DONE && data[8 * DISK_SECTOR - 1] == (uint8_t)round);
        CHECK(disk_start(&disk, DISK_FLUSH, 0, 0, 0));
        serve((uint8_t)(round % 3));
        CHECK(disk_interrupt(&disk) == (round % 3 == 0 ? DISK_DONE : DISK_FAILED));
    }
    CHECK(!disk_start(&disk, DISK_READ, SECTORS, 1, (uintptr_t)data));
    CHECK(!disk_start(&disk, DISK_READ, SECTORS - 1, 2, (uintptr_t)data));
    CHECK(!disk_start(&disk, DISK_WRITE, UINT64_MAX, 1, (uintptr_t)data));
    CHECK(!disk_start(&disk, DISK_READ, 0, 0, (uintptr_t)data));
    CHECK(!disk_start(&disk, DISK_FLUSH, 1, 0, 0));
}

/* After each lie the driver abandons the device: pending requests fail, and new ones are refused. */
static void test_lies(void) {
    static const struct {
        uint32_t id, length;
        uint16_t index;
    } lies[] = {{8, 1, 1},    {1, 1, 1},          {UINT32_MAX, 1, 1}, {65536, 1, 1},
                {0, 4098, 1}, {0, UINT32_MAX, 1}, {0, 1, 9}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        CHECK(begin(0x201) == NULL);
        CHECK(disk_start(&disk, DISK_READ, 0, 8, (uintptr_t)data));
        put_used(lies[i].id, lies[i].length);
        used()[1] = lies[i].index;
        CHECK(disk_interrupt(&disk) == DISK_FAILED && disk.failed);
        CHECK(!disk_start(&disk, DISK_READ, 0, 1, (uintptr_t)data));
        CHECK(disk_interrupt(&disk) == DISK_WAITING);
    }
    CHECK(begin(0x201) == NULL);
    CHECK(disk_start(&disk, DISK_READ, 0, 8, (uintptr_t)data));
    registers[STATUS] |= 64;
    CHECK(disk_interrupt(&disk) == DISK_FAILED);
}

/* Even if the device writes random bytes into the queue's page, the driver stays intact and reports success
 * only with a status of success. */
static void test_noise(void) {
    uint64_t random = 3;
    for (uint32_t round = 0; round < 20000; round++) {
        CHECK(begin(0x201) == NULL);
        for (uint32_t i = 0; i < 20; i++) {
            (void)disk_start(&disk, DISK_READ, 0, 1 + check_random(&random) % 8, (uintptr_t)data);
            for (uint32_t n = check_random(&random) % 8; n > 0; n--) {
                pages[check_random(&random) % 224] = (uint8_t)check_random(&random);
            }
            if (check_random(&random) % 2 == 0) {
                put_used(check_random(&random) % 10, check_random(&random) % 4200);
            }
            const uint8_t status = pages[VIRTIO_PAGE + 16] = check_random(&random) % 2 == 0 ? 0 : 1;
            if (disk_interrupt(&disk) == DISK_DONE) CHECK(status == 0);
            CHECK(disk.queue.free_count <= 8);
        }
    }
}

int main(void) {
    registers = calloc(1, REGISTERS);
    pages = aligned_alloc(VIRTIO_PAGE, 2 * VIRTIO_PAGE);
    data = malloc(8 * DISK_SECTOR);
    test_negotiation();
    test_operations();
    test_lies();
    test_noise();
    free(registers);
    free(pages);
    free(data);
    return 0;
}
