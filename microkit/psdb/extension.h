/* Headers that change the member after them. */
#ifndef PSDB_EXTENSION_H
#define PSDB_EXTENSION_H

#include <stddef.h>
#include <stdint.h>

/* Returns why the records of a pax header are malformed or cannot be skipped, or NULL. */
const char *psdb_pax_fault(const uint8_t *data, size_t size);

#endif
