/* What lies in the file system: facts about paths, folders, removal, walking, mapping and
 * the lock of a home. Reading is file_read.c, durable writing file_write.c. */
#include "util/file.h"
#include "util/file_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0;
}

bool file_is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool file_is_stream(const char *path) {
    struct stat s;
    if (strcmp(path, "-") == 0) return true;
    return stat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode);
}

int64_t file_size(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 ? (int64_t)s.st_size : -1;
}

status file_make_folders(const char *path) {
    char *copy = xstrdup(path);
    status st = OK;
    for (char *p = copy; *p && !st;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char kept = *p;
        *p = 0;
        int e = mkdir(copy, 0777) == 0 ? 0 : errno;
        if (e && !file_is_folder(copy))
            st = e == EEXIST
                     ? err_set(ERR_IO, __FILE__, __LINE__, "%s: is a file, wanted a folder", copy)
                     : err_set(ERR_IO, __FILE__, __LINE__, "%s: cannot make the folder: %s", copy,
                               strerror(e));
        *p = kept;
    }
    free(copy);
    return st;
}

status file_sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int e = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0) close(fd);
    status st = OK;
    /* Some file systems cannot sync a folder and say EINVAL: nothing more can be done there. */
    if (e && e != EINVAL)
        st = err_set(ERR_IO, __FILE__, __LINE__, "%s: cannot sync the folder: %s", folder,
                     strerror(e));
    free(folder);
    return st;
}

status file_remove(const char *path) {
    if (unlink(path) != 0) {
        if (errno == ENOENT) return OK;
        FAIL(ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
    }
    return file_sync_folder_of(path);
}

/* ---- mapping ---- */

status file_map_open(const char *path, file_map *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat s;
    if (fd < 0) FAIL(ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        close(fd);
        FAIL(ERR_IO, "%s: is not a regular file", path);
    }
    void *at = NULL;
    int e = 0;
    if (s.st_size > 0) {
        at = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_SHARED, fd, 0);
        e = at == MAP_FAILED ? errno : 0;
    }
    close(fd);
    if (e) FAIL(ERR_IO, "%s: cannot map %lld bytes: %s", path, (long long)s.st_size, strerror(e));
    *out = (file_map){at, (size_t)s.st_size};
    return OK;
}

void file_map_close(file_map *m) {
    if (m->at) munmap((void *)m->at, m->size);
    *m = (file_map){0};
}

/* ---- walking ---- */

static int visible(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static status walk_folder(const char *path, status (*fn)(void *arg, const char *path), void *arg) {
    struct dirent **entries;
    int n = scandir(path, &entries, visible, by_bytes);
    if (n < 0) FAIL(ERR_IO, "%s: cannot list the folder: %s", path, strerror(errno));
    status st = OK;
    const char *between = path[strlen(path) - 1] == '/' ? "" : "/";
    for (int i = 0; i < n; i++) {
        char *child = xasprintf("%s%s%s", path, between, entries[i]->d_name);
        struct stat s;
        free(entries[i]);
        if (st || lstat(child, &s) != 0) {
            free(child); /* stopped, or the entry vanished meanwhile */
            continue;
        }
        if (S_ISDIR(s.st_mode))
            st = walk_folder(child, fn, arg);
        else if (stat(child, &s) == 0 && S_ISREG(s.st_mode))
            st = fn(arg, child);
        free(child);
    }
    free(entries);
    return st;
}

status file_walk(const char *path, status (*fn)(void *arg, const char *path), void *arg) {
    struct stat s;
    if (stat(path, &s) != 0) FAIL(ERR_IO, "%s: %s", path, strerror(errno));
    return S_ISDIR(s.st_mode) ? walk_folder(path, fn, arg) : fn(arg, path);
}

/* ---- the lock of a home ---- */

status file_lock(const char *path, int *out) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        FAIL(ERR_IO, "%s: cannot open the lock: %s; a folder that is changed must be writable",
             path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int e = errno;
        char holder[32] = "";
        ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
        close(fd);
        if (e != EWOULDBLOCK) FAIL(ERR_IO, "%s: cannot lock: %s", path, strerror(e));
        holder[n > 0 ? strspn(holder, "0123456789") : 0] = 0;
        FAIL(ERR_BUSY, "%s: held by process %s: wait for it or end it", path,
             holder[0] ? holder : "(unknown)");
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        int e = errno;
        close(fd);
        FAIL(ERR_IO, "%s: cannot write the lock: %s", path, strerror(e));
    }
    *out = fd;
    return OK;
}

/* The file stays: removing it would let two later processes lock two different files. */
void file_unlock(int fd) {
    int ignored = ftruncate(fd, 0); /* a stale number only makes a later sentence less exact */
    (void)ignored;
    close(fd);
}
