// SPDX-License-Identifier: Apache-2.0
#include "common/api/object.h"

#include <stdatomic.h>
#include <stdio.h>

#include "common/api/codec.h"
#include "common/api/object_impl.h"

struct object {
    atomic_uint refs;
    const struct api_kind *kind;
    struct arena *arena;
    void *body; /* in the arena */
};

struct type_meta *
object_type_meta(const struct api_type *t, void *body)
{
    for (unsigned i = 0; i < t->nfields; i++)
        if (t->fields[i].type == &api_type_type_meta && t->fields[i].shape == API_ONE)
            return (struct type_meta *)((char *)body + t->fields[i].offset);
    return NULL;
}

void
object_set_type_meta(const struct api_kind *kind, void *body)
{
    struct type_meta *tm = object_type_meta(kind->type, body);

    if (tm) {
        tm->kind = kind->kind;
        tm->api_version = api_kind_api_version(kind);
    }
}

struct object *
object_new_in(const struct api_kind *kind, struct arena *arena)
{
    struct object *obj = XNEW(struct object);

    atomic_init(&obj->refs, 1);
    obj->kind = kind;
    obj->arena = arena;
    obj->body = arena_alloc(arena, kind->type->size);
    object_set_type_meta(kind, obj->body);
    return obj;
}

struct object *
object_new(const struct api_kind *kind)
{
    return object_new_in(kind, arena_new(kind->type->size + 256));
}

struct object *
object_new_of(const char *api_version, const char *kind)
{
    const struct api_kind *k = api_kind_find(api_version, kind);

    if (!k) {
        fprintf(stderr, "object_new_of: no kind %s in %s\n", kind, api_version);
        abort();
    }
    return object_new(k);
}

struct object *
object_ref(const struct object *obj)
{
    struct object *o = (struct object *)obj;

    if (o)
        atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void
object_unref(const struct object *obj)
{
    struct object *o = (struct object *)obj;

    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(o->arena);
    free(o);
}

struct object *
object_copy(const struct object *obj)
{
    struct object *copy = object_new_in(obj->kind, arena_new(arena_size(obj->arena)));

    api_copy(obj->kind->type, copy->arena, obj->body, copy->body);
    return copy;
}

struct object *
object_copy_compact(const struct object *obj)
{
    struct object *copy = object_new_in(obj->kind, arena_new_stepped(obj->kind->type->size + 256, 512));

    api_copy(obj->kind->type, copy->arena, obj->body, copy->body);
    return copy;
}

const struct api_kind *
object_kind(const struct object *obj)
{
    return obj->kind;
}

struct arena *
object_arena(const struct object *obj)
{
    return obj->arena;
}

void *
object_body(const struct object *obj)
{
    return obj->body;
}

struct object_meta *
object_meta(const struct object *obj)
{
    return obj->kind->meta_offset < 0 ? NULL : (struct object_meta *)((char *)obj->body + obj->kind->meta_offset);
}

size_t
object_size(const struct object *obj)
{
    return sizeof *obj + arena_size(obj->arena);
}

void *
object_body_checked(const struct object *obj, const struct api_type *type)
{
    return obj && obj->kind->type == type ? obj->body : NULL;
}
