/**
 * Power cuts at every disk write of a history, with any subset of the unflushed sectors. PSDB_TEST_SEED is
 * the first seed, PSDB_TEST_SEEDS the number of seeds.
 */
#include "archive.h"
#include "check.h"
#include "foreign.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 3

struct cuts {
    struct history *history;
    struct disk *durable; /* the disk without the unflushed writes */
    struct random random;
    uint64_t seed;
    unsigned depth;
    unsigned percent; /* of the writes at which the power is cut */
    unsigned subsets; /* random subsets, at each write */
};

static uint64_t images;
static uint64_t histories;

static void run_history(struct disk *disk, struct model model, uint64_t seed, unsigned depth, unsigned steps,
                        uint64_t foreign_end);

/* Opens the disk after a power cut and checks it. Sometimes continues the history from there. */
static void check_image(struct cuts *cuts) {
    struct rig *live = cuts->history->rig;
    struct disk *disk = cuts->durable;
    images++;
    struct archive archive = archive_read(disk->bytes, disk->sectors, live->sealed_end);
    archive_check_groups(&archive, disk->bytes);
    if (archive.error[0] != '\0') FAIL("the archive after a power cut: %s", archive.error);
    archive_free(&archive);
    struct rig_options options = history_options();
    options.region_bytes = 32 * 1024;
    options.foreign_end = live->options.foreign_end;
    struct rig *rig = rig_open(disk, &options);
    CHECK(rig != NULL);
    if (psdb_state(rig->store) != PSDB_READY) FAIL("does not open after a power cut: %s", rig->reports);
    struct model model = model_copy(&cuts->history->model);
    model_check(&model, rig);
    CHECK_SAME(rig->sectors_written, 0);
    rig_close(rig);
    unsigned chance = cuts->depth == 0 ? 2 : 1;
    if (cuts->depth + 1 < MAX_DEPTH && random_chance(&cuts->random, chance)) {
        run_history(disk_copy(disk), model, random_next(&cuts->random), cuts->depth + 1, 6,
                    live->options.foreign_end);
    } else {
        model_free(&model);
    }
}

/* Writes the unflushed sectors that `keep` selects to the durable disk, checks it, and undoes the writes. */
static void cut(struct cuts *cuts, const bool *keep) {
    const struct disk *now = cuts->history->rig->disk;
    size_t count = now->unflushed_count;
    uint8_t *before = malloc(count * SECTOR + 1);
    CHECK(before != NULL);
    for (size_t i = 0; i < count; i++) {
        uint8_t *sector = disk_at(cuts->durable, now->unflushed[i].sector);
        memcpy(before + i * SECTOR, sector, SECTOR);
        if (keep[i]) memcpy(sector, now->unflushed[i].written, SECTOR);
    }
    check_image(cuts);
    for (size_t i = count; i > 0; i--)
        memcpy(disk_at(cuts->durable, now->unflushed[i - 1].sector), before + (i - 1) * SECTOR, SECTOR);
    free(before);
}

enum shape { NOTHING, EVERYTHING, ALL_BUT_ONE, ONLY_ONE, A_BEGINNING, AN_END, SHAPES };

static void cut_shape(struct cuts *cuts, bool *keep, enum shape shape, size_t at) {
    size_t count = cuts->history->rig->disk->unflushed_count;
    for (size_t i = 0; i < count; i++) {
        switch (shape) {
        case NOTHING:
            keep[i] = false;
            break;
        case EVERYTHING:
            keep[i] = true;
            break;
        case ALL_BUT_ONE:
            keep[i] = i != at;
            break;
        case ONLY_ONE:
            keep[i] = i == at;
            break;
        case A_BEGINNING:
            keep[i] = i < at;
            break;
        default:
            keep[i] = i >= at;
            break;
        }
    }
    note("seed %llu, depth %u, operation %llu, %u unflushed, shape %d, at %u", (unsigned long long)cuts->seed,
         cuts->depth, (unsigned long long)cuts->history->rig->operations, (unsigned)count, (int)shape,
         (unsigned)at);
    cut(cuts, keep);
}

static void cut_here(struct cuts *cuts) {
    size_t count = cuts->history->rig->disk->unflushed_count;
    bool *keep = malloc(count + 1);
    CHECK(keep != NULL);
    cut_shape(cuts, keep, NOTHING, 0);
    cut_shape(cuts, keep, EVERYTHING, 0);
    /* Drops one sector at a time: every sector, or a sample if there are many. */
    size_t step = count <= 24 || cuts->depth > 0 ? 1 + cuts->depth * 7 : count / 24;
    for (size_t i = random_below(&cuts->random, step); i < count; i += step) {
        cut_shape(cuts, keep, ALL_BUT_ONE, i);
        if (random_chance(&cuts->random, 20)) cut_shape(cuts, keep, ONLY_ONE, i);
    }
    for (unsigned k = 0; k < cuts->subsets && count > 0; k++) {
        cut_shape(cuts, keep, k % 2 ? A_BEGINNING : AN_END, random_below(&cuts->random, count));
        unsigned percent = 1 + (unsigned)random_below(&cuts->random, 99);
        note("seed %llu, depth %u, operation %llu, %u unflushed, %u %% at random",
             (unsigned long long)cuts->seed, cuts->depth, (unsigned long long)cuts->history->rig->operations,
             (unsigned)count, percent);
        for (size_t i = 0; i < count; i++) keep[i] = random_chance(&cuts->random, percent);
        cut(cuts, keep);
    }
    free(keep);
}

/* The rig's context is the history, so these are globals: the run that is being cut, at each depth. */
static struct cuts *current[MAX_DEPTH];

static void observe_at(struct cuts *cuts, enum psdb_disk_op op) {
    const struct disk *disk = cuts->history->rig->disk;
    if (op == PSDB_DISK_WRITE && random_chance(&cuts->random, cuts->percent)) cut_here(cuts);
    if (op != PSDB_DISK_FLUSH) return;
    for (size_t i = 0; i < disk->unflushed_count; i++)
        memcpy(disk_at(cuts->durable, disk->unflushed[i].sector), disk->unflushed[i].written, SECTOR);
}

static void observe(struct rig *rig, enum psdb_disk_op op) {
    for (unsigned depth = 0; depth < MAX_DEPTH; depth++)
        if (current[depth] != NULL && current[depth]->history->rig == rig) observe_at(current[depth], op);
}

/* Takes over the disk and the model. */
static void run_history(struct disk *disk, struct model model, uint64_t seed, unsigned depth, unsigned steps,
                        uint64_t foreign_end) {
    struct history *history = history_make(seed, model);
    struct cuts cuts = {.history = history,
                        .durable = disk_copy(disk),
                        .random = {seed ^ 0x5eed},
                        .seed = seed,
                        .depth = depth,
                        .percent = depth == 0 ? 100 : 15,
                        .subsets = depth == 0 ? 6 : 2};
    struct rig_options options = history_options();
    histories++;
    options.foreign_end = foreign_end;
    options.observe = observe;
    options.context = history;
    note("seed %llu, depth %u, opening", (unsigned long long)seed, depth);
    history->rig = rig_start(disk, &options);
    CHECK(history->rig != NULL);
    current[depth] = &cuts;
    history->may_be_full = true;
    for (unsigned i = 0; i < steps; i++) history_step(history);
    history_settle(history);
    current[depth] = NULL;
    history->rig->options.context = NULL;
    rig_close(history->rig);
    options = history_options();
    options.foreign_end = foreign_end;
    note("seed %llu, depth %u, the end", (unsigned long long)seed, depth);
    struct rig *rig = rig_open(disk, &options);
    CHECK(rig != NULL);
    if (psdb_state(rig->store) != PSDB_READY) FAIL("does not open: %s", rig->reports);
    model_check(&history->model, rig);
    rig_close(rig);
    disk_free(cuts.durable);
    disk_free(disk);
    if (depth == 0) {
        printf("seed %llu: %llu acknowledged, %llu conflicts, %llu full\n", (unsigned long long)seed,
               (unsigned long long)history->statuses[PSDB_OK],
               (unsigned long long)history->statuses[PSDB_CONFLICT],
               (unsigned long long)history->statuses[PSDB_FULL]);
    }
    history_free(history);
}

static void run_seeds(uint64_t default_seeds, uint64_t sectors, unsigned steps, uint64_t foreign) {
    uint64_t seed = setting("PSDB_TEST_SEED", 1);
    uint64_t seeds = setting("PSDB_TEST_SEEDS", default_seeds);
    for (uint64_t i = 0; i < seeds; i++) {
        struct disk *disk = disk_make(sectors);
        if (foreign > 0) put_filler(disk, foreign);
        run_history(disk, (struct model){0}, seed + i, 0, steps, foreign);
    }
    printf("%llu images of power cuts in %llu histories\n", (unsigned long long)images,
           (unsigned long long)histories);
}

TEST(at_every_write) {
    run_seeds(4, 4096, 50, 0);
}

TEST(at_every_write_up_to_a_full_disk) {
    run_seeds(3, 300, 60, 0);
}

/* The history crosses the end of the first segment, where the store writes an index. */
TEST(at_every_write_around_a_segments_end) {
    run_seeds(2, 2 * SEGMENT, 40, SEGMENT - 250);
}
