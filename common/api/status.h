// SPDX-License-Identifier: Apache-2.0
/* status.h - errors as API clients see them: struct kerr <-> metav1.Status.
 * The apiserver turns every error into a body here; clients turn bodies of failed answers back.  Pure, any thread. */
#ifndef CKUBE_API_STATUS_H
#define CKUBE_API_STATUS_H

#include "common/api/object.h"
#include "common/base/sbuf.h"

/* An object of kind Status, "Failure"; encode it as any other (JSON, protobuf). */
struct object *status_object(const struct kerr *err) MUST_CHECK;
/* "Success" with details, as deletes answer; each text may be NULL.  kind: the resource's plural, as upstream has it. */
struct object *status_success(const char *group, const char *kind, const char *name, const char *uid) MUST_CHECK;
void status_encode_json(const struct kerr *err, struct sbuf *out);

/* http_code: of the answer, used where the Status has none; 0 = unknown. */
struct kerr *kerr_from_status(const struct status *st, int http_code) MUST_CHECK;
/* From the body of a failed answer: a Status in JSON or protobuf, else the code and the start of the text. Never NULL. */
struct kerr *kerr_from_body(const char *body, size_t len, int http_code) MUST_CHECK;

#endif
