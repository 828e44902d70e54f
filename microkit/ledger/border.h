/* The functions of globalThis.host, for the bundle: envelopes/sel4/bundle/src/host.ts describes them.
 */
#ifndef BORDER_H
#define BORDER_H

#include "engine/engine.h"

/* The most random bytes of one call. */
#define BORDER_RANDOM_BYTES 65536u

extern const struct engine_method border_methods[];

#endif
