#include "engine.h"
#include "instance.h"

/* Limits the call depth of scripts, to bound both the stack in the engine's memory and the domain's own
 * stack. */
#define SCRIPT_STACK (256u * 1024)
/* Flags of JS_Eval(): a script, in the global scope. */
#define EVAL_SCRIPT 0
/* Jobs between two checks of the time limit. */
#define JOBS 64

static struct engine the_engine;

struct engine *engine_start(const struct engine_config *config) {
    struct engine *engine = &the_engine;
    size_t bytes = config->memory_bytes;
    if (bytes < ENGINE_LEAST_MEMORY || bytes % ENGINE_PAGE != 0 || bytes > (1u << 31)) return NULL;
    memset(engine, 0, sizeof *engine);
    engine->config = *config;
    memset(config->memory, 0, ENGINE_LEAST_MEMORY);
    engine->memory = (wasm_rt_memory_t){config->memory, ENGINE_LEAST_MEMORY / ENGINE_PAGE,
                                        (uint32_t)(bytes / ENGINE_PAGE), ENGINE_LEAST_MEMORY};
    Z_quickjs_init_module();
    Z_quickjs_instantiate(&engine->code, engine);
    engine_constructors(&engine->code);
    engine->runtime = QTS_NewRuntime(&engine->code);
    engine->context = engine->runtime == 0 ? 0 : QTS_NewContext(&engine->code, engine->runtime, 0);
    engine->last = engine_malloc(&engine->code, sizeof(uint32_t));
    if (engine->context == 0 || engine->last == 0) engine_stopped("engine: not enough memory to start");
    QTS_RuntimeSetMaxStackSize(&engine->code, engine->runtime, SCRIPT_STACK);
    QTS_RuntimeEnableInterruptHandler(&engine->code, engine->runtime);
    return engine;
}

void *engine_context(const struct engine *engine) {
    return engine->config.context;
}
size_t engine_memory(const struct engine *engine) {
    return engine->memory.size;
}
const char *engine_error(const struct engine *engine) {
    return engine->error;
}

void engine_free(struct engine *engine, engine_value value) {
    if (value != 0) QTS_FreeValuePointer(&engine->code, engine->context, value);
}

/* Appends to the error's text as much as fits. */
static void add_to_error(struct engine *engine, const char *text, size_t length) {
    size_t used = strlen(engine->error);
    size_t left = sizeof engine->error - 1 - used;
    if (length > left) length = left;
    memcpy(engine->error + used, text, length);
    engine->error[used + length] = '\0';
}

static bool set_error(struct engine *engine, const char *why) {
    engine->error[0] = '\0';
    add_to_error(engine, why, strlen(why));
    return false;
}

static void add_text_of(struct engine *engine, engine_value value) {
    uint32_t address = QTS_GetString(&engine->code, engine->context, value);
    if (address == 0) return;
    size_t length;
    const char *text = engine_text_at(engine, address, &length);
    add_to_error(engine, text, length);
    QTS_FreeCString(&engine->code, engine->context, address);
}

/* Sets the error's text from an exception, and frees the exception. */
static bool set_error_from(struct engine *engine, engine_value error) {
    engine->error[0] = '\0';
    add_text_of(engine, error);
    if (engine->error[0] == '\0') (void)set_error(engine, "an exception without a message");
    engine_value stack = engine_get(engine, error, "stack");
    if (stack != 0) {
        add_to_error(engine, "\n", 1);
        add_text_of(engine, stack);
        engine_free(engine, stack);
    }
    engine_free(engine, error);
    return false;
}

/* Frees a result. Returns false if it is an exception, the memory is full, or the script was interrupted. */
static bool free_result(struct engine *engine, engine_value result) {
    if (result == 0) return set_error(engine, "the memory is full");
    engine_value error = QTS_ResolveException(&engine->code, engine->context, result);
    engine_free(engine, result);
    if (error != 0) return set_error_from(engine, error);
    return !engine->interrupted || set_error(engine, "it took too long");
}

bool engine_evaluate(struct engine *engine, const char *source, size_t length, const char *name) {
    engine_value result = 0;
    engine->interrupted = false;
    engine_room source_at = engine_copy_in(engine, source, length);
    engine_room name_at = engine_copy_in(engine, name, strlen(name));
    if (source_at != 0 && name_at != 0) {
        result =
            QTS_Eval(&engine->code, engine->context, source_at, (uint32_t)length, name_at, 0, EVAL_SCRIPT);
    }
    engine_give_back(engine, name_at);
    engine_give_back(engine, source_at);
    return free_result(engine, result);
}

/* Writes handles as a list into the engine's memory. Returns 0 if a handle is 0, or there is no room. */
static engine_room copy_list(struct engine *engine, uint32_t count, const engine_value *values) {
    uint8_t *at;
    size_t bytes = count * sizeof *values;
    for (uint32_t i = 0; i < count; i++)
        if (values[i] == 0) return 0;
    engine_room list = engine_reserve(engine, bytes, &at);
    if (list != 0 && count > 0) memcpy(at, values, bytes);
    return list;
}

bool engine_call(struct engine *engine, engine_value self, engine_value function, uint32_t count,
                 const engine_value *arguments) {
    engine_value result = 0;
    engine->interrupted = false;
    engine_room list = copy_list(engine, count, arguments);
    if (list != 0) result = QTS_Call(&engine->code, engine->context, function, self, count, list);
    engine_give_back(engine, list);
    for (uint32_t i = 0; i < count; i++) engine_free(engine, arguments[i]);
    return free_result(engine, result);
}

bool engine_run_jobs(struct engine *engine) {
    engine->interrupted = false;
    while (QTS_IsJobPending(&engine->code, engine->runtime)) {
        /* The number of jobs that ran, or the exception of one. */
        engine_value done = QTS_ExecutePendingJob(&engine->code, engine->runtime, JOBS, engine->last);
        if (done == 0) return set_error(engine, "the memory is full");
        double count = QTS_GetFloat64(&engine->code, engine->context, done);
        if (count != count) return set_error_from(engine, done);
        engine_free(engine, done);
        if (engine->interrupted || import_should_interrupt(engine, engine->runtime))
            return set_error(engine, "it took too long");
    }
    return true;
}
