#include "serial.h"

#include "lib/console.h"
#include "lib/domain.h"
#include "lib/text.h"

/* Limits how much a domain prints: the supervisor has a higher priority than all other domains. */
#define BYTES_A_SECOND 8192u
#define BYTES_AT_ONCE 16384u
#define LINE 400u

static const uintptr_t pages[] = AT_CONSOLES;
static const char *const names[] = CONSOLE_NAMES;

#define CONSOLES (sizeof pages / sizeof *pages)

static struct {
    uint32_t taken;
    uint32_t length; /* of the line so far */
    uint32_t lost;   /* bytes not printed */
    uint64_t filled; /* the counter when `budget` was computed */
    uint64_t budget; /* bytes it may print */
    char line[LINE];
} consoles[CONSOLES];

#ifdef CONFIG_PRINTING
static void put_byte(char byte) {
    microkit_dbg_putc(byte);
}
#else
/* PL011, as indexes of 32-bit words. */
enum { DATA = 0, FLAGS = 6, TRANSMIT_FULL = 0x20 };

static void put_byte(char byte) {
    volatile uint32_t *uart = (volatile uint32_t *)AT_UART;
    while ((uart[FLAGS] & TRANSMIT_FULL) != 0) {
    }
    uart[DATA] = (uint8_t)byte;
}
#endif

static void put_text(const char *text) {
    while (*text != 0) put_byte(*text++);
}

void serial_line(const char *who, const char *line) {
    put_text("[");
    put_text(who);
    put_text("] ");
    put_text(line);
    put_text("\r\n");
}

static void end_line(unsigned index) {
    consoles[index].line[consoles[index].length] = 0;
    consoles[index].length = 0;
    serial_line(names[index], consoles[index].line);
}

/* Replaces all but printable ASCII, so a domain cannot imitate another's lines, or control a terminal. */
static void add_byte(unsigned index, uint8_t byte) {
    if (byte == '\n') {
        end_line(index);
        return;
    }
    consoles[index].line[consoles[index].length++] = (char)(byte >= 0x20 && byte < 0x7f ? byte : '?');
    if (consoles[index].length == LINE - 1) end_line(index);
}

static void refill_budget(unsigned index) {
    const uint64_t now = ticks();
    const uint64_t more = (now - consoles[index].filled) * BYTES_A_SECOND / ticks_per_second();
    if (consoles[index].filled != 0 && more == 0) return;
    const uint64_t whole = consoles[index].filled == 0 ? BYTES_AT_ONCE : consoles[index].budget + more;
    consoles[index].budget = whole < BYTES_AT_ONCE ? whole : BYTES_AT_ONCE;
    consoles[index].filled = now;
}

static void print_lost(unsigned index) {
    struct text text = {0};
    text_number(&text, consoles[index].lost);
    text_add(&text, " bytes were not printed");
    serial_line(names[index], text.bytes);
    consoles[index].lost = 0;
}

void serial_drain(unsigned index) {
    const struct console_page *page = (const struct console_page *)pages[index];
    const uint32_t written = __atomic_load_n(&page->written, __ATOMIC_ACQUIRE);
    uint32_t there = written - consoles[index].taken;
    refill_budget(index);
    if (there > CONSOLE_TEXT) {
        consoles[index].lost += there - CONSOLE_TEXT;
        there = CONSOLE_TEXT;
    }
    if (there > consoles[index].budget) {
        consoles[index].lost += there;
        there = 0;
    }
    consoles[index].budget -= there;
    if (there > 0 && consoles[index].lost > 0) print_lost(index);
    for (uint32_t at = written - there; at != written; at++) add_byte(index, page->text[at % CONSOLE_TEXT]);
    consoles[index].taken = written;
}
