/*
 * psdb-host: the store over a file, for one client that acts for all tenants through stdin and stdout.
 * docs/psdb.md, "The host process", describes the frames.
 */
#include "host.h"

#include <errno.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAME_BYTES (8 + PSDB_MESSAGE_BYTES)
#define FIRST_CHANNEL 0xffffffffu
#define PROTOCOL 1u
#define DISK_BUFFER (1u << 20)
#define TAILS_EACH 32768u
#define MIN_SLOTS 4096u
#define MAX_SLOTS (1u << 24)
/* Sectors of the disk for each slot: a full bundle and its hash tile take at least 24 each. */
#define SECTORS_A_SLOT 16u
#define INPUT_BYTES (256u << 10)

_Static_assert(sizeof(SHA256_CTX) <= PSDB_SHA256_STATE, "OpenSSL's state fits");

struct answer {
    uint32_t tenant;
    struct psdb_response response;
};

static struct host {
    struct host_options options;
    int file;
    struct psdb *store;
    struct psdb_tenant tenants[PSDB_MAX_TENANTS];
    uint8_t *buffer;
    /* The store's disk operation under way. */
    bool busy;
    enum psdb_disk_op op;
    uint64_t sector;
    uint32_t sectors;
    /* Answers not yet on stdout; their bytes are in the regions. */
    struct answer answers[PSDB_MAX_TENANTS * PSDB_QUEUE];
    size_t answer_count;
    char report[4096]; /* for the first frame */
    size_t report_length;
    /* stdin. */
    uint8_t input[INPUT_BYTES];
    size_t input_length;
    bool ended;
    /* The frame under way. */
    uint8_t frame[FRAME_BYTES];
    size_t frame_length;
    uint32_t data_left;
    uint8_t *data_to; /* NULL: the message's range is outside the region; the store will answer INVALID */
} host;

_Noreturn void host_die(int code, const char *who, const char *what) {
    fprintf(stderr, "%s: %s\n", who, what);
    exit(code);
}

/* ---- struct psdb_host */

static void on_disk(void *context, enum psdb_disk_op op, uint64_t sector, uint32_t sectors) {
    (void)context;
    host.busy = true;
    host.op = op;
    host.sector = sector;
    host.sectors = sectors;
}

static void on_reply(void *context, uint32_t tenant, const struct psdb_response *response) {
    (void)context;
    host.answers[host.answer_count++] = (struct answer){tenant, *response};
}

static void on_report(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
    const size_t length = strlen(text);
    if (host.report_length + length + 1 >= sizeof host.report) return;
    if (host.report_length > 0) host.report[host.report_length++] = '\n';
    memcpy(host.report + host.report_length, text, length);
    host.report_length += length;
}

static void sha256_begin(void *state) {
    SHA256_Init(state);
}

static void sha256_add(void *state, const uint8_t *bytes, size_t length) {
    SHA256_Update(state, bytes, length);
}

static void sha256_end(void *state, uint8_t digest[32]) {
    SHA256_Final(digest, state);
}

static const struct psdb_host callbacks = {
    .disk = on_disk,
    .reply = on_reply,
    .report = on_report,
    .sha256_begin = sha256_begin,
    .sha256_add = sha256_add,
    .sha256_end = sha256_end,
};

static bool disk_operation(void) {
#ifdef PSDB_FAULTS
    if (host.op == PSDB_DISK_READ) return host_faults_read(host.file, host.buffer, host.sector, host.sectors);
    if (host.op == PSDB_DISK_WRITE)
        return host_faults_write(host.file, host.buffer, host.sector, host.sectors);
    return host_faults_flush(host.file);
#else
    if (host.op == PSDB_DISK_READ) return host_disk_read(host.file, host.buffer, host.sector, host.sectors);
    if (host.op == PSDB_DISK_WRITE) return host_disk_write(host.file, host.buffer, host.sector, host.sectors);
    return host_disk_flush(host.file);
#endif
}

/* ---- frames out */

static void write_all(struct iovec *parts, int count) {
    while (count > 0) {
        const ssize_t put = writev(STDOUT_FILENO, parts, count);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) host_die(HOST_FAILED, "stdout", strerror(errno));
        size_t left = (size_t)put;
        while (count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            count--;
        }
        if (count == 0) return;
        parts->iov_base = (uint8_t *)parts->iov_base + left;
        parts->iov_len -= left;
    }
}

static void write_frame(uint32_t channel, const void *message, const void *data, uint32_t bytes) {
    uint8_t head[FRAME_BYTES];
    memcpy(head, &channel, 4);
    memcpy(head + 4, &bytes, 4);
    memcpy(head + 8, message, PSDB_MESSAGE_BYTES);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)(uintptr_t)data, bytes}};
    write_all(parts, bytes == 0 ? 1 : 2);
}

static void write_answers(void) {
    for (size_t i = 0; i < host.answer_count; i++) {
        const struct answer *answer = &host.answers[i];
        const struct psdb_response *response = &answer->response;
        const uint8_t *region = host.tenants[answer->tenant].region;
        /* The offset of an INVALID answer may be outside the region. */
        const uint8_t *data = response->length > 0 ? region + response->offset : region;
        write_frame(answer->tenant, response, data, response->length);
    }
    host.answer_count = 0;
}

static void write_first(void) {
    uint8_t message[PSDB_MESSAGE_BYTES] = {0};
    const uint32_t protocol = PROTOCOL;
    const uint32_t state = (uint32_t)psdb_state(host.store);
    memcpy(message, &protocol, 4);
    memcpy(message + 4, &state, 4);
    write_frame(FIRST_CHANNEL, message, host.report, (uint32_t)host.report_length);
}

/* ---- frames in */

static uint32_t frame_channel(void) {
    uint32_t channel;
    memcpy(&channel, host.frame, 4);
    return channel;
}

/* Handles the head of a frame. */
static void begin_frame(void) {
    struct psdb_request request;
    const uint32_t channel = frame_channel();
    memcpy(&host.data_left, host.frame + 4, 4);
    memcpy(&request, host.frame + 8, sizeof request);
    const bool writes =
        request.opcode == PSDB_SEAL || request.opcode == PSDB_COMMIT || request.opcode == PSDB_PUBLISH;
    const uint32_t region = host.options.region;
    if (channel >= host.options.tenant_count) host_die(HOST_BAD, "stdin", "a frame for an unknown channel");
    if (host.data_left > region) host_die(HOST_BAD, "stdin", "a frame with more data than the region holds");
    if (host.data_left != (writes ? request.length : 0)) {
        host_die(HOST_BAD, "stdin", "a frame whose data has another length than its message");
    }
    const bool inside = request.offset <= region && host.data_left <= region - request.offset;
    host.data_to = inside ? host.tenants[channel].region + request.offset : NULL;
}

static void end_frame(void) {
    host.frame_length = 0;
    if (!psdb_submit(host.store, frame_channel(), host.frame + 8)) {
        host_die(HOST_BAD, "stdin", "a frame while 64 requests of its channel have no answer");
    }
}

/* Takes bytes from the input. Returns how many. */
static size_t take_input(const uint8_t *bytes, size_t length) {
    if (host.frame_length < FRAME_BYTES) {
        const size_t room = FRAME_BYTES - host.frame_length;
        const size_t taken = length < room ? length : room;
        memcpy(host.frame + host.frame_length, bytes, taken);
        host.frame_length += taken;
        if (host.frame_length < FRAME_BYTES) return taken;
        begin_frame();
        if (host.data_left == 0) end_frame();
        return taken;
    }
    const size_t taken = length < host.data_left ? length : host.data_left;
    if (host.data_to != NULL) {
        memcpy(host.data_to, bytes, taken);
        host.data_to += taken;
    }
    host.data_left -= (uint32_t)taken;
    if (host.data_left == 0) end_frame();
    return taken;
}

static bool input_is_readable(int timeout) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    const int count = poll(&input, 1, timeout);
    if (count < 0 && errno != EINTR) host_die(HOST_FAILED, "stdin", strerror(errno));
    return count > 0;
}

/* Submits the requests that can be read. Waits for the first bytes if `wait`. */
static void submit_input(bool wait) {
    while (!host.ended && input_is_readable(wait ? -1 : 0)) {
        const ssize_t got = read(STDIN_FILENO, host.input, sizeof host.input);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) host_die(HOST_FAILED, "stdin", strerror(errno));
        host.ended = got == 0;
        for (size_t at = 0; at < (size_t)got;) at += take_input(host.input + at, (size_t)got - at);
        wait = false;
    }
}

/* ---- the process */

static void *allocate(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    if (memory == NULL) host_die(HOST_FAILED, "psdb-host", "not enough memory");
    return memory;
}

static uint32_t slots_for(uint64_t sectors) {
    uint32_t slots = MIN_SLOTS;
    while (slots < MAX_SLOTS && (uint64_t)slots * SECTORS_A_SLOT < sectors) slots *= 2;
    return slots;
}

static void start_store(void) {
    const struct host_options *options = &host.options;
    struct psdb_config config = {
        .buffer_bytes = DISK_BUFFER,
        .tails_each = TAILS_EACH,
        .tenants = host.tenants,
        .tenant_count = options->tenant_count,
        .host = &callbacks,
    };
    host.file = host_disk_open(options, &config.disk_sectors);
    for (uint32_t i = 0; i < options->tenant_count; i++) {
        host.tenants[i] =
            (struct psdb_tenant){options->tenants[i], allocate(1, options->region), options->region};
    }
    host.buffer = allocate(1, DISK_BUFFER);
    host.store = aligned_alloc(16, (psdb_bytes() + 15) / 16 * 16);
    if (host.store == NULL) host_die(HOST_FAILED, "psdb-host", "not enough memory");
    memset(host.store, 0, psdb_bytes());
    config.buffer = host.buffer;
    config.slot_count = slots_for(config.disk_sectors);
    config.slots = allocate(config.slot_count, sizeof(struct psdb_slot));
    config.tails = allocate((size_t)2 * options->tenant_count * TAILS_EACH, sizeof(struct psdb_tail_file));
    if (!psdb_start(host.store, &config)) exit(HOST_BAD);
}

/* Runs the store's disk operation, if any. Takes the requests that arrived meanwhile before its end. */
static void run_disk(bool listen) {
    if (!host.busy) return;
    const bool ok = disk_operation();
    host.busy = false;
    if (listen) submit_input(false);
    psdb_disk_done(host.store, ok);
}

int main(int argc, char **argv) {
    host_parse(argc, argv, &host.options);
    /* A terminal sends these to the whole process group. This process ends when its standard input does. */
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
#ifdef PSDB_FAULTS
    host_faults_begin(&host.options);
#endif
    start_store();
    while (psdb_state(host.store) == PSDB_OPENING) run_disk(false);
    write_first();
    for (;;) {
        const bool more = psdb_run(host.store);
        write_answers();
        if (host.busy) {
            run_disk(true);
            write_answers();
        } else if (!more && host.ended) {
            break;
        } else {
            submit_input(true);
        }
    }
    if (host.frame_length > 0) host_die(HOST_BAD, "stdin", "ended within a frame");
    return 0;
}
