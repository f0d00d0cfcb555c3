// SPDX-License-Identifier: Apache-2.0
/* file.h - whole files in, whole files out.  Errors name the path. */
#ifndef CKUBE_BASE_FILE_H
#define CKUBE_BASE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/kerr.h"

/* *ret is NUL-terminated, the caller frees it; ret_len may be NULL.  More than max bytes is an error. */
struct kerr *file_read(const char *path, size_t max, char **ret, size_t *ret_len) MUST_CHECK;
/* Through a temporary file beside it and rename(), so that readers see all or nothing. */
struct kerr *file_write_atomic(const char *path, const void *data, size_t len, mode_t mode) MUST_CHECK;
struct kerr *file_mkdirs(const char *path, mode_t mode) MUST_CHECK; /* with parents; an existing one is fine */
struct kerr *file_remove_tree(const char *path) MUST_CHECK; /* never crosses a mount point; missing is fine */
bool file_exists(const char *path);
char *path_join(const char *dir, const char *name) MUST_CHECK; /* an absolute name stands alone */

#endif
