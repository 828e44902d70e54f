/* The part of wasm2c's runtime that the engine uses. */
#include "instance.h"

#include <stdarg.h>

/* The engine has one table; its size is in the WebAssembly module. */
#define MOST_ELEMENTS 2048
#define MOST_TYPES 256
#define MOST_IN_A_TYPE 16

static wasm_rt_funcref_t elements[MOST_ELEMENTS];

/* A function's type: its parameters' count, then the types of its parameters and results. */
struct type {
    uint32_t parameters;
    uint32_t count;
    uint8_t types[MOST_IN_A_TYPE];
};

static struct type types[MOST_TYPES];
static uint32_t type_count;

static const char *const traps[] = {
    [WASM_RT_TRAP_NONE] = "engine: trap",
    [WASM_RT_TRAP_OOB] = "engine: trap: an access out of bounds",
    [WASM_RT_TRAP_INT_OVERFLOW] = "engine: trap: integer overflow",
    [WASM_RT_TRAP_DIV_BY_ZERO] = "engine: trap: a division by zero",
    [WASM_RT_TRAP_INVALID_CONVERSION] = "engine: trap: an invalid conversion to an integer",
    [WASM_RT_TRAP_UNREACHABLE] = "engine: trap: unreachable code",
    [WASM_RT_TRAP_CALL_INDIRECT] = "engine: trap: an indirect call of a function of another type",
    [WASM_RT_TRAP_UNCAUGHT_EXCEPTION] = "engine: trap: an uncaught exception",
    [WASM_RT_TRAP_EXHAUSTION] = "engine: trap: the stack is exhausted",
};

bool wasm_rt_is_initialized(void) {
    return true;
}

_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap) {
    engine_stopped((size_t)trap < sizeof traps / sizeof traps[0] ? traps[trap] : traps[0]);
}

/* Returns a type's number, from 1 on. The same type always has the same number. */
uint32_t wasm_rt_register_func_type(uint32_t parameters, uint32_t results, ...) {
    struct type type = {parameters, parameters + results, {0}};
    if (type.count > MOST_IN_A_TYPE)
        engine_stopped("engine: a function type with too many parameters and results");
    va_list list;
    va_start(list, results);
    for (uint32_t i = 0; i < type.count; i++) type.types[i] = (uint8_t)va_arg(list, int);
    va_end(list);
    for (uint32_t i = 0; i < type_count; i++)
        if (memcmp(&types[i], &type, sizeof type) == 0) return i + 1;
    if (type_count == MOST_TYPES) engine_stopped("engine: too many function types");
    types[type_count++] = type;
    return type_count;
}

void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *table, uint32_t count, uint32_t most) {
    if (count > MOST_ELEMENTS) engine_stopped("engine: a table that is too large");
    memset(elements, 0, sizeof elements);
    *table = (wasm_rt_funcref_table_t){elements, most, count};
}

void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *table) {
    table->size = 0;
}
