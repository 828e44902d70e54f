/* The state of a store. Only the store's own files include this header. */
#ifndef PSDB_STATE_H
#define PSDB_STATE_H

#include "format.h"
#include "names.h"
#include "setup.h"
#include "tar.h"

/* ---- jobs: requests under way */

enum psdb_job_state { PSDB_JOB_FREE, PSDB_JOB_TAKEN };

struct psdb_job {
    struct psdb_request request; /* the copy */
    struct psdb_object object;   /* of READ, SEAL, COMMIT, PUBLISH, */
    uint64_t key[2];             /* and its key */
    uint8_t state;
    bool compare;    /* a SEAL of a sealed object: its bytes are compared */
    bool checked;    /* READ: the member's header is right */
    uint64_t sector; /* of the member's header */
    uint64_t length; /* of the object */
    uint64_t done;   /* bytes read or compared so far */
};

/* Jobs of one tenant, in order. */
struct psdb_list {
    uint8_t count;
    uint8_t job[PSDB_QUEUE];
};

struct psdb_tenant_state {
    struct psdb_job jobs[PSDB_QUEUE];
    struct psdb_list inbox;  /* new requests */
    struct psdb_list reads;  /* READ, and SEALs that compare */
    struct psdb_list writes; /* SEAL, COMMIT, PUBLISH */
    bool directory;          /* `<tenant>/` is on the disk */
    bool known;              /* all its members before the scan's position are known */
    uint64_t known_to;       /* otherwise only those before this sector are known */
    uint64_t indexed;        /* the chain of indexes lists its objects before this sector */
    uint64_t fresh;          /* number of its objects at or after `indexed` */
};

/* A ledger or an audit sub-ledger. */
struct psdb_ledger_state {
    uint64_t bundles; /* sealed without a gap, counted from bundle 0 */
    /*
     * A ring of config.tails_each tail files, ascending: the newest that starts within the sealed bundles or
     * at their end, and all later ones.
     */
    uint32_t tail_first;
    uint32_t tail_count;
    bool tail_lost; /* opening found more tail files than fit, and dropped those with the smallest starts */
    uint32_t pending_tails;  /* tail files in the group that is being planned */
    uint64_t pending_newest; /* the start of the last of them */
};

/* ---- the group that is being written */

enum psdb_group_phase {
    PSDB_GROUP_IDLE,
    PSDB_GROUP_BODY,         /* write everything after the commit member */
    PSDB_GROUP_FLUSH,        /* flush it */
    PSDB_GROUP_READ_BACK,    /* read it again and compare its hash */
    PSDB_GROUP_HEADER,       /* write the commit member's header */
    PSDB_GROUP_FLUSH_HEADER, /* flush that */
};

enum psdb_item_type { PSDB_ITEM_DIRECTORY, PSDB_ITEM_OBJECT, PSDB_ITEM_PAD, PSDB_ITEM_INDEX };

struct psdb_item {
    uint8_t type;
    uint8_t job;
    uint32_t tenant;
    uint64_t length; /* bytes of data */
};

#define PSDB_GROUP_ITEMS (PSDB_GROUP_REQUESTS + PSDB_MAX_TENANTS + 1)

struct psdb_group {
    enum psdb_group_phase phase;
    uint64_t start; /* the commit member's header */
    uint64_t end;   /* the sector after the group */
    uint64_t limit; /* the largest `end` allowed */
    uint64_t time;
    uint64_t at;      /* the next sector to write or to read back */
    uint32_t sectors; /* of the operation under way */
    uint32_t item;    /* the item being written, */
    uint64_t item_at; /* and its next sector; its header is sector 0 */
    uint32_t items;
    uint32_t requests;
    uint64_t new_slots;
    struct psdb_item item_list[PSDB_GROUP_ITEMS];
    uint8_t digest[32];
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};

/* Before the first group, the store zeroes the sectors after the end at which opening looks for an index. */
struct psdb_clean {
    bool done;
    bool dirty; /* a write needs a flush */
    enum { PSDB_CLEAN_READ, PSDB_CLEAN_WRITE, PSDB_CLEAN_FLUSH } phase;
    uint64_t at;
    uint64_t wrote; /* the last sector zeroed, which is then read again */
};

/* ---- indexes */

/*
 * The newest index of the chain. The next index names `digest`: the SHA-256 of this one's data. Before the
 * first index it is the digest of the group at sector 0, or zeros if another program began the archive.
 */
struct psdb_chain {
    uint64_t number; /* 0: none */
    uint64_t end;    /* the sector after its group; 0: none */
    uint8_t digest[32];
};

/* Progress of writing an index. */
struct psdb_index_cursor {
    uint64_t length;  /* bytes of data, */
    uint64_t at;      /* and bytes made so far */
    uint32_t slot;    /* the next slot of the table of objects, */
    uint32_t ledger;  /* then the ledger of the next tail file, */
    uint32_t tail;    /* and its place there */
    uint64_t members; /* made */
    uint8_t digest[32];
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};

#define PSDB_NO_TENANT 0xffu

/* Progress of reading an index. */
struct psdb_index_load {
    struct psdb_index_head head;
    uint64_t length; /* bytes of data, */
    uint64_t at;     /* and how much is read */
    struct psdb_index_ledger ledgers[PSDB_MAX_TENANTS][2];
    uint8_t tenant[PSDB_MAX_TENANTS]; /* our number of each of the index's tenants, or PSDB_NO_TENANT */
    bool complete[PSDB_MAX_TENANTS];  /* the chain up to this index lists all objects of that tenant */
    uint64_t members;                 /* read */
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};

/* ---- the scan that opens the disk */

enum psdb_scan_phase {
    PSDB_SCAN_HEADER,     /* `at` is a header, or the end */
    PSDB_SCAN_DATA,       /* `at` is data of a group: it is hashed, and loaded if it is an index */
    PSDB_SCAN_EXTENSION,  /* `at` is data of a pax header or of a GNU long name */
    PSDB_SCAN_COMPARE,    /* a second member of the same name: its bytes are compared with the first's */
    PSDB_SCAN_FIRST,      /* after an index, or at sector 0: the length of the group there is read */
    PSDB_SCAN_NEXT_INDEX, /* the place of the next index is read */
    PSDB_SCAN_FLUSH,      /* everything is read; a flush makes it durable before any tenant sees it */
};

struct psdb_scan {
    enum psdb_scan_phase phase;
    uint64_t at;
    uint64_t window;         /* first sector in the buffer, */
    uint32_t window_sectors; /* and how many; 0: none */
    uint32_t reading;
    bool no_hops; /* read every header, because an index does not list one of our tenants */
    bool groups;  /* a group was found: only groups may follow */
    bool in_group;
    bool in_index;
    bool skip_next; /* the next member has a long name, and is not ours */
    uint64_t group_start;
    uint64_t group_end;
    uint64_t data; /* sectors of data that follow */
    uint64_t next_index;
    struct psdb_tar tar;
    struct psdb_tar_fault fault;
    /* COMPARE: the sectors of the two headers, the length, and the bytes compared so far. */
    uint64_t compare_a;
    uint64_t compare_b;
    uint64_t compare_length;
    uint64_t compare_done;
    bool compare_half;  /* the first member's data is in the buffer */
    bool compared;      /* the two members are equal */
    uint8_t digest[32]; /* the commit member's digest of its group */
    struct psdb_index_load load;
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};

/* ---- the store */

enum psdb_activity { PSDB_NOTHING, PSDB_SCANNING, PSDB_CLEANING, PSDB_GROUPING, PSDB_READING };

struct psdb {
    struct psdb_config config;
    enum psdb_state state;
    enum psdb_activity activity; /* whose disk operation is under way */
    uint64_t end;                /* of the archive: where the next group begins */
    bool foreign;                /* another program began the archive */
    uint64_t used_slots;
    uint32_t read_turn; /* the tenant whose read is next */
    uint32_t write_turn;
    uint32_t reader;          /* the tenant whose first read the operation under way serves, */
    uint64_t reading;         /* its first sector, */
    uint32_t reading_sectors; /* and its length */
    bool read_last;           /* the last operation was a read */
    struct psdb_chain chain;
    struct psdb_index_cursor cursor;
    struct psdb_clean clean;
    struct psdb_group group;
    struct psdb_scan scan;
    struct psdb_ledger_state
        ledgers[PSDB_MAX_TENANTS * 2]; /* of tenant t: 2t, its audit sub-ledger: 2t + 1 */
    struct psdb_tenant_state tenants[PSDB_MAX_TENANTS];
};

#endif
