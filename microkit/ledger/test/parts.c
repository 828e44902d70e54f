/* The disk as a file, keys derived from the origin's name, entropy from the system. */
#include "machine.h"

#include "blk/message.h"
#include "ledger/codec.h"
#include "sha256/sha256.h"

#include <fcntl.h>
#include <monocypher-ed25519.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SECTOR 512u

static int disk;
static struct ring blk, keys;
static char names[2][64];
static uint8_t secret[2][64], public[2][32];

void blk_open(const char *path) {
    disk = open(path, O_RDWR);
    if (disk < 0) fail("the disk's file cannot be opened");
    ring_begin(&blk, AT(blk_to_psdb), AT(psdb_to_blk));
}

static bool do_blk(struct blk_message *message) {
    const size_t bytes = (size_t)message->sectors * SECTOR;
    const off_t at = (off_t)(message->sector * SECTOR);
    if (message->op == BLK_CAPACITY) {
        message->sector = (uint64_t)lseek(disk, 0, SEEK_END) / SECTOR;
        return true;
    }
    if (message->op == BLK_FLUSH) return fdatasync(disk) == 0;
    if (message->offset > sizeof memory.disk || bytes > sizeof memory.disk - message->offset) return false;
    uint8_t *buffer = memory.disk + message->offset;
    return message->op == BLK_READ ? pread(disk, buffer, bytes, at) == (ssize_t)bytes
                                   : pwrite(disk, buffer, bytes, at) == (ssize_t)bytes;
}

void blk_work(void) {
    struct blk_message message;
    while (ring_serve(&blk, &message)) {
        message.status = do_blk(&message) ? BLK_OK : BLK_FAILED;
        ring_answer(&blk, &message);
        tell(TO_PSDB);
    }
}

void keys_open(const char *origin) {
    ring_begin(&keys, AT(keys_to_ledger), AT(ledger_to_keys));
    (void)snprintf(names[0], sizeof names[0], "%s", origin);
    (void)snprintf(names[1], sizeof names[1], "%.50s/audit", origin);
    for (int i = 0; i < 2; i++) {
        uint8_t seed[32] = {0};
        memcpy(seed, names[i], strlen(names[i]) < 32 ? strlen(names[i]) : 32);
        seed[31] = (uint8_t)i;
        crypto_ed25519_key_pair(secret[i], public[i], seed);
    }
}

/* Makes the key ID: the first four bytes of SHA-256 of name, LF, type, key (C2SP signed-note). */
static void key_id(int ledger, uint8_t id[4]) {
    uint64_t state[SHA256_STATE / 8];
    uint8_t digest[SHA256_BYTES];
    sha256_begin(state);
    sha256_add(state, (const uint8_t *)names[ledger], strlen(names[ledger]));
    sha256_add(state, (const uint8_t *)"\n\x01", 2);
    sha256_add(state, public[ledger], 32);
    sha256_end(state, digest);
    memcpy(id, digest, 4);
}

static int vkey(int ledger, char *to) {
    uint8_t key[33] = {1}, id[4];
    char text[45] = {0};
    key_id(ledger, id);
    memcpy(key + 1, public[ledger], 32);
    base64_encode(text, key, sizeof key);
    return snprintf(to, KEYS_SLOT, "%s+%02x%02x%02x%02x+%s", names[ledger], id[0], id[1], id[2], id[3], text);
}

static int signature(int ledger, const uint8_t *text, size_t length, char *to) {
    uint8_t bytes[68];
    char encoded[93] = {0};
    key_id(ledger, bytes);
    crypto_ed25519_sign(bytes + 4, secret[ledger], text, length);
    base64_encode(encoded, bytes, sizeof bytes);
    return snprintf(to, KEYS_SLOT, "\xe2\x80\x94 %s %s\n", names[ledger], encoded);
}

void keys_answer(void) {
    struct keys_message message;
    while (ring_serve(&keys, &message)) {
        uint8_t *at = memory.keys_data + message.offset;
        char answer[KEYS_SLOT] = "";
        const int ledger = message.ledger & 1;
        message.length = (uint32_t)(message.op == KEYS_VKEY   ? vkey(ledger, answer)
                                    : message.op == KEYS_SIGN ? signature(ledger, at, message.length, answer)
                                                              : 0);
        memcpy(at, answer, message.length);
        ring_answer(&keys, &message);
        tell(TO_LEDGER);
    }
}

void entropy_work(void) {
    if (getrandom(memory.random.bytes, RANDOM_BYTES, 0) != RANDOM_BYTES) fail("there is no entropy");
    memory.random.count += 2;
    tell(TO_LEDGER);
}
