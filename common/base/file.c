// SPDX-License-Identifier: Apache-2.0
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/sbuf.h"

struct kerr *
file_read(const char *path, size_t max, char **ret, size_t *ret_len)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO_SBUF b = { 0 };

    if (fd < 0)
        return kerr_errno(errno, "open %s", path);
    for (;;) {
        sbuf_reserve(&b, 8192);
        ssize_t n = read(fd, b.s + b.len, b.cap - b.len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kerr_errno(errno, "read %s", path);
        if (n == 0)
            break;
        b.len += (size_t)n;
        b.s[b.len] = '\0';
        if (b.len > max)
            return kerr_new(KERR_TOO_LARGE, "read %s: larger than %zu bytes", path, max);
    }
    if (ret_len)
        *ret_len = b.len;
    *ret = sbuf_steal(&b);
    return NULL;
}

static int
write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

struct kerr *
file_write_atomic(const char *path, const void *data, size_t len, mode_t mode)
{
    AUTO_FREE char *temp = xasprintf("%s.XXXXXX", path);
    AUTO_FD int fd = mkostemp(temp, O_CLOEXEC);

    if (fd < 0)
        return kerr_errno(errno, "create %s", temp);
    int rc = write_all(fd, data, len);
    if (!rc && (fchmod(fd, mode) || fsync(fd) || rename(temp, path)))
        rc = -errno;
    if (rc) {
        unlink(temp);
        return kerr_errno(rc, "write %s", path);
    }
    return NULL;
}

struct kerr *
file_mkdirs(const char *path, mode_t mode)
{
    AUTO_FREE char *copy = xstrdup(path);

    for (char *p = copy + 1; p[-1]; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char saved = *p;
        *p = '\0';
        if (mkdir(copy, mode) && errno != EEXIST)
            return kerr_errno(errno, "mkdir %s", copy);
        *p = saved;
        if (!saved)
            break;
    }
    return NULL;
}

#define REMOVE_MAX_DEPTH 64

/* Only directories tell where another file system begins: overlayfs gives files device numbers of their own. */
static int
remove_entry(int dir_fd, const char *name, dev_t dev, int depth)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISDIR(st.st_mode))
        return unlinkat(dir_fd, name, 0) && errno != ENOENT ? -errno : 0;
    if (st.st_dev != dev)
        return -EBUSY; /* something is mounted there */
    int fd = depth > REMOVE_MAX_DEPTH ? -1 : openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int rc = d ? 0 : depth > REMOVE_MAX_DEPTH ? -ELOOP : -errno;
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            int one = remove_entry(fd, e->d_name, dev, depth + 1);
            rc = rc ? rc : one;
        }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    if (!rc && unlinkat(dir_fd, name, AT_REMOVEDIR) && errno != ENOENT)
        rc = -errno;
    return rc;
}

struct kerr *
file_remove_tree(const char *path)
{
    struct stat st;
    int rc;

    if (lstat(path, &st))
        return errno == ENOENT ? NULL : kerr_errno(errno, "remove %s", path);
    rc = remove_entry(AT_FDCWD, path, st.st_dev, 0);
    return rc ? kerr_errno(rc, "remove %s", path) : NULL;
}

bool
file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

char *
path_join(const char *dir, const char *name)
{
    if (*name == '/' || !*dir)
        return xstrdup(name);
    size_t len = strlen(dir);
    return xasprintf("%s%s%s", dir, dir[len - 1] == '/' ? "" : "/", name);
}
