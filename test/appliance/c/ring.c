/* lib/ring.h: messages between two well-behaved sides, across the wrap of the indices, and with a misbehaving
 * side. */
#include "lib/ring.h"
#include "check.h"

struct message {
    uint32_t id;
    uint8_t rest[60];
};

static struct ring_side *client_side, *server_side;
static struct ring client, server;

static void begin(uint32_t at) {
    memset(client_side, 0, sizeof *client_side);
    memset(server_side, 0, sizeof *server_side);
    client_side->produced = client_side->consumed = server_side->produced = server_side->consumed = at;
    client = (struct ring){client_side, server_side, at, at};
    server = (struct ring){server_side, client_side, at, at};
}

static void test_wrap(void) {
    struct message message = {0};
    uint32_t asked = 0, served = 0, answered = 0;
    uint64_t random = 1;
    begin(UINT32_MAX - 1000);
    while (answered < 5000) {
        const uint32_t what = check_random(&random) % 4;
        if (what < 2) {
            message.id = asked;
            if (ring_ask(&client, &message)) asked++;
        } else if (what == 2) {
            if (!ring_serve(&server, &message)) continue;
            CHECK(message.id == served);
            served++;
            ring_answer(&server, &message);
        } else if (ring_take(&client, &message)) {
            CHECK(message.id == answered);
            answered++;
        }
        CHECK(asked - answered <= RING_SLOTS);
    }
    CHECK(asked >= 5000);
}

static void test_full(void) {
    struct message message = {0};
    begin(0);
    for (uint32_t i = 0; i < RING_SLOTS; i++) CHECK(ring_ask(&client, &message));
    CHECK(!ring_ask(&client, &message));
    for (uint32_t i = 0; i < RING_SLOTS; i++) CHECK(ring_serve(&server, &message));
    CHECK(!ring_ask(&client, &message));
    ring_answer(&server, &message);
    CHECK(!ring_ask(&client, &message));
    CHECK(ring_take(&client, &message));
    CHECK(ring_ask(&client, &message));
    CHECK(ring_serve(&server, &message));
    CHECK(!ring_put(&client, &message) ||
          ring_peek(&client_side->produced) - ring_peek(&server_side->consumed) <= 64);
}

/* A restarted client: the server first answers all requests from before the restart. */
static void test_join(void) {
    struct message message = {.id = 7};
    begin(UINT32_MAX - 3);
    for (uint32_t i = 0; i < 10; i++) CHECK(ring_ask(&client, &message));
    for (uint32_t i = 0; i < 4; i++) CHECK(ring_serve(&server, &message));
    ring_answer(&server, &message);
    CHECK(!ring_join(&client, (uintptr_t)client_side, (uintptr_t)server_side));
    CHECK(!ring_serve(&server, &message)); /* six were withdrawn */
    for (uint32_t i = 0; i < 3; i++) ring_answer(&server, &message);
    CHECK(ring_join(&client, (uintptr_t)client_side, (uintptr_t)server_side));
    CHECK(!ring_take(&client, &message));
    message.id = 8;
    CHECK(ring_ask(&client, &message));
    CHECK(ring_serve(&server, &message) && message.id == 8);
    ring_answer(&server, &message);
    CHECK(ring_take(&client, &message) && message.id == 8);
}

/* Even with a client that writes random bytes, the server has at most as many pending requests as slots, and
 * stays intact. */
static void test_hostile(void) {
    struct message message;
    uint64_t random = 2;
    begin(0);
    for (uint32_t i = 0; i < 1000000; i++) {
        const uint32_t near = server.consumed + check_random(&random) % 130 - 65;
        switch (check_random(&random) % 6) {
        case 0:
            client_side->produced = near;
            break;
        case 1:
            client_side->consumed = near;
            break;
        case 2:
            client_side->produced = check_random(&random);
            break;
        case 3:
            client_side->consumed = check_random(&random);
            break;
        case 4:
            (void)ring_serve(&server, &message);
            break;
        default:
            if (server.consumed != server.produced) ring_answer(&server, &message);
        }
        CHECK(server.consumed - server.produced <= RING_SLOTS);
        CHECK(server_side->consumed == server.consumed && server_side->produced == server.produced);
    }
    CHECK(server.produced > 1000);
}

int main(void) {
    client_side = malloc(sizeof *client_side);
    server_side = malloc(sizeof *server_side);
    test_wrap();
    test_full();
    test_join();
    test_hostile();
    free(client_side);
    free(server_side);
    return 0;
}
