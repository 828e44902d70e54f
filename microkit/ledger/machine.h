/*
 * The machine under the bundle: the functions that border.c calls. A protection domain or a test defines
 * them. None of them runs a script.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns the milliseconds since the Unix epoch. */
double machine_now(void);
/* Returns the milliseconds of a clock that never steps. */
double machine_monotonic(void);
void machine_random(uint8_t *bytes, size_t length);
/* Prints one or more lines on the console. */
void machine_log(const char *text);

/* The data region shared with PSDB. */
extern uint8_t *machine_region;
extern uint32_t machine_region_bytes;
/* Sends a message to PSDB. Returns false if too many requests have no answer yet. */
bool machine_psdb(const uint8_t message[64]);
/* Requests a signature; the answer arrives later. Returns false if the text is too long or too many requests
 * wait. */
bool machine_sign(uint32_t ledger, uint32_t id, const char *text, size_t length);

enum machine_sent {
    MACHINE_SENT,    /* more bytes are welcome */
    MACHINE_WAITING, /* bytes wait; serviceFs.writable() follows when they are sent */
    MACHINE_FULL,    /* refused: too many pieces wait */
};
/* Queues bytes for the peer. The machine then owns their room, and gives it back. */
enum machine_sent machine_send(struct engine *engine, uint32_t connection, const struct engine_bytes *bytes);
void machine_close(uint32_t connection);
/* Resumes or pauses the bytes of the peer. */
void machine_listen(uint32_t connection, bool may);

/* Sets when to call serviceFs.tick(), on the monotonic clock; below 0: never. */
void machine_timer(double at);
void machine_started(void);
/* `error`: NULL after an orderly stop. */
void machine_stopped(const char *error);

#endif
