// SPDX-License-Identifier: Apache-2.0
/* kerr.h - the returned error object.  NULL is success; dropping one is a compiler warning.
 * Whoever knows the cause writes the message; callers add context with kerr_wrap() and one place
 * (common/api/status.h) turns it into a metav1.Status.  Any thread; one owner at a time. */
#ifndef CKUBE_BASE_KERR_H
#define CKUBE_BASE_KERR_H

#include <stdint.h>

#include "common/base/mem.h"

/* metav1.StatusReason values, in the order of the table in kerr.c. */
enum kerr_reason {
    KERR_UNKNOWN,
    KERR_BAD_REQUEST,
    KERR_UNAUTHORIZED,
    KERR_FORBIDDEN,
    KERR_NOT_FOUND,
    KERR_METHOD_NOT_ALLOWED,
    KERR_NOT_ACCEPTABLE,
    KERR_ALREADY_EXISTS,
    KERR_CONFLICT,
    KERR_GONE,
    KERR_EXPIRED,
    KERR_TOO_LARGE,
    KERR_UNSUPPORTED_MEDIA_TYPE,
    KERR_INVALID,
    KERR_TOO_MANY_REQUESTS,
    KERR_INTERNAL,
    KERR_SERVER_TIMEOUT,
    KERR_UNAVAILABLE,
    KERR_TIMEOUT,
    KERR_REASON_COUNT,
};

struct kerr_cause {
    char *reason; /* metav1.CauseType, e.g. "FieldValueInvalid" */
    char *message;
    char *field; /* JSON path, e.g. "spec.containers[0].name" */
};

struct kerr {
    enum kerr_reason reason;
    int http_code; /* from the reason; a peer's own code when it sent another */
    char *message;
    /* metav1.StatusDetails; each may be NULL */
    char *group, *kind, *name, *uid;
    int32_t retry_after_s;
    struct kerr_cause *causes;
    uint32_t ncauses;
    char *list_continue; /* 410 Expired of a list: the fresh continue token (Status.metadata.continue) */
};

struct kerr *kerr_new(enum kerr_reason why, const char *fmt, ...) MUST_CHECK PRINTF_LIKE(2, 3);
/* From errno or -errno: "<message>: <strerror>".  ENOENT is KERR_NOT_FOUND, the rest KERR_INTERNAL. */
struct kerr *kerr_errno(int err, const char *fmt, ...) MUST_CHECK PRINTF_LIKE(2, 3);
/* Prefixes the message with "<context>: "; takes err and returns it; NULL stays NULL. */
struct kerr *kerr_wrap(struct kerr *err, const char *fmt, ...) MUST_CHECK PRINTF_LIKE(2, 3);
void kerr_free(struct kerr *err);
DEFINE_AUTO(kerr)

/* Each returns err, so that they chain on a return. */
struct kerr *kerr_about(struct kerr *err, const char *group, const char *kind, const char *name) MUST_CHECK;
struct kerr *kerr_retry_after(struct kerr *err, int32_t seconds) MUST_CHECK;
void kerr_add_cause(struct kerr *err, const char *reason, const char *field, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The usual ones, with upstream's texts.  `resource` is the plural, `group` "" for core. */
struct kerr *kerr_not_found(const char *group, const char *resource, const char *name) MUST_CHECK;
struct kerr *kerr_already_exists(const char *group, const char *resource, const char *name) MUST_CHECK;
struct kerr *kerr_conflict(const char *group, const char *resource, const char *name, const char *why) MUST_CHECK;
struct kerr *kerr_forbidden(const char *group, const char *resource, const char *name, const char *why) MUST_CHECK;

const char *kerr_reason_name(enum kerr_reason reason); /* "NotFound"; "" for KERR_UNKNOWN */
int kerr_reason_code(enum kerr_reason reason);         /* HTTP status code */
enum kerr_reason kerr_reason_from(const char *name, int http_code); /* either may be missing (NULL, 0) */

#endif
