/* The known tail files: a ring for each ledger, ascending by their first entries. */
#include "tails.h"
#include "base.h"
#include "objects.h"

void psdb_tails_clear(struct psdb_ledger_state *ledger) {
    ledger->tail_first = 0;
    ledger->tail_count = 0;
    ledger->tail_lost = false;
}

struct psdb_tail_file *psdb_tail_at(struct psdb *store, struct psdb_ledger_state *ledger, uint32_t place) {
    const uint32_t each = store->config.tails_each;
    const size_t number = (size_t)(ledger - store->ledgers);
    PSDB_ASSERT(store, place < each);
    const uint64_t at = ((uint64_t)ledger->tail_first + place) % each;
    return &store->config.tails[number * each + at];
}

uint32_t psdb_tail_from(struct psdb *store, struct psdb_ledger_state *ledger, uint64_t start) {
    uint32_t low = 0;
    uint32_t high = ledger->tail_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (psdb_tail_at(store, ledger, middle)->start < start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct psdb_tail_file *psdb_tail_find(struct psdb *store, struct psdb_ledger_state *ledger, uint64_t start) {
    const uint32_t place = psdb_tail_from(store, ledger, start);
    if (place == ledger->tail_count) return NULL;
    struct psdb_tail_file *file = psdb_tail_at(store, ledger, place);
    return file->start == start ? file : NULL;
}

static void drop_first_tails(const struct psdb *store, struct psdb_ledger_state *ledger, uint32_t count) {
    PSDB_ASSERT(store, count <= ledger->tail_count);
    const uint64_t first = ((uint64_t)ledger->tail_first + count) % store->config.tails_each;
    ledger->tail_first = (uint32_t)first;
    ledger->tail_count -= count;
}

void psdb_tail_insert(struct psdb *store, struct psdb_ledger_state *ledger, struct psdb_tail_file file) {
    uint32_t place = psdb_tail_from(store, ledger, file.start);
    PSDB_ASSERT(store, psdb_tail_find(store, ledger, file.start) == NULL);
    if (ledger->tail_count == store->config.tails_each) {
        ledger->tail_lost = true;
        if (place == 0) return;
        drop_first_tails(store, ledger, 1);
        place--;
    }
    ledger->tail_count++;
    if (place == 0) {
        ledger->tail_first = (ledger->tail_first == 0 ? store->config.tails_each : ledger->tail_first) - 1;
    }
    for (uint32_t i = ledger->tail_count - 1; place > 0 && i > place; i--) {
        *psdb_tail_at(store, ledger, i) = *psdb_tail_at(store, ledger, i - 1);
    }
    *psdb_tail_at(store, ledger, place) = file;
}

void psdb_tails_prune(struct psdb *store, struct psdb_ledger_state *ledger) {
    /* The number of tail files that start within or at the end of the sealed bundles. The last of them
     * continues the bundles. */
    const uint32_t continuing = psdb_tail_from(store, ledger, ledger->bundles * 256 + 1);
    if (continuing == 0) return;
    drop_first_tails(store, ledger, continuing - 1);
    ledger->tail_lost = false;
}

void psdb_bundles_count(struct psdb *store, const struct psdb_object *bundle) {
    struct psdb_ledger_state *ledger = psdb_ledger_of(store, bundle);
    struct psdb_object next = *bundle;
    if (bundle->kind != PSDB_BUNDLE || bundle->index != ledger->bundles) return;
    for (;;) {
        uint64_t key[2];
        next.index = ledger->bundles;
        psdb_key_make(&next, key);
        if (psdb_object_find(store, key) == NULL) break;
        ledger->bundles++;
    }
    psdb_tails_prune(store, ledger);
}
