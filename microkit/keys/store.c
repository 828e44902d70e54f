#include "keys/store.h"

#include "keys/note.h"
#include "lib/stop.h"
#include "sha256/sha256.h"

#include <monocypher-ed25519.h>
#include <string.h>

#define NOBODY UINT32_MAX
#define AUDIT "/audit"

_Static_assert(NOTE_VKEY(RECORD_NAME) <= KEYS_SLOT && NOTE_LINE(RECORD_NAME) <= KEYS_SLOT,
               "answers fit their slots");
_Static_assert(KEYS_MARK_ROOT == RECORD_HASH, "a mark has a root");
_Static_assert(RECORD_KEYS >= KEYS_TENANTS * KEYS_LEDGERS, "each ledger's key has a place");

static uint32_t ledger_count(const struct keys_store *store) {
    return store->config.tenant_count * KEYS_LEDGERS;
}

/* ---- lines for the console */

struct line {
    size_t length;
    char bytes[KEYS_LINE];
};

static void add_bytes(struct line *line, const char *text, size_t length) {
    for (size_t i = 0; i < length && line->length < KEYS_LINE - 1; i++) {
        line->bytes[line->length++] = text[i];
    }
    line->bytes[line->length] = '\0';
}

static void add_text(struct line *line, const char *text) {
    add_bytes(line, text, strlen(text));
}

static void add_number(struct line *line, uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_bytes(line, digits + at, sizeof digits - at);
}

static void say_line(struct keys_store *store, const char *text) {
    store->config.host->say(store->config.context, text);
}

static void say_of(struct keys_store *store, const struct keys_ledger *ledger, const char *text) {
    struct line line = {0};
    add_bytes(&line, ledger->name, ledger->length);
    add_text(&line, ": ");
    add_text(&line, text);
    say_line(store, line.bytes);
}

/* ---- the disk */

static void begin_disk(struct keys_store *store, enum keys_step step, enum keys_disk_op op, uint64_t sector) {
    store->step = step;
    store->at = sector;
    store->config.host->disk(store->config.context, op, sector);
}

static void wipe_sector(struct keys_store *store) {
    crypto_wipe(store->config.sector, RECORD_BYTES);
}

/* Stops signing for good. */
static void stop_for(struct keys_store *store, const char *why) {
    store->step = KEYS_STOPPED;
    for (uint32_t i = 0; i < ledger_count(store); i++) {
        crypto_wipe(store->ledgers[i].secret, sizeof store->ledgers[i].secret);
        store->ledgers[i].has_key = false;
    }
    say_line(store, why);
}

/* ---- opening: reads the superblock's two slots, then each place's key and two slots of checkpoints */

static void mark_damaged(struct keys_store *store, struct keys_ledger *ledger, const char *how) {
    ledger->damaged = true;
    say_of(store, ledger, how);
}

static void open_again(struct keys_store *store) {
    store->has_damaged = false;
    for (uint32_t i = 0; i < ledger_count(store); i++) {
        struct keys_ledger *ledger = &store->ledgers[i];
        crypto_wipe(ledger->secret, sizeof ledger->secret);
        ledger->has_key = ledger->has_last = ledger->damaged = ledger->is_from_before = false;
        ledger->last = (struct record_last){0};
    }
    begin_disk(store, KEYS_READ_SUPER, KEYS_DISK_READ, RECORD_SUPER(0));
}

static void read_super(struct keys_store *store) {
    static const char foreign[] = "the key disk holds something else, or is damaged: nothing is signed";
    struct record_super super;
    const uint32_t slot = store->at == RECORD_SUPER(0) ? 0 : 1;
    store->found[slot] = record_read_super(store->config.sector, &super);
    store->sequences[slot] = super.sequence;
    /* Slot 0 is read before slot 1. If both are good, the newer one is valid. */
    if (slot == 0) {
        store->super = super;
        begin_disk(store, KEYS_READ_SUPER, KEYS_DISK_READ, RECORD_SUPER(1));
        return;
    }
    switch (record_choose(store->found, store->sequences)) {
    case RECORD_CORRUPT:
        stop_for(store, foreign);
        return;
    case RECORD_NONE:
        store->super = (struct record_super){0};
        break;
    case RECORD_SLOT_1:
        store->super = super;
        break;
    case RECORD_SLOT_0:
        break;
    }
    begin_disk(store, KEYS_READ_PLACES, KEYS_DISK_READ, RECORD_KEY(0));
}

static uint32_t find_ledger(const struct keys_store *store, const struct record_key *key) {
    for (uint32_t i = 0; i < ledger_count(store); i++) {
        const struct keys_ledger *ledger = &store->ledgers[i];
        if (ledger->length == key->length && memcmp(ledger->name, key->name, key->length) == 0) return i;
    }
    return NOBODY;
}

/* Takes a key, and wipes its seed. */
static void take_key(struct keys_store *store, struct record_key *key, uint32_t place) {
    store->owner = find_ledger(store, key);
    if (store->owner == NOBODY) return;
    struct keys_ledger *ledger = &store->ledgers[store->owner];
    if (ledger->has_key) {
        mark_damaged(store, ledger, "the key disk has two keys of that name: it signs nothing");
        store->owner = NOBODY;
        return;
    }
    crypto_ed25519_key_pair(ledger->secret, ledger->public_key, key->seed);
    ledger->has_key = true;
    ledger->place = place;
    if (memcmp(ledger->public_key, key->public_key, RECORD_PUBLIC) != 0) {
        mark_damaged(store, ledger, "the public key on the disk does not match the seed: it signs nothing");
    }
}

static void read_key(struct keys_store *store, uint32_t place) {
    struct record_key key;
    store->owner = NOBODY;
    if (place >= store->super.keys) return;
    if (record_read_key(store->config.sector, &key) == RECORD_GOOD) {
        take_key(store, &key, place);
    } else {
        struct line line = {0};
        add_text(&line, "the key in place ");
        add_number(&line, place);
        add_text(&line, " of the key disk is damaged");
        say_line(store, line.bytes);
        store->has_damaged = true;
    }
    crypto_wipe(&key, sizeof key);
    wipe_sector(store);
}

/* Takes the last checkpoint of a place after reading both slots. Returns false if the disk is unusable. */
static bool take_last(struct keys_store *store, uint32_t place) {
    const enum record_choice choice = record_choose(store->found, store->sequences);
    if (place >= store->super.keys) return choice == RECORD_NONE && store->found[1] == RECORD_EMPTY;
    if (store->owner == NOBODY) return true;
    struct keys_ledger *ledger = &store->ledgers[store->owner];
    ledger->has_last = choice == RECORD_SLOT_0 || choice == RECORD_SLOT_1;
    if (choice == RECORD_CORRUPT)
        mark_damaged(store, ledger, "the record of its last checkpoint is damaged: it signs nothing");
    if (!ledger->has_last) return true;
    ledger->last = store->lasts[choice == RECORD_SLOT_1];
    ledger->is_from_before = true;
    if (memcmp(ledger->last.public_key, ledger->public_key, RECORD_PUBLIC) != 0) {
        mark_damaged(store, ledger,
                     "the record of its last checkpoint belongs to another key: it signs nothing");
    }
    return true;
}

static void make_keys(struct keys_store *store);

static void read_places(struct keys_store *store) {
    const uint32_t sector = (uint32_t)(store->at / RECORD_BLOCK) - 2;
    const uint32_t place = sector / 3;
    if (sector % 3 == 0) {
        read_key(store, place);
    } else {
        const uint32_t slot = sector % 3 - 1;
        store->found[slot] = record_read_last(store->config.sector, &store->lasts[slot]);
        store->sequences[slot] = store->lasts[slot].sequence;
        if (slot == 1 && !take_last(store, place)) {
            stop_for(store, "the key disk has checkpoints of missing keys: nothing is signed");
            return;
        }
    }
    const uint64_t next = store->at + RECORD_BLOCK;
    if (next < RECORD_DISK) {
        begin_disk(store, KEYS_READ_PLACES, KEYS_DISK_READ, next);
    } else {
        make_keys(store);
    }
}

/* ---- making keys: writes and flushes them, then counts them in the superblock's two slots, one by one */

static void say_keys(struct keys_store *store) {
    for (uint32_t i = 0; i < ledger_count(store); i++) {
        const struct keys_ledger *ledger = &store->ledgers[i];
        if (!ledger->has_key) {
            say_of(store, ledger, "there is no key");
            continue;
        }
        char vkey[NOTE_VKEY(RECORD_NAME)];
        struct line line = {0};
        add_text(&line, "vkey ");
        const size_t length = note_vkey(vkey, ledger->name, ledger->length, ledger->public_key);
        add_bytes(&line, vkey, length);
        say_line(store, line.bytes);
    }
}

static void finish_opening(struct keys_store *store) {
    store->step = KEYS_READY;
    say_keys(store);
    say_line(store, "ready");
}

/* Returns the next ledger without a key, from `from` on. */
static uint32_t without_key(const struct keys_store *store, uint32_t from) {
    while (from < ledger_count(store) && store->ledgers[from].has_key) from++;
    return from;
}

static void make_next(struct keys_store *store, uint32_t from) {
    store->making = without_key(store, from);
    if (store->making < ledger_count(store) && store->super.keys < RECORD_KEYS) {
        store->step = KEYS_WAIT_RANDOM;
        store->config.host->random(store->config.context);
    } else {
        begin_disk(store, KEYS_FLUSH_KEYS, KEYS_DISK_FLUSH, 0);
    }
}

static void make_keys(struct keys_store *store) {
    const bool lacking = without_key(store, 0) < ledger_count(store);
    if (!lacking) {
        finish_opening(store);
    } else if (store->has_made) {
        stop_for(store, "the key disk lost the keys that were just made: nothing is signed");
    } else if (store->has_damaged || store->super.keys >= RECORD_KEYS) {
        say_line(store, store->has_damaged ? "no key is made: the damaged key may be the missing one"
                                           : "no key is made: the key disk is full");
        finish_opening(store);
    } else {
        store->has_made = true;
        make_next(store, 0);
    }
}

static void hash_bytes(const uint8_t *bytes, size_t length, uint8_t hash[RECORD_HASH]) {
    _Alignas(8) uint8_t state[SHA256_STATE];
    sha256_begin(state);
    sha256_add(state, bytes, length);
    sha256_end(state, hash);
    crypto_wipe(state, sizeof state);
}

/*
 * Makes a seed. Returns false if the bytes are all equal, or the bytes of the previous key. The store keeps a
 * hash of the seed, which does not reveal the seed.
 */
static bool make_seed(struct keys_store *store, const uint8_t *bytes, uint8_t seed[RECORD_SEED]) {
    uint8_t others = 0;
    uint8_t hash[RECORD_HASH];
    for (uint32_t i = 1; i < KEYS_RANDOM; i++) others |= bytes[i] ^ bytes[0];
    hash_bytes(bytes, KEYS_RANDOM, seed);
    hash_bytes(seed, RECORD_SEED, hash);
    const bool is_new = memcmp(hash, store->random_hash, RECORD_HASH) != 0;
    memcpy(store->random_hash, hash, RECORD_HASH);
    return others != 0 && is_new;
}

void keys_random(struct keys_store *store, const uint8_t bytes[KEYS_RANDOM]) {
    if (store->step != KEYS_WAIT_RANDOM) return;
    struct record_key key = {0};
    if (!make_seed(store, bytes, key.seed)) {
        crypto_wipe(&key, sizeof key);
        stop_for(store, "the random bytes are not random: no key is made, nothing is signed");
        return;
    }
    const struct keys_ledger *ledger = &store->ledgers[store->making];
    uint8_t secret[64];
    uint8_t seed[RECORD_SEED];
    memcpy(seed, key.seed, RECORD_SEED);
    crypto_ed25519_key_pair(secret, key.public_key, seed);
    crypto_wipe(secret, sizeof secret);
    memcpy(key.name, ledger->name, ledger->length);
    key.length = ledger->length;
    record_write_key(store->config.sector, &key);
    crypto_wipe(&key, sizeof key);
    begin_disk(store, KEYS_WRITE_KEY, KEYS_DISK_WRITE, RECORD_KEY(store->super.keys));
}

static void key_written(struct keys_store *store) {
    say_of(store, &store->ledgers[store->making], "a key is made");
    store->super.keys++;
    make_next(store, store->making + 1);
}

static void write_super(struct keys_store *store) {
    store->super.sequence++;
    record_write_super(store->config.sector, &store->super);
    begin_disk(store, KEYS_WRITE_SUPER, KEYS_DISK_WRITE, RECORD_SUPER(store->super.sequence % 2));
}

static void super_flushed(struct keys_store *store) {
    if (store->super.sequence % 2 == 1) {
        write_super(store);
    } else {
        /* Read everything again to verify the writes. */
        open_again(store);
    }
}

/* ---- messages */

static void answer_message(struct keys_store *store, enum keys_status status, uint32_t length) {
    store->message.status = (uint8_t)status;
    store->message.length = length;
    store->config.host->answer(store->config.context, store->tenant, &store->message);
}

static char *slot_of(const struct keys_store *store) {
    return (char *)store->config.tenants[store->tenant].region + store->message.offset;
}

static void give_signature(struct keys_store *store) {
    const struct keys_ledger *ledger = &store->ledgers[store->signing];
    uint8_t signature[NOTE_SIGNATURE];
    char line[NOTE_LINE(RECORD_NAME)];
    crypto_ed25519_sign(signature, ledger->secret, (const uint8_t *)store->text, store->text_length);
    const size_t length = note_line(line, ledger->name, ledger->length, ledger->public_key, signature);
    memcpy(slot_of(store), line, length);
    answer_message(store, KEYS_OK, (uint32_t)length);
}

static void give_vkey(struct keys_store *store, const struct keys_ledger *ledger) {
    char vkey[NOTE_VKEY(RECORD_NAME)];
    const size_t length = note_vkey(vkey, ledger->name, ledger->length, ledger->public_key);
    memcpy(slot_of(store), vkey, length);
    answer_message(store, KEYS_OK, (uint32_t)length);
}

/* Answers the high-water mark. Its root is known only if no other checkpoint was signed after it. */
static void give_mark(struct keys_store *store, const struct keys_ledger *ledger) {
    uint8_t mark[KEYS_MARK_SIZE + KEYS_MARK_ROOT] = {0};
    size_t length = 0;
    if (ledger->has_last && ledger->last.has_kept) {
        const uint64_t size = ledger->last.kept;
        while (length < KEYS_MARK_SIZE) {
            mark[length] = (uint8_t)(size >> 8 * length);
            length++;
        }
        if (size == ledger->last.size) {
            memcpy(mark + length, ledger->last.root, KEYS_MARK_ROOT);
            length += KEYS_MARK_ROOT;
        }
    }
    memcpy(slot_of(store), mark, length);
    answer_message(store, KEYS_OK, (uint32_t)length);
}

/* Refuses a request. Prints the first eight refusals, then each doubling, so that one tenant cannot drown the
 * others' lines. */
static void refuse_message(struct keys_store *store, enum keys_status status, const struct line *why) {
    struct keys_ledger *ledger = &store->ledgers[store->signing];
    const uint32_t count = ++ledger->refusals;
    if (count <= 8 || (count & (count - 1)) == 0) {
        struct line line = {0};
        add_text(&line, "refused to sign ");
        add_bytes(&line, why->bytes, why->length);
        if (count > 8) {
            add_text(&line, " (refusal ");
            add_number(&line, count);
            add_text(&line, ")");
        }
        say_of(store, ledger, line.bytes);
    }
    answer_message(store, status, 0);
}

static void refuse_text(struct keys_store *store) {
    struct line why = {0};
    add_text(&why, "a text that is not its checkpoint");
    refuse_message(store, KEYS_INVALID, &why);
}

/*
 * Reports whether this checkpoint may replace the last one. It may if the last one never reached the ledger,
 * for example because of a power cut. At most one checkpoint is replaced in each start, and never one that
 * the ledger has.
 */
static bool may_replace(const struct keys_ledger *ledger, const struct record_last *next) {
    const struct record_last *last = &ledger->last;
    const bool is_kept = last->has_kept && last->kept == last->size;
    return ledger->is_from_before && !is_kept && (!last->has_kept || next->size > last->kept);
}

static bool is_same(const struct keys_ledger *ledger, const struct record_last *next) {
    return ledger->has_last && next->size == ledger->last.size &&
           memcmp(next->root, ledger->last.root, RECORD_HASH) == 0;
}

/* Reports whether this checkpoint may follow the last one. */
static bool may_follow(const struct keys_ledger *ledger, const struct record_last *next, struct line *why) {
    if (!ledger->has_last || next->size > ledger->last.size || is_same(ledger, next)) return true;
    if (may_replace(ledger, next)) return true;
    if (next->size < ledger->last.size) {
        add_text(why, "size ");
        add_number(why, next->size);
        add_text(why, ": size ");
        add_number(why, ledger->last.size);
        add_text(why, " is already signed");
        return false;
    }
    add_text(why, "another root at size ");
    add_number(why, next->size);
    return false;
}

static void write_last(struct keys_store *store) {
    const struct keys_ledger *ledger = &store->ledgers[store->signing];
    record_write_last(store->config.sector, &store->next);
    begin_disk(store, KEYS_WRITE_LAST, KEYS_DISK_WRITE,
               RECORD_SIGNED(ledger->place, store->next.sequence % 2));
}

static void say_replaced(struct keys_store *store) {
    const struct keys_ledger *ledger = &store->ledgers[store->signing];
    struct line line = {0};
    add_text(&line, "size ");
    add_number(&line, ledger->last.size);
    add_text(&line, ", signed before the start, is replaced by size ");
    add_number(&line, store->next.size);
    say_of(store, ledger, line.bytes);
}

static void sign_checkpoint(struct keys_store *store) {
    const struct keys_ledger *ledger = &store->ledgers[store->signing];
    struct line why = {0};
    if (store->message.length > sizeof store->text) {
        refuse_text(store);
        return;
    }
    /* Copy the text before reading it. */
    store->text_length = store->message.length;
    memcpy(store->text, slot_of(store), store->text_length);
    store->next = (struct record_last){
        .sequence = ledger->has_last ? ledger->last.sequence + 1 : 1,
        .has_kept = ledger->last.has_kept,
        .kept = ledger->last.kept,
    };
    memcpy(store->next.public_key, ledger->public_key, RECORD_PUBLIC);
    if (!note_read(store->text, store->text_length, ledger->name, ledger->length, &store->next.size,
                   store->next.root)) {
        refuse_text(store);
    } else if (!may_follow(ledger, &store->next, &why)) {
        refuse_message(store, KEYS_REFUSED, &why);
    } else if (is_same(ledger, &store->next)) {
        /* This start signed it, so this start does not replace it. */
        store->ledgers[store->signing].is_from_before = false;
        give_signature(store);
    } else {
        if (ledger->has_last && store->next.size <= ledger->last.size) say_replaced(store);
        write_last(store);
    }
}

/* Records that the ledger has the last checkpoint, so that it is never replaced. */
static void keep_last(struct keys_store *store) {
    const struct keys_ledger *ledger = &store->ledgers[store->signing];
    if (!ledger->has_last) {
        answer_message(store, KEYS_INVALID, 0);
    } else if (ledger->last.has_kept && ledger->last.kept == ledger->last.size) {
        answer_message(store, KEYS_OK, 0);
    } else {
        store->next = ledger->last;
        store->next.sequence++;
        store->next.has_kept = true;
        store->next.kept = ledger->last.size;
        write_last(store);
    }
}

static void last_flushed(struct keys_store *store) {
    struct keys_ledger *ledger = &store->ledgers[store->signing];
    ledger->last = store->next;
    ledger->has_last = true;
    store->step = KEYS_READY;
    if (store->message.op == KEYS_KEPT) {
        answer_message(store, KEYS_OK, 0);
    } else {
        ledger->is_from_before = false;
        give_signature(store);
    }
}

bool keys_store_is_free(const struct keys_store *store) {
    return store->step == KEYS_READY || store->step == KEYS_STOPPED;
}

void keys_store_take(struct keys_store *store, uint32_t tenant, const struct keys_message *message) {
    STOP_UNLESS(keys_store_is_free(store) && tenant < store->config.tenant_count);
    store->tenant = tenant;
    store->message = *message;
    const bool known = message->op >= KEYS_VKEY && message->op <= KEYS_MARK;
    const bool within =
        message->offset % KEYS_SLOT == 0 && message->offset < KEYS_REGION && message->length <= KEYS_SLOT;
    if (!known || !within || message->ledger >= KEYS_LEDGERS) {
        answer_message(store, KEYS_INVALID, 0);
        return;
    }
    store->signing = tenant * KEYS_LEDGERS + message->ledger;
    const struct keys_ledger *ledger = &store->ledgers[store->signing];
    if (store->step == KEYS_STOPPED || !ledger->has_key || ledger->damaged) {
        answer_message(store, KEYS_FAILED, 0);
    } else if (message->op == KEYS_VKEY) {
        give_vkey(store, ledger);
    } else if (message->op == KEYS_KEPT) {
        keep_last(store);
    } else if (message->op == KEYS_MARK) {
        give_mark(store, ledger);
    } else {
        sign_checkpoint(store);
    }
}

/* ---- starting, and continuing after disk operations */

static void name_ledger(struct keys_ledger *ledger, const char *origin, const char *suffix) {
    const size_t length = strlen(origin);
    const size_t more = strlen(suffix);
    STOP_UNLESS(length > 0 && length + more <= RECORD_NAME);
    memcpy(ledger->name, origin, length);
    memcpy(ledger->name + length, suffix, more);
    ledger->length = (uint32_t)(length + more);
}

void keys_store_begin(struct keys_store *store, const struct keys_config *config) {
    STOP_UNLESS(config->tenant_count > 0 && config->tenant_count <= KEYS_TENANTS);
    memset(store, 0, sizeof *store);
    store->config = *config;
    for (uint32_t i = 0; i < config->tenant_count; i++) {
        name_ledger(&store->ledgers[i * KEYS_LEDGERS], config->tenants[i].origin, "");
        name_ledger(&store->ledgers[i * KEYS_LEDGERS + 1], config->tenants[i].origin, AUDIT);
    }
    if (config->disk_sectors == 0) {
        stop_for(store, "there is no key disk: nothing is signed");
    } else if (config->disk_sectors < RECORD_DISK) {
        stop_for(store, "the key disk is too small: nothing is signed");
    } else {
        open_again(store);
    }
}

static void fail_disk(struct keys_store *store) {
    const bool was_signing = store->step == KEYS_WRITE_LAST || store->step == KEYS_FLUSH_LAST;
    stop_for(store, "the key disk has failed: nothing is signed");
    if (was_signing) answer_message(store, KEYS_FAILED, 0);
}

void keys_disk_done(struct keys_store *store, bool ok) {
    if (!ok) {
        fail_disk(store);
        wipe_sector(store);
        return;
    }
    switch (store->step) {
    case KEYS_READ_SUPER:
        read_super(store);
        break;
    case KEYS_READ_PLACES:
        read_places(store);
        break;
    case KEYS_WRITE_KEY:
        wipe_sector(store);
        key_written(store);
        break;
    case KEYS_FLUSH_KEYS:
        write_super(store);
        break;
    case KEYS_WRITE_SUPER:
        begin_disk(store, KEYS_FLUSH_SUPER, KEYS_DISK_FLUSH, 0);
        break;
    case KEYS_FLUSH_SUPER:
        super_flushed(store);
        break;
    case KEYS_WRITE_LAST:
        begin_disk(store, KEYS_FLUSH_LAST, KEYS_DISK_FLUSH, 0);
        break;
    case KEYS_FLUSH_LAST:
        last_flushed(store);
        break;
    case KEYS_WAIT_RANDOM:
    case KEYS_READY:
    case KEYS_STOPPED:
        STOP_UNLESS(false);
    }
}
