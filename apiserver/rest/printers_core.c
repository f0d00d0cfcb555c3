// SPDX-License-Identifier: Apache-2.0
/* Columns of the kinds people list every day: pods, nodes, services, workloads, configuration. */
#include <stdio.h>
#include <string.h>

#include "apiserver/registry/convert.h"
#include "apiserver/rest/printers_table.h"
#include "common/api/meta.h"
#include "common/api/selector.h"
#include "common/api/values.h"
#include "common/base/str.h"

static const char none[] = "<none>";

void
cell_or_none(struct sbuf *cells, const char *s)
{
    cell_string(cells, str_or(s, none));
}

static void
cell_ratio(struct sbuf *cells, int64_t have, int64_t of)
{
    char text[48];

    snprintf(text, sizeof text, "%lld/%lld", (long long)have, (long long)of);
    cell_string(cells, text);
}

void
cells_containers(struct sbuf *cells, const struct pod_spec *spec)
{
    AUTO_SBUF names = { 0 };
    AUTO_SBUF images = { 0 };

    for (uint32_t i = 0; i < spec->containers.len; i++) {
        sbuf_addf(&names, "%s%s", i ? "," : "", str_safe(spec->containers.items[i].name));
        sbuf_addf(&images, "%s%s", i ? "," : "", str_safe(spec->containers.items[i].image));
    }
    cell_string(cells, sbuf_str(&names));
    cell_string(cells, sbuf_str(&images));
}

void
cell_selector(struct sbuf *cells, const struct label_selector *selector)
{
    AUTO(arena) *a = arena_new(512);
    AUTO_SBUF text = { 0 };
    struct label_query *q = NULL;
    AUTO(kerr) *err = selector ? label_query_from(selector, a, &q) : NULL;

    if (q && !err)
        label_query_print(q, &text);
    cell_or_none(cells, sbuf_str(&text));
}

void
cell_labels(struct sbuf *cells, const struct string_map *m)
{
    AUTO_SBUF text = { 0 };

    for (uint32_t i = 0; i < m->len; i++)
        sbuf_addf(&text, "%s%s=%s", i ? "," : "", m->items[i].key, str_safe(m->items[i].value));
    cell_or_none(cells, sbuf_str(&text));
}

/* --- pods --- */

static const struct print_column pod_columns[] = {
    NAME,
    COLUMN("Ready", "string", 0),
    COLUMN("Status", "string", 0),
    COLUMN("Restarts", "string", 0),
    AGE,
    COLUMN("IP", "string", 1),
    COLUMN("Node", "string", 1),
    COLUMN("Nominated Node", "string", 1),
    COLUMN("Readiness Gates", "string", 1),
};

struct pod_view {
    int ready, total;
    int64_t restarts;
    struct api_time last_restart;
    char reason[256];
    bool initializing;
};

static const struct container *
init_container(const struct pod *pod, const char *name)
{
    for (uint32_t i = 0; i < pod->spec.init_containers.len; i++)
        if (str_eq(pod->spec.init_containers.items[i].name, name))
            return &pod->spec.init_containers.items[i];
    return NULL;
}

static void
note_restart(struct pod_view *v, const struct container_status *s)
{
    v->restarts += s->restart_count;
    const struct container_state_terminated *t = s->last_state.terminated;
    if (t && api_time_cmp(v->last_restart, t->finished_at) < 0)
        v->last_restart = t->finished_at;
}

static void
terminated_reason(const struct container_state_terminated *t, const char *prefix, char *ret, size_t size)
{
    if (!str_empty(t->reason))
        snprintf(ret, size, "%s%s", prefix, t->reason);
    else if (t->signal)
        snprintf(ret, size, "%sSignal:%d", prefix, (int)t->signal);
    else
        snprintf(ret, size, "%sExitCode:%d", prefix, (int)t->exit_code);
}

/* Upstream's printPod: the first init container that is not through decides.  `side` gets the sidecars' restarts. */
static void
view_init(const struct pod *pod, struct pod_view *v, struct pod_view *side)
{
    for (uint32_t i = 0; i < pod->status.init_container_statuses.len; i++) {
        const struct container_status *s = &pod->status.init_container_statuses.items[i];
        const struct container *c = init_container(pod, s->name);
        bool sidecar = c && container_is_sidecar(c);

        note_restart(v, s);
        if (sidecar)
            note_restart(side, s);
        if (s->state.terminated && s->state.terminated->exit_code == 0)
            continue;
        if (sidecar && s->started && *s->started) {
            v->ready += s->ready;
            continue;
        }
        if (s->state.terminated)
            terminated_reason(s->state.terminated, "Init:", v->reason, sizeof v->reason);
        else if (s->state.waiting && !str_empty(s->state.waiting->reason) && !str_eq(s->state.waiting->reason, "PodInitializing"))
            snprintf(v->reason, sizeof v->reason, "Init:%s", s->state.waiting->reason);
        else
            snprintf(v->reason, sizeof v->reason, "Init:%u/%u", i, pod->spec.init_containers.len);
        v->initializing = true;
        return;
    }
}

static void
view_containers(const struct pod *pod, struct pod_view *v)
{
    bool running = false;

    for (uint32_t i = pod->status.container_statuses.len; i-- > 0;) {
        const struct container_status *s = &pod->status.container_statuses.items[i];
        note_restart(v, s);
        if (s->state.waiting && !str_empty(s->state.waiting->reason)) {
            snprintf(v->reason, sizeof v->reason, "%s", s->state.waiting->reason);
        } else if (s->state.terminated) {
            terminated_reason(s->state.terminated, "", v->reason, sizeof v->reason);
        } else if (s->ready && s->state.running) {
            running = true;
            v->ready++;
        }
    }
    if (str_eq(v->reason, "Completed") && running)
        snprintf(v->reason, sizeof v->reason, "%s", pod_ready(pod) ? "Running" : "NotReady");
}

static struct pod_view
view_pod(const struct pod *pod)
{
    struct pod_view v = { .total = (int)pod->spec.containers.len }, side = { 0 };
    const struct pod_condition *scheduled = pod_condition_find(&pod->status, "PodScheduled");

    for (uint32_t i = 0; i < pod->spec.init_containers.len; i++)
        v.total += container_is_sidecar(&pod->spec.init_containers.items[i]);
    snprintf(v.reason, sizeof v.reason, "%s", str_or(pod->status.reason, str_safe(pod->status.phase)));
    if (scheduled && str_eq(scheduled->reason, "SchedulingGated"))
        snprintf(v.reason, sizeof v.reason, "SchedulingGated");
    view_init(pod, &v, &side);
    if (!v.initializing || pod_condition_true(&pod->status, "Initialized")) {
        /* Once it runs, restarts of init containers that are through no longer count. */
        v.restarts = side.restarts;
        v.last_restart = side.last_restart;
        view_containers(pod, &v);
    }
    if (pod->metadata.deletion_timestamp && str_eq(pod->status.reason, "NodeLost"))
        snprintf(v.reason, sizeof v.reason, "Unknown");
    else if (pod->metadata.deletion_timestamp && !pod_terminal(pod))
        snprintf(v.reason, sizeof v.reason, "Terminating");
    return v;
}

static void
pod_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    struct pod_view v = view_pod(pod);
    AUTO_SBUF restarts = { 0 };
    AUTO_SBUF gates = { 0 };
    int open = 0;

    cell_string(cells, pod->metadata.name);
    cell_ratio(cells, v.ready, v.total);
    cell_string(cells, v.reason);
    sbuf_add_i64(&restarts, v.restarts);
    if (v.restarts && !api_time_is_zero(v.last_restart)) {
        sbuf_adds(&restarts, " (");
        human_duration(now_s - api_time_unix(v.last_restart), &restarts);
        sbuf_adds(&restarts, " ago)");
    }
    cell_string(cells, sbuf_str(&restarts));
    cell_age(cells, pod->metadata.creation_timestamp, now_s);
    cell_or_none(cells, pod->status.pod_ip);
    cell_or_none(cells, pod->spec.node_name);
    cell_or_none(cells, pod->status.nominated_node_name);
    for (uint32_t i = 0; i < pod->spec.readiness_gates.len; i++)
        open += pod_condition_true(&pod->status, pod->spec.readiness_gates.items[i].condition_type);
    if (pod->spec.readiness_gates.len)
        sbuf_addf(&gates, "%d/%u", open, pod->spec.readiness_gates.len);
    cell_or_none(cells, sbuf_str(&gates));
}

/* --- nodes --- */

static const struct print_column node_columns[] = {
    NAME,
    COLUMN("Status", "string", 0),
    COLUMN("Roles", "string", 0),
    AGE,
    COLUMN("Version", "string", 0),
    COLUMN("Internal-IP", "string", 1),
    COLUMN("External-IP", "string", 1),
    COLUMN("OS-Image", "string", 1),
    COLUMN("Kernel-Version", "string", 1),
    COLUMN("Container-Runtime", "string", 1),
};

static const char *
node_address(const struct node *node, const char *type)
{
    for (uint32_t i = 0; i < node->status.addresses.len; i++)
        if (str_eq(node->status.addresses.items[i].type, type))
            return node->status.addresses.items[i].address;
    return none;
}

static void
node_roles(const struct node *node, struct sbuf *out)
{
    static const char prefix[] = "node-role.kubernetes.io/";

    for (uint32_t i = 0; i < node->metadata.labels.len; i++) {
        const struct string_map_entry *e = &node->metadata.labels.items[i];
        const char *role = str_has_prefix(e->key, prefix) ? e->key + strlen(prefix) : str_eq(e->key, "kubernetes.io/role") ? e->value : NULL;
        if (!str_empty(role))
            sbuf_addf(out, "%s%s", out->len ? "," : "", role);
    }
}

static void
node_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct node *node = OBJECT_BODY(obj, node);
    const struct node_condition *ready = node_condition_find(&node->status, "Ready");
    AUTO_SBUF status = { 0 };
    AUTO_SBUF roles = { 0 };

    sbuf_adds(&status, !ready ? "Unknown" : str_eq(ready->status, "True") ? "Ready" : "NotReady");
    if (node->spec.unschedulable)
        sbuf_adds(&status, ",SchedulingDisabled");
    node_roles(node, &roles);
    cell_string(cells, node->metadata.name);
    cell_string(cells, sbuf_str(&status));
    cell_or_none(cells, sbuf_str(&roles));
    cell_age(cells, node->metadata.creation_timestamp, now_s);
    cell_string(cells, node->status.node_info.kubelet_version);
    cell_string(cells, node_address(node, "InternalIP"));
    cell_string(cells, node_address(node, "ExternalIP"));
    cell_string(cells, str_or(node->status.node_info.os_image, "<unknown>"));
    cell_string(cells, str_or(node->status.node_info.kernel_version, "<unknown>"));
    cell_string(cells, str_or(node->status.node_info.container_runtime_version, "<unknown>"));
}

/* --- services --- */

static const struct print_column service_columns[] = {
    NAME, COLUMN("Type", "string", 0), COLUMN("Cluster-IP", "string", 0), COLUMN("External-IP", "string", 0), COLUMN("Port(s)", "string", 0), AGE,
    COLUMN("Selector", "string", 1),
};

static void
external_ip(const struct service *s, struct sbuf *out)
{
    if (str_eq(s->spec.type, "ExternalName")) {
        sbuf_adds(out, s->spec.external_name);
        return;
    }
    for (uint32_t i = 0; str_eq(s->spec.type, "LoadBalancer") && i < s->status.load_balancer.ingress.len; i++) {
        const struct load_balancer_ingress *in = &s->status.load_balancer.ingress.items[i];
        sbuf_addf(out, "%s%s", out->len ? "," : "", str_or(in->ip, str_safe(in->hostname)));
    }
    for (uint32_t i = 0; i < s->spec.external_ips.len; i++)
        sbuf_addf(out, "%s%s", out->len ? "," : "", s->spec.external_ips.items[i]);
    if (!out->len)
        sbuf_adds(out, str_eq(s->spec.type, "LoadBalancer") ? "<pending>" : none);
}

static void
service_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct service *s = OBJECT_BODY(obj, service);
    AUTO_SBUF external = { 0 };
    AUTO_SBUF ports = { 0 };

    external_ip(s, &external);
    for (uint32_t i = 0; i < s->spec.ports.len; i++) {
        const struct service_port *p = &s->spec.ports.items[i];
        sbuf_addf(&ports, "%s%d", i ? "," : "", (int)p->port);
        if (p->node_port)
            sbuf_addf(&ports, ":%d", (int)p->node_port);
        sbuf_addf(&ports, "/%s", str_or(p->protocol, "TCP"));
    }
    cell_string(cells, s->metadata.name);
    cell_string(cells, s->spec.type);
    cell_or_none(cells, s->spec.cluster_ip);
    cell_string(cells, sbuf_str(&external));
    cell_or_none(cells, sbuf_str(&ports));
    cell_age(cells, s->metadata.creation_timestamp, now_s);
    cell_labels(cells, &s->spec.selector);
}

/* --- workloads --- */

static const struct print_column deployment_columns[] = {
    NAME, COLUMN("Ready", "string", 0), COLUMN("Up-to-date", "integer", 0), COLUMN("Available", "integer", 0), AGE,
    COLUMN("Containers", "string", 1), COLUMN("Images", "string", 1), COLUMN("Selector", "string", 1),
};

static void
deployment_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct deployment *d = OBJECT_BODY(obj, deployment);

    cell_string(cells, d->metadata.name);
    cell_ratio(cells, d->status.ready_replicas, d->spec.replicas ? *d->spec.replicas : 0);
    cell_int(cells, d->status.updated_replicas);
    cell_int(cells, d->status.available_replicas);
    cell_age(cells, d->metadata.creation_timestamp, now_s);
    cells_containers(cells, &d->spec.template.spec);
    cell_selector(cells, d->spec.selector);
}

static const struct print_column replica_columns[] = {
    NAME, COLUMN("Desired", "integer", 0), COLUMN("Current", "integer", 0), COLUMN("Ready", "integer", 0), AGE,
    COLUMN("Containers", "string", 1), COLUMN("Images", "string", 1), COLUMN("Selector", "string", 1),
};

static void
replica_set_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct replica_set *r = OBJECT_BODY(obj, replica_set);

    cell_string(cells, r->metadata.name);
    cell_int(cells, r->spec.replicas ? *r->spec.replicas : 0);
    cell_int(cells, r->status.replicas);
    cell_int(cells, r->status.ready_replicas);
    cell_age(cells, r->metadata.creation_timestamp, now_s);
    cells_containers(cells, &r->spec.template.spec);
    cell_selector(cells, r->spec.selector);
}

static void
replication_controller_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct replication_controller *r = OBJECT_BODY(obj, replication_controller);
    static const struct pod_spec empty;

    cell_string(cells, r->metadata.name);
    cell_int(cells, r->spec.replicas ? *r->spec.replicas : 0);
    cell_int(cells, r->status.replicas);
    cell_int(cells, r->status.ready_replicas);
    cell_age(cells, r->metadata.creation_timestamp, now_s);
    cells_containers(cells, r->spec.template ? &r->spec.template->spec : &empty);
    cell_labels(cells, &r->spec.selector);
}

static const struct print_column stateful_set_columns[] = { NAME, COLUMN("Ready", "string", 0), AGE, COLUMN("Containers", "string", 1), COLUMN("Images", "string", 1) };

static void
stateful_set_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct stateful_set *s = OBJECT_BODY(obj, stateful_set);

    cell_string(cells, s->metadata.name);
    cell_ratio(cells, s->status.ready_replicas, s->spec.replicas ? *s->spec.replicas : 0);
    cell_age(cells, s->metadata.creation_timestamp, now_s);
    cells_containers(cells, &s->spec.template.spec);
}

static const struct print_column daemon_set_columns[] = {
    NAME, COLUMN("Desired", "integer", 0), COLUMN("Current", "integer", 0), COLUMN("Ready", "integer", 0), COLUMN("Up-to-date", "integer", 0),
    COLUMN("Available", "integer", 0), COLUMN("Node Selector", "string", 0), AGE, COLUMN("Containers", "string", 1), COLUMN("Images", "string", 1),
    COLUMN("Selector", "string", 1),
};

static void
daemon_set_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct daemon_set *d = OBJECT_BODY(obj, daemon_set);

    cell_string(cells, d->metadata.name);
    cell_int(cells, d->status.desired_number_scheduled);
    cell_int(cells, d->status.current_number_scheduled);
    cell_int(cells, d->status.number_ready);
    cell_int(cells, d->status.updated_number_scheduled);
    cell_int(cells, d->status.number_available);
    cell_labels(cells, &d->spec.template.spec.node_selector);
    cell_age(cells, d->metadata.creation_timestamp, now_s);
    cells_containers(cells, &d->spec.template.spec);
    cell_selector(cells, d->spec.selector);
}

static const struct print_column job_columns[] = {
    NAME, COLUMN("Status", "string", 0), COLUMN("Completions", "string", 0), COLUMN("Duration", "string", 0), AGE,
    COLUMN("Containers", "string", 1), COLUMN("Images", "string", 1), COLUMN("Selector", "string", 1),
};

static const char *
job_state(const struct job *j)
{
    static const struct {
        const char *type, *shown;
    } states[] = { { "Complete", "Complete" }, { "Failed", "Failed" }, { "SuccessCriteriaMet", "SuccessCriteriaMet" }, { "FailureTarget", "FailureTarget" },
                   { "Suspended", "Suspended" } };

    for (size_t s = 0; s < ARRAY_LEN(states); s++)
        for (uint32_t i = 0; i < j->status.conditions.len; i++)
            if (str_eq(j->status.conditions.items[i].type, states[s].type) && str_eq(j->status.conditions.items[i].status, "True"))
                return states[s].shown;
    return j->metadata.deletion_timestamp ? "Terminating" : "Running";
}

static void
job_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct job *j = OBJECT_BODY(obj, job);
    AUTO_SBUF duration = { 0 };

    cell_string(cells, j->metadata.name);
    cell_string(cells, job_state(j));
    if (j->spec.completions) {
        cell_ratio(cells, j->status.succeeded, *j->spec.completions);
    } else {
        char text[48];
        int parallelism = j->spec.parallelism ? (int)*j->spec.parallelism : 0;
        snprintf(text, sizeof text, parallelism > 1 ? "%d/1 of %d" : "%d/1", (int)j->status.succeeded, parallelism);
        cell_string(cells, text);
    }
    if (j->status.start_time) {
        int64_t end = j->status.completion_time ? api_time_unix(*j->status.completion_time) : now_s;
        human_duration(end - api_time_unix(*j->status.start_time), &duration);
    }
    cell_string(cells, sbuf_str(&duration));
    cell_age(cells, j->metadata.creation_timestamp, now_s);
    cells_containers(cells, &j->spec.template.spec);
    cell_selector(cells, j->spec.selector);
}

static const struct print_column cron_job_columns[] = {
    NAME, COLUMN("Schedule", "string", 0), COLUMN("Timezone", "string", 0), COLUMN("Suspend", "boolean", 0), COLUMN("Active", "integer", 0),
    COLUMN("Last Schedule", "string", 0), AGE, COLUMN("Containers", "string", 1), COLUMN("Images", "string", 1),
};

static void
cron_job_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct cron_job *c = OBJECT_BODY(obj, cron_job);

    cell_string(cells, c->metadata.name);
    cell_string(cells, c->spec.schedule);
    cell_or_none(cells, c->spec.time_zone);
    cell_bool(cells, c->spec.suspend && *c->spec.suspend);
    cell_int(cells, c->status.active.len);
    if (c->status.last_schedule_time)
        cell_age(cells, *c->status.last_schedule_time, now_s);
    else
        cell_string(cells, none);
    cell_age(cells, c->metadata.creation_timestamp, now_s);
    cells_containers(cells, &c->spec.job_template.spec.template.spec);
}

/* --- namespaces and configuration --- */

static const struct print_column namespace_columns[] = { NAME, COLUMN("Status", "string", 0), AGE };

static void
namespace_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct namespace *ns = OBJECT_BODY(obj, namespace);

    cell_string(cells, ns->metadata.name);
    cell_string(cells, ns->status.phase);
    cell_age(cells, ns->metadata.creation_timestamp, now_s);
}

static const struct print_column config_map_columns[] = { NAME, COLUMN("Data", "integer", 0), AGE };

static void
config_map_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct config_map *c = OBJECT_BODY(obj, config_map);

    cell_string(cells, c->metadata.name);
    cell_int(cells, (int64_t)c->data.len + c->binary_data.len);
    cell_age(cells, c->metadata.creation_timestamp, now_s);
}

static const struct print_column secret_columns[] = { NAME, COLUMN("Type", "string", 0), COLUMN("Data", "integer", 0), AGE };

static void
secret_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct secret *s = OBJECT_BODY(obj, secret);

    cell_string(cells, s->metadata.name);
    cell_string(cells, s->type);
    cell_int(cells, s->data.len);
    cell_age(cells, s->metadata.creation_timestamp, now_s);
}

static const struct print_column account_columns[] = { NAME, COLUMN("Secrets", "integer", 0), AGE };

static void
account_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct service_account *s = OBJECT_BODY(obj, service_account);

    cell_string(cells, s->metadata.name);
    cell_int(cells, s->secrets.len);
    cell_age(cells, s->metadata.creation_timestamp, now_s);
}

/* --- events --- */

static const struct print_column event_columns[] = {
    COLUMN("Last Seen", "string", 0), COLUMN("Type", "string", 0), COLUMN("Reason", "string", 0), COLUMN("Object", "string", 0),
    COLUMN("Subobject", "string", 1), COLUMN("Source", "string", 1), COLUMN("Message", "string", 0), COLUMN("First Seen", "string", 1),
    COLUMN("Count", "integer", 1), { .name = "Name", .type = "string", .format = "name", .description = "", .priority = 1 },
};

static void
event_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct core_event *e = OBJECT_BODY(obj, core_event);
    struct api_time last = e->series ? e->series->last_observed_time : !api_time_is_zero(e->last_timestamp) ? e->last_timestamp : e->event_time;
    struct api_time first = !api_time_is_zero(e->first_timestamp) ? e->first_timestamp : e->event_time;
    AUTO_FREE char *kind = str_lower(e->involved_object.kind);
    AUTO_FREE char *target = xasprintf("%s/%s", kind, str_safe(e->involved_object.name));
    AUTO_FREE char *source = xasprintf("%s%s%s", str_or(e->source.component, str_safe(e->reporting_component)), str_empty(e->source.host) ? "" : ", ",
                                       str_safe(e->source.host));

    cell_age(cells, last, now_s);
    cell_string(cells, e->type);
    cell_string(cells, e->reason);
    cell_string(cells, target);
    cell_string(cells, e->involved_object.field_path);
    cell_string(cells, source);
    cell_string(cells, e->message);
    cell_age(cells, first, now_s);
    cell_int(cells, e->series ? e->series->count : e->count ? e->count : 1);
    cell_string(cells, e->metadata.name);
}

/* events.k8s.io has the same columns. */
static void
new_event_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    AUTO(object) *core = NULL;
    AUTO(kerr) *err = convert_object(object_ref(obj), api_kind_find("v1", "Event"), &core);

    if (!err)
        event_row(core, now_s, cells);
}

/* --- endpoints --- */

enum { ENDPOINTS_SHOWN = 3 };

static const struct print_column endpoints_columns[] = { NAME, COLUMN("Endpoints", "string", 0), AGE };

static void
endpoints_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct endpoints *e = OBJECT_BODY(obj, endpoints);
    AUTO_SBUF list = { 0 };
    unsigned n = 0;

    for (uint32_t i = 0; i < e->subsets.len; i++) {
        const struct endpoint_subset *s = &e->subsets.items[i];
        for (uint32_t p = 0; p < (s->ports.len ? s->ports.len : 1); p++)
            for (uint32_t j = 0; j < s->addresses.len; j++) {
                if (n++ >= ENDPOINTS_SHOWN)
                    continue;
                sbuf_addf(&list, "%s%s", n > 1 ? "," : "", s->addresses.items[j].ip);
                if (s->ports.len)
                    sbuf_addf(&list, ":%d", (int)s->ports.items[p].port);
            }
    }
    if (n > ENDPOINTS_SHOWN)
        sbuf_addf(&list, " + %u more...", n - ENDPOINTS_SHOWN);
    cell_string(cells, e->metadata.name);
    cell_or_none(cells, sbuf_str(&list));
    cell_age(cells, e->metadata.creation_timestamp, now_s);
}

static const struct print_column slice_columns[] = { NAME, COLUMN("AddressType", "string", 0), COLUMN("Ports", "string", 0), COLUMN("Endpoints", "string", 0), AGE };

static void
slice_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct endpoint_slice *s = OBJECT_BODY(obj, endpoint_slice);
    AUTO_SBUF ports = { 0 };
    AUTO_SBUF list = { 0 };
    unsigned n = 0;

    for (uint32_t i = 0; i < s->ports.len; i++)
        if (s->ports.items[i].port)
            sbuf_addf(&ports, "%s%d", ports.len ? "," : "", (int)*s->ports.items[i].port);
    for (uint32_t i = 0; i < s->endpoints.len; i++)
        for (uint32_t j = 0; j < s->endpoints.items[i].addresses.len; j++)
            if (n++ < ENDPOINTS_SHOWN)
                sbuf_addf(&list, "%s%s", n > 1 ? "," : "", s->endpoints.items[i].addresses.items[j]);
    if (n > ENDPOINTS_SHOWN)
        sbuf_addf(&list, " + %u more...", n - ENDPOINTS_SHOWN);
    cell_string(cells, s->metadata.name);
    cell_string(cells, s->address_type);
    cell_string(cells, ports.len ? sbuf_str(&ports) : "<unset>");
    cell_string(cells, list.len ? sbuf_str(&list) : "<unset>");
    cell_age(cells, s->metadata.creation_timestamp, now_s);
}

/* --- leases, priority classes --- */

static const struct print_column lease_columns[] = { NAME, COLUMN("Holder", "string", 0), AGE };

static void
lease_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct lease *l = OBJECT_BODY(obj, lease);

    cell_string(cells, l->metadata.name);
    cell_string(cells, l->spec.holder_identity);
    cell_age(cells, l->metadata.creation_timestamp, now_s);
}

static const struct print_column priority_columns[] = {
    NAME, COLUMN("Value", "integer", 0), COLUMN("Global-Default", "boolean", 0), AGE, COLUMN("PreemptionPolicy", "string", 0),
};

static void
priority_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct priority_class *p = OBJECT_BODY(obj, priority_class);

    cell_string(cells, p->metadata.name);
    cell_int(cells, p->value);
    cell_bool(cells, p->global_default);
    cell_age(cells, p->metadata.creation_timestamp, now_s);
    cell_string(cells, p->preemption_policy);
}

/* --- RBAC --- */

static const struct print_column role_columns[] = { NAME, { .name = "Created At", .type = "date", .format = "", .description = "", .priority = 0 } };

static void
role_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    AUTO_SBUF when = { 0 };

    api_time_format(object_meta(obj)->creation_timestamp, &when);
    cell_string(cells, object_name(obj));
    cell_string(cells, sbuf_str(&when));
}

static const struct print_column binding_columns[] = {
    NAME, COLUMN("Role", "string", 0), AGE, COLUMN("Users", "string", 1), COLUMN("Groups", "string", 1), COLUMN("ServiceAccounts", "string", 1),
};

static void
cell_subjects(struct sbuf *cells, const struct subject_slice *l, const char *kind)
{
    AUTO_SBUF text = { 0 };

    for (uint32_t i = 0; i < l->len; i++) {
        if (!str_eq(l->items[i].kind, kind))
            continue;
        sbuf_adds(&text, text.len ? ", " : "");
        if (str_eq(kind, "ServiceAccount"))
            sbuf_addf(&text, "%s/", str_safe(l->items[i].namespace));
        sbuf_adds(&text, l->items[i].name);
    }
    cell_string(cells, sbuf_str(&text));
}

static void
binding_cells(const struct object_meta *meta, const struct role_ref *ref, const struct subject_slice *subjects, int64_t now_s, struct sbuf *cells)
{
    AUTO_FREE char *role = xasprintf("%s/%s", str_safe(ref->kind), str_safe(ref->name));

    cell_string(cells, meta->name);
    cell_string(cells, role);
    cell_age(cells, meta->creation_timestamp, now_s);
    cell_subjects(cells, subjects, "User");
    cell_subjects(cells, subjects, "Group");
    cell_subjects(cells, subjects, "ServiceAccount");
}

static void
role_binding_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct role_binding *b = OBJECT_BODY(obj, role_binding);

    binding_cells(&b->metadata, &b->role_ref, &b->subjects, now_s, cells);
}

static void
cluster_role_binding_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct cluster_role_binding *b = OBJECT_BODY(obj, cluster_role_binding);

    binding_cells(&b->metadata, &b->role_ref, &b->subjects, now_s, cells);
}

const struct printer printers_core[] = {
    { "", "Pod", COLUMNS(pod_columns), pod_row },
    { "", "Node", COLUMNS(node_columns), node_row },
    { "", "Service", COLUMNS(service_columns), service_row },
    { "", "Namespace", COLUMNS(namespace_columns), namespace_row },
    { "", "ConfigMap", COLUMNS(config_map_columns), config_map_row },
    { "", "Secret", COLUMNS(secret_columns), secret_row },
    { "", "ServiceAccount", COLUMNS(account_columns), account_row },
    { "", "Event", COLUMNS(event_columns), event_row },
    { "events.k8s.io", "Event", COLUMNS(event_columns), new_event_row },
    { "", "Endpoints", COLUMNS(endpoints_columns), endpoints_row },
    { "", "ReplicationController", COLUMNS(replica_columns), replication_controller_row },
    { "apps", "Deployment", COLUMNS(deployment_columns), deployment_row },
    { "apps", "ReplicaSet", COLUMNS(replica_columns), replica_set_row },
    { "apps", "StatefulSet", COLUMNS(stateful_set_columns), stateful_set_row },
    { "apps", "DaemonSet", COLUMNS(daemon_set_columns), daemon_set_row },
    { "batch", "Job", COLUMNS(job_columns), job_row },
    { "batch", "CronJob", COLUMNS(cron_job_columns), cron_job_row },
    { "discovery.k8s.io", "EndpointSlice", COLUMNS(slice_columns), slice_row },
    { "coordination.k8s.io", "Lease", COLUMNS(lease_columns), lease_row },
    { "scheduling.k8s.io", "PriorityClass", COLUMNS(priority_columns), priority_row },
    { "rbac.authorization.k8s.io", "Role", COLUMNS(role_columns), role_row },
    { "rbac.authorization.k8s.io", "ClusterRole", COLUMNS(role_columns), role_row },
    { "rbac.authorization.k8s.io", "RoleBinding", COLUMNS(binding_columns), role_binding_row },
    { "rbac.authorization.k8s.io", "ClusterRoleBinding", COLUMNS(binding_columns), cluster_role_binding_row },
};
const size_t printers_core_len = ARRAY_LEN(printers_core);
