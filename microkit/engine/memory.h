/* The engine's memory. All addresses in it are checked. */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H

#include "types.h"

/*
 * Reserves room in the engine's memory. Write the bytes at *at before the next call of the engine. One of
 * engine_bytes_in(), engine_text_in() and engine_give_back() ends the reservation. Returns 0 if the memory is
 * full.
 */
engine_room engine_reserve(struct engine *engine, size_t length, uint8_t **at);
void engine_give_back(struct engine *engine, engine_room room);

/* The rest is for the engine's own files. */

/* Returns the bytes at `address`. Stops if they are not all in the memory. */
uint8_t *engine_at(struct engine *engine, uint32_t address, uint32_t length);
/* Returns the text at `address`. Stops if it has no NUL in the memory. */
const char *engine_text_at(struct engine *engine, uint32_t address, size_t *length);
/* Returns room with a copy of these bytes and a NUL after them, or 0 if the memory is full. */
engine_room engine_copy_in(struct engine *engine, const void *bytes, size_t length);

#endif
