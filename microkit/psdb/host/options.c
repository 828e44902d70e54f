#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: psdb-host --disk FILE [--size BYTES] --tenant NAME [--tenant NAME ...] [--region BYTES]"
#ifdef PSDB_FAULTS
    " [--cut N] [--seed S] [--fail-write N] [--fail-flush N]"
#endif
    ;

static uint64_t parse_number(const char *option, const char *text) {
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        host_die(HOST_BAD, option, "expected a number");
    return value;
}

static bool parse_fault(const char *option, const char *value, struct host_options *options) {
#ifdef PSDB_FAULTS
    uint64_t *const field = strcmp(option, "--cut") == 0          ? &options->cut
                            : strcmp(option, "--seed") == 0       ? &options->seed
                            : strcmp(option, "--fail-write") == 0 ? &options->fail_write
                            : strcmp(option, "--fail-flush") == 0 ? &options->fail_flush
                                                                  : NULL;
    if (field == NULL) return false;
    *field = parse_number(option, value);
    return true;
#else
    (void)option;
    (void)value;
    (void)options;
    return false;
#endif
}

static void parse_one(const char *option, const char *value, struct host_options *options) {
    if (strcmp(option, "--disk") == 0) {
        options->disk = value;
    } else if (strcmp(option, "--size") == 0) {
        options->size = parse_number(option, value);
    } else if (strcmp(option, "--region") == 0) {
        const uint64_t region = parse_number(option, value);
        if (region < PSDB_SECTOR || region > UINT32_MAX)
            host_die(HOST_BAD, option, "expected 512 to 4294967295");
        options->region = (uint32_t)region;
    } else if (strcmp(option, "--tenant") == 0) {
        if (options->tenant_count == PSDB_MAX_TENANTS) host_die(HOST_BAD, option, "expected at most 31");
        options->tenants[options->tenant_count++] = value;
    } else if (!parse_fault(option, value, options)) {
        host_die(HOST_BAD, option, usage);
    }
}

void host_parse(int argc, char **argv, struct host_options *options) {
    memset(options, 0, sizeof *options);
    options->region = 32u << 20;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) host_die(HOST_BAD, argv[i], usage);
        parse_one(argv[i], argv[i + 1], options);
    }
    if (options->disk == NULL || options->tenant_count == 0) host_die(HOST_BAD, "psdb-host", usage);
    if (options->size != 0 &&
        (options->size % PSDB_SECTOR != 0 || options->size < 65536 || options->size > 1ull << 59)) {
        host_die(HOST_BAD, "--size", "expected a multiple of 512, at least 65536");
    }
}
