// SPDX-License-Identifier: Apache-2.0
/* atomic_writer.h - a directory of small files that changes all at once under a running container.
 *
 *   <dir>/..data -> ..2026_11_22_07_03_00.123456789     the one rename() that switches
 *   <dir>/<first path part> -> ..data/<first path part>
 *
 * As upstream lays it out, so that watchers written for it work.  Any thread, one writer per directory. */
#ifndef CKUBE_KUBELET_ATOMIC_WRITER_H
#define CKUBE_KUBELET_ATOMIC_WRITER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/kerr.h"

struct file_set_entry {
    char *path; /* relative, no "..", may have slashes */
    char *data;
    size_t len;
    mode_t mode;
    bool has_uid;
    uid_t uid;
};
struct file_set {
    struct file_set_entry *items;
    size_t len, cap;
};
void file_set_add(struct file_set *fs, const char *path, const void *data, size_t len, mode_t mode); /* replaces an equal path */
void file_set_done(struct file_set *fs);

/* gid < 0: leave the group.  *ret_changed (may be NULL): was anything written? */
struct kerr *atomic_write(const char *dir, const struct file_set *fs, gid_t gid, bool *ret_changed) MUST_CHECK;

#endif
