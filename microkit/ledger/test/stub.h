/* A machine that does next to nothing, for what is tested of the border alone. */
#ifndef TEST_STUB_H
#define TEST_STUB_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

#define REGION_BYTES 65536u

/* Lines of the log go to stdout if it is `loud`. */
struct engine *stub_start(uint8_t *memory, size_t memory_bytes, unsigned call_ms, bool loud);
/* What was asked to be sent is looked at, and given back. */
void stub_end(struct engine *engine);

#endif
