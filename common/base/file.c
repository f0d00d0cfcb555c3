// SPDX-License-Identifier: Apache-2.0
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
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

static struct kerr *
remove_entry(const FTSENT *e)
{
    switch (e->fts_info) {
    case FTS_D:
        return NULL; /* comes again as FTS_DP, when it is empty */
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return e->fts_errno == ENOENT ? NULL : kerr_errno(e->fts_errno, "remove %s", e->fts_path);
    case FTS_DP:
        return !rmdir(e->fts_path) || errno == ENOENT ? NULL : kerr_errno(errno, "remove %s", e->fts_path);
    default:
        return !unlink(e->fts_path) || errno == ENOENT ? NULL : kerr_errno(errno, "remove %s", e->fts_path);
    }
}

/* Only folders are compared with the tree's device: on overlayfs a file may have another one than its folder. */
struct kerr *
file_remove_tree(const char *path)
{
    AUTO_FREE char *copy = xstrdup(path);
    char *const paths[] = { copy, NULL };
    struct kerr *err = NULL;
    struct stat st;
    FTSENT *e;

    if (lstat(path, &st))
        return errno == ENOENT ? NULL : kerr_errno(errno, "remove %s", path);
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
    if (!tree)
        return kerr_errno(errno, "remove %s", path);
    while (!err && (e = fts_read(tree)))
        err = remove_entry(e);
    fts_close(tree);
    return err;
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
