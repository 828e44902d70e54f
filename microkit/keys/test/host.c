/* The key store as a process: `keys-host DISK ORIGIN…` opens the image DISK and takes lines from its input,
 * `vkey TENANT LEDGER` and `sign TENANT LEDGER HEX`, where HEX is the text. It prints the store's messages as
 * lines that begin with a number sign, and for each input line a status and, after a space, the answer in
 * hex. */
#include "keys/store.h"
#include "lib/stop.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int file;
static struct keys_store store;
static uint8_t sector[RECORD_BYTES];
static uint8_t regions[KEYS_TENANTS][KEYS_REGION];
static bool is_asked, is_random_asked, is_ok;

_Noreturn void stop(const char *path, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s\n", path, line, what);
    abort();
}

static void begin_disk(void *context, enum keys_disk_op op, uint64_t at) {
    (void)context;
    const off_t place = (off_t)(at * RECORD_BYTES);
    is_asked = true;
    is_ok = op == KEYS_DISK_READ    ? pread(file, sector, RECORD_BYTES, place) == RECORD_BYTES
            : op == KEYS_DISK_WRITE ? pwrite(file, sector, RECORD_BYTES, place) == RECORD_BYTES
                                    : fdatasync(file) == 0;
}

static void ask_random(void *context) {
    (void)context;
    is_random_asked = true;
}

static void answer(void *context, uint32_t tenant, const struct keys_message *message) {
    (void)context;
    printf("%u ", message->status);
    for (uint32_t i = 0; i < message->length; i++) printf("%02x", regions[tenant][i]);
    printf("\n");
}

static void say(void *context, const char *line) {
    (void)context;
    printf("# %s\n", line);
}

static void work(void) {
    while (is_asked || is_random_asked) {
        uint8_t bytes[KEYS_RANDOM];
        if (is_asked) {
            is_asked = false;
            keys_disk_done(&store, is_ok);
            continue;
        }
        is_random_asked = false;
        FILE *random = fopen("/dev/urandom", "rb");
        if (random == NULL || fread(bytes, 1, sizeof bytes, random) != sizeof bytes) abort();
        (void)fclose(random);
        keys_random(&store, bytes);
    }
}

/* Reads the number at `*at`, and moves `*at` to its end. */
static unsigned long number(const char **at, int base) {
    char *end;
    const unsigned long found = strtoul(*at, &end, base);
    if (end == *at) abort();
    *at = end;
    return found;
}

/* Takes `VERB TENANT LEDGER [HEX]`. */
static void take_line(const char *line) {
    const char *at = line + strcspn(line, " ");
    const uint32_t tenant = (uint32_t)number(&at, 10);
    const uint8_t ledger = (uint8_t)number(&at, 10);
    at += strspn(at, " ");
    struct keys_message message = {.op = strncmp(line, "sign ", 5) == 0 ? KEYS_SIGN : KEYS_VKEY,
                                   .ledger = ledger,
                                   .length = (uint32_t)strcspn(at, "\n") / 2};
    if (tenant >= KEYS_TENANTS || message.length > KEYS_SLOT) abort();
    for (uint32_t i = 0; i < message.length; i++) {
        const char digits[3] = {at[2 * i], at[2 * i + 1], '\0'};
        const char *digit = digits;
        regions[tenant][i] = (uint8_t)number(&digit, 16);
        if (digit != digits + 2) abort();
    }
    keys_store_take(&store, tenant, &message);
    work();
    (void)fflush(stdout);
}

int main(int argc, char **argv) {
    static const struct keys_host host = {
        .disk = begin_disk, .random = ask_random, .answer = answer, .say = say};
    static struct keys_tenant tenants[KEYS_TENANTS];
    static char line[2 * KEYS_SLOT + 100];
    if (argc < 3 || argc - 2 > (int)KEYS_TENANTS) return 2;
    file = open(argv[1], O_RDWR);
    if (file < 0) return 3;
    for (int i = 2; i < argc; i++) tenants[i - 2] = (struct keys_tenant){argv[i], regions[i - 2]};
    const struct keys_config config = {
        .disk_sectors = (uint64_t)lseek(file, 0, SEEK_END) / RECORD_BYTES,
        .sector = sector,
        .tenants = tenants,
        .tenant_count = (uint32_t)(argc - 2),
        .host = &host,
    };
    keys_store_begin(&store, &config);
    work();
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) take_line(line);
    return 0;
}
