// SPDX-License-Identifier: Apache-2.0
/* The node's status and its registration object from one picture.  Pure. */
#include <stdlib.h>

#include "common/api/values.h"
#include "kubelet/api_build.h"
#include "kubelet/node.h"

#define VERSION CKUBE_VERSION
#define DEFAULT_EVICTION_MEMORY (100ll * 1024 * 1024)

struct work {
    const struct node_picture *p;
    struct arena *a;
    struct node_status *st;
};

static const struct node_status *
old_status(const struct node_picture *p)
{
    return p->now ? &OBJECT_BODY(p->now, node)->status : NULL;
}

static void
set_condition(struct work *w, const char *type, bool status, const char *reason, const char *message)
{
    const struct node_status *old = old_status(w->p);
    struct node_condition *c = SLICE_ADD(w->a, &w->st->conditions);

    c->type = type;
    c->status = status ? "True" : "False";
    c->reason = reason;
    c->message = message;
    c->last_heartbeat_time = api_time_from_unix(w->p->now_s);
    c->last_transition_time = c->last_heartbeat_time;
    for (uint32_t i = 0; old && i < old->conditions.len; i++)
        if (str_eq(old->conditions.items[i].type, type) && str_eq(old->conditions.items[i].status, c->status))
            c->last_transition_time = old->conditions.items[i].last_transition_time;
}

static void
ready_condition(struct work *w)
{
    const struct runtime_info *r = &w->p->runtime;
    AUTO_SBUF b = { 0 };
    size_t n = 0;

    if (w->p->runtime_error) {
        sbuf_addf(&b, "container runtime is down: %s", w->p->runtime_error);
        n++;
    } else {
        if (!r->ready) {
            sbuf_addf(&b, "container runtime not ready: RuntimeReady=false reason:%s message:%s", r->reason, r->message);
            n++;
        }
        if (!r->network_ready) {
            sbuf_addf(&b, "%scontainer runtime network not ready: NetworkReady=false reason:%s message:%s", n ? ", " : "", r->network_reason,
                      r->network_message);
            n++;
        }
    }
    if (n)
        set_condition(w, "Ready", false, "KubeletNotReady", n > 1 ? arena_printf(w->a, "[%s]", sbuf_str(&b)) : arena_strdup(w->a, sbuf_str(&b)));
    else
        set_condition(w, "Ready", true, "KubeletReady", "kubelet is posting ready status");
}

static void
conditions(struct work *w)
{
    const struct node_picture *p = w->p;
    const struct node_status *old = old_status(p);

    for (uint32_t i = 0; old && i < old->conditions.len; i++) { /* of others: NetworkUnavailable and the like */
        const char *type = old->conditions.items[i].type;

        if (!str_eq(type, "MemoryPressure") && !str_eq(type, "DiskPressure") && !str_eq(type, "PIDPressure") && !str_eq(type, "Ready"))
            *SLICE_ADD(w->a, &w->st->conditions) = old->conditions.items[i];
    }
    set_condition(w, "MemoryPressure", p->memory_pressure, p->memory_pressure ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
                  p->memory_pressure ? "kubelet has insufficient memory available" : "kubelet has sufficient memory available");
    set_condition(w, "DiskPressure", p->disk_pressure, p->disk_pressure ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
                  p->disk_pressure ? "kubelet has disk pressure" : "kubelet has no disk pressure");
    set_condition(w, "PIDPressure", p->pid_pressure, p->pid_pressure ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID",
                  p->pid_pressure ? "kubelet has insufficient PID available" : "kubelet has sufficient PID available");
    ready_condition(w);
}

static int64_t
reserved(const struct node_picture *p, const char *what, bool milli)
{
    AUTO(arena) *a = arena_new(0);
    const char *texts[] = { flag_map_get(&p->cfg->kube_reserved, what), flag_map_get(&p->cfg->system_reserved, what) };
    int64_t sum = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct quantity q;
        AUTO(kerr) *err = texts[i] ? quantity_parse(texts[i], strlen(texts[i]), a, &q) : NULL;

        if (texts[i] && !err)
            sum += milli ? quantity_milli(q) : quantity_value(q);
    }
    return sum;
}

static int64_t
eviction_memory(const struct node_picture *p)
{
    const char *text = flag_map_get(&p->cfg->eviction_hard, "memory.available");
    AUTO(arena) *a = arena_new(0);
    struct quantity q;
    AUTO(kerr) *err = NULL;

    if (!text)
        return DEFAULT_EVICTION_MEMORY;
    if (text[0] && text[strlen(text) - 1] == '%')
        return (int64_t)((double)p->memory * strtod(text, NULL) / 100);
    err = quantity_parse(text, strlen(text), a, &q);
    return err ? DEFAULT_EVICTION_MEMORY : quantity_value(q);
}

static int64_t
at_least_0(int64_t n)
{
    return n > 0 ? n : 0;
}

static void
resources(struct work *w)
{
    const struct node_picture *p = w->p;
    struct arena *a = w->a;
    struct quantity_map *cap = &w->st->capacity, *all = &w->st->allocatable;
    int64_t memory = at_least_0(p->memory - reserved(p, "memory", false) - eviction_memory(p));

    quantity_map_set(cap, a, "cpu", quantity_from_i64(p->cpus, QUANTITY_DECIMAL_SI, a));
    quantity_map_set(cap, a, "memory", (struct quantity){ arena_printf(a, "%lldKi", (long long)p->memory / 1024) });
    quantity_map_set(cap, a, "ephemeral-storage", (struct quantity){ arena_printf(a, "%lldKi", (long long)p->ephemeral / 1024) });
    quantity_map_set(cap, a, "pods", quantity_from_i64(p->cfg->max_pods, QUANTITY_DECIMAL_SI, a));
    quantity_map_set(cap, a, "hugepages-2Mi", quantity_from_i64(p->hugepages_2m, QUANTITY_BINARY_SI, a));
    quantity_map_set(cap, a, "hugepages-1Gi", quantity_from_i64(p->hugepages_1g, QUANTITY_BINARY_SI, a));
    quantity_map_set(all, a, "cpu", quantity_from_milli(at_least_0(p->cpus * 1000 - reserved(p, "cpu", true)), a));
    quantity_map_set(all, a, "memory", (struct quantity){ arena_printf(a, "%lldKi", (long long)memory / 1024) });
    quantity_map_set(all, a, "ephemeral-storage",
                     quantity_from_i64(at_least_0(p->ephemeral / 10 * 9 - reserved(p, "ephemeral-storage", false)), QUANTITY_DECIMAL_SI, a));
    quantity_map_set(all, a, "pods", quantity_from_i64(p->cfg->max_pods, QUANTITY_DECIMAL_SI, a));
    quantity_map_set(all, a, "hugepages-2Mi", quantity_from_i64(p->hugepages_2m, QUANTITY_BINARY_SI, a));
    quantity_map_set(all, a, "hugepages-1Gi", quantity_from_i64(p->hugepages_1g, QUANTITY_BINARY_SI, a));
}

static int
larger_image_first(const void *va, const void *vb)
{
    const struct rt_image *x = va, *y = vb;

    return (x->size < y->size) - (x->size > y->size);
}

static void
images(struct work *w)
{
    const struct rt_image_list *l = w->p->images;
    struct rt_image *sorted;

    if (!l || !l->len)
        return;
    sorted = arena_memdup(w->a, l->items, l->len * sizeof *sorted);
    qsort(sorted, l->len, sizeof *sorted, larger_image_first);
    for (size_t i = 0; i < l->len && (w->p->cfg->status_max_images < 0 || i < (size_t)w->p->cfg->status_max_images); i++) {
        struct container_image *img = SLICE_ADD(w->a, &w->st->images);

        for (size_t k = 0; k < sorted[i].ndigests; k++)
            *SLICE_ADD(w->a, &img->names) = sorted[i].digests[k];
        for (size_t k = 0; k < sorted[i].ntags; k++)
            *SLICE_ADD(w->a, &img->names) = sorted[i].tags[k];
        img->size_bytes = (int64_t)sorted[i].size;
    }
}

void
node_status_make(const struct node_picture *p, struct arena *a, struct node_status *ret)
{
    struct work w = { .p = p, .a = a, .st = ret };
    struct node_address *addr;

    *ret = (struct node_status){ 0 };
    for (size_t i = 0; i < p->nips; i++) {
        addr = SLICE_ADD(a, &ret->addresses);
        addr->type = "InternalIP";
        addr->address = p->ips[i];
    }
    addr = SLICE_ADD(a, &ret->addresses);
    addr->type = "Hostname";
    addr->address = p->hostname;
    resources(&w);
    conditions(&w);
    ret->daemon_endpoints.kubelet_endpoint.port = p->cfg->port;
    ret->node_info = (struct node_system_info){
        .machine_id = p->machine_id, .system_uuid = p->system_uuid, .boot_id = p->boot_id, .kernel_version = p->kernel, .os_image = p->os_image,
        .container_runtime_version = p->runtime_version, .kubelet_version = VERSION, .kube_proxy_version = "", .operating_system = "linux",
        .architecture = p->architecture,
    };
    images(&w);
}

static void
add_taints(const struct node_picture *p, struct node_spec *spec, struct arena *a)
{
    for (size_t i = 0; i < p->cfg->register_with_taints.len; i++) { /* key=value:effect */
        char *text = arena_strdup(a, p->cfg->register_with_taints.items[i]);
        char *colon = strrchr(text, ':'), *eq;
        struct taint *t;

        if (!colon)
            continue;
        *colon = '\0';
        eq = strchr(text, '=');
        if (eq)
            *eq = '\0';
        t = SLICE_ADD(a, &spec->taints);
        t->key = text;
        t->value = eq ? eq + 1 : NULL;
        t->effect = colon + 1;
    }
    if (!p->cfg->register_schedulable)
        spec->unschedulable = true;
}

struct object *
node_object_make(const struct node_picture *p)
{
    struct object *obj = object_new_of("v1", "Node");
    struct arena *a = object_arena(obj);
    struct object_meta *m = object_meta(obj);

    m->name = arena_strdup(a, p->cfg->node_name);
    string_map_set(&m->labels, a, "kubernetes.io/hostname", p->hostname);
    string_map_set(&m->labels, a, "kubernetes.io/os", "linux");
    string_map_set(&m->labels, a, "kubernetes.io/arch", p->architecture);
    string_map_set(&m->annotations, a, "volumes.kubernetes.io/controller-managed-attach-detach", "true");
    for (size_t i = 0; i < p->cfg->node_labels.len; i++)
        string_map_set(&m->labels, a, p->cfg->node_labels.items[i].key, str_safe(p->cfg->node_labels.items[i].value));
    add_taints(p, &((struct node *)object_body(obj))->spec, a);
    node_status_make(p, a, &((struct node *)object_body(obj))->status);
    return obj;
}
