/* A script may pass any arguments. It may also run during a call, while an argument is converted to a number
 * or a text. */
#include "ledger/border.h"

#include "ed25519/ed25519.h"
#include "ledger/codec.h"
#include "ledger/machine.h"
#include "psdb/message.h"
#include "sha256/sha256.h"

#include <string.h>

#define HASH_TEXT 44

typedef const struct engine_call call_t;

static engine_value throw_full(struct engine *engine) {
    return engine_throw(engine, "out of memory");
}

/* Returns a function's result, or an exception if the memory was full. */
static engine_value result_or_full(struct engine *engine, engine_value value) {
    return value == 0 ? throw_full(engine) : value;
}

/* Takes an integer. Returns false if the argument is not one from 0 to `most`. */
static bool take_integer(struct engine *engine, call_t *call, uint32_t index, uint32_t most,
                         uint32_t *integer) {
    const double number = engine_take_number(engine, call, index);
    if (!(number >= 0 && number <= (double)most)) return false;
    *integer = (uint32_t)number;
    return (double)*integer == number;
}

/* ---- clocks, random bytes, the log */

static engine_value now(struct engine *engine, call_t *call) {
    (void)call;
    return result_or_full(engine, engine_number(engine, machine_now()));
}

static engine_value monotonic(struct engine *engine, call_t *call) {
    (void)call;
    return result_or_full(engine, engine_number(engine, machine_monotonic()));
}

static engine_value random_bytes(struct engine *engine, call_t *call) {
    uint32_t length;
    uint8_t *at;
    if (!take_integer(engine, call, 0, BORDER_RANDOM_BYTES, &length)) {
        return engine_throw(engine, "random: expected a number of bytes up to 65536");
    }
    const engine_room room = engine_reserve(engine, length, &at);
    if (room == 0) return throw_full(engine);
    machine_random(at, length);
    return result_or_full(engine, engine_bytes_in(engine, room, length));
}

static engine_value log_text(struct engine *engine, call_t *call) {
    size_t length;
    const char *text = engine_take_text(engine, call, 0, &length);
    if (text == NULL) return engine_throw(engine, "log: expected a text");
    machine_log(text);
    engine_release_text(engine, text);
    return 0;
}

/* ---- hashes */

/* Hashes a prefix byte, unless it is below 0, and two pieces with SHA-256. */
static void hash_pieces(uint8_t digest[SHA256_BYTES], int prefix, const uint8_t *one, size_t one_length,
                        const uint8_t *two, size_t two_length) {
    uint64_t state[SHA256_STATE / sizeof(uint64_t)];
    const uint8_t byte = (uint8_t)prefix;
    sha256_begin(state);
    if (prefix >= 0) sha256_add(state, &byte, 1);
    if (one_length > 0) sha256_add(state, one, one_length);
    if (two_length > 0) sha256_add(state, two, two_length);
    sha256_end(state, digest);
}

static engine_value hash_text(struct engine *engine, const uint8_t digest[SHA256_BYTES]) {
    char text[HASH_TEXT + 1];
    base64_encode(text, digest, SHA256_BYTES);
    text[HASH_TEXT] = '\0';
    return result_or_full(engine, engine_text(engine, text));
}

static engine_value sha256_of(struct engine *engine, call_t *call) {
    uint8_t digest[SHA256_BYTES];
    struct engine_bytes bytes;
    if (!engine_take_bytes(engine, call, 0, &bytes))
        return engine_throw(engine, "sha256: expected an ArrayBuffer");
    hash_pieces(digest, -1, bytes.at, bytes.length, NULL, 0);
    engine_give_back(engine, bytes.room);
    return result_or_full(engine, engine_bytes(engine, digest, sizeof digest));
}

static engine_value hash_leaf(struct engine *engine, call_t *call) {
    uint8_t digest[SHA256_BYTES];
    struct engine_bytes bytes;
    if (!engine_take_bytes(engine, call, 0, &bytes))
        return engine_throw(engine, "hashLeaf: expected an ArrayBuffer");
    hash_pieces(digest, 0, bytes.at, bytes.length, NULL, 0);
    engine_give_back(engine, bytes.room);
    return hash_text(engine, digest);
}

/* Takes the 32 bytes of a hash in base64. Returns false if the argument is not one. */
static bool take_hash(struct engine *engine, call_t *call, uint32_t index, uint8_t *bytes) {
    uint8_t decoded[HASH_TEXT / 4 * 3];
    size_t length, count;
    const char *text = engine_take_text(engine, call, index, &length);
    if (text == NULL) return false;
    const bool is_hash =
        length == HASH_TEXT && base64_decode(decoded, &count, text, length) && count == SHA256_BYTES;
    if (is_hash) memcpy(bytes, decoded, SHA256_BYTES);
    engine_release_text(engine, text);
    return is_hash;
}

static engine_value hash_node(struct engine *engine, call_t *call) {
    uint8_t digest[SHA256_BYTES], left[SHA256_BYTES], right[SHA256_BYTES];
    if (!take_hash(engine, call, 0, left) || !take_hash(engine, call, 1, right)) {
        return engine_throw(engine, "hashNode: expected two hashes in base64");
    }
    hash_pieces(digest, 1, left, sizeof left, right, sizeof right);
    return hash_text(engine, digest);
}

/* ---- texts */

static engine_value utf8_encode(struct engine *engine, call_t *call) {
    size_t length;
    uint8_t *at;
    const char *text = engine_take_text(engine, call, 0, &length);
    if (text == NULL) return engine_throw(engine, "utf8Encode: expected a text");
    const engine_room room = engine_reserve(engine, length, &at);
    if (room != 0) memcpy(at, text, length);
    engine_release_text(engine, text);
    return room == 0 ? throw_full(engine) : result_or_full(engine, engine_bytes_in(engine, room, length));
}

static engine_value utf8_decode(struct engine *engine, call_t *call) {
    struct engine_bytes bytes;
    uint8_t *at;
    if (!engine_take_bytes(engine, call, 0, &bytes))
        return engine_throw(engine, "utf8Decode: expected an ArrayBuffer");
    const bool is_text = utf8_is_text(bytes.at, bytes.length);
    const engine_room room = is_text ? engine_reserve(engine, bytes.length + 1, &at) : 0;
    if (room != 0) {
        memcpy(at, bytes.at, bytes.length);
        at[bytes.length] = 0;
    }
    engine_give_back(engine, bytes.room);
    if (!is_text) return 0;
    return room == 0 ? throw_full(engine) : result_or_full(engine, engine_text_in(engine, room));
}

static engine_value base64_from_bytes(struct engine *engine, call_t *call) {
    struct engine_bytes bytes;
    uint8_t *at;
    if (!engine_take_bytes(engine, call, 0, &bytes)) {
        return engine_throw(engine, "base64Encode: expected an ArrayBuffer");
    }
    const size_t characters = base64_length(bytes.length);
    const engine_room room = engine_reserve(engine, characters + 1, &at);
    if (room != 0) {
        base64_encode((char *)at, bytes.at, bytes.length);
        at[characters] = 0;
    }
    engine_give_back(engine, bytes.room);
    return room == 0 ? throw_full(engine) : result_or_full(engine, engine_text_in(engine, room));
}

static engine_value base64_to_bytes(struct engine *engine, call_t *call) {
    size_t length, count = 0;
    uint8_t *at;
    const char *text = engine_take_text(engine, call, 0, &length);
    if (text == NULL) return engine_throw(engine, "base64Decode: expected a text");
    const engine_room room = engine_reserve(engine, length / 4 * 3, &at);
    const bool is_base64 = room != 0 && base64_decode(at, &count, text, length);
    engine_release_text(engine, text);
    if (room == 0) return throw_full(engine);
    if (is_base64) return result_or_full(engine, engine_bytes_in(engine, room, count));
    engine_give_back(engine, room);
    return 0;
}

/* ---- signatures */

/* Takes three ArrayBuffers. Returns false, and takes none, if an argument is not an ArrayBuffer. */
static bool take_three(struct engine *engine, call_t *call, struct engine_bytes bytes[3]) {
    for (uint32_t i = 0; i < 3; i++) {
        if (engine_take_bytes(engine, call, i, &bytes[i])) continue;
        while (i > 0) engine_give_back(engine, bytes[--i].room);
        return false;
    }
    return true;
}

static engine_value ed25519_verify(struct engine *engine, call_t *call) {
    struct engine_bytes bytes[3];
    if (!take_three(engine, call, bytes))
        return engine_throw(engine, "ed25519Verify: expected three ArrayBuffers");
    const struct engine_bytes *key = &bytes[0], *message = &bytes[1], *signature = &bytes[2];
    const bool is_valid = key->length == 32 && signature->length == 64 &&
                          ed25519_check(signature->at, key->at, message->at, message->length);
    for (uint32_t i = 0; i < 3; i++) engine_give_back(engine, bytes[i].room);
    return result_or_full(engine, engine_boolean(engine, is_valid));
}

static engine_value sign_text(struct engine *engine, call_t *call) {
    uint32_t ledger, id;
    size_t length;
    if (!take_integer(engine, call, 0, 1, &ledger))
        return engine_throw(engine, "sign: expected ledger 0 or 1");
    if (!take_integer(engine, call, 1, UINT32_MAX, &id)) return engine_throw(engine, "sign: expected an id");
    const char *text = engine_take_text(engine, call, 2, &length);
    if (text == NULL) return engine_throw(engine, "sign: expected a text");
    const bool is_asked = machine_sign(ledger, id, text, length);
    engine_release_text(engine, text);
    return is_asked ? 0
                    : engine_throw(engine, "sign: the text is too long, or too many wait for a signature");
}

/* ---- storage */

static engine_value psdb_put(struct engine *engine, call_t *call) {
    uint32_t offset;
    struct engine_bytes bytes;
    if (!take_integer(engine, call, 0, machine_region_bytes, &offset)) {
        return engine_throw(engine, "psdbPut: expected an offset within the data region");
    }
    if (!engine_take_bytes(engine, call, 1, &bytes))
        return engine_throw(engine, "psdbPut: expected an ArrayBuffer");
    const bool fits = bytes.length <= machine_region_bytes - offset;
    if (fits) memcpy(machine_region + offset, bytes.at, bytes.length);
    engine_give_back(engine, bytes.room);
    return fits ? 0 : engine_throw(engine, "psdbPut: expected bytes within the data region");
}

static engine_value psdb_get(struct engine *engine, call_t *call) {
    uint32_t offset, length;
    uint8_t *at;
    if (!take_integer(engine, call, 0, machine_region_bytes, &offset) ||
        !take_integer(engine, call, 1, machine_region_bytes - offset, &length)) {
        return engine_throw(engine, "psdbGet: expected an offset and a length within the data region");
    }
    const engine_room room = engine_reserve(engine, length, &at);
    if (room == 0) return throw_full(engine);
    memcpy(at, machine_region + offset, length);
    return result_or_full(engine, engine_bytes_in(engine, room, length));
}

static engine_value psdb_send(struct engine *engine, call_t *call) {
    struct engine_bytes bytes;
    if (!engine_take_bytes(engine, call, 0, &bytes))
        return engine_throw(engine, "psdbSend: expected an ArrayBuffer");
    const bool is_message = bytes.length == PSDB_MESSAGE_BYTES;
    const bool is_sent = is_message && machine_psdb(bytes.at);
    engine_give_back(engine, bytes.room);
    if (!is_message) return engine_throw(engine, "psdbSend: expected 64 bytes");
    return is_sent ? 0 : engine_throw(engine, "psdbSend: expected at most 64 messages without an answer");
}

/* ---- the network */

static bool take_connection(struct engine *engine, call_t *call, uint32_t *connection) {
    return take_integer(engine, call, 0, UINT32_MAX, connection);
}

static engine_value no_connection(struct engine *engine) {
    return engine_throw(engine, "expected the number of a connection");
}

static engine_value net_send(struct engine *engine, call_t *call) {
    uint32_t connection;
    struct engine_bytes bytes;
    if (!take_connection(engine, call, &connection)) return no_connection(engine);
    if (!engine_take_bytes(engine, call, 1, &bytes))
        return engine_throw(engine, "netSend: expected an ArrayBuffer");
    const enum machine_sent sent = machine_send(engine, connection, &bytes);
    if (sent == MACHINE_FULL) return engine_throw(engine, "netSend: too much waits to go out");
    return result_or_full(engine, engine_boolean(engine, sent == MACHINE_SENT));
}

static engine_value net_close(struct engine *engine, call_t *call) {
    uint32_t connection;
    if (!take_connection(engine, call, &connection)) return no_connection(engine);
    machine_close(connection);
    return 0;
}

static engine_value net_pause(struct engine *engine, call_t *call) {
    uint32_t connection;
    if (!take_connection(engine, call, &connection)) return no_connection(engine);
    machine_listen(connection, false);
    return 0;
}

static engine_value net_resume(struct engine *engine, call_t *call) {
    uint32_t connection;
    if (!take_connection(engine, call, &connection)) return no_connection(engine);
    machine_listen(connection, true);
    return 0;
}

/* ---- life */

static engine_value set_timer(struct engine *engine, call_t *call) {
    const double at = engine_take_number(engine, call, 0);
    if (at != at) return engine_throw(engine, "timer: expected a time");
    machine_timer(at);
    return 0;
}

static engine_value started(struct engine *engine, call_t *call) {
    (void)engine;
    (void)call;
    machine_started();
    return 0;
}

static engine_value stopped(struct engine *engine, call_t *call) {
    size_t length;
    if (engine_count(call) == 0) {
        machine_stopped(NULL);
        return 0;
    }
    const char *text = engine_take_text(engine, call, 0, &length);
    if (text == NULL) return engine_throw(engine, "stopped: expected a text");
    machine_stopped(text);
    engine_release_text(engine, text);
    return 0;
}

const struct engine_method border_methods[] = {
    {"now", now},
    {"monotonic", monotonic},
    {"random", random_bytes},
    {"log", log_text},
    {"sha256", sha256_of},
    {"hashLeaf", hash_leaf},
    {"hashNode", hash_node},
    {"utf8Encode", utf8_encode},
    {"utf8Decode", utf8_decode},
    {"base64Encode", base64_from_bytes},
    {"base64Decode", base64_to_bytes},
    {"ed25519Verify", ed25519_verify},
    {"sign", sign_text},
    {"psdbPut", psdb_put},
    {"psdbGet", psdb_get},
    {"psdbSend", psdb_send},
    {"netSend", net_send},
    {"netClose", net_close},
    {"netPause", net_pause},
    {"netResume", net_resume},
    {"timer", set_timer},
    {"started", started},
    {"stopped", stopped},
    {NULL, NULL},
};
