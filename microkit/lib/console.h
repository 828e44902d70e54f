/*
 * Lines of text for the serial port, which the supervisor alone prints. Each domain has one page: it writes
 * text, the supervisor maps it read-only. Nothing waits: what is overwritten before the supervisor has seen
 * it is lost, and it says so.
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

/* Prints one line, given without its end. */
void console(const char *line);

#endif
