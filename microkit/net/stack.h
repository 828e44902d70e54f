/* lwIP, and the one network interface it has. */
#ifndef NET_STACK_H
#define NET_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* NULL, or why there is no network. */
const char *stack_begin(uintptr_t queue_physical);
/* Takes some frames that came. False: there was none. */
bool stack_receive(void);
/* Does what is due. */
void stack_timers(void);
/* Milliseconds until something is due. */
uint32_t stack_due(void);

#endif
