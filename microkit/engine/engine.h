/*
 * QuickJS, as the npm package @jitl/quickjs-wasmfile-release-sync has it in WebAssembly, translated to C by
 * wasm2c. Whatever a script does, the engine's own code reads and writes nothing but the memory that it was
 * given; what it hands out is checked to be in it.
 *
 * Values are handles: numbers that name a value of the engine, 0 being none. Who gets one from a function
 * here frees it, unless the function says otherwise. One engine is used by one thread.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The engine starts with this much memory, and grows by pages. */
#define ENGINE_LEAST_MEMORY (16u << 20)
#define ENGINE_PAGE 65536u
/* An error's text, the stack with it. */
#define ENGINE_ERROR_BYTES 2048

struct engine;
struct engine_call;
typedef uint32_t engine_value;
typedef uint32_t engine_room;

struct engine_bytes {
    engine_room room;
    uint8_t *at;
    size_t length;
};

/*
 * A function that scripts can call. It gives the result, which it hands over: a handle, 0 for undefined, or
 * what engine_throw() gives.
 */
typedef engine_value engine_function(struct engine *engine, const struct engine_call *call);

struct engine_method {
    const char *name;
    engine_function *function;
};

struct engine_config {
    /* What the engine's memory is, of a whole number of pages; its limit is how large it is. */
    uint8_t *memory;
    size_t memory_bytes;
    void *context; /* for the functions below, and engine_context() */
    /* Milliseconds since the Unix epoch. */
    double (*now)(void *context);
    /* Asked now and then while a script runs: true ends it, with an exception that it cannot catch. */
    bool (*interrupt)(void *context);
    /* What the engine itself prints; not a whole line, perhaps. */
    void (*print)(void *context, const char *text, size_t length);
};

/*
 * What the embedder has: the engine cannot go on (a trap, a broken invariant); its memory is worth nothing
 * any more. It does not return, but may leave by longjmp() and start an engine anew.
 */
_Noreturn void engine_stopped(const char *why);

/* Begins with an empty memory: nothing of an engine that was there before is left. NULL: the memory is too
 * small, or not of whole pages. */
struct engine *engine_start(const struct engine_config *config);
void *engine_context(const struct engine *engine);
/* Bytes of the memory in use at the moment: it never shrinks. */
size_t engine_memory(const struct engine *engine);

/* False: the script, or one of those below, ended in an exception; engine_error() tells. A NUL has to stand
 * behind `source`. */
bool engine_evaluate(struct engine *engine, const char *source, size_t length, const char *name);
/* Calls and frees all arguments, which may be none; `self` is this. What the function gives is passed over.
 */
bool engine_call(struct engine *engine, engine_value self, engine_value function, uint32_t count,
                 const engine_value *arguments);
/* Runs what promises have waiting, until nothing is. */
bool engine_run_jobs(struct engine *engine);
/* Why the last of these gave false: UTF-8, lines, ending in the stack. */
const char *engine_error(const struct engine *engine);

engine_value engine_global(struct engine *engine);
engine_value engine_get(struct engine *engine, engine_value object, const char *name);
void engine_free(struct engine *engine, engine_value value);

/* These give 0 when the memory is full. */
engine_value engine_number(struct engine *engine, double number);
/* UTF-8, ending in a NUL. */
engine_value engine_text(struct engine *engine, const char *text);
/* An ArrayBuffer with a copy of these. */
engine_value engine_bytes(struct engine *engine, const uint8_t *bytes, size_t length);
engine_value engine_boolean(struct engine *engine, bool value);
engine_value engine_undefined(struct engine *engine);
/*
 * Room in the engine's memory, for bytes to be written at *at before anything else is asked of the engine; it
 * goes with one of the two below, or with engine_give_back().
 */
engine_room engine_reserve(struct engine *engine, size_t length, uint8_t **at);
/* An ArrayBuffer that has the room's first `length` bytes, without a copy. */
engine_value engine_bytes_in(struct engine *engine, engine_room room, size_t length);
/* The text that the room begins with: UTF-8, ending in a NUL. */
engine_value engine_text_in(struct engine *engine, engine_room room);
void engine_give_back(struct engine *engine, engine_room room);

/* Sets the property `name` of the global object to an object of these functions. Their table must stay;
 * `name`d NULL ends it. */
bool engine_offer(struct engine *engine, const char *name, const struct engine_method *methods);

/* For functions that scripts call. `index` is the argument's; one that is not there is undefined. */
uint32_t engine_count(const struct engine_call *call);
engine_value engine_throw(struct engine *engine, const char *message);
/* NaN: it is no number. Taking a number or a text may run scripts (valueOf, toString). */
double engine_take_number(struct engine *engine, const struct engine_call *call, uint32_t index);
/* NULL: it is no text. Up to the first NUL; to be released. */
const char *engine_take_text(struct engine *engine, const struct engine_call *call, uint32_t index,
                             size_t *length);
void engine_release_text(struct engine *engine, const char *text);
/* False: it is no ArrayBuffer, or there is no room. The bytes are a copy, in room that is to be given back.
 */
bool engine_take_bytes(struct engine *engine, const struct engine_call *call, uint32_t index,
                       struct engine_bytes *bytes);

#endif
