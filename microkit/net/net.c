/*
 * The only holder of the network card, with lwIP. Each tenant has a port; this domain passes the bytes of its
 * connections to its ledger and back through a ring, and does not interpret them.
 */
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/time.h"
#include "net/card.h"
#include "net/random.h"
#include "net/stack.h"
#include "net/tenant.h"

#define SOON_MS 10u

/* Set by Microkit's tool. */
uintptr_t queue_physical;

static bool is_up;

static void set_deadline(void) {
    uint64_t wait = stack_due();
    if (tenants_are_stalled() && wait > SOON_MS) wait = SOON_MS;
    deadline_set((struct deadline_page *)AT_DEADLINE, ticks() + (wait + 1) * (ticks_per_second() / 1000));
}

static void run_until_idle(void) {
    bool more = true;
    while (more && !card_is_broken()) {
        more = stack_receive();
        stack_timers();
        more = tenants_work() || more;
        card_kick();
        tenants_notify();
    }
    set_deadline();
    if (!card_is_broken()) return;
    console("the network card broke the rules of virtio: it is not used any more");
    is_up = false;
}

/* Starts the network, once entropy has provided a secret for numbers that peers must not guess. */
static void start_network(void) {
    if (!random_begin()) return;
    tenants_begin();
    const char *wrong = stack_begin(queue_physical);
    if (wrong != NULL) console(wrong);
    is_up = wrong == NULL;
}

void init(void) {
    start_network();
    if (is_up) run_until_idle();
}

void notified(microkit_channel channel) {
    static bool has_failed;
    if (!is_up && channel == CH_ENTROPY && !has_failed) {
        start_network();
        has_failed = !is_up;
    }
    if (channel == CH_DEVICE && is_up) card_interrupt();
    if (channel == CH_DEVICE) microkit_irq_ack(channel);
    if (is_up) run_until_idle();
}
