// SPDX-License-Identifier: Apache-2.0
/* runtime_events.h - the runtime tells when a container starts or ends: CRI's GetContainerEvents where offered, else
 * containerd's own event stream on the same socket, else nothing (the relist then does the work).
 * Reconnects by itself.  fn runs on the gRPC client's I/O thread and must not block. */
#ifndef CKUBE_KUBELET_RUNTIME_EVENTS_H
#define CKUBE_KUBELET_RUNTIME_EVENTS_H

#include <stddef.h>

#include "kubelet/cri/runtime.h"

struct runtime_events;

/* id: of the container or sandbox it is about; NULL: events may have been missed, look at everything. */
typedef void runtime_event_fn(const char *id, void *arg);
struct runtime_events *runtime_events_start(struct runtime *rt, runtime_event_fn *fn, void *arg) MUST_CHECK;
void runtime_events_stop(struct runtime_events *ev); /* NULL is fine; before runtime_free() */
bool runtime_events_live(const struct runtime_events *ev); /* does a stream run? else relist quickly */

/* The container id of one message of containerd's stream; false: none of our business (or not understood). */
bool runtime_events_parse(const void *message, size_t len, char *ret_id, size_t size);

#endif
