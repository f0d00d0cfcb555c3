// SPDX-License-Identifier: Apache-2.0
/* Columns of the kinds people list now and then: storage, networking, policy, quotas, admission, certificates, devices. */
#include <stdio.h>
#include <string.h>

#include "apiserver/rest/printers_table.h"
#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/str.h"

static const char unset[] = "<unset>";
static const char unknown[] = "<unknown>";

static const struct print_column created_columns[] = { NAME, COLUMN("Created At", "date", 0) };

/* Kinds whose table says when they were made, not how long ago. */
static void
created_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    AUTO_SBUF when = { 0 };

    (void)now_s;
    api_time_format(object_meta(obj)->creation_timestamp, &when);
    cell_string(cells, object_name(obj));
    cell_string(cells, sbuf_str(&when));
}

static void
cell_joined(struct sbuf *cells, const struct string_slice *l, const char *nothing)
{
    AUTO_SBUF text = { 0 };

    for (uint32_t i = 0; i < l->len; i++)
        sbuf_addf(&text, "%s%s", i ? "," : "", l->items[i]);
    cell_string(cells, text.len ? sbuf_str(&text) : nothing);
}

static void
cell_int_or(struct sbuf *cells, const int32_t *n, const char *nothing)
{
    AUTO_SBUF text = { 0 };

    if (n)
        sbuf_add_i64(&text, *n);
    cell_string(cells, n ? sbuf_str(&text) : nothing);
}

/* --- storage --- */

static void
cell_access_modes(struct sbuf *cells, const struct string_slice *modes)
{
    static const char *const names[][2] = {
        { "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" }, { "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" }
    };
    AUTO_SBUF text = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (string_slice_has(modes, names[i][0]))
            sbuf_addf(&text, "%s%s", text.len ? "," : "", names[i][1]);
    cell_string(cells, sbuf_str(&text));
}

static const char *
storage_of(const struct quantity_map *m)
{
    return quantity_text(quantity_map_get(m, "storage"));
}

static const struct print_column pv_columns[] = {
    NAME, COLUMN("Capacity", "string", 0), COLUMN("Access Modes", "string", 0), COLUMN("Reclaim Policy", "string", 0), COLUMN("Status", "string", 0),
    COLUMN("Claim", "string", 0), COLUMN("StorageClass", "string", 0), COLUMN("VolumeAttributesClass", "string", 0), COLUMN("Reason", "string", 0), AGE,
    COLUMN("VolumeMode", "string", 1),
};

static void
pv_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct persistent_volume *v = OBJECT_BODY(obj, persistent_volume);
    const struct object_reference *claim = v->spec.claim_ref;
    AUTO_FREE char *claimed = claim ? xasprintf("%s/%s", str_safe(claim->namespace), str_safe(claim->name)) : NULL;
    const char *beta = meta_annotation(&v->metadata, "volume.beta.kubernetes.io/storage-class");

    cell_string(cells, v->metadata.name);
    cell_string(cells, storage_of(&v->spec.capacity));
    cell_access_modes(cells, &v->spec.access_modes);
    cell_string(cells, v->spec.persistent_volume_reclaim_policy);
    cell_string(cells, v->metadata.deletion_timestamp ? "Terminating" : v->status.phase);
    cell_string(cells, claimed);
    cell_string(cells, beta ? beta : v->spec.storage_class_name);
    cell_string(cells, str_or(v->spec.volume_attributes_class_name, unset));
    cell_string(cells, v->status.reason);
    cell_age(cells, v->metadata.creation_timestamp, now_s);
    cell_string(cells, str_or(v->spec.volume_mode, unset));
}

static const struct print_column pvc_columns[] = {
    NAME, COLUMN("Status", "string", 0), COLUMN("Volume", "string", 0), COLUMN("Capacity", "string", 0), COLUMN("Access Modes", "string", 0),
    COLUMN("StorageClass", "string", 0), COLUMN("VolumeAttributesClass", "string", 0), AGE, COLUMN("VolumeMode", "string", 1),
};

static void
pvc_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    static const struct string_slice no_modes;
    const struct persistent_volume_claim *c = OBJECT_BODY(obj, persistent_volume_claim);
    bool bound = !str_empty(c->spec.volume_name);
    const char *beta = meta_annotation(&c->metadata, "volume.beta.kubernetes.io/storage-class");

    cell_string(cells, c->metadata.name);
    cell_string(cells, c->metadata.deletion_timestamp ? "Terminating" : c->status.phase);
    cell_string(cells, c->spec.volume_name);
    cell_string(cells, bound ? storage_of(&c->status.capacity) : "");
    cell_access_modes(cells, bound ? &c->status.access_modes : &no_modes);
    cell_string(cells, beta ? beta : c->spec.storage_class_name);
    cell_string(cells, str_or(c->spec.volume_attributes_class_name, unset));
    cell_age(cells, c->metadata.creation_timestamp, now_s);
    cell_string(cells, str_or(c->spec.volume_mode, unset));
}

static const struct print_column storage_class_columns[] = {
    NAME, COLUMN("Provisioner", "string", 0), COLUMN("ReclaimPolicy", "string", 0), COLUMN("VolumeBindingMode", "string", 0),
    COLUMN("AllowVolumeExpansion", "string", 0), AGE,
};

static bool
is_default_class(const struct object_meta *meta)
{
    return str_eq(meta_annotation(meta, "storageclass.kubernetes.io/is-default-class"), "true") ||
           str_eq(meta_annotation(meta, "storageclass.beta.kubernetes.io/is-default-class"), "true");
}

static void
storage_class_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct storage_class *c = OBJECT_BODY(obj, storage_class);
    AUTO_FREE char *name = xasprintf("%s%s", str_safe(c->metadata.name), is_default_class(&c->metadata) ? " (default)" : "");

    cell_string(cells, name);
    cell_string(cells, c->provisioner);
    cell_string(cells, str_or(c->reclaim_policy, "Delete"));
    cell_string(cells, str_or(c->volume_binding_mode, "Immediate"));
    cell_bool(cells, c->allow_volume_expansion && *c->allow_volume_expansion);
    cell_age(cells, c->metadata.creation_timestamp, now_s);
}

static const struct print_column attributes_class_columns[] = { NAME, COLUMN("DriverName", "string", 0), AGE };

static void
attributes_class_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct volume_attributes_class *c = OBJECT_BODY(obj, volume_attributes_class);

    cell_string(cells, c->metadata.name);
    cell_string(cells, c->driver_name);
    cell_age(cells, c->metadata.creation_timestamp, now_s);
}

static const struct print_column attachment_columns[] = {
    NAME, COLUMN("Attacher", "string", 0), COLUMN("PV", "string", 0), COLUMN("Node", "string", 0), COLUMN("Attached", "boolean", 0), AGE,
};

static void
attachment_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct volume_attachment *v = OBJECT_BODY(obj, volume_attachment);

    cell_string(cells, v->metadata.name);
    cell_string(cells, v->spec.attacher);
    cell_string(cells, v->spec.source.persistent_volume_name);
    cell_string(cells, v->spec.node_name);
    cell_bool(cells, v->status.attached);
    cell_age(cells, v->metadata.creation_timestamp, now_s);
}

static const struct print_column csi_node_columns[] = { NAME, COLUMN("Drivers", "integer", 0), AGE };

static void
csi_node_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct csi_node *n = OBJECT_BODY(obj, csi_node);

    cell_string(cells, n->metadata.name);
    cell_int(cells, n->spec.drivers.len);
    cell_age(cells, n->metadata.creation_timestamp, now_s);
}

static const struct print_column csi_driver_columns[] = {
    NAME, COLUMN("AttachRequired", "boolean", 0), COLUMN("PodInfoOnMount", "boolean", 0), COLUMN("StorageCapacity", "boolean", 0),
    COLUMN("TokenRequests", "string", 0), COLUMN("RequiresRepublish", "boolean", 0), COLUMN("Modes", "string", 0), AGE,
};

static void
csi_driver_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct csi_driver *d = OBJECT_BODY(obj, csi_driver);
    AUTO_SBUF audiences = { 0 };

    for (uint32_t i = 0; i < d->spec.token_requests.len; i++)
        sbuf_addf(&audiences, "%s%s", i ? "," : "", str_safe(d->spec.token_requests.items[i].audience));
    cell_string(cells, d->metadata.name);
    cell_bool(cells, !d->spec.attach_required || *d->spec.attach_required);
    cell_bool(cells, d->spec.pod_info_on_mount && *d->spec.pod_info_on_mount);
    cell_bool(cells, d->spec.storage_capacity && *d->spec.storage_capacity);
    cell_string(cells, d->spec.token_requests.len ? sbuf_str(&audiences) : unset);
    cell_bool(cells, d->spec.requires_republish && *d->spec.requires_republish);
    cell_joined(cells, &d->spec.volume_lifecycle_modes, "<none>");
    cell_age(cells, d->metadata.creation_timestamp, now_s);
}

static const struct print_column csi_capacity_columns[] = { NAME, COLUMN("StorageClassName", "string", 0), COLUMN("Capacity", "string", 0) };

static void
csi_capacity_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct csi_storage_capacity *c = OBJECT_BODY(obj, csi_storage_capacity);

    (void)now_s;
    cell_string(cells, c->metadata.name);
    cell_string(cells, c->storage_class_name);
    cell_string(cells, c->capacity ? quantity_text(*c->capacity) : unset);
}

/* --- networking --- */

enum { HOSTS_SHOWN = 3 };

static const struct print_column ingress_columns[] = {
    NAME, COLUMN("Class", "string", 0), COLUMN("Hosts", "string", 0), COLUMN("Address", "string", 0), COLUMN("Ports", "string", 0), AGE,
};

static void
ingress_hosts(const struct ingress *in, struct sbuf *out)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < in->spec.rules.len; i++) {
        const char *host = in->spec.rules.items[i].host;
        if (!str_empty(host) && n++ < HOSTS_SHOWN)
            sbuf_addf(out, "%s%s", out->len ? "," : "", host);
    }
    if (n > HOSTS_SHOWN)
        sbuf_addf(out, " + %u more...", n - HOSTS_SHOWN);
    if (!n)
        sbuf_addc(out, '*');
}

static void
ingress_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct ingress *in = OBJECT_BODY(obj, ingress);
    AUTO_SBUF hosts = { 0 };
    AUTO_SBUF address = { 0 };

    ingress_hosts(in, &hosts);
    for (uint32_t i = 0; i < in->status.load_balancer.ingress.len; i++) {
        const struct ingress_load_balancer_ingress *l = &in->status.load_balancer.ingress.items[i];
        sbuf_addf(&address, "%s%s", i ? "," : "", str_or(l->ip, str_safe(l->hostname)));
    }
    cell_string(cells, in->metadata.name);
    cell_or_none(cells, in->spec.ingress_class_name);
    cell_string(cells, sbuf_str(&hosts));
    cell_string(cells, sbuf_str(&address));
    cell_string(cells, in->spec.tls.len ? "80, 443" : "80");
    cell_age(cells, in->metadata.creation_timestamp, now_s);
}

static const struct print_column ingress_class_columns[] = { NAME, COLUMN("Controller", "string", 0), COLUMN("Parameters", "string", 0), AGE };

static void
ingress_class_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct ingress_class *c = OBJECT_BODY(obj, ingress_class);
    const struct ingress_class_parameters_reference *p = c->spec.parameters;
    AUTO_FREE char *parameters =
        p ? xasprintf("%s%s%s/%s", str_safe(p->kind), str_empty(p->api_group) ? "" : ".", str_safe(p->api_group), str_safe(p->name)) : NULL;

    cell_string(cells, c->metadata.name);
    cell_string(cells, c->spec.controller);
    cell_or_none(cells, parameters);
    cell_age(cells, c->metadata.creation_timestamp, now_s);
}

static const struct print_column network_policy_columns[] = { NAME, COLUMN("Pod-Selector", "string", 0), AGE };

static void
network_policy_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct network_policy *p = OBJECT_BODY(obj, network_policy);

    cell_string(cells, p->metadata.name);
    cell_selector(cells, &p->spec.pod_selector);
    cell_age(cells, p->metadata.creation_timestamp, now_s);
}

static const struct print_column service_cidr_columns[] = { NAME, COLUMN("CIDRs", "string", 0), AGE };

static void
service_cidr_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct service_cidr *c = OBJECT_BODY(obj, service_cidr);

    cell_string(cells, c->metadata.name);
    cell_joined(cells, &c->spec.cidrs, "");
    cell_age(cells, c->metadata.creation_timestamp, now_s);
}

static const struct print_column ip_address_columns[] = { NAME, COLUMN("ParentRef", "string", 0) };

static void
ip_address_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct ip_address *ip = OBJECT_BODY(obj, ip_address);
    const struct parent_reference *ref = ip->spec.parent_ref;
    AUTO_SBUF parent = { 0 };

    (void)now_s;
    if (ref) {
        const char *const parts[] = { ref->group, ref->resource, ref->namespace, ref->name };
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            if (!str_empty(parts[i]))
                sbuf_addf(&parent, "%s%s", parent.len ? "/" : "", parts[i]);
    }
    cell_string(cells, ip->metadata.name);
    cell_or_none(cells, sbuf_str(&parent));
}

/* --- workloads' company --- */

static const struct print_column template_columns[] = { NAME, COLUMN("Containers", "string", 0), COLUMN("Images", "string", 0), COLUMN("Pod Labels", "string", 0) };

static void
template_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct pod_template *t = OBJECT_BODY(obj, pod_template);

    (void)now_s;
    cell_string(cells, t->metadata.name);
    cells_containers(cells, &t->template.spec);
    cell_labels(cells, &t->template.metadata.labels);
}

static const struct print_column pdb_columns[] = {
    NAME, COLUMN("Min Available", "string", 0), COLUMN("Max Unavailable", "string", 0), COLUMN("Allowed Disruptions", "integer", 0), AGE,
};

static void
cell_int_or_string(struct sbuf *cells, const struct int_or_string *v)
{
    AUTO_SBUF text = { 0 };

    if (v && v->str)
        sbuf_adds(&text, v->str);
    else if (v)
        sbuf_add_i64(&text, v->num);
    cell_string(cells, v ? sbuf_str(&text) : "N/A");
}

static void
pdb_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct pod_disruption_budget *b = OBJECT_BODY(obj, pod_disruption_budget);

    cell_string(cells, b->metadata.name);
    cell_int_or_string(cells, b->spec.min_available);
    cell_int_or_string(cells, b->spec.max_unavailable);
    cell_int(cells, b->status.disruptions_allowed);
    cell_age(cells, b->metadata.creation_timestamp, now_s);
}

static const struct print_column hpa_columns[] = {
    NAME, COLUMN("Reference", "string", 0), COLUMN("Targets", "string", 0), COLUMN("MinPods", "string", 0), COLUMN("MaxPods", "string", 0),
    COLUMN("Replicas", "string", 0), AGE,
};

/* "prefix current/target", "<unknown>" for what is not measured yet. */
static void
metric_of(struct sbuf *out, const char *prefix, const struct metric_value_status *current, const struct metric_target *target)
{
    const struct quantity *now = NULL;

    sbuf_addf(out, "%s%s", str_safe(prefix), prefix ? ": " : "");
    if (prefix && !target->average_value) { /* a share of what the containers request */
        if (current && current->average_utilization)
            sbuf_addf(out, "%d%%", (int)*current->average_utilization);
        else
            sbuf_adds(out, unknown);
        if (target->average_utilization)
            sbuf_addf(out, "/%d%%", (int)*target->average_utilization);
        else
            sbuf_adds(out, "/<auto>");
        return;
    }
    const struct quantity *wanted = target->average_value ? target->average_value : target->value;
    if (current)
        now = target->average_value ? current->average_value : current->value;
    sbuf_addf(out, "%s/%s", now ? quantity_text(*now) : unknown, wanted ? quantity_text(*wanted) : "0");
}

static void
metric_text(struct sbuf *out, const struct metric_spec *m, const struct metric_status *s)
{
    const struct metric_target *averaged = NULL;

    if (m->resource) {
        metric_of(out, str_safe(m->resource->name), s && s->resource ? &s->resource->current : NULL, &m->resource->target);
    } else if (m->container_resource) {
        metric_of(out, str_safe(m->container_resource->name), s && s->container_resource ? &s->container_resource->current : NULL,
                  &m->container_resource->target);
    } else if (m->pods) {
        metric_of(out, NULL, s && s->pods ? &s->pods->current : NULL, &m->pods->target);
    } else if (m->object) {
        averaged = &m->object->target;
        metric_of(out, NULL, s && s->object ? &s->object->current : NULL, averaged);
    } else if (m->external) {
        averaged = &m->external->target;
        metric_of(out, NULL, s && s->external ? &s->external->current : NULL, averaged);
    } else {
        sbuf_adds(out, "<unknown type>");
    }
    if (averaged && averaged->average_value)
        sbuf_adds(out, " (avg)");
}

enum { METRICS_SHOWN = 2 };

static void
cell_metrics(struct sbuf *cells, const struct metric_spec_slice *specs, const struct metric_status_slice *statuses)
{
    AUTO_SBUF text = { 0 };

    for (uint32_t i = 0; i < specs->len && i < METRICS_SHOWN; i++) {
        sbuf_adds(&text, i ? ", " : "");
        metric_text(&text, &specs->items[i], i < statuses->len ? &statuses->items[i] : NULL);
    }
    if (specs->len > METRICS_SHOWN)
        sbuf_addf(&text, " + %u more...", specs->len - METRICS_SHOWN);
    cell_or_none(cells, sbuf_str(&text));
}

static void
hpa_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct horizontal_pod_autoscaler *h = OBJECT_BODY(obj, horizontal_pod_autoscaler);
    AUTO_FREE char *reference = xasprintf("%s/%s", str_safe(h->spec.scale_target_ref.kind), str_safe(h->spec.scale_target_ref.name));

    cell_string(cells, h->metadata.name);
    cell_string(cells, reference);
    cell_metrics(cells, &h->spec.metrics, &h->status.current_metrics);
    cell_int_or(cells, h->spec.min_replicas, unset);
    cell_int(cells, h->spec.max_replicas);
    cell_int(cells, h->status.current_replicas);
    cell_age(cells, h->metadata.creation_timestamp, now_s);
}

/* The same of v1, which knows of the CPU only. */
static void
hpa_v1_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct autoscaling_v1_horizontal_pod_autoscaler *h = OBJECT_BODY(obj, autoscaling_v1_horizontal_pod_autoscaler);
    AUTO_FREE char *reference = xasprintf("%s/%s", str_safe(h->spec.scale_target_ref.kind), str_safe(h->spec.scale_target_ref.name));
    struct resource_metric_source cpu = { .name = "cpu", .target.average_utilization = h->spec.target_cpu_utilization_percentage };
    struct resource_metric_status now = { .name = "cpu", .current.average_utilization = h->status.current_cpu_utilization_percentage };
    struct metric_spec spec = { .type = "Resource", .resource = &cpu };
    struct metric_status status = { .type = "Resource", .resource = &now };
    const struct metric_spec_slice specs = { &spec, cpu.target.average_utilization ? 1 : 0, 1 };
    const struct metric_status_slice statuses = { &status, 1, 1 };

    cell_string(cells, h->metadata.name);
    cell_string(cells, reference);
    cell_metrics(cells, &specs, &statuses);
    cell_int_or(cells, h->spec.min_replicas, unset);
    cell_int(cells, h->spec.max_replicas);
    cell_int(cells, h->status.current_replicas);
    cell_age(cells, h->metadata.creation_timestamp, now_s);
}

static void
autoscaler_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    if (OBJECT_BODY(obj, horizontal_pod_autoscaler))
        hpa_row(obj, now_s, cells);
    else
        hpa_v1_row(obj, now_s, cells);
}

static const struct print_column revision_columns[] = { NAME, COLUMN("Controller", "string", 0), COLUMN("Revision", "string", 0), AGE };

static void
revision_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct controller_revision *r = OBJECT_BODY(obj, controller_revision);
    const struct owner_reference *owner = meta_controller(&r->metadata);
    AUTO_SBUF text = { 0 };

    if (owner) {
        AUTO_FREE char *kind = str_lower(owner->kind);
        const char *slash = strchr(str_safe(owner->api_version), '/');
        int group = slash ? (int)(slash - owner->api_version) : 0;
        sbuf_addf(&text, "%s%s%.*s/%s", kind, group ? "." : "", group, str_safe(owner->api_version), str_safe(owner->name));
    }
    cell_string(cells, r->metadata.name);
    cell_or_none(cells, sbuf_str(&text));
    cell_int(cells, r->revision);
    cell_age(cells, r->metadata.creation_timestamp, now_s);
}

static const struct print_column quota_columns[] = { NAME, COLUMN("Request", "string", 0), COLUMN("Limit", "string", 0), AGE };

static void
quota_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct resource_quota *q = OBJECT_BODY(obj, resource_quota);
    AUTO_SBUF requests = { 0 };
    AUTO_SBUF limits = { 0 };

    for (uint32_t i = 0; i < q->status.hard.len; i++) {
        const char *name = q->status.hard.items[i].key;
        struct sbuf *out = str_has_prefix(name, "limits") ? &limits : &requests;
        sbuf_addf(out, "%s%s: %s/%s", out->len ? ", " : "", name, quantity_text(quantity_map_get(&q->status.used, name)), quantity_text(q->status.hard.items[i].value));
    }
    cell_string(cells, q->metadata.name);
    cell_string(cells, sbuf_str(&requests));
    cell_string(cells, sbuf_str(&limits));
    cell_age(cells, q->metadata.creation_timestamp, now_s);
}

static const struct print_column runtime_class_columns[] = { NAME, COLUMN("Handler", "string", 0), AGE };

static void
runtime_class_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct runtime_class *c = OBJECT_BODY(obj, runtime_class);

    cell_string(cells, c->metadata.name);
    cell_string(cells, c->handler);
    cell_age(cells, c->metadata.creation_timestamp, now_s);
}

static const struct print_column component_columns[] = { NAME, COLUMN("Status", "string", 0), COLUMN("Message", "string", 0), COLUMN("Error", "string", 0) };

static void
component_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct component_status *c = OBJECT_BODY(obj, component_status);
    const struct component_condition *healthy = NULL;

    (void)now_s;
    for (uint32_t i = 0; i < c->conditions.len; i++)
        if (str_eq(c->conditions.items[i].type, "Healthy"))
            healthy = &c->conditions.items[i];
    cell_string(cells, c->metadata.name);
    cell_string(cells, !healthy ? "Unknown" : str_eq(healthy->status, "True") ? "Healthy" : "Unhealthy");
    cell_string(cells, healthy ? healthy->message : "");
    cell_string(cells, healthy ? healthy->error : "");
}

/* --- certificates, aggregation --- */

static const struct print_column csr_columns[] = {
    NAME, AGE, COLUMN("SignerName", "string", 0), COLUMN("Requestor", "string", 0), COLUMN("RequestedDuration", "string", 0), COLUMN("Condition", "string", 0),
};

static void
csr_condition(const struct certificate_signing_request_status *status, struct sbuf *out)
{
    static const char *const shown[] = { "Denied", "Approved", "Failed" };
    bool have[ARRAY_LEN(shown)] = { false };

    for (uint32_t i = 0; i < status->conditions.len; i++)
        for (size_t s = 0; s < ARRAY_LEN(shown); s++)
            have[s] |= str_eq(status->conditions.items[i].type, shown[s]);
    sbuf_adds(out, have[0] ? "Denied" : have[1] ? "Approved" : "Pending");
    if (have[2])
        sbuf_adds(out, ",Failed");
    if (status->certificate.len)
        sbuf_adds(out, ",Issued");
}

static void
csr_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct certificate_signing_request *c = OBJECT_BODY(obj, certificate_signing_request);
    AUTO_SBUF duration = { 0 };
    AUTO_SBUF condition = { 0 };

    if (c->spec.expiration_seconds)
        human_duration(*c->spec.expiration_seconds, &duration);
    csr_condition(&c->status, &condition);
    cell_string(cells, c->metadata.name);
    cell_age(cells, c->metadata.creation_timestamp, now_s);
    cell_or_none(cells, c->spec.signer_name);
    cell_string(cells, c->spec.username);
    cell_or_none(cells, sbuf_str(&duration));
    cell_string(cells, sbuf_str(&condition));
}

static const struct print_column api_service_columns[] = { NAME, COLUMN("Service", "string", 0), COLUMN("Available", "string", 0), AGE };

static void
api_service_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct api_service *s = OBJECT_BODY(obj, api_service);
    const struct apiregistration_service_reference *ref = s->spec.service;
    AUTO_FREE char *service = ref ? xasprintf("%s/%s", str_safe(ref->namespace), str_safe(ref->name)) : xstrdup("Local");
    AUTO_SBUF available = { 0 };

    for (uint32_t i = 0; i < s->status.conditions.len; i++) {
        const struct api_service_condition *c = &s->status.conditions.items[i];
        if (!str_eq(c->type, "Available"))
            continue;
        sbuf_adds(&available, c->status);
        if (!str_eq(c->status, "True"))
            sbuf_addf(&available, " (%s)", str_safe(c->reason));
    }
    cell_string(cells, s->metadata.name);
    cell_string(cells, service);
    cell_string(cells, available.len ? sbuf_str(&available) : "Unknown");
    cell_age(cells, s->metadata.creation_timestamp, now_s);
}

/* --- admission, flow control --- */

static const struct print_column webhook_columns[] = { NAME, COLUMN("Webhooks", "integer", 0), AGE };

static void
webhook_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct mutating_webhook_configuration *m = OBJECT_BODY(obj, mutating_webhook_configuration);
    const struct validating_webhook_configuration *v = OBJECT_BODY(obj, validating_webhook_configuration);

    cell_string(cells, object_name(obj));
    cell_int(cells, m ? m->webhooks.len : v ? v->webhooks.len : 0);
    cell_age(cells, object_meta(obj)->creation_timestamp, now_s);
}

static const struct print_column policy_columns[] = { NAME, COLUMN("Validations", "integer", 0), COLUMN("ParamKind", "string", 0), AGE };

static void
policy_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct validating_admission_policy *p = OBJECT_BODY(obj, validating_admission_policy);
    const struct param_kind *kind = p->spec.param_kind;
    AUTO_FREE char *param = kind ? xasprintf("%s/%s", str_safe(kind->api_version), str_safe(kind->kind)) : NULL;

    cell_string(cells, p->metadata.name);
    cell_int(cells, p->spec.validations.len);
    cell_string(cells, param ? param : unset);
    cell_age(cells, p->metadata.creation_timestamp, now_s);
}

static const struct print_column policy_binding_columns[] = { NAME, COLUMN("PolicyName", "string", 0), COLUMN("ParamRef", "string", 0), AGE };

static void
policy_binding_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct validating_admission_policy_binding *b = OBJECT_BODY(obj, validating_admission_policy_binding);
    const struct param_ref *ref = b->spec.param_ref;
    AUTO_FREE char *text = NULL;

    if (ref && !str_empty(ref->name))
        text = str_empty(ref->namespace) ? xstrdup(ref->name) : xasprintf("%s/%s", ref->namespace, ref->name);
    cell_string(cells, b->metadata.name);
    cell_string(cells, b->spec.policy_name);
    cell_string(cells, text ? text : unset);
    cell_age(cells, b->metadata.creation_timestamp, now_s);
}

static const struct print_column flow_schema_columns[] = {
    NAME, COLUMN("PriorityLevel", "string", 0), COLUMN("MatchingPrecedence", "string", 0), COLUMN("DistinguisherMethod", "string", 0), AGE,
    COLUMN("MissingPL", "string", 0),
};

static void
flow_schema_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct flow_schema *f = OBJECT_BODY(obj, flow_schema);
    const char *missing = "?";

    for (uint32_t i = 0; i < f->status.conditions.len; i++)
        if (str_eq(f->status.conditions.items[i].type, "Dangling"))
            missing = str_safe(f->status.conditions.items[i].status);
    cell_string(cells, f->metadata.name);
    cell_string(cells, f->spec.priority_level_configuration.name);
    cell_int(cells, f->spec.matching_precedence);
    cell_or_none(cells, f->spec.distinguisher_method ? f->spec.distinguisher_method->type : NULL);
    cell_age(cells, f->metadata.creation_timestamp, now_s);
    cell_string(cells, missing);
}

static const struct print_column priority_level_columns[] = {
    NAME, COLUMN("Type", "string", 0), COLUMN("NominalConcurrencyShares", "string", 0), COLUMN("Queues", "string", 0), COLUMN("HandSize", "string", 0),
    COLUMN("QueueLengthLimit", "string", 0), AGE,
};

static void
priority_level_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct priority_level_configuration *p = OBJECT_BODY(obj, priority_level_configuration);
    const struct limited_priority_level_configuration *limited = p->spec.limited;
    const struct queuing_configuration *q = limited ? limited->limit_response.queuing : NULL;

    cell_string(cells, p->metadata.name);
    cell_string(cells, p->spec.type);
    cell_int_or(cells, limited ? limited->nominal_concurrency_shares : NULL, "<none>");
    cell_int_or(cells, q ? &q->queues : NULL, "<none>");
    cell_int_or(cells, q ? &q->hand_size : NULL, "<none>");
    cell_int_or(cells, q ? &q->queue_length_limit : NULL, "<none>");
    cell_age(cells, p->metadata.creation_timestamp, now_s);
}

/* --- devices --- */

static const struct print_column claim_columns[] = { NAME, COLUMN("State", "string", 0), AGE };

static void
claim_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct dra_resource_claim *c = OBJECT_BODY(obj, dra_resource_claim);
    AUTO_SBUF state = { 0 };

    if (c->metadata.deletion_timestamp)
        sbuf_adds(&state, "deleted");
    if (c->status.allocation)
        sbuf_addf(&state, "%sallocated", state.len ? "," : "");
    if (c->status.reserved_for.len)
        sbuf_addf(&state, "%sreserved", state.len ? "," : "");
    cell_string(cells, c->metadata.name);
    cell_string(cells, state.len ? sbuf_str(&state) : "pending");
    cell_age(cells, c->metadata.creation_timestamp, now_s);
}

static const struct print_column resource_slice_columns[] = { NAME, COLUMN("Node", "string", 0), COLUMN("Driver", "string", 0), COLUMN("Pool", "string", 0), AGE };

static void
resource_slice_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct resource_slice *s = OBJECT_BODY(obj, resource_slice);

    cell_string(cells, s->metadata.name);
    cell_string(cells, str_or(s->spec.node_name, unset));
    cell_string(cells, s->spec.driver);
    cell_string(cells, s->spec.pool.name);
    cell_age(cells, s->metadata.creation_timestamp, now_s);
}

const struct printer printers_more[] = {
    { "", "PersistentVolume", COLUMNS(pv_columns), pv_row },
    { "", "PersistentVolumeClaim", COLUMNS(pvc_columns), pvc_row },
    { "", "PodTemplate", COLUMNS(template_columns), template_row },
    { "", "ResourceQuota", COLUMNS(quota_columns), quota_row },
    { "", "LimitRange", COLUMNS(created_columns), created_row },
    { "", "ComponentStatus", COLUMNS(component_columns), component_row },
    { "apps", "ControllerRevision", COLUMNS(revision_columns), revision_row },
    { "autoscaling", "HorizontalPodAutoscaler", COLUMNS(hpa_columns), autoscaler_row },
    { "policy", "PodDisruptionBudget", COLUMNS(pdb_columns), pdb_row },
    { "networking.k8s.io", "Ingress", COLUMNS(ingress_columns), ingress_row },
    { "networking.k8s.io", "IngressClass", COLUMNS(ingress_class_columns), ingress_class_row },
    { "networking.k8s.io", "NetworkPolicy", COLUMNS(network_policy_columns), network_policy_row },
    { "networking.k8s.io", "ServiceCIDR", COLUMNS(service_cidr_columns), service_cidr_row },
    { "networking.k8s.io", "IPAddress", COLUMNS(ip_address_columns), ip_address_row },
    { "storage.k8s.io", "StorageClass", COLUMNS(storage_class_columns), storage_class_row },
    { "storage.k8s.io", "VolumeAttributesClass", COLUMNS(attributes_class_columns), attributes_class_row },
    { "storage.k8s.io", "VolumeAttachment", COLUMNS(attachment_columns), attachment_row },
    { "storage.k8s.io", "CSINode", COLUMNS(csi_node_columns), csi_node_row },
    { "storage.k8s.io", "CSIDriver", COLUMNS(csi_driver_columns), csi_driver_row },
    { "storage.k8s.io", "CSIStorageCapacity", COLUMNS(csi_capacity_columns), csi_capacity_row },
    { "node.k8s.io", "RuntimeClass", COLUMNS(runtime_class_columns), runtime_class_row },
    { "certificates.k8s.io", "CertificateSigningRequest", COLUMNS(csr_columns), csr_row },
    { "apiextensions.k8s.io", "CustomResourceDefinition", COLUMNS(created_columns), created_row },
    { "apiregistration.k8s.io", "APIService", COLUMNS(api_service_columns), api_service_row },
    { "admissionregistration.k8s.io", "MutatingWebhookConfiguration", COLUMNS(webhook_columns), webhook_row },
    { "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", COLUMNS(webhook_columns), webhook_row },
    { "admissionregistration.k8s.io", "ValidatingAdmissionPolicy", COLUMNS(policy_columns), policy_row },
    { "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", COLUMNS(policy_binding_columns), policy_binding_row },
    { "flowcontrol.apiserver.k8s.io", "FlowSchema", COLUMNS(flow_schema_columns), flow_schema_row },
    { "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", COLUMNS(priority_level_columns), priority_level_row },
    { "resource.k8s.io", "ResourceClaim", COLUMNS(claim_columns), claim_row },
    { "resource.k8s.io", "ResourceSlice", COLUMNS(resource_slice_columns), resource_slice_row },
};
const size_t printers_more_len = ARRAY_LEN(printers_more);
