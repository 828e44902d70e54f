#include "console.h"
#include "domain.h"
#include "stop.h"
#include "text.h"

#include <string.h>

void console(const char *line) {
    struct console_page *page = (struct console_page *)AT_CONSOLE;
    static uint32_t written;
    static bool known;
    /* A domain that was restarted continues after the text it wrote before. */
    if (!known) written = page->written;
    known = true;
    for (; *line != 0 && *line != '\n'; line++) page->text[written++ % CONSOLE_TEXT] = (uint8_t)*line;
    page->text[written++ % CONSOLE_TEXT] = '\n';
    __atomic_store_n(&page->written, written, __ATOMIC_RELEASE);
    microkit_notify(CH_CONSOLE);
}

_Noreturn void stop(const char *file, int line, const char *what) {
    struct text text = {0};
    text_add(&text, "stopped at ");
    text_add(&text, file);
    text_add(&text, ":");
    text_number(&text, (uint64_t)line);
    text_add(&text, ": ");
    text_add(&text, what);
    console(text.bytes);
    __builtin_trap();
}
