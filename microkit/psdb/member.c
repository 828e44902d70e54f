#include "member.h"
#include "base.h"

#include <string.h>

void psdb_member_path(const struct psdb *store, const struct psdb_object *object, char path[PSDB_TAR_PATH]) {
    const char *name = store->config.tenants[object->tenant].name;
    const size_t length = strlen(name);
    char below[PSDB_OBJECT_PATH];
    psdb_path_make(object, below);
    memcpy(path, name, length);
    path[length] = '/';
    memcpy(path + length + 1, below, strlen(below) + 1);
}

void psdb_member_header(const struct psdb *store, uint8_t *sector, const struct psdb_object *object,
                        uint64_t length, uint64_t time) {
    const bool sealed = object->kind != PSDB_TAIL_FILE && object->kind != PSDB_CHECKPOINT;
    struct psdb_tar tar = {.type = PSDB_TAR_FILE, .mode = sealed ? 0444 : 0600, .size = length, .time = time};
    psdb_member_path(store, object, tar.path);
    const bool made = psdb_tar_make(sector, &tar);
    PSDB_ASSERT(store, made);
}

bool psdb_member_tenant(const struct psdb *store, const char *path, uint32_t *tenant, const char **rest) {
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        const char *name = store->config.tenants[i].name;
        const size_t length = strlen(name);
        if (strlen(path) < length || memcmp(path, name, length) != 0) continue;
        if (path[length] != '\0' && path[length] != '/') continue;
        *tenant = i;
        *rest = path[length] == '/' ? path + length + 1 : path + length;
        return true;
    }
    return false;
}

bool psdb_member_is(const struct psdb *store, const uint8_t *sector, const struct psdb_object *object,
                    uint64_t length) {
    struct psdb_tar tar;
    struct psdb_tar_fault fault;
    char path[PSDB_TAR_PATH];
    if (!psdb_tar_parse(sector, &tar, &fault)) return false;
    psdb_member_path(store, object, path);
    return tar.type == PSDB_TAR_FILE && tar.size == length && strlen(path) == strlen(tar.path) &&
           memcmp(path, tar.path, strlen(path)) == 0;
}
