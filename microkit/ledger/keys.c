#include "ledger/keys.h"

#include "keys/message.h"
#include "keys/note.h"
#include "ledger/codec.h"
#include "ledger/machine.h"
#include "ledger/service.h"
#include "lib/ring.h"

#include <stddef.h>
#include <string.h>

#define LEDGERS 2u

static uintptr_t my_side, their_side;
static struct ring ring;
static uint8_t *data;
static bool has_joined, has_put;
/* The request in each slot. */
static struct {
    uint8_t op; /* 0: the slot is free */
    uint8_t ledger;
    uint32_t id; /* chosen by the bundle */
} asked[KEYS_SLOTS];
static char vkeys[LEDGERS][KEYS_SLOT + 1];
static struct keys_mark marks[LEDGERS];
static bool has_mark[LEDGERS];
/* The text of an answer, and a NUL. */
static char text[KEYS_SLOT + 1];

void keys_begin(uintptr_t mine, uintptr_t theirs, uintptr_t region) {
    my_side = mine;
    their_side = theirs;
    data = (uint8_t *)region;
}

const char *keys_vkey(uint32_t ledger) {
    return vkeys[ledger][0] == '\0' ? NULL : vkeys[ledger];
}

const struct keys_mark *keys_mark(uint32_t ledger) {
    return has_mark[ledger] ? &marks[ledger] : NULL;
}

static bool ask_keys(enum keys_op op, uint32_t ledger, uint32_t id, const char *bytes, size_t length) {
    uint32_t slot = 0;
    while (slot < KEYS_SLOTS && asked[slot].op != 0) slot++;
    if (slot == KEYS_SLOTS || length > KEYS_SLOT) return false;
    const struct keys_message message = {.id = slot,
                                         .op = (uint8_t)op,
                                         .ledger = (uint8_t)ledger,
                                         .offset = slot * KEYS_SLOT,
                                         .length = (uint32_t)length};
    if (length > 0) memcpy(data + message.offset, bytes, length);
    if (!ring_ask(&ring, &message)) return false;
    asked[slot].op = (uint8_t)op;
    asked[slot].ledger = (uint8_t)ledger;
    asked[slot].id = id;
    has_put = true;
    return true;
}

bool machine_sign(uint32_t ledger, uint32_t id, const char *bytes, size_t length) {
    return has_joined && ask_keys(KEYS_SIGN, ledger, id, bytes, length);
}

void keys_kept(uint32_t ledger) {
    /* If no slot is free, the next such message covers this one. */
    if (has_joined && ledger < LEDGERS) (void)ask_keys(KEYS_KEPT, ledger, 0, NULL, 0);
}

/* Copies the text of an answer. Returns NULL if the bytes are not a text. */
static const char *copy_text(const struct keys_message *message) {
    if (message->length == 0 || message->length > KEYS_SLOT) return NULL;
    memcpy(text, data + (size_t)message->id * KEYS_SLOT, message->length);
    text[message->length] = '\0';
    return utf8_is_text((const uint8_t *)text, message->length) ? text : NULL;
}

/* Copies a mark and checks it. Returns false if it is invalid. */
static bool copy_mark(const struct keys_message *message, struct keys_mark *mark) {
    uint8_t bytes[KEYS_MARK_SIZE + KEYS_MARK_ROOT];
    const bool has_root = message->length == sizeof bytes;
    if (message->length != 0 && message->length != KEYS_MARK_SIZE && !has_root) return false;
    memcpy(bytes, data + (size_t)message->id * KEYS_SLOT, message->length);
    *mark = (struct keys_mark){.has_size = message->length > 0, .has_root = has_root};
    for (uint32_t i = 0; mark->has_size && i < KEYS_MARK_SIZE; i++) mark->size |= (uint64_t)bytes[i] << 8 * i;
    if (has_root) base64_encode(mark->root, bytes + KEYS_MARK_SIZE, KEYS_MARK_ROOT);
    return mark->size <= NOTE_MOST;
}

static const char *refusal_reason(uint8_t status) {
    if (status == KEYS_REFUSED)
        return "the keys refuse: the checkpoint does not follow the one that was signed last";
    if (status == KEYS_INVALID) return "the keys refuse: not a checkpoint of this ledger";
    return "the keys cannot sign";
}

static void take_answer(const struct keys_message *message) {
    if (message->id >= KEYS_SLOTS || asked[message->id].op != message->op) return;
    const uint32_t ledger = asked[message->id].ledger;
    const uint32_t id = asked[message->id].id;
    const char *given = message->status == KEYS_OK ? copy_text(message) : NULL;
    asked[message->id].op = 0;
    if (message->op == KEYS_SIGN) {
        service_signed(id, given, refusal_reason(message->status));
    } else if (message->op == KEYS_KEPT) {
        if (message->status != KEYS_OK)
            machine_log("the keys could not record the newest checkpoint in the ledger");
    } else if (message->op == KEYS_MARK) {
        has_mark[ledger] = message->status == KEYS_OK && copy_mark(message, &marks[ledger]);
        if (!has_mark[ledger]) machine_log("the keys have no high-water mark: the ledger cannot be opened");
    } else if (given != NULL) {
        memcpy(vkeys[ledger], given, message->length + 1);
    } else {
        machine_log("there is no verifier key: the ledger cannot be opened");
    }
}

bool keys_work(void) {
    struct keys_message message;
    bool has_come = false;
    if (!has_joined) {
        has_joined = ring_join(&ring, my_side, their_side);
        for (uint32_t i = 0; has_joined && i < LEDGERS; i++) {
            (void)ask_keys(KEYS_VKEY, i, 0, NULL, 0);
            (void)ask_keys(KEYS_MARK, i, 0, NULL, 0);
        }
    }
    while (has_joined && ring_take(&ring, &message)) {
        has_come = true;
        take_answer(&message);
    }
    return has_come;
}

bool keys_has_put(void) {
    const bool has = has_put;
    has_put = false;
    return has;
}
