#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif

/* How much of the file to check at a time. */
#define WINDOW ((off_t)256 << 20)
#define LARGEST_PAGE 65536

/* Makes a file's name durable. */
static bool sync_directory(const char *path) {
    char directory[4096] = ".";
    const char *const slash = strrchr(path, '/');
    if (slash != NULL) {
        const size_t length = slash == path ? 1 : (size_t)(slash - path);
        if (length >= sizeof directory) {
            errno = ENAMETOOLONG;
            return false;
        }
        memcpy(directory, path, length);
        directory[length] = '\0';
    }
    const int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return false;
    const bool ok = fsync(file) == 0;
    return close(file) == 0 && ok;
}

#ifdef __linux__
/* Rewrites the pages of the window that are in the cache, unchanged. Returns how many, or -1. */
static long rewrite_cached(int file, off_t window, size_t length, size_t page) {
    static unsigned char cached[WINDOW / 4096];
    static uint8_t bytes[LARGEST_PAGE];
    long count = 0;
    void *const map = mmap(NULL, length, PROT_READ, MAP_SHARED, file, window);
    if (map == MAP_FAILED) return -1;
    const bool known = mincore(map, length, cached) == 0;
    if (munmap(map, length) != 0 || !known) return -1;
    for (size_t at = 0; at < length; at += page) {
        if ((cached[at / page] & 1) == 0) continue;
        const size_t size = length - at < page ? length - at : page;
        if (pread(file, bytes, size, window + (off_t)at) != (ssize_t)size) return -1;
        if (pwrite(file, bytes, size, window + (off_t)at) != (ssize_t)size) return -1;
        count++;
    }
    return count;
}

/*
 * After a failed write of a page, Linux reports the error to the next fsync, keeps the page and marks it
 * clean. A later process reads that page and its fsync succeeds, although the disk does not have it. So drop
 * the file's pages from the cache, and read them from the disk. Rewrite the pages that remain because others
 * use them.
 */
static bool bypass_cache(int file, off_t end) {
    struct statfs system;
    const long page = sysconf(_SC_PAGESIZE);
    if (fstatfs(file, &system) != 0) return false;
    /* These file systems have no disk. */
    if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) return true;
    if (page < 4096 || page > LARGEST_PAGE) {
        errno = ENOTSUP;
        return false;
    }
    const int failed = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    if (failed != 0) {
        errno = failed;
        return false;
    }
    long count = 0;
    for (off_t window = 0; window < end; window += WINDOW) {
        const off_t left = end - window;
        const long more = rewrite_cached(file, window, (size_t)(left < WINDOW ? left : WINDOW), (size_t)page);
        if (more < 0) return false;
        count += more;
    }
    return count == 0 || fdatasync(file) == 0;
}
#else
/* BSD keeps a page that it could not write dirty, and tries again. */
static bool bypass_cache(int file, off_t end) {
    (void)file;
    (void)end;
    return true;
}
#endif

int host_disk_open(const struct host_options *options, uint64_t *sectors) {
    struct stat status;
    const int flags = O_RDWR | O_CLOEXEC | (options->size != 0 ? O_CREAT : 0);
    const int file = open(options->disk, flags, 0600);
    if (file < 0) host_die(HOST_FAILED, options->disk, strerror(errno));
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) host_die(HOST_LOCKED, options->disk, "in use by another process");
        host_die(HOST_FAILED, options->disk, strerror(errno));
    }
    if (fstat(file, &status) != 0) host_die(HOST_FAILED, options->disk, strerror(errno));
    if (S_ISREG(status.st_mode)) {
        if (options->size > (uint64_t)status.st_size) {
            if (ftruncate(file, (off_t)options->size) != 0)
                host_die(HOST_FAILED, options->disk, strerror(errno));
        }
    }
    /* Writes of a killed process are visible before they are durable. Flush them before any process reads
     * them.
     */
    if (fsync(file) != 0 || (options->size != 0 && !sync_directory(options->disk)))
        host_die(HOST_FAILED, options->disk, strerror(errno));
    const off_t end = lseek(file, 0, SEEK_END);
    if (!bypass_cache(file, end)) host_die(HOST_FAILED, options->disk, strerror(errno));
    if (end < 4096)
        host_die(HOST_FAILED, options->disk, "expected at least 4096 bytes; --size makes it larger");
    *sectors = (uint64_t)end / PSDB_SECTOR;
    return file;
}

/* Prints the error of a call that returned `result`: the store learns only that its disk failed. */
static bool report_failure(const char *call, ssize_t result) {
    fprintf(stderr, "the disk: %s: %s\n", call, result < 0 ? strerror(errno) : "no bytes transferred");
    return false;
}

bool host_disk_read(int file, uint8_t *buffer, uint64_t sector, uint32_t sectors) {
    size_t left = (size_t)sectors * PSDB_SECTOR;
    off_t at = (off_t)(sector * PSDB_SECTOR);
    while (left > 0) {
        const ssize_t got = pread(file, buffer, left, at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return report_failure("read", got);
        buffer += got;
        at += got;
        left -= (size_t)got;
    }
    return true;
}

bool host_disk_write(int file, const uint8_t *buffer, uint64_t sector, uint32_t sectors) {
    size_t left = (size_t)sectors * PSDB_SECTOR;
    off_t at = (off_t)(sector * PSDB_SECTOR);
    while (left > 0) {
        const ssize_t put = pwrite(file, buffer, left, at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return report_failure("write", put);
        buffer += put;
        at += put;
        left -= (size_t)put;
    }
    return true;
}

bool host_disk_flush(int file) {
    const int synced = fdatasync(file);
    return synced == 0 || report_failure("sync", synced);
}
