/* The text that the bundle is started with: envelopes/sel4/bundle/src/host.ts, Config. */
#ifndef LEDGER_OPTIONS_H
#define LEDGER_OPTIONS_H

#include "ledger/keys.h"

#include <stdint.h>

/* JSON, ending in a NUL; NULL: the verifier keys are too long. The origin is the name in the first of them.
 */
const char *options_of(const char *module_id, const char *vkey, const char *audit_vkey,
                       const struct keys_mark *mark, const struct keys_mark *audit_mark,
                       uint32_t region_bytes);

#endif
