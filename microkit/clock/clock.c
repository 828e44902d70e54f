/*
 * The only holder of the real-time clock (PL031). In each of its periods (10 ms, set in the system
 * description) it publishes the wall clock's time and wakes the clients whose deadline has passed.
 *
 * It needs no interrupt: the kernel renews its budget each period, and the domain yields the unused rest. It
 * does not use the timer that domains may program (CNTP), because any domain could stop that timer.
 */
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/time.h"

/* PL031, as an index of 32-bit words. */
enum { RTC_SECONDS = 0 };

static const volatile uint32_t *const rtc = (volatile uint32_t *)AT_RTC;
static struct time_page *const page = (struct time_page *)AT_TIME;
static const uintptr_t deadlines[] = AT_CLIENTS_DEADLINE;
static const microkit_channel channels[] = CH_CLIENTS;

#define CLIENTS (sizeof deadlines / sizeof *deadlines)

static uint64_t told[CLIENTS];
static uint32_t second;
static bool settled;

static void publish_time(uint32_t seconds) {
    const uint32_t version = page->version;
    __atomic_store_n(&page->version, version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    page->seconds = seconds;
    page->at = ticks();
    page->frequency = ticks_per_second();
    __atomic_store_n(&page->version, version + 2, __ATOMIC_RELEASE);
}

/* The counter measures time. The wall clock sets the time at the first change of its seconds, and again when
 * the two differ by more than a second. */
static void check_clock(void) {
    const uint32_t seconds = rtc[RTC_SECONDS];
    if (seconds == second) return;
    second = seconds;
    const struct moment moment = {page->seconds, page->at, page->frequency};
    const int64_t apart = (int64_t)(time_of(&moment, ticks()) / 1000) - (int64_t)seconds;
    if (settled && apart >= -1 && apart <= 1) return;
    if (settled) console("the real-time clock was set: time continues from its new value");
    settled = true;
    publish_time(seconds);
}

static void wake_clients(void) {
    const uint64_t now = ticks();
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const struct deadline_page *deadline = (const struct deadline_page *)deadlines[i];
        const uint64_t at = __atomic_load_n(&deadline->at, __ATOMIC_ACQUIRE);
        if (at == 0 || at > now || at == told[i]) continue;
        told[i] = at;
        microkit_notify(channels[i]);
    }
}

void init(void) {
    second = rtc[RTC_SECONDS];
    publish_time(second);
    for (;;) {
        check_clock();
        wake_clients();
        seL4_Yield();
    }
}

void notified(microkit_channel channel) {
    (void)channel;
}
