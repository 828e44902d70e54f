/*
 * A test program in a ledger's place that uses all resources it can: it never returns, switches off the timer
 * that every domain may program, floods the console, and notifies every other domain continuously.
 */
#include "client.h"

void init(void) {
    console("begins");
    for (uint32_t i = 0;; i++) {
        __asm__ volatile("msr cntp_ctl_el0, %0\n isb" ::"r"(UINT64_C(0)));
        if (i % 4 == 0) console("[psdb] ready \033[2J \001 forged");
        microkit_notify(CH_PSDB);
        microkit_notify(CH_CLOCK);
        microkit_notify(CH_ENTROPY);
        /* Impossible indices. */
        ((volatile struct ring_side *)AT_PSDB_RING_MINE)->produced = i * 7919;
        ((volatile struct ring_side *)AT_PSDB_RING_MINE)->consumed = i * 104729;
    }
}

void notified(microkit_channel channel) {
    (void)channel;
}
