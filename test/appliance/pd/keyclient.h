/* Shared by the test programs that run in the place of a ledger and request
 * signatures on checkpoints, one at a time. */
#ifndef KEYCLIENT_H
#define KEYCLIENT_H

#include "keys/message.h"
#include "ledger/codec.h"
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/ring.h"
#include "lib/text.h"

static struct ring keys;

static inline void put(struct text *text, const char *what, uint64_t number) {
    text_add(text, what);
    text_number(text, number);
}

/* Writes the checkpoint of a tree of `size` entries. Each of the 32 bytes of
 * its root hash is `root`. */
static inline uint32_t checkpoint(char *out, const char *origin, uint64_t size, uint8_t root) {
    uint8_t hash[32];
    char base64[45] = {0};
    struct text text = {0};
    memset(hash, root, sizeof hash);
    base64_encode(base64, hash, sizeof hash);
    text_add(&text, origin);
    put(&text, "\n", size);
    text_add(&text, "\n");
    text_add(&text, base64);
    text_add(&text, "\n");
    memcpy(out, text.bytes, text.length);
    return (uint32_t)text.length;
}

static inline void ask(const struct keys_message *message) {
    (void)ring_ask(&keys, message);
    microkit_notify(CH_KEYS);
}

/* Prints `what` and the answer on one line, without unprintable bytes. */
static inline void say_answer(const char *what, const struct keys_message *answer) {
    char line[300] = {0};
    size_t at = strlen(what);
    memcpy(line, what, at);
    for (uint32_t i = 0; i < answer->length && at + 1 < sizeof line; i++) {
        const char byte = ((const char *)AT_KEYS_DATA)[answer->offset + i];
        if (byte > ' ' && byte < 0x7f) line[at++] = byte;
        if (byte == ' ' && line[at - 1] != ' ') line[at++] = byte;
    }
    console(line);
}

#endif
