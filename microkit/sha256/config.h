/* Mbed TLS's configuration: SHA-256 in plain C, nothing else of it. */
#define MBEDTLS_SHA256_C
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
