/* The functions that the engine's WebAssembly imports. They do less than the package's loader where the
 * ledger needs less: the only time zone is UTC. */
#include "instance.h"
#include "memory.h"

/* struct tm in the engine's memory: nine fields of 32 bits, then the seconds east of Greenwich. */
#define TM_BYTES 44
#define DAY 86400

ABSENT_IMPORTS

wasm_rt_memory_t *import_memory(struct engine *engine) {
    return &engine->memory;
}

void import_assert_fail(struct engine *engine, u32 condition, u32 file, u32 line, u32 function) {
    (void)engine;
    (void)condition;
    (void)file;
    (void)line;
    (void)function;
    engine_stopped("engine: one of its assertions failed");
}

void import_abort(struct engine *engine) {
    (void)engine;
    engine_stopped("engine: it aborted");
}

static u32 word_at(struct engine *engine, u32 address) {
    u32 word;
    memcpy(&word, engine_at(engine, address, sizeof word), sizeof word);
    return word;
}

static void set_word(struct engine *engine, u32 address, u32 word) {
    memcpy(engine_at(engine, address, sizeof word), &word, sizeof word);
}

/* WASI: the environment is empty. */
u32 import_environ_get(struct engine *engine, u32 list, u32 texts) {
    (void)engine;
    (void)list;
    (void)texts;
    return 0;
}

u32 import_environ_sizes_get(struct engine *engine, u32 count, u32 bytes) {
    set_word(engine, count, 0);
    set_word(engine, bytes, 0);
    return 0;
}

/* WASI: prints the `count` pieces {address, length} at `pieces`, and stores their length at `written`. */
u32 import_fd_write(struct engine *engine, u32 file, u32 pieces, u32 count, u32 written) {
    u32 total = 0;
    (void)file;
    for (u32 i = 0; i < count; i++) {
        u32 length = word_at(engine, pieces + 8 * i + 4);
        const uint8_t *bytes = engine_at(engine, word_at(engine, pieces + 8 * i), length);
        engine->config.print(engine->config.context, (const char *)bytes, length);
        total += length;
    }
    set_word(engine, written, total);
    return 0;
}

/* Grows the memory to at least `bytes`, and by a fifth if that fits. Returns 0 if it cannot. */
u32 import_resize_heap(struct engine *engine, u32 bytes) {
    wasm_rt_memory_t *memory = &engine->memory;
    uint64_t most = (uint64_t)memory->max_pages * ENGINE_PAGE;
    uint64_t size = (uint64_t)memory->size + memory->size / 5;
    if (size > most) size = most;
    if (size < bytes) size = bytes;
    size = (size + ENGINE_PAGE - 1) / ENGINE_PAGE * ENGINE_PAGE;
    if (size > most || size < memory->size) return 0;
    memset(memory->data + memory->size, 0, (size_t)size - memory->size);
    memory->size = (u32)size;
    memory->pages = (u32)(size / ENGINE_PAGE);
    return 1;
}

f64 import_date_now(struct engine *engine) {
    return engine->config.now(engine->config.context);
}

/* Returns the month and sets the day of the month, both from 0, of a day of a year that begins in March. */
static u32 month_of(u32 *day) {
    u32 month = (5 * *day + 2) / 153;
    *day -= (153 * month + 2) / 5;
    return month < 10 ? month + 2 : month - 10;
}

/* Converts seconds since the Unix epoch to a Gregorian date. The calendar repeats every 146097 days. */
void import_localtime(struct engine *engine, u64 time, u32 at) {
    int64_t seconds = (int64_t)time;
    int64_t days = seconds / DAY - (seconds % DAY < 0);
    u32 second = (u32)(seconds - days * DAY);
    int64_t since = days + 719468; /* since the first of March of the year 0 */
    int64_t era = (since >= 0 ? since : since - 146096) / 146097;
    u32 of_era = (u32)(since - era * 146097);
    u32 year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    u32 day = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    u32 of_march_year = day;
    u32 month = month_of(&day);
    int64_t year = (int64_t)year_of_era + era * 400 + (month < 2);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    u32 of_year = month < 2 ? of_march_year - 306 : of_march_year + 59 + leap;
    u32 week_day = (u32)(((days + 4) % 7 + 7) % 7);
    u32 fields[] = {second % 60,
                    second / 60 % 60,
                    second / 3600,
                    day + 1,
                    month,
                    (u32)(year - 1900),
                    week_day,
                    of_year,
                    0,
                    0,
                    0};
    memcpy(engine_at(engine, at, TM_BYTES), fields, sizeof fields);
}

/* Stores the minutes west of Greenwich, whether there is daylight saving time, and the zone's two names of at
 * most 16 characters. */
void import_tzset(struct engine *engine, u32 minutes, u32 saves, u32 standard, u32 saving) {
    static const char name[] = "UTC";
    set_word(engine, minutes, 0);
    set_word(engine, saves, 0);
    memcpy(engine_at(engine, standard, sizeof name), name, sizeof name);
    memcpy(engine_at(engine, saving, sizeof name), name, sizeof name);
}

u32 import_should_interrupt(struct engine *engine, u32 runtime) {
    (void)runtime;
    if (!engine->interrupted) engine->interrupted = engine->config.interrupt(engine->config.context);
    return engine->interrupted;
}

/* Calls a function for a script. Returns the address of the result (the engine frees it), or 0 for undefined.
 */
u32 import_call_function(struct engine *engine, u32 context, u32 self, u32 count, u32 arguments, u32 number) {
    (void)context;
    (void)self;
    if (number == 0 || number > engine->method_count) engine_stopped("engine: a call of an unknown function");
    struct engine_call call = {count, arguments};
    return engine->methods[number - 1].function(engine, &call);
}

void import_free_host_ref(struct engine *engine, u32 runtime, u32 number) {
    (void)engine;
    (void)runtime;
    (void)number;
}
