// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/write_internal.h"
#include "common/api/codec.h"

enum { GENERATE_TRIES = 8 }; /* upstream 1.32: fresh suffixes on a clash */

struct kerr *
write_store_create(struct api_request *r, struct object *obj, struct record **ret)
{
    AUTO_SBUF json = { 0 };
    struct write_context c = write_context_of(r);
    const struct object_meta *meta = object_meta(obj);

    write_encode(r, obj, &json);
    struct kerr *err = store_create(r->resource->store, str_safe(meta->namespace), meta->name, sbuf_str(&json), json.len, ret);
    if (err && r->resource->strategy->release) {
        c.name = meta->name;
        r->resource->strategy->release(&c, object_body(obj), NULL);
    }
    return err;
}

static struct kerr *
create_once(struct api_request *r, const struct object *wanted, struct object **ret_dry, struct record **ret)
{
    AUTO(object) *obj = object_copy(wanted);
    struct kerr *err = write_prepare_create(r, obj, true);

    if (err)
        return err;
    if (request_dry_run(r)) {
        struct write_context c = write_context_of(r);
        struct record *there = store_get(r->resource->store, str_safe(object_namespace(obj)), object_name(obj));
        record_unref(there);
        if (r->resource->strategy->release)
            r->resource->strategy->release(&c, object_body(obj), NULL);
        if (there)
            return kerr_already_exists(r->resource->kind->group, r->resource->kind->plural, object_name(obj));
        *ret_dry = steal_ptr(obj);
        return NULL;
    }
    return write_store_create(r, obj, ret);
}

static struct kerr *
check_names(const struct api_request *r, const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);

    if (r->resource->kind->namespaced && !*r->info.ns)
        return kerr_new(KERR_METHOD_NOT_ALLOWED, "the server does not allow this method on the requested resource");
    if (str_empty(meta->name) && str_empty(meta->generate_name)) {
        struct kerr *err = kerr_about(kerr_new(KERR_INVALID, "%s \"\" is invalid: metadata.name: Required value: name or generateName is required",
                                               r->resource->kind->kind),
                                      r->resource->kind->group, r->resource->kind->kind, "");
        kerr_add_cause(err, "FieldValueRequired", "metadata.name", "Required value: name or generateName is required");
        return err;
    }
    return NULL;
}

void
rest_write_create(struct api_request *r)
{
    write_sub_fn *sub = write_sub_handler(r);
    AUTO(object) *wanted = NULL;
    AUTO(object) *dry = NULL;
    struct record *rec = NULL;

    if (sub) {
        sub(r);
        return;
    }
    struct kerr *err = request_check_options(r);
    if (!err)
        err = write_decode_body(r, r->resource->kind, &wanted);
    if (!err)
        err = check_names(r, wanted);
    bool generated = !err && str_empty(object_name(wanted));
    for (int tries = 0; !err && !rec && !dry; tries++) {
        err = create_once(r, wanted, &dry, &rec);
        if (err && err->reason == KERR_ALREADY_EXISTS && generated && tries + 1 < GENERATE_TRIES) {
            kerr_free(err);
            err = NULL;
        }
    }
    if (err)
        request_fail(r, err);
    else if (rec)
        write_answer_record(r, 201, rec);
    else
        write_answer_object(r, 201, dry);
}
