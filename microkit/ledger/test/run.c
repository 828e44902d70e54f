/* A ledger domain with the domains around it, in one process: `ledger-test DISK [ORIGIN]` prints the port
 * that it listens on. SIGUSR1 makes the domain fault, and restarts it like the supervisor. SIGTERM ends it.
 */
#include "machine.h"

#include "lib/domain.h"
#include "lib/stop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void psdb_init(void);
void psdb_notified(microkit_channel channel);

/* The ledger domain's variables: the linker defines these names. */
// NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
extern uint8_t __start_ledger_bss[], __stop_ledger_bss[];

struct memory memory;
uint8_t *heap;
static bool notified_parts[PARTS];
static sigjmp_buf faulted;
static volatile sig_atomic_t must_fault, must_end;

void tell(enum part part) {
    notified_parts[part] = true;
}

bool is_notified(enum part part) {
    const bool is = notified_parts[part];
    notified_parts[part] = false;
    return is;
}

uint64_t ticks(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ticks_per_second(void) {
    return 1000000000;
}

void console(const char *line);
void console(const char *line) {
    fprintf(stderr, "%s\n", line);
}

_Noreturn void stop(const char *file, int line, const char *what) {
    fprintf(stderr, "stopped at %s:%d: %s\n", file, line, what);
    abort();
}

_Noreturn void fail(const char *why) {
    fprintf(stderr, "ledger-test: %s\n", why);
    exit(1);
}

static void on_signal(int number) {
    if (number == SIGILL || number == SIGTRAP) siglongjmp(faulted, 1);
    if (number == SIGUSR1) {
        must_fault = 1;
    } else {
        must_end = 1;
    }
}

static void begin(const char *path, const char *origin) {
    const int signals[] = {SIGILL, SIGTRAP, SIGUSR1, SIGTERM};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        (void)sigaction(signals[i], &(struct sigaction){.sa_handler = on_signal}, NULL);
    }
    heap = malloc(HEAP_BYTES);
    if (heap == NULL) fail("no memory");
    memory.time = (struct time_page){
        .version = 2, .seconds = (uint64_t)time(NULL), .at = ticks(), .frequency = 1000000000};
    blk_open(path);
    keys_open(origin);
    printf("%u\n", net_open());
    fflush(stdout);
    psdb_init();
}

/* Runs the notified parts, until no part is notified. */
static void settle(void) {
    for (bool more = true; more;) {
        more = false;
        const bool told[] = {is_notified(TO_BLK), is_notified(TO_KEYS), is_notified(TO_ENTROPY),
                             is_notified(TO_PSDB)};
        if (told[0]) blk_work();
        if (told[1]) keys_answer();
        if (told[2]) entropy_work();
        if (told[3]) psdb_notified(0);
        for (unsigned i = 0; i < sizeof told / sizeof *told; i++) more = more || told[i];
        net_answer();
        (void)is_notified(TO_NET);
        if (is_notified(TO_LEDGER)) {
            more = true;
            notified(0);
        }
    }
}

static void wait(void) {
    const uint64_t at = memory.deadline.at;
    const uint64_t now = ticks();
    const uint64_t milliseconds = at == 0 ? 1000 : at <= now ? 0 : (at - now) / 1000000 + 1;
    net_wait(milliseconds > 1000 ? 1000 : (int)milliseconds);
    if (at != 0 && at <= ticks()) tell(TO_LEDGER);
}

/* A sanitizer puts bytes between variables, and would report the write across them. */
__attribute__((no_sanitize("address"))) static void clear(volatile uint8_t *from,
                                                          const volatile uint8_t *to) {
    while (from < to) *from++ = 0;
}

int main(int count, char **arguments) {
    if (count < 2) fail("usage: ledger-test DISK [ORIGIN]");
    begin(arguments[1], count > 2 ? arguments[2] : "example.org/acme");
    if (sigsetjmp(faulted, 1) != 0) {
        fprintf(stderr, "started again\n");
        clear(__start_ledger_bss, __stop_ledger_bss);
    }
    init();
    while (!must_end) {
        settle();
        if (must_fault) {
            must_fault = 0;
            siglongjmp(faulted, 1);
        }
        wait();
    }
    return 0;
}
