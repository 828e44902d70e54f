/* Replaces ../../../lib/domain.h: the domains are parts of one process, run.c. */
#ifndef DOMAIN_H
#define DOMAIN_H

#include "machine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned int microkit_channel;

void init(void);
void notified(microkit_channel channel);

#ifdef DOMAIN_PSDB
#define microkit_notify(channel) tell(channel == CH_BLK ? TO_BLK : TO_LEDGER)
#define TENANT_COUNT 1
#define TENANT_NAMES                                                                                         \
    { "acme" }
#define TAILS_EACH 32768u
enum { CH_BLK, CH_LEDGER };
#define CH_LEDGERS                                                                                           \
    { CH_LEDGER }
#define AT_LEDGERS_RING_MINE                                                                                 \
    { AT(psdb_to_ledger) }
#define AT_LEDGERS_RING_THEIRS                                                                               \
    { AT(ledger_to_psdb) }
#define AT_LEDGERS_DATA                                                                                      \
    { AT(data) }
#define SIZE_LEDGERS_DATA DATA_BYTES
#define AT_BLK_RING_MINE AT(psdb_to_blk)
#define AT_BLK_RING_THEIRS AT(blk_to_psdb)
#define AT_STORE AT(store)
#define SIZE_STORE sizeof memory.store
#define AT_SLOTS AT(slots)
#define SIZE_SLOTS sizeof memory.slots
#define AT_TAILS AT(tails)
#define SIZE_TAILS sizeof memory.tails
#define AT_DISK AT(disk)
#define SIZE_DISK (uint32_t)sizeof memory.disk
#else
#define microkit_notify(channel) tell(channel)
#define CH_PSDB TO_PSDB
#define CH_NET TO_NET
#define CH_KEYS TO_KEYS
#define CH_ENTROPY TO_ENTROPY
#define TENANT "acme"
#define AT_PSDB_RING_MINE AT(ledger_to_psdb)
#define AT_PSDB_RING_THEIRS AT(psdb_to_ledger)
#define AT_DATA AT(data)
#define SIZE_DATA DATA_BYTES
#define AT_NET_RING_MINE AT(ledger_to_net)
#define AT_NET_RING_THEIRS AT(net_to_ledger)
#define AT_NET_DATA AT(net_data)
#define AT_KEYS_RING_MINE AT(ledger_to_keys)
#define AT_KEYS_RING_THEIRS AT(keys_to_ledger)
#define AT_KEYS_DATA AT(keys_data)
#define AT_TIME AT(time)
#define AT_RANDOM AT(random)
#define AT_DEADLINE AT(deadline)
#define AT_HEAP heap
#define SIZE_HEAP HEAP_BYTES
#endif

uint64_t ticks(void);
uint64_t ticks_per_second(void);

#endif
