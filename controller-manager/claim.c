// SPDX-License-Identifier: Apache-2.0
/* claim.c - adoption and release: an object is a controller's when its controllerRef says so and the selector matches;
 * matching orphans are adopted, owned ones that match no more are released. */
#include "common/api/codec.h"
#include "controller-manager/controller.h"

static bool
same_namespace(const struct claim *claim, const struct object *obj)
{
    return str_eq(object_namespace(claim->owner), object_namespace(obj));
}

static bool
is_adoptable(const struct claim *claim, const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);

    return !meta_controller(meta) && !meta_deleting(object_meta(claim->owner)) && !meta_deleting(meta) && same_namespace(claim, obj) &&
           label_query_matches(claim->selector, &meta->labels);
}

bool
claim_needs_adoption(const struct claim *claim, const struct object_list *candidates)
{
    for (size_t i = 0; i < candidates->len; i++)
        if (is_adoptable(claim, candidates->items[i]))
            return true;
    return false;
}

struct kerr *
claim_check_live(struct rest *r, const struct object *owner, bool *ret_can_adopt)
{
    AUTO(object) *live = NULL;
    struct kerr *err = rest_get(r, object_kind(owner), object_namespace(owner), object_name(owner), &live);

    if (err && err->reason == KERR_NOT_FOUND) {
        kerr_free(err);
        *ret_can_adopt = false;
        return NULL;
    }
    if (err)
        return kerr_wrap(err, "may orphans be adopted");
    *ret_can_adopt = str_eq(object_meta(live)->uid, object_meta(owner)->uid) && !meta_deleting(object_meta(live));
    return NULL;
}

static void
plan_adopt(const struct claim *claim, const struct object *obj, struct plan *plan)
{
    const struct api_kind *kind = object_kind(claim->owner);
    AUTO_SBUF patch = { 0 };

    sbuf_addf(&patch, "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\","
              "\"controller\":true,\"blockOwnerDeletion\":true}]", api_kind_api_version(kind), kind->kind, object_name(claim->owner),
              object_meta(claim->owner)->uid);
    if (claim->finalizer)
        sbuf_addf(&patch, ",\"finalizers\":[\"%s\"]", claim->finalizer);
    sbuf_addf(&patch, ",\"uid\":\"%s\"}}", object_meta(obj)->uid);
    struct action *a = plan_patch(plan, object_kind(obj), object_namespace(obj), object_name(obj), REST_PATCH_STRATEGIC, NULL,
                                  sbuf_str(&patch), "adopt: it matches the selector and has no controller");
    a->flags = ACTION_IGNORE_NOT_FOUND;
}

static void
plan_release(const struct claim *claim, const struct object *obj, struct plan *plan)
{
    AUTO_SBUF patch = { 0 };

    sbuf_addf(&patch, "{\"metadata\":{\"ownerReferences\":[{\"$patch\":\"delete\",\"uid\":\"%s\"}]", object_meta(claim->owner)->uid);
    if (claim->finalizer)
        sbuf_addf(&patch, ",\"$deleteFromPrimitiveList/finalizers\":[\"%s\"]", claim->finalizer);
    sbuf_addf(&patch, ",\"uid\":\"%s\"}}", object_meta(obj)->uid);
    struct action *a = plan_patch(plan, object_kind(obj), object_namespace(obj), object_name(obj), REST_PATCH_STRATEGIC, NULL,
                                  sbuf_str(&patch), "release: it no longer matches the selector");
    a->flags = ACTION_IGNORE_NOT_FOUND;
}

void
claim_objects(const struct claim *claim, const struct object_list *candidates, struct plan *plan, struct object_list *ret)
{
    const char *uid = object_meta(claim->owner)->uid;

    for (size_t i = 0; i < candidates->len; i++) {
        const struct object *obj = candidates->items[i];
        const struct object_meta *meta = object_meta(obj);
        const struct owner_reference *ref = meta_controller(meta);
        if (!ref) {
            if (!claim->can_adopt || !is_adoptable(claim, obj))
                continue;
            plan_adopt(claim, obj, plan);
            object_list_ref(ret, obj);
        } else if (str_eq(ref->uid, uid)) {
            if (label_query_matches(claim->selector, &meta->labels))
                object_list_ref(ret, obj);
            else if (!meta_deleting(object_meta(claim->owner)))
                plan_release(claim, obj, plan);
        }
    }
}
