/*
 * Opening reads every header from sector 0 on, or hops from index to index, up to two zero sectors. It
 * verifies the digests of the groups after the last index. It writes nothing.
 */
#include "scan.h"
#include "base.h"
#include "commit.h"
#include "extension.h"
#include "index.h"
#include "member.h"
#include "objects.h"
#include "tails.h"
#include "text.h"

#include <string.h>

/* Sectors to read at a header outside a group, where the scan skips the data. */
#define WINDOW 128u
/* The largest data of a pax header or a GNU long name. */
#define MAX_EXTENSION (32u * PSDB_SECTOR)

/* ---- the window */

static void stop_here(struct psdb *store, const char *expected, const char *found) {
    psdb_stop(store, store->scan.at, store->scan.tar.path, expected, found, 0);
}

/*
 * Returns `count` sectors from `sector` on if the window has them. Otherwise begins to read them, up to
 * `ahead` in all, or stops because the disk ends there, and returns NULL.
 */
static const uint8_t *window_at(struct psdb *store, uint64_t sector, uint32_t count, uint32_t ahead) {
    struct psdb_scan *scan = &store->scan;
    const uint64_t disk = store->config.disk_sectors;
    if (sector >= scan->window && sector + count <= scan->window + scan->window_sectors) {
        return store->config.buffer + (size_t)(sector - scan->window) * PSDB_SECTOR;
    }
    if (sector > disk || count > disk - sector) {
        psdb_stop(store, sector, NULL, "two zero sectors, the end of the archive", "the end of the disk", 0);
        return NULL;
    }
    const uint32_t room = psdb_buffer_sectors(store);
    const uint64_t left = disk - sector;
    uint32_t sectors = ahead > count ? ahead : count;
    if (sectors > room) sectors = room;
    if (sectors > left) sectors = (uint32_t)left;
    PSDB_ASSERT(store, sectors >= count);
    scan->window = sector;
    scan->window_sectors = 0;
    scan->reading = sectors;
    psdb_disk(store, PSDB_SCANNING, PSDB_DISK_READ, sector, sectors);
    return NULL;
}

/* Advances over sectors. In a group, the sectors are in the window, and are hashed. */
static void advance(struct psdb *store, const uint8_t *sectors, uint64_t count) {
    struct psdb_scan *scan = &store->scan;
    if (scan->in_group) psdb_sha256_add(store, scan->sha, sectors, (size_t)count * PSDB_SECTOR);
    scan->at += count;
}

/* Advances over a header, and over its data: at once, or in a group sector by sector. */
static void advance_member(struct psdb *store, const uint8_t *header) {
    struct psdb_scan *scan = &store->scan;
    advance(store, header, 1);
    scan->data = psdb_tar_sectors(&scan->tar);
    if (scan->in_group) {
        scan->phase = PSDB_SCAN_DATA;
    } else {
        scan->at += scan->data;
    }
}

/* ---- the end */

static void begin_scan(struct psdb *store, bool no_hops) {
    memset(&store->scan, 0, sizeof store->scan);
    memset(&store->chain, 0, sizeof store->chain);
    store->scan.no_hops = no_hops;
    /* A group at sector 0 leads to the first index, as the group after an index leads to the next. */
    store->scan.phase = no_hops ? PSDB_SCAN_HEADER : PSDB_SCAN_FIRST;
    store->foreign = false;
    psdb_objects_clear(store);
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        struct psdb_tenant_state *state = &store->tenants[i];
        state->known = true;
        state->directory = false;
        state->indexed = 0;
        state->fresh = 0;
        for (uint32_t ledger = 2 * i; ledger < 2 * i + 2; ledger++) {
            store->ledgers[ledger].bundles = 0;
            psdb_tails_clear(&store->ledgers[ledger]);
        }
    }
}

void psdb_scan_begin(struct psdb *store) {
    begin_scan(store, false);
}

static void report_open(struct psdb *store) {
    struct psdb_text text = {.length = 0};
    psdb_text_add(&text, "open: ");
    psdb_text_number(&text, store->used_slots);
    psdb_text_add(&text, " objects, ");
    psdb_text_number(&text, store->end);
    psdb_text_add(&text, " of ");
    psdb_text_number(&text, store->config.disk_sectors);
    psdb_text_add(&text, " sectors, ");
    psdb_text_number(&text, store->chain.number);
    psdb_text_add(&text, " indexes");
    psdb_report(store, text.bytes);
}

static void end_scan(struct psdb *store) {
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        if (store->tenants[i].known) continue;
        /* The indexes do not list this tenant. */
        begin_scan(store, true);
        return;
    }
    for (uint32_t i = 0; i < 2 * store->config.tenant_count; i++) {
        struct psdb_ledger_state *ledger = &store->ledgers[i];
        psdb_tails_prune(store, ledger);
        if (!ledger->tail_lost) continue;
        psdb_stop(store, store->scan.at, store->config.tenants[i / 2].name,
                  "no more unsealed tail files than fit in memory", "more than ", store->config.tails_each);
        return;
    }
    store->end = store->scan.at;
    store->scan.phase = PSDB_SCAN_FLUSH;
}

/* Opens the store after a flush: the disk's cache may still hold writes from before a restart. */
static void open_after_flush(struct psdb *store, bool ok) {
    store->state = ok ? PSDB_READY : PSDB_READ_ONLY;
    report_open(store);
    if (!ok) psdb_report(store, "read-only from now on: the disk cannot flush");
}

/* Ends the scan at two zero sectors. */
static void scan_zero_sector(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    const uint8_t *sectors = window_at(store, scan->at, PSDB_END_SECTORS, WINDOW);
    if (sectors == NULL) return;
    if (psdb_tar_is_zero(sectors + PSDB_SECTOR)) {
        end_scan(store);
    } else {
        psdb_stop(store, scan->at, NULL, "a header, or two zero sectors", "one zero sector, then other bytes",
                  0);
    }
}

/* ---- members */

static bool path_is(const struct psdb_scan *scan, const char *path) {
    return strlen(scan->tar.path) == strlen(path) && memcmp(scan->tar.path, path, strlen(path)) == 0;
}

static bool is_below(const char *path, const char *directory) {
    const size_t length = strlen(directory);
    if (strlen(path) < length || memcmp(path, directory, length) != 0) return false;
    return path[length] == '\0' || path[length] == '/';
}

/* Reports whether a path is private to the process that runs a ledger: docs/format.md. */
static bool is_private(const char *rest) {
    if (is_below(rest, "audit") && rest[5] == '/') rest += 6;
    return is_below(rest, "lock") || is_below(rest, "tmp") || is_below(rest, "cache");
}

static void begin_compare(struct psdb *store, uint64_t sector, uint64_t length) {
    struct psdb_scan *scan = &store->scan;
    if (length != scan->tar.size) {
        stop_here(store, "the same bytes as in the earlier member of this name", "another length");
        return;
    }
    scan->compare_a = scan->at;
    scan->compare_b = sector;
    scan->compare_length = length;
    scan->compare_done = 0;
    scan->compare_half = false;
    scan->window_sectors = 0;
    scan->phase = PSDB_SCAN_COMPARE;
}

/* Compares as much as fits half of the buffer: copies one member's data to the upper half, then reads the
 * other's. */
static void compare_members(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    const uint64_t left = scan->compare_length - scan->compare_done;
    const size_t half = (size_t)(psdb_buffer_sectors(store) / 2) * PSDB_SECTOR;
    const size_t bytes = left < half ? (size_t)left : half;
    const uint32_t sectors = (uint32_t)psdb_sectors(bytes);
    const uint64_t done = scan->compare_done / PSDB_SECTOR;
    if (left == 0) {
        scan->compared = true;
        scan->window_sectors = 0;
        scan->phase = PSDB_SCAN_HEADER;
        return;
    }
    const uint64_t member = scan->compare_half ? scan->compare_b : scan->compare_a;
    const uint8_t *read = window_at(store, member + 1 + done, sectors, sectors);
    if (read == NULL) return;
    scan->window_sectors = 0;
    if (!scan->compare_half) {
        memcpy(store->config.buffer + half, read, bytes);
    } else if (memcmp(store->config.buffer + half, read, bytes) == 0) {
        scan->compare_done += bytes;
    } else {
        stop_here(store, "the same bytes as in the earlier member of this name", "other bytes");
    }
    scan->compare_half = !scan->compare_half;
}

/* Adds a tail file. Returns false if a comparison is due, or the store has stopped. */
static bool add_tail(struct psdb *store, const struct psdb_object *object) {
    struct psdb_scan *scan = &store->scan;
    struct psdb_ledger_state *ledger = psdb_ledger_of(store, object);
    const struct psdb_tail_file *known = psdb_tail_find(store, ledger, object->index);
    if (known != NULL && !scan->compared) {
        begin_compare(store, known->sector, known->length);
        return false;
    }
    if (known == NULL) {
        psdb_tail_insert(store, ledger, (struct psdb_tail_file){object->index, scan->at, scan->tar.size});
        psdb_tails_prune(store, ledger);
    }
    return true;
}

/* Adds an object. Returns false if a comparison is due, or the store has stopped. */
static bool add_object(struct psdb *store, const struct psdb_object *object) {
    struct psdb_scan *scan = &store->scan;
    uint64_t key[2];
    psdb_key_make(object, key);
    const struct psdb_slot *slot = psdb_object_find(store, key);
    if (object->kind == PSDB_TAIL_FILE) return add_tail(store, object);
    if (slot != NULL && object->kind != PSDB_CHECKPOINT) {
        if (!scan->compared) begin_compare(store, slot->sector, slot->length);
        return scan->compared;
    }
    if (!psdb_object_set(store, object, scan->at, scan->tar.size)) {
        stop_here(store, "no more objects than fit in memory", "more");
        return false;
    }
    psdb_bundles_count(store, object);
    return true;
}

/*
 * Adds a tenant's directory, or a member below it. Returns false if a comparison is due, or the store has
 * stopped.
 */
static bool add_member(struct psdb *store, uint32_t tenant, const char *rest) {
    struct psdb_scan *scan = &store->scan;
    struct psdb_object object = {.tenant = tenant};
    if (is_private(rest)) return true;
    if (scan->tar.type == PSDB_TAR_DIRECTORY) {
        if (rest[0] == '\0') store->tenants[tenant].directory = true;
        return true;
    }
    if (scan->tar.type != PSDB_TAR_FILE) {
        stop_here(store, "a regular file or a directory", "a link, or another kind of member");
        return false;
    }
    return psdb_path_parse(rest, &object) ? add_object(store, &object) : true;
}

static void scan_member(struct psdb *store, const uint8_t *header) {
    struct psdb_scan *scan = &store->scan;
    uint32_t tenant;
    const char *rest;
    if (scan->skip_next) {
        scan->skip_next = false;
    } else if (psdb_member_tenant(store, scan->tar.path, &tenant, &rest)) {
        if (!add_member(store, tenant, rest)) return;
    } else if (scan->tar.more_sparse) {
        stop_here(store, "a member whose data can be skipped", "a sparse one with a long map");
        return;
    }
    scan->compared = false;
    advance_member(store, header);
}

/* ---- pax headers and GNU long names */

static void scan_long_name(struct psdb *store, const uint8_t *data) {
    struct psdb_scan *scan = &store->scan;
    char path[PSDB_TAR_PATH];
    uint32_t tenant;
    const char *rest;
    size_t length = 0;
    size_t first = 0;
    while (scan->tar.size - first >= 2 && data[first] == '.' && data[first + 1] == '/') first += 2;
    while (length + 1 < sizeof path && first + length < scan->tar.size && data[first + length] != '\0') {
        path[length] = (char)data[first + length];
        length++;
    }
    path[length] = '\0';
    if (psdb_member_tenant(store, path, &tenant, &rest) && !is_private(rest)) {
        psdb_stop(store, scan->at - 1, path, "a name that fits a ustar header", "a GNU long name", 0);
    }
    scan->skip_next = true;
}

static void scan_extension(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    const uint8_t *data = window_at(store, scan->at, (uint32_t)scan->data, (uint32_t)scan->data);
    if (data == NULL) return;
    if (scan->tar.type == PSDB_TAR_LONG_NAME) {
        scan_long_name(store, data);
    } else {
        const char *fault = psdb_pax_fault(data, (size_t)scan->tar.size);
        if (fault != NULL) stop_here(store, "a pax header that can be skipped", fault);
    }
    scan->at += scan->data;
    scan->phase = PSDB_SCAN_HEADER;
}

static void begin_extension(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    if (scan->tar.size > MAX_EXTENSION) {
        stop_here(store, "a pax header or a GNU long name of at most 16384 bytes", "a longer one");
        return;
    }
    scan->at++;
    scan->data = psdb_tar_sectors(&scan->tar);
    scan->phase = scan->data == 0 ? PSDB_SCAN_HEADER : PSDB_SCAN_EXTENSION;
}

/* ---- groups */

static void begin_group(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    uint64_t behind = 0;
    const uint8_t *sectors = window_at(store, scan->at, PSDB_COMMIT_SECTORS, psdb_buffer_sectors(store));
    if (sectors == NULL) return;
    if (!psdb_commit_parse(sectors, scan->digest, &behind, &scan->fault)) {
        stop_here(store, scan->fault.expected, scan->fault.found);
        return;
    }
    if (behind > store->config.disk_sectors ||
        scan->at + PSDB_COMMIT_SECTORS + behind > store->config.disk_sectors) {
        stop_here(store, "a group that fits on the disk", "one that ends past its end");
        return;
    }
    if (scan->at == 0) memcpy(store->chain.digest, scan->digest, sizeof scan->digest);
    scan->group_start = scan->at;
    scan->group_end = scan->at + PSDB_COMMIT_SECTORS + behind;
    scan->at += PSDB_COMMIT_SECTORS;
    scan->groups = true;
    scan->in_group = true;
    scan->in_index = false;
    store->config.host->sha256_begin(scan->sha);
}

static void end_group(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    uint8_t digest[32];
    store->config.host->sha256_end(scan->sha, digest);
    scan->in_group = false;
    if (memcmp(digest, scan->digest, sizeof digest) != 0) {
        psdb_stop(store, scan->group_start, PSDB_COMMIT_PATH, "a group with the SHA-256 in its commit member",
                  "another SHA-256", 0);
        return;
    }
    if (!scan->in_index) return;
    if (psdb_index_loaded(store) && !scan->no_hops) scan->phase = PSDB_SCAN_FIRST;
}

/* Begins loading an index, which must be the only member of a group at a boundary. */
static void begin_index(struct psdb *store, const uint8_t *header) {
    struct psdb_scan *scan = &store->scan;
    const bool only = scan->at == scan->group_start + PSDB_COMMIT_SECTORS &&
                      scan->at + 1 + psdb_tar_sectors(&scan->tar) == scan->group_end;
    if (scan->group_start == 0 || scan->group_start % PSDB_SEGMENT != 0 || !only ||
        scan->tar.size < PSDB_INDEX_HEAD) {
        stop_here(store, "an index alone in a group at a boundary", "one that is not");
        return;
    }
    scan->in_index = true;
    psdb_index_load_begin(store, scan->tar.size);
    advance_member(store, header);
}

/* Handles a member in a group. */
static void scan_group_member(struct psdb *store, const uint8_t *header) {
    struct psdb_scan *scan = &store->scan;
    if (path_is(scan, PSDB_COMMIT_PATH)) {
        stop_here(store, "a member of the group", "a commit member");
    } else if (scan->tar.type != PSDB_TAR_FILE && scan->tar.type != PSDB_TAR_DIRECTORY) {
        stop_here(store, "a regular file or a directory", "another kind of member");
    } else if (path_is(scan, PSDB_INDEX_PATH)) {
        begin_index(store, header);
    } else {
        scan_member(store, header);
    }
}

static void scan_group_data(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    if (scan->data == 0) {
        scan->phase = PSDB_SCAN_HEADER;
        return;
    }
    const uint8_t *data = window_at(store, scan->at, 1, psdb_buffer_sectors(store));
    if (data == NULL) return;
    const uint64_t have = scan->window + scan->window_sectors - scan->at;
    const uint64_t count = scan->data < have ? scan->data : have;
    if (scan->in_index && !psdb_index_load(store, data, (uint32_t)count)) return;
    scan->data -= count;
    advance(store, data, count);
}

/* ---- from index to index */

/*
 * Finds where the next index would be, after an index or at sector 0. Only the group here may cross the end
 * of a segment.
 */
static void find_next_index(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    uint64_t behind = 0;
    uint8_t digest[32];
    scan->phase = PSDB_SCAN_HEADER;
    if (scan->at % PSDB_SEGMENT == 0 && scan->at != 0) return;
    if (scan->at + PSDB_COMMIT_SECTORS > store->config.disk_sectors) return;
    scan->phase = PSDB_SCAN_FIRST;
    const uint8_t *sectors = window_at(store, scan->at, PSDB_COMMIT_SECTORS, PSDB_COMMIT_SECTORS);
    if (sectors == NULL) return;
    scan->phase = PSDB_SCAN_HEADER;
    if (psdb_tar_is_zero(sectors) || !psdb_commit_parse(sectors, digest, &behind, &scan->fault)) return;
    if (scan->at == 0) memcpy(store->chain.digest, digest, sizeof digest);
    const uint64_t end = scan->at + PSDB_COMMIT_SECTORS + behind;
    scan->next_index = (end + PSDB_SEGMENT - 1) / PSDB_SEGMENT * PSDB_SEGMENT;
    /* The smallest index takes four sectors. */
    if (scan->next_index + 4 <= store->config.disk_sectors) scan->phase = PSDB_SCAN_NEXT_INDEX;
}

static bool is_index(struct psdb *store, const uint8_t *sectors) {
    struct psdb_scan *scan = &store->scan;
    struct psdb_tar_fault fault;
    uint64_t behind = 0;
    uint8_t digest[32];
    if (!psdb_commit_parse(sectors, digest, &behind, &fault)) return false;
    if (!psdb_tar_parse(sectors + 2 * PSDB_SECTOR, &scan->tar, &fault)) return false;
    return path_is(scan, PSDB_INDEX_PATH) && scan->tar.type == PSDB_TAR_FILE &&
           behind == 1 + psdb_tar_sectors(&scan->tar) && scan->tar.size >= PSDB_INDEX_HEAD &&
           psdb_index_fits(store, sectors + 3 * PSDB_SECTOR, scan->tar.size, scan->next_index);
}

static void hop_to_index(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    const uint8_t *sectors = window_at(store, scan->next_index, 4, WINDOW);
    if (sectors == NULL) return;
    scan->phase = PSDB_SCAN_HEADER;
    if (!is_index(store, sectors)) return;
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        struct psdb_tenant_state *state = &store->tenants[i];
        if (state->known) state->known_to = scan->at;
        state->known = false;
    }
    scan->at = scan->next_index;
}

/* ---- a header */

static bool member_fits(const struct psdb *store) {
    const struct psdb_scan *scan = &store->scan;
    const uint64_t end = scan->in_group ? scan->group_end : store->config.disk_sectors;
    return psdb_tar_sectors(&scan->tar) <= end - scan->at - 1;
}

static void scan_foreign(struct psdb *store, const uint8_t *header) {
    struct psdb_scan *scan = &store->scan;
    store->foreign = true;
    switch (scan->tar.type) {
    case PSDB_TAR_PAX:
    case PSDB_TAR_PAX_GLOBAL:
    case PSDB_TAR_LONG_NAME:
        begin_extension(store);
        return;
    case PSDB_TAR_LONG_LINK:
        advance_member(store, header);
        return;
    default:
        scan_member(store, header);
        return;
    }
}

static void scan_header(struct psdb *store) {
    struct psdb_scan *scan = &store->scan;
    if (scan->in_group && scan->at == scan->group_end) {
        end_group(store);
        return;
    }
    const uint8_t *sector =
        window_at(store, scan->at, 1, scan->in_group ? psdb_buffer_sectors(store) : WINDOW);
    if (sector == NULL) return;
    if (!scan->in_group && !scan->skip_next && psdb_tar_is_zero(sector)) {
        scan_zero_sector(store);
        return;
    }
    if (!psdb_tar_parse(sector, &scan->tar, &scan->fault)) {
        psdb_stop(store, scan->at, NULL, scan->fault.expected, scan->fault.found, scan->fault.number);
        return;
    }
    if (!member_fits(store)) {
        stop_here(store,
                  scan->in_group ? "a member that ends in its group" : "a member that fits on the disk",
                  "a size that is too large");
    } else if (scan->in_group) {
        scan_group_member(store, sector);
    } else if (path_is(scan, PSDB_COMMIT_PATH) && scan->tar.type == PSDB_TAR_FILE &&
               scan->tar.link[0] != '\0') {
        begin_group(store);
    } else if (scan->groups) {
        stop_here(store, "a commit member", "a member outside a group");
    } else {
        scan_foreign(store, sector);
    }
}

void psdb_scan_done(struct psdb *store, bool ok) {
    struct psdb_scan *scan = &store->scan;
    if (scan->phase == PSDB_SCAN_FLUSH) {
        open_after_flush(store, ok);
    } else if (ok) {
        scan->window_sectors = scan->reading;
    } else {
        psdb_stop(store, scan->window, NULL, "to read it", "an error of the disk", 0);
    }
}

void psdb_scan_run(struct psdb *store) {
    while (store->state == PSDB_OPENING && store->activity == PSDB_NOTHING) {
        switch (store->scan.phase) {
        case PSDB_SCAN_HEADER:
            scan_header(store);
            break;
        case PSDB_SCAN_DATA:
            scan_group_data(store);
            break;
        case PSDB_SCAN_EXTENSION:
            scan_extension(store);
            break;
        case PSDB_SCAN_COMPARE:
            compare_members(store);
            break;
        case PSDB_SCAN_FIRST:
            find_next_index(store);
            break;
        case PSDB_SCAN_FLUSH:
            psdb_disk(store, PSDB_SCANNING, PSDB_DISK_FLUSH, 0, 0);
            break;
        default:
            hop_to_index(store);
            break;
        }
    }
}
