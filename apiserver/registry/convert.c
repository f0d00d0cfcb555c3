// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/convert.h"

#include "apiserver/registry/convert_internal.h"
#include "common/api/codec.h"

static const struct conversion {
    const struct api_type *from, *to;
    /* Fills the zeroed body `to`; may point into `from`, and into the arena for what is new. */
    void (*fill)(struct arena *a, const void *from, void *to);
} conversions[] = {
    { &api_type_core_event, &api_type_events_event, convert_event_from_core },
    { &api_type_events_event, &api_type_core_event, convert_event_to_core },
    { &api_type_autoscaling_v1_horizontal_pod_autoscaler, &api_type_horizontal_pod_autoscaler, convert_hpa_from_v1 },
    { &api_type_horizontal_pod_autoscaler, &api_type_autoscaling_v1_horizontal_pod_autoscaler, convert_hpa_to_v1 },
};

static struct object *
converted(const struct conversion *c, const struct object *obj, const struct api_kind *to)
{
    struct object *out = object_new(to);
    struct arena *a = object_arena(out);
    void *shallow = arena_alloc(a, c->to->size);

    c->fill(a, object_body(obj), shallow);
    *(struct type_meta *)shallow = *(struct type_meta *)object_body(out); /* the first member of every kind */
    api_copy(c->to, a, shallow, object_body(out));
    return out;
}

struct kerr *
convert_object(struct object *obj, const struct api_kind *to, struct object **ret)
{
    const struct api_kind *from = object_kind(obj);

    if (from == to) {
        *ret = obj;
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(conversions); i++)
        if (conversions[i].from == from->type && conversions[i].to == to->type) {
            *ret = converted(&conversions[i], obj, to);
            object_unref(obj);
            return NULL;
        }
    object_unref(obj);
    return kerr_new(KERR_INTERNAL, "there is no conversion from %s %s to %s %s", from->version, from->kind, to->version, to->kind);
}
