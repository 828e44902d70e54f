/*
 * The only holder of the data disk: of its device page, its interrupt, and the physical address of the region
 * in which its one client, PSDB, puts data. This domain does not map that region.
 */
#include "blk/message.h"
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/ring.h"
#include "lib/text.h"
#include "virtio/disk.h"

/* Physical addresses, set by Microkit's tool. */
uintptr_t queue_physical;
uintptr_t data_physical;

static struct disk disk;
static struct ring ring;
static const char *unusable;
static struct blk_message under_way;

static void answer_request(struct blk_message *message, enum blk_status status) {
    message->status = (uint8_t)status;
    ring_answer(&ring, message);
}

static bool within_data(const struct blk_message *message) {
    if (message->op == BLK_FLUSH) return message->offset == 0;
    return message->offset % DISK_SECTOR == 0 && message->offset <= SIZE_DATA &&
           message->sectors <= (SIZE_DATA - message->offset) / DISK_SECTOR;
}

static void take_request(struct blk_message *message) {
    if (unusable != NULL) {
        answer_request(message, BLK_FAILED);
    } else if (message->op == BLK_CAPACITY) {
        message->sector = disk.sectors;
        answer_request(message, BLK_OK);
    } else if (message->op > BLK_FLUSH || !within_data(message)) {
        answer_request(message, BLK_INVALID);
    } else if (disk_start(&disk, (enum disk_op)message->op, message->sector, message->sectors,
                          data_physical + message->offset)) {
        under_way = *message;
    } else {
        answer_request(message, disk.failed ? BLK_FAILED : BLK_INVALID);
    }
}

static void serve_requests(void) {
    struct blk_message message;
    const uint32_t before = ring.produced;
    while (!disk.busy && ring_serve(&ring, &message)) take_request(&message);
    if (ring.produced != before) microkit_notify(CH_PSDB);
}

void init(void) {
    ring_begin(&ring, AT_PSDB_RING_MINE, AT_PSDB_RING_THEIRS);
    unusable = disk_begin(&disk, AT_DEVICE, AT_QUEUE, queue_physical);
    struct text text = {0};
    text_add(&text, unusable == NULL ? "data disk of " : "no data disk: ");
    if (unusable != NULL) {
        text_add(&text, unusable);
    } else {
        text_number(&text, disk.sectors);
        text_add(&text, " sectors");
    }
    console(text.bytes);
    serve_requests();
}

static void handle_interrupt(void) {
    if (unusable == NULL) {
        const enum disk_news news = disk_interrupt(&disk);
        if (news != DISK_WAITING) {
            if (disk.failed)
                console("the data disk's device broke the rules of virtio: it is not used any more");
            answer_request(&under_way, news == DISK_DONE ? BLK_OK : BLK_FAILED);
            microkit_notify(CH_PSDB);
        }
    }
    microkit_irq_ack(CH_DEVICE);
}

void notified(microkit_channel channel) {
    if (channel == CH_DEVICE) handle_interrupt();
    serve_requests();
}
