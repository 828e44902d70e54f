/*
 * Two domains exchange messages of 64 bytes through two pieces of shared memory, one each: a side is written
 * by its owner and mapped read-only by the other. Indices run freely and wrap at 2^32. After putting, a
 * domain notifies the other (microkit_notify), which takes until nothing is left.
 *
 * Everything on the other's side may change at any moment and have any value: indices are checked, a message
 * is copied out before it is looked at, and a domain's own indices are never read back from shared memory.
 */
#ifndef RING_H
#define RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RING_SLOTS 64u
#define RING_MESSAGE 64u

struct ring_side {
    uint32_t produced; /* messages put into these slots */
    uint32_t consumed; /* messages taken out of the other side's */
    uint8_t unused[4088];
    uint8_t slots[RING_SLOTS][RING_MESSAGE];
};

_Static_assert(sizeof(struct ring_side) == 0x2000, "a side is two pages");
_Static_assert(offsetof(struct ring_side, slots) == 0x1000, "slots have a page of their own");

struct ring {
    struct ring_side *mine;
    const struct ring_side *theirs;
    uint32_t produced;
    uint32_t consumed;
};

static inline uint32_t ring_peek(const uint32_t *index) {
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static inline void ring_write(struct ring *ring, const void *message) {
    memcpy(ring->mine->slots[ring->produced % RING_SLOTS], message, RING_MESSAGE);
    ring->produced++;
    __atomic_store_n(&ring->mine->produced, ring->produced, __ATOMIC_RELEASE);
}

/* A ring whose sides are both still zero. */
static inline void ring_begin(struct ring *ring, uintptr_t mine, uintptr_t theirs) {
    *ring = (struct ring){(struct ring_side *)mine, (const struct ring_side *)theirs, 0, 0};
}

/* False: no slot is free. */
static inline bool ring_put(struct ring *ring, const void *message) {
    if (ring->produced - ring_peek(&ring->theirs->consumed) >= RING_SLOTS) return false;
    ring_write(ring, message);
    return true;
}

/* False: nothing is there. An index that cannot be is as if nothing were there, until it can. */
static inline bool ring_take(struct ring *ring, void *message) {
    const uint32_t there = ring_peek(&ring->theirs->produced) - ring->consumed;
    if (there == 0 || there > RING_SLOTS) return false;
    memcpy(message, ring->theirs->slots[ring->consumed % RING_SLOTS], RING_MESSAGE);
    ring->consumed++;
    __atomic_store_n(&ring->mine->consumed, ring->consumed, __ATOMIC_RELEASE);
    return true;
}

/*
 * Requests and answers: the client puts requests, the server takes them and answers each exactly once, in any
 * order. So what a server has taken and not answered is the difference of its own two indices.
 */

/* Client. False: as many requests as there are slots have no answer that was taken. */
static inline bool ring_ask(struct ring *ring, const void *request) {
    return ring->produced - ring->consumed < RING_SLOTS && ring_put(ring, request);
}

/* Server: takes a request if there is room for its answer. */
static inline bool ring_serve(struct ring *ring, void *request) {
    const bool room = ring->consumed - ring->produced < RING_SLOTS &&
                      ring->consumed - ring_peek(&ring->theirs->consumed) < RING_SLOTS;
    return room && ring_take(ring, request);
}

/* Server: there is room, or the client has broken the rules and loses an answer of its own. */
static inline void ring_answer(struct ring *ring, const void *answer) {
    ring_write(ring, answer);
}

/*
 * Client, at each start, which may be a second one: goes on where the server is. Requests that the server has
 * not taken are withdrawn, answers not taken are dropped. False: the server is still at work for the life
 * before; to be called again when it notifies. Until then what it does may still change the data region.
 */
static inline bool ring_join(struct ring *ring, uintptr_t mine, uintptr_t theirs) {
    ring->mine = (struct ring_side *)mine;
    ring->theirs = (const struct ring_side *)theirs;
    ring->produced = ring_peek(&ring->theirs->consumed);
    ring->consumed = ring_peek(&ring->theirs->produced);
    __atomic_store_n(&ring->mine->consumed, ring->consumed, __ATOMIC_RELEASE);
    __atomic_store_n(&ring->mine->produced, ring->produced, __ATOMIC_RELEASE);
    return ring->produced == ring->consumed;
}

/*
 * One of two that put to each other, at each start, which may be a second one: what a life before has put is
 * still for the other to take; what the other has put for it is passed over.
 */
static inline void ring_resume(struct ring *ring, uintptr_t mine, uintptr_t theirs) {
    ring->mine = (struct ring_side *)mine;
    ring->theirs = (const struct ring_side *)theirs;
    ring->produced = ring_peek(&ring->mine->produced);
    ring->consumed = ring_peek(&ring->theirs->produced);
    __atomic_store_n(&ring->mine->consumed, ring->consumed, __ATOMIC_RELEASE);
}

#endif
