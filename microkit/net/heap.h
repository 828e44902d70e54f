/*
 * Memory for lwIP: blocks of a few sizes, as many of each as all connections together can need. A request
 * takes a block of the smallest size that it fits, or none. Nothing is searched for, nothing is split.
 */
#ifndef NET_HEAP_H
#define NET_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* `at`: memory for all blocks; stops if `size` bytes are not enough. */
void heap_begin(uintptr_t at, size_t size);
/* NULL: there is none left. */
void *heap_take(size_t size);
void *heap_take_zeros(size_t count, size_t size);
void heap_give(void *block);

#endif
