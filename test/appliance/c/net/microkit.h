/* Replaces Microkit's header on a host. */
#pragma once
typedef unsigned int microkit_channel;
static inline void microkit_notify(microkit_channel channel) {
    (void)channel;
}
