/* Values for scripts, and the arguments of their calls. */
#include "engine.h"
#include "instance.h"

engine_value engine_global(struct engine *engine) {
    return QTS_GetGlobalObject(&engine->code, engine->context);
}

engine_value engine_get(struct engine *engine, engine_value object, const char *name) {
    engine_value key = engine_text(engine, name);
    if (key == 0) return 0;
    engine_value value = QTS_GetProp(&engine->code, engine->context, object, key);
    engine_free(engine, key);
    return value;
}

/* Sets a property, and frees `value`. Returns false if the memory is full. */
static bool set_property(struct engine *engine, engine_value object, const char *name, engine_value value) {
    engine_value key = engine_text(engine, name);
    bool can = key != 0 && value != 0;
    if (can) QTS_SetProp(&engine->code, engine->context, object, key, value);
    engine_free(engine, key);
    engine_free(engine, value);
    return can;
}

static engine_value duplicate(struct engine *engine, uint32_t value) {
    return QTS_DupValuePointer(&engine->code, engine->context, value);
}

engine_value engine_number(struct engine *engine, double number) {
    return QTS_NewFloat64(&engine->code, engine->context, number);
}

engine_value engine_text(struct engine *engine, const char *text) {
    engine_room room = engine_copy_in(engine, text, strlen(text));
    return room == 0 ? 0 : engine_text_in(engine, room);
}

engine_value engine_text_in(struct engine *engine, engine_room room) {
    engine_value value = QTS_NewString(&engine->code, engine->context, room);
    engine_give_back(engine, room);
    return value;
}

engine_value engine_bytes(struct engine *engine, const uint8_t *bytes, size_t length) {
    engine_room room = engine_copy_in(engine, bytes, length);
    return room == 0 ? 0 : engine_bytes_in(engine, room, length);
}

engine_value engine_bytes_in(struct engine *engine, engine_room room, size_t length) {
    return QTS_NewArrayBuffer(&engine->code, engine->context, room, (uint32_t)length);
}

engine_value engine_boolean(struct engine *engine, bool value) {
    return duplicate(engine, value ? QTS_GetTrue(&engine->code) : QTS_GetFalse(&engine->code));
}

engine_value engine_undefined(struct engine *engine) {
    return duplicate(engine, QTS_GetUndefined(&engine->code));
}

bool engine_offer(struct engine *engine, const char *name, const struct engine_method *methods) {
    engine_value object = QTS_NewObject(&engine->code, engine->context);
    bool whole = object != 0;
    engine->methods = methods;
    engine->method_count = 0;
    for (const struct engine_method *each = methods; whole && each->name != NULL; each++) {
        engine_room name_at = engine_copy_in(engine, each->name, strlen(each->name));
        uint32_t number = ++engine->method_count;
        whole = name_at != 0 &&
                set_property(engine, object, each->name,
                             QTS_NewFunction(&engine->code, engine->context, name_at, 0, false, number));
        engine_give_back(engine, name_at);
    }
    engine_value global = engine_global(engine);
    if (whole && global != 0) {
        whole = set_property(engine, global, name, object);
    } else {
        engine_free(engine, object);
    }
    engine_free(engine, global);
    return whole && global != 0;
}

engine_value engine_throw(struct engine *engine, const char *message) {
    engine_value error = QTS_NewError(&engine->code, engine->context);
    if (error == 0 || !set_property(engine, error, "message", engine_text(engine, message)))
        engine_stopped("engine: not enough memory for an exception");
    engine_value thrown = QTS_Throw(&engine->code, engine->context, error);
    engine_free(engine, error);
    return thrown;
}

/* Returns an argument's JSValue. The caller must not free it. */
static uint32_t argument_at(struct engine *engine, const struct engine_call *call, uint32_t index) {
    if (index >= call->count) return QTS_GetUndefined(&engine->code);
    return QTS_ArgvGetJSValueConstPointer(&engine->code, call->arguments, index);
}

uint32_t engine_count(const struct engine_call *call) {
    return call->count;
}

double engine_take_number(struct engine *engine, const struct engine_call *call, uint32_t index) {
    return QTS_GetFloat64(&engine->code, engine->context, argument_at(engine, call, index));
}

const char *engine_take_text(struct engine *engine, const struct engine_call *call, uint32_t index,
                             size_t *length) {
    uint32_t address = QTS_GetString(&engine->code, engine->context, argument_at(engine, call, index));
    return address == 0 ? NULL : engine_text_at(engine, address, length);
}

void engine_release_text(struct engine *engine, const char *text) {
    uint32_t address = (uint32_t)((const uint8_t *)text - engine->memory.data);
    QTS_FreeCString(&engine->code, engine->context, address);
}

bool engine_take_bytes(struct engine *engine, const struct engine_call *call, uint32_t index,
                       struct engine_bytes *bytes) {
    const uint32_t value = argument_at(engine, call, index);
    /* QuickJS copies the bytes to new room. */
    const uint32_t length = QTS_GetArrayBufferLength(&engine->code, engine->context, value);
    const engine_room room = QTS_GetArrayBuffer(&engine->code, engine->context, value);
    if (room == 0) return false;
    *bytes = (struct engine_bytes){room, engine_at(engine, room, length), length};
    return true;
}
