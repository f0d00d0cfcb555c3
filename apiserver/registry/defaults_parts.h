// SPDX-License-Identifier: Apache-2.0
/* defaults_parts.h - shared by the defaults_*.c files only. */
#ifndef CKUBE_REGISTRY_DEFAULTS_PARTS_H
#define CKUBE_REGISTRY_DEFAULTS_PARTS_H

#include "api_types.h"
#include "common/base/arena.h"
#include "common/base/str.h"

static inline void
default_str(const char **at, const char *value) /* plain strings: "" counts as unset */
{
    if (str_empty(*at))
        *at = value;
}
static inline void
default_ptr_str(const char **at, const char *value) /* Go's *string: "" is set */
{
    if (!*at)
        *at = value;
}
static inline void
default_i32(int32_t **at, struct arena *a, int32_t value)
{
    if (!*at) {
        *at = arena_alloc(a, sizeof **at);
        **at = value;
    }
}
static inline void
default_i64(int64_t **at, struct arena *a, int64_t value)
{
    if (!*at) {
        *at = arena_alloc(a, sizeof **at);
        **at = value;
    }
}
static inline void
default_bool(bool **at, struct arena *a, bool value)
{
    if (!*at) {
        *at = arena_alloc(a, sizeof **at);
        **at = value;
    }
}
#define DEFAULT_STRUCT(at, a)                                                                                          \
    do {                                                                                                               \
        if (!(at))                                                                                                     \
            (at) = arena_alloc((a), sizeof *(at));                                                                     \
    } while (0)

void default_int_or_string(struct int_or_string **at, struct arena *a, struct int_or_string value);
void default_resource_list(struct quantity_map *m, struct arena *a); /* rounded up to milli units */
void default_pvc_spec(struct persistent_volume_claim_spec *spec);
void default_pvc(struct persistent_volume_claim *pvc, struct arena *a);

/* One per kind; the table in defaults.c names them.  `body` is the struct in the function's name. */
void defaults_pod(struct arena *a, void *body);
void defaults_pod_template_object(struct arena *a, void *body);
void defaults_replication_controller(struct arena *a, void *body);
void defaults_service(struct arena *a, void *body);
void defaults_node(struct arena *a, void *body);
void defaults_namespace(struct arena *a, void *body);
void defaults_secret(struct arena *a, void *body);
void defaults_endpoints(struct arena *a, void *body);
void defaults_limit_range(struct arena *a, void *body);
void defaults_resource_quota(struct arena *a, void *body);
void defaults_persistent_volume(struct arena *a, void *body);
void defaults_persistent_volume_claim(struct arena *a, void *body);
void defaults_deployment(struct arena *a, void *body);
void defaults_replica_set(struct arena *a, void *body);
void defaults_stateful_set(struct arena *a, void *body);
void defaults_daemon_set(struct arena *a, void *body);
void defaults_job(struct arena *a, void *body);
void defaults_cron_job(struct arena *a, void *body);
void defaults_network_policy(struct arena *a, void *body);
void defaults_ingress_class(struct arena *a, void *body);
void defaults_endpoint_slice(struct arena *a, void *body);
void defaults_role_binding(struct arena *a, void *body);
void defaults_cluster_role_binding(struct arena *a, void *body);
void defaults_storage_class(struct arena *a, void *body);
void defaults_csi_driver(struct arena *a, void *body);
void defaults_hpa_v1(struct arena *a, void *body);
void defaults_hpa(struct arena *a, void *body);
void defaults_priority_class(struct arena *a, void *body);
void defaults_validating_webhooks(struct arena *a, void *body);
void defaults_mutating_webhooks(struct arena *a, void *body);
void defaults_validating_policy(struct arena *a, void *body);
void defaults_validating_policy_binding(struct arena *a, void *body);
void defaults_crd(struct arena *a, void *body);
void defaults_api_service(struct arena *a, void *body);
void defaults_flow_schema(struct arena *a, void *body);
void defaults_priority_level(struct arena *a, void *body);
void defaults_token_request(struct arena *a, void *body);
void defaults_resource_claim(struct arena *a, void *body);
void defaults_resource_claim_template(struct arena *a, void *body);

#endif
