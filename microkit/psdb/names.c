#include "names.h"

#include <string.h>

/*
 * key[0]: bits 0-2 kind, 3 ledger, 4-6 level, 7 set, 8-15 tenant, 16-51 characters 0 to 5 of a name
 * key[1]: the index, or characters 6 to 15 of a name
 */
#define KEY_SET 0x80u
#define KEY_TENANT_SHIFT 8
#define KEY_NAME_SHIFT 16
#define NAME_HEAD 6
#define CHARACTER_BITS 6
#define MAX_LEVEL 6

static const char characters[] = "-0123456789abcdefghijklmnopqrstuvwxyz";

/* Returns a character's code: 0 for NUL, which ends a name, -1 for characters that no name has. */
static int character_code(uint8_t character) {
    if (character == '\0') return 0;
    for (int i = 0; characters[i] != '\0'; i++) {
        if ((uint8_t)characters[i] == character) return i + 1;
    }
    return -1;
}

static bool name_ok(const uint8_t name[PSDB_NAME_BYTES]) {
    size_t length = 0;
    while (length < PSDB_NAME_BYTES && character_code(name[length]) > 0) length++;
    if (length == 0) return false;
    for (size_t i = length; i < PSDB_NAME_BYTES; i++) {
        if (name[i] != '\0') return false;
    }
    return true;
}

static bool name_empty(const uint8_t name[PSDB_NAME_BYTES]) {
    for (size_t i = 0; i < PSDB_NAME_BYTES; i++) {
        if (name[i] != '\0') return false;
    }
    return true;
}

/* Returns the number of valid indexes: the most full tiles of a level, or 1 for a single object. */
static uint64_t index_limit(const struct psdb_object *object) {
    switch (object->kind) {
    case PSDB_README:
        return 2;
    case PSDB_TILE:
        return PSDB_MAX_SIZE >> (8u * (object->level + 1u));
    case PSDB_BUNDLE:
        return PSDB_MAX_SIZE >> 8;
    case PSDB_TAIL_FILE:
        return PSDB_MAX_SIZE;
    default:
        return 1;
    }
}

uint8_t psdb_object_fault(const struct psdb_object *object) {
    const uint8_t max_level = object->kind == PSDB_TILE ? MAX_LEVEL : 0;
    if (object->ledger > PSDB_AUDIT) return offsetof(struct psdb_request, ledger);
    if (object->kind < PSDB_README || object->kind > PSDB_CHECKPOINT)
        return offsetof(struct psdb_request, kind);
    if (object->level > max_level) return offsetof(struct psdb_request, level);
    if (object->index >= index_limit(object)) return offsetof(struct psdb_request, index);
    if (object->kind == PSDB_VKEY ? !name_ok(object->name) : !name_empty(object->name)) {
        return offsetof(struct psdb_request, name);
    }
    return 0;
}

void psdb_key_make(const struct psdb_object *object, uint64_t key[2]) {
    key[0] = KEY_SET | (uint64_t)object->kind | (uint64_t)object->ledger << 3 | (uint64_t)object->level << 4 |
             (uint64_t)object->tenant << KEY_TENANT_SHIFT;
    key[1] = object->index;
    for (size_t i = 0; i < PSDB_NAME_BYTES; i++) {
        const uint64_t code = (uint64_t)character_code(object->name[i]);
        if (i < NAME_HEAD) {
            key[0] |= code << (KEY_NAME_SHIFT + CHARACTER_BITS * i);
        } else {
            key[1] |= code << (CHARACTER_BITS * (i - NAME_HEAD));
        }
    }
}

bool psdb_key_parse(const uint64_t key[2], struct psdb_object *object) {
    uint64_t again[2];
    memset(object, 0, sizeof *object);
    object->kind = key[0] & 7;
    object->ledger = key[0] >> 3 & 1;
    object->level = key[0] >> 4 & 7;
    object->tenant = key[0] >> KEY_TENANT_SHIFT & 0xff;
    if (object->kind != PSDB_VKEY) object->index = key[1];
    for (size_t i = 0; object->kind == PSDB_VKEY && i < PSDB_NAME_BYTES; i++) {
        const uint64_t code = i < NAME_HEAD ? key[0] >> (KEY_NAME_SHIFT + CHARACTER_BITS * i) & 63
                                            : key[1] >> (CHARACTER_BITS * (i - NAME_HEAD)) & 63;
        if (code >= sizeof characters) return false;
        object->name[i] = code == 0 ? (uint8_t)'\0' : (uint8_t)characters[code - 1];
    }
    if (psdb_object_fault(object) != 0) return false;
    psdb_key_make(object, again);
    return again[0] == key[0] && again[1] == key[1];
}

static char *put_text(char *at, const char *text) {
    const size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

/* Writes a number in at least `digits` decimal digits. */
static char *put_decimal(char *at, uint64_t value, size_t digits) {
    char reversed[20];
    size_t length = 0;
    do {
        reversed[length++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || length < digits);
    for (size_t i = 0; i < length; i++) at[i] = reversed[length - 1 - i];
    return at + length;
}

/* Writes groups of three digits, all but the last with an `x`: C2SP tlog-tiles. */
static char *put_groups(char *at, uint64_t index) {
    uint64_t divisor = 1;
    while (index / divisor >= 1000) divisor *= 1000;
    for (; divisor > 1; divisor /= 1000) {
        *at++ = 'x';
        at = put_decimal(at, index / divisor % 1000, 3);
        *at++ = '/';
    }
    return put_decimal(at, index % 1000, 3);
}

void psdb_path_make(const struct psdb_object *object, char path[PSDB_OBJECT_PATH]) {
    char *at = path;
    if (object->ledger == PSDB_AUDIT) at = put_text(at, "audit/");
    switch (object->kind) {
    case PSDB_README:
        at = put_text(at, object->index == 0 ? "README.txt" : "verify.sh");
        break;
    case PSDB_ORIGIN:
        at = put_text(at, "origin");
        break;
    case PSDB_VKEY:
        at = put_text(at, "keys/");
        for (size_t i = 0; i < PSDB_NAME_BYTES && object->name[i] != '\0'; i++) *at++ = (char)object->name[i];
        at = put_text(at, ".vkey");
        break;
    case PSDB_TILE:
        at = put_decimal(put_text(at, "tile/"), object->level, 1);
        at = put_text(put_groups(put_text(at, "/"), object->index), ".b64");
        break;
    case PSDB_BUNDLE:
        at = put_text(put_groups(put_text(at, "tile/entries/"), object->index), ".b64");
        break;
    case PSDB_TAIL_FILE:
        at = put_decimal(put_text(at, "tail/"), object->index, 12);
        break;
    default:
        at = put_text(at, "checkpoint");
        break;
    }
    *at = '\0';
}

/* Skips `text` at the beginning of *path. */
static bool skip_text(const char **path, const char *text) {
    const size_t length = strlen(text);
    if (strlen(*path) < length || memcmp(*path, text, length) != 0) return false;
    *path += length;
    return true;
}

/* Reads the digits that follow, at most sixteen, and skips `x` and slashes between them. */
static uint64_t digits_of(const char *path) {
    uint64_t value = 0;
    size_t digits = 0;
    for (; *path != '\0' && *path != '.'; path++) {
        if (*path < '0' || *path > '9') continue;
        if (++digits > 16) return UINT64_MAX;
        value = value * 10 + (uint64_t)(*path - '0');
    }
    return value;
}

static bool parse_vkey(const char *path, struct psdb_object *object) {
    object->kind = PSDB_VKEY;
    for (size_t i = 0; i < PSDB_NAME_BYTES && path[i] != '\0' && path[i] != '.'; i++) {
        object->name[i] = (uint8_t)path[i];
    }
    return true;
}

static bool parse_tile(const char *path, struct psdb_object *object) {
    if (skip_text(&path, "entries/")) {
        object->kind = PSDB_BUNDLE;
    } else {
        if (path[0] < '0' || path[0] > '9' || path[1] != '/') return false;
        object->kind = PSDB_TILE;
        object->level = (uint8_t)(path[0] - '0');
        path += 2;
    }
    object->index = digits_of(path);
    return true;
}

/* Reads the only object that could have the path; psdb_path_parse() then compares their paths. */
static bool guess_object(const char *path, struct psdb_object *object) {
    if (skip_text(&path, "audit/")) object->ledger = PSDB_AUDIT;
    if (skip_text(&path, "keys/")) return parse_vkey(path, object);
    if (skip_text(&path, "tile/")) return parse_tile(path, object);
    if (skip_text(&path, "tail/")) {
        object->kind = PSDB_TAIL_FILE;
        object->index = digits_of(path);
        return true;
    }
    if (skip_text(&path, "README.txt")) object->kind = PSDB_README;
    if (skip_text(&path, "verify.sh")) {
        object->kind = PSDB_README;
        object->index = 1;
    }
    if (skip_text(&path, "origin")) object->kind = PSDB_ORIGIN;
    if (skip_text(&path, "checkpoint")) object->kind = PSDB_CHECKPOINT;
    return object->kind != 0;
}

bool psdb_path_parse(const char *path, struct psdb_object *object) {
    const uint32_t tenant = object->tenant;
    char again[PSDB_OBJECT_PATH];
    memset(object, 0, sizeof *object);
    object->tenant = tenant;
    if (!guess_object(path, object) || psdb_object_fault(object) != 0) return false;
    psdb_path_make(object, again);
    return strlen(path) == strlen(again) && memcmp(path, again, strlen(path)) == 0;
}

bool psdb_tenant_name_ok(const char *name) {
    size_t length = 0;
    while (length < 64 && character_code((uint8_t)name[length]) > 0) length++;
    return length >= 1 && length <= 63 && name[length] == '\0' && name[0] != '-';
}
