/* What the store's files share; nobody else includes it. */
#ifndef PSDB_INTERNAL_H
#define PSDB_INTERNAL_H

#include "names.h"
#include "store.h"
#include "tar.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "messages and indexes are little-endian");

/* Sectors between two places where an index may stand. Part of the disk's format; tests make it smaller. */
#ifndef PSDB_SEGMENT
#define PSDB_SEGMENT 32768u
#endif
/* Sectors of a batch beyond which no further request joins. */
#ifndef PSDB_BATCH_SECTORS
#define PSDB_BATCH_SECTORS 8192u
#endif
/* Requests of a batch. */
#define PSDB_BATCH_REQUESTS 256
/* The longest object that is taken: format.md's limit of a tail file. */
#define PSDB_MAX_OBJECT (1u << 28)
#define PSDB_MIN_BUFFER 65536u
/* Two zero sectors are the end of an archive. */
#define PSDB_END_SECTORS 2u
/* A commit member is its header and one sector. */
#define PSDB_COMMIT_SECTORS 2u
/* The least that a pad takes: a commit member and the header of `.psdb/pad`. */
#define PSDB_PAD_SECTORS 3u
/* A disk of 2^50 sectors is half a zebibyte: sums of sectors do not overflow. */
#define PSDB_MAX_SECTORS (1ull << 50)

#define PSDB_COMMIT_PATH ".psdb/commit"
#define PSDB_INDEX_PATH ".psdb/index"
#define PSDB_PAD_PATH ".psdb/pad"

/* Says what was not so, and stops for good. Always compiled in. */
#define PSDB_ASSERT(store, condition)                                                                        \
    do {                                                                                                     \
        if (!(condition)) psdb_assert_failed((store), __FILE__, __LINE__, #condition);                       \
    } while (0)

/* ---- text.c: lines for the console */

struct psdb_text {
    size_t length;
    char bytes[400];
};

/* Each adds to the end, as much as there is room for; bytes that are not printable ASCII become `?`. */
void psdb_text_add(struct psdb_text *text, const char *add);
void psdb_text_number(struct psdb_text *text, uint64_t number);
_Noreturn void psdb_assert_failed(const struct psdb *store, const char *file, int line,
                                  const char *condition);

/* ---- jobs: requests under way */

enum psdb_job_state { PSDB_JOB_FREE, PSDB_JOB_TAKEN };

struct psdb_job {
    struct psdb_request request; /* the copy */
    struct psdb_object object;   /* of READ, SEAL, COMMIT, PUBLISH, */
    uint64_t key[2];             /* and its key */
    uint8_t state;
    bool compare;    /* a SEAL of what is sealed already: the bytes are compared */
    bool checked;    /* READ: the member's header was looked at */
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
    struct psdb_list inbox;  /* not looked at */
    struct psdb_list reads;  /* READ, and SEALs that compare */
    struct psdb_list writes; /* SEAL, COMMIT, PUBLISH */
    bool directory;          /* `<tenant>/` is on the disk */
    bool known;              /* all its members before the place being scanned are known */
    uint64_t known_to;       /* when not: the sector up to which they are */
    uint64_t indexed;        /* the chain of indexes has its objects before this sector */
    uint64_t fresh;          /* objects from there on */
};

/* A ledger or an audit sub-ledger. */
struct psdb_ledger_state {
    uint64_t bundles; /* sealed from 0 on without a gap */
    /*
     * A ring of config.tails_each, ascending: the newest that starts where everything is sealed, and all
     * later.
     */
    uint32_t tail_first;
    uint32_t tail_count;
    bool tail_lost; /* opening met more tail files than there is room for; the smallest starts were let go */
    uint32_t pending_tails;  /* in the batch being put together */
    uint64_t pending_newest; /* valid if there are any */
};

/* ---- a batch being written */

enum psdb_batch_phase {
    PSDB_BATCH_IDLE,
    PSDB_BATCH_BODY,      /* write all behind the commit member */
    PSDB_BATCH_FLUSH,     /* … */
    PSDB_BATCH_READ_BACK, /* … compare its hash */
    PSDB_BATCH_HEADER,    /* write the commit member's header */
    PSDB_BATCH_FLUSH_HEADER,
};

enum psdb_item_type { PSDB_ITEM_DIRECTORY, PSDB_ITEM_OBJECT, PSDB_ITEM_PAD, PSDB_ITEM_INDEX };

struct psdb_item {
    uint8_t type;
    uint8_t job;
    uint32_t tenant;
    uint64_t length; /* bytes of data */
};

#define PSDB_BATCH_ITEMS (PSDB_BATCH_REQUESTS + PSDB_MAX_TENANTS + 1)

struct psdb_batch {
    enum psdb_batch_phase phase;
    uint64_t start; /* the commit member's header */
    uint64_t end;   /* the sector behind the batch */
    uint64_t limit; /* `end` may not be past it */
    uint64_t time;
    uint64_t at;      /* the next sector to write or read back */
    uint32_t sectors; /* of the operation under way */
    uint32_t item;    /* the item being written, */
    uint64_t item_at; /* and its next sector, the header being 0 */
    uint32_t items;
    uint32_t requests;
    uint64_t new_slots;
    struct psdb_item item_list[PSDB_BATCH_ITEMS];
    uint8_t digest[32];
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};

/* Before the first batch: sectors behind the end where an index is looked for are made zero. */
struct psdb_clean {
    bool done;
    bool dirty; /* something was written */
    enum { PSDB_CLEAN_READ, PSDB_CLEAN_WRITE, PSDB_CLEAN_FLUSH } phase;
    uint64_t at;
    uint64_t wrote; /* the last place made zero; it is read again */
};

/* ---- index.c */

#define PSDB_INDEX_VERSION 1u
#define PSDB_INDEX_HEAD 128u
#define PSDB_INDEX_TENANT 128u
#define PSDB_INDEX_MEMBER 32u

struct psdb_index_head {
    uint8_t magic[8];
    uint32_t version;
    uint32_t tenants;
    uint64_t number;      /* from 1 */
    uint64_t sector;      /* where its batch begins */
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
    uint64_t since; /* all its objects from this sector on are listed */
    uint32_t directory;
    uint32_t zero;
    struct psdb_index_ledger ledgers[2];
};

struct psdb_index_member {
    uint64_t key[2]; /* names.c; the tenant is its place in this index */
    uint64_t sector;
    uint64_t length;
};

_Static_assert(sizeof(struct psdb_index_head) == PSDB_INDEX_HEAD, "an index's head has no padding");
_Static_assert(sizeof(struct psdb_index_tenant) == PSDB_INDEX_TENANT, "an index's tenant has no padding");
_Static_assert(sizeof(struct psdb_index_member) == PSDB_INDEX_MEMBER, "an index's member has no padding");

/*
 * The newest index of the chain. What the next one has to name: the SHA-256 of this one's data; before the
 * first, that of the batch at sector 0, or zeros when another program began the archive.
 */
struct psdb_chain {
    uint64_t number; /* 0: none */
    uint64_t end;    /* behind its batch; 0: none */
    uint8_t digest[32];
};

/* Writing one: where it is. */
struct psdb_index_cursor {
    uint64_t length;  /* of the data, */
    uint64_t at;      /* and how much is made */
    uint32_t slot;    /* next place in the table of objects */
    uint32_t ledger;  /* then next tail file: of which ledger, */
    uint32_t tail;    /* and which */
    uint64_t members; /* made */
    uint8_t digest[32];
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};

/* Reading one. */
struct psdb_index_load {
    struct psdb_index_head head;
    uint64_t length; /* of the data, */
    uint64_t at;     /* and how much is read */
    struct psdb_index_ledger ledgers[PSDB_MAX_TENANTS][2];
    uint8_t tenant[PSDB_MAX_TENANTS]; /* of each of the index's, ours; PSDB_NO_TENANT */
    bool complete[PSDB_MAX_TENANTS];  /* with it, the chain has all objects of that tenant */
    uint64_t members;                 /* read */
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};
#define PSDB_NO_TENANT 0xffu

/* ---- scan.c: opening */

enum psdb_scan_phase {
    PSDB_SCAN_HEADER,     /* `at` is a header, or the end */
    PSDB_SCAN_DATA,       /* `at` is data of a batch: hashed, and loaded if it is an index */
    PSDB_SCAN_EXTENSION,  /* `at` is data of a pax header or of a GNU long name */
    PSDB_SCAN_COMPARE,    /* a member of a name that is there already: are the bytes the same? */
    PSDB_SCAN_FIRST,      /* behind an index, or at sector 0: how long is the batch there? */
    PSDB_SCAN_NEXT_INDEX, /* at the place of the next index: is it there? */
    PSDB_SCAN_FLUSH,      /* all is read; what was is made durable before it is shown */
};

struct psdb_scan {
    enum psdb_scan_phase phase;
    uint64_t at;
    uint64_t window;         /* first sector in the buffer, */
    uint32_t window_sectors; /* and how many; 0: none */
    uint32_t reading;
    bool no_hops; /* every header is looked at: an index does not list a tenant of ours */
    bool batches; /* a batch was met: from there on there are only batches */
    bool in_batch;
    bool in_index;
    bool skip_next; /* the next member's name is one that is not ours */
    uint64_t batch_start;
    uint64_t batch_end;
    uint64_t data; /* sectors of data that follow */
    uint64_t next_index;
    struct psdb_tar tar;
    struct psdb_tar_fault fault;
    /*
     * COMPARE: the two headers' sectors, the length, how much is compared, whether the first half is in the
     * buffer.
     */
    uint64_t compare_a;
    uint64_t compare_b;
    uint64_t compare_length;
    uint64_t compare_done;
    bool compare_half;
    bool compared;      /* they were the same */
    uint8_t digest[32]; /* what the batch should have */
    struct psdb_index_load load;
    _Alignas(16) uint8_t sha[PSDB_SHA256_STATE];
};

enum psdb_activity { PSDB_NOTHING, PSDB_SCANNING, PSDB_CLEANING, PSDB_BATCHING, PSDB_READING };

struct psdb {
    struct psdb_config config;
    enum psdb_state state;
    enum psdb_activity activity; /* whose disk operation is under way */
    uint64_t end;                /* of the archive: where the next batch begins */
    bool foreign;                /* another program began the archive */
    uint64_t used_slots;
    uint32_t read_turn; /* the tenant whose read is next */
    uint32_t write_turn;
    uint32_t reader;          /* the tenant whose first read has the operation under way, */
    uint64_t reading;         /* from this sector on, */
    uint32_t reading_sectors; /* so many */
    bool read_last;           /* the last operation was a read's */
    struct psdb_chain chain;
    struct psdb_index_cursor cursor;
    struct psdb_clean clean;
    struct psdb_batch batch;
    struct psdb_scan scan;
    struct psdb_ledger_state
        ledgers[PSDB_MAX_TENANTS * 2]; /* of tenant t: 2t, its audit sub-ledger: 2t + 1 */
    struct psdb_tenant_state tenants[PSDB_MAX_TENANTS];
};

/* ---- store.c */

/* Begins a disk operation; the end of it goes to `activity`. */
void psdb_disk(struct psdb *store, enum psdb_activity activity, enum psdb_disk_op op, uint64_t sector,
               uint32_t sectors);
/* Sectors of the disk buffer. */
uint32_t psdb_buffer_sectors(const struct psdb *store);
uint64_t psdb_sectors(uint64_t bytes);
struct psdb_ledger_state *psdb_ledger_of(struct psdb *store, const struct psdb_object *object);
/* Gives the line to the host. */
void psdb_report(const struct psdb *store, const char *text);
/* Answers and frees the job; it must be in no list. */
void psdb_answer(struct psdb *store, uint32_t tenant, uint32_t job, const struct psdb_response *response);
/* The same, with nothing but a status. */
void psdb_finish(struct psdb *store, uint32_t tenant, uint32_t job, enum psdb_status status);
void psdb_list_push(struct psdb_list *list, uint8_t job);
/* Takes out the first. */
uint8_t psdb_list_shift(struct psdb_list *list);
void psdb_sha256_add(const struct psdb *store, void *state, const uint8_t *bytes, size_t length);

/* ---- objects.c: the table of objects */

void psdb_objects_clear(struct psdb *store);
/* The slot of a key, NULL when there is none. */
struct psdb_slot *psdb_object_find(struct psdb *store, const uint64_t key[2]);
/* Sets the place of an object, new or known. False: the table is full. */
bool psdb_object_set(struct psdb *store, const struct psdb_object *object, uint64_t sector, uint64_t length);
/* Whether `more` new objects have room. */
bool psdb_objects_room(const struct psdb *store, uint64_t more);

/* ---- tails.c: tail files that are known */

void psdb_tails_clear(struct psdb_ledger_state *ledger);
/* By place, 0 being the smallest start. */
struct psdb_tail_file *psdb_tail_at(struct psdb *store, struct psdb_ledger_state *ledger, uint32_t place);
/* The place of the first whose start is at least this; tail_count if there is none. */
uint32_t psdb_tail_from(struct psdb *store, struct psdb_ledger_state *ledger, uint64_t start);
/* NULL when there is none. */
struct psdb_tail_file *psdb_tail_find(struct psdb *store, struct psdb_ledger_state *ledger, uint64_t start);
/* Adds a start that is not there. When all places are taken the smallest is let go, be it this one. */
void psdb_tail_insert(struct psdb *store, struct psdb_ledger_state *ledger, struct psdb_tail_file file);
/* Lets go of those before the newest that starts where everything is sealed. */
void psdb_tails_prune(struct psdb *store, struct psdb_ledger_state *ledger);
/* Counts the bundles that are sealed without a gap, on from what was counted; then prunes. */
void psdb_bundles_count(struct psdb *store, const struct psdb_object *bundle);

/* ---- member.c: headers of our members */

/* The whole path, `<tenant>/…`. */
void psdb_member_path(const struct psdb *store, const struct psdb_object *object, char path[PSDB_TAR_PATH]);
void psdb_member_header(const struct psdb *store, uint8_t *sector, const struct psdb_object *object,
                        uint64_t length, uint64_t time);
/*
 * Whether the path is below a configured tenant; `rest` is what follows the slash, empty for the directory
 * itself.
 */
bool psdb_member_tenant(const struct psdb *store, const char *path, uint32_t *tenant, const char **rest);
/* Whether the sector is the header of this object with this length. */
bool psdb_member_is(const struct psdb *store, const uint8_t *sector, const struct psdb_object *object,
                    uint64_t length);

/* ---- scan.c */

void psdb_scan_begin(struct psdb *store);
/* Goes on until it needs the disk, the disk is open, or the store has stopped. */
void psdb_scan_run(struct psdb *store);
void psdb_scan_done(struct psdb *store, bool ok);
/*
 * Stops: the sector, the member there (NULL: none), what was expected, what was found (0: the text alone says
 * it).
 */
void psdb_scan_stop(struct psdb *store, uint64_t sector, const char *path, const char *expected,
                    const char *found, uint64_t number);

/*
 * The commit member whose two sectors are given: the hash, and the sectors behind them. False, with the
 * fault: it is none.
 */
bool psdb_commit_parse(const uint8_t *sectors, uint8_t digest[32], uint64_t *behind,
                       struct psdb_tar_fault *fault);

/* ---- extension.c */

/* What is wrong with the records of a pax header, or means that they cannot be passed over; NULL: nothing. */
const char *psdb_pax_fault(const uint8_t *data, size_t size);

/* ---- plan.c, batch.c */

/* Puts the next batch together of the writes that wait, if there are any; answers those that need no writing.
 */
void psdb_batch_plan(struct psdb *store);
/* Begins the batch's next operation. */
void psdb_batch_run(struct psdb *store);
void psdb_batch_done(struct psdb *store, bool ok);
/* A write failed: the batch and everything that waits to be written is refused. */
void psdb_batch_fail(struct psdb *store, const char *why, uint64_t sector);
void psdb_clean_run(struct psdb *store);
void psdb_clean_done(struct psdb *store, bool ok);

/* Bytes of the data of an index written now. */
uint64_t psdb_index_length(struct psdb *store);
void psdb_index_begin(struct psdb *store);
/* Makes the next `bytes` of its data, which is followed by zeros up to a whole sector. */
void psdb_index_make(struct psdb *store, uint8_t *out, size_t bytes);
/* The index made is on the disk. */
void psdb_index_written(struct psdb *store);
/* Whether the sector begins an index that continues the chain here. */
bool psdb_index_fits(struct psdb *store, const uint8_t *data, uint64_t length, uint64_t sector);
void psdb_index_load_begin(struct psdb *store, uint64_t length);
/* Takes the next sectors of its data. False: it has stopped the store. */
bool psdb_index_load(struct psdb *store, const uint8_t *data, uint32_t sectors);
/* All of it is there, and its batch's hash is right. False: it has stopped the store. */
bool psdb_index_loaded(struct psdb *store);

/* ---- read.c */

/* Begins one operation of one read that waits. False: none waits. */
bool psdb_read_run(struct psdb *store);
void psdb_read_done(struct psdb *store, bool ok);

#endif
