/* The functions that the bundle finds as globalThis.host: envelopes/sel4/bundle/src/host.ts says what each
 * does. */
#ifndef BORDER_H
#define BORDER_H

#include "engine/engine.h"

/* Most random bytes at a time; longest text of a line for the log. */
#define BORDER_RANDOM_BYTES 65536u

extern const struct engine_method border_methods[];

#endif
