/* Opening archives of other programs, and broken ones. */
#include "archive.h"
#include "check.h"
#include "foreign.h"
#include "object.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK 4096u

static struct foreign make(void) {
    return (struct foreign){.disk = disk_make(DISK)};
}

static void put(struct foreign *foreign, const char *name, uint64_t seed, uint64_t size) {
    (void)put_entry(foreign, &(struct entry){.name = name, .seed = seed, .size = size});
}

/* Opens the disk, and checks that opening changes nothing. */
static struct rig *open_any(const struct foreign *foreign, enum psdb_state state) {
    struct rig_options options = {.foreign_end = foreign->at};
    uint64_t sum = disk_sum(foreign->disk, foreign->disk->sectors);
    struct rig *rig = rig_open(foreign->disk, &options);
    CHECK(rig != NULL);
    CHECK_SAME(rig->sectors_written, 0);
    CHECK_SAME(disk_sum(foreign->disk, foreign->disk->sectors), sum);
    if (psdb_state(rig->store) != state) FAIL("state %d: %s", (int)psdb_state(rig->store), rig->reports);
    return rig;
}

static void end(struct rig *rig) {
    struct disk *disk = rig->disk;
    rig_close(rig);
    disk_free(disk);
}

/* Continues writing after the archive's end, and opens the disk again. */
static void check_goes_on(struct rig *rig, const struct foreign *foreign) {
    CHECK_SAME(seal(rig, 0, VKEY(PSDB_AUDIT, "later"), 77, 1000), PSDB_OK);
    CHECK_SAME(seal(rig, 1, VKEY(PSDB_AUDIT, "later"), 78, 1000), PSDB_OK);
    struct archive archive = archive_read(foreign->disk->bytes, DISK, foreign->at);
    archive_check_groups(&archive, foreign->disk->bytes);
    CHECK(archive.error[0] == '\0');
    archive_free(&archive);
    rig_close(rig);
    rig = open_any(foreign, PSDB_READY);
    check_object(rig, 0, VKEY(PSDB_AUDIT, "later"), 77, 1000);
    check_object(rig, 1, VKEY(PSDB_AUDIT, "later"), 78, 1000);
    end(rig);
}

/* Checks that the disk does not open, that every request is answered CORRUPT, and that the report names the
 * sector, what was expected and what was found. */
static void check_corrupt(const struct foreign *foreign, uint64_t sector, const char *part) {
    char place[40];
    struct rig *rig = open_any(foreign, PSDB_STOPPED);
    (void)snprintf(place, sizeof place, "sector %llu", (unsigned long long)sector);
    CHECK_HAS(rig->reports, place);
    CHECK_HAS(rig->reports, "expected");
    CHECK_HAS(rig->reports, "found");
    if (part != NULL) CHECK_HAS(rig->reports, part);
    struct psdb_request read = read_request(README(0), 0, 0, 1000);
    struct psdb_request tail = tail_request(0, 0, 0, 1000);
    CHECK_SAME(rig_ask(rig, 0, &read).status, PSDB_CORRUPT);
    CHECK_SAME(rig_ask(rig, 1, &tail).status, PSDB_CORRUPT);
    CHECK_SAME(ask_stat(rig, 0, 0).status, PSDB_CORRUPT);
    CHECK_SAME(seal(rig, 0, ORIGIN(0), 1, 100), PSDB_CORRUPT);
    CHECK_SAME(commit(rig, 0, 0, 0, 1, 1, 100), PSDB_CORRUPT);
    CHECK_SAME(publish(rig, 1, 1, 1, 100), PSDB_CORRUPT);
    CHECK_SAME(rig->sectors_written, 0);
    end(rig);
}

static void put_ledger(struct foreign *foreign, bool gnu, const char *dots) {
    static const struct {
        const char *name;
        char type;
    } members[] = {{"acme/", '5'},
                   {"acme/README.txt", '0'},
                   {"acme/origin", '0'},
                   {"acme/keys/", '5'},
                   {"acme/keys/ed25519.vkey", '7'},
                   {"acme/tile/0/000.b64", '0'},
                   {"acme/tile/entries/000.b64", '0'},
                   {"acme/tile/entries/x001/234.b64", '0'},
                   {"acme/tail/000000000256", '0'},
                   {"acme/checkpoint", '0'},
                   {"acme/audit/", '5'},
                   {"acme/audit/origin", '0'}};
    for (uint64_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        char name[100];
        (void)snprintf(name, sizeof name, "%s%s", dots, members[i].name);
        (void)put_entry(foreign, &(struct entry){.name = name,
                                                 .type = members[i].type,
                                                 .seed = i,
                                                 .size = members[i].type == '5' ? 0 : 100 * i,
                                                 .gnu = gnu});
    }
}

static void check_ledger(struct rig *rig) {
    check_object(rig, 0, README(0), 1, 100);
    check_object(rig, 0, ORIGIN(0), 2, 200);
    check_object(rig, 0, VKEY(0, "ed25519"), 4, 400);
    check_object(rig, 0, TILE(0, 0, 0), 5, 500);
    check_object(rig, 0, BUNDLE(0, 0), 6, 600);
    check_object(rig, 0, BUNDLE(0, 1234), 7, 700);
    check_object(rig, 0, TAIL_FILE(0, 256), 8, 800);
    check_object(rig, 0, CHECKPOINT(0), 9, 900);
    check_object(rig, 0, ORIGIN(1), 11, 1100);
    check_tail(rig, 0, 0, (const uint64_t[]){256}, 1);
    CHECK_SAME(ask_stat(rig, 0, 0).index, 1);
}

TEST(a_ledger_by_other_programs) {
    static const char *const dots[] = {"", "./"};
    for (unsigned i = 0; i < 4; i++) {
        struct foreign foreign = make();
        note("GNU %u, in front '%s'", i / 2, dots[i % 2]);
        if (i % 2) (void)put_entry(&foreign, &(struct entry){.name = "./", .type = '5', .gnu = i / 2 != 0});
        put_ledger(&foreign, i / 2 != 0, dots[i % 2]);
        struct rig *rig = open_any(&foreign, PSDB_READY);
        check_ledger(rig);
        CHECK_SAME(seal(rig, 0, README(0), 1, 100), PSDB_OK);
        CHECK_SAME(seal(rig, 0, README(0), 2, 100), PSDB_CONFLICT);
        CHECK_SAME(commit(rig, 0, 0, 256, 300, 1, 10), PSDB_CONFLICT);
        check_goes_on(rig, &foreign);
    }
}

TEST(the_old_type_of_a_file_is_nul) {
    struct foreign foreign = make();
    uint64_t sector = put_entry(&foreign, &(struct entry){.name = "acme/origin", .seed = 1, .size = 30});
    uint8_t *header = disk_at(foreign.disk, sector);
    header[156] = 0;
    put_sum(header);
    struct rig *rig = open_any(&foreign, PSDB_READY);
    check_object(rig, 0, ORIGIN(0), 1, 30);
    check_goes_on(rig, &foreign);
}

TEST(numbers_as_other_programs_write_them) {
    static const char *const sizes[] = {"00000000144\0", "0000000144 \0",       "        144 ",
                                        "       144 \0", "144\0\0\0\0\0\0\0\0", "000000000144",
                                        "0000000144\0 "};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct foreign foreign = make();
        uint64_t sector = put_entry(&foreign, &(struct entry){.name = "acme/origin", .seed = 1, .size = 100});
        uint8_t *header = disk_at(foreign.disk, sector);
        note("size '%s'", sizes[i]);
        memcpy(header + 124, sizes[i], 12);
        put_sum(header);
        struct rig *rig = open_any(&foreign, PSDB_READY);
        check_object(rig, 0, ORIGIN(0), 1, 100);
        check_goes_on(rig, &foreign);
    }
}

TEST(names_with_a_prefix) {
    static const char tenant[] = "a23456789-123456789-123456789-123456789-123456789-123456789-123";
    struct foreign foreign = make();
    struct rig_options options = {.names = {tenant}};
    (void)put_entry(&foreign, &(struct entry){.name = "entries/x001/234.b64",
                                              .prefix = "a23456789-123456789-123456789-"
                                                        "123456789-123456789-123456789-123/audit/tile",
                                              .seed = 5,
                                              .size = 700});
    options.foreign_end = foreign.at;
    struct rig *rig = rig_open(foreign.disk, &options);
    CHECK(rig != NULL);
    check_object(rig, 0, BUNDLE(1, 1234), 5, 700);
    CHECK_SAME(seal(rig, 0, BUNDLE(1, 1234), 5, 700), PSDB_OK);
    end(rig);
}

/* None of these is an object of a tenant. */
TEST(members_that_are_left_alone) {
    static const char *const names[] = {"lost+found",
                                        "README.txt",
                                        "someone/origin",
                                        "acm/origin",
                                        "acmex/origin",
                                        "acme/lock",
                                        "acme/tmp/17",
                                        "acme/cache/records/LOG",
                                        "acme/origin.bak",
                                        "acme/tile/0/000",
                                        "acme/tile/0/0.b64",
                                        "acme/tile/7/000.b64",
                                        "acme/tile/0/1000.b64",
                                        "acme/tile/0/x000/001.b64",
                                        "acme/tile/entries/000.p/17.b64",
                                        "acme/tail/000",
                                        "acme/tail/00000000000x",
                                        "acme/tail/0000000000001",
                                        "acme/audit/audit/origin",
                                        "acme/keys/x",
                                        "acme/keys/A.vkey",
                                        "acme/keys/12345678901234567.vkey",
                                        "acme/keys/.vkey",
                                        "acme/checkpoint.new",
                                        "acme/x",
                                        ".psdb/other",
                                        "acme",
                                        "acme//origin",
                                        "acme/../other/origin",
                                        "/acme/origin",
                                        "acme/./origin"};
    struct foreign foreign = make();
    put(&foreign, "acme/README.txt", 1, 100);
    for (uint64_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (unsigned twice = 0; twice < 2; twice++)
            put(&foreign, names[i], 2 + i + 100 * twice, 100 + 50 * i);
    }
    put(&foreign, "acme/origin", 9, 100);
    struct rig *rig = open_any(&foreign, PSDB_READY);
    check_object(rig, 0, README(0), 1, 100);
    check_object(rig, 0, ORIGIN(0), 9, 100);
    check_none(rig, 1, ORIGIN(0));
    check_none(rig, 0, TILE(0, 0, 0));
    check_none(rig, 0, TILE(0, 0, 1));
    check_none(rig, 0, CHECKPOINT(0));
    check_tail(rig, 0, 0, NULL, 0);
    check_goes_on(rig, &foreign);
}

/* Members of unsupported types are skipped outside of tenants' directories. */
TEST(links_long_names_and_sparse_files_of_others) {
    static const char *const names[] = {"other-app/x", "acme/tmp/x", "acme/cache/x", "acme/lock"};
    static const char types[] = "12346KLSM";
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        struct foreign foreign = make();
        for (size_t i = 0; types[i] != '\0'; i++) {
            bool long_name = types[i] == 'K' || types[i] == 'L';
            bool link = types[i] >= '1' && types[i] <= '6';
            if (types[i] == 'M') continue;
            (void)put_entry(&foreign,
                            &(struct entry){.name = long_name ? "././@LongLink" : names[n],
                                            .type = types[i],
                                            .link = link ? "acme/origin" : NULL,
                                            .gnu = true,
                                            .bytes = long_name ? "other-app/a-very-long-name" : NULL,
                                            .size = 0});
            if (long_name) put(&foreign, names[n], 1, 100);
        }
        put(&foreign, "acme/origin", 9, 100);
        note("below %s", names[n]);
        struct rig *rig = open_any(&foreign, PSDB_READY);
        check_object(rig, 0, ORIGIN(0), 9, 100);
        check_goes_on(rig, &foreign);
    }
}

TEST(links_and_sparse_files_below_a_tenant) {
    static const char types[] = "1S";
    for (size_t i = 0; types[i] != '\0'; i++) {
        struct foreign foreign = make();
        put(&foreign, "acme/origin", 9, 100);
        uint64_t sector = put_entry(
            &foreign,
            &(struct entry){.name = "acme/README.txt", .type = types[i], .link = "acme/origin", .gnu = true});
        note("type %c", types[i]);
        check_corrupt(&foreign, sector, "acme/README.txt");
    }
}

TEST(a_long_name_below_a_tenant) {
    struct foreign foreign = make();
    put(&foreign, "acme/origin", 9, 100);
    uint64_t sector = put_entry(
        &foreign,
        &(struct entry){.name = "././@LongLink", .type = 'L', .gnu = true, .bytes = "acme/README.txt"});
    put(&foreign, "acme/README.txt", 1, 100);
    struct rig_options options = {.foreign_end = foreign.at};
    struct rig *rig = rig_open(foreign.disk, &options);
    CHECK(rig != NULL);
    CHECK_SAME(psdb_state(rig->store), PSDB_STOPPED);
    CHECK_HAS(rig->reports, "sector ");
    (void)sector;
    end(rig);
}

TEST(pax_headers_that_change_nothing) {
    static const char *const records[] = {"30 mtime=1700000000.123456789\n", "20 comment=whatever\n",
                                          "30 ctime=1700000000.123456789\n30 atime=1700000000.123456789\n",
                                          "28 SCHILY.xattr.user.a=path\n", "11 uid=0\n\0"};
    struct foreign foreign = make();
    put_pax(&foreign, 'g', "20 comment=whatever\n");
    for (size_t i = 0; i < 4; i++) {
        char name[60];
        (void)snprintf(name, sizeof name, "acme/tile/0/00%u.b64", (unsigned)i);
        put_pax(&foreign, 'x', records[i]);
        put(&foreign, name, i, 600);
    }
    struct rig *rig = open_any(&foreign, PSDB_READY);
    for (uint64_t i = 0; i < 4; i++) check_object(rig, 0, TILE(0, 0, i), i, 600);
    check_goes_on(rig, &foreign);
}

TEST(pax_headers_that_change_the_member) {
    static const char *const records[] = {"20 path=acme/origin\n", "12 size=100\n", "17 linkpath=abcd\n",
                                          "22 GNU.sparse.major=1\n",
                                          "20 comment=whatever\n20 path=acme/origin\n"};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct foreign foreign = make();
        put(&foreign, "acme/README.txt", 1, 100);
        put_pax(&foreign, i % 2 ? 'g' : 'x', records[i]);
        put(&foreign, "acme/tile/0/000.b64", 1, 100);
        note("record %s", records[i]);
        struct rig *rig = open_any(&foreign, PSDB_STOPPED);
        CHECK_HAS(rig->reports, "sector ");
        end(rig);
    }
}

TEST(pax_headers_that_are_none) {
    static const char *const records[] = {
        "x",
        "20",
        "99 a=b\n",
        "4 a=\n",
        "5 a=b",
        "6 a=bc",
        "5 =b\n",
        "7 abcd\n",
        "0 a=b\n",
        "11 uid=0\n11",
        "99999999999999999999999999 a=b\n",
    };
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct foreign foreign = make();
        put(&foreign, "acme/README.txt", 1, 100);
        put_pax(&foreign, 'x', records[i]);
        put(&foreign, "acme/tile/0/000.b64", 1, 100);
        note("record %s", records[i]);
        struct rig *rig = open_any(&foreign, PSDB_STOPPED);
        CHECK_HAS(rig->reports, "a record ");
        end(rig);
    }
}

TEST(pax_headers_and_long_names_of_no_and_of_much_data) {
    for (unsigned kind = 0; kind < 3; kind++) {
        for (unsigned way = 0; way < 4; way++) {
            static const uint64_t sizes[] = {0, 16384, 16385, 100000};
            struct foreign foreign = make();
            note("type %c, %u bytes", "xgL"[kind], (unsigned)sizes[way]);
            uint64_t sector = put_entry(
                &foreign, &(struct entry){.name = "x", .type = "xgL"[kind], .size = sizes[way], .gnu = true});
            if (sizes[way] > 0) memset(disk_at(foreign.disk, sector + 1), 'z', (size_t)sizes[way]);
            if (way == 1 && kind < 2) memcpy(disk_at(foreign.disk, sector + 1), "16384 comment=", 14);
            if (way == 1) disk_at(foreign.disk, sector + 1)[16383] = '\n';
            put(&foreign, way < 2 && kind == 2 ? "someone" : "acme/origin", 1, 100);
            end(open_any(&foreign, way < 2 ? PSDB_READY : PSDB_STOPPED));
        }
    }
}

/* The owner of a member follows from its GNU long name, not from the short name in its header. */
TEST(long_names_of_others) {
    static const char *const names[] = {"./././someone/else", "acme/tmp/x",   "acme/audit/cache/x",
                                        "acme/lock",          "./acme/cache", "acmex/origin"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct foreign foreign = make();
        (void)put_entry(
            &foreign, &(struct entry){.name = "././@LongLink", .type = 'L', .gnu = true, .bytes = names[i]});
        put(&foreign, "acme/origin", 1, 100);
        put(&foreign, "acme/README.txt", 2, 100);
        note("%s", names[i]);
        struct rig *rig = open_any(&foreign, PSDB_READY);
        check_none(rig, 0, ORIGIN(0));
        check_object(rig, 0, README(0), 2, 100);
        end(rig);
    }
}

TEST(the_later_of_two_members) {
    struct foreign foreign = make();
    put(&foreign, "acme/checkpoint", 1, 100);
    put(&foreign, "acme/checkpoint", 2, 200);
    put(&foreign, "acme/origin", 3, 300);
    put(&foreign, "acme/origin", 3, 300);
    put(&foreign, "acme/tail/000000000000", 4, 100);
    put(&foreign, "acme/tail/000000000000", 4, 100);
    struct rig *rig = open_any(&foreign, PSDB_READY);
    check_object(rig, 0, CHECKPOINT(0), 2, 200);
    check_object(rig, 0, ORIGIN(0), 3, 300);
    check_tail(rig, 0, 0, (const uint64_t[]){0}, 1);
    check_goes_on(rig, &foreign);
}

TEST(a_later_member_with_other_bytes) {
    static const char *const names[] = {"acme/origin", "acme/tile/0/000.b64",
                                        "acme/audit/tile/entries/005.b64", "other/keys/a.vkey",
                                        "acme/tail/000000000123"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (unsigned way = 0; way < 3; way++) {
            struct foreign foreign = make();
            static const uint64_t sizes[] = {70000, 69999, 70000};
            note("%s, way %u", names[i], way);
            put(&foreign, names[i], 1, 70000);
            put(&foreign, "acme/README.txt", 1, 100);
            uint64_t sector = foreign.at;
            put(&foreign, names[i], way == 0 ? 2 : 1, sizes[way]);
            /* The last byte. */
            if (way == 2) disk_at(foreign.disk, sector + 1)[69999] ^= 1;
            check_corrupt(&foreign, sector, names[i]);
        }
    }
}

/* Breaks a valid archive in one place. Returns the sector that the report must name. */
static void check_broken(uint64_t member, uint64_t at, const void *bytes, size_t length, bool sum) {
    struct foreign foreign = make();
    uint64_t sectors[4];
    for (uint64_t i = 0; i < 4; i++) {
        char name[60];
        (void)snprintf(name, sizeof name, "acme/tile/0/00%u.b64", (unsigned)i);
        sectors[i] = put_entry(&foreign, &(struct entry){.name = name, .seed = i, .size = 1000});
    }
    uint8_t *header = disk_at(foreign.disk, sectors[member]);
    memcpy(header + at, bytes, length);
    if (sum) put_sum(header);
    check_corrupt(&foreign, sectors[member], NULL);
}

TEST(broken_headers) {
    static const uint8_t ff[12] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    for (uint64_t member = 0; member < 4; member++) {
        note("member %u", (unsigned)member);
        check_broken(member, 0, "x", 1, false);               /* the sum */
        check_broken(member, 148, "0000000", 7, false);       /* the sum itself */
        check_broken(member, 257, "\0\0\0\0\0\0\0", 8, true); /* the magic */
        check_broken(member, 124, "00000000x00", 11, true);   /* the size */
        check_broken(member, 124, "00000000900", 11, true);
        check_broken(member, 124, "-0000000100", 11, true);
        check_broken(member, 124, "77777777777", 11, true); /* past the disk's end */
        check_broken(member, 124, ff, 12, true);
        check_broken(member, 124, "\200\0\0\0\0\0\0\0\0\0\3\350", 12, true); /* GNU's base 256 */
    }
}

TEST(every_bit_of_a_header) {
    for (size_t bit = 0; bit < 8 * SECTOR; bit++) {
        struct foreign foreign = make();
        put(&foreign, "acme/origin", 1, 100);
        uint64_t sector =
            put_entry(&foreign, &(struct entry){.name = "acme/README.txt", .seed = 2, .size = 1000});
        put(&foreign, "acme/tile/0/000.b64", 1, 100);
        disk_at(foreign.disk, sector)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        note("byte %u, bit %u", (unsigned)bit / 8, (unsigned)bit % 8);
        struct rig_options options = {.foreign_end = foreign.at};
        struct rig *rig = rig_open(foreign.disk, &options);
        CHECK(rig != NULL);
        /* A space in the checksum's field, or a NUL at the end of a field, may be another byte. */
        if (psdb_state(rig->store) == PSDB_READY && (bit / 8 < 148 || bit / 8 > 155)) FAIL("opens");
        if (psdb_state(rig->store) == PSDB_READY) check_object(rig, 0, README(0), 2, 1000);
        end(rig);
    }
}

TEST(sizes_up_to_the_disks_end) {
    for (uint64_t behind = 0; behind < 5; behind++) {
        struct foreign foreign = make();
        put(&foreign, "acme/origin", 1, 100);
        uint64_t sector = foreign.at;
        uint64_t size = (DISK - sector - 1 - behind) * SECTOR;
        put(&foreign, "acme/README.txt", 2, size);
        note("%llu sectors follow the member", (unsigned long long)behind);
        if (behind < 2) {
            /* No room is left for the archive's end. */
            struct rig_options options = {0};
            struct rig *rig = rig_open(foreign.disk, &options);
            CHECK(rig != NULL);
            CHECK_SAME(psdb_state(rig->store), PSDB_STOPPED);
            CHECK_HAS(rig->reports, "sector ");
            end(rig);
            continue;
        }
        struct rig *rig = open_any(&foreign, PSDB_READY);
        check_object(rig, 0, README(0), 2, size);
        CHECK_SAME(ask_stat(rig, 0, 0).extra, behind - 2);
        CHECK_SAME(seal(rig, 0, ORIGIN(1), 1, 1), PSDB_FULL);
        end(rig);
    }
}

TEST(a_lone_zero_sector_before_a_member) {
    struct foreign foreign = make();
    put(&foreign, "acme/origin", 1, 100);
    uint64_t sector = foreign.at++;
    put(&foreign, "acme/README.txt", 2, 100);
    struct rig_options options = {.foreign_end = foreign.at};
    struct rig *rig = rig_open(foreign.disk, &options);
    CHECK(rig != NULL);
    CHECK_SAME(psdb_state(rig->store), PSDB_STOPPED);
    char place[40];
    (void)snprintf(place, sizeof place, "sector %llu", (unsigned long long)sector);
    if (strstr(rig->reports, place) == NULL) {
        (void)snprintf(place, sizeof place, "sector %llu", (unsigned long long)sector + 1);
        CHECK_HAS(rig->reports, place);
    }
    end(rig);
}

/* Any bytes may follow the end. */
TEST(what_is_behind_the_end) {
    for (uint64_t behind = 2; behind < 6; behind++) {
        struct foreign foreign = make();
        put(&foreign, "acme/origin", 1, 100);
        struct foreign rest = {.disk = foreign.disk, .at = foreign.at + behind};
        put(&rest, "acme/README.txt", 2, 100);
        begin_group(&rest);
        put(&rest, "acme/checkpoint", 3, 100);
        end_group(&rest);
        memset(disk_at(rest.disk, rest.at), 0xee, 20000);
        struct rig *rig = open_any(&foreign, PSDB_READY);
        check_none(rig, 0, README(0));
        check_none(rig, 0, CHECKPOINT(0));
        for (uint64_t i = 0; i < 12; i++) {
            CHECK_SAME(seal(rig, 0, BUNDLE(0, i), i, (uint32_t)(1 + 300 * i)), PSDB_OK);
            struct archive archive = archive_read(foreign.disk->bytes, DISK, foreign.at);
            archive_check_groups(&archive, foreign.disk->bytes);
            if (archive.error[0] != '\0')
                FAIL("behind %u, object %u: %s", (unsigned)behind, (unsigned)i, archive.error);
            archive_free(&archive);
            check_none(rig, 0, README(0));
        }
        check_goes_on(rig, &foreign);
    }
}

/* Groups of PSDB that were changed. */
TEST(every_sector_of_a_group) {
    struct rig *rig = rig_open(disk_make(DISK), NULL);
    CHECK(rig != NULL);
    CHECK_SAME(seal(rig, 0, README(0), 1, 5000), PSDB_OK);
    struct archive first = archive_read(rig->disk->bytes, DISK, 0);
    CHECK_SAME(seal(rig, 0, BUNDLE(0, 0), 2, 5000), PSDB_OK);
    CHECK_SAME(publish(rig, 0, 0, 3, 500), PSDB_OK);
    struct archive all = archive_read(rig->disk->bytes, DISK, 0);
    struct disk *disk = rig->disk;
    rig_close(rig);
    for (uint64_t sector = 0; sector < all.end; sector++) {
        struct foreign broken = {.disk = disk_copy(disk), .at = all.end};
        disk_at(broken.disk, sector)[300] ^= 1;
        note("sector %llu", (unsigned long long)sector);
        rig = open_any(&broken, PSDB_STOPPED);
        CHECK_HAS(rig->reports, "sector ");
        end(rig);
    }
    /* The group's linkname: other digits, another count, none. */
    for (size_t i = 0; i < 67; i++) {
        struct foreign broken = {.disk = disk_copy(disk), .at = all.end};
        uint8_t *header = disk_at(broken.disk, first.end);
        uint8_t *digit = header + 157 + i;
        note("character %u of the link: '%c'", (unsigned)i, *digit);
        *digit = *digit == '0' ? '1' : '0';
        put_sum(header);
        /* With another count, the fault may be in a member. */
        if (i <= 64) {
            check_corrupt(&broken, first.end, NULL);
        } else {
            end(open_any(&broken, PSDB_STOPPED));
        }
    }
    archive_free(&first);
    archive_free(&all);
    disk_free(disk);
}

TEST(commit_members_of_another_shape) {
    for (unsigned way = 1; way < 14; way++) {
        struct foreign foreign = make();
        uint64_t sector;
        note("way %u", way);
        put(&foreign, "acme/origin", 1, 100);
        begin_group(&foreign);
        sector = foreign.commit;
        put(&foreign, "acme/README.txt", 2, 600);
        end_group(&foreign);
        uint8_t *header = disk_at(foreign.disk, sector);
        if (way == 1) memcpy(header + 157, "zz", 2);
        if (way == 6) memcpy(header + 157, "A", 1);
        if (way == 7) memcpy(header + 157 + 64, "-", 1);
        if (way == 8) memcpy(header + 157 + 65, "0", 1);
        if (way == 9) memcpy(header + 157 + 65, "3x", 2);
        if (way == 10) memcpy(header + 157 + 65, "3 ", 2);
        if (way == 11) memset(header + 157 + 60, 0, 40);
        if (way == 12) disk_at(foreign.disk, sector + 1)[511] = 1;
        if (way == 13) memcpy(header + 157 + 65, "4080", 4);
        if (way == 2) memcpy(header + 157 + 65, "2", 1);
        if (way == 3) memcpy(header + 157 + 65, "99999999999999999999", 20);
        if (way == 4) memcpy(header + 124, "00000002000", 11);
        if (way == 5) header[156] = '5';
        put_sum(header);
        struct rig *rig = open_any(&foreign, PSDB_STOPPED);
        CHECK_HAS(rig->reports, "sector ");
        end(rig);
    }
}

/* Groups contain only PSDB's members, and nothing is between them. */
TEST(what_has_no_place_among_groups) {
    for (unsigned way = 0; way < 6; way++) {
        struct foreign foreign = make();
        begin_group(&foreign);
        put(&foreign, "acme/origin", 1, 100);
        if (way == 0) {
            (void)put_entry(&foreign,
                            &(struct entry){.name = "acme/README.txt", .type = '1', .link = "acme/origin"});
        }
        if (way == 1) put_pax(&foreign, 'x', "20 comment=whatever\n");
        if (way == 2) put(&foreign, COMMIT_NAME, 1, SECTOR);
        if (way == 3) put(&foreign, INDEX_NAME, 1, SECTOR);
        if (way == 4) foreign.at++;
        end_group(&foreign);
        if (way == 5) put(&foreign, "acme/README.txt", 1, 100);
        note("way %u", way);
        struct rig *rig = open_any(&foreign, PSDB_STOPPED);
        CHECK_HAS(rig->reports, "sector ");
        end(rig);
    }
}

/* A member that ends after its group. */
TEST(a_member_that_crosses_its_group) {
    struct foreign foreign = make();
    begin_group(&foreign);
    put(&foreign, "acme/origin", 1, 100);
    struct foreign shorter = foreign;
    put(&foreign, "acme/README.txt", 2, 1000);
    shorter.at++;
    end_group(&shorter);
    struct rig *rig = open_any(&foreign, PSDB_STOPPED);
    CHECK_HAS(rig->reports, "sector ");
    end(rig);
}

TEST(psdbs_groups_behind_another_programs_archive) {
    struct foreign foreign = make();
    put_ledger(&foreign, true, "./");
    begin_group(&foreign);
    put(&foreign, "acme/tail/000000000300", 50, 100);
    put(&foreign, "acme/tail/000000000301", 51, 100);
    put(&foreign, "acme/checkpoint", 52, 100);
    end_group(&foreign);
    struct rig *rig = open_any(&foreign, PSDB_READY);
    check_tail(rig, 0, 0, (const uint64_t[]){256, 300, 301}, 3);
    check_object(rig, 0, CHECKPOINT(0), 52, 100);
    check_object(rig, 0, TAIL_FILE(0, 301), 51, 100);
    check_goes_on(rig, &foreign);
}

/* More tail files than the table has places: superseded ones take none in the end. */
TEST(a_long_tail_that_is_sealed) {
    struct foreign foreign = make();
    char name[60];
    for (uint64_t i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "acme/tail/%012llu", (unsigned long long)i * 10);
        put(&foreign, name, i, 10);
    }
    for (uint64_t i = 0; i < 11; i++) {
        (void)snprintf(name, sizeof name, "acme/tile/entries/%03llu.b64", (unsigned long long)i);
        put(&foreign, name, i, 10);
    }
    /* 2816 entries are sealed, so the tail files from 2810 to 2990 are needed: 19. */
    for (uint32_t tails = 8; tails <= 64; tails *= 2) {
        struct rig_options options = {.tails = tails, .slots = 4096, .foreign_end = foreign.at};
        struct rig *rig = rig_open(foreign.disk, &options);
        CHECK(rig != NULL);
        note("%u places: %.300s", tails, rig->reports);
        CHECK_SAME(psdb_state(rig->store), tails < 19 ? PSDB_STOPPED : PSDB_READY);
        if (tails >= 19) {
            struct psdb_request request = tail_request(0, 0, 0, 800);
            CHECK_SAME(rig_ask(rig, 0, &request).value, 19);
            CHECK_SAME(*(const uint64_t *)(const void *)rig->tenants[0].region, 2810);
        }
        rig_close(rig);
    }
    disk_free(foreign.disk);
}
