// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "apiserver/admission/admission.h"
#include "apiserver/rest/read.h"
#include "apiserver/rest/write_internal.h"
#include "common/api/codec.h"
#include "common/api/status.h"
#include "common/api/values.h"
#include "common/base/clock.h"

#define FINALIZER_ORPHAN "orphan"
#define FINALIZER_FOREGROUND "foregroundDeletion"

void
delete_wish_done(struct delete_wish *w)
{
    free(w->uid);
    free(w->resource_version);
    free(w->propagation);
}

static struct kerr *
wish_from_body(struct delete_options *o, struct delete_wish *w)
{
    if (o->grace_period_seconds) {
        w->has_grace = true;
        w->grace_s = *o->grace_period_seconds;
    }
    if (o->preconditions) {
        w->uid = xstrdup(o->preconditions->uid);
        w->resource_version = xstrdup(o->preconditions->resource_version);
    }
    w->propagation = xstrdup(o->propagation_policy);
    if (o->orphan_dependents) {
        if (w->propagation)
            return kerr_new(KERR_INVALID, "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"%s\": "
                                          "orphanDependents and deletionPropagation cannot be both set", w->propagation);
        w->propagation = xstrdup(*o->orphan_dependents ? "Orphan" : "Background");
    }
    for (uint32_t i = 0; i < o->dry_run.len; i++)
        w->dry_run |= str_eq(o->dry_run.items[i], "All");
    return NULL;
}

static struct kerr *
decode_options(struct api_request *r, const char *body, size_t len, struct object **ret)
{
    const struct api_kind *kind = api_kind_find("v1", "DeleteOptions");
    enum media_format format;
    AUTO_SBUF json = { 0 };
    struct kerr *err = media_content(http_stream_header(r->stream, "Content-Type"), &format);

    if (err)
        return err;
    if (format == MEDIA_PROTOBUF)
        return object_decode_pb(body, len, kind, ret);
    if (format == MEDIA_YAML) {
        if ((err = yaml_to_json(body, len, NULL, &json)))
            return err;
        return object_decode_json(sbuf_str(&json), json.len, kind, NULL, ret);
    }
    return object_decode_json(body, len, kind, NULL, ret);
}

struct kerr *
delete_wish_read(struct api_request *r, const char *body, size_t len, struct delete_wish *ret)
{
    struct delete_wish w = { .dry_run = request_dry_run(r) };
    const char *grace = request_param(&r->info, "gracePeriodSeconds"), *policy = request_param(&r->info, "propagationPolicy");
    AUTO(object) *options = NULL;
    struct kerr *err = NULL;

    if (len > 0) {
        err = decode_options(r, body, len, &options);
        if (!err)
            err = wish_from_body(OBJECT_BODY(options, delete_options), &w);
    } else {
        if (grace && parse_i64(grace, &w.grace_s))
            err = kerr_new(KERR_BAD_REQUEST, "gracePeriodSeconds: \"%s\" is not a number", grace);
        w.has_grace = grace != NULL;
        w.propagation = xstrdup(policy);
        const char *orphan = request_param(&r->info, "orphanDependents");
        if (orphan && !policy)
            w.propagation = xstrdup(request_param_bool(&r->info, "orphanDependents") ? "Orphan" : "Background");
    }
    if (!err && w.has_grace && w.grace_s < 0)
        w.grace_s = 1; /* upstream: negative counts as one second */
    if (!err && !str_empty(w.propagation) && !str_eq(w.propagation, "Orphan") && !str_eq(w.propagation, "Background") &&
        !str_eq(w.propagation, "Foreground"))
        err = kerr_new(KERR_INVALID, "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"%s\": supported values: "
                                     "\"Foreground\", \"Background\", \"Orphan\", \"nil\"", w.propagation);
    if (err) {
        delete_wish_done(&w);
        return err;
    }
    *ret = w;
    return NULL;
}

/* --- one object --- */

struct deletion {
    struct api_request *r;
    const struct delete_wish *wish;
    const char *ns, *name;
    int64_t now_s;
    struct object *last; /* the object that goes, for release */
};

static void
set_finalizer(struct object *obj, const char *name, bool wanted)
{
    struct string_slice *f = &object_meta(obj)->finalizers;
    const char **items = arena_alloc(object_arena(obj), (f->len + 1) * sizeof *items);
    uint32_t n = 0;
    bool had = false;

    for (uint32_t i = 0; i < f->len; i++) {
        bool same = strcmp(f->items[i], name) == 0;
        had |= same;
        if (!same || wanted)
            items[n++] = f->items[i];
    }
    if (wanted && !had)
        items[n++] = name;
    *f = (struct string_slice){ items, n, n };
}

static bool
has_finalizer(const struct object *obj, const char *name)
{
    const struct string_slice *f = &object_meta(obj)->finalizers;

    for (uint32_t i = 0; i < f->len; i++)
        if (strcmp(f->items[i], name) == 0)
            return true;
    return false;
}

/* Upstream's shouldOrphanDependents and shouldDeleteDependents: asked > existing finalizer > the kind's default. */
static void
propagate(const struct deletion *d, struct object *obj)
{
    const char *asked = str_safe(d->wish->propagation);
    bool orphan, foreground;

    if (*asked) {
        orphan = strcmp(asked, "Orphan") == 0;
        foreground = strcmp(asked, "Foreground") == 0;
    } else {
        orphan = has_finalizer(obj, FINALIZER_ORPHAN) ||
                 (d->r->resource->strategy->orphans_by_default && !has_finalizer(obj, FINALIZER_FOREGROUND));
        foreground = has_finalizer(obj, FINALIZER_FOREGROUND);
    }
    set_finalizer(obj, FINALIZER_ORPHAN, orphan);
    set_finalizer(obj, FINALIZER_FOREGROUND, foreground);
}

static int64_t
grace_of(const struct deletion *d, const struct object *obj)
{
    const struct strategy *strategy = d->r->resource->strategy;

    return strategy->grace_seconds ? strategy->grace_seconds(object_body(obj), d->wish->has_grace ? &d->wish->grace_s : NULL) : 0;
}

static void
mark(const struct deletion *d, struct object *obj, int64_t grace_s)
{
    struct object_meta *meta = object_meta(obj);
    struct arena *a = object_arena(obj);

    if (!meta->deletion_timestamp) {
        meta->deletion_timestamp = ARENA_NEW(a, struct api_time);
        meta->deletion_grace_period_seconds = ARENA_NEW(a, int64_t);
        *meta->deletion_timestamp = api_time_from_unix(d->now_s + grace_s);
        *meta->deletion_grace_period_seconds = grace_s;
        if (meta->generation > 0)
            meta->generation++;
        return;
    }
    int64_t had = meta->deletion_grace_period_seconds ? *meta->deletion_grace_period_seconds : 0;
    if (grace_s >= had)
        return;
    /* A shorter period moves the time forward, never past the first request. */
    int64_t asked_at = api_time_unix(*meta->deletion_timestamp) - had;
    struct api_time *when = ARENA_NEW(a, struct api_time);
    int64_t *grace = ARENA_NEW(a, int64_t);
    *when = api_time_from_unix(asked_at + grace_s);
    *grace = grace_s;
    meta->deletion_timestamp = when;
    meta->deletion_grace_period_seconds = grace;
}

static struct kerr *
delete_step(const struct record *current, struct sbuf *ret_json, void *arg)
{
    struct deletion *d = arg;
    AUTO(object) *old = NULL;
    AUTO(object) *obj = NULL;

    if (current->broken)
        return NULL; /* nothing to respect: gone */
    struct kerr *err = write_decode_record(d->r, current, &old);
    if (err)
        return err;
    struct write_context c = write_context_of(d->r);
    c.name = d->name;
    if ((err = admission_validate(&c, ADMISSION_DELETE, NULL, old)))
        return err;
    obj = object_copy(old);
    int64_t grace_s = grace_of(d, obj);
    propagate(d, obj);
    bool hold = object_meta(obj)->finalizers.len > 0 || (d->r->resource->strategy->holds && d->r->resource->strategy->holds(object_body(obj)));
    object_unref(d->last);
    d->last = object_ref(obj);
    if (grace_s == 0 && !hold)
        return NULL;
    mark(d, obj, grace_s);
    if (d->r->resource->strategy->prepare_mark)
        d->r->resource->strategy->prepare_mark(&c, object_arena(obj), object_body(obj));
    write_encode(d->r, obj, ret_json);
    return NULL;
}

struct kerr *
write_delete_one(struct api_request *r, const char *ns, const char *name, const struct delete_wish *w, bool *ret_gone, struct record **ret)
{
    struct deletion d = { .r = r, .wish = w, .ns = ns, .name = name, .now_s = clock_wall_s() };
    const struct store_update u = {
        .ns = ns,
        .name = name,
        .preconditions = { .uid = w->uid, .resource_version = w->resource_version },
        .fn = delete_step,
        .arg = &d,
    };
    enum store_outcome outcome = STORE_UNCHANGED;
    struct kerr *err;

    if (w->dry_run) {
        AUTO_SBUF json = { 0 };
        struct record *rec = store_get(r->resource->store, ns, name);
        if (!rec)
            return kerr_not_found(r->resource->kind->group, r->resource->kind->plural, name);
        err = delete_step(rec, &json, &d);
        outcome = json.len ? STORE_UPDATED : STORE_DELETED;
        if (err)
            record_unref(rec);
        else
            *ret = rec;
    } else {
        err = store_update(r->resource->store, &u, ret, &outcome);
    }
    if (!err && outcome == STORE_DELETED && !w->dry_run && d.last && r->resource->strategy->release) {
        struct write_context c = write_context_of(r);
        c.name = name;
        r->resource->strategy->release(&c, object_body(d.last), NULL);
    }
    object_unref(d.last);
    if (!err)
        *ret_gone = outcome == STORE_DELETED;
    return err;
}

static void
answer_success(struct api_request *r, struct record *rec)
{
    AUTO(object) *status = status_success(r->resource->kind->group, r->resource->kind->plural, rec->name, rec->uid);

    record_unref(rec);
    request_reply_object(r, 200, status);
}

void
rest_write_delete(struct api_request *r)
{
    size_t len;
    const char *body = http_stream_body(r->stream, &len);
    struct delete_wish w = { 0 };
    struct record *rec = NULL;
    bool gone = false;
    struct kerr *err = delete_wish_read(r, body, len, &w);

    if (!err)
        err = write_delete_one(r, r->info.ns, r->info.name, &w, &gone, &rec);
    delete_wish_done(&w);
    if (err)
        request_fail(r, err);
    else if (gone && !r->resource->strategy->returns_deleted)
        answer_success(r, rec);
    else
        write_answer_record(r, 200, rec);
}

/* --- many --- */

void
rest_write_delete_collection(struct api_request *r)
{
    size_t len;
    const char *body = http_stream_body(r->stream, &len);
    struct delete_wish w = { 0 };
    struct record **list = NULL;
    size_t n = 0;
    struct kerr *err = delete_wish_read(r, body, len, &w);

    if (!err)
        err = rest_read_collect(r, &list, &n);
    for (size_t i = 0; !err && i < n; i++) {
        struct record *rec = NULL;
        bool gone;
        err = write_delete_one(r, list[i]->ns, list[i]->name, &w, &gone, &rec);
        if (err && err->reason == KERR_NOT_FOUND) {
            kerr_free(err);
            err = NULL;
        }
        record_unref(rec);
    }
    delete_wish_done(&w);
    if (err)
        request_fail(r, err);
    else
        rest_read_answer_collected(r, list, n);
    for (size_t i = 0; i < n; i++)
        record_unref(list[i]);
    free(list);
}
