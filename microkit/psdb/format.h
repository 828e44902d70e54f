/* The layout of the disk: docs/psdb.md describes it. */
#ifndef PSDB_FORMAT_H
#define PSDB_FORMAT_H

#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "messages and indexes are little-endian");

/* An index may begin at every multiple of this many sectors. Part of the disk's format; tests make it
 * smaller. */
#ifndef PSDB_SEGMENT
#define PSDB_SEGMENT 32768u
#endif
/* No further request joins a group of this many sectors. */
#ifndef PSDB_GROUP_SECTORS
#define PSDB_GROUP_SECTORS 8192u
#endif
/* The most requests in a group. */
#define PSDB_GROUP_REQUESTS 256
/* The longest object: the limit of a tail file in docs/format.md. */
#define PSDB_MAX_OBJECT (1u << 28)
#define PSDB_MIN_BUFFER 65536u
/* Two zero sectors end an archive. */
#define PSDB_END_SECTORS 2u
/* A commit member is its header and one sector. */
#define PSDB_COMMIT_SECTORS 2u
/* The smallest pad: a commit member and the header of `.psdb/pad`. */
#define PSDB_PAD_SECTORS 3u
/* 2^50 sectors are half a zebibyte, so sums of sectors do not overflow. */
#define PSDB_MAX_SECTORS (1ull << 50)

#define PSDB_COMMIT_PATH ".psdb/commit"
#define PSDB_INDEX_PATH ".psdb/index"
#define PSDB_PAD_PATH ".psdb/pad"

/* ---- an index: a head, its tenants, its members */

#define PSDB_INDEX_VERSION 1u
#define PSDB_INDEX_HEAD 128u
#define PSDB_INDEX_TENANT 128u
#define PSDB_INDEX_MEMBER 32u

struct psdb_index_head {
    uint8_t magic[8];
    uint32_t version;
    uint32_t tenants;
    uint64_t number;      /* from 1 */
    uint64_t sector;      /* where its group begins */
    uint8_t previous[32]; /* psdb_chain.digest */
    uint64_t members;
    uint8_t zero[56];
};

struct psdb_index_ledger {
    uint64_t bundles;
    uint64_t checkpoint; /* sector of its header; 0 with length 0: none */
    uint64_t checkpoint_length;
};

struct psdb_index_tenant {
    uint8_t name[64];
    uint64_t since; /* the index lists all its objects from this sector on */
    uint32_t directory;
    uint32_t zero;
    struct psdb_index_ledger ledgers[2];
};

struct psdb_index_member {
    uint64_t key[2]; /* names.h; the tenant is its place in this index */
    uint64_t sector;
    uint64_t length;
};

_Static_assert(sizeof(struct psdb_index_head) == PSDB_INDEX_HEAD, "an index's head has no padding");
_Static_assert(sizeof(struct psdb_index_tenant) == PSDB_INDEX_TENANT, "an index's tenant has no padding");
_Static_assert(sizeof(struct psdb_index_member) == PSDB_INDEX_MEMBER, "an index's member has no padding");

#endif
