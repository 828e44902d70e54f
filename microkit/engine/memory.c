#include "memory.h"
#include "instance.h"

uint8_t *engine_at(struct engine *engine, uint32_t address, uint32_t length) {
    const wasm_rt_memory_t *memory = &engine->memory;
    if (address > memory->size || length > memory->size - address)
        engine_stopped("engine: an address outside its memory");
    return memory->data + address;
}

const char *engine_text_at(struct engine *engine, uint32_t address, size_t *length) {
    const uint8_t *text = engine_at(engine, address, 1);
    size_t most = engine->memory.size - address;
    size_t i = 0;
    while (i < most && text[i] != 0) i++;
    if (i == most) engine_stopped("engine: a text without a NUL");
    *length = i;
    return (const char *)text;
}

engine_room engine_reserve(struct engine *engine, size_t length, uint8_t **at) {
    if (length > engine->config.memory_bytes) return 0;
    uint32_t bytes = length == 0 ? 1 : (uint32_t)length;
    engine_room room = engine_malloc(&engine->code, bytes);
    if (room != 0) *at = engine_at(engine, room, bytes);
    return room;
}

void engine_give_back(struct engine *engine, engine_room room) {
    engine_release(&engine->code, room);
}

engine_room engine_copy_in(struct engine *engine, const void *bytes, size_t length) {
    uint8_t *at;
    engine_room room = engine_reserve(engine, length + 1, &at);
    if (room == 0) return 0;
    if (length > 0) memcpy(at, bytes, length);
    at[length] = 0;
    return room;
}
