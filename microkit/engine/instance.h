/* The state of an engine. Only the engine's own files include this header. */
#ifndef ENGINE_INSTANCE_H
#define ENGINE_INSTANCE_H

#include "quickjs-map.h"
#include "types.h"

struct engine {
    Z_quickjs_instance_t code;
    wasm_rt_memory_t memory;
    struct engine_config config;
    uint32_t runtime; /* JSRuntime */
    uint32_t context; /* JSContext */
    uint32_t last;    /* where the engine stores a JSContext that is not used here */
    bool interrupted;
    /* The functions that scripts can call; function n is methods[n - 1]. */
    const struct engine_method *methods;
    uint32_t method_count;
    char error[ENGINE_ERROR_BYTES];
};

/* A script's call of a function: addresses in the memory. */
struct engine_call {
    uint32_t count;
    uint32_t arguments; /* JSValue[count] */
};

#endif
