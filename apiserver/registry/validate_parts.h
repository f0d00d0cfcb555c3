// SPDX-License-Identifier: Apache-2.0
/* validate_parts.h - checks that several kinds share; used by the validate_*.c files only.
 * Each adds what it finds to `f`, at or below `p`. */
#ifndef CKUBE_REGISTRY_VALIDATE_PARTS_H
#define CKUBE_REGISTRY_VALIDATE_PARTS_H

#include "api_types.h"
#include "apiserver/registry/field_path.h"
#include "apiserver/registry/validate.h"
#include "common/api/names.h"
#include "common/base/arena.h"
#include "common/base/str.h"

#define IMMUTABLE_MSG "field is immutable"
#define NEGATIVE_MSG "must be greater than or equal to 0"
#define NOT_POSITIVE_MSG "must be greater than zero"
#define INT32_RANGE_MSG "must be between 1 and 2147483647, inclusive"

/* Names seen so far, with what they stand for; lists from outside may be long.  Zero-initialised empty. */
struct name_index {
    struct name_slot *slots;
    uint32_t len, cap;
    struct arena *keys;
};
void name_index_done(struct name_index *ix);
#define AUTO_INDEX __attribute__((cleanup(name_index_done))) struct name_index
/* The value the key already had, or NULL after adding it with `value` (not NULL).  Copies the key. */
const void *name_index_add(struct name_index *ix, const char *key, const void *value);
const void *name_index_get(const struct name_index *ix, const char *key); /* or NULL */
/* Adds; a key that was there is reported as a duplicate.  "" is skipped when `skip_empty`. */
void check_unique(struct findings *f, const struct path *p, struct name_index *ix, const char *key, bool skip_empty);

/* --- values (validate_common.c) --- */
void check_name(struct findings *f, const struct path *p, enum name_rule rule, const char *value);
void check_optional_name(struct findings *f, const struct path *p, enum name_rule rule, const char *value); /* "" is fine */
void check_required_name(struct findings *f, const struct path *p, enum name_rule rule, const char *value);
bool check_required(struct findings *f, const struct path *p, const char *value); /* false: was missing */
void check_nonnegative(struct findings *f, const struct path *p, int64_t value);
void check_nonnegative_ptr(struct findings *f, const struct path *p, const int32_t *value);
void check_range(struct findings *f, const struct path *p, int64_t value, int64_t min, int64_t max);
void check_port(struct findings *f, const struct path *p, int32_t value);
void check_port_or_name(struct findings *f, const struct path *p, struct int_or_string value);
/* Empty is "Required value" when `required`, else fine. `allowed` ends with NULL. */
void check_enum(struct findings *f, const struct path *p, const char *value, const char *const *allowed, bool required);
bool is_one_of(const char *value, const char *const *allowed);
void check_protocol(struct findings *f, const struct path *p, const char *value);
void check_ip(struct findings *f, const struct path *p, const char *value);
bool check_ip_ok(struct findings *f, const struct path *p, const char *value);
void check_non_special_ip(struct findings *f, const struct path *p, const char *value);
void check_cidr(struct findings *f, const struct path *p, const char *value);
void check_user_id(struct findings *f, const struct path *p, const int64_t *id); /* and group ids; NULL is fine */
void check_positive_percent_or_int(struct findings *f, const struct path *p, const struct int_or_string *v);
void check_at_most_100_percent(struct findings *f, const struct path *p, const struct int_or_string *v);
bool int_or_string_is_zero(const struct int_or_string *v); /* 0 or "0%" */
void check_relative_path(struct findings *f, const struct path *p, const char *value); /* no '/', no ".." parts */
void check_local_path(struct findings *f, const struct path *p, const char *value);    /* nor a leading ".." */
void check_no_backsteps(struct findings *f, const struct path *p, const char *value);
bool has_backstep(const char *value);
void check_str_immutable(struct findings *f, const struct path *p, const char *now, const char *old);
/* Structs of one type; the finding shows the new value. */
void check_struct_immutable(struct findings *f, const struct path *p, const struct api_type *t, const void *now, const void *old);
bool slices_equal(const struct string_slice *a, const struct string_slice *b);
bool maps_equal(const struct string_map *a, const struct string_map *b);
/* Names of the fields that differ, as "`spec.x`, `spec.y`", for "may not change" findings. */
void add_changed_fields(struct sbuf *out, const char *prefix, const struct api_type *t, const void *now, const void *old);

/* --- metadata (validate_meta.c) --- */
void check_meta_create(struct findings *f, const struct object_meta *m, bool namespaced, enum name_rule rule);
void check_meta_update(struct findings *f, const struct object_meta *m, const struct object_meta *old);
void check_labels(struct findings *f, const struct path *p, const struct string_map *labels);
void check_label_key(struct findings *f, const struct path *p, const char *key);
void check_annotations(struct findings *f, const struct path *p, const struct string_map *annotations);
void check_label_selector(struct findings *f, const struct path *p, const struct label_selector *selector); /* NULL is fine */
bool label_selector_is_empty(const struct label_selector *selector);
void check_finalizer_name(struct findings *f, const struct path *p, const char *name);
void check_conditions(struct findings *f, const struct path *p, const struct condition_slice *conditions);

/* --- resources (validate_resources.c) --- */
void check_resources(struct findings *f, const struct path *p, const struct resource_requirements *r,
                     const struct pod_resource_claim_slice *pod_claims, bool pod_level);
void check_quantity_value(struct findings *f, const struct path *p, const char *resource, struct quantity q);
void check_positive_quantity(struct findings *f, const struct path *p, struct quantity q);
void check_resource_name(struct findings *f, const struct path *p, const char *name);
void check_container_resource_name(struct findings *f, const struct path *p, const char *name);
void check_quota_resource_name(struct findings *f, const struct path *p, const char *name);
bool resource_is_native(const char *name);
bool resource_allows_overcommit(const char *name);
bool resource_is_standard_quota(const char *name);

/* --- pods (validate_pod_*.c) --- */
struct pod_scope { /* what checks below a pod spec need of it */
    const struct pod_spec *spec;
    const struct object_meta *meta; /* NULL in templates */
    const struct name_index *volumes; /* struct volume by name: those without findings */
    bool is_pod;
    bool host_users;
};
void check_pod_spec(struct findings *f, const struct path *p, const struct pod_spec *spec, const struct object_meta *meta);
void check_pod_template(struct findings *f, const struct path *p, const struct pod_template_spec *t);
void check_pod_annotations(struct findings *f, const struct path *p, const struct string_map *annotations,
                           const struct pod_spec *spec);
void check_security_annotations(struct findings *f, const struct path *spec_path, const struct string_map *annotations,
                                const struct pod_spec *spec);
void check_volume(struct findings *f, const struct path *p, const struct volume *v, const struct pod_scope *scope);
void check_host_path(struct findings *f, const struct path *p, const struct host_path_volume_source *v);
void check_containers(struct findings *f, const struct path *spec_path, const struct pod_scope *scope);
void check_pod_security(struct findings *f, const struct path *spec_path, const struct pod_spec *spec);
void check_container_security(struct findings *f, const struct path *p, const struct security_context *sc, bool host_users);
void check_pod_scheduling(struct findings *f, const struct path *spec_path, const struct pod_spec *spec);
void check_tolerations(struct findings *f, const struct path *p, const struct toleration_slice *tolerations);
void check_node_selector(struct findings *f, const struct path *p, const struct node_selector *s);
void check_taint_effect(struct findings *f, const struct path *p, const char *effect, bool allow_empty);
void check_pull_policy(struct findings *f, const struct path *p, const char *policy);
/* fieldPath, with an optional ['key'] behind labels and annotations: of env and of downward API files. */
void check_field_ref(struct findings *f, const struct path *p, const struct object_field_selector *ref,
                     const char *const *allowed);
void check_resource_ref(struct findings *f, const struct path *p, const struct resource_field_selector *ref, bool volume);
void check_pvc_spec(struct findings *f, const struct path *p, const struct persistent_volume_claim_spec *spec);
/* init, ordinary, ephemeral; path frames live during the call. */
void each_container(const struct pod_spec *spec, const struct path *spec_path,
                    void (*fn)(const struct container *c, const struct path *p, void *arg), void *arg);
/* Persistent volume sources that pods share. */
void check_iscsi(struct findings *f, const struct path *p, const char *portal, const char *iqn, int32_t lun, bool chap,
                 bool has_secret, const char *initiator);
void check_fc(struct findings *f, const struct path *p, const struct fc_volume_source *v);
void check_azure_disk(struct findings *f, const struct path *p, const struct azure_disk_volume_source *v);
void check_csi_driver_name(struct findings *f, const struct path *p, const char *name);

#endif
