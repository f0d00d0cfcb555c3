// SPDX-License-Identifier: Apache-2.0
#include "common/api/status.h"

#include <ctype.h>

#include "common/api/codec.h"

static void
fill_causes(const struct kerr *err, struct arena *a, struct status_details *d)
{
    d->causes.items = arena_alloc(a, err->ncauses * sizeof *d->causes.items);
    d->causes.len = d->causes.cap = err->ncauses;
    for (uint32_t i = 0; i < err->ncauses; i++) {
        d->causes.items[i].reason = arena_strdup(a, err->causes[i].reason);
        d->causes.items[i].message = arena_strdup(a, err->causes[i].message);
        d->causes.items[i].field = arena_strdup(a, err->causes[i].field);
    }
}

static struct status_details *
details_of(const struct kerr *err, struct arena *a)
{
    if (!err->group && !err->kind && !err->name && !err->uid && !err->retry_after_s && !err->ncauses)
        return NULL;
    struct status_details *d = ARENA_NEW(a, struct status_details);
    d->name = arena_strdup(a, err->name);
    d->group = arena_strdup(a, err->group);
    d->kind = arena_strdup(a, err->kind);
    d->uid = arena_strdup(a, err->uid);
    d->retry_after_seconds = err->retry_after_s;
    if (err->ncauses)
        fill_causes(err, a, d);
    return d;
}

struct object *
status_object(const struct kerr *err)
{
    struct object *obj = object_new_of("v1", "Status");
    struct arena *a = object_arena(obj);
    struct status *st = object_body(obj);

    st->status = "Failure";
    st->message = arena_strdup(a, err->message);
    st->reason = kerr_reason_name(err->reason);
    st->code = err->http_code;
    st->metadata.continue_ = arena_strdup(a, err->list_continue);
    st->details = details_of(err, a);
    return obj;
}

struct object *
status_success(const char *group, const char *kind, const char *name, const char *uid)
{
    struct object *obj = object_new_of("v1", "Status");
    struct arena *a = object_arena(obj);
    struct status *st = object_body(obj);

    st->status = "Success";
    if (group || kind || name || uid) {
        st->details = ARENA_NEW(a, struct status_details);
        st->details->group = arena_strdup(a, group);
        st->details->kind = arena_strdup(a, kind);
        st->details->name = arena_strdup(a, name);
        st->details->uid = arena_strdup(a, uid);
    }
    return obj;
}

void
status_encode_json(const struct kerr *err, struct sbuf *out)
{
    struct object *obj = status_object(err);

    object_encode_json(obj, out);
    object_unref(obj);
}

static char *
dup_filled(const char *s)
{
    return str_empty(s) ? NULL : xstrdup(s);
}

static void
take_details(const struct status_details *d, struct kerr *err)
{
    err->name = dup_filled(d->name);
    err->group = dup_filled(d->group);
    err->kind = dup_filled(d->kind);
    err->uid = dup_filled(d->uid);
    err->retry_after_s = d->retry_after_seconds;
    for (uint32_t i = 0; i < d->causes.len; i++) {
        const struct status_cause *c = &d->causes.items[i];
        kerr_add_cause(err, str_safe(c->reason), str_safe(c->field), "%s", str_safe(c->message));
    }
}

struct kerr *
kerr_from_status(const struct status *st, int http_code)
{
    int code = st->code ? st->code : http_code;
    struct kerr *err = kerr_new(kerr_reason_from(st->reason, code), "%s", str_or(st->message, "the server gave no reason"));

    if (code)
        err->http_code = code;
    err->list_continue = dup_filled(st->metadata.continue_);
    if (st->details)
        take_details(st->details, err);
    return err;
}

static struct kerr *
parse_status(const char *body, size_t len, struct object **ret)
{
    const struct api_kind *kind = api_kind_find("v1", "Status");

    if (len >= 4 && memcmp(body, "k8s", 4) == 0)
        return object_decode_pb(body, len, kind, ret);
    if (len && *body == '{')
        return object_decode_json(body, len, kind, NULL, ret);
    return kerr_new(KERR_BAD_REQUEST, "no Status");
}

/* What a server or proxy that speaks no Status said, in one line. */
static struct kerr *
generic_error(const char *body, size_t len, int http_code)
{
    enum { SHOWN = 256 };
    AUTO_SBUF text = { 0 };

    for (size_t i = 0; i < len && i < SHOWN; i++)
        sbuf_addc(&text, isprint((unsigned char)body[i]) ? body[i] : ' ');
    while (text.len && text.s[text.len - 1] == ' ')
        text.s[--text.len] = '\0';
    struct kerr *err = kerr_new(kerr_reason_from(NULL, http_code), "the server answered with HTTP status %d%s%s", http_code,
                                text.len ? ": " : "", sbuf_str(&text));
    if (http_code)
        err->http_code = http_code;
    return err;
}

struct kerr *
kerr_from_body(const char *body, size_t len, int http_code)
{
    struct object *obj = NULL;
    struct kerr *err = parse_status(body, len, &obj);

    if (err) {
        kerr_free(err);
        return generic_error(body, len, http_code);
    }
    err = kerr_from_status(object_body(obj), http_code);
    object_unref(obj);
    return err;
}
