/* Lines for the console. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
    size_t length;
    char bytes[200]; /* ends with a NUL */
};

/* Each appends as much as fits. */
void text_add(struct text *text, const char *add);
void text_number(struct text *text, uint64_t number);
void text_hex(struct text *text, uint64_t number);

#endif
