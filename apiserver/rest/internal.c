// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/internal.h"

#include "apiserver/registry/defaults.h"
#include "common/api/codec.h"
#include "common/api/managed.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/rng.h"

#define MANAGER "kube-apiserver"

static void
manage(const struct object *old, struct object *obj)
{
    const struct managed_request req = {
        .manager = MANAGER,
        .api_version = api_kind_api_version(object_kind(obj)),
        .subresource = "",
        .now = api_time_from_unix(clock_wall_s()),
    };

    managed_fields_update(old, obj, &req);
}

static void
complete(struct object *obj)
{
    const struct resource *r = resource_of_kind(object_kind(obj));
    struct object_meta *meta = object_meta(obj);
    char uid[37];

    api_default_static(object_kind(obj)->type, object_arena(obj), object_body(obj));
    defaults_apply(object_kind(obj), object_arena(obj), object_body(obj));
    random_uuid(uid);
    meta->uid = arena_strdup(object_arena(obj), uid);
    meta->creation_timestamp = api_time_from_unix(clock_wall_s());
    meta->resource_version = NULL;
    if (!r->strategy->no_generation)
        meta->generation = 1;
    manage(NULL, obj);
}

struct kerr *
internal_create(struct object *obj, bool *ret_created)
{
    const struct resource *r = resource_of_kind(object_kind(obj));
    struct record *rec = NULL;
    AUTO_SBUF json = { 0 };

    complete(obj);
    object_encode_json(obj, &json);
    struct kerr *err = store_create(r->store, str_safe(object_namespace(obj)), object_name(obj), sbuf_str(&json), json.len, &rec);
    record_unref(rec);
    bool existed = err && err->reason == KERR_ALREADY_EXISTS;
    if (existed) {
        kerr_free(err);
        err = NULL;
    }
    if (!err && ret_created)
        *ret_created = !existed;
    return err;
}

struct kerr *
internal_create_json(const char *json, bool *ret_created)
{
    AUTO(object) *obj = NULL;
    struct kerr *err = object_decode_json(json, strlen(json), NULL, NULL, &obj);

    return err ? err : internal_create(obj, ret_created);
}

struct update {
    const struct resource *r;
    struct object *fresh;
    bool (*change)(struct object *obj, void *arg);
    void *arg;
};

static struct kerr *
update_step(const struct record *current, struct sbuf *ret_json, void *arg)
{
    struct update *u = arg;
    AUTO(object) *old = NULL;
    AUTO(object) *obj = NULL;

    if (!current) {
        complete(u->fresh);
        object_encode_json(u->fresh, ret_json);
        return NULL;
    }
    struct kerr *err = object_decode_json(current->json, current->json_len, u->r->stored_kind, NULL, &old);
    if (err)
        return err;
    obj = object_copy(old);
    if (!u->change(obj, u->arg)) {
        object_encode_json(old, ret_json);
        return NULL;
    }
    object_meta(obj)->resource_version = NULL;
    manage(old, obj);
    object_encode_json(obj, ret_json);
    return NULL;
}

struct kerr *
internal_update(const struct resource *r, const char *ns, const char *name, struct object *fresh,
                bool (*change)(struct object *obj, void *arg), void *arg)
{
    struct update u = { r, fresh, change, arg };
    const struct store_update su = { .ns = ns, .name = name, .allow_create = fresh != NULL, .fn = update_step, .arg = &u };
    struct record *rec = NULL;
    enum store_outcome outcome;
    struct kerr *err = store_update(r->store, &su, &rec, &outcome);

    record_unref(rec);
    return err;
}

struct object *
internal_get(const struct resource *r, const char *ns, const char *name)
{
    struct record *rec = store_get(r->store, ns, name);
    struct object *obj = NULL;

    if (!rec)
        return NULL;
    AUTO(kerr) *err = object_decode_json(rec->json, rec->json_len, r->stored_kind, NULL, &obj);
    if (err)
        log_error("Stored object cannot be decoded", "key", rec->key, "err", kv_err(err));
    record_unref(rec);
    return obj;
}
