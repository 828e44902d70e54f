#include "ledger/options.h"

#include <stdbool.h>
#include <stddef.h>

#ifndef SOFTWARE_VERSION
#define SOFTWARE_VERSION "0.1.0"
#endif

static char text[16384];
static size_t used;
static bool is_whole;

static void add_character(char character) {
    if (used + 1 < sizeof text) {
        text[used++] = character;
    } else {
        is_whole = false;
    }
    text[used] = '\0';
}

static void add_text(const char *characters) {
    while (*characters != '\0') add_character(*characters++);
}

/* Adds the characters before `end` as a JSON string (RFC 8259, section 7). */
static void add_string(const char *characters, char end) {
    static const char hex[] = "0123456789abcdef";
    add_character('"');
    for (; *characters != '\0' && *characters != end; characters++) {
        const unsigned char byte = (unsigned char)*characters;
        if (byte < ' ') {
            add_text("\\u00");
            add_character(hex[byte >> 4]);
            add_character(hex[byte & 15]);
            continue;
        }
        if (byte == '"' || byte == '\\') add_character('\\');
        add_character((char)byte);
    }
    add_character('"');
}

static void add_number(uint64_t number) {
    char digits[21] = "";
    size_t at = sizeof digits - 1;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_text(digits + at);
}

static void add_mark(const char *name, const struct keys_mark *mark) {
    add_text("{\"name\":");
    add_string(name, '\0');
    if (mark->has_size) {
        add_text(",\"size\":");
        add_number(mark->size);
    }
    if (mark->has_root) {
        add_text(",\"root\":");
        add_string(mark->root, '\0');
    }
    add_text("}");
}

const char *options_of(const char *module_id, const char *vkey, const char *audit_vkey,
                       const struct keys_mark *mark, const struct keys_mark *audit_mark,
                       uint32_t region_bytes) {
    used = 0;
    is_whole = true;
    add_text("{\"moduleId\":");
    add_string(module_id, '\0');
    add_text(",\"origin\":");
    add_string(vkey, '+');
    add_text(",\"vkeys\":[");
    add_string(vkey, '\0');
    add_text(",");
    add_string(audit_vkey, '\0');
    add_text("],\"regionBytes\":");
    add_number(region_bytes);
    add_text(",\"marks\":[");
    add_mark("the key disk, of the ledger", mark);
    add_text(",");
    add_mark("the key disk, of the audit ledger", audit_mark);
    /* No operator can decide about a shortened ledger, so the records that are left stay readable. */
    add_text("],\"readsOn\":true");
    /* Clients may reach the appliance by any host name. */
    add_text(",\"anyHostName\":true,\"version\":");
    add_string(SOFTWARE_VERSION, '\0');
    add_text("}");
    return is_whole ? text : NULL;
}
