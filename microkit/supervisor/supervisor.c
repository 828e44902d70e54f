/*
 * Holds the serial port, and is the parent of the ledger domains. It restarts a domain that faults: at once
 * the first times, then after a delay that doubles. The other domains keep running.
 */
#include "serial.h"

#include "lib/domain.h"
#include "lib/text.h"
#include "lib/time.h"

static const microkit_channel consoles[] = CH_CONSOLES;
static const char *const children[] = CHILD_NAMES;
/* The children's consoles, whose lines are printed before a line about the child. */
static const unsigned child_consoles[] = CHILD_CONSOLES;
static struct deadline_page *const deadline = (struct deadline_page *)AT_DEADLINE;

#define CONSOLES (sizeof consoles / sizeof *consoles)
#define CHILDREN (sizeof children / sizeof *children)

/* The restarts without a delay. The next one waits a second, each further one twice as long, up to a minute.
 */
#define AT_ONCE 3u
#define LONGEST_WAIT 60u
/* After a child has run for so many seconds, its earlier faults no longer count. */
#define CALM 600u

static struct {
    seL4_UserContext begin; /* registers before its first instruction */
    uint32_t faults;        /* recent ones */
    uint64_t faulted;       /* the counter at the last fault */
    uint64_t again;         /* when to restart it; 0: it runs */
} states[CHILDREN];

#define REGISTERS (sizeof(seL4_UserContext) / sizeof(seL4_Word))

static void print_child(microkit_child child, const char *what) {
    struct text text = {0};
    text_add(&text, children[child]);
    text_add(&text, what);
    serial_line("supervisor", text.bytes);
}

static void restart_child(microkit_child child) {
    states[child].again = 0;
    if (seL4_TCB_WriteRegisters(BASE_TCB_CAP + child, seL4_True, 0, REGISTERS, &states[child].begin) !=
        seL4_NoError) {
        print_child(child, " cannot be started again");
    } else {
        print_child(child, " is started again");
    }
}

static void set_deadline(void) {
    uint64_t first = 0;
    for (uint32_t i = 0; i < CHILDREN; i++) {
        if (states[i].again != 0 && (first == 0 || states[i].again < first)) first = states[i].again;
    }
    deadline_set(deadline, first);
}

static void restart_due(void) {
    const uint64_t now = ticks();
    for (uint32_t i = 0; i < CHILDREN; i++) {
        if (states[i].again != 0 && states[i].again <= now) restart_child(i);
    }
    set_deadline();
}

static uint64_t delay_after(uint32_t faults) {
    if (faults <= AT_ONCE) return 0;
    const uint32_t more = faults - AT_ONCE - 1;
    return more >= 6 ? LONGEST_WAIT : UINT64_C(1) << more;
}

static void print_fault(microkit_child child, microkit_msginfo fault, uint64_t wait) {
    struct text text = {0};
    text_add(&text, children[child]);
    const seL4_Word kind = microkit_msginfo_get_label(fault);
    if (kind == seL4_Fault_VMFault) {
        const bool fetch = seL4_GetMR(seL4_VMFault_PrefetchFault) != 0;
        text_add(&text, fetch ? " faulted: no instruction at " : " faulted: no such access to ");
        text_hex(&text, seL4_GetMR(seL4_VMFault_Addr));
        text_add(&text, ", pc ");
        text_hex(&text, seL4_GetMR(seL4_VMFault_IP));
    } else if (kind == seL4_Fault_UserException) {
        text_add(&text, " faulted: exception, pc ");
        text_hex(&text, seL4_GetMR(seL4_UserException_FaultIP));
    } else if (kind == seL4_Fault_VCPUFault) {
        /* For example a breakpoint instruction. The upper six bits of ESR_EL2 are the exception's class. */
        text_add(&text, " faulted: exception, syndrome ");
        text_hex(&text, seL4_GetMR(seL4_VCPUFault_HSR));
    } else {
        text_add(&text, " faulted: kind ");
        text_number(&text, kind);
    }
    if (wait > 0) {
        text_add(&text, "; is started again in ");
        text_number(&text, wait);
        text_add(&text, " s");
    }
    serial_line("supervisor", text.bytes);
}

seL4_Bool fault(microkit_child child, microkit_msginfo message, microkit_msginfo *reply) {
    (void)reply;
    if (child >= CHILDREN) return seL4_False;
    serial_drain(child_consoles[child]);
    const uint64_t now = ticks();
    const uint64_t second = ticks_per_second();
    if (now - states[child].faulted > CALM * second) states[child].faults = 0;
    states[child].faults++;
    states[child].faulted = now;
    const uint64_t wait = delay_after(states[child].faults);
    print_fault(child, message, wait);
    if (wait == 0) {
        restart_child(child);
    } else {
        microkit_pd_stop(child);
        states[child].again = now + wait * second;
        set_deadline();
    }
    return seL4_False;
}

void init(void) {
    for (uint32_t i = 0; i < CHILDREN; i++) {
        if (seL4_TCB_ReadRegisters(BASE_TCB_CAP + i, seL4_False, 0, REGISTERS, &states[i].begin) !=
            seL4_NoError) {
            print_child(i, " has registers that cannot be read");
        }
    }
}

void notified(microkit_channel channel) {
    for (uint32_t i = 0; i < CONSOLES; i++) {
        if (channel == consoles[i]) serial_drain(i);
    }
    if (channel == CH_CLOCK) restart_due();
}
