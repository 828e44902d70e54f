/* The bundle in its engine: what comes from outside, as calls of globalThis.serviceFs
 * (envelopes/sel4/bundle/src/host.ts). */
#ifndef SERVICE_H
#define SERVICE_H

#include <stddef.h>
#include <stdint.h>

/* How long one call may take, the promises that it settles included: the largest JSON body takes longest. */
#ifndef SERVICE_CALL_MS
#define SERVICE_CALL_MS 120000
#endif

/*
 * What the machine has besides machine.h: the bundle, or the engine, cannot go on; nothing of it is worth
 * anything. It does not return.
 */
_Noreturn void service_failed(const char *why);

/* Evaluates a script, behind whose `length` bytes is a NUL, in an engine with this memory (see engine.h). */
void service_load(uint8_t *memory, size_t memory_bytes, const char *script, size_t length);
/* Bytes of the memory that are in use. */
size_t service_memory(void);

/* Each calls the function of its name, and runs what promises have waiting. */
void service_start(const char *config);
void service_psdb(const uint8_t message[64]);
void service_opened(uint32_t connection);
/* `bytes` are copied, once. */
void service_data(uint32_t connection, const uint8_t *bytes, size_t length);
void service_closed(uint32_t connection);
void service_writable(uint32_t connection);
void service_tick(void);
/* `lines`: ends in a NUL; NULL: there are none, for the reason `error`. */
void service_signed(uint32_t id, const char *lines, const char *error);
void service_stop(void);

#endif
