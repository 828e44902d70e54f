/* A machine that does almost nothing, for tests of the border alone. */
#ifndef TEST_STUB_H
#define TEST_STUB_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

#define REGION_BYTES 65536u

/* Prints the lines of the log on stdout, each after "LOG ", if `loud`. */
struct engine *stub_start(uint8_t *memory, size_t memory_bytes, unsigned call_ms, bool loud);
/* Reads the bytes to send, and gives their room back. */
void stub_end(struct engine *engine);

#endif
