/*
 * A test program in a ledger's place: commits every 20 ms and prints the time; at every tenth commit it
 * prints the longest duration so far in milliseconds.
 */
#include "client.h"
#include "lib/random.h"
#include "lib/time.h"

#define EVERY_MS 20u

static struct deadline_page *const deadline = (struct deadline_page *)AT_DEADLINE;
static const struct time_page *const page = (const struct time_page *)AT_TIME;
static const struct random_page *const random_bytes = (const struct random_page *)AT_RANDOM;
static struct ring psdb;
static bool joined;
static uint64_t next_index;
static uint64_t due;
static uint64_t asked;
static uint64_t longest;

static void sleep_on(void) {
    due = ticks() + ticks_per_second() * EVERY_MS / 1000;
    deadline_set(deadline, due);
}

static void commit(void) {
    struct moment moment;
    const uint64_t seconds = time_read(page, &moment) ? time_of(&moment, ticks()) / 1000 : 0;
    client_fill((uint32_t)next_index, 200);
    const struct psdb_request request = {
        .id = (uint32_t)next_index,
        .opcode = PSDB_COMMIT,
        .index = next_index,
        .size = next_index + 1,
        .time = seconds,
        .length = 200,
    };
    asked = ticks();
    (void)ring_ask(&psdb, &request);
    microkit_notify(CH_PSDB);
}

static void report(void) {
    struct moment moment = {0, 0, 1};
    struct text text = {0};
    text_add(&text, "commits: ");
    text_number(&text, next_index);
    text_add(&text, ", longest in ms: ");
    text_number(&text, longest * 1000 / ticks_per_second());
    text_add(&text, ", time: ");
    text_number(&text, time_read(page, &moment) ? time_of(&moment, ticks()) : 0);
    console(text.bytes);
}

static void take(const struct psdb_response *response) {
    if (response->id != next_index || response->status != PSDB_OK) {
        client_say("a commit was not answered OK: ", response->status);
    }
    const uint64_t took = ticks() - asked;
    if (took > longest) longest = took;
    next_index++;
    if (next_index % 10 == 0) report();
    sleep_on();
}

static void random(void) {
    struct text text = {0};
    text_add(&text, "random ");
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t number;
        memcpy(&number, random_bytes->bytes + 64 * i, 8);
        text_hex(&text, number);
        text_add(&text, " ");
    }
    text_number(&text, random_bytes->count);
    console(text.bytes);
    if (random_bytes->count == 2) microkit_notify(CH_ENTROPY);
}

void init(void) {
    joined = ring_join(&psdb, AT_PSDB_RING_MINE, AT_PSDB_RING_THEIRS);
    sleep_on();
}

void notified(microkit_channel channel) {
    struct psdb_response response;
    if (channel == CH_ENTROPY) random();
    if (channel == CH_CLOCK && ticks() >= due) commit();
    while (joined && ring_take(&psdb, &response)) take(&response);
}
