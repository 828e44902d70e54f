#include "commit.h"
#include "base.h"
#include "text.h"

#include <string.h>

static const char hex[] = "0123456789abcdef";

void psdb_commit_make(const struct psdb *store, uint8_t *sector) {
    const struct psdb_group *group = &store->group;
    struct psdb_tar tar = {.type = PSDB_TAR_FILE, .mode = 0600, .size = PSDB_SECTOR, .time = group->time};
    struct psdb_text behind = {.length = 0};
    memcpy(tar.path, PSDB_COMMIT_PATH, sizeof PSDB_COMMIT_PATH);
    for (size_t i = 0; i < 32; i++) {
        tar.link[2 * i] = hex[group->digest[i] >> 4];
        tar.link[2 * i + 1] = hex[group->digest[i] & 15];
    }
    psdb_text_add(&behind, " ");
    psdb_text_number(&behind, group->end - group->start - PSDB_COMMIT_SECTORS);
    PSDB_ASSERT(store, 64 + behind.length < PSDB_TAR_LINK);
    memcpy(tar.link + 64, behind.bytes, behind.length + 1);
    const bool made = psdb_tar_make(sector, &tar);
    PSDB_ASSERT(store, made);
}

static int hex_digit(char character) {
    for (int i = 0; i < 16; i++) {
        if (hex[i] == character) return i;
    }
    return -1;
}

static bool parse_commit_link(const char *link, uint8_t digest[32], uint64_t *behind) {
    if (strlen(link) < 66 || link[64] != ' ' || link[65] == '0') return false;
    for (size_t i = 0; i < 32; i++) {
        const int high = hex_digit(link[2 * i]);
        const int low = hex_digit(link[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        digest[i] = (uint8_t)(high << 4 | low);
    }
    *behind = 0;
    for (const char *at = link + 65; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || *behind > PSDB_MAX_SECTORS) return false;
        *behind = *behind * 10 + (uint64_t)(*at - '0');
    }
    return *behind <= PSDB_MAX_SECTORS;
}

bool psdb_commit_parse(const uint8_t *sectors, uint8_t digest[32], uint64_t *behind,
                       struct psdb_tar_fault *fault) {
    struct psdb_tar tar;
    if (!psdb_tar_parse(sectors, &tar, fault)) return false;
    fault->expected = "a commit member with the SHA-256 and the length of its group, and a sector of zeros";
    fault->found = "another member";
    fault->number = 0;
    if (strlen(tar.path) != sizeof PSDB_COMMIT_PATH - 1) return false;
    if (memcmp(tar.path, PSDB_COMMIT_PATH, sizeof PSDB_COMMIT_PATH) != 0) return false;
    fault->found = "other contents";
    return tar.type == PSDB_TAR_FILE && tar.size == PSDB_SECTOR &&
           parse_commit_link(tar.link, digest, behind) && psdb_tar_is_zero(sectors + PSDB_SECTOR);
}
