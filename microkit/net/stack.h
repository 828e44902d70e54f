/* lwIP and its one network interface. */
#ifndef NET_STACK_H
#define NET_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* Returns NULL, or why there is no network. */
const char *stack_begin(uintptr_t queue_physical);
/* Takes some received frames. Returns false if there were none. */
bool stack_receive(void);
/* Runs lwIP's timers that are due. */
void stack_timers(void);
/* Returns the milliseconds until the next timer is due. */
uint32_t stack_due(void);

#endif
