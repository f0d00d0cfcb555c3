// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "apiserver/rest/write_internal.h"
#include "common/api/codec.h"
#include "common/api/managed.h"
#include "common/api/patch.h"
#include "common/api/values.h"
#include "common/base/clock.h"

/* One update under way: how the new object comes from the current one, and what came of it. */
struct update {
    struct api_request *r;
    const struct object *wanted; /* PUT: the body */
    enum patch_kind patch;       /* PATCH: how */
    json_t *applied;             /* PATCH_APPLY: the parsed body */
    bool force;
    struct object *result; /* the object to be stored, for dry runs and answers */
    struct object *old;    /* what it replaces, NULL: nothing; `result` may point into it */
    bool created;
};

static struct kerr *
modified(const struct api_request *r)
{
    const struct api_kind *k = r->resource->kind;

    return kerr_conflict(k->group, k->plural, r->info.name,
                         "the object has been modified; please apply your changes to the latest version and try again");
}

static struct kerr *
check_version(const struct update *u, const struct object *obj, const struct record *current)
{
    const struct api_request *r = u->r;
    const char *asked = object_meta(obj)->resource_version;
    char now[24];

    snprintf(now, sizeof now, "%lld", (long long)current->revision);
    if (str_empty(asked) || strcmp(asked, "0") == 0) {
        if (!u->wanted || !r->resource->strategy->forbid_unconditional_update)
            return NULL;
        struct kerr *err = kerr_about(kerr_new(KERR_INVALID, "%s \"%s\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update",
                                               r->resource->kind->kind, r->info.name),
                                      r->resource->kind->group, r->resource->kind->kind, r->info.name);
        kerr_add_cause(err, "FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0: must be specified for an update");
        return err;
    }
    return strcmp(asked, now) == 0 ? NULL : modified(r);
}

static struct kerr *
patched(const struct update *u, const struct object *old, struct object **ret)
{
    struct api_request *r = u->r;
    AUTO_SBUF before = { 0 };
    AUTO_SBUF after = { 0 };
    size_t len;
    const char *body = http_stream_body(r->stream, &len);

    object_encode_json(old, &before);
    struct kerr *err = patch_apply_bytes(r->resource->kind->type, u->patch, sbuf_str(&before), before.len, body, len, &after);
    if (err) /* Invalid without details, as upstream: kubectl then shows the message */
        return err->reason == KERR_INVALID ? err : kerr_about(err, r->resource->kind->group, r->resource->kind->plural, r->info.name);
    return write_decode_json(r, r->resource->kind, sbuf_str(&after), after.len, ret);
}

static struct kerr *
applied(const struct update *u, const struct object *old, struct object **ret)
{
    struct api_request *r = u->r;
    struct managed_request how = write_managed_request(r, clock_wall_us());

    how.force = u->force;
    return managed_fields_apply(r->resource->kind, old, u->applied, &how, ret);
}

/* What the client wants the object to be, from what it is. */
static struct kerr *
make_new(const struct update *u, const struct object *old, struct object **ret)
{
    if (u->wanted) {
        *ret = object_copy(u->wanted);
        return NULL;
    }
    return u->patch == PATCH_APPLY ? applied(u, old, ret) : patched(u, old, ret);
}

enum end { STAYED, STORED, GONE };

/* Gives back the numbers that nobody holds any more. */
static void
settle(struct update *u, enum end end)
{
    const struct strategy *s = u->r->resource->strategy;
    struct write_context c = write_context_of(u->r);

    if (u->result && s->release) {
        const void *now = object_body(u->result), *before = u->old ? object_body(u->old) : NULL;
        if (end == STAYED)
            s->release(&c, now, before);
        else if (before)
            s->release(&c, before, end == STORED ? now : NULL);
    }
}

static void
forget_attempt(struct update *u)
{
    object_unref(u->result);
    object_unref(u->old);
    u->result = u->old = NULL;
}

static struct kerr *
create_instead(struct update *u, struct sbuf *ret_json)
{
    struct api_request *r = u->r;
    AUTO(object) *obj = NULL;
    struct kerr *err = make_new(u, NULL, &obj);

    if (!err) {
        object_meta(obj)->name = arena_strdup(object_arena(obj), r->info.name);
        err = write_prepare_create(r, obj, u->patch != PATCH_APPLY);
    }
    if (err)
        return err;
    write_encode(r, obj, ret_json);
    u->created = true;
    u->result = steal_ptr(obj);
    return NULL;
}

static struct kerr *
update_once(const struct record *current, struct sbuf *ret_json, void *arg)
{
    struct update *u = arg;
    struct api_request *r = u->r;
    AUTO(object) *old = NULL;
    AUTO(object) *obj = NULL;

    settle(u, STAYED); /* an attempt that somebody else came before */
    forget_attempt(u);
    if (!current)
        return create_instead(u, ret_json);
    struct kerr *err = write_decode_record(r, current, &old);
    if (!err)
        err = make_new(u, old, &obj);
    if (!err)
        err = check_version(u, obj, current);
    if (!err)
        err = write_prepare_update(r, obj, old, u->patch != PATCH_APPLY);
    if (err)
        return err;
    u->created = false;
    u->result = steal_ptr(obj);
    u->old = steal_ptr(old);
    if (!write_should_delete(r, u->result))
        write_encode(r, u->result, ret_json);
    return NULL;
}

static void
answer_dry(struct update *u, struct record *current)
{
    AUTO_SBUF ignored = { 0 };
    struct api_request *r = u->r;
    struct kerr *err = update_once(current, &ignored, u);

    record_unref(current);
    settle(u, STAYED);
    if (err)
        request_fail(r, err);
    else
        write_answer_object(r, u->created ? 201 : 200, u->result);
}

static void
run(struct update *u, bool may_create)
{
    struct api_request *r = u->r;
    const struct store_update su = { .ns = r->info.ns, .name = r->info.name, .allow_create = may_create, .fn = update_once, .arg = u };
    struct record *rec = NULL;
    enum store_outcome outcome;

    if (request_dry_run(r)) {
        struct record *current = store_get(r->resource->store, r->info.ns, r->info.name);
        if (!current && !may_create)
            request_fail(r, kerr_not_found(r->resource->kind->group, r->resource->kind->plural, r->info.name));
        else
            answer_dry(u, current);
    } else {
        struct kerr *err = store_update(r->resource->store, &su, &rec, &outcome);
        settle(u, err ? STAYED : outcome == STORE_DELETED ? GONE : STORED);
        if (err)
            request_fail(r, err);
        else
            write_answer_record(r, outcome == STORE_CREATED ? 201 : 200, rec);
    }
    forget_attempt(u);
}

static struct kerr *
check_name(const struct api_request *r, const struct object *obj)
{
    const char *name = object_name(obj);

    if (str_empty(name))
        return kerr_new(KERR_BAD_REQUEST, "the name of the object (%s based on URL) was undeterminable: resource name may not be empty", r->info.name);
    if (!str_eq(name, r->info.name))
        return kerr_new(KERR_BAD_REQUEST, "the name of the object (%s) does not match the name on the URL (%s)", name, r->info.name);
    return NULL;
}

void
rest_write_update(struct api_request *r)
{
    write_sub_fn *sub = write_sub_handler(r);
    AUTO(object) *wanted = NULL;

    if (sub) {
        sub(r);
        return;
    }
    struct kerr *err = request_check_options(r);
    if (!err)
        err = write_decode_body(r, r->resource->kind, &wanted);
    if (!err)
        err = check_name(r, wanted);
    if (err) {
        request_fail(r, err);
        return;
    }
    struct update u = { .r = r, .wanted = wanted };
    run(&u, r->resource->strategy->allow_create_on_update && !r->subresource);
}

static struct kerr *
parse_applied(struct api_request *r, struct update *u)
{
    size_t len;
    const char *body = http_stream_body(r->stream, &len);
    AUTO_SBUF json = { 0 };
    struct kerr *err;
    json_error_t why;

    if (str_empty(request_param(&r->info, "fieldManager")))
        return kerr_new(KERR_INVALID, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
    if ((err = yaml_to_json(body, len, NULL, &json)))
        return kerr_wrap(err, "error decoding YAML");
    u->applied = json_loadb(sbuf_str(&json), json.len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(u->applied))
        return kerr_new(KERR_BAD_REQUEST, "error decoding patch: %s", u->applied ? "not an object" : why.text);
    const char *name = json_string_value(json_object_get(json_object_get(u->applied, "metadata"), "name"));
    if (name && !str_eq(name, r->info.name))
        return kerr_new(KERR_BAD_REQUEST, "the name of the object (%s) does not match the name on the URL (%s)", name, r->info.name);
    /* Unknown fields are found by decoding what was sent, before it is merged. */
    AUTO(object) *probe = NULL;
    return write_decode_json(r, r->resource->kind, sbuf_str(&json), json.len, &probe);
}

void
rest_write_patch(struct api_request *r)
{
    write_sub_fn *sub = write_sub_handler(r);
    struct update u = { .r = r, .patch = patch_kind_from(http_stream_header(r->stream, "Content-Type")) };
    struct kerr *err = request_check_options(r);

    if (sub) {
        kerr_free(err);
        sub(r);
        return;
    }
    if (!err && u.patch == PATCH_NONE)
        err = kerr_new(KERR_UNSUPPORTED_MEDIA_TYPE,
                       "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
                       "application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml");
    if (!err && u.patch == PATCH_APPLY)
        err = parse_applied(r, &u);
    else if (!err && !str_empty(request_param(&r->info, "force")))
        err = kerr_new(KERR_INVALID, "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch");
    u.force = request_param_bool(&r->info, "force");
    if (err)
        request_fail(r, err);
    else
        run(&u, u.patch == PATCH_APPLY && !r->subresource);
    json_decref(u.applied);
}
