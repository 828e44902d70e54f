/* A small test runner: each test runs in its own process, and the output is TAP. */
#ifndef PSDB_TEST_CHECK_H
#define PSDB_TEST_CHECK_H

#include <stdbool.h>
#include <stdint.h>

typedef void (*test_function)(void);

void test_add(const char *file, const char *name, test_function function);

/* Sets the line to print when a check fails, such as the seed and the step. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns a number from the environment, or `otherwise` if it is not set. */
uint64_t setting(const char *name, uint64_t otherwise);

#define TEST(name)                                                                                           \
    static void name(void);                                                                                  \
    __attribute__((constructor)) static void add_##name(void) {                                              \
        test_add(__FILE__, #name, name);                                                                     \
    }                                                                                                        \
    static void name(void)

#define FAIL(...) check_failed(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) ((condition) ? (void)0 : FAIL("not true: %s", #condition))
#define CHECK_SAME(actual, expected)                                                                         \
    check_same(__FILE__, __LINE__, #actual, (unsigned long long)(actual), (unsigned long long)(expected))
#define CHECK_BYTES(actual, expected, length)                                                                \
    check_bytes(__FILE__, __LINE__, #actual, (const uint8_t *)(actual), (const uint8_t *)(expected), length)
/* Checks that `text` contains `part`. */
#define CHECK_HAS(text, part) check_has(__FILE__, __LINE__, text, part)

void check_same(const char *file, int line, const char *what, unsigned long long actual,
                unsigned long long expected);
void check_bytes(const char *file, int line, const char *what, const uint8_t *actual, const uint8_t *expected,
                 uint64_t length);
void check_has(const char *file, int line, const char *text, const char *part);

#endif
