/* Records of pax headers: IEEE Std 1003.1-2017, pax, "pax Extended Header". */
#include "extension.h"

#include <stdbool.h>
#include <string.h>

static bool is_word(const uint8_t *at, size_t length, const char *word) {
    return strlen(word) == length && memcmp(at, word, length) == 0;
}

/* Reports whether a pax key would change the name, size or kind of the member after it. */
static bool changes_member(const uint8_t *key, size_t length) {
    static const char sparse[] = "GNU.sparse";
    if (length >= sizeof sparse - 1 && memcmp(key, sparse, sizeof sparse - 1) == 0) return true;
    return is_word(key, length, "path") || is_word(key, length, "size") || is_word(key, length, "linkpath");
}

const char *psdb_pax_fault(const uint8_t *data, size_t size) {
    size_t at = 0;
    while (at < size) {
        size_t length = 0;
        size_t i = at;
        for (; i < size && data[i] >= '0' && data[i] <= '9' && length < size; i++) {
            length = length * 10 + (size_t)(data[i] - '0');
        }
        /* The length includes itself, the space and the line feed; the shortest record is `5 k=\n`. */
        if (i == at || i == size || data[i] != ' ' || length < i - at + 4 || length > size - at) {
            return "a record with a wrong length";
        }
        if (data[at + length - 1] != '\n') return "a record without a line feed at its end";
        const size_t key = i + 1;
        size_t end = key;
        while (end < at + length && data[end] != '=') end++;
        if (end == at + length || end == key) return "a record without a key";
        if (changes_member(data + key, end - key))
            return "a record that changes the next member's name, size or kind";
        at += length;
    }
    return NULL;
}
