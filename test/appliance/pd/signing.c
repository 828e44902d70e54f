/*
 * A test program in a ledger's place: requests signatures on growing checkpoints, from size 1 on, with
 * another root in each life; prints the first signed size, and its progress from time to time.
 */
#include "keyclient.h"
#include "lib/random.h"

#define ORIGIN "globex.example/log"

static const struct random_page *const random_page = (const struct random_page *)AT_RANDOM;
static bool has_begun;
static uint64_t size;
static uint64_t refused;

static void next(void) {
    size++;
    ask(&(struct keys_message){
        .op = KEYS_SIGN,
        .length = checkpoint((char *)AT_KEYS_DATA, ORIGIN, size, random_page->bytes[0]),
    });
}

/* Only a checkpoint marked as durable binds the next life; another checkpoint may replace an unmarked one. */
static void say(void) {
    struct text text = {0};
    if (size != refused + 1 && size % 8 != 0) return;
    put(&text, size == refused + 1 ? "first " : "signed ", size);
    console(text.bytes);
}

static void take(const struct keys_message *answer) {
    struct text text = {0};
    if (answer->status == KEYS_OK && answer->op == KEYS_KEPT) {
        say();
        next();
    } else if (answer->status == KEYS_OK) {
        ask(&(struct keys_message){.op = KEYS_KEPT});
    } else if (answer->status == KEYS_REFUSED && refused == size - 1) {
        refused++;
        next();
    } else {
        put(&text, "wrong answer at size ", size);
        console(text.bytes);
    }
}

static void begin(void) {
    if (has_begun || random_page->count == 0) return;
    has_begun = ring_join(&keys, AT_KEYS_RING_MINE, AT_KEYS_RING_THEIRS);
    if (has_begun) next();
}

void init(void) {
    begin();
}

void notified(microkit_channel channel) {
    struct keys_message answer;
    (void)channel;
    begin();
    while (has_begun && ring_take(&keys, &answer)) take(&answer);
}
