// SPDX-License-Identifier: Apache-2.0
/* downward.h - values of fieldRef and resourceFieldRef, for environment and files.  Pure. */
#ifndef CKUBE_KUBELET_DOWNWARD_H
#define CKUBE_KUBELET_DOWNWARD_H

#include "common/base/kerr.h"
#include "common/base/sbuf.h"
#include "kubelet/object_source.h"

struct kerr *downward_field(const struct pod_facts *f, const char *path, struct sbuf *out) MUST_CHECK;
/* `c`: the container asked about when the selector names none; may be NULL. */
struct kerr *downward_resource(const struct pod_facts *f, const struct container *c, const struct resource_field_selector *sel,
                               struct sbuf *out) MUST_CHECK;

#endif
