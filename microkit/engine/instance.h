/* What there is of an engine; for the engine's own files. */
#ifndef ENGINE_INSTANCE_H
#define ENGINE_INSTANCE_H

#include "engine.h"
#include "quickjs-map.h"

struct engine {
    Z_quickjs_instance_t code;
    wasm_rt_memory_t memory;
    struct engine_config config;
    uint32_t runtime; /* JSRuntime */
    uint32_t context; /* JSContext */
    uint32_t last;    /* where the engine leaves a JSContext that nobody asks for */
    bool interrupted;
    /* The functions that scripts can call, in the order of their numbers. */
    const struct engine_method *methods;
    uint32_t method_count;
    char error[ENGINE_ERROR_BYTES];
};

/* A call of a function by a script: addresses in the memory. */
struct engine_call {
    uint32_t count;
    uint32_t arguments; /* JSValue[count] */
};

/* The bytes at `address`; stops when they are not all in the memory. */
uint8_t *engine_at(struct engine *engine, uint32_t address, uint32_t length);
/* The text at `address`; stops when it does not end in the memory. */
const char *engine_text_at(struct engine *engine, uint32_t address, size_t *length);
/* Room with a copy of these bytes in it and a NUL behind them; 0: there is none. */
engine_room engine_copy_in(struct engine *engine, const void *bytes, size_t length);

#endif
