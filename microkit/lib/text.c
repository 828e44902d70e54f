#include "text.h"

void text_add(struct text *text, const char *add) {
    for (; *add != 0 && text->length < sizeof text->bytes - 1; add++) text->bytes[text->length++] = *add;
    text->bytes[text->length] = 0;
}

static void add_in_base(struct text *text, uint64_t number, uint64_t base) {
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = 0;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    text_add(text, digits + at);
}

void text_number(struct text *text, uint64_t number) {
    add_in_base(text, number, 10);
}

void text_hex(struct text *text, uint64_t number) {
    text_add(text, "0x");
    add_in_base(text, number, 16);
}
