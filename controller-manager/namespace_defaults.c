// SPDX-License-Identifier: Apache-2.0
/* namespace_defaults.c - what every active namespace has: the ServiceAccount "default" and the ConfigMap kube-root-ca.crt.
 * Two controllers of one shape: a missing or changed object is written again. */
#include "controller-manager/namespace_defaults.h"

#include "common/base/file.h"
#include "controller-manager/controllers.h"

#define ROOT_CA "kube-root-ca.crt"
#define ROOT_CA_TEXT                                                                                                                          \
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or "   \
    "kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."

static bool
is_active(const struct object *ns)
{
    return ns && !meta_deleting(object_meta(ns)) && !str_eq(OBJECT_BODY(ns, namespace)->status.phase, "Terminating");
}

static struct object *
named(const char *kind, const struct object *ns, const char *name)
{
    struct object *obj = object_new_of("v1", kind);

    object_meta(obj)->namespace = arena_strdup(object_arena(obj), object_name(ns));
    object_meta(obj)->name = arena_strdup(object_arena(obj), name);
    return obj;
}

struct plan *
serviceaccount_decide(const struct namespace_default *p, const char *key)
{
    struct plan *plan = plan_new(key);

    if (is_active(p->ns) && !p->current)
        plan_create(plan, named("ServiceAccount", p->ns, "default"), "every namespace has one")->flags = ACTION_IGNORE_EXISTS;
    return plan;
}

struct plan *
root_ca_decide(const struct namespace_default *p, const char *key)
{
    struct plan *plan = plan_new(key);
    struct object *obj;

    if (!is_active(p->ns))
        return plan;
    if (p->current) {
        const struct config_map *cm = OBJECT_BODY(p->current, config_map);
        if (cm->data.len == 1 && str_eq(string_map_get(&cm->data, "ca.crt"), p->root_ca) && !str_empty(meta_annotation(&cm->metadata, "kubernetes.io/description")))
            return plan;
    }
    obj = p->current ? object_copy(p->current) : named("ConfigMap", p->ns, ROOT_CA);
    struct config_map *cm = object_body(obj);
    cm->data = (struct string_map){ 0 };
    string_map_set(&cm->data, object_arena(obj), "ca.crt", p->root_ca);
    string_map_set(&cm->metadata.annotations, object_arena(obj), "kubernetes.io/description", ROOT_CA_TEXT);
    if (p->current)
        plan_update(plan, obj, "its content is not that of --root-ca-file");
    else
        plan_create(plan, obj, "every namespace has one")->flags = ACTION_IGNORE_EXISTS;
    return plan;
}

/* --- observe and act --- */

struct state {
    struct informer *current;
    const char *name;
    char *root_ca;
    struct plan *(*decide)(const struct namespace_default *p, const char *key);
};

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    AUTO(object) *ns = informer_get(controller_informer(c, "v1", "Namespace"), NULL, key);
    AUTO(object) *current = informer_get(s->current, key, s->name);
    struct namespace_default p = { ns, current, s->root_ca };
    struct kerr *err = ns ? controller_act(c, NULL, s->decide(&p, key)) : NULL;

    /* the namespace began to end or went: its content is the namespace controller's now */
    if (err && (err->reason == KERR_NOT_FOUND || err->reason == KERR_FORBIDDEN)) {
        AUTO(object) *again = informer_get(controller_informer(c, "v1", "Namespace"), NULL, key);
        if (!is_active(again)) {
            kerr_free(err);
            return NULL;
        }
    }
    return err;
}

static void
namespace_changed(struct controller *c, const struct object *old, const struct object *now)
{
    if (now && is_active(now))
        controller_enqueue(c, now);
}

static void
current_changed(const struct object *old, const struct object *now, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    const struct object *obj = now ? now : old;

    if (str_eq(object_name(obj), s->name))
        controller_enqueue_name(c, NULL, object_namespace(obj));
}

static void
current_removed(const struct object *last, void *arg)
{
    current_changed(last, NULL, arg);
}

/* Only the objects of that one name are kept in memory. */
static void
start(struct controller *c, const char *kind, const char *name, char *root_ca, struct plan *(*decide)(const struct namespace_default *p, const char *key))
{
    struct state *s = XNEW(struct state);
    AUTO_FREE char *selector = xasprintf("metadata.name=%s", name);
    struct informer_config cfg = { .kind = api_kind_find("v1", kind), .field_selector = selector };
    struct informer_handler handler = { .update = current_changed, .remove = current_removed, .arg = c };

    c->state = s;
    *s = (struct state){ informers_get(c->informers, &cfg), name, root_ca, decide };
    controller_queue(c, 1, sync_key);
    controller_watch(c, "v1", "Namespace", namespace_changed);
    informer_add_handler(s->current, &handler);
}

struct kerr *
serviceaccount_start(struct controller *c)
{
    start(c, "ServiceAccount", "default", NULL, serviceaccount_decide);
    return NULL;
}

struct kerr *
root_ca_start(struct controller *c)
{
    char *pem;
    struct kerr *err;

    if (str_empty(c->options->root_ca_file))
        return NULL; /* as upstream: nothing to publish */
    err = file_read(c->options->root_ca_file, 1 << 20, &pem, NULL);
    if (err)
        return kerr_wrap(err, "--root-ca-file");
    start(c, "ConfigMap", ROOT_CA, pem, root_ca_decide);
    return NULL;
}

void
namespace_defaults_stop(struct controller *c)
{
    struct state *s = c->state;

    if (s)
        free(s->root_ca);
    free(s);
}
