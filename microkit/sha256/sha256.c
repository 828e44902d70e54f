#include "sha256/sha256.h"
#include "lib/stop.h"

#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

_Static_assert(sizeof(mbedtls_sha256_context) <= SHA256_STATE, "a state has room for Mbed TLS's");

/* Mbed TLS calls this function to zero memory even if the program does not read it again. */
void mbedtls_platform_zeroize(void *bytes, size_t length) {
    memset(bytes, 0, length);
    __asm__ volatile("" ::"r"(bytes) : "memory");
}

void sha256_begin(void *state) {
    mbedtls_sha256_init(state);
    STOP_UNLESS(mbedtls_sha256_starts_ret(state, 0) == 0);
}

void sha256_add(void *state, const uint8_t *bytes, size_t length) {
    STOP_UNLESS(mbedtls_sha256_update_ret(state, bytes, length) == 0);
}

void sha256_end(void *state, uint8_t digest[SHA256_BYTES]) {
    STOP_UNLESS(mbedtls_sha256_finish_ret(state, digest) == 0);
}
