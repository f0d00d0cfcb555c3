// SPDX-License-Identifier: Apache-2.0
#include "scheduler/transform.h"

#include "common/api/meta.h"
#include "common/base/str.h"

static void
slim_meta(struct object_meta *m)
{
    m->annotations = (struct string_map){ 0 };
    m->managed_fields = (struct managed_fields_entry_slice){ 0 };
    m->finalizers = (struct string_slice){ 0 };
}

static void
slim_container(struct container *c)
{
    *c = (struct container){ .name = c->name, .image = c->image, .ports = c->ports, .resources = c->resources, .restart_policy = c->restart_policy };
}

/* Only claims matter to a decision. */
static void
slim_volumes(struct volume_slice *l)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < l->len; i++)
        if (l->items[i].volume_source.persistent_volume_claim || l->items[i].volume_source.ephemeral)
            l->items[kept++] = l->items[i];
    l->len = kept;
}

static void
slim_status(struct pod_status *s)
{
    struct pod_status kept = { .phase = s->phase, .nominated_node_name = s->nominated_node_name, .start_time = s->start_time };

    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (str_eq(s->conditions.items[i].type, "PodScheduled")) {
            kept.conditions = s->conditions;
            kept.conditions.items[0] = s->conditions.items[i];
            kept.conditions.len = 1;
            break;
        }
    *s = kept;
}

void
transform_pod(struct object *obj)
{
    struct pod *pod = OBJECT_BODY(obj, pod);
    struct pod_spec *old = &pod->spec, spec = {
        .containers = old->containers, .init_containers = old->init_containers, .node_name = old->node_name, .scheduler_name = old->scheduler_name,
        .priority = old->priority, .preemption_policy = old->preemption_policy, .overhead = old->overhead, .resources = old->resources,
        .affinity = old->affinity, .termination_grace_period_seconds = old->termination_grace_period_seconds,
    };

    slim_meta(&pod->metadata);
    for (uint32_t i = 0; i < spec.containers.len; i++)
        slim_container(&spec.containers.items[i]);
    for (uint32_t i = 0; i < spec.init_containers.len; i++)
        slim_container(&spec.init_containers.items[i]);
    if (str_empty(old->node_name)) { /* it is to be placed */
        spec.node_selector = old->node_selector;
        spec.tolerations = old->tolerations;
        spec.topology_spread_constraints = old->topology_spread_constraints;
        spec.scheduling_gates = old->scheduling_gates;
        spec.volumes = old->volumes;
        slim_volumes(&spec.volumes);
    } else if (spec.affinity) {
        spec.affinity->node_affinity = NULL;
    }
    pod->spec = spec;
    slim_status(&pod->status);
}

void
transform_node(struct object *obj)
{
    struct node *node = OBJECT_BODY(obj, node);

    slim_meta(&node->metadata);
    node->status = (struct node_status){ .allocatable = node->status.allocatable, .images = node->status.images };
}

void
transform_other(struct object *obj)
{
    struct object_meta *m = object_meta(obj);
    const char *bound = meta_annotation(m, "pv.kubernetes.io/bind-completed");

    slim_meta(m);
    if (bound)
        (void)string_map_set(&m->annotations, object_arena(obj), "pv.kubernetes.io/bind-completed", bound);
}
