/*
 * Memory for lwIP: blocks of a few sizes, as many of each as all connections together can need. A request
 * takes a free block of the smallest size that fits, or fails. The heap never searches, splits or joins
 * blocks.
 */
#ifndef NET_HEAP_H
#define NET_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* `at`: memory for all blocks; stops if `size` bytes are not enough. */
void heap_begin(uintptr_t at, size_t size);
/* Returns NULL if no block is left. */
void *heap_take(size_t size);
void *heap_take_zeros(size_t count, size_t size);
void heap_give(void *block);

#endif
