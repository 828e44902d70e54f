/* The part of <stdlib.h> that lwIP uses, to find an interface by name. No code here does that. */
#ifndef NET_STDLIB_H
#define NET_STDLIB_H

static inline int atoi(const char *text) {
    int number = 0;
    while (*text >= '0' && *text <= '9') number = 10 * number + (*text++ - '0');
    return number;
}

#endif
