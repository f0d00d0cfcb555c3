// SPDX-License-Identifier: Apache-2.0
/* log_rotate.h - keeps container logs within containerLogMaxSize and containerLogMaxFiles: a thread of its own looks every
 * ten seconds, renames a log that grew too large and asks the runtime to open a new one; old ones are deleted. */
#ifndef CKUBE_KUBELET_LOG_ROTATE_H
#define CKUBE_KUBELET_LOG_ROTATE_H

#include "kubelet/kubelet.h"

struct log_rotate;
struct log_rotate *log_rotate_start(struct kubelet *k) MUST_CHECK;
void log_rotate_stop(struct log_rotate *lr); /* frees too; NULL is fine */
/* Deletes the oldest "<log>.<time>" files beside `log` so that with the log itself at most max_files remain.  Testable alone. */
void log_rotate_prune(const char *log, int max_files);

#endif
