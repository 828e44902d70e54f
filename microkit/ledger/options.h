/* The configuration that starts the bundle: Config in envelopes/sel4/bundle/src/host.ts. */
#ifndef LEDGER_OPTIONS_H
#define LEDGER_OPTIONS_H

#include "ledger/keys.h"

#include <stdint.h>

/* Returns JSON that ends in a NUL, or NULL if the verifier keys are too long. The origin is the name in
 * `vkey`.
 */
const char *options_of(const char *module_id, const char *vkey, const char *audit_vkey,
                       const struct keys_mark *mark, const struct keys_mark *audit_mark,
                       uint32_t region_bytes);

#endif
