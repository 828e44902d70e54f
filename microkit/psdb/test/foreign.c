#include "foreign.h"

#include "archive.h"
#include "check.h"
#include "random.h"
#include "sha256.h"

#include <stdio.h>
#include <string.h>

void put_sum(uint8_t header[SECTOR]) {
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < SECTOR; i++) sum += header[i];
    (void)snprintf((char *)header + 148, 7, "%06o", sum);
    header[155] = ' ';
}

static void put_octal(uint8_t *field, int digits, uint64_t value) {
    (void)snprintf((char *)field, (size_t)digits + 1, "%0*llo", digits, (unsigned long long)value);
}

static void put_text(uint8_t *field, size_t width, const char *text) {
    size_t length = text == NULL ? 0 : strlen(text);
    CHECK(length <= width);
    if (length > 0) memcpy(field, text, length);
}

void put_header(uint8_t header[SECTOR], const struct entry *entry) {
    memset(header, 0, SECTOR);
    put_text(header, 100, entry->name);
    put_octal(header + 100, 7, entry->mode == 0 ? 0644 : entry->mode);
    put_octal(header + 108, 7, entry->gnu ? 1000 : 0);
    put_octal(header + 116, 7, entry->gnu ? 1000 : 0);
    put_octal(header + 124, 11, entry->size);
    put_octal(header + 136, 11, 1700000000);
    header[156] = (uint8_t)(entry->type == 0 ? '0' : entry->type);
    put_text(header + 157, 100, entry->link);
    memcpy(header + 257, entry->gnu ? "ustar  " : "ustar\00000", 8);
    if (entry->gnu) memcpy(header + 265, "builder", 7);
    if (!entry->gnu) memcpy(header + 329, "0000000\0000000000", 16);
    put_text(header + 345, 155, entry->prefix);
    put_sum(header);
}

uint64_t put_entry(struct foreign *foreign, const struct entry *entry) {
    uint64_t sector = foreign->at;
    struct entry whole = *entry;
    if (entry->bytes != NULL && entry->size == 0) whole.size = strlen(entry->bytes);
    put_header(disk_at(foreign->disk, sector), &whole);
    foreign->at++;
    if (entry->no_data) return sector;
    CHECK(sectors_of(whole.size) <= foreign->disk->sectors - foreign->at);
    uint8_t *data = foreign->disk->bytes + foreign->at * SECTOR;
    if (entry->bytes != NULL) {
        memcpy(data, entry->bytes, (size_t)whole.size);
    } else {
        random_bytes(entry->seed, data, (size_t)whole.size);
    }
    foreign->at += sectors_of(whole.size);
    return sector;
}

void put_pax(struct foreign *foreign, char type, const char *records) {
    (void)put_entry(foreign, &(struct entry){.name = "PaxHeaders/x", .type = type, .bytes = records});
}

void begin_group(struct foreign *foreign) {
    foreign->commit = foreign->at;
    foreign->at += 2;
}

void end_group(struct foreign *foreign) {
    uint8_t digest[32];
    char link[101];
    uint64_t begin = foreign->commit + 2;
    uint64_t count = foreign->at - begin;
    sha256(foreign->disk->bytes + begin * SECTOR, (size_t)(count * SECTOR), digest);
    for (size_t i = 0; i < 32; i++) (void)snprintf(link + 2 * i, 3, "%02x", digest[i]);
    (void)snprintf(link + 64, 37, " %llu", (unsigned long long)count);
    put_header(disk_at(foreign->disk, foreign->commit),
               &(struct entry){.name = COMMIT_NAME, .link = link, .size = SECTOR, .mode = 0600});
}

void put_filler(struct disk *disk, uint64_t sectors) {
    put_header(disk->bytes, &(struct entry){.name = "filler", .size = (sectors - 1) * SECTOR});
}
