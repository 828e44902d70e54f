/*
 * Time: the only holder of the real-time clock (PL031) and of the timer's interrupt. Publishes what the wall clock says
 * and wakes clients whose deadline has passed, looking every 10 ms.
 *
 * The kernel lets every domain program the timer (CNTP), so a hostile one can stop the tick. The real-time clock's alarm,
 * which only this domain can reach, sets the timer anew once a second.
 */
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/time.h"

/* PL031, as indexes of 32-bit words. */
enum { RTC_SECONDS = 0, RTC_MATCH = 1, RTC_MASK = 4, RTC_CLEAR = 7 };

#define TICKS_A_SECOND 100u

static volatile uint32_t *const rtc = (volatile uint32_t *)AT_RTC;
static struct time_page *const page = (struct time_page *)AT_TIME;
static const uintptr_t deadlines[] = AT_CLIENTS_DEADLINE;
static const microkit_channel channels[] = CH_CLIENTS;

#define CLIENTS (sizeof deadlines / sizeof *deadlines)

static uint64_t told[CLIENTS];
static uint32_t second;
static bool settled;

static void set_timer(void) {
    const uint64_t next = ticks() + ticks_per_second() / TICKS_A_SECOND;
    __asm__ volatile("msr cntp_cval_el0, %0\n msr cntp_ctl_el0, %1\n isb" ::"r"(next), "r"(UINT64_C(1)));
}

static void set_alarm(void) {
    rtc[RTC_CLEAR] = 1;
    rtc[RTC_MATCH] = rtc[RTC_SECONDS] + 1;
    rtc[RTC_MASK] = 1;
}

static void publish(uint32_t seconds) {
    const uint32_t version = page->version;
    __atomic_store_n(&page->version, version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    page->seconds = seconds;
    page->at = ticks();
    page->frequency = ticks_per_second();
    __atomic_store_n(&page->version, version + 2, __ATOMIC_RELEASE);
}

/* The counter is what goes on; the wall clock sets it at the first change of its second, and when they are apart. */
static void look_at_clock(void) {
    const uint32_t seconds = rtc[RTC_SECONDS];
    if (seconds == second) return;
    second = seconds;
    const struct moment moment = {page->seconds, page->at, page->frequency};
    const int64_t apart = (int64_t)(time_of(&moment, ticks()) / 1000) - (int64_t)seconds;
    if (settled && apart >= -1 && apart <= 1) return;
    if (settled) console("the real-time clock was set: time goes on from what it says");
    settled = true;
    publish(seconds);
}

static void wake(void) {
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
    publish(second);
    set_alarm();
    set_timer();
}

void notified(microkit_channel channel) {
    if (channel == CH_ALARM) set_alarm();
    set_timer();
    look_at_clock();
    wake();
    if (channel == CH_ALARM || channel == CH_TIMER) microkit_irq_ack(channel);
}
