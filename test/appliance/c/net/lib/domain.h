/* Replaces microkit/lib/domain.h on a host; the test sets the clock.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "lib/stop.h"
#include "microkit.h"

uint64_t ticks(void);
static inline uint64_t ticks_per_second(void) {
    return 1000000;
}
