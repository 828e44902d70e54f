/*
 * A tenant's ledger: the bundle in its engine, with rings to the domains that hold the devices and the keys.
 *
 * Each start may be a restart after a fault, and sets all state anew: lib/restart.c zeroes the variables, the
 * engine's memory begins empty, and the rings continue at the other side's indices.
 */
#include "ledger/keys.h"
#include "ledger/machine.h"
#include "ledger/net.h"
#include "ledger/options.h"
#include "ledger/random.h"
#include "ledger/service.h"
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/random.h"
#include "lib/ring.h"
#include "lib/text.h"
#include "lib/time.h"
#include "psdb/message.h"

#include <string.h>

#define LINE 240u
/* How often to check for events without a notification. */
#define SOON_MS 20

extern const char bundle[];
extern const char bundle_end[];

uint8_t *machine_region;
uint32_t machine_region_bytes;

static struct ring psdb;
/* The request of the newest commit of each ledger: main, audit. */
#define LEDGERS 2u
static uint32_t commit_ids[LEDGERS];
static bool has_joined_psdb, has_asked_psdb;
static const struct time_page *const time_page = (const struct time_page *)AT_TIME;
static const struct random_page *const random_page = (const struct random_page *)AT_RANDOM;
static struct deadline_page *const deadline = (struct deadline_page *)AT_DEADLINE;
static struct moment moment;
static double frequency;
/**
 * The count in entropy's page at the start, and the count with the bytes that were used last. An earlier
 * start may have used the bytes that were there at this start.
 */
static uint32_t old_random, last_random;
static bool is_started, is_over;
static double tick_at;
static uint64_t loaded, began;

/* ---- machine.h */

double machine_monotonic(void) {
    return (double)ticks() * 1000 / frequency;
}

double machine_now(void) {
    (void)time_read(time_page, &moment);
    return moment.frequency == 0 ? 0 : (double)time_of(&moment, ticks());
}

void machine_random(uint8_t *bytes, size_t length) {
    random_take(bytes, length);
}

/* Prints lines of printable characters. Splits long lines. */
void machine_log(const char *text) {
    char line[LINE + 1];
    size_t used = 0;
    for (;; text++) {
        const bool ends = *text == '\0' || *text == '\n' || used == LINE;
        if (ends && used > 0) {
            line[used] = '\0';
            console(line);
            used = 0;
        }
        if (*text == '\0') return;
        if (*text != '\n') line[used++] = (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
    }
}

bool machine_psdb(const uint8_t message[64]) {
    struct psdb_request request;
    if (!has_joined_psdb || !ring_ask(&psdb, message)) return false;
    memcpy(&request, message, sizeof request);
    if (request.opcode == PSDB_COMMIT && request.ledger < LEDGERS) commit_ids[request.ledger] = request.id;
    has_asked_psdb = true;
    return true;
}

void machine_timer(double at) {
    tick_at = at;
}

void machine_started(void) {
    struct text text = {0};
    text_add(&text, "ready after ms: bundle ");
    text_number(&text, loaded * 1000 / ticks_per_second());
    text_add(&text, ", in all ");
    text_number(&text, (ticks() - began) * 1000 / ticks_per_second());
    text_add(&text, "; memory in use, KiB: ");
    text_number(&text, service_memory() / 1024);
    console(text.bytes);
    net_listen();
}

void machine_stopped(const char *error) {
    is_over = true;
    machine_log(error == NULL ? "stopped" : error);
    if (error != NULL) machine_log("the ledger could not be opened");
}

_Noreturn void service_failed(const char *why) {
    machine_log(why);
    for (;;) __builtin_trap();
}

/* ---- events */

/* Reports a durable commit to the domain keys, which signed the commit's checkpoint. */
static void report_commit(const uint8_t message[PSDB_MESSAGE_BYTES]) {
    struct psdb_response response;
    memcpy(&response, message, sizeof response);
    if (response.opcode != (PSDB_COMMIT | 0x80) || response.status != PSDB_OK) return;
    for (uint32_t i = 0; i < LEDGERS; i++) {
        if (response.id == commit_ids[i]) keys_kept(i);
    }
}

static bool take_from_psdb(void) {
    uint8_t message[PSDB_MESSAGE_BYTES];
    bool has_come = false;
    if (!has_joined_psdb) has_joined_psdb = ring_join(&psdb, AT_PSDB_RING_MINE, AT_PSDB_RING_THEIRS);
    while (has_joined_psdb && ring_take(&psdb, message)) {
        has_come = true;
        report_commit(message);
        service_psdb(message);
    }
    return has_come;
}

/* Mixes in the bytes that entropy provided since the start. */
static void take_entropy(void) {
    struct {
        uint8_t bytes[RANDOM_BYTES];
        uint64_t ticks;
    } fresh;
    const uint32_t count = __atomic_load_n(&random_page->count, __ATOMIC_ACQUIRE);
    if (count == old_random || count == last_random || count % 2 != 0) return;
    memcpy(fresh.bytes, random_page->bytes, sizeof fresh.bytes);
    fresh.ticks = ticks();
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&random_page->count, __ATOMIC_RELAXED) != count) return;
    last_random = count;
    random_add((const uint8_t *)&fresh, sizeof fresh);
}

/* Opens the ledgers, once everything that they need has arrived. */
static void start_ledgers(void) {
    if (is_started || !has_joined_psdb || keys_vkey(0) == NULL || keys_vkey(1) == NULL) return;
    if (keys_mark(0) == NULL || keys_mark(1) == NULL) return;
    if (last_random == 0 || !time_read(time_page, &moment)) return;
    is_started = true;
    const char *options =
        options_of(TENANT, keys_vkey(0), keys_vkey(1), keys_mark(0), keys_mark(1), SIZE_DATA);
    if (options == NULL) service_failed("the verifier keys are too long");
    service_start(options);
}

static bool tick_if_due(void) {
    if (!is_started || tick_at < 0 || machine_monotonic() < tick_at) return false;
    tick_at = -1;
    service_tick();
    return true;
}

static void notify_domains(void) {
    if (has_asked_psdb) microkit_notify(CH_PSDB);
    has_asked_psdb = false;
    if (net_has_put()) microkit_notify(CH_NET);
    if (keys_has_put()) microkit_notify(CH_KEYS);
}

/* Sets the next wake-up: the next tick, or soon if no notification will come. */
static void set_deadline(void) {
    double at = tick_at;
    if (net_is_full() || !is_started) {
        const double soon = machine_monotonic() + SOON_MS;
        if (at < 0 || at > soon) at = soon;
    }
    deadline_set(deadline, at < 0 ? 0 : (uint64_t)(at * frequency / 1000) + 1);
}

/* Handles arrived messages before ticks. */
static void run_until_idle(void) {
    bool more = true;
    while (more && !is_over) {
        more = take_from_psdb();
        more = net_work() || more;
        more = keys_work() || more;
        take_entropy();
        start_ledgers();
        more = tick_if_due() || more;
        notify_domains();
    }
    set_deadline();
}

void init(void) {
    began = ticks();
    tick_at = -1;
    frequency = (double)ticks_per_second();
    machine_region = (uint8_t *)AT_DATA;
    machine_region_bytes = SIZE_DATA;
    old_random = __atomic_load_n(&random_page->count, __ATOMIC_ACQUIRE);
    microkit_notify(CH_ENTROPY);
    net_begin(AT_NET_RING_MINE, AT_NET_RING_THEIRS, AT_NET_DATA);
    keys_begin(AT_KEYS_RING_MINE, AT_KEYS_RING_THEIRS, AT_KEYS_DATA);
    service_load((uint8_t *)AT_HEAP, SIZE_HEAP, bundle, (uintptr_t)bundle_end - (uintptr_t)bundle);
    loaded = ticks() - began;
    run_until_idle();
}

void notified(microkit_channel channel) {
    (void)channel;
    run_until_idle();
}
