/*
 * Lines of text for the serial port, which only the supervisor prints. Each domain writes its text to a page
 * that the supervisor maps read-only. A domain never waits: it may overwrite text before the supervisor has
 * read it, and the supervisor then prints how many bytes are lost.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

#define CONSOLE_TEXT 2048u

struct console_page {
    uint32_t written; /* bytes ever written; wraps */
    uint8_t unused[2044];
    uint8_t text[CONSOLE_TEXT]; /* byte n is at n modulo the size; a line ends with \n */
};

_Static_assert(sizeof(struct console_page) == 4096, "one page");

/* Prints one line. `line` has no line feed. */
void console(const char *line);

#endif
