// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/validate.h"

#include <string.h>

#include "apiserver/registry/validate_kinds.h"

struct kind_row {
    const struct api_type *type;
    enum name_rule name;
    bool unnamed; /* a question put to the server: its metadata means nothing */
    validate_fn *create;
    validate_change_fn *update; /* NULL: an update is checked as `create` */
    validate_change_fn *status;
    struct {
        const char *name;
        validate_change_fn *fn;
    } subresources[3];
};

#define KIND(cname, rule, ...) { .type = &api_type_##cname, .name = (rule), __VA_ARGS__ }

static const struct kind_row rows[] = {
    KIND(pod, NAME_DNS_SUBDOMAIN, .create = pod_create, .update = pod_update, .status = pod_status,
         .subresources = { { "ephemeralcontainers", pod_ephemeral_containers }, { "resize", pod_resize } }),
    KIND(pod_template, NAME_DNS_SUBDOMAIN, .create = pod_template_create),
    KIND(service, NAME_DNS_LABEL_1035, .create = service_create, .update = service_update, .status = service_status),
    KIND(endpoints, NAME_DNS_SUBDOMAIN, .create = endpoints_create),
    KIND(endpoint_slice, NAME_DNS_SUBDOMAIN, .create = endpoint_slice_create, .update = endpoint_slice_update),
    KIND(deployment, NAME_DNS_SUBDOMAIN, .create = deployment_create, .update = deployment_update,
         .status = deployment_status),
    KIND(replica_set, NAME_DNS_SUBDOMAIN, .create = replica_set_create, .update = replica_set_update,
         .status = replica_set_status),
    KIND(stateful_set, NAME_DNS_LABEL, .create = stateful_set_create, .update = stateful_set_update,
         .status = stateful_set_status),
    KIND(daemon_set, NAME_DNS_SUBDOMAIN, .create = daemon_set_create, .update = daemon_set_update,
         .status = daemon_set_status),
    KIND(controller_revision, NAME_DNS_SUBDOMAIN, .create = controller_revision_create,
         .update = controller_revision_update),
    KIND(namespace, NAME_DNS_LABEL, .create = namespace_create, .update = namespace_update, .status = namespace_status,
         .subresources = { { "finalize", namespace_finalize } }),
    KIND(node, NAME_DNS_SUBDOMAIN, .create = node_create, .update = node_update, .status = node_update),
    KIND(config_map, NAME_DNS_SUBDOMAIN, .create = config_map_create, .update = config_map_update),
    KIND(secret, NAME_DNS_SUBDOMAIN, .create = secret_create, .update = secret_update),
    KIND(replication_controller, NAME_DNS_SUBDOMAIN, .create = replication_controller_create,
         .status = replication_controller_status),
    KIND(limit_range, NAME_DNS_SUBDOMAIN, .create = limit_range_create),
    KIND(resource_quota, NAME_DNS_SUBDOMAIN, .create = resource_quota_create, .update = resource_quota_update),
    KIND(core_event, NAME_DNS_SUBDOMAIN, .create = event_create),
    KIND(binding, NAME_DNS_SUBDOMAIN, .create = binding_create),
    KIND(job, NAME_DNS_SUBDOMAIN, .create = job_create, .update = job_update, .status = job_status),
    KIND(cron_job, NAME_DNS_SUBDOMAIN, .create = cron_job_create, .update = cron_job_update),
    KIND(role, NAME_PATH_SEGMENT, .create = role_create),
    KIND(cluster_role, NAME_PATH_SEGMENT, .create = cluster_role_create),
    KIND(role_binding, NAME_PATH_SEGMENT, .create = role_binding_create, .update = role_binding_update),
    KIND(cluster_role_binding, NAME_PATH_SEGMENT, .create = cluster_role_binding_create,
         .update = cluster_role_binding_update),
    KIND(persistent_volume, NAME_DNS_SUBDOMAIN, .create = persistent_volume_create, .update = persistent_volume_update),
    KIND(persistent_volume_claim, NAME_DNS_SUBDOMAIN, .create = persistent_volume_claim_create,
         .update = persistent_volume_claim_update, .status = persistent_volume_claim_status),
    KIND(storage_class, NAME_DNS_SUBDOMAIN, .create = storage_class_create, .update = storage_class_update),
    KIND(csi_driver, NAME_DNS_SUBDOMAIN, .create = csi_driver_create, .update = csi_driver_update),
    KIND(csi_node, NAME_DNS_SUBDOMAIN, .create = csi_node_create),
    KIND(volume_attachment, NAME_DNS_SUBDOMAIN, .create = volume_attachment_create, .update = volume_attachment_update),
    KIND(csi_storage_capacity, NAME_DNS_SUBDOMAIN, .create = csi_storage_capacity_create),
    KIND(ingress, NAME_DNS_SUBDOMAIN, .create = ingress_create, .status = ingress_status),
    KIND(ingress_class, NAME_DNS_SUBDOMAIN, .create = ingress_class_create, .update = ingress_class_update),
    KIND(network_policy, NAME_DNS_SUBDOMAIN, .create = network_policy_create),
    KIND(pod_disruption_budget, NAME_DNS_SUBDOMAIN, .create = pod_disruption_budget_create,
         .status = pod_disruption_budget_status),
    KIND(horizontal_pod_autoscaler, NAME_DNS_SUBDOMAIN, .create = hpa_create),
    KIND(autoscaling_v1_horizontal_pod_autoscaler, NAME_DNS_SUBDOMAIN, .create = hpa_v1_create),
    KIND(priority_class, NAME_DNS_SUBDOMAIN, .create = priority_class_create, .update = priority_class_update),
    KIND(lease, NAME_DNS_SUBDOMAIN, .create = lease_create),
    KIND(events_event, NAME_DNS_SUBDOMAIN, .create = events_event_create),
    KIND(certificate_signing_request, NAME_PATH_SEGMENT, .create = csr_create, .update = csr_update, .status = csr_status,
         .subresources = { { "approval", csr_update } }),
    KIND(runtime_class, NAME_DNS_SUBDOMAIN, .create = runtime_class_create, .update = runtime_class_update),
    KIND(validating_webhook_configuration, NAME_DNS_SUBDOMAIN, .create = validating_webhooks_create),
    KIND(mutating_webhook_configuration, NAME_DNS_SUBDOMAIN, .create = mutating_webhooks_create),
    KIND(flow_schema, NAME_DNS_SUBDOMAIN, .create = flow_schema_create),
    KIND(priority_level_configuration, NAME_DNS_SUBDOMAIN, .create = priority_level_create),
    KIND(token_request, NAME_DNS_SUBDOMAIN, .create = token_request_create),
    KIND(subject_access_review, NAME_DNS_SUBDOMAIN, .unnamed = true, .create = access_review_create),
    KIND(self_subject_access_review, NAME_DNS_SUBDOMAIN, .unnamed = true, .create = self_access_review_create),
    KIND(local_subject_access_review, NAME_DNS_SUBDOMAIN, .unnamed = true, .create = local_access_review_create),
    KIND(self_subject_rules_review, NAME_DNS_SUBDOMAIN, .unnamed = true),
    KIND(self_subject_review, NAME_DNS_SUBDOMAIN, .unnamed = true),
    KIND(token_review, NAME_DNS_SUBDOMAIN, .unnamed = true),
    KIND(ip_address, NAME_PATH_SEGMENT),
    KIND(api_service, NAME_PATH_SEGMENT),
};

static const struct kind_row *
row_of(const struct api_kind *kind)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type == kind->type)
            return &rows[i];
    return NULL;
}

static const struct object_meta *
meta_of(const struct api_kind *kind, const void *body)
{
    return kind->meta_offset < 0 ? NULL : (const void *)((const char *)body + kind->meta_offset);
}

static bool
listed_before(const struct kerr *err, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (strcmp(err->causes[k].field, err->causes[i].field) == 0 &&
            strcmp(err->causes[k].message, err->causes[i].message) == 0)
            return true;
    return false;
}

/* "Deployment.apps "x" is invalid: <field>: <text>", several in brackets, equal ones once. */
static struct kerr *
conclude(struct findings *f, const struct api_kind *kind, const struct object_meta *meta)
{
    struct kerr *err = f->err;
    const char *name = meta ? str_safe(meta->name) : "";
    AUTO_SBUF text = { 0 };
    uint32_t kept = 0;

    if (!err)
        return NULL;
    for (uint32_t i = 0; i < err->ncauses; i++) {
        if (listed_before(err, i))
            continue;
        sbuf_addf(&text, "%s%s: %s", kept++ ? ", " : "", err->causes[i].field, err->causes[i].message);
    }
    free(err->message);
    err->message = xasprintf(kept > 1 ? "%s%s%s \"%s\" is invalid: [%s]" : "%s%s%s \"%s\" is invalid: %s", kind->kind,
                             *kind->group ? "." : "", kind->group, name, sbuf_str(&text));
    return kerr_about(err, kind->group, kind->kind, name);
}

struct kerr *
validate_create(const struct api_kind *kind, const void *body, const struct validate_opts *opts)
{
    const struct kind_row *row = row_of(kind);
    const struct object_meta *meta = meta_of(kind, body);
    struct findings f = { .opts = opts };

    if (meta && kind->resource && !(row && row->unnamed))
        check_meta_create(&f, meta, kind->namespaced, row ? row->name : NAME_DNS_SUBDOMAIN);
    if (row && row->create)
        row->create(&f, body);
    return conclude(&f, kind, meta);
}

static struct kerr *
check_change(const struct api_kind *kind, const struct kind_row *row, validate_change_fn *fn, bool full, const void *body,
             const void *old, const struct validate_opts *opts)
{
    const struct object_meta *meta = meta_of(kind, body), *old_meta = meta_of(kind, old);
    struct findings f = { .opts = opts };

    if (meta && kind->resource)
        check_meta_update(&f, meta, old_meta);
    if (fn)
        fn(&f, body, old);
    else if (full && row && row->create)
        row->create(&f, body);
    return conclude(&f, kind, meta);
}

struct kerr *
validate_update(const struct api_kind *kind, const void *body, const void *old, const struct validate_opts *opts)
{
    const struct kind_row *row = row_of(kind);

    return check_change(kind, row, row ? row->update : NULL, true, body, old, opts);
}

struct kerr *
validate_status_update(const struct api_kind *kind, const void *body, const void *old, const struct validate_opts *opts)
{
    const struct kind_row *row = row_of(kind);

    return check_change(kind, row, row ? row->status : NULL, false, body, old, opts);
}

struct kerr *
validate_subresource(const struct api_kind *kind, const char *subresource, const void *body, const void *old,
                     const struct validate_opts *opts)
{
    const struct kind_row *row = row_of(kind);

    if (strcmp(subresource, "status") == 0)
        return validate_status_update(kind, body, old, opts);
    for (size_t i = 0; row && i < ARRAY_LEN(row->subresources) && row->subresources[i].name; i++)
        if (strcmp(row->subresources[i].name, subresource) == 0)
            return check_change(kind, row, row->subresources[i].fn, false, body, old, opts);
    return validate_update(kind, body, old, opts);
}
