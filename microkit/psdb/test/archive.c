#include "archive.h"

#include "check.h"
#include "disk.h"
#include "sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The offsets of the fields of a header: POSIX.1-2017, pax, "ustar Interchange Format". */
enum {
    NAME = 0,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    SUM = 148,
    TYPE = 156,
    LINK = 157,
    MAGIC = 257,
    UNAME = 265,
    GNAME = 297,
    MAJOR = 329,
    MINOR = 337,
    PREFIX = 345,
    REST = 500,
};

uint64_t sectors_of(uint64_t bytes) {
    return (bytes + SECTOR - 1) / SECTOR;
}

static bool is_zero(const uint8_t *bytes, size_t length) {
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Reads octal digits that fill the field up to its last byte, a NUL. */
static bool octal(const uint8_t *field, size_t width, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i + 1 < width; i++) {
        if (field[i] < '0' || field[i] > '7') return false;
        *value = *value * 8 + (uint64_t)(field[i] - '0');
    }
    return field[width - 1] == 0;
}

/* Checks the checksum: six octal digits, NUL, space. It is the sum of the header's bytes, with spaces in its
 * place. */
static bool right_sum(const uint8_t *header) {
    uint64_t stored = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < SECTOR; i++) sum += i >= SUM && i < SUM + 8 ? ' ' : header[i];
    return octal(header + SUM, 7, &stored) && header[SUM + 7] == ' ' && stored == sum;
}

/* Reads the bytes up to the first NUL. Only NULs may follow. */
static bool text(const uint8_t *field, size_t width, char *out) {
    size_t length = 0;
    while (length < width && field[length] != 0) length++;
    memcpy(out, field, length);
    out[length] = '\0';
    return is_zero(field + length, width - length);
}

static bool read_name(const uint8_t *header, char *out) {
    char name[101];
    char prefix[156];
    if (!text(header + NAME, 100, name) || !text(header + PREFIX, 155, prefix) || name[0] == '\0')
        return false;
    (void)snprintf(out, 257, "%s%s%s", prefix, prefix[0] == '\0' ? "" : "/", name);
    return true;
}

/* Returns what is wrong with the header, or NULL. */
static const char *read_header(const uint8_t *header, struct member *member) {
    uint64_t mode = 0;
    uint64_t zero = 0;
    if (!right_sum(header)) return "the header's checksum is wrong";
    if (memcmp(header + MAGIC, "ustar\00000", 8) != 0) return "the magic is not ustar's";
    if (!read_name(header, member->name)) return "the name is not a name";
    if (!octal(header + MODE, 8, &mode)) return "the mode is not octal";
    if (!octal(header + UID, 8, &zero) || zero != 0) return "the uid is not 0";
    if (!octal(header + GID, 8, &zero) || zero != 0) return "the gid is not 0";
    if (!octal(header + SIZE, 12, &member->size)) return "the size is not octal";
    if (!octal(header + MTIME, 12, &member->mtime)) return "the time is not octal";
    if (!text(header + LINK, 100, member->link)) return "the linkname is not a text";
    if (!is_zero(header + UNAME, 64)) return "there is a user's or a group's name";
    if (!octal(header + MAJOR, 8, &zero) || zero != 0) return "devmajor is not 0";
    if (!octal(header + MINOR, 8, &zero) || zero != 0) return "devminor is not 0";
    if (!is_zero(header + REST, SECTOR - REST)) return "there are bytes after the prefix";
    member->mode = (uint32_t)mode;
    member->type = (char)header[TYPE];
    if (member->type != '0' && member->type != '5') return "the type is neither a file's nor a directory's";
    if (member->type == '5' && member->size != 0) return "a directory with data";
    return NULL;
}

static void add_member(struct archive *archive, const struct member *member) {
    if (archive->count == archive->room) {
        archive->room = archive->room * 2 + 64;
        archive->members = realloc(archive->members, archive->room * sizeof *archive->members);
        CHECK(archive->members != NULL);
    }
    archive->members[archive->count++] = *member;
}

static void refuse(struct archive *archive, uint64_t sector, const char *what) {
    if (archive->error[0] == '\0') {
        (void)snprintf(archive->error, sizeof archive->error, "sector %llu: %s", (unsigned long long)sector,
                       what);
    }
}

/* Reads the member at `sector`. Returns the sector after it, or 0 if it is invalid. */
static uint64_t read_member(struct archive *archive, const uint8_t *bytes, uint64_t sectors,
                            uint64_t sector) {
    struct member member = {.sector = sector};
    const char *wrong = read_header(bytes + sector * SECTOR, &member);
    uint64_t data = sectors_of(member.size);
    if (wrong == NULL && (data > sectors || sector + 1 + data + 2 > sectors))
        wrong = "the data ends after the end of the disk";
    if (wrong == NULL) {
        const uint8_t *end = bytes + (sector + 1) * SECTOR + member.size;
        if (!is_zero(end, (size_t)(data * SECTOR - member.size)))
            wrong = "the padding after the data is not zero";
    }
    if (wrong != NULL) {
        refuse(archive, sector, wrong);
        return 0;
    }
    add_member(archive, &member);
    return sector + 1 + data;
}

struct archive archive_read(const uint8_t *bytes, uint64_t sectors, uint64_t from) {
    struct archive archive = {.end = from};
    while (archive.error[0] == '\0') {
        uint64_t sector = archive.end;
        if (sector + 2 > sectors) {
            refuse(&archive, sector, "no two zero sectors before the disk's end");
            break;
        }
        if (is_zero(bytes + sector * SECTOR, SECTOR)) {
            if (!is_zero(bytes + (sector + 1) * SECTOR, SECTOR))
                refuse(&archive, sector, "a lone zero sector");
            break;
        }
        uint64_t next = read_member(&archive, bytes, sectors, sector);
        if (next != 0) archive.end = next;
    }
    return archive;
}

void archive_free(struct archive *archive) {
    free(archive->members);
    *archive = (struct archive){0};
}

const struct member *archive_find(const struct archive *archive, const char *name) {
    for (size_t i = archive->count; i > 0; i--)
        if (strcmp(archive->members[i - 1].name, name) == 0) return &archive->members[i - 1];
    return NULL;
}

/* Reports whether `link` is `<64 hex digits of the hash> <count, decimal>`, and sets the count. */
static bool read_link(const char *link, const uint8_t *bytes, uint64_t room, uint64_t *count) {
    uint8_t digest[32];
    char expected[101];
    char *rest = NULL;
    if (strlen(link) < 66 || link[64] != ' ' || link[65] < '1' || link[65] > '9') return false;
    *count = strtoull(link + 65, &rest, 10);
    if (*rest != '\0' || *count > room) return false;
    sha256(bytes, (size_t)(*count * SECTOR), digest);
    for (size_t i = 0; i < 32; i++) (void)snprintf(expected + 2 * i, 3, "%02x", digest[i]);
    return memcmp(link, expected, 64) == 0;
}

static const char *check_mode(const struct member *member) {
    if (member->type == '5') return member->mode == 0700 ? NULL : "a directory's mode is not 0700";
    if (strncmp(member->name, ".psdb/", 6) == 0) return NULL;
    bool replaced = strstr(member->name, "/tail/") != NULL;
    size_t length = strlen(member->name);
    if (length > 11 && strcmp(member->name + length - 11, "/checkpoint") == 0) replaced = true;
    return member->mode == (replaced ? 0600u : 0444u) ? NULL : "the mode is not the kind's";
}

void archive_check_groups(struct archive *archive, const uint8_t *bytes) {
    for (size_t i = 0; i < archive->count && archive->error[0] == '\0';) {
        const struct member *commit = &archive->members[i++];
        uint64_t count = 0;
        const uint8_t *data = bytes + (commit->sector + 1) * SECTOR;
        uint64_t begin = commit->sector + 2;
        if (strcmp(commit->name, COMMIT_NAME) != 0) {
            refuse(archive, commit->sector, "the beginning of a group is not a commit member");
        } else if (commit->size != SECTOR || !is_zero(data, SECTOR)) {
            refuse(archive, commit->sector, "a commit member's data is not one sector of zeros");
        } else if (archive->end < begin ||
                   !read_link(commit->link, data + SECTOR, archive->end - begin, &count)) {
            refuse(archive, commit->sector,
                   "a commit member's linkname is not the digest of the members after it");
        }
        uint64_t end = begin + count;
        while (i < archive->count && archive->members[i].sector < end) {
            const struct member *member = &archive->members[i++];
            const char *wrong = check_mode(member);
            if (strcmp(member->name, COMMIT_NAME) == 0) wrong = "a commit member within a group";
            if (wrong != NULL) refuse(archive, member->sector, wrong);
        }
        uint64_t next = i < archive->count ? archive->members[i].sector : archive->end;
        if (next != end) refuse(archive, commit->sector, "the group ends within a member");
    }
}
