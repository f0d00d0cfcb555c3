// SPDX-License-Identifier: Apache-2.0
/* HorizontalPodAutoscaler v1 and v2.  v2 is what is stored.  v1 has a field for the CPU utilization only; all else goes
 * into annotations, whose names and contents are upstream's, and comes back from there, so that a write through v1 loses
 * nothing. */
#include "apiserver/registry/convert_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/str.h"

#define METRICS "autoscaling.alpha.kubernetes.io/metrics"
#define CURRENT "autoscaling.alpha.kubernetes.io/current-metrics"
#define CONDITIONS "autoscaling.alpha.kubernetes.io/conditions"
#define BEHAVIOR "autoscaling.alpha.kubernetes.io/behavior"

static const struct quantity *
given(const struct quantity *q) /* never NULL */
{
    static const struct quantity zero;

    return q ? q : &zero;
}

static struct quantity *
own(struct arena *a, struct quantity q)
{
    return arena_memdup(a, &q, sizeof q);
}

#define COPY_REFERENCE(from) { .kind = (from).kind, .name = (from).name, .api_version = (from).api_version }

static bool
is_cpu_utilization(const struct metric_spec *m)
{
    return str_eq(m->type, "Resource") && m->resource && str_eq(m->resource->name, "cpu") && m->resource->target.average_utilization;
}

/* --- v2 metrics as v1 writes them --- */

static struct autoscaling_v1_metric_spec
spec_to_v1(struct arena *a, const struct metric_spec *m)
{
    struct autoscaling_v1_metric_spec v1 = { .type = m->type };

    if (m->resource) {
        v1.resource = ARENA_NEW(a, struct autoscaling_v1_resource_metric_source);
        *v1.resource = (struct autoscaling_v1_resource_metric_source){ m->resource->name, m->resource->target.average_utilization,
                                                                        m->resource->target.average_value };
    }
    if (m->container_resource) {
        const struct metric_target *t = &m->container_resource->target;
        v1.container_resource = ARENA_NEW(a, struct autoscaling_v1_container_resource_metric_source);
        *v1.container_resource = (struct autoscaling_v1_container_resource_metric_source){
            m->container_resource->name, t->average_utilization, t->average_value, m->container_resource->container };
    }
    if (m->pods) {
        v1.pods = ARENA_NEW(a, struct autoscaling_v1_pods_metric_source);
        *v1.pods = (struct autoscaling_v1_pods_metric_source){ m->pods->metric.name, *given(m->pods->target.average_value),
                                                                m->pods->metric.selector };
    }
    if (m->object) {
        v1.object = ARENA_NEW(a, struct autoscaling_v1_object_metric_source);
        *v1.object = (struct autoscaling_v1_object_metric_source){
            .target = COPY_REFERENCE(m->object->described_object),
            .metric_name = m->object->metric.name,
            .target_value = *given(m->object->target.value),
            .selector = m->object->metric.selector,
            .average_value = m->object->target.average_value,
        };
    }
    if (m->external) {
        v1.external = ARENA_NEW(a, struct autoscaling_v1_external_metric_source);
        *v1.external = (struct autoscaling_v1_external_metric_source){ m->external->metric.name, m->external->metric.selector,
                                                                        m->external->target.value, m->external->target.average_value };
    }
    return v1;
}

static struct autoscaling_v1_metric_status
status_to_v1(struct arena *a, const struct metric_status *m)
{
    struct autoscaling_v1_metric_status v1 = { .type = m->type };

    if (m->resource) {
        v1.resource = ARENA_NEW(a, struct autoscaling_v1_resource_metric_status);
        *v1.resource = (struct autoscaling_v1_resource_metric_status){ m->resource->name, m->resource->current.average_utilization,
                                                                        *given(m->resource->current.average_value) };
    }
    if (m->container_resource) {
        const struct metric_value_status *c = &m->container_resource->current;
        v1.container_resource = ARENA_NEW(a, struct autoscaling_v1_container_resource_metric_status);
        *v1.container_resource = (struct autoscaling_v1_container_resource_metric_status){
            m->container_resource->name, c->average_utilization, *given(c->average_value), m->container_resource->container };
    }
    if (m->pods) {
        v1.pods = ARENA_NEW(a, struct autoscaling_v1_pods_metric_status);
        *v1.pods = (struct autoscaling_v1_pods_metric_status){ m->pods->metric.name, *given(m->pods->current.average_value),
                                                                m->pods->metric.selector };
    }
    if (m->object) {
        v1.object = ARENA_NEW(a, struct autoscaling_v1_object_metric_status);
        *v1.object = (struct autoscaling_v1_object_metric_status){
            .target = COPY_REFERENCE(m->object->described_object),
            .metric_name = m->object->metric.name,
            .current_value = *given(m->object->current.value),
            .selector = m->object->metric.selector,
            .average_value = m->object->current.average_value,
        };
    }
    if (m->external) {
        v1.external = ARENA_NEW(a, struct autoscaling_v1_external_metric_status);
        *v1.external = (struct autoscaling_v1_external_metric_status){ m->external->metric.name, m->external->metric.selector,
                                                                        *given(m->external->current.value),
                                                                        m->external->current.average_value };
    }
    return v1;
}

/* --- and back --- */

static struct metric_target
target_from(int32_t *utilization, struct quantity *average)
{
    return (struct metric_target){ .type = utilization ? "Utilization" : "AverageValue", .average_utilization = utilization, .average_value = average };
}

static struct metric_spec
spec_from_v1(struct arena *a, const struct autoscaling_v1_metric_spec *v1)
{
    struct metric_spec m = { .type = v1->type };

    if (v1->resource) {
        m.resource = ARENA_NEW(a, struct resource_metric_source);
        m.resource->name = v1->resource->name;
        m.resource->target = target_from(v1->resource->target_average_utilization, v1->resource->target_average_value);
    }
    if (v1->container_resource) {
        m.container_resource = ARENA_NEW(a, struct container_resource_metric_source);
        m.container_resource->name = v1->container_resource->name;
        m.container_resource->container = v1->container_resource->container;
        m.container_resource->target = target_from(v1->container_resource->target_average_utilization, v1->container_resource->target_average_value);
    }
    if (v1->pods) {
        m.pods = ARENA_NEW(a, struct pods_metric_source);
        m.pods->metric = (struct metric_identifier){ v1->pods->metric_name, v1->pods->selector };
        m.pods->target = target_from(NULL, own(a, v1->pods->target_average_value));
    }
    if (v1->object) {
        m.object = ARENA_NEW(a, struct object_metric_source);
        m.object->described_object = (struct cross_version_object_reference)COPY_REFERENCE(v1->object->target);
        m.object->metric = (struct metric_identifier){ v1->object->metric_name, v1->object->selector };
        m.object->target = (struct metric_target){ .type = v1->object->average_value ? "AverageValue" : "Value",
                                                   .average_value = v1->object->average_value };
        if (!v1->object->average_value || quantity_sign(v1->object->target_value))
            m.object->target.value = own(a, v1->object->target_value);
    }
    if (v1->external) {
        m.external = ARENA_NEW(a, struct external_metric_source);
        m.external->metric = (struct metric_identifier){ v1->external->metric_name, v1->external->metric_selector };
        m.external->target = (struct metric_target){ .type = v1->external->target_value ? "Value" : "AverageValue",
                                                     .value = v1->external->target_value,
                                                     .average_value = v1->external->target_average_value };
    }
    return m;
}

static struct metric_status
status_from_v1(struct arena *a, const struct autoscaling_v1_metric_status *v1)
{
    struct metric_status m = { .type = v1->type };

    if (v1->resource) {
        m.resource = ARENA_NEW(a, struct resource_metric_status);
        m.resource->name = v1->resource->name;
        m.resource->current = (struct metric_value_status){ .average_utilization = v1->resource->current_average_utilization,
                                                            .average_value = own(a, v1->resource->current_average_value) };
    }
    if (v1->container_resource) {
        m.container_resource = ARENA_NEW(a, struct container_resource_metric_status);
        m.container_resource->name = v1->container_resource->name;
        m.container_resource->container = v1->container_resource->container;
        m.container_resource->current =
            (struct metric_value_status){ .average_utilization = v1->container_resource->current_average_utilization,
                                          .average_value = own(a, v1->container_resource->current_average_value) };
    }
    if (v1->pods) {
        m.pods = ARENA_NEW(a, struct pods_metric_status);
        m.pods->metric = (struct metric_identifier){ v1->pods->metric_name, v1->pods->selector };
        m.pods->current.average_value = own(a, v1->pods->current_average_value);
    }
    if (v1->object) {
        m.object = ARENA_NEW(a, struct object_metric_status);
        m.object->described_object = (struct cross_version_object_reference)COPY_REFERENCE(v1->object->target);
        m.object->metric = (struct metric_identifier){ v1->object->metric_name, v1->object->selector };
        m.object->current = (struct metric_value_status){ .value = own(a, v1->object->current_value), .average_value = v1->object->average_value };
    }
    if (v1->external) {
        m.external = ARENA_NEW(a, struct external_metric_status);
        m.external->metric = (struct metric_identifier){ v1->external->metric_name, v1->external->metric_selector };
        m.external->current = (struct metric_value_status){ .value = own(a, v1->external->current_value),
                                                            .average_value = v1->external->current_average_value };
    }
    return m;
}

/* --- annotations --- */

static void
add_item(struct sbuf *list, const struct api_type *t, const void *item)
{
    sbuf_adds(list, list->len ? "," : "[");
    json_encode(t, item, list);
}

static void
put_list(struct object_meta *meta, struct arena *a, const char *name, struct sbuf *list)
{
    if (!list->len)
        return;
    sbuf_addc(list, ']');
    string_map_set(&meta->annotations, a, name, sbuf_str(list));
}

/* The annotation's JSON list as an array of structs; what does not parse is as if it were not there, as upstream has it. */
static void *
take_list(struct object_meta *meta, struct arena *a, const char *name, const struct api_type *t, uint32_t *ret_n)
{
    const char *text = meta_annotation(meta, name);
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    size_t n = json_array_size(list);
    char *items = arena_alloc(a, n ? n * t->size : 1);
    uint32_t used = 0;

    for (size_t i = 0; i < n; i++) {
        AUTO_FREE char *one = json_dumps(json_array_get(list, i), JSON_COMPACT);
        AUTO(kerr) *err = one ? json_decode(t, a, one, strlen(one), NULL, items + used * t->size) : NULL;
        if (one && !err)
            used++;
        else
            memset(items + used * t->size, 0, t->size);
    }
    json_decref(list);
    string_map_del(&meta->annotations, a, name);
    *ret_n = used;
    return used ? items : NULL;
}

void
convert_hpa_to_v1(struct arena *a, const void *from, void *to)
{
    const struct horizontal_pod_autoscaler *h = from;
    struct autoscaling_v1_horizontal_pod_autoscaler *v1 = to;
    AUTO_SBUF metrics = { 0 };
    AUTO_SBUF current = { 0 };
    AUTO_SBUF conditions = { 0 };
    AUTO_SBUF behavior = { 0 };

    v1->metadata = h->metadata;
    v1->spec = (struct autoscaling_v1_horizontal_pod_autoscaler_spec){
        .scale_target_ref = COPY_REFERENCE(h->spec.scale_target_ref), .min_replicas = h->spec.min_replicas, .max_replicas = h->spec.max_replicas
    };
    v1->status = (struct autoscaling_v1_horizontal_pod_autoscaler_status){ .observed_generation = h->status.observed_generation,
                                                                           .last_scale_time = h->status.last_scale_time,
                                                                           .current_replicas = h->status.current_replicas,
                                                                           .desired_replicas = h->status.desired_replicas };
    for (uint32_t i = 0; i < h->spec.metrics.len; i++) {
        const struct metric_spec *m = &h->spec.metrics.items[i];
        if (is_cpu_utilization(m) && !v1->spec.target_cpu_utilization_percentage) {
            v1->spec.target_cpu_utilization_percentage = m->resource->target.average_utilization;
            continue;
        }
        struct autoscaling_v1_metric_spec one = spec_to_v1(a, m);
        add_item(&metrics, &api_type_autoscaling_v1_metric_spec, &one);
    }
    for (uint32_t i = 0; i < h->status.current_metrics.len; i++) {
        const struct metric_status *m = &h->status.current_metrics.items[i];
        struct autoscaling_v1_metric_status one = status_to_v1(a, m);
        add_item(&current, &api_type_autoscaling_v1_metric_status, &one);
        if (str_eq(m->type, "Resource") && m->resource && str_eq(m->resource->name, "cpu"))
            v1->status.current_cpu_utilization_percentage = m->resource->current.average_utilization;
    }
    for (uint32_t i = 0; i < h->status.conditions.len; i++)
        add_item(&conditions, &api_type_horizontal_pod_autoscaler_condition, &h->status.conditions.items[i]);
    put_list(&v1->metadata, a, METRICS, &metrics);
    put_list(&v1->metadata, a, CURRENT, &current);
    put_list(&v1->metadata, a, CONDITIONS, &conditions);
    if (h->spec.behavior) {
        json_encode(&api_type_horizontal_pod_autoscaler_behavior, h->spec.behavior, &behavior);
        string_map_set(&v1->metadata.annotations, a, BEHAVIOR, sbuf_str(&behavior));
    }
}

static void
metrics_from_v1(struct arena *a, const struct autoscaling_v1_horizontal_pod_autoscaler_spec *v1, struct object_meta *meta, struct metric_spec_slice *out)
{
    uint32_t n;
    const struct autoscaling_v1_metric_spec *others = take_list(meta, a, METRICS, &api_type_autoscaling_v1_metric_spec, &n);

    out->items = arena_alloc(a, (n + 1) * sizeof *out->items);
    if (v1->target_cpu_utilization_percentage) {
        struct resource_metric_source *cpu = ARENA_NEW(a, struct resource_metric_source);
        cpu->name = "cpu";
        cpu->target = target_from(v1->target_cpu_utilization_percentage, NULL);
        out->items[out->len++] = (struct metric_spec){ .type = "Resource", .resource = cpu };
    }
    for (uint32_t i = 0; i < n; i++)
        out->items[out->len++] = spec_from_v1(a, &others[i]);
    out->cap = out->len;
    if (!out->len)
        out->items = NULL; /* no list, not an empty one */
}

static void
current_from_v1(struct arena *a, const struct autoscaling_v1_horizontal_pod_autoscaler_status *v1, struct object_meta *meta,
                struct metric_status_slice *out)
{
    uint32_t n;
    const struct autoscaling_v1_metric_status *all = take_list(meta, a, CURRENT, &api_type_autoscaling_v1_metric_status, &n);

    out->items = arena_alloc(a, (n + 1) * sizeof *out->items);
    for (uint32_t i = 0; i < n; i++) /* they say more than the field does */
        out->items[out->len++] = status_from_v1(a, &all[i]);
    if (n == 0 && v1->current_cpu_utilization_percentage) {
        struct resource_metric_status *cpu = ARENA_NEW(a, struct resource_metric_status);
        cpu->name = "cpu";
        cpu->current.average_utilization = v1->current_cpu_utilization_percentage;
        out->items[out->len++] = (struct metric_status){ .type = "Resource", .resource = cpu };
    }
    out->cap = out->len;
    if (!out->len)
        out->items = NULL;
}

static struct horizontal_pod_autoscaler_behavior *
take_behavior(struct object_meta *meta, struct arena *a)
{
    const char *text = meta_annotation(meta, BEHAVIOR);
    struct horizontal_pod_autoscaler_behavior *b = ARENA_NEW(a, struct horizontal_pod_autoscaler_behavior);

    if (!text)
        return NULL;
    AUTO(kerr) *err = json_decode(&api_type_horizontal_pod_autoscaler_behavior, a, text, strlen(text), NULL, b);
    string_map_del(&meta->annotations, a, BEHAVIOR);
    return err ? NULL : b;
}

void
convert_hpa_from_v1(struct arena *a, const void *from, void *to)
{
    const struct autoscaling_v1_horizontal_pod_autoscaler *v1 = from;
    struct horizontal_pod_autoscaler *h = to;
    uint32_t n;

    h->metadata = v1->metadata;
    h->spec = (struct horizontal_pod_autoscaler_spec){
        .scale_target_ref = COPY_REFERENCE(v1->spec.scale_target_ref), .min_replicas = v1->spec.min_replicas, .max_replicas = v1->spec.max_replicas
    };
    h->status = (struct horizontal_pod_autoscaler_status){ .observed_generation = v1->status.observed_generation,
                                                           .last_scale_time = v1->status.last_scale_time,
                                                           .current_replicas = v1->status.current_replicas,
                                                           .desired_replicas = v1->status.desired_replicas };
    metrics_from_v1(a, &v1->spec, &h->metadata, &h->spec.metrics);
    current_from_v1(a, &v1->status, &h->metadata, &h->status.current_metrics);
    h->spec.behavior = take_behavior(&h->metadata, a);
    h->status.conditions.items = take_list(&h->metadata, a, CONDITIONS, &api_type_horizontal_pod_autoscaler_condition, &n);
    h->status.conditions.len = h->status.conditions.cap = n;
}
