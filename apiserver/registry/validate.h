// SPDX-License-Identifier: Apache-2.0
/* validate.h - are the values of a decoded, defaulted object acceptable?  Upstream's rules, field paths and texts.
 *
 *   struct kerr *err = validate_create(kind, body, &opts);
 *   -> KERR_INVALID, "Pod "x" is invalid: spec.containers[0].image: Required value", with one cause per finding
 *
 * Pure: reads the structs, keeps nothing, no I/O.  Any thread.  Runs last, after defaulting and strategy
 * (names generated, cluster IPs allocated). */
#ifndef CKUBE_REGISTRY_VALIDATE_H
#define CKUBE_REGISTRY_VALIDATE_H

#include "common/api/type.h"
#include "common/base/kerr.h"

struct validate_opts {
    bool allow_privileged; /* --allow-privileged */
};

/* NULL opts: privileged containers are refused. */
struct kerr *validate_create(const struct api_kind *kind, const void *body, const struct validate_opts *opts) MUST_CHECK;
/* Also the rules of what may change.  Metadata of both must be filled in (uid, resourceVersion, ...). */
struct kerr *validate_update(const struct api_kind *kind, const void *body, const void *old,
                             const struct validate_opts *opts) MUST_CHECK;
/* Writes to /status: `body` has the old spec already. */
struct kerr *validate_status_update(const struct api_kind *kind, const void *body, const void *old,
                                    const struct validate_opts *opts) MUST_CHECK;
/* Other subresources that write the object itself: "ephemeralcontainers", "resize" of pods, "finalize" of namespaces,
 * "approval" of certificate signing requests. Unknown ones are checked as a plain update. */
struct kerr *validate_subresource(const struct api_kind *kind, const char *subresource, const void *body, const void *old,
                                  const struct validate_opts *opts) MUST_CHECK;

#endif
