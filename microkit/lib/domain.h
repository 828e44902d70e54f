/*
 * What every protection domain includes: Microkit, and what the system description says of this domain. The
 * generated config.h defines, of the domain that the compiler was told of by -DDOMAIN_NAME, its channels
 * (CH_…) and what it maps (AT_…, SIZE_…).
 */
#ifndef DOMAIN_H
#define DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microkit.h>

#include "config.h"

/* Ticks of the counter that every domain may read. */
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
