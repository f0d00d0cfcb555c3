// SPDX-License-Identifier: Apache-2.0
/* meta.h - what code keeps asking objects: owners, labels, finalizers, conditions, pod state, pod resources.
 * Readers take const structs.  Changers work on a private copy (object_copy()) and take its arena;
 * maps stay sorted by key.  Pure: `now` is an argument.  Any thread. */
#ifndef CKUBE_API_META_H
#define CKUBE_API_META_H

#include "api_types.h"
#include "common/api/selector.h" /* string_map_get() */
#include "common/base/arena.h"

/* --- string maps: labels, annotations, selectors --- */
/* Strings are copied into the arena; the entry list is replaced, never changed in place. True: something changed. */
bool string_map_set(struct string_map *m, struct arena *a, const char *key, const char *value);
bool string_map_del(struct string_map *m, struct arena *a, const char *key);
bool string_slice_has(const struct string_slice *l, const char *s);
void string_slice_add(struct string_slice *l, struct arena *a, const char *s);  /* copies s */
bool string_slice_del(struct string_slice *l, struct arena *a, const char *s);  /* all of them; true: there was one */

/* --- object metadata --- */
static inline const char *meta_label(const struct object_meta *m, const char *key)
{
    return string_map_get(&m->labels, key);
}
static inline const char *meta_annotation(const struct object_meta *m, const char *key)
{
    return string_map_get(&m->annotations, key);
}
static inline bool meta_deleting(const struct object_meta *m)
{
    return m->deletion_timestamp != NULL;
}
static inline bool meta_has_finalizer(const struct object_meta *m, const char *name)
{
    return string_slice_has(&m->finalizers, name);
}
bool meta_add_finalizer(struct object_meta *m, struct arena *a, const char *name); /* false: was there */
bool meta_del_finalizer(struct object_meta *m, struct arena *a, const char *name);

const struct owner_reference *meta_controller(const struct object_meta *m); /* the owner with controller: true, or NULL */
const struct owner_reference *meta_owner(const struct object_meta *m, const char *uid);
bool meta_controlled_by(const struct object_meta *m, const char *uid);
/* A reference with controller and blockOwnerDeletion set, as controllers write it; strings copied. */
struct owner_reference owner_ref_to(const struct api_kind *kind, const struct object_meta *owner, struct arena *a);
void meta_add_owner(struct object_meta *m, struct arena *a, const struct owner_reference *ref); /* replaces the same uid */
bool meta_del_owner(struct object_meta *m, struct arena *a, const char *uid);

/* --- conditions: every *_condition struct with `type` first; `status` by offset --- */
const struct pod_condition *pod_condition_find(const struct pod_status *s, const char *type);       /* or NULL */
const struct node_condition *node_condition_find(const struct node_status *s, const char *type);
const struct condition *condition_find(const struct condition_slice *l, const char *type);
bool pod_condition_true(const struct pod_status *s, const char *type);
/* Adds or updates; last_transition_time moves only when the status changes. True: something changed. */
bool pod_condition_set(struct pod_status *s, struct arena *a, const char *type, const char *status, const char *reason,
                       const char *message, struct api_time now);
bool condition_set(struct condition_slice *l, struct arena *a, const char *type, const char *status, const char *reason,
                   const char *message, int64_t generation, struct api_time now);

/* --- pods --- */
bool pod_ready(const struct pod *pod);     /* Ready condition is True */
struct api_time pod_ready_since(const struct pod *pod); /* zero when not ready */
bool pod_available(const struct pod *pod, int32_t min_ready_seconds, struct api_time now);
bool pod_terminal(const struct pod *pod);  /* phase Succeeded or Failed */
bool pod_active(const struct pod *pod);    /* not terminal, not being deleted */
bool container_is_sidecar(const struct container *init); /* restartPolicy: Always */
bool pod_is_mirror(const struct pod *pod);

/* --- resources --- */
struct quantity quantity_map_get(const struct quantity_map *m, const char *name); /* the zero struct when absent */
bool quantity_map_has(const struct quantity_map *m, const char *name);
void quantity_map_set(struct quantity_map *m, struct arena *a, const char *name, struct quantity q); /* name must live long enough */
void quantity_map_add(struct quantity_map *sum, const struct quantity_map *m, struct arena *a); /* per name */
void quantity_map_max(struct quantity_map *max, const struct quantity_map *m, struct arena *a);
/* What the scheduler and quota count: containers plus sidecars, at least the largest init phase, plus overhead;
 * pod-level resources (spec.resources) stand in for cpu, memory and huge pages where they are set. */
struct quantity_map pod_requests(const struct pod_spec *spec, struct arena *a);
struct quantity_map pod_limits(const struct pod_spec *spec, struct arena *a);
const char *pod_qos(const struct pod_spec *spec); /* "Guaranteed", "Burstable", "BestEffort"; recomputed */

#endif
