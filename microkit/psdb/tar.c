#include "tar.h"

#include <string.h>

/* The offset, and the length in bytes, of each field of the header. */
#define NAME 0
#define NAME_BYTES 100
#define MODE 100
#define UID 108
#define GID 116
#define SIZE 124
#define TIME 136
#define CHECKSUM 148
#define TYPE 156
#define LINK 157
#define LINK_BYTES 100
#define MAGIC 257
#define DEVICE_MAJOR 329
#define DEVICE_MINOR 337
#define PREFIX 345
#define PREFIX_BYTES 155
/* GNU, type `S`: more sectors of the sparse map follow. */
#define IS_EXTENDED 482

static const uint8_t ustar_magic[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};
static const uint8_t gnu_magic[8] = {'u', 's', 't', 'a', 'r', ' ', ' ', '\0'};

/* Writes `digits` octal digits and a NUL. */
static void put_octal(uint8_t *field, size_t digits, uint64_t value) {
    for (size_t i = digits; i > 0; i--) {
        field[i - 1] = (uint8_t)('0' + (value & 7));
        value >>= 3;
    }
    field[digits] = '\0';
}

/* Reads spaces, octal digits, then spaces or NULs to the end of the field. */
static bool get_octal(const uint8_t *field, size_t bytes, uint64_t *value) {
    size_t i = 0;
    size_t digits = 0;
    *value = 0;
    while (i < bytes && field[i] == ' ') i++;
    for (; i < bytes && field[i] >= '0' && field[i] <= '7'; i++) {
        *value = *value << 3 | (uint64_t)(field[i] - '0');
        digits++;
    }
    for (; i < bytes; i++) {
        if (field[i] != ' ' && field[i] != '\0') return false;
    }
    return digits > 0;
}

/* Returns the sum of all bytes; those of the checksum field count as spaces. */
static uint64_t checksum_of(const uint8_t sector[PSDB_SECTOR]) {
    uint64_t total = 0;
    for (size_t i = 0; i < PSDB_SECTOR; i++) {
        total += i >= CHECKSUM && i < CHECKSUM + 8 ? (uint64_t)' ' : (uint64_t)sector[i];
    }
    return total;
}

/*
 * Returns where to split the path into prefix and name: 0 if it fits the name, PSDB_TAR_PATH if it cannot be
 * split.
 */
static size_t split_path(const char *path, size_t length) {
    if (length <= NAME_BYTES) return 0;
    for (size_t i = 1; i <= PREFIX_BYTES && i + 1 < length; i++) {
        if (path[i] == '/' && length - i - 1 <= NAME_BYTES) return i;
    }
    return PSDB_TAR_PATH;
}

bool psdb_tar_make(uint8_t sector[PSDB_SECTOR], const struct psdb_tar *tar) {
    const size_t length = strlen(tar->path);
    const size_t at = split_path(tar->path, length);
    if (length == 0 || at == PSDB_TAR_PATH) return false;
    if (tar->size > PSDB_TAR_MAX_SIZE || tar->time > PSDB_MAX_TIME || tar->mode > 07777) return false;
    memset(sector, 0, PSDB_SECTOR);
    if (at == 0) {
        memcpy(sector + NAME, tar->path, length);
    } else {
        memcpy(sector + PREFIX, tar->path, at);
        memcpy(sector + NAME, tar->path + at + 1, length - at - 1);
    }
    if (tar->type == PSDB_TAR_DIRECTORY && at == 0 && length < NAME_BYTES) sector[NAME + length] = '/';
    put_octal(sector + MODE, 7, tar->mode);
    put_octal(sector + UID, 7, 0);
    put_octal(sector + GID, 7, 0);
    put_octal(sector + SIZE, 11, tar->size);
    put_octal(sector + TIME, 11, tar->time);
    sector[TYPE] = tar->type;
    memcpy(sector + LINK, tar->link, strlen(tar->link));
    memcpy(sector + MAGIC, ustar_magic, sizeof ustar_magic);
    put_octal(sector + DEVICE_MAJOR, 7, 0);
    put_octal(sector + DEVICE_MINOR, 7, 0);
    put_octal(sector + CHECKSUM, 6, checksum_of(sector));
    sector[CHECKSUM + 7] = ' ';
    return true;
}

/* Copies a field up to its NUL or its end. */
static size_t get_text(const uint8_t *field, size_t bytes, char *out) {
    size_t length = 0;
    while (length < bytes && field[length] != '\0') length++;
    memcpy(out, field, length);
    out[length] = '\0';
    return length;
}

static void get_path(const uint8_t sector[PSDB_SECTOR], char path[PSDB_TAR_PATH]) {
    char whole[PSDB_TAR_PATH];
    size_t length = 0;
    /* After GNU's magic, the prefix's bytes hold other fields. */
    if (memcmp(sector + MAGIC, ustar_magic, 6) == 0) length = get_text(sector + PREFIX, PREFIX_BYTES, whole);
    if (length > 0) whole[length++] = '/';
    length += get_text(sector + NAME, NAME_BYTES, whole + length);
    size_t first = 0;
    while (length - first >= 2 && whole[first] == '.' && whole[first + 1] == '/') {
        first += 2;
        while (first < length && whole[first] == '/') first++;
    }
    while (length > first && whole[length - 1] == '/') length--;
    memcpy(path, whole + first, length - first);
    path[length - first] = '\0';
}

bool psdb_tar_parse(const uint8_t sector[PSDB_SECTOR], struct psdb_tar *tar, struct psdb_tar_fault *fault) {
    uint64_t checksum;
    fault->expected = "the header of a ustar member";
    fault->number = 0;
    if (memcmp(sector + MAGIC, ustar_magic, 6) != 0 && memcmp(sector + MAGIC, gnu_magic, 8) != 0) {
        fault->found = "no magic `ustar`";
        return false;
    }
    if (!get_octal(sector + CHECKSUM, 8, &checksum) || checksum != checksum_of(sector)) {
        fault->found = "a wrong checksum; that of its bytes is ";
        fault->number = checksum_of(sector);
        return false;
    }
    if (!get_octal(sector + SIZE, 12, &tar->size)) {
        fault->found = "a size that is not octal";
        return false;
    }
    get_path(sector, tar->path);
    get_text(sector + LINK, LINK_BYTES, tar->link);
    tar->type = sector[TYPE] == '\0' || sector[TYPE] == '7' ? (uint8_t)PSDB_TAR_FILE : sector[TYPE];
    tar->more_sparse = tar->type == PSDB_TAR_SPARSE && sector[IS_EXTENDED] != 0;
    tar->time = 0;
    tar->mode = 0;
    return true;
}

uint64_t psdb_tar_sectors(const struct psdb_tar *tar) {
    if (tar->type >= '1' && tar->type <= '6') return 0;
    return (tar->size + PSDB_SECTOR - 1) / PSDB_SECTOR;
}

bool psdb_tar_is_zero(const uint8_t sector[PSDB_SECTOR]) {
    for (size_t i = 0; i < PSDB_SECTOR; i++) {
        if (sector[i] != 0) return false;
    }
    return true;
}
