/* The ledger's signatures: between the bundle's sign(), and the ring to the domain that holds the keys. */
#ifndef LEDGER_KEYS_H
#define LEDGER_KEYS_H

#include <stdbool.h>
#include <stdint.h>

/* Everything begins anew: where the two sides of the ring and the data region are. */
void keys_begin(uintptr_t mine, uintptr_t theirs, uintptr_t region);
/* Takes what has come. False: nothing has. */
bool keys_work(void);
/* What was signed last for that ledger is durably in it. */
void keys_kept(uint32_t ledger);
/* The verifier key of the ledger (0: main, 1: audit); NULL: it has not come yet. Ends in a NUL. */
const char *keys_vkey(uint32_t ledger);

/* The newest tree that is known to have been acknowledged. */
struct keys_mark {
    bool has_size; /* some tree was: `size` */
    bool has_root; /* … and its root is known */
    uint64_t size; /* at most 2^53 - 1 */
    char root[45]; /* in base64; ends in a NUL */
};
/* That of the ledger; NULL: it has not come yet. */
const struct keys_mark *keys_mark(uint32_t ledger);
/* Whether keys has to be notified; it is said once. */
bool keys_has_put(void);

#endif
