/* The ledger's signatures: passes the bundle's sign() to the domain that holds the keys. */
#ifndef LEDGER_KEYS_H
#define LEDGER_KEYS_H

#include <stdbool.h>
#include <stdint.h>

/* Begins, given the two sides of the ring and the data region. */
void keys_begin(uintptr_t mine, uintptr_t theirs, uintptr_t region);
/* Takes the answers that arrived. Returns false if there were none. */
bool keys_work(void);
/* Reports to keys that the ledger has durably stored the last signed checkpoint. */
void keys_kept(uint32_t ledger);
/* Returns the verifier key of the ledger (0: main, 1: audit), or NULL until it has arrived. */
const char *keys_vkey(uint32_t ledger);

/* The high-water mark: the newest tree known to have been acknowledged. */
struct keys_mark {
    bool has_size; /* a tree was acknowledged */
    bool has_root; /* the root of that tree is known */
    uint64_t size; /* at most 2^53 - 1 */
    char root[45]; /* in base64; ends in a NUL */
};
/* Returns the ledger's mark, or NULL until it has arrived. */
const struct keys_mark *keys_mark(uint32_t ledger);
/* Reports whether keys must be notified, and resets that. */
bool keys_has_put(void);

#endif
