/*
 * Runs the tests whose `file.name` begins with one of the arguments; all without arguments. `--list` lists
 * them. A test may take PSDB_TEST_SECONDS (300).
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_TESTS 400

static struct {
    char name[120];
    test_function function;
} tests[MAX_TESTS];
static int test_count;

void test_add(const char *file, const char *name, test_function function) {
    const char *base = strrchr(file, '/');
    base = base == NULL ? file : base + 1;
    if (test_count == MAX_TESTS) abort();
    (void)snprintf(tests[test_count].name, sizeof tests[0].name, "%.*s.%s", (int)strcspn(base, "."), base,
                   name);
    tests[test_count++].function = function;
}

static bool chosen(const char *name, int count, char **filters) {
    if (count == 0) return true;
    for (int i = 0; i < count; i++)
        if (strncmp(name, filters[i], strlen(filters[i])) == 0) return true;
    return false;
}

/* Prints the test's output, with `# ` before each line. */
static void print_output(FILE *output) {
    char line[2000];
    rewind(output);
    while (fgets(line, sizeof line, output) != NULL) printf("# %s%s", line, strchr(line, '\n') ? "" : "\n");
}

static bool run_test(int test) {
    FILE *output = tmpfile();
    if (output == NULL) abort();
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        (void)dup2(fileno(output), STDOUT_FILENO);
        (void)dup2(fileno(output), STDERR_FILENO);
        (void)alarm((unsigned)setting("PSDB_TEST_SECONDS", 300));
        tests[test].function();
        exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) abort();
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    print_output(output);
    if (!ok && WIFSIGNALED(status)) printf("# ended by signal %d\n", WTERMSIG(status));
    printf("%s - %s\n", ok ? "ok" : "not ok", tests[test].name);
    fflush(stdout);
    (void)fclose(output);
    return ok;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < test_count; i++) printf("%s\n", tests[i].name);
        return 0;
    }
    int failed = 0;
    for (int i = 0; i < test_count; i++)
        if (chosen(tests[i].name, argc - 1, argv + 1) && !run_test(i)) failed++;
    if (failed > 0) printf("# %d failed\n", failed);
    return failed == 0 ? 0 : 1;
}
