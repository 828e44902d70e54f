/*
 * The network card: virtio-net (virtio 1.2, section 5.1), one queue each way, no offloads. A frame that came
 * is in memory that the device may still write: it is copied before it is looked at.
 */
#ifndef NET_CARD_H
#define NET_CARD_H

#include <stdbool.h>
#include <stdint.h>

/* The longest frame, without its checksum; and the shortest header. */
#define CARD_FRAME 1514u
#define CARD_HEADER 14u
#define CARD_PAGES 130u

/* `pages`: CARD_PAGES pages of zeros that the device may reach, physically at `physical`. NULL, or what is
 * wrong. */
const char *card_begin(uintptr_t registers, uintptr_t pages, uint64_t physical, uint8_t address[6]);
/* On an interrupt. */
void card_interrupt(void);
/* Whether the device broke the rules of virtio: it is left alone. */
bool card_is_broken(void);
/* Whether a cable is plugged in, as far as the device tells. */
bool card_has_link(void);

/* The next frame that came, or NULL; valid until it is given back. */
const uint8_t *card_receive(uint32_t *length);
void card_give_back(void);

/* Room for a frame of at most CARD_FRAME bytes, or NULL: all is under way. */
uint8_t *card_room(void);
/* Sends what was put there. */
void card_send(uint32_t length);
/* Tells the device of all that was given back and sent. */
void card_kick(void);

#endif
