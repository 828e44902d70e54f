/* Ed25519 with the test vectors of RFC 8032 (section 7.1), and the texts of notes. */
#include "keys/note.h"
#include "keys/record.h"
#include "psdb/test/check.h"

#include <monocypher-ed25519.h>
#include <stdlib.h>
#include <string.h>

struct vector {
    const char *seed, *public_key, *message, *signature;
};

static const struct vector vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
     "454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
     "3dca179c138ac17ad9bef1177331a704"},
};

static size_t unhex(uint8_t *out, const char *hex) {
    const size_t length = strlen(hex) / 2;
    for (size_t i = 0; i < length; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;
        out[i] = (uint8_t)strtoul(digits, &end, 16);
        CHECK(end == digits + 2);
    }
    return length;
}

TEST(signs_as_rfc_8032_says) {
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint8_t seed[32], expected_key[32], message[64], expected[64], secret[64], public_key[32],
            signature[64];
        (void)unhex(seed, vectors[i].seed);
        (void)unhex(expected_key, vectors[i].public_key);
        (void)unhex(expected, vectors[i].signature);
        const size_t length = unhex(message, vectors[i].message);
        crypto_ed25519_key_pair(secret, public_key, seed);
        CHECK_BYTES(public_key, expected_key, 32);
        crypto_ed25519_sign(signature, secret, message, length);
        CHECK_BYTES(signature, expected, 64);
        CHECK(crypto_ed25519_check(signature, public_key, message, length) == 0);
    }
}

#define ROOT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

static bool reads(const char *text, size_t length) {
    uint64_t size;
    uint8_t root[32];
    /* Copies the text to memory of exactly its length, so that a sanitizer detects a read after it. */
    char copy[200];
    char *at = copy + sizeof copy - length;
    memcpy(at, text, length);
    return note_read(at, length, "a.b/c", 5, &size, root);
}

static const char *const good[] = {
    "a.b/c\n1\n" ROOT,
    "a.b/c\n9007199254740991\n" ROOT,
    "a.b/c\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
};
static const char *const bad[] = {
    "",
    "\n",
    "a.b/c",
    "a.b/c\n",
    "a.b/c\n1",
    "a.b/c\n1\n",
    "a.b/c\n1\n\n",
    "a.b/c\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "a.b/d\n1\n" ROOT,
    "a.b/c/audit\n1\n" ROOT,
    "a.b/\n1\n" ROOT,
    "a.b/c \n1\n" ROOT,
    "\na.b/c\n1\n" ROOT,
    "a.b/c\n01\n" ROOT,
    "a.b/c\n+1\n" ROOT,
    "a.b/c\n-1\n" ROOT,
    "a.b/c\n 1\n" ROOT,
    "a.b/c\n1 \n" ROOT,
    "a.b/c\n\n" ROOT,
    "a.b/c\n1\r\n" ROOT,
    "a.b/c\n0x1\n" ROOT,
    "a.b/c\n9007199254740992\n" ROOT,
    "a.b/c\n99999999999999999\n" ROOT,
    "a.b/c\n18446744073709551617\n" ROOT,
    "a.b/c\n0\n" ROOT,
    "a.b/c\n1\n" ROOT "\n",
    "a.b/c\n1\n" ROOT "extension\n",
    "a.b/c\n1\n" ROOT "\n\xe2\x80\x94 a.b/c AAAA\n",
    "a.b/c\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
    "a.b/c\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    "a.b/c\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n",
    "a.b/c\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_=\n",
    "a.b/c\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    "a.b/c\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
};

TEST(a_checkpoint_is_read_strictly) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        note("good %zu", i);
        CHECK(reads(good[i], strlen(good[i])));
        for (size_t length = 0; length < strlen(good[i]); length++) CHECK(!reads(good[i], length));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        note("bad %zu", i);
        CHECK(!reads(bad[i], strlen(bad[i])));
    }
}

/* Changing any byte except those of the size and the root makes the text invalid. */
TEST(a_changed_checkpoint_is_refused) {
    char text[100];
    const size_t length = strlen(good[0]);
    for (size_t i = 0; i < length; i++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, good[0], length);
            text[i] = (char)byte;
            const bool may = (i == 6 && byte >= '1' && byte <= '9') || (i >= 8 && i < 8 + 43);
            if (memcmp(text, good[0], length) != 0 && !may) CHECK(!reads(text, length));
        }
    }
}

#define E RECORD_EMPTY
#define G RECORD_GOOD
#define T RECORD_TORN
#define B RECORD_BROKEN

/* The contents of both slots decide which one is valid. */
TEST(the_newer_of_two_slots_counts) {
    static const struct {
        enum record_found found[2];
        uint64_t sequences[2];
        enum record_choice choice;
    } cases[] = {
        {{E, E}, {0, 0}, RECORD_NONE},    {{E, T}, {0, 0}, RECORD_NONE},    {{T, E}, {0, 0}, RECORD_CORRUPT},
        {{T, T}, {0, 0}, RECORD_CORRUPT}, {{E, G}, {0, 1}, RECORD_SLOT_1},  {{E, G}, {0, 3}, RECORD_CORRUPT},
        {{T, G}, {0, 1}, RECORD_SLOT_1},  {{T, G}, {0, 9}, RECORD_SLOT_1},  {{G, T}, {2, 0}, RECORD_SLOT_0},
        {{G, E}, {2, 0}, RECORD_CORRUPT}, {{G, G}, {2, 1}, RECORD_SLOT_0},  {{G, G}, {2, 3}, RECORD_SLOT_1},
        {{G, G}, {4, 1}, RECORD_CORRUPT}, {{G, G}, {2, 5}, RECORD_CORRUPT}, {{G, G}, {3, 2}, RECORD_CORRUPT},
        {{E, G}, {0, 2}, RECORD_CORRUPT}, {{B, G}, {0, 1}, RECORD_CORRUPT}, {{G, B}, {2, 0}, RECORD_CORRUPT},
        {{B, E}, {0, 0}, RECORD_CORRUPT}, {{E, B}, {0, 0}, RECORD_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        note("case %zu", i);
        CHECK_SAME(record_choose(cases[i].found, cases[i].sequences), cases[i].choice);
    }
}
