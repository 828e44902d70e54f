/* Lines for the console. */
#ifndef PSDB_TEXT_H
#define PSDB_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct psdb_text {
    size_t length;
    char bytes[400];
};

/* Both append as much as fits. Bytes that are not printable ASCII become `?`. */
void psdb_text_add(struct psdb_text *text, const char *add);
void psdb_text_number(struct psdb_text *text, uint64_t number);

#endif
