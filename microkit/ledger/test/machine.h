/* The machine as a process: the memory that domains share, and their notifications. */
#ifndef TEST_MACHINE_H
#define TEST_MACHINE_H

#include "keys/message.h"
#include "lib/random.h"
#include "lib/ring.h"
#include "lib/time.h"
#include "net/message.h"

#include <stdbool.h>
#include <stdint.h>

#define DATA_BYTES (32u << 20)
#define HEAP_BYTES (192u << 20)

struct memory {
    struct ring_side ledger_to_psdb, psdb_to_ledger, psdb_to_blk, blk_to_psdb;
    struct ring_side ledger_to_net, net_to_ledger, ledger_to_keys, keys_to_ledger;
    struct time_page time;
    struct random_page random;
    struct deadline_page deadline;
    uint8_t keys_data[KEYS_REGION];
    uint8_t net_data[NET_REGION];
    uint8_t data[DATA_BYTES];
    uint8_t disk[2 << 20];
    uint8_t store[4 << 20];
    uint8_t slots[1 << 21];
    uint8_t tails[1 << 21];
};

extern struct memory memory;
/* Allocated separately, so that a sanitizer detects accesses after its end. */
extern uint8_t *heap;
#define AT(region) ((uintptr_t)&memory.region)

enum part { TO_PSDB, TO_NET, TO_KEYS, TO_ENTROPY, TO_BLK, TO_LEDGER, PARTS };
void tell(enum part part);
bool is_notified(enum part part);

/* The parts that replace domains. Each handles its messages. */
void blk_open(const char *path);
void blk_work(void);
void keys_open(const char *origin);
void keys_answer(void);
void entropy_work(void);
/* Returns the port that it listens on. */
unsigned net_open(void);
/* Waits for an event, at most `milliseconds`. */
void net_wait(int milliseconds);
void net_answer(void);

_Noreturn void fail(const char *why);

#endif
