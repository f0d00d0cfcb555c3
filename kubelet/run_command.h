// SPDX-License-Identifier: Apache-2.0
/* run_command.h - run a program of the host and wait for it (mount helpers, systemctl).
 * posix_spawn, no shell, all our descriptors are CLOEXEC.  Any thread. */
#ifndef CKUBE_KUBELET_RUN_COMMAND_H
#define CKUBE_KUBELET_RUN_COMMAND_H

#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/sbuf.h"

/* argv[0] is looked up on PATH.  Not ended by timeout_ms: killed, an error.  A non-zero exit is an error that carries
 * the program's last output; stdout and stderr go to `out` when given (bounded to 64 KiB). */
struct kerr *run_command(const char *const *argv, uint64_t timeout_ms, struct sbuf *out) MUST_CHECK;

#endif
