/* The commit member, with which every group begins: the group's SHA-256 and length. */
#ifndef PSDB_COMMIT_H
#define PSDB_COMMIT_H

#include "state.h"

/* Makes the header of the commit member of store->group. The digest must be known. */
void psdb_commit_make(const struct psdb *store, uint8_t *sector);
/*
 * Reads the digest and the number of sectors after the commit member from its two sectors. Returns false,
 * with the fault, if they are not a commit member.
 */
bool psdb_commit_parse(const uint8_t *sectors, uint8_t digest[32], uint64_t *behind,
                       struct psdb_tar_fault *fault);

#endif
