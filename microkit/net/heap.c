#include "net/heap.h"

#include "lib/stop.h"
#include "net/limits.h"

#include <stdbool.h>
#include <string.h>

/* Blocks for frames that do not belong to a connection yet, and the like. */
#define SPARE 256u

/*
 * In this order: a segment, or a reference to a ledger's bytes; a segment's headers; a connection; a DHCP
 * message; a frame.
 */
static const struct {
    uint32_t size;
    uint32_t count;
} sizes[] = {
    {64, LIMIT_CONNECTIONS *LIMIT_SEGMENTS + LIMIT_ALL_PCBS *(LIMIT_OUT_OF_ORDER + 4) + SPARE},
    {128, LIMIT_CONNECTIONS *(LIMIT_SEGMENTS / 2) + 2 * LIMIT_ALL_PCBS + SPARE},
    {320, LIMIT_ALL_PCBS + TENANT_COUNT},
    {704, SPARE},
    {1664, LIMIT_ALL_PCBS *LIMIT_OUT_OF_ORDER + SPARE},
};

#define SIZES (sizeof sizes / sizeof *sizes)

/* A free block holds the address of the next free one. */
struct block {
    struct block *next;
};

static struct {
    uintptr_t begin;
    uintptr_t end;
    struct block *free;
    bool *is_used;
} classes[SIZES];

void heap_begin(uintptr_t at, size_t size) {
    const uintptr_t end = at + size;
    for (size_t i = 0; i < SIZES; i++) {
        classes[i].begin = at;
        classes[i].end = at + (uintptr_t)sizes[i].size * sizes[i].count;
        classes[i].is_used = (bool *)classes[i].end;
        at = (classes[i].end + sizes[i].count + 63) & ~(uintptr_t)63;
        STOP_UNLESS(at <= end);
        for (uint32_t j = sizes[i].count; j > 0; j--) {
            struct block *block = (struct block *)(classes[i].begin + (uintptr_t)(j - 1) * sizes[i].size);
            block->next = classes[i].free;
            classes[i].free = block;
        }
    }
}

void *heap_take(size_t size) {
    size_t i = 0;
    while (i < SIZES && sizes[i].size < size) i++;
    if (i == SIZES || classes[i].free == NULL) return NULL;
    struct block *block = classes[i].free;
    classes[i].free = block->next;
    classes[i].is_used[((uintptr_t)block - classes[i].begin) / sizes[i].size] = true;
    return block;
}

void *heap_take_zeros(size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    void *block = heap_take(count * size);
    if (block != NULL) memset(block, 0, count * size);
    return block;
}

/* Returns a block's class. Stops if the address is not a block's. */
static size_t class_of(uintptr_t at) {
    for (size_t i = 0; i < SIZES; i++) {
        if (at >= classes[i].begin && at < classes[i].end) return i;
    }
    stop(__FILE__, __LINE__, "not a block of the heap");
}

void heap_give(void *given) {
    const size_t i = class_of((uintptr_t)given);
    const uintptr_t offset = (uintptr_t)given - classes[i].begin;
    STOP_UNLESS(offset % sizes[i].size == 0);
    bool *is_used = &classes[i].is_used[offset / sizes[i].size];
    STOP_UNLESS(*is_used);
    *is_used = false;
    struct block *block = given;
    block->next = classes[i].free;
    classes[i].free = block;
}
