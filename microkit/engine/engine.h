/*
 * QuickJS, from the WebAssembly of the npm package @jitl/quickjs-wasmfile-release-sync, translated to C by
 * wasm2c. For every script, the engine's own code reads and writes only the memory that it was given. Every
 * address that it passes out is checked to be within that memory.
 *
 * A value is a handle: a number that names a value of the engine, or 0 for none. The caller frees each value
 * that a function here returns, unless the function says otherwise. One thread uses an engine.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "memory.h"
#include "types.h"

/* Starts an engine in cleared memory, and discards any earlier engine. Returns NULL if the memory is too
 * small, or not a multiple of a page. */
struct engine *engine_start(const struct engine_config *config);
void *engine_context(const struct engine *engine);
/* Returns the bytes of memory in use. They never shrink. */
size_t engine_memory(const struct engine *engine);

/* Runs a script; a NUL must follow `source`. This and the next two functions return false after an exception,
 * which engine_error() describes. */
bool engine_evaluate(struct engine *engine, const char *source, size_t length, const char *name);
/* Calls a function with `self` as this, and frees all arguments. Ignores the function's result. */
bool engine_call(struct engine *engine, engine_value self, engine_value function, uint32_t count,
                 const engine_value *arguments);
/* Runs the jobs of promises until none is pending. */
bool engine_run_jobs(struct engine *engine);
/* Returns why the last of these three functions returned false: lines of UTF-8, with the stack at the end. */
const char *engine_error(const struct engine *engine);

engine_value engine_global(struct engine *engine);
engine_value engine_get(struct engine *engine, engine_value object, const char *name);
void engine_free(struct engine *engine, engine_value value);

/* These return 0 if the memory is full. */
engine_value engine_number(struct engine *engine, double number);
/* `text`: UTF-8 that ends in a NUL. */
engine_value engine_text(struct engine *engine, const char *text);
/* Returns an ArrayBuffer with a copy of the bytes. */
engine_value engine_bytes(struct engine *engine, const uint8_t *bytes, size_t length);
engine_value engine_boolean(struct engine *engine, bool value);
engine_value engine_undefined(struct engine *engine);
/* Returns an ArrayBuffer of the room's first `length` bytes, without a copy. */
engine_value engine_bytes_in(struct engine *engine, engine_room room, size_t length);
/* Returns the text at the room's beginning: UTF-8 that ends in a NUL. */
engine_value engine_text_in(struct engine *engine, engine_room room);

/* Sets the property `name` of the global object to an object with these functions. Their table must outlive
 * the engine; a method with the name NULL ends it. */
bool engine_offer(struct engine *engine, const char *name, const struct engine_method *methods);

/* For functions that scripts call. `index` is the number of the argument; a missing argument is undefined. */
uint32_t engine_count(const struct engine_call *call);
engine_value engine_throw(struct engine *engine, const char *message);
/* Returns NaN if the argument is no number. Taking a number or a text may run scripts (valueOf, toString). */
double engine_take_number(struct engine *engine, const struct engine_call *call, uint32_t index);
/* Returns the text up to its first NUL, to be released, or NULL if the argument is no text. */
const char *engine_take_text(struct engine *engine, const struct engine_call *call, uint32_t index,
                             size_t *length);
void engine_release_text(struct engine *engine, const char *text);
/* Copies an ArrayBuffer's bytes to room that the caller gives back. Returns false if the argument is no
 * ArrayBuffer, or the memory is full. */
bool engine_take_bytes(struct engine *engine, const struct engine_call *call, uint32_t index,
                       struct engine_bytes *bytes);

#endif
