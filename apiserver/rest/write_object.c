// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "apiserver/admission/admission.h"
#include "apiserver/registry/convert.h"
#include "apiserver/registry/defaults.h"
#include "apiserver/registry/validate.h"
#include "apiserver/rest/encode.h"
#include "apiserver/rest/write_internal.h"
#include "common/api/codec.h"
#include "common/api/managed.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/rng.h"

enum { GENERATED_SUFFIX = 5, GENERATED_BASE_MAX = 63 - GENERATED_SUFFIX };

struct write_context
write_context_of(struct api_request *r)
{
    return (struct write_context){
        .srv = r->srv,
        .resource = r->resource,
        .subresource = r->subresource ? r->subresource->name : "",
        .ns = r->info.ns,
        .name = r->info.name,
        .user = &r->user,
        .now_us = clock_wall_us(),
        .dry_run = request_dry_run(r),
        .warnings = &r->warnings,
    };
}

/* --- decoding --- */

static struct kerr *
wrong_document(struct kerr *err, const struct api_kind *kind)
{
    if (err && err->reason == KERR_BAD_REQUEST)
        return kerr_wrap(err, "%s in version \"%s\" cannot be handled as a %s", kind->kind, kind->version, kind->kind);
    return err;
}

/* Ignore: silent; Warn (the default): Warning headers; Strict: 400. */
static struct kerr *
apply_field_validation(struct api_request *r, const struct api_kind *kind, const struct codec_report *report)
{
    const char *mode = str_or(request_param(&r->info, "fieldValidation"), "Warn");
    AUTO_SBUF all = { 0 };

    if (str_eq(mode, "Ignore") || report->findings.len == 0)
        return NULL;
    for (size_t i = 0; i < report->findings.len; i++) {
        if (str_eq(mode, "Warn"))
            strlist_add(&r->warnings, report->findings.items[i]);
        else
            sbuf_addf(&all, "%s%s", i ? ", " : "", report->findings.items[i]);
    }
    if (str_eq(mode, "Warn"))
        return NULL;
    return wrong_document(kerr_new(KERR_BAD_REQUEST, "strict decoding error: %s", sbuf_str(&all)), kind);
}

static struct kerr *
check_kind(const struct object *obj, const struct api_kind *kind)
{
    const struct api_kind *got = object_kind(obj);

    if (got == kind)
        return NULL;
    return kerr_new(KERR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s: the API version in the data (%s) does not match the "
                                      "expected API version (%s)",
                    got->kind, got->version, kind->kind, api_kind_api_version(got), api_kind_api_version(kind));
}

struct kerr *
write_decode_json(struct api_request *r, const struct api_kind *kind, const char *json, size_t len, struct object **ret)
{
    struct codec_report report = { .collect = !str_eq(request_param(&r->info, "fieldValidation"), "Ignore") };
    AUTO(object) *obj = NULL;
    struct kerr *err = object_decode_json(json, len, kind, &report, &obj);

    if (!err)
        err = apply_field_validation(r, kind, &report);
    strlist_done(&report.findings);
    if (err)
        return err;
    *ret = steal_ptr(obj);
    return NULL;
}

struct kerr *
write_decode_body(struct api_request *r, const struct api_kind *kind, struct object **ret)
{
    enum media_format format;
    size_t len;
    const char *body = http_stream_body(r->stream, &len);
    struct kerr *err = media_content(http_stream_header(r->stream, "Content-Type"), &format);
    AUTO(object) *obj = NULL;
    AUTO_SBUF json = { 0 };

    if (err)
        return err;
    if (len == 0)
        return kerr_new(KERR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s: EOF", kind->kind, kind->version, kind->kind);
    switch (format) {
    case MEDIA_PROTOBUF:
        err = object_decode_pb(body, len, NULL, &obj);
        if (err && !strstr(err->message, "cannot be handled as a"))
            err = wrong_document(err, kind);
        break;
    case MEDIA_YAML:
        err = yaml_to_json(body, len, NULL, &json);
        if (!err)
            err = write_decode_json(r, kind, sbuf_str(&json), json.len, &obj);
        break;
    case MEDIA_JSON:
        err = write_decode_json(r, kind, body, len, &obj);
        break;
    }
    if (!err)
        err = check_kind(obj, kind);
    if (err)
        return err;
    *ret = steal_ptr(obj);
    return NULL;
}

struct kerr *
write_decode_record(const struct api_request *r, const struct record *rec, struct object **ret)
{
    AUTO(object) *stored = NULL;

    if (rec->broken)
        return kerr_new(KERR_INTERNAL, "the stored object %s cannot be decoded", rec->key);
    struct kerr *err = object_decode_json(rec->json, rec->json_len, r->resource->stored_kind, NULL, &stored);
    if (err)
        return kerr_wrap(err, "stored object %s", rec->key);
    return convert_object(steal_ptr(stored), r->resource->kind, ret);
}

void
write_encode(const struct api_request *r, const struct object *obj, struct sbuf *out)
{
    AUTO(object) *stored = NULL;
    struct kerr *err = convert_object(object_ref(obj), r->resource->stored_kind, &stored);

    if (err) { /* conversions of valid objects do not fail */
        log_error("Conversion failed", "resource", r->resource->kind->plural, "err", kv_err(err));
        kerr_free(err);
        stored = object_ref(obj);
    }
    object_encode_json(stored, out);
}

/* --- metadata --- */

static struct kerr *
check_namespace(const struct api_request *r, struct object_meta *meta)
{
    if (!r->resource->kind->namespaced) {
        meta->namespace = NULL;
        return NULL;
    }
    if (str_empty(meta->namespace)) {
        meta->namespace = r->info.ns;
        return NULL;
    }
    if (!str_eq(meta->namespace, r->info.ns))
        return kerr_new(KERR_BAD_REQUEST, "the namespace of the provided object does not match the namespace sent on the request");
    return NULL;
}

static void
generate_name(struct arena *a, struct object_meta *meta)
{
    struct rng rng = rng_from_system();
    char suffix[GENERATED_SUFFIX + 1];
    size_t len = strlen(meta->generate_name);

    rng_name_suffix(&rng, suffix, GENERATED_SUFFIX);
    if (len > GENERATED_BASE_MAX)
        len = GENERATED_BASE_MAX;
    meta->name = arena_printf(a, "%.*s%s", (int)len, meta->generate_name, suffix);
}

static void
new_metadata(struct arena *a, const struct strategy *strategy, struct object_meta *meta, int64_t now_us)
{
    char uid[37];

    random_uuid(uid);
    meta->uid = arena_strdup(a, uid);
    meta->creation_timestamp = api_time_from_unix(now_us / 1000000);
    meta->deletion_timestamp = NULL;
    meta->deletion_grace_period_seconds = NULL;
    meta->self_link = NULL;
    meta->resource_version = NULL;
    meta->generation = strategy->no_generation ? 0 : 1;
}

/* The parts of metadata that clients cannot change come from the stored object. */
static void
keep_metadata(struct object_meta *meta, const struct object_meta *old)
{
    meta->self_link = NULL;
    meta->generation = old->generation;
    meta->creation_timestamp = old->creation_timestamp;
    if (str_empty(meta->uid))
        meta->uid = old->uid;
    meta->deletion_timestamp = old->deletion_timestamp;
    meta->deletion_grace_period_seconds = old->deletion_grace_period_seconds;
    if (str_empty(meta->generate_name))
        meta->generate_name = old->generate_name;
    meta->resource_version = old->resource_version; /* the store writes the new one */
}

/* Strings of the old object that now stand in the new one must live in its arena. */
static void
own_metadata(struct object *obj)
{
    struct object_meta copy, *meta = object_meta(obj);

    api_copy(&api_type_object_meta, object_arena(obj), meta, &copy);
    *meta = copy;
}

static bool
generic_spec_changed(const struct api_type *t, const void *body, const void *old)
{
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        if (!*f->json || strcmp(f->json, "metadata") == 0 || strcmp(f->json, "status") == 0 || strcmp(f->json, "kind") == 0 ||
            strcmp(f->json, "apiVersion") == 0)
            continue;
        struct api_type one = *t;
        one.fields = f;
        one.nfields = 1;
        if (!api_equal(&one, body, old))
            return true;
    }
    return false;
}

static bool
spec_changed(const struct resource *resource, const void *body, const void *old)
{
    if (resource->strategy->spec_changed)
        return resource->strategy->spec_changed(body, old);
    return generic_spec_changed(resource->kind->type, body, old);
}

/* --- managed fields --- */

struct managed_request
write_managed_request(struct api_request *r, int64_t now_us)
{
    static const char *const spec_writes[] = { "status", NULL };
    static const char *const status_writes[] = { "spec", "metadata.labels", NULL };
    bool status = r->subresource && strcmp(r->subresource->name, "status") == 0;
    bool has_status = api_type_name(r->resource->kind->type, "status", 6) != NULL;

    return (struct managed_request){
        .manager = request_field_manager(r),
        .api_version = api_kind_api_version(r->resource->kind),
        .subresource = r->subresource ? r->subresource->name : "",
        .reset_fields = status ? status_writes : has_status && !r->resource->strategy->keeps_status ? spec_writes : NULL,
        .now = api_time_from_unix(now_us / 1000000),
    };
}

static void
manage(struct api_request *r, struct object *obj, const struct object *old, int64_t now_us)
{
    const struct managed_request req = write_managed_request(r, now_us);

    managed_fields_update(old, obj, &req);
}

/* --- the steps --- */

static void
apply_defaults(struct object *obj)
{
    const struct api_kind *kind = object_kind(obj);

    api_default_static(kind->type, object_arena(obj), object_body(obj));
    defaults_apply(kind, object_arena(obj), object_body(obj));
}

static struct validate_opts
validate_options_of(const struct api_request *r)
{
    return (struct validate_opts){ .allow_privileged = r->srv->options->allow_privileged };
}

static struct kerr *
validate_change(const struct api_request *r, const void *body, const void *old)
{
    const struct validate_opts options = validate_options_of(r);
    const struct api_kind *kind = r->resource->kind;

    if (!r->subresource)
        return validate_update(kind, body, old, &options);
    if (strcmp(r->subresource->name, "status") == 0)
        return validate_status_update(kind, body, old, &options);
    return validate_subresource(kind, r->subresource->name, body, old, &options);
}

struct kerr *
write_prepare_create(struct api_request *r, struct object *obj, bool manage_fields)
{
    struct write_context c = write_context_of(r);
    const struct strategy *strategy = r->resource->strategy;
    struct object_meta *meta = object_meta(obj);
    struct arena *a = object_arena(obj);
    void *body = object_body(obj);
    const struct validate_opts options = validate_options_of(r);
    struct kerr *err = check_namespace(r, meta);

    if (err)
        return err;
    if (!str_empty(meta->resource_version))
        return kerr_new(KERR_BAD_REQUEST, "resourceVersion should not be set on objects to be created");
    apply_defaults(obj);
    err = admission_mutate(&c, ADMISSION_CREATE, obj, NULL);
    if (err)
        return err;
    new_metadata(a, strategy, meta, c.now_us);
    if (strategy->prepare_create)
        strategy->prepare_create(&c, a, body);
    if (!str_empty(meta->generate_name) && str_empty(meta->name))
        generate_name(a, meta);
    own_metadata(obj);
    c.name = meta->name;
    if (strategy->allocate && (err = strategy->allocate(&c, a, body, NULL)))
        return err;
    err = validate_create(r->resource->kind, body, &options);
    if (!err)
        err = admission_validate(&c, ADMISSION_CREATE, obj, NULL);
    if (!err && manage_fields)
        manage(r, obj, NULL, c.now_us);
    if (err && strategy->release)
        strategy->release(&c, body, NULL);
    return err;
}

static struct kerr *
check_identity(const struct api_request *r, const struct object_meta *meta, const struct object_meta *old)
{
    const struct api_kind *k = r->resource->kind;

    if (!str_empty(meta->uid) && !str_eq(meta->uid, old->uid)) {
        AUTO_FREE char *why = xasprintf("Precondition failed: UID in precondition: %s, UID in object meta: %s", meta->uid, str_safe(old->uid));
        return kerr_conflict(k->group, k->plural, r->info.name, why);
    }
    return NULL;
}

struct kerr *
write_prepare_update(struct api_request *r, struct object *obj, const struct object *old, bool manage_fields)
{
    struct write_context c = write_context_of(r);
    const struct strategy *strategy = r->resource->strategy;
    const struct object_meta *was = object_meta(old);
    struct object_meta *meta = object_meta(obj);
    struct arena *a = object_arena(obj);
    void *body = object_body(obj);
    bool status = r->subresource && strcmp(r->subresource->name, "status") == 0;
    struct kerr *err = check_namespace(r, meta);

    if (!err)
        err = check_identity(r, meta, was);
    if (err)
        return err;
    apply_defaults(obj);
    keep_metadata(meta, was);
    if (status) {
        if (strategy->prepare_status)
            strategy->prepare_status(&c, a, body, object_body(old));
    } else if (strategy->prepare_update) {
        strategy->prepare_update(&c, a, body, object_body(old));
    }
    err = admission_mutate(&c, ADMISSION_UPDATE, obj, old);
    if (err)
        return err;
    if (!status && !strategy->no_generation && spec_changed(r->resource, body, object_body(old)))
        meta->generation = was->generation + 1;
    own_metadata(obj);
    if (!status && strategy->allocate && (err = strategy->allocate(&c, a, body, object_body(old))))
        return err;
    err = validate_change(r, body, object_body(old));
    if (!err)
        err = admission_validate(&c, ADMISSION_UPDATE, obj, old);
    if (!err && manage_fields)
        manage(r, obj, old, c.now_us);
    if (err && !status && strategy->release)
        strategy->release(&c, body, object_body(old));
    return err;
}

bool
write_should_delete(const struct api_request *r, const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);
    const struct strategy *s = r->resource->strategy;

    return meta->deletion_timestamp && meta->finalizers.len == 0 && !(s->holds && s->holds(object_body(obj))) &&
           (!meta->deletion_grace_period_seconds || *meta->deletion_grace_period_seconds == 0);
}

/* --- answers --- */

void
write_answer_record(struct api_request *r, int code, struct record *rec)
{
    struct sbuf body = { 0 };
    struct kerr *err = encode_record(&r->media, r->resource, rec, &body);

    record_unref(rec);
    if (err) {
        sbuf_done(&body);
        request_fail(r, err);
        return;
    }
    request_reply(r, code, media_type(&r->media), &body);
}

void
write_answer_object(struct api_request *r, int code, const struct object *obj)
{
    AUTO_SBUF json = { 0 };
    struct record *rec = NULL;
    struct kerr *err;

    write_encode(r, obj, &json);
    err = record_new(&r->resource->storage.shape, str_safe(r->info.name), sbuf_str(&json), json.len, 0, &rec);
    if (err)
        request_fail(r, err);
    else
        write_answer_record(r, code, rec);
}
