/* Runs a script with the border's functions: `script-test FILE [MEMORY [MILLISECONDS]]`, the memory in MiB.
 * Prints the lines of the script's log on stdout, each after "LOG ", then how it ended. */
#include "stub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 8000000u

_Noreturn void engine_stopped(const char *why) {
    printf("STOPPED %s\n", why);
    exit(0);
}

_Noreturn void stop(const char *file, int line, const char *what);
_Noreturn void stop(const char *file, int line, const char *what) {
    fprintf(stderr, "stopped at %s:%d: %s\n", file, line, what);
    abort();
}

static void *allocated(size_t bytes) {
    void *found = malloc(bytes);
    if (found == NULL) exit(2);
    return found;
}

/* Returns the number in the argument at `at`, or `otherwise` if there is no such argument. */
static unsigned number(int count, char **arguments, int at, unsigned otherwise) {
    return count > at ? (unsigned)strtoul(arguments[at], NULL, 10) : otherwise;
}

int main(int count, char **arguments) {
    const size_t memory_bytes = (size_t)number(count, arguments, 2, 32) << 20;
    FILE *file = count > 1 ? fopen(arguments[1], "r") : NULL;
    if (file == NULL) return 2;
    uint8_t *memory = allocated(memory_bytes);
    char *script = allocated(MOST + 1);
    const size_t length = fread(script, 1, MOST, file);
    script[length] = '\0';
    (void)fclose(file);
    /* A restarted domain finds old bytes in its memory. */
    memset(memory, 0xa5, memory_bytes);
    struct engine *engine = stub_start(memory, memory_bytes, number(count, arguments, 3, 10000), true);
    const bool ok = engine_evaluate(engine, script, length, "test.js") && engine_run_jobs(engine);
    printf("%s\n", ok ? "OK" : "ERROR");
    if (!ok) printf("%s\n", engine_error(engine));
    stub_end(engine);
    printf("MEMORY %zu\n", engine_memory(engine));
    free(memory);
    free(script);
    return 0;
}
