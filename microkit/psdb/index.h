/* Indexes: a list of the objects on the disk, so that opening need not read the whole disk. */
#ifndef PSDB_INDEX_H
#define PSDB_INDEX_H

#include "state.h"

/* Returns the bytes of data of an index that would be written now. */
uint64_t psdb_index_length(struct psdb *store);
void psdb_index_begin(struct psdb *store);
/* Writes the next `bytes` bytes of the index's data to `out`; zeros fill the last sector. */
void psdb_index_make(struct psdb *store, uint8_t *out, size_t bytes);
/* Adds the index to the chain, once it is on the disk. */
void psdb_index_written(struct psdb *store);

/* Reports whether the sector begins an index that continues the chain here. */
bool psdb_index_fits(struct psdb *store, const uint8_t *data, uint64_t length, uint64_t sector);
void psdb_index_load_begin(struct psdb *store, uint64_t length);
/* Takes the next sectors of the index's data. Returns false if that stopped the store. */
bool psdb_index_load(struct psdb *store, const uint8_t *data, uint32_t sectors);
/* Ends loading, once its group's digest is verified. Returns false if that stopped the store. */
bool psdb_index_loaded(struct psdb *store);

#endif
