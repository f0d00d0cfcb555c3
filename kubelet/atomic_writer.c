// SPDX-License-Identifier: Apache-2.0
#include "kubelet/atomic_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define MAX_FILE (4 * 1024 * 1024)

void
file_set_add(struct file_set *fs, const char *path, const void *data, size_t len, mode_t mode)
{
    struct file_set_entry *e = NULL;

    for (size_t i = 0; i < fs->len; i++)
        if (!strcmp(fs->items[i].path, path))
            e = &fs->items[i];
    if (!e) {
        if (fs->len == fs->cap) {
            fs->cap = fs->cap ? fs->cap * 2 : 8;
            fs->items = xreallocarray(fs->items, fs->cap, sizeof *fs->items);
        }
        e = &fs->items[fs->len++];
        *e = (struct file_set_entry){ .path = xstrdup(path) };
    }
    free(e->data);
    e->data = xmemdup(len ? data : "", len ? len : 1);
    e->len = len;
    e->mode = mode;
}

void
file_set_done(struct file_set *fs)
{
    for (size_t i = 0; i < fs->len; i++) {
        free(fs->items[i].path);
        free(fs->items[i].data);
    }
    free(fs->items);
    *fs = (struct file_set){ 0 };
}

static struct kerr *
check_paths(const struct file_set *fs)
{
    for (size_t i = 0; i < fs->len; i++) {
        const char *p = fs->items[i].path;

        if (!*p || *p == '/' || !strncmp(p, "..", 2) || strstr(p, "/../") || str_has_suffix(p, "/.."))
            return kerr_new(KERR_INVALID, "invalid path: must be relative and not contain '..': '%s'", p);
    }
    return NULL;
}

/* Is what lies in `data` exactly the set? Counting the files catches those that must go. */
static size_t
count_files(const char *dir, int depth)
{
    DIR *d = depth > 16 ? NULL : opendir(dir);
    struct dirent *e;
    size_t n = 0;

    while (d && (e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (e->d_type == DT_DIR) {
            AUTO_FREE char *sub = path_join(dir, e->d_name);

            n += count_files(sub, depth + 1);
        } else {
            n++;
        }
    }
    if (d)
        closedir(d);
    return n;
}

static bool
same_content(const char *data_dir, const struct file_set *fs)
{
    if (!file_exists(data_dir) || count_files(data_dir, 0) != fs->len)
        return false;
    for (size_t i = 0; i < fs->len; i++) {
        AUTO_FREE char *path = path_join(data_dir, fs->items[i].path);
        AUTO_FREE char *now = NULL;
        struct stat st;
        size_t len = 0;
        AUTO(kerr) *err = file_read(path, MAX_FILE, &now, &len);

        if (err || len != fs->items[i].len || memcmp(now, fs->items[i].data, len) != 0)
            return false;
        if (stat(path, &st) || (st.st_mode & 0777) != (fs->items[i].mode & 0777))
            return false;
    }
    return true;
}

static struct kerr *
write_one(const char *dir, const struct file_set_entry *e, gid_t gid)
{
    AUTO_FREE char *path = path_join(dir, e->path);
    char *slash = strrchr(path, '/');
    AUTO_FD int fd = -1;
    struct kerr *err;

    *slash = '\0';
    err = file_mkdirs(path, 0755);
    *slash = '/';
    if (err)
        return err;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return kerr_errno(errno, "create '%s'", path);
    for (size_t at = 0; at < e->len;) {
        ssize_t n = write(fd, e->data + at, e->len - at);

        if (n < 0)
            return kerr_errno(errno, "write '%s'", path);
        at += (size_t)n;
    }
    if ((gid != (gid_t)-1 || e->has_uid) && fchown(fd, e->has_uid ? e->uid : (uid_t)-1, gid))
        return kerr_errno(errno, "set the owner of '%s'", path);
    if (fchmod(fd, e->mode)) /* last: chown drops bits, and the umask must not matter */
        return kerr_errno(errno, "set the mode of '%s'", path);
    return NULL;
}

static bool
has_first_part(const struct file_set *fs, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < fs->len; i++)
        if (!strncmp(fs->items[i].path, name, n) && (fs->items[i].path[n] == '\0' || fs->items[i].path[n] == '/'))
            return true;
    return false;
}

/* User-visible names: links into ..data, none too many. */
static struct kerr *
link_names(const char *dir, const struct file_set *fs)
{
    for (size_t i = 0; i < fs->len; i++) {
        AUTO_FREE char *first = xstrndup(fs->items[i].path, strcspn(fs->items[i].path, "/"));
        AUTO_FREE char *link = path_join(dir, first);
        AUTO_FREE char *target = xasprintf("..data/%s", first);

        if (symlink(target, link) && errno != EEXIST)
            return kerr_errno(errno, "link '%s'", link);
    }
    return NULL;
}

static void
unlink_stale(const char *dir, const struct file_set *fs)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (e->d_type == DT_LNK && strncmp(e->d_name, "..", 2) != 0 && !has_first_part(fs, e->d_name)) {
            AUTO_FREE char *path = path_join(dir, e->d_name);

            (void)unlink(path);
        }
    if (d)
        closedir(d);
}

struct kerr *
atomic_write(const char *dir, const struct file_set *fs, gid_t gid, bool *ret_changed)
{
    AUTO_FREE char *data = path_join(dir, "..data"), *tmp = path_join(dir, "..data_tmp");
    char old[300] = "", stamp[64];
    AUTO_FREE char *fresh = NULL;
    struct timespec ts;
    struct tm tm;
    ssize_t n;
    struct kerr *err = check_paths(fs);

    if (ret_changed)
        *ret_changed = false;
    if (!err)
        err = file_mkdirs(dir, 0755);
    if (err)
        return err;
    if (same_content(data, fs))
        return link_names(dir, fs);
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    n = (ssize_t)strftime(stamp, sizeof stamp, "..%Y_%m_%d_%H_%M_%S.", &tm);
    snprintf(stamp + n, sizeof stamp - (size_t)n, "%09ld", ts.tv_nsec);
    fresh = path_join(dir, stamp);
    if (mkdir(fresh, 0755))
        return kerr_errno(errno, "make '%s'", fresh);
    if (gid != (gid_t)-1 && chown(fresh, (uid_t)-1, gid))
        return kerr_errno(errno, "set the group of '%s'", fresh);
    (void)chmod(fresh, gid != (gid_t)-1 ? 02755 : 0755);
    for (size_t i = 0; !err && i < fs->len; i++)
        err = write_one(fresh, &fs->items[i], gid);
    if (err)
        return err;
    n = readlink(data, old, sizeof old - 1);
    if (n > 0)
        old[n] = '\0';
    (void)unlink(tmp);
    if (symlink(stamp, tmp) || rename(tmp, data))
        return kerr_errno(errno, "switch '%s'", data);
    err = link_names(dir, fs);
    unlink_stale(dir, fs);
    if (*old) {
        AUTO_FREE char *gone = path_join(dir, old);
        AUTO(kerr) *ignored = file_remove_tree(gone);
        (void)ignored;
    }
    if (ret_changed)
        *ret_changed = true;
    return err;
}
