// SPDX-License-Identifier: Apache-2.0
#include "common/base/kerr.h"

#include <errno.h>
#include <string.h>

static const struct {
    int code;
    const char *name;
} reasons[KERR_REASON_COUNT] = {
    [KERR_UNKNOWN] = { 500, "" },
    [KERR_BAD_REQUEST] = { 400, "BadRequest" },
    [KERR_UNAUTHORIZED] = { 401, "Unauthorized" },
    [KERR_FORBIDDEN] = { 403, "Forbidden" },
    [KERR_NOT_FOUND] = { 404, "NotFound" },
    [KERR_METHOD_NOT_ALLOWED] = { 405, "MethodNotAllowed" },
    [KERR_NOT_ACCEPTABLE] = { 406, "NotAcceptable" },
    [KERR_ALREADY_EXISTS] = { 409, "AlreadyExists" },
    [KERR_CONFLICT] = { 409, "Conflict" },
    [KERR_GONE] = { 410, "Gone" },
    [KERR_EXPIRED] = { 410, "Expired" },
    [KERR_TOO_LARGE] = { 413, "RequestEntityTooLarge" },
    [KERR_UNSUPPORTED_MEDIA_TYPE] = { 415, "UnsupportedMediaType" },
    [KERR_INVALID] = { 422, "Invalid" },
    [KERR_TOO_MANY_REQUESTS] = { 429, "TooManyRequests" },
    [KERR_INTERNAL] = { 500, "InternalError" },
    [KERR_SERVER_TIMEOUT] = { 500, "ServerTimeout" },
    [KERR_UNAVAILABLE] = { 503, "ServiceUnavailable" },
    [KERR_TIMEOUT] = { 504, "Timeout" },
};

static struct kerr *
make(enum kerr_reason why, char *message)
{
    struct kerr *err = XNEW(struct kerr);

    err->reason = why;
    err->http_code = reasons[why].code;
    err->message = message;
    return err;
}

struct kerr *
kerr_new(enum kerr_reason why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *message = xvasprintf(fmt, ap);
    va_end(ap);
    return make(why, message);
}

struct kerr *
kerr_errno(int err, const char *fmt, ...)
{
    va_list ap;

    if (err < 0)
        err = -err;
    va_start(ap, fmt);
    AUTO_FREE char *context = xvasprintf(fmt, ap);
    va_end(ap);
    char buf[128];
    return make(err == ENOENT ? KERR_NOT_FOUND : KERR_INTERNAL,
                xasprintf("%s: %s", context, strerror_r(err, buf, sizeof buf)));
}

struct kerr *
kerr_wrap(struct kerr *err, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return NULL;
    va_start(ap, fmt);
    AUTO_FREE char *context = xvasprintf(fmt, ap);
    va_end(ap);
    char *message = xasprintf("%s: %s", context, err->message);
    free(err->message);
    err->message = message;
    return err;
}

void
kerr_free(struct kerr *err)
{
    if (!err)
        return;
    for (uint32_t i = 0; i < err->ncauses; i++) {
        free(err->causes[i].reason);
        free(err->causes[i].message);
        free(err->causes[i].field);
    }
    free(err->causes);
    free(err->message);
    free(err->group);
    free(err->kind);
    free(err->name);
    free(err->uid);
    free(err->list_continue);
    free(err);
}

static void
replace(char **at, const char *value)
{
    free(*at);
    *at = xstrdup(value);
}

struct kerr *
kerr_about(struct kerr *err, const char *group, const char *kind, const char *name)
{
    replace(&err->group, group);
    replace(&err->kind, kind);
    replace(&err->name, name);
    return err;
}

struct kerr *
kerr_retry_after(struct kerr *err, int32_t seconds)
{
    err->retry_after_s = seconds;
    return err;
}

void
kerr_add_cause(struct kerr *err, const char *reason, const char *field, const char *fmt, ...)
{
    va_list ap;

    err->causes = xreallocarray(err->causes, err->ncauses + 1, sizeof *err->causes);
    struct kerr_cause *cause = &err->causes[err->ncauses++];
    cause->reason = xstrdup(reason);
    cause->field = xstrdup(field);
    va_start(ap, fmt);
    cause->message = xvasprintf(fmt, ap);
    va_end(ap);
}

/* "deployments.apps" or "pods": how upstream names a resource in its messages. */
static char *
qualified(const char *group, const char *resource)
{
    return group && *group ? xasprintf("%s.%s", resource, group) : xstrdup(resource);
}

struct kerr *
kerr_not_found(const char *group, const char *resource, const char *name)
{
    AUTO_FREE char *what = qualified(group, resource);

    return kerr_about(kerr_new(KERR_NOT_FOUND, "%s \"%s\" not found", what, name), group, resource, name);
}

struct kerr *
kerr_already_exists(const char *group, const char *resource, const char *name)
{
    AUTO_FREE char *what = qualified(group, resource);

    return kerr_about(kerr_new(KERR_ALREADY_EXISTS, "%s \"%s\" already exists", what, name), group, resource, name);
}

struct kerr *
kerr_conflict(const char *group, const char *resource, const char *name, const char *why)
{
    AUTO_FREE char *what = qualified(group, resource);

    return kerr_about(kerr_new(KERR_CONFLICT, "Operation cannot be fulfilled on %s \"%s\": %s", what, name, why),
                      group, resource, name);
}

struct kerr *
kerr_forbidden(const char *group, const char *resource, const char *name, const char *why)
{
    AUTO_FREE char *what = qualified(group, resource);

    if (name && *name)
        return kerr_about(kerr_new(KERR_FORBIDDEN, "%s \"%s\" is forbidden: %s", what, name, why), group, resource,
                          name);
    return kerr_about(kerr_new(KERR_FORBIDDEN, "%s is forbidden: %s", what, why), group, resource, NULL);
}

const char *
kerr_reason_name(enum kerr_reason reason)
{
    return reasons[reason].name;
}

int
kerr_reason_code(enum kerr_reason reason)
{
    return reasons[reason].code;
}

enum kerr_reason
kerr_reason_from(const char *name, int http_code)
{
    for (int i = 1; name && *name && i < KERR_REASON_COUNT; i++)
        if (strcmp(reasons[i].name, name) == 0)
            return (enum kerr_reason)i;
    for (int i = 1; i < KERR_REASON_COUNT; i++)
        if (reasons[i].code == http_code)
            return (enum kerr_reason)i;
    return KERR_UNKNOWN;
}
