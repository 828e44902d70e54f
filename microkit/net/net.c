/*
 * The only holder of the network card, and lwIP. Each tenant has a port; bytes of its connections go through
 * a ring to its ledger and come from there. What they mean is not known here.
 */
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/time.h"
#include "net/card.h"
#include "net/random.h"
#include "net/stack.h"
#include "net/tenant.h"

#define SOON_MS 10u

/* Put in by Microkit's tool. */
uintptr_t queue_physical;

static bool is_up;

static void set_deadline(void) {
    uint64_t wait = stack_due();
    if (tenants_are_stalled() && wait > SOON_MS) wait = SOON_MS;
    deadline_set((struct deadline_page *)AT_DEADLINE, ticks() + (wait + 1) * (ticks_per_second() / 1000));
}

static void work(void) {
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
    console("the network card broke the rules of virtio: it is left alone");
    is_up = false;
}

/* Once there is a secret, for what peers must not guess. */
static void begin(void) {
    if (!random_begin()) return;
    tenants_begin();
    const char *wrong = stack_begin(queue_physical);
    if (wrong != NULL) console(wrong);
    is_up = wrong == NULL;
}

void init(void) {
    begin();
    if (is_up) work();
}

void notified(microkit_channel channel) {
    static bool has_failed;
    if (!is_up && channel == CH_ENTROPY && !has_failed) {
        begin();
        has_failed = !is_up;
    }
    if (channel == CH_DEVICE && is_up) card_interrupt();
    if (channel == CH_DEVICE) microkit_irq_ack(channel);
    if (is_up) work();
}
