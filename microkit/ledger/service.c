#include "ledger/service.h"

#include "engine/engine.h"
#include "ledger/border.h"
#include "ledger/machine.h"

#include <stdbool.h>

enum method { START, PSDB, OPENED, DATA, CLOSED, WRITABLE, TICK, SIGNED, STOP, METHODS };

static const char *const names[METHODS] = {"start",    "psdb", "opened", "data", "closed",
                                           "writable", "tick", "signed", "stop"};

static struct engine *engine;
static engine_value service;
static engine_value methods[METHODS];
static double deadline;

static double engine_now(void *context) {
    (void)context;
    return machine_now();
}

static bool is_late(void *context) {
    (void)context;
    return machine_monotonic() >= deadline;
}

/* Drops the engine's own output, which is rare and does not come in lines. */
static void ignore_output(void *context, const char *text, size_t length) {
    (void)context;
    (void)text;
    (void)length;
}

_Noreturn void engine_stopped(const char *why) {
    service_failed(why);
}

static void begin_call(void) {
    deadline = machine_monotonic() + SERVICE_CALL_MS;
}

static void end_call(bool went_well) {
    if (!went_well || !engine_run_jobs(engine)) service_failed(engine_error(engine));
}

void service_load(uint8_t *memory, size_t memory_bytes, const char *script, size_t length) {
    const struct engine_config config = {.memory = memory,
                                         .memory_bytes = memory_bytes,
                                         .now = engine_now,
                                         .interrupt = is_late,
                                         .print = ignore_output};
    begin_call();
    engine = engine_start(&config);
    if (engine == NULL) service_failed("the engine's memory is too small");
    if (!engine_offer(engine, "host", border_methods)) service_failed("the engine's memory is full");
    end_call(engine_evaluate(engine, script, length, "bundle.js"));
    const engine_value global = engine_global(engine);
    service = engine_get(engine, global, "serviceFs");
    engine_free(engine, global);
    for (unsigned i = 0; i < METHODS; i++)
        methods[i] = service == 0 ? 0 : engine_get(engine, service, names[i]);
}

size_t service_memory(void) {
    return engine_memory(engine);
}

static void call_method(enum method method, uint32_t count, const engine_value *arguments) {
    begin_call();
    end_call(engine_call(engine, service, methods[method], count, arguments));
}

static void call_with_number(enum method method, uint32_t number) {
    const engine_value argument = engine_number(engine, number);
    call_method(method, 1, &argument);
}

void service_start(const char *config) {
    const engine_value argument = engine_text(engine, config);
    call_method(START, 1, &argument);
}

void service_psdb(const uint8_t message[64]) {
    const engine_value argument = engine_bytes(engine, message, 64);
    call_method(PSDB, 1, &argument);
}

void service_opened(uint32_t connection) {
    call_with_number(OPENED, connection);
}

void service_data(uint32_t connection, const uint8_t *bytes, size_t length) {
    const engine_value arguments[] = {engine_number(engine, connection), engine_bytes(engine, bytes, length)};
    call_method(DATA, 2, arguments);
}

void service_closed(uint32_t connection) {
    call_with_number(CLOSED, connection);
}

void service_writable(uint32_t connection) {
    call_with_number(WRITABLE, connection);
}

void service_tick(void) {
    call_method(TICK, 0, NULL);
}

void service_signed(uint32_t id, const char *lines, const char *error) {
    const engine_value arguments[] = {engine_number(engine, id),
                                      lines == NULL ? engine_undefined(engine) : engine_text(engine, lines),
                                      lines == NULL ? engine_text(engine, error) : engine_undefined(engine)};
    call_method(SIGNED, 3, arguments);
}

void service_stop(void) {
    call_method(STOP, 0, NULL);
}
