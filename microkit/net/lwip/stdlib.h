/* What of <stdlib.h> lwIP uses: for finding an interface by name, which nothing does here. */
#ifndef NET_STDLIB_H
#define NET_STDLIB_H

static inline int atoi(const char *text) {
    int number = 0;
    while (*text >= '0' && *text <= '9') number = 10 * number + (*text++ - '0');
    return number;
}

#endif
