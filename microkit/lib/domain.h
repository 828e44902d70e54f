/*
 * Every protection domain includes this header: Microkit, and the domain's part of the system description.
 * With -DDOMAIN_NAME, the generated config.h defines the channels (CH_…) and the mappings (AT_…, SIZE_…) of
 * the domain NAME.
 */
#ifndef DOMAIN_H
#define DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microkit.h>

#include "config.h"

/* Returns the ticks of the counter that every domain may read. */
static inline uint64_t ticks(void) {
    uint64_t count;
    __asm__ volatile("isb\n mrs %0, cntpct_el0" : "=r"(count)::"memory");
    return count;
}

static inline uint64_t ticks_per_second(void) {
    uint64_t frequency;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    return frequency;
}

#endif
