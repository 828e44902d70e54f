/* The helpers of all the store's files: reports, disk operations, answers. */
#ifndef PSDB_BASE_H
#define PSDB_BASE_H

#include "state.h"

/* Reports a false condition and stops for good. Compiled into every build. */
#define PSDB_ASSERT(store, condition)                                                                        \
    do {                                                                                                     \
        if (!(condition)) psdb_assert_failed((store), __FILE__, __LINE__, #condition);                       \
    } while (0)

_Noreturn void psdb_assert_failed(const struct psdb *store, const char *file, int line,
                                  const char *condition);
/* Passes a line to the host. */
void psdb_report(const struct psdb *store, const char *text);
/*
 * Stops the store because the disk is corrupt. The report names the sector, the member there (NULL: none),
 * the expected and the found content, and `number` unless it is 0.
 */
void psdb_stop(struct psdb *store, uint64_t sector, const char *path, const char *expected, const char *found,
               uint64_t number);

/* Begins a disk operation; `activity` is notified when it ends. */
void psdb_disk(struct psdb *store, enum psdb_activity activity, enum psdb_disk_op op, uint64_t sector,
               uint32_t sectors);
/* Returns the sectors of the disk buffer. */
uint32_t psdb_buffer_sectors(const struct psdb *store);
/* Returns the number of sectors that these bytes fill. */
uint64_t psdb_sectors(uint64_t bytes);
void psdb_sha256_add(const struct psdb *store, void *state, const uint8_t *bytes, size_t length);

struct psdb_ledger_state *psdb_ledger_of(struct psdb *store, const struct psdb_object *object);

/* Answers and frees the job. It must be in no list. */
void psdb_answer(struct psdb *store, uint32_t tenant, uint32_t job, const struct psdb_response *response);
/* Answers with only a status, and frees the job. */
void psdb_finish(struct psdb *store, uint32_t tenant, uint32_t job, enum psdb_status status);
void psdb_list_push(struct psdb_list *list, uint8_t job);
/* Removes and returns the first job. */
uint8_t psdb_list_shift(struct psdb_list *list);

#endif
