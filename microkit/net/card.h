/*
 * The network card: virtio-net (virtio 1.2, section 5.1), one queue each way, no offloads. The device may
 * still write to the memory of a received frame, so the stack copies a frame before reading it.
 */
#ifndef NET_CARD_H
#define NET_CARD_H

#include <stdbool.h>
#include <stdint.h>

/* The longest frame, without its checksum, and the length of its header. */
#define CARD_FRAME 1514u
#define CARD_HEADER 14u
#define CARD_PAGES 130u

/* Begins the card. `pages`: CARD_PAGES zeroed pages with the physical address `physical`. Returns NULL, or
 * why the card cannot be used. */
const char *card_begin(uintptr_t registers, uintptr_t pages, uint64_t physical, uint8_t address[6]);
/* Handles an interrupt. */
void card_interrupt(void);
/* Reports whether the device broke the rules of virtio. The card is then not used any more. */
bool card_is_broken(void);
/* Reports whether a cable is plugged in; true if the device does not say. */
bool card_has_link(void);

/* Returns the next received frame, valid until it is given back, or NULL. */
const uint8_t *card_receive(uint32_t *length);
void card_give_back(void);

/* Returns room for a frame of at most CARD_FRAME bytes, or NULL if all buffers are under way. */
uint8_t *card_room(void);
/* Sends the frame in that room. */
void card_send(uint32_t length);
/* Notifies the device of the frames sent and given back. */
void card_kick(void);

#endif
