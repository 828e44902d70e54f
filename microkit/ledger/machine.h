/*
 * The machine under the bundle, as border.c needs it: what a protection domain has, or a test in its place.
 * Nothing of it calls the engine's scripts.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds since the Unix epoch. */
double machine_now(void);
/* Milliseconds of a clock that never steps. */
double machine_monotonic(void);
void machine_random(uint8_t *bytes, size_t length);
/* A text for the console, of one line or several. */
void machine_log(const char *text);

/* The data region that is shared with PSDB. */
extern uint8_t *machine_region;
extern uint32_t machine_region_bytes;
/* Sends a message to PSDB. False: as many as there may be have no answer yet. */
bool machine_psdb(const uint8_t message[64]);
/* Asks for a signature; the answer comes later. False: it cannot be asked for, the text being too long or too
 * many waiting. */
bool machine_sign(uint32_t ledger, uint32_t id, const char *text, size_t length);

enum machine_sent {
    MACHINE_SENT,    /* little is waiting to go out */
    MACHINE_WAITING, /* much is: serviceFs.writable() tells when it has gone */
    MACHINE_FULL,    /* it was not taken: too many pieces are waiting */
};
/* Queues bytes for the peer; their room is the machine's from then on, to be given back. */
enum machine_sent machine_send(struct engine *engine, uint32_t connection, const struct engine_bytes *bytes);
void machine_close(uint32_t connection);
/* Whether bytes of the peer may come. */
void machine_listen(uint32_t connection, bool may);

/* When serviceFs.tick() is to be called, on the monotonic clock; below 0: never. */
void machine_timer(double at);
void machine_started(void);
/* NULL: it was asked to stop. */
void machine_stopped(const char *error);

#endif
