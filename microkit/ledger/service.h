/* The bundle in its engine: calls of globalThis.serviceFs (envelopes/sel4/bundle/src/host.ts). */
#ifndef SERVICE_H
#define SERVICE_H

#include <stddef.h>
#include <stdint.h>

/* The time limit of one call, with the promises that it settles. The largest JSON body takes the longest. */
#ifndef SERVICE_CALL_MS
#define SERVICE_CALL_MS 120000
#endif

/* The machine defines this function for when the bundle or the engine cannot continue. Never returns. */
_Noreturn void service_failed(const char *why);

/* Evaluates a script in an engine with this memory (engine.h). A NUL must follow its `length` bytes. */
void service_load(uint8_t *memory, size_t memory_bytes, const char *script, size_t length);
/* Returns the bytes of memory in use. */
size_t service_memory(void);

/* Each calls the function of its name, then runs the jobs of promises. */
void service_start(const char *config);
void service_psdb(const uint8_t message[64]);
void service_opened(uint32_t connection);
/* Copies `bytes` once. */
void service_data(uint32_t connection, const uint8_t *bytes, size_t length);
void service_closed(uint32_t connection);
void service_writable(uint32_t connection);
void service_tick(void);
/* `lines`: ends in a NUL; NULL if signing failed for the reason `error`. */
void service_signed(uint32_t id, const char *lines, const char *error);
void service_stop(void);

#endif
