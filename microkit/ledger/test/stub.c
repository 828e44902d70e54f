#include "stub.h"

#include "ledger/border.h"
#include "ledger/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIECES 64u

uint8_t *machine_region;
uint32_t machine_region_bytes = REGION_BYTES;

static bool is_loud;
static double deadline;
static struct engine_bytes pieces[PIECES];
static uint32_t piece_count, messages;
/* Never read. Reading the bytes shows that they are accessible. */
static volatile uint8_t sink;

static void look_at(const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) sink = bytes[i];
}

double machine_now(void) {
    return 1.7e12;
}

double machine_monotonic(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void machine_random(uint8_t *bytes, size_t length) {
    memset(bytes, 0x5a, length);
}

void machine_log(const char *text) {
    look_at((const uint8_t *)text, strlen(text));
    if (is_loud) printf("LOG %s\n", text);
}

bool machine_psdb(const uint8_t message[64]) {
    look_at(message, 64);
    return ++messages <= 64;
}

bool machine_sign(uint32_t ledger, uint32_t id, const char *text, size_t length) {
    look_at((const uint8_t *)text, length);
    return ledger <= 1 && id != UINT32_MAX && length < 4096;
}

enum machine_sent machine_send(struct engine *engine, uint32_t connection, const struct engine_bytes *bytes) {
    look_at(bytes->at, bytes->length);
    if (piece_count == PIECES) {
        engine_give_back(engine, bytes->room);
        return MACHINE_FULL;
    }
    pieces[piece_count++] = *bytes;
    return connection % 2 == 0 ? MACHINE_SENT : MACHINE_WAITING;
}

void machine_close(uint32_t connection) {
    (void)connection;
}

void machine_listen(uint32_t connection, bool may) {
    (void)connection;
    (void)may;
}

void machine_timer(double at) {
    (void)at;
}

void machine_started(void) {}

void machine_stopped(const char *error) {
    if (error != NULL) look_at((const uint8_t *)error, strlen(error));
}

static double now(void *context) {
    (void)context;
    return machine_now();
}

static bool is_late(void *context) {
    (void)context;
    return machine_monotonic() >= deadline;
}

static void print(void *context, const char *text, size_t length) {
    (void)context;
    look_at((const uint8_t *)text, length);
}

struct engine *stub_start(uint8_t *memory, size_t memory_bytes, unsigned call_ms, bool loud) {
    const struct engine_config config = {memory, memory_bytes, NULL, now, is_late, print};
    if (machine_region == NULL) machine_region = malloc(REGION_BYTES);
    is_loud = loud;
    piece_count = messages = 0;
    deadline = machine_monotonic() + call_ms;
    struct engine *engine = engine_start(&config);
    if (engine == NULL || machine_region == NULL || !engine_offer(engine, "host", border_methods)) abort();
    return engine;
}

void stub_end(struct engine *engine) {
    for (uint32_t i = 0; i < piece_count; i++) {
        look_at(pieces[i].at, pieces[i].length);
        engine_give_back(engine, pieces[i].room);
    }
    piece_count = 0;
}
