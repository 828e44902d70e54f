#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char noted[400];

void note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(noted, sizeof noted, format, arguments);
    va_end(arguments);
}

void check_failed(const char *file, int line, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    if (noted[0] != '\0') fprintf(stderr, "  %s\n", noted);
    fflush(NULL);
    abort();
}

void check_same(const char *file, int line, const char *what, unsigned long long actual,
                unsigned long long expected) {
    if (actual != expected) check_failed(file, line, "%s is %llu, expected %llu", what, actual, expected);
}

void check_bytes(const char *file, int line, const char *what, const uint8_t *actual, const uint8_t *expected,
                 uint64_t length) {
    for (uint64_t i = 0; i < length; i++) {
        if (actual[i] != expected[i]) {
            check_failed(file, line, "%s: byte %llu of %llu is 0x%02x, expected 0x%02x", what,
                         (unsigned long long)i, (unsigned long long)length, actual[i], expected[i]);
        }
    }
}

void check_has(const char *file, int line, const char *text, const char *part) {
    if (strstr(text, part) == NULL) check_failed(file, line, "no '%s' in: %s", part, text);
}

uint64_t setting(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 0);
}
