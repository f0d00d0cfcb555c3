// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http/request.h"

#include <stdio.h>
#include <string.h>

#include "apiserver/http/pipeline.h"
#include "common/api/codec.h"
#include "common/api/status.h"
#include "common/base/clock.h"

size_t
request_headers(struct api_request *r, const char *content_type, struct http_header *ret)
{
    size_t n = 0;

    ret[n++] = (struct http_header){ "Audit-Id", r->audit_id };
    ret[n++] = (struct http_header){ "Cache-Control", "no-cache, private" };
    if (content_type)
        ret[n++] = (struct http_header){ "Content-Type", content_type };
    for (size_t i = 0; i < r->warnings.len && n < REQUEST_HEADERS_MAX; i++) {
        AUTO_SBUF b = { 0 };
        sbuf_adds(&b, "299 - \"");
        for (const char *p = r->warnings.items[i]; *p; p++) {
            if (*p == '"' || *p == '\\')
                sbuf_addc(&b, '\\');
            sbuf_addc(&b, *p < ' ' && *p >= 0 ? ' ' : *p);
        }
        sbuf_addc(&b, '"');
        ret[n++] = (struct http_header){ "Warning", arena_strdup(r->arena, sbuf_str(&b)) };
    }
    return n;
}

void
request_prettify(struct api_request *r, const char *content_type, struct sbuf *body)
{
    struct sbuf pretty = { 0 };
    bool wanted = r->media.pretty || request_param_bool(&r->info, "pretty");

    if (!wanted || !content_type || !str_has_prefix(content_type, "application/json"))
        return;
    json_indent(sbuf_str(body), body->len, &pretty);
    sbuf_addc(&pretty, '\n');
    sbuf_done(body);
    *body = pretty;
}

void
request_reply(struct api_request *r, int code, const char *content_type, struct sbuf *body)
{
    struct http_header headers[REQUEST_HEADERS_MAX];
    size_t n = request_headers(r, content_type, headers);

    r->code = code;
    request_prettify(r, content_type, body);
    http_reply(r->stream, code, headers, n, sbuf_str(body), body->len);
    sbuf_done(body);
    request_done(r);
}

/* Pretty printing and YAML are for people: they go through the JSON. */
static void
to_format(const struct media *m, struct sbuf *json)
{
    if (m->format == MEDIA_YAML) {
        struct sbuf yaml = { 0 };
        json_to_yaml(sbuf_str(json), json->len, &yaml);
        sbuf_done(json);
        *json = yaml;
    }
}

void
request_fail(struct api_request *r, struct kerr *err)
{
    struct http_header headers[REQUEST_HEADERS_MAX];
    struct sbuf body = { 0 };
    struct media m = { .format = r->media.format };
    size_t n = request_headers(r, media_type(&m), headers);
    char retry[16];

    if (err->retry_after_s > 0 && n < REQUEST_HEADERS_MAX) {
        snprintf(retry, sizeof retry, "%d", (int)err->retry_after_s);
        headers[n++] = (struct http_header){ "Retry-After", retry };
    }
    if (m.format == MEDIA_PROTOBUF) {
        struct object *status = status_object(err);
        object_encode_pb(status, &body);
        object_unref(status);
    } else {
        status_encode_json(err, &body);
        to_format(&m, &body);
        request_prettify(r, media_type(&m), &body);
    }
    r->code = err->http_code;
    http_reply(r->stream, err->http_code, headers, n, sbuf_str(&body), body.len);
    sbuf_done(&body);
    kerr_free(err);
    request_done(r);
}

void
request_reply_object(struct api_request *r, int code, const struct object *obj)
{
    struct sbuf body = { 0 };
    struct media m = { .format = r->media.format };

    if (m.format == MEDIA_PROTOBUF) {
        object_encode_pb(obj, &body);
    } else {
        object_encode_json(obj, &body);
        sbuf_addc(&body, '\n');
        to_format(&m, &body);
    }
    request_reply(r, code, media_type(&m), &body);
}

void
request_done(struct api_request *r)
{
    if (!r)
        return;
    pipeline_finished(r);
    http_stream_unref(r->stream);
    strlist_done(&r->warnings);
    arena_free(r->arena);
    free(r);
}

/* Upstream: the part of User-Agent before the first "/", at most 128 printable characters. */
const char *
request_field_manager(const struct api_request *r)
{
    const char *given = request_param(&r->info, "fieldManager");

    if (!str_empty(given))
        return given;
    const char *agent = str_safe(http_stream_header(r->stream, "User-Agent"));
    size_t len = strcspn(agent, "/");
    if (len > 128)
        len = 128;
    return arena_strndup(r->arena, agent, len);
}

bool
request_dry_run(const struct api_request *r)
{
    return str_eq(request_param(&r->info, "dryRun"), "All");
}

/* The options kind of a write, as upstream's errors name it. */
static const char *
options_kind(const struct api_request *r)
{
    static const char *const kinds[][2] = { { "create", "CreateOptions" }, { "update", "UpdateOptions" }, { "patch", "PatchOptions" } };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i][0], r->info.verb))
            return kinds[i][1];
    return "DeleteOptions";
}

static struct kerr *
refuse_option(const struct api_request *r, const char *field, const char *cause, const char *why)
{
    const char *kind = options_kind(r);
    struct kerr *err = kerr_about(kerr_new(KERR_INVALID, "%s.meta.k8s.io \"\" is invalid: %s: %s", kind, field, why), "meta.k8s.io", kind, "");

    kerr_add_cause(err, cause, field, "%s", why);
    return err;
}

struct kerr *
request_check_options(const struct api_request *r)
{
    const char *dry = request_param(&r->info, "dryRun"), *validation = request_param(&r->info, "fieldValidation");
    const char *manager = request_param(&r->info, "fieldManager");

    if (!str_empty(dry) && !str_eq(dry, "All"))
        return refuse_option(r, "dryRun", "FieldValueNotSupported",
                             arena_printf(r->arena, "Unsupported value: [\"%s\"]: supported values: \"All\"", dry));
    if (!str_empty(validation) && !str_eq(validation, "Ignore") && !str_eq(validation, "Warn") && !str_eq(validation, "Strict"))
        return refuse_option(r, "fieldValidation", "FieldValueNotSupported",
                             arena_printf(r->arena, "Unsupported value: \"%s\": supported values: \"Ignore\", \"Strict\", \"Warn\"", validation));
    if (manager && strlen(manager) > 128)
        return refuse_option(r, "fieldManager", "FieldValueTooLong", "Too long: may not be more than 128 bytes");
    return NULL;
}
