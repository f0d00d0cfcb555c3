// SPDX-License-Identifier: Apache-2.0
#include "scheduler/pod_info.h"

#include <uthash.h>

#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"

#define DEFAULT_MILLI_CPU 100
#define DEFAULT_MEMORY (200ll * 1024 * 1024)
#define HOSTNAME_LABEL "kubernetes.io/hostname"
#define ZONE_LABEL "topology.kubernetes.io/zone"

const char *const taint_effects_hard[] = { "NoSchedule", "NoExecute", NULL };

/* --- resource names --- */

struct known_name {
    char *name;
    uint32_t id;
    UT_hash_handle hh;
};

struct resource_names {
    struct known_name *by_name;
    char *names[RES_MAX];
    uint32_t len;
};

uint32_t
resource_id(struct resource_names *n, const char *name)
{
    struct known_name *k;

    HASH_FIND_STR(n->by_name, name, k);
    if (k)
        return k->id;
    if (n->len == RES_UNKNOWN)
        return RES_UNKNOWN;
    k = XNEW(struct known_name);
    k->name = xstrdup(name);
    k->id = n->len++;
    n->names[k->id] = k->name;
    HASH_ADD_KEYPTR(hh, n->by_name, k->name, strlen(k->name), k);
    return k->id;
}

struct resource_names *
resource_names_new(void)
{
    static const char *const first[] = { [RES_CPU] = "cpu", [RES_MEMORY] = "memory", [RES_EPHEMERAL] = "ephemeral-storage", [RES_PODS] = "pods" };
    struct resource_names *n = XNEW(struct resource_names);

    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        (void)resource_id(n, first[i]);
    return n;
}

void
resource_names_free(struct resource_names *n)
{
    struct known_name *k, *next;

    if (!n)
        return;
    HASH_ITER(hh, n->by_name, k, next)
    {
        HASH_DEL(n->by_name, k);
        free(k->name);
        free(k);
    }
    free(n);
}

const char *
resource_name(const struct resource_names *n, uint32_t id)
{
    return id < n->len ? n->names[id] : "unknown resource";
}

/* --- taints --- */

bool
toleration_tolerates(const struct toleration *t, const struct taint *taint)
{
    if (!str_empty(t->effect) && !str_eq(t->effect, taint->effect))
        return false;
    if (!str_empty(t->key) && !str_eq(t->key, taint->key))
        return false;
    if (str_eq(t->operator, "Exists"))
        return true;
    return (str_empty(t->operator) || str_eq(t->operator, "Equal")) && str_eq(t->value, taint->value);
}

const struct taint *
taints_untolerated(const struct taint_slice *taints, const struct toleration_slice *tolerations, const char *const *effects)
{
    for (uint32_t i = 0; i < taints->len; i++) {
        const struct taint *taint = &taints->items[i];
        bool counts = false, tolerated = false;

        for (size_t e = 0; effects[e]; e++)
            counts |= str_eq(taint->effect, effects[e]);
        for (uint32_t t = 0; counts && !tolerated && t < tolerations->len; t++)
            tolerated = toleration_tolerates(&tolerations->items[t], taint);
        if (counts && !tolerated)
            return taint;
    }
    return NULL;
}

/* --- requests --- */

static bool
container_asks(const struct container *c, const char *resource)
{
    return quantity_map_has(&c->resources.requests, resource);
}

static void
parse_requests(struct pod_info *p, struct resource_names *names)
{
    const struct pod_spec *spec = &p->pod->spec;
    struct quantity_map req = pod_requests(spec, p->arena);
    const struct quantity_map *own = spec->resources ? &spec->resources->requests : &(struct quantity_map){ 0 };
    int64_t cpu_missing = 0, memory_missing = 0;

    p->requests = arena_alloc(p->arena, (req.len + 1) * sizeof(*p->requests));
    for (uint32_t i = 0; i < req.len; i++) {
        uint32_t id = resource_id(names, req.items[i].key);
        int64_t n = id == RES_CPU ? quantity_milli(req.items[i].value) : quantity_value(req.items[i].value);

        if (n <= 0 || id == RES_PODS)
            continue;
        p->requests[p->nrequests++] = (struct resource_amount){ id, n };
        if (id == RES_CPU)
            p->cpu = n;
        if (id == RES_MEMORY)
            p->memory = n;
    }
    for (uint32_t i = 0; i < spec->containers.len; i++) {
        cpu_missing += !container_asks(&spec->containers.items[i], "cpu");
        memory_missing += !container_asks(&spec->containers.items[i], "memory");
    }
    p->cpu_or_default = p->cpu + (quantity_map_has(own, "cpu") ? 0 : cpu_missing * DEFAULT_MILLI_CPU);
    p->memory_or_default = p->memory + (quantity_map_has(own, "memory") ? 0 : memory_missing * DEFAULT_MEMORY);
}

static void
parse_containers(struct pod_info *p)
{
    const struct pod_spec *spec = &p->pod->spec;
    const struct container_slice *lists[] = { &spec->init_containers, &spec->containers };
    uint32_t n = 0, nports = 0;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (uint32_t i = 0; i < lists[l]->len; i++, n++)
            nports += lists[l]->items[i].ports.len;
    p->images = arena_alloc(p->arena, (n + 1) * sizeof(*p->images));
    p->ports = arena_alloc(p->arena, (nports + 1) * sizeof(*p->ports));
    p->ncontainers = n;
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (uint32_t i = 0; i < lists[l]->len; i++) {
            const struct container *c = &lists[l]->items[i];
            const char *slash = strrchr(str_safe(c->image), '/'), *base = slash ? slash : str_safe(c->image);

            if (!str_empty(c->image))
                p->images[p->nimages++] = strchr(base, ':') || strchr(base, '@') ? c->image : arena_printf(p->arena, "%s:latest", c->image);
            if (l == 0 && !container_is_sidecar(c))
                continue; /* ports of init containers are in use for a moment only */
            for (uint32_t k = 0; k < c->ports.len; k++) {
                const struct container_port *cp = &c->ports.items[k];

                if (cp->host_port > 0)
                    p->ports[p->nports++] = (struct host_port){ str_or(cp->host_ip, "0.0.0.0"), str_or(cp->protocol, "TCP"), cp->host_port };
            }
        }
    }
}

static void
parse_claims(struct pod_info *p)
{
    const struct volume_slice *v = &p->pod->spec.volumes;

    p->claims = arena_alloc(p->arena, (v->len + 1) * sizeof(*p->claims));
    for (uint32_t i = 0; i < v->len; i++) {
        const struct volume_source *s = &v->items[i].volume_source;

        if (s->persistent_volume_claim)
            p->claims[p->nclaims++] = str_safe(s->persistent_volume_claim->claim_name);
        else if (s->ephemeral) /* its claim is named after pod and volume */
            p->claims[p->nclaims++] = arena_printf(p->arena, "%s-%s", p->name, str_safe(v->items[i].name));
    }
}

/* --- node selectors --- */

static struct node_requirement
compile_requirement(const struct node_selector_requirement *r, bool field, struct arena *a)
{
    static const struct { const char *name; enum node_op op; } ops[] = {
        { "In", NODE_IN }, { "NotIn", NODE_NOT_IN }, { "Exists", NODE_EXISTS }, { "DoesNotExist", NODE_NOT_EXISTS }, { "Gt", NODE_GT }, { "Lt", NODE_LT },
    };
    struct node_requirement q = { .key = str_safe(r->key), .op = NODE_NEVER, .on_name = field };

    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (str_eq(r->operator, ops[i].name))
            q.op = ops[i].op;
    if (field && !str_eq(r->key, "metadata.name"))
        q.op = NODE_NEVER;
    if (q.op == NODE_GT || q.op == NODE_LT)
        if (r->values.len != 1 || parse_i64(r->values.items[0], &q.number) < 0)
            q.op = NODE_NEVER;
    q.values = arena_alloc(a, (r->values.len + 1) * sizeof(*q.values));
    for (uint32_t i = 0; i < r->values.len; i++)
        q.values[q.nvalues++] = str_safe(r->values.items[i]);
    return q;
}

static struct node_term
compile_term(const struct node_selector_term *t, int32_t weight, struct arena *a)
{
    uint32_t n = t->match_expressions.len + t->match_fields.len;
    struct node_term out = { .items = arena_alloc(a, (n + 1) * sizeof(*out.items)), .weight = weight };

    for (uint32_t i = 0; i < t->match_expressions.len; i++)
        out.items[out.len++] = compile_requirement(&t->match_expressions.items[i], false, a);
    for (uint32_t i = 0; i < t->match_fields.len; i++)
        out.items[out.len++] = compile_requirement(&t->match_fields.items[i], true, a);
    return out;
}

/* The node names a pod is pinned to (daemon sets): each required term names some. */
static void
find_only_nodes(struct pod_info *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->nrequired; i++) {
        bool named = false;

        for (uint32_t k = 0; k < p->required[i].len; k++)
            if (p->required[i].items[k].on_name && p->required[i].items[k].op == NODE_IN) {
                named = true;
                n += p->required[i].items[k].nvalues;
            }
        if (!named)
            return;
    }
    if (n == 0)
        return;
    p->only_nodes = arena_alloc(p->arena, n * sizeof(*p->only_nodes));
    for (uint32_t i = 0; i < p->nrequired; i++)
        for (uint32_t k = 0; k < p->required[i].len; k++) {
            const struct node_requirement *r = &p->required[i].items[k];

            for (uint32_t v = 0; r->on_name && r->op == NODE_IN && v < r->nvalues; v++)
                p->only_nodes[p->nonly_nodes++] = r->values[v];
        }
}

static void
parse_node_selectors(struct pod_info *p)
{
    const struct string_map *map = &p->pod->spec.node_selector;
    const struct node_affinity *na = p->pod->spec.affinity ? p->pod->spec.affinity->node_affinity : NULL;

    p->selector.items = arena_alloc(p->arena, (map->len + 1) * sizeof(*p->selector.items));
    for (uint32_t i = 0; i < map->len; i++) {
        const char **value = arena_alloc(p->arena, sizeof(*value));

        *value = str_safe(map->items[i].value);
        p->selector.items[p->selector.len++] = (struct node_requirement){ .key = map->items[i].key, .op = NODE_IN, .values = value, .nvalues = 1 };
    }
    if (!na)
        return;
    if (na->required_during_scheduling_ignored_during_execution) {
        const struct node_selector_term_slice *terms = &na->required_during_scheduling_ignored_during_execution->node_selector_terms;

        p->has_required = true;
        p->required = arena_alloc(p->arena, (terms->len + 1) * sizeof(*p->required));
        for (uint32_t i = 0; i < terms->len; i++)
            p->required[p->nrequired++] = compile_term(&terms->items[i], 0, p->arena);
        find_only_nodes(p);
    }
    const struct preferred_scheduling_term_slice *preferred = &na->preferred_during_scheduling_ignored_during_execution;

    p->preferred = arena_alloc(p->arena, (preferred->len + 1) * sizeof(*p->preferred));
    for (uint32_t i = 0; i < preferred->len; i++)
        if (preferred->items[i].weight > 0)
            p->preferred[p->npreferred++] = compile_term(&preferred->items[i].preference, preferred->items[i].weight, p->arena);
}

/* --- terms about other pods --- */

/* The selector with one requirement more for each of `keys` that the pod has (matchLabelKeys). */
static const struct label_query *
with_label_keys(const struct label_query *q, const struct pod_info *p, const struct string_slice *keys, enum label_op op)
{
    struct label_query *out;

    if (keys->len == 0)
        return q;
    out = ARENA_NEW(p->arena, struct label_query);
    out->nothing = q->nothing;
    out->items = arena_alloc(p->arena, (q->len + keys->len) * sizeof(*out->items));
    for (uint32_t i = 0; i < q->len; i++)
        out->items[out->len++] = q->items[i];
    for (uint32_t i = 0; i < keys->len; i++) {
        const char *value = meta_label(&p->pod->metadata, keys->items[i]);
        const char **values;

        if (!value)
            continue;
        values = arena_alloc(p->arena, sizeof(*values));
        *values = value;
        out->items[out->len++] = (struct label_requirement){ .key = keys->items[i], .op = op, .values = values, .nvalues = 1 };
    }
    return out;
}

static const struct label_query *
compile_labels(const struct label_selector *s, struct arena *a)
{
    static const struct label_query none = { .nothing = true };
    struct label_query *q;
    struct kerr *err = label_query_from(s, a, &q);

    if (!err)
        return q;
    kerr_free(err); /* the apiserver validates; a bad selector selects nothing */
    return &none;
}

static void
match_text(struct pod_match *m, struct arena *a)
{
    AUTO_SBUF out = { 0 };

    sbuf_adds(&out, m->skip_deleting ? "live " : "all ");
    for (uint32_t i = 0; i < m->nnamespaces; i++)
        sbuf_addf(&out, "%s,", m->namespaces[i]);
    if (m->namespace_query) {
        sbuf_adds(&out, m->namespace_query->nothing ? "<none>" : "<");
        label_query_print(m->namespace_query, &out);
        sbuf_addc(&out, '>');
    }
    if (m->labels) {
        sbuf_adds(&out, m->labels->nothing ? "/none" : "/");
        label_query_print(m->labels, &out);
    } else {
        sbuf_addf(&out, "/owner=%s", str_safe(m->owner_uid));
    }
    m->text = arena_strdup(a, sbuf_str(&out));
}

static struct pod_match
own_namespace_match(const struct pod_info *p)
{
    struct pod_match m = { .namespaces = arena_alloc(p->arena, sizeof(char *)), .nnamespaces = 1, .skip_deleting = true };

    m.namespaces[0] = p->namespace;
    return m;
}

static struct spread_term
compile_spread(const struct pod_info *p, const struct topology_spread_constraint *c)
{
    struct spread_term t = {
        .who = own_namespace_match(p),
        .topology_key = str_safe(c->topology_key),
        .max_skew = c->max_skew,
        .min_domains = c->min_domains ? *c->min_domains : 1,
        .honor_affinity = !str_eq(c->node_affinity_policy, "Ignore"),
        .honor_taints = str_eq(c->node_taints_policy, "Honor"),
    };

    t.who.labels = with_label_keys(compile_labels(c->label_selector, p->arena), p, &c->match_label_keys, LABEL_IN);
    match_text(&t.who, p->arena);
    t.matches_self = label_query_matches(t.who.labels, &p->pod->metadata.labels);
    return t;
}

/* PodTopologySpread's defaultingType System: hostname with skew 3 and zone with skew 5, among the pods of the same owner. */
static void
default_spread(struct pod_info *p)
{
    static const struct { const char *key; int32_t max_skew; } defaults[] = { { HOSTNAME_LABEL, 3 }, { ZONE_LABEL, 5 } };
    const struct owner_reference *owner = meta_controller(&p->pod->metadata);

    if (!owner || !(str_eq(owner->kind, "ReplicaSet") || str_eq(owner->kind, "StatefulSet") || str_eq(owner->kind, "ReplicationController")))
        return;
    p->spread_default = true;
    p->spread_soft.items = arena_alloc(p->arena, ARRAY_LEN(defaults) * sizeof(*p->spread_soft.items));
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        struct spread_term t = { .who = own_namespace_match(p), .topology_key = defaults[i].key, .max_skew = defaults[i].max_skew,
                                 .min_domains = 1, .honor_affinity = true, .matches_self = true };

        t.who.owner_uid = owner->uid;
        match_text(&t.who, p->arena);
        p->spread_soft.items[p->spread_soft.len++] = t;
    }
}

static void
parse_spread(struct pod_info *p, bool use_defaults)
{
    const struct topology_spread_constraint_slice *c = &p->pod->spec.topology_spread_constraints;

    if (c->len == 0) {
        if (use_defaults)
            default_spread(p);
        return;
    }
    p->spread_hard.items = arena_alloc(p->arena, c->len * sizeof(*p->spread_hard.items));
    p->spread_soft.items = arena_alloc(p->arena, c->len * sizeof(*p->spread_soft.items));
    for (uint32_t i = 0; i < c->len; i++) {
        struct spread_terms *to = str_eq(c->items[i].when_unsatisfiable, "ScheduleAnyway") ? &p->spread_soft : &p->spread_hard;

        to->items[to->len++] = compile_spread(p, &c->items[i]);
    }
}

static struct affinity_term
compile_affinity(const struct pod_info *p, const struct pod_affinity_term *t, int32_t weight)
{
    struct affinity_term out = { .topology_key = str_safe(t->topology_key), .weight = weight };
    const struct label_query *labels = compile_labels(t->label_selector, p->arena);

    labels = with_label_keys(labels, p, &t->match_label_keys, LABEL_IN);
    out.who.labels = with_label_keys(labels, p, &t->mismatch_label_keys, LABEL_NOT_IN);
    out.who.namespaces = arena_alloc(p->arena, (t->namespaces.len + 1) * sizeof(char *));
    for (uint32_t i = 0; i < t->namespaces.len; i++)
        out.who.namespaces[out.who.nnamespaces++] = t->namespaces.items[i];
    if (t->namespace_selector)
        out.who.namespace_query = compile_labels(t->namespace_selector, p->arena);
    else if (t->namespaces.len == 0)
        out.who.namespaces[out.who.nnamespaces++] = p->namespace;
    match_text(&out.who, p->arena);
    out.text = arena_printf(p->arena, "%d %s %s", weight, out.topology_key, out.who.text);
    return out;
}

static void
add_terms(struct pod_info *p, const struct pod_affinity_term_slice *from, struct affinity_terms *to)
{
    to->items = arena_alloc(p->arena, (from->len + 1) * sizeof(*to->items));
    for (uint32_t i = 0; i < from->len; i++)
        to->items[to->len++] = compile_affinity(p, &from->items[i], 0);
}

static void
parse_pod_affinity(struct pod_info *p)
{
    const struct affinity *a = p->pod->spec.affinity;
    static const struct weighted_pod_affinity_term_slice empty;
    const struct weighted_pod_affinity_term_slice *lists[2] = { &empty, &empty };
    struct affinity_terms *to = &p->preferred_affinity;

    if (!a || (!a->pod_affinity && !a->pod_anti_affinity))
        return;
    if (a->pod_affinity) {
        add_terms(p, &a->pod_affinity->required_during_scheduling_ignored_during_execution, &p->affinity);
        lists[0] = &a->pod_affinity->preferred_during_scheduling_ignored_during_execution;
    }
    if (a->pod_anti_affinity) {
        add_terms(p, &a->pod_anti_affinity->required_during_scheduling_ignored_during_execution, &p->anti_affinity);
        lists[1] = &a->pod_anti_affinity->preferred_during_scheduling_ignored_during_execution;
    }
    to->items = arena_alloc(p->arena, (lists[0]->len + lists[1]->len + 1) * sizeof(*to->items));
    for (size_t l = 0; l < 2; l++)
        for (uint32_t i = 0; i < lists[l]->len; i++) {
            int32_t weight = lists[l]->items[i].weight;

            to->items[to->len++] = compile_affinity(p, &lists[l]->items[i].pod_affinity_term, l == 0 ? weight : -weight);
        }
}

bool
pod_match_hits(const struct pod_match *m, const struct pod_info *p, const struct string_map *namespace_labels)
{
    bool in_namespace = false;

    if (m->skip_deleting && meta_deleting(&p->pod->metadata))
        return false;
    for (uint32_t i = 0; !in_namespace && i < m->nnamespaces; i++)
        in_namespace = str_eq(m->namespaces[i], p->namespace);
    if (!in_namespace && m->namespace_query && namespace_labels)
        in_namespace = label_query_matches(m->namespace_query, namespace_labels);
    if (!in_namespace)
        return false;
    if (!m->labels) {
        const struct owner_reference *owner = meta_controller(&p->pod->metadata);

        return owner && str_eq(owner->uid, m->owner_uid);
    }
    return label_query_matches(m->labels, &p->pod->metadata.labels);
}

/* --- life --- */

struct pod_info *
pod_info_new(const struct object *object, const struct pod_info_options *opts)
{
    struct pod_info *p = XNEW(struct pod_info);

    p->refs = 1;
    p->row = ROW_NONE;
    p->arena = arena_new(512);
    p->object = object_ref(object);
    p->pod = OBJECT_BODY(object, pod);
    p->namespace = str_safe(p->pod->metadata.namespace);
    p->name = str_safe(p->pod->metadata.name);
    p->uid = str_safe(p->pod->metadata.uid);
    p->key = arena_printf(p->arena, "%s/%s", p->namespace, p->name);
    p->priority = p->pod->spec.priority ? *p->pod->spec.priority : 0;
    p->never_preempts = str_eq(p->pod->spec.preemption_policy, "Never");
    parse_requests(p, opts->resources);
    parse_containers(p);
    parse_claims(p);
    parse_node_selectors(p);
    parse_spread(p, opts->default_spread);
    parse_pod_affinity(p);
    return p;
}

struct pod_info *
pod_info_ref(struct pod_info *p)
{
    p->refs++;
    return p;
}

void
pod_info_unref(struct pod_info *p)
{
    if (!p || --p->refs > 0)
        return;
    object_unref(p->object);
    arena_free(p->arena);
    free(p);
}
