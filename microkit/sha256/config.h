/* Mbed TLS's configuration: only SHA-256, in plain C. */
#define MBEDTLS_SHA256_C
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
