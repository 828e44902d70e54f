/*
 * memcpy and similar functions. The compiler also generates calls of them. Its flags for this file keep it
 * from turning these loops into calls of the same functions, and allow unaligned access: use the functions on
 * ordinary memory, never on a device's registers.
 */
#include <stdint.h>
#include <string.h>

typedef uint64_t __attribute__((aligned(1), may_alias)) word;

/* Copies from the first byte on. The two ranges may overlap if `to` is before `from`. */
static void *copy_forward(void *to, const void *from, size_t length) {
    uint8_t *out = to;
    const uint8_t *in = from;
    for (; length >= 64; length -= 64, out += 64, in += 64) {
        word *o = (word *)out;
        const word *i = (const word *)in;
        const uint64_t a = i[0], b = i[1], c = i[2], d = i[3], e = i[4], f = i[5], g = i[6], h = i[7];
        o[0] = a, o[1] = b, o[2] = c, o[3] = d, o[4] = e, o[5] = f, o[6] = g, o[7] = h;
    }
    for (; length >= 8; length -= 8, out += 8, in += 8) *(word *)out = *(const word *)in;
    while (length-- > 0) *out++ = *in++;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    return copy_forward(to, from, length);
}

void *memmove(void *to, const void *from, size_t length) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)out - (uintptr_t)in >= length) return copy_forward(to, from, length);
    while (length >= 8) {
        length -= 8;
        *(word *)(out + length) = *(const word *)(in + length);
    }
    while (length > 0) {
        length--;
        out[length] = in[length];
    }
    return to;
}

void *memset(void *to, int byte, size_t length) {
    uint8_t *out = to;
    const uint64_t pattern = 0x0101010101010101u * (uint8_t)byte;
    for (; length >= 32; length -= 32, out += 32) {
        word *o = (word *)out;
        o[0] = pattern, o[1] = pattern, o[2] = pattern, o[3] = pattern;
    }
    while (length-- > 0) *out++ = (uint8_t)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t length) {
    const uint8_t *x = a;
    const uint8_t *y = b;
    while (length >= 8 && *(const word *)x == *(const word *)y) length -= 8, x += 8, y += 8;
    for (; length > 0; length--, x++, y++) {
        if (*x != *y) return *x < *y ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length] != 0) length++;
    return length;
}

/*
 * Microkit's linker script begins the writable segment with this section. If it is empty, lld gives it the
 * permissions of the section before it, and makes the whole segment executable.
 */
__asm__(".section .init_array, \"aw\", %init_array\n.previous");
