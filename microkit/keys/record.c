#include "keys/record.h"

#include "sha256/sha256.h"

#include <monocypher.h>
#include <string.h>

#define MAGIC_BYTES 16u
#define VERSION 16u
#define KIND 20u
#define SEQUENCE 24u
#define PAYLOAD 32u
#define HASH 480u

/* Fields of a superblock. */
#define SUPER_KEYS PAYLOAD
/* Fields of a key; its sequence number is 0. */
#define KEY_TYPE PAYLOAD
#define KEY_LENGTH 36u
#define KEY_SEED 40u
#define KEY_PUBLIC 72u
#define KEY_NAME 104u
/* Fields of the checkpoint that was signed last. */
#define LAST_SIZE PAYLOAD
#define LAST_ROOT 40u
#define LAST_PUBLIC 72u
#define LAST_HAS_KEPT 104u
#define LAST_KEPT 108u

#define THIS_VERSION 1u
#define TYPE_ED25519 1u

_Static_assert(KEY_NAME + RECORD_NAME <= HASH, "a record has room for a name");

static const uint8_t magic[MAGIC_BYTES] = {'s', 'e', 'r', 'v', 'i', 'c', 'e', '-',
                                           'f', 's', ' ', 'k', 'e', 'y', 's', '\n'};

static void put_number(uint8_t *at, uint64_t number, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) at[i] = (uint8_t)(number >> 8 * i);
}

static uint64_t get_number(const uint8_t *at, uint32_t bytes) {
    uint64_t number = 0;
    for (uint32_t i = 0; i < bytes; i++) number |= (uint64_t)at[i] << 8 * i;
    return number;
}

static bool is_zero(const uint8_t *bytes, size_t length) {
    uint8_t all = 0;
    for (size_t i = 0; i < length; i++) all |= bytes[i];
    return all == 0;
}

static void hash_record(const uint8_t *sector, uint8_t digest[SHA256_BYTES]) {
    _Alignas(8) uint8_t state[SHA256_STATE];
    sha256_begin(state);
    sha256_add(state, sector, HASH);
    sha256_end(state, digest);
    crypto_wipe(state, sizeof state);
}

static void begin_record(uint8_t *sector, enum record_kind kind, uint64_t sequence) {
    memset(sector, 0, RECORD_BYTES);
    memcpy(sector, magic, MAGIC_BYTES);
    put_number(sector + VERSION, THIS_VERSION, 4);
    put_number(sector + KIND, kind, 4);
    put_number(sector + SEQUENCE, sequence, 8);
}

void record_write_super(uint8_t sector[RECORD_BYTES], const struct record_super *super) {
    begin_record(sector, RECORD_SUPERBLOCK, super->sequence);
    put_number(sector + SUPER_KEYS, super->keys, 4);
    hash_record(sector, sector + HASH);
}

void record_write_key(uint8_t sector[RECORD_BYTES], const struct record_key *key) {
    begin_record(sector, RECORD_PRIVATE, 0);
    put_number(sector + KEY_TYPE, TYPE_ED25519, 4);
    put_number(sector + KEY_LENGTH, key->length, 4);
    memcpy(sector + KEY_SEED, key->seed, RECORD_SEED);
    memcpy(sector + KEY_PUBLIC, key->public_key, RECORD_PUBLIC);
    memcpy(sector + KEY_NAME, key->name, key->length);
    hash_record(sector, sector + HASH);
}

void record_write_last(uint8_t sector[RECORD_BYTES], const struct record_last *last) {
    begin_record(sector, RECORD_LAST, last->sequence);
    put_number(sector + LAST_SIZE, last->size, 8);
    memcpy(sector + LAST_ROOT, last->root, RECORD_HASH);
    memcpy(sector + LAST_PUBLIC, last->public_key, RECORD_PUBLIC);
    put_number(sector + LAST_HAS_KEPT, last->has_kept ? 1 : 0, 4);
    put_number(sector + LAST_KEPT, last->kept, 8);
    hash_record(sector, sector + HASH);
}

/* Reports whether the sector begins like a record. If it ends within the magic, zeros must follow. */
static bool may_be_torn(const uint8_t *sector) {
    size_t same = 0;
    while (same < MAGIC_BYTES && sector[same] == magic[same]) same++;
    return same == MAGIC_BYTES || (same > 0 && is_zero(sector + same, RECORD_BYTES - same));
}

static enum record_found check_record(const uint8_t *sector, enum record_kind kind) {
    uint8_t digest[SHA256_BYTES];
    if (is_zero(sector, RECORD_BYTES)) return RECORD_EMPTY;
    if (!may_be_torn(sector)) return RECORD_BROKEN;
    hash_record(sector, digest);
    if (memcmp(digest, sector + HASH, SHA256_BYTES) != 0) return RECORD_TORN;
    const bool fits = get_number(sector + VERSION, 4) == THIS_VERSION && get_number(sector + KIND, 4) == kind;
    return fits ? RECORD_GOOD : RECORD_BROKEN;
}

enum record_found record_read_super(const uint8_t sector[RECORD_BYTES], struct record_super *super) {
    const enum record_found found = check_record(sector, RECORD_SUPERBLOCK);
    super->sequence = get_number(sector + SEQUENCE, 8);
    super->keys = (uint32_t)get_number(sector + SUPER_KEYS, 4);
    const bool fits = super->sequence > 0 && super->keys <= RECORD_KEYS;
    return found == RECORD_GOOD && !fits ? RECORD_BROKEN : found;
}

enum record_found record_read_key(const uint8_t sector[RECORD_BYTES], struct record_key *key) {
    const enum record_found found = check_record(sector, RECORD_PRIVATE);
    key->length = (uint32_t)get_number(sector + KEY_LENGTH, 4);
    if (found != RECORD_GOOD) return found;
    const bool fits = get_number(sector + KEY_TYPE, 4) == TYPE_ED25519 &&
                      get_number(sector + SEQUENCE, 8) == 0 && key->length > 0 && key->length <= RECORD_NAME;
    if (!fits) return RECORD_BROKEN;
    memcpy(key->seed, sector + KEY_SEED, RECORD_SEED);
    memcpy(key->public_key, sector + KEY_PUBLIC, RECORD_PUBLIC);
    memcpy(key->name, sector + KEY_NAME, key->length);
    return RECORD_GOOD;
}

enum record_found record_read_last(const uint8_t sector[RECORD_BYTES], struct record_last *last) {
    const enum record_found found = check_record(sector, RECORD_LAST);
    last->sequence = get_number(sector + SEQUENCE, 8);
    last->size = get_number(sector + LAST_SIZE, 8);
    memcpy(last->root, sector + LAST_ROOT, RECORD_HASH);
    memcpy(last->public_key, sector + LAST_PUBLIC, RECORD_PUBLIC);
    last->has_kept = get_number(sector + LAST_HAS_KEPT, 4) != 0;
    last->kept = get_number(sector + LAST_KEPT, 8);
    return found == RECORD_GOOD && last->sequence == 0 ? RECORD_BROKEN : found;
}

enum record_choice record_choose(const enum record_found found[2], const uint64_t sequences[2]) {
    const bool good[2] = {found[0] == RECORD_GOOD, found[1] == RECORD_GOOD};
    for (uint32_t i = 0; i < 2; i++) {
        if (good[i] && sequences[i] % 2 != i) return RECORD_CORRUPT;
        if (found[i] == RECORD_BROKEN) return RECORD_CORRUPT;
    }
    if (good[0] && good[1]) {
        if (sequences[1] == sequences[0] + 1) return RECORD_SLOT_1;
        return sequences[0] == sequences[1] + 1 ? RECORD_SLOT_0 : RECORD_CORRUPT;
    }
    /* The first write goes to slot 1, the second to slot 0. */
    if (good[0]) return found[1] == RECORD_TORN ? RECORD_SLOT_0 : RECORD_CORRUPT;
    if (good[1]) {
        return found[0] == RECORD_TORN || sequences[1] == 1 ? RECORD_SLOT_1 : RECORD_CORRUPT;
    }
    return found[0] == RECORD_EMPTY ? RECORD_NONE : RECORD_CORRUPT;
}
