/*
 * A test disk, exposed as a file in a FUSE file system. Each write goes straight to a backing file. When
 * failing is switched on and the bytes contain a given text, the write returns EIO and leaves the medium
 * unchanged. So a file's data can fail while the file system's names, journal and everything else keep
 * working.
 *
 *     failing-disk BACKING MOUNTPOINT      in the foreground; MOUNTPOINT/disk is the disk
 *     MOUNTPOINT/fail                      the text; empty: no write fails
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK "/disk"
#define FAIL "/fail"

static int backing = -1;
static char text[256];
static size_t text_length;

static int get_attributes(const char *path, struct stat *found, struct fuse_file_info *info) {
    (void)info;
    memset(found, 0, sizeof *found);
    found->st_nlink = 1;
    found->st_mode = S_IFREG | 0600;
    if (strcmp(path, "/") == 0) {
        found->st_mode = S_IFDIR | 0700;
        found->st_nlink = 2;
    } else if (strcmp(path, DISK) == 0) {
        struct stat status;
        if (fstat(backing, &status) != 0) return -errno;
        found->st_size = status.st_size;
    } else if (strcmp(path, FAIL) == 0) {
        found->st_size = (off_t)text_length;
    } else {
        return -ENOENT;
    }
    return 0;
}

static int read_directory(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                          struct fuse_file_info *info, enum fuse_readdir_flags flags) {
    (void)offset;
    (void)info;
    (void)flags;
    if (strcmp(path, "/") != 0) return -ENOENT;
    fill(buffer, DISK + 1, NULL, 0, 0);
    fill(buffer, FAIL + 1, NULL, 0, 0);
    return 0;
}

/* No page cache here: the file system on the disk sees a failed write immediately. */
static int open_file(const char *path, struct fuse_file_info *info) {
    if (strcmp(path, DISK) != 0 && strcmp(path, FAIL) != 0) return -ENOENT;
    info->direct_io = 1;
    if (strcmp(path, FAIL) == 0 && (info->flags & O_TRUNC) != 0) text_length = 0;
    return 0;
}

static int read_file(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    if (strcmp(path, DISK) != 0) return 0;
    const ssize_t got = pread(backing, buffer, size, offset);
    return got < 0 ? -errno : (int)got;
}

static int write_file(const char *path, const char *bytes, size_t size, off_t offset,
                      struct fuse_file_info *info) {
    (void)info;
    if (strcmp(path, FAIL) == 0) {
        if (size > sizeof text) return -EFBIG;
        memcpy(text, bytes, size);
        text_length = size;
        return (int)size;
    }
    if (text_length > 0 && memmem(bytes, size, text, text_length) != NULL) return -EIO;
    const ssize_t put = pwrite(backing, bytes, size, offset);
    return put < 0 ? -errno : (int)put;
}

static int truncate_file(const char *path, off_t size, struct fuse_file_info *info) {
    (void)info;
    if (strcmp(path, FAIL) != 0) return -EPERM;
    if (size == 0) text_length = 0;
    return 0;
}

static int sync_file(const char *path, int data_only, struct fuse_file_info *info) {
    (void)path;
    (void)data_only;
    (void)info;
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .readdir = read_directory,
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .truncate = truncate_file,
    .fsync = sync_file,
};

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: failing-disk BACKING MOUNTPOINT\n");
        return 2;
    }
    backing = open(argv[1], O_RDWR | O_CLOEXEC);
    if (backing < 0) {
        perror(argv[1]);
        return 1;
    }
    char *arguments[] = {argv[0], (char *)"-f", (char *)"-s", argv[2], NULL};
    return fuse_main(4, arguments, &operations, NULL);
}
