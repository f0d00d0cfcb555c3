// SPDX-License-Identifier: Apache-2.0
/* object.h - one API object: a kind, an arena, a struct.  Reference-counted, immutable once shared.
 *
 *   AUTO(object) *obj = NULL;
 *   err = object_decode_json(bytes, len, NULL, &obj);
 *   const struct pod *pod = OBJECT_BODY(obj, pod);      // NULL when it is no pod
 *
 * To change one: object_copy(), change the copy's body with memory from object_arena(), share the copy. */
#ifndef CKUBE_API_OBJECT_H
#define CKUBE_API_OBJECT_H

#include "api_types.h"
#include "common/api/type.h"
#include "common/base/arena.h"
#include "common/base/kerr.h"

struct object;

struct object *object_new(const struct api_kind *kind) MUST_CHECK; /* zeroed body, type_meta filled */
struct object *object_new_of(const char *api_version, const char *kind) MUST_CHECK; /* aborts on an unknown kind */
struct object *object_ref(const struct object *obj); /* any thread; NULL gives NULL */
void object_unref(const struct object *obj);         /* NULL is fine */
static inline void auto_object_(struct object **p)
{
    object_unref(*p);
}
struct object *object_copy(const struct object *obj) MUST_CHECK; /* deep; one reference, the caller's to change */

/* Likewise, in little more memory than the content needs: for objects that lost parts and are kept for long. */
struct object *object_copy_compact(const struct object *obj) MUST_CHECK;

const struct api_kind *object_kind(const struct object *obj);
struct arena *object_arena(const struct object *obj);
void *object_body(const struct object *obj);
struct object_meta *object_meta(const struct object *obj); /* NULL for kinds without ObjectMeta */
static inline const char *object_name(const struct object *obj)
{
    return object_meta(obj)->name;
}
static inline const char *object_namespace(const struct object *obj) /* "" or NULL when cluster-scoped */
{
    return object_meta(obj)->namespace;
}
size_t object_size(const struct object *obj); /* bytes held */

void *object_body_checked(const struct object *obj, const struct api_type *type); /* NULL when of another type */
#define OBJECT_BODY(obj, cname) ((struct cname *)object_body_checked((obj), &api_type_##cname))

#endif
