/*
 * Time: the domain `clock` publishes the wall clock's time at one value of the counter, and wakes a client
 * within about 10 ms after the deadline in the client's page.
 */
#ifndef TIME_H
#define TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Written by clock, mapped read-only by the others. */
struct time_page {
    uint32_t version; /* odd while clock writes the rest; 0: never written */
    uint32_t zero;
    uint64_t seconds; /* since the Unix epoch, */
    uint64_t at;      /* when the counter had this value */
    uint64_t frequency;
};

/* Written by a client, mapped read-only by clock. */
struct deadline_page {
    uint64_t at; /* the counter's value at which to notify the client; 0: never */
};

struct moment {
    uint64_t seconds;
    uint64_t at;
    uint64_t frequency;
};

/* Reads the page. Returns false if the clock has not started. */
static inline bool time_read(const struct time_page *page, struct moment *moment) {
    for (;;) {
        const uint32_t before = __atomic_load_n(&page->version, __ATOMIC_ACQUIRE);
        if (before == 0) return false;
        moment->seconds = __atomic_load_n(&page->seconds, __ATOMIC_RELAXED);
        moment->at = __atomic_load_n(&page->at, __ATOMIC_RELAXED);
        moment->frequency = __atomic_load_n(&page->frequency, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if ((before & 1) == 0 && __atomic_load_n(&page->version, __ATOMIC_RELAXED) == before) return true;
    }
}

/* Returns the milliseconds since the Unix epoch when the counter is `now`. */
static inline uint64_t time_of(const struct moment *moment, uint64_t now) {
    const uint64_t passed = now > moment->at ? now - moment->at : 0;
    return (moment->seconds + passed / moment->frequency) * 1000 +
           passed % moment->frequency * 1000 / moment->frequency;
}

static inline void deadline_set(struct deadline_page *page, uint64_t at) {
    __atomic_store_n(&page->at, at, __ATOMIC_RELEASE);
}

#endif
