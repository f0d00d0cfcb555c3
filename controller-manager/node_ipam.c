// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/node_ipam.h"

#include <pthread.h>

#include "common/api/tree.h"
#include "common/base/klog.h"
#include "controller-manager/controllers.h"

#define RETRY_FULL_MS 30000

static int
mask_for(const struct kcm_options *o, bool v4, bool dual)
{
    int32_t family = v4 ? o->node_cidr_mask_size_ipv4 : o->node_cidr_mask_size_ipv6;

    if (family)
        return family;
    if (o->node_cidr_mask_size && !dual)
        return o->node_cidr_mask_size;
    return v4 ? 24 : 64;
}

struct kerr *
node_ipam_init(struct node_ipam *ipam, const struct kcm_options *o)
{
    AUTO_STRLIST cidrs = { 0 }, services = { 0 };
    struct kerr *err = NULL;

    *ipam = (struct node_ipam){ 0 };
    strlist_split(&cidrs, o->cluster_cidr, ',');
    strlist_split(&services, str_safe(o->service_cluster_ip_range), ',');
    if (cidrs.len > 2)
        return kerr_new(KERR_INVALID, "--cluster-cidr=%s: at most one range per address family", o->cluster_cidr);
    for (size_t i = 0; i < cidrs.len && !err; i++) {
        err = cidr_set_init(&ipam->sets[i], cidrs.items[i], mask_for(o, !strchr(cidrs.items[i], ':'), cidrs.len == 2));
        ipam->len++;
        for (size_t s = 0; s < services.len && !err; s++)
            cidr_set_occupy(&ipam->sets[i], services.items[s]); /* pods must not get service addresses */
    }
    return kerr_wrap(err, "--cluster-cidr");
}

void
node_ipam_done(struct node_ipam *ipam)
{
    for (size_t i = 0; i < ipam->len; i++)
        cidr_set_done(&ipam->sets[i]);
}

void
node_ipam_occupy(struct node_ipam *ipam, const struct object *node)
{
    const struct string_slice *cidrs = &OBJECT_BODY(node, node)->spec.pod_cidrs;

    for (uint32_t c = 0; c < cidrs->len; c++)
        for (size_t i = 0; i < ipam->len; i++)
            cidr_set_occupy(&ipam->sets[i], cidrs->items[c]);
}

void
node_ipam_release(struct node_ipam *ipam, const struct object *node)
{
    const struct string_slice *cidrs = &OBJECT_BODY(node, node)->spec.pod_cidrs;

    for (uint32_t c = 0; c < cidrs->len; c++)
        for (size_t i = 0; i < ipam->len; i++)
            cidr_set_release(&ipam->sets[i], cidrs->items[c]);
}

/* --- decide --- */

static bool
allocate(struct node_ipam *ipam, char ret[2][CIDR_TEXT_SIZE])
{
    for (size_t i = 0; i < ipam->len; i++) {
        if (cidr_set_allocate(&ipam->sets[i], ret[i]))
            continue;
        while (i-- > 0)
            cidr_set_release(&ipam->sets[i], ret[i]);
        return false;
    }
    return true;
}

struct plan *
node_ipam_decide(struct node_ipam *ipam, const struct object *node, const char *key)
{
    struct plan *plan = plan_new(key);
    char cidrs[2][CIDR_TEXT_SIZE];
    AUTO_SBUF patch = { 0 };

    if (OBJECT_BODY(node, node)->spec.pod_cidrs.len > 0 || meta_deleting(object_meta(node)))
        return plan;
    if (!allocate(ipam, cidrs)) {
        plan_event(plan, node, EVENT_NORMAL, "CIDRNotAvailable", "Node %s status is now: CIDRNotAvailable", object_name(node));
        plan_requeue(plan, RETRY_FULL_MS);
        return plan;
    }
    sbuf_addf(&patch, "{\"spec\":{\"podCIDR\":\"%s\",\"podCIDRs\":[\"%s\"", cidrs[0], cidrs[0]);
    if (ipam->len > 1)
        sbuf_addf(&patch, ",\"%s\"", cidrs[1]);
    sbuf_adds(&patch, "]}}");
    plan_patch(plan, object_kind(node), NULL, object_name(node), REST_PATCH_STRATEGIC, NULL, sbuf_str(&patch), "the node has no pod range");
    return plan;
}

void
node_ipam_undo(struct node_ipam *ipam, const struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++) {
        const struct action *a = &plan->items[i];
        json_t *tree, *v;
        size_t n;
        if (a->verb != ACTION_PATCH || a->state == ACTION_DONE)
            continue;
        struct kerr *err = tree_load(a->patch, strlen(a->patch), &tree);
        if (err) {
            kerr_free(err);
            continue;
        }
        json_array_foreach (json_object_get(json_object_get(tree, "spec"), "podCIDRs"), n, v)
            for (size_t s = 0; s < ipam->len; s++)
                cidr_set_release(&ipam->sets[s], json_string_value(v));
        json_decref(tree);
    }
}

/* --- observe and act --- */

struct state {
    pthread_mutex_t lock; /* guards ipam */
    struct node_ipam ipam;
};

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    AUTO(object) *node = informer_get(controller_informer(c, "v1", "Node"), NULL, key);

    if (!node)
        return NULL;
    pthread_mutex_lock(&s->lock);
    AUTO(plan) *plan = node_ipam_decide(&s->ipam, node, key);
    pthread_mutex_unlock(&s->lock);
    struct kerr *err = controller_run(c, NULL, plan);
    if (err) {
        pthread_mutex_lock(&s->lock);
        node_ipam_undo(&s->ipam, plan);
        pthread_mutex_unlock(&s->lock);
    }
    return err;
}

static void
node_changed(struct controller *c, const struct object *old, const struct object *now)
{
    struct state *s = c->state;

    pthread_mutex_lock(&s->lock);
    if (!now)
        node_ipam_release(&s->ipam, old);
    else
        node_ipam_occupy(&s->ipam, now);
    pthread_mutex_unlock(&s->lock);
    if (now && OBJECT_BODY(now, node)->spec.pod_cidrs.len == 0)
        controller_enqueue(c, now);
}

struct kerr *
node_ipam_start(struct controller *c)
{
    struct state *s;
    struct kerr *err;

    if (!c->options->allocate_node_cidrs)
        return NULL;
    s = XNEW(struct state);
    pthread_mutex_init(&s->lock, NULL);
    err = node_ipam_init(&s->ipam, c->options);
    c->state = s;
    if (err)
        return err;
    if (!str_eq(c->options->cidr_allocator_type, "RangeAllocator"))
        log_warning("Only the RangeAllocator exists here; it is used", "cidr-allocator-type", c->options->cidr_allocator_type);
    controller_queue(c, 1, sync_key); /* in order of arrival */
    controller_watch(c, "v1", "Node", node_changed);
    return NULL;
}

void
node_ipam_stop(struct controller *c)
{
    struct state *s = c->state;

    if (!s)
        return;
    node_ipam_done(&s->ipam);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
