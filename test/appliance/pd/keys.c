/* In the place of the domain that holds the keys: one key each, made of the ledger's number. */
#include "keys/message.h"
#include "ledger/codec.h"
#include "lib/domain.h"
#include "lib/ring.h"
#include "lib/stop.h"
#include "lib/text.h"
#include "sha256/sha256.h"

#include <monocypher-ed25519.h>
#include <string.h>

static const microkit_channel channels[] = CH_LEDGERS;
static const uintptr_t sides[] = AT_LEDGERS_RING_MINE;
static const uintptr_t their_sides[] = AT_LEDGERS_RING_THEIRS;
static const uintptr_t regions[] = AT_LEDGERS_DATA;
static const char *const tenants[] = TENANT_NAMES;
static struct ring rings[TENANT_COUNT];

struct key {
    struct text name;
    uint8_t secret[64], public[32], id[4];
};

static struct key keys[TENANT_COUNT][2];

static void make(struct key *key, const char *tenant, uint8_t ledger) {
    static const uint8_t type[] = {'\n', 1};
    uint64_t state[SHA256_STATE / 8];
    uint8_t seed[32] = {0}, digest[SHA256_BYTES];
    text_add(&key->name, "example.org/");
    text_add(&key->name, tenant);
    if (ledger == 1) text_add(&key->name, "/audit");
    memcpy(seed, tenant, strlen(tenant) < 31 ? strlen(tenant) : 31);
    seed[31] = ledger;
    crypto_ed25519_key_pair(key->secret, key->public, seed);
    sha256_begin(state);
    sha256_add(state, (const uint8_t *)key->name.bytes, key->name.length);
    sha256_add(state, type, sizeof type);
    sha256_add(state, key->public, sizeof key->public);
    sha256_end(state, digest);
    memcpy(key->id, digest, sizeof key->id);
}

static void add_base64(struct text *text, const uint8_t *bytes, size_t length) {
    char encoded[100] = {0};
    base64_encode(encoded, bytes, length);
    text_add(text, encoded);
}

static struct text vkey(const struct key *key) {
    static const char digits[] = "0123456789abcdef";
    struct text text = {0};
    uint8_t bytes[33] = {1};
    text_add(&text, key->name.bytes);
    text_add(&text, "+");
    for (unsigned i = 0; i < sizeof key->id; i++) {
        const char hex[] = {digits[key->id[i] >> 4], digits[key->id[i] & 15], 0};
        text_add(&text, hex);
    }
    text_add(&text, "+");
    memcpy(bytes + 1, key->public, sizeof key->public);
    add_base64(&text, bytes, sizeof bytes);
    return text;
}

static struct text signature(const struct key *key, const uint8_t *message, size_t length) {
    struct text text = {0};
    uint8_t bytes[68];
    memcpy(bytes, key->id, sizeof key->id);
    crypto_ed25519_sign(bytes + 4, key->secret, message, length);
    text_add(&text, "\xe2\x80\x94 ");
    text_add(&text, key->name.bytes);
    text_add(&text, " ");
    add_base64(&text, bytes, sizeof bytes);
    text_add(&text, "\n");
    return text;
}

void init(void) {
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        ring_begin(&rings[i], sides[i], their_sides[i]);
        make(&keys[i][0], tenants[i], 0);
        make(&keys[i][1], tenants[i], 1);
    }
}

void notified(microkit_channel channel) {
    struct keys_message message;
    (void)channel;
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        while (ring_serve(&rings[i], &message)) {
            STOP_UNLESS(message.offset <= KEYS_REGION - KEYS_SLOT && message.length <= KEYS_SLOT);
            uint8_t *at = (uint8_t *)regions[i] + message.offset;
            const struct key *key = &keys[i][message.ledger & 1];
            const struct text answer =
                message.op == KEYS_VKEY ? vkey(key) : signature(key, at, message.length);
            memcpy(at, answer.bytes, answer.length);
            message.length = (uint32_t)answer.length;
            ring_answer(&rings[i], &message);
            microkit_notify(channels[i]);
        }
    }
}
