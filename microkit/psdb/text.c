#include "text.h"

#include <stdbool.h>

void psdb_text_add(struct psdb_text *text, const char *add) {
    for (size_t i = 0; add[i] != '\0' && text->length + 1 < sizeof text->bytes; i++) {
        const bool printable = add[i] >= ' ' && add[i] <= '~';
        text->bytes[text->length++] = (char)(printable ? add[i] : '?');
    }
    text->bytes[text->length] = '\0';
}

void psdb_text_number(struct psdb_text *text, uint64_t number) {
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    psdb_text_add(text, digits + at);
}
