/*
 * Two domains exchange messages of 64 bytes through two sides of shared memory. Each domain owns one side: it
 * writes that side, and the other domain maps it read-only. Indices run freely and wrap at 2^32. A domain
 * that has put messages notifies the other (microkit_notify). The other then takes messages until none is
 * left.
 *
 * The other's side may change at any moment and hold any value. So a domain checks its indices, copies a
 * message before reading it, and never reads its own indices back from shared memory.
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
    uint32_t consumed; /* messages taken from the other side */
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

/* Begins a ring whose two sides are still zero. */
static inline void ring_begin(struct ring *ring, uintptr_t mine, uintptr_t theirs) {
    *ring = (struct ring){(struct ring_side *)mine, (const struct ring_side *)theirs, 0, 0};
}

/* Puts a message. Returns false if no slot is free. */
static inline bool ring_put(struct ring *ring, const void *message) {
    if (ring->produced - ring_peek(&ring->theirs->consumed) >= RING_SLOTS) return false;
    ring_write(ring, message);
    return true;
}

/* Takes a message. Returns false if there is none, or while the other side's index is impossible. */
static inline bool ring_take(struct ring *ring, void *message) {
    const uint32_t there = ring_peek(&ring->theirs->produced) - ring->consumed;
    if (there == 0 || there > RING_SLOTS) return false;
    memcpy(message, ring->theirs->slots[ring->consumed % RING_SLOTS], RING_MESSAGE);
    ring->consumed++;
    __atomic_store_n(&ring->mine->consumed, ring->consumed, __ATOMIC_RELEASE);
    return true;
}

/*
 * Requests and answers: the client puts requests; the server takes them and answers each exactly once, in any
 * order. The difference of the server's two indices is the number of unanswered requests.
 */

/* Client: puts a request. Returns false if RING_SLOTS requests have no answer yet. */
static inline bool ring_ask(struct ring *ring, const void *request) {
    return ring->produced - ring->consumed < RING_SLOTS && ring_put(ring, request);
}

/* Server: takes a request, if its answer has a free slot. */
static inline bool ring_serve(struct ring *ring, void *request) {
    const bool room = ring->consumed - ring->produced < RING_SLOTS &&
                      ring->consumed - ring_peek(&ring->theirs->consumed) < RING_SLOTS;
    return room && ring_take(ring, request);
}

/* Server: puts an answer. It always has a slot, unless the client breaks the rules and loses its own answer.
 */
static inline void ring_answer(struct ring *ring, const void *answer) {
    ring_write(ring, answer);
}

/*
 * Called by the client at each start or restart: continues at the server's indices. It withdraws requests
 * that the server has not taken, and drops answers. Returns false while the server still works on requests
 * from before the restart, which may change the data region; call it again when the server notifies.
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
 * For two peers that send each other messages: each calls it at its start or restart. The other peer can
 * still take the caller's earlier messages; the caller skips the messages sent to it before.
 */
static inline void ring_resume(struct ring *ring, uintptr_t mine, uintptr_t theirs) {
    ring->mine = (struct ring_side *)mine;
    ring->theirs = (const struct ring_side *)theirs;
    ring->produced = ring_peek(&ring->mine->produced);
    ring->consumed = ring_peek(&ring->theirs->produced);
    __atomic_store_n(&ring->mine->consumed, ring->consumed, __ATOMIC_RELEASE);
}

#endif
