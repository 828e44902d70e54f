/* The types of the engine's interface: engine.h. */
#ifndef ENGINE_TYPES_H
#define ENGINE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The engine starts with this much memory, and grows by pages. */
#define ENGINE_LEAST_MEMORY (16u << 20)
#define ENGINE_PAGE 65536u
/* The longest text of an error, with its stack. */
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
 * A function that scripts can call. It returns a handle (the engine then owns it), 0 for undefined, or the
 * result of engine_throw().
 */
typedef engine_value engine_function(struct engine *engine, const struct engine_call *call);

struct engine_method {
    const char *name;
    engine_function *function;
};

struct engine_config {
    /* The engine's memory: whole pages. Its size limits how far the engine grows. */
    uint8_t *memory;
    size_t memory_bytes;
    void *context; /* for the functions below, and engine_context() */
    /* Returns the milliseconds since the Unix epoch. */
    double (*now)(void *context);
    /* Called while a script runs: true ends the script, with an exception that it cannot catch. */
    bool (*interrupt)(void *context);
    /* Prints the engine's own output, which may be part of a line. */
    void (*print)(void *context, const char *text, size_t length);
};

/*
 * The embedder defines this function. The engine calls it when the engine cannot continue (a trap, a broken
 * invariant), and its memory is then useless. The function does not return, but may leave by longjmp() and
 * start a new engine.
 */
_Noreturn void engine_stopped(const char *why);

#endif
