// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/namespace.h"

#include "common/base/klog.h"
#include "controller-manager/controllers.h"
#include "controller-manager/resources.h"

#define FINALIZER "kubernetes"
#define FINALIZER_WAIT_S 15 /* something holds the rest by finalizers: look again after that */

void
namespace_picture_done(struct namespace_picture *p)
{
    object_unref(p->ns);
    for (size_t i = 0; i < p->len; i++) {
        object_list_done(&p->items[i].left);
        kerr_free(p->items[i].failed);
    }
    free(p->items);
}

/* --- decide --- */

static void
set_condition(struct namespace_status *s, struct arena *a, const char *type, bool bad, const char *reason, const char *message, struct api_time now)
{
    struct namespace_condition c = { type, bad ? "True" : "False", { now.sec, 0 }, reason, arena_strdup(a, message) };
    struct namespace_condition *items;

    for (uint32_t i = 0; i < s->conditions.len; i++) {
        struct namespace_condition *had = &s->conditions.items[i];
        if (!str_eq(had->type, type))
            continue;
        if (!str_eq(had->status, c.status) || !str_eq(had->message, message))
            *had = c;
        return;
    }
    items = arena_alloc(a, (s->conditions.len + 1) * sizeof *items);
    for (uint32_t i = 0; i < s->conditions.len; i++)
        items[i] = s->conditions.items[i];
    items[s->conditions.len] = c;
    s->conditions = (struct namespace_condition_slice){ items, s->conditions.len + 1, s->conditions.len + 1 };
}

static void
add_resource(struct sbuf *out, const struct api_kind *k)
{
    sbuf_addf(out, "%s%s.%s", out->len ? ", " : "", k->plural, k->group);
}

static size_t
total_left(const struct namespace_picture *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->len; i++)
        n += p->items[i].left.len;
    return n;
}

static void
describe_failures(const struct namespace_picture *p, struct namespace_status *s, struct arena *a, struct api_time now)
{
    AUTO_SBUF text = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < p->len; i++) {
        if (!p->items[i].failed)
            continue;
        sbuf_addf(&text, "%s%s", n++ ? ", " : "", p->items[i].failed->message);
    }
    AUTO_FREE char *message = xasprintf("Failed to delete all resource types, %zu remaining: %s", n, sbuf_str(&text));
    set_condition(s, a, "NamespaceDeletionContentFailure", n > 0, n ? "ContentDeletionFailed" : "ContentDeleted",
                  n ? message : "All content successfully deleted, may be waiting on finalization", now);
}

static void
describe_rest(const struct namespace_picture *p, struct namespace_status *s, struct arena *a, struct api_time now)
{
    AUTO_SBUF text = { 0 };

    for (size_t i = 0; i < p->len; i++) {
        if (p->items[i].left.len == 0)
            continue;
        add_resource(&text, p->items[i].kind);
        sbuf_addf(&text, " has %zu resource instances", p->items[i].left.len);
    }
    AUTO_FREE char *message = xasprintf("Some resources are remaining: %s", sbuf_str(&text));
    set_condition(s, a, "NamespaceContentRemaining", text.len > 0, text.len ? "SomeResourcesRemain" : "ContentRemoved",
                  text.len ? message : "All content successfully removed", now);
}

struct tally {
    const char *finalizer;
    size_t n;
};

static size_t
count_finalizers(const struct namespace_picture *p, struct tally *tallies, size_t max)
{
    size_t len = 0;

    for (size_t i = 0; i < p->len; i++) {
        for (size_t o = 0; o < p->items[i].left.len; o++) {
            const struct string_slice *f = &object_meta(p->items[i].left.items[o])->finalizers;
            for (uint32_t k = 0; k < f->len; k++) {
                size_t at = 0;
                while (at < len && !str_eq(tallies[at].finalizer, f->items[k]))
                    at++;
                if (at == len && len < max)
                    tallies[len++] = (struct tally){ f->items[k], 0 };
                if (at < len)
                    tallies[at].n++;
            }
        }
    }
    return len;
}

static void
describe_finalizers(const struct namespace_picture *p, struct namespace_status *s, struct arena *a, struct api_time now)
{
    struct tally tallies[32];
    size_t n = count_finalizers(p, tallies, ARRAY_LEN(tallies));
    AUTO_SBUF text = { 0 };

    for (size_t i = 0; i < n; i++)
        sbuf_addf(&text, "%s%s in %zu resource instances", i ? ", " : "", tallies[i].finalizer, tallies[i].n);
    AUTO_FREE char *message = xasprintf("Some content in the namespace has finalizers remaining: %s", sbuf_str(&text));
    set_condition(s, a, "NamespaceFinalizersRemaining", n > 0, n ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
                  n ? message : "All content-preserving finalizers finished", now);
}

static void
describe(const struct namespace_picture *p, struct namespace_status *s, struct arena *a, struct api_time now)
{
    const char *failed = p->discovery_failed;

    set_condition(s, a, "NamespaceDeletionDiscoveryFailure", failed, failed ? "DiscoveryFailed" : "ResourcesDiscovered",
                  failed ? failed : "All resources successfully discovered", now);
    set_condition(s, a, "NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", "All legacy kube types successfully parsed", now);
    describe_failures(p, s, a, now);
    describe_rest(p, s, a, now);
    describe_finalizers(p, s, a, now);
}

/* The longest grace period of the pods that are left: no need to look before half of it. */
static uint64_t
estimate_s(const struct namespace_picture *p)
{
    int64_t longest = 0;
    bool pods = false;

    for (size_t i = 0; i < p->len; i++) {
        if (!str_eq(p->items[i].kind->plural, "pods") || !str_empty(p->items[i].kind->group))
            continue;
        for (size_t o = 0; o < p->items[i].left.len; o++) {
            int64_t grace = i64_or(object_meta(p->items[i].left.items[o])->deletion_grace_period_seconds, 30);
            longest = grace > longest ? grace : longest;
            pods = true;
        }
    }
    return pods ? (uint64_t)longest / 2 + 1 : FINALIZER_WAIT_S / 2 + 1;
}

static bool
any_failed(const struct namespace_picture *p)
{
    for (size_t i = 0; i < p->len; i++)
        if (p->items[i].failed)
            return true;
    return p->discovery_failed != NULL;
}

struct plan *
namespace_decide(const struct namespace_picture *p, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);
    AUTO(object) *copy = object_copy(p->ns);
    struct namespace *ns = object_body(copy);
    const struct namespace *was = OBJECT_BODY(p->ns, namespace);

    if (!meta_deleting(&ns->metadata) || !string_slice_has(&ns->spec.finalizers, FINALIZER))
        return plan;
    ns->status.phase = "Terminating";
    describe(p, &ns->status, object_arena(copy), now);
    bool done = total_left(p) == 0 && !any_failed(p);
    if (!done && !api_equal(&api_type_namespace_status, &was->status, &ns->status))
        plan_update_status(plan, object_ref(copy), "what is left of its content");
    if (!done) {
        plan_requeue(plan, estimate_s(p) * 1000);
        return plan;
    }
    string_slice_del(&ns->spec.finalizers, object_arena(copy), FINALIZER);
    plan_update_sub(plan, object_kind(copy), NULL, object_name(copy), "finalize", object_ref(copy), "all content is gone")->flags = ACTION_IGNORE_NOT_FOUND;
    return plan;
}

/* --- observe and act --- */

static void
take(struct object *obj, void *arg)
{
    object_list_add_take(arg, obj);
}

static struct kerr *
list_left(struct controller *c, const struct api_kind *kind, const char *ns, struct object_list *ret)
{
    struct rest_list_options page = { .limit = 500, .metadata_only = true };
    struct list_head_info info = { 0 };
    struct kerr *err = rest_list(c->rest, kind, ns, &page, take, ret, &info);

    list_head_info_done(&info);
    return err;
}

static struct kerr *
delete_each(struct controller *c, const struct served *what, const char *ns, const struct object_list *objects)
{
    const struct rest_delete_options background = { .propagation = REST_PROPAGATION_BACKGROUND };

    for (size_t i = 0; i < objects->len; i++) {
        struct kerr *err = rest_delete(c->rest, what->kind, ns, object_name(objects->items[i]), &background);
        if (err && err->reason != KERR_NOT_FOUND)
            return err;
        kerr_free(err);
    }
    return NULL;
}

static bool
not_there(struct kerr *err)
{
    if (!err || (err->reason != KERR_NOT_FOUND && err->reason != KERR_METHOD_NOT_ALLOWED))
        return false;
    kerr_free(err); /* the resource went away since discovery (a CRD was deleted), or has no such verb */
    return true;
}

/* Looks first: most resources have nothing in most namespaces. */
static struct kerr *
empty_out(struct controller *c, const struct served *what, const char *ns, struct object_list *ret_left)
{
    const struct rest_delete_options background = { .propagation = REST_PROPAGATION_BACKGROUND };
    struct kerr *err = list_left(c, what->kind, ns, ret_left);

    if (not_there(err))
        return NULL;
    if (err || ret_left->len == 0)
        return err;
    err = what->can_delete_collection ? rest_delete_collection(c->rest, what->kind, ns, NULL, &background) : delete_each(c, what, ns, ret_left);
    if (err)
        return err;
    object_list_done(ret_left);
    *ret_left = (struct object_list){ 0 };
    err = list_left(c, what->kind, ns, ret_left);
    return not_there(err) ? NULL : err;
}

static bool
is_pods(const struct served *s)
{
    return str_empty(s->kind->group) && str_eq(s->kind->plural, "pods");
}

/* Events are left to the last: those about this deletion come in all the time. */
static bool
skip(const struct served *s)
{
    return !s->kind->namespaced || (str_eq(s->kind->group, "events.k8s.io") && str_eq(s->kind->plural, "events"));
}

static void
take_census(struct controller *c, const struct resources *all, const char *ns, struct namespace_picture *p)
{
    p->items = xcalloc(all->len + 1, sizeof *p->items);
    for (int pods = 1; pods >= 0; pods--) {
        for (size_t i = 0; i < all->len; i++) {
            if (is_pods(&all->items[i]) != pods || skip(&all->items[i]))
                continue;
            struct census *x = &p->items[p->len++];
            x->kind = all->items[i].kind;
            x->failed = empty_out(c, &all->items[i], ns, &x->left);
        }
        if (pods && p->len && (p->items[0].left.len > 0 || p->items[0].failed))
            return; /* containers still run: what they use stays until they are gone */
    }
}

static struct kerr *
clear(struct controller *c, struct object *ns)
{
    struct namespace_picture p = { .ns = ns };
    struct resources all = { 0 };
    AUTO(kerr) *partial = NULL;
    struct kerr *err = resources_discover(c->rest, &all, &partial);

    if (err) {
        namespace_picture_done(&p);
        return err;
    }
    p.discovery_failed = partial ? partial->message : NULL;
    take_census(c, &all, object_name(ns), &p);
    err = controller_act(c, NULL, namespace_decide(&p, object_name(ns), controller_now()));
    namespace_picture_done(&p);
    resources_done(&all);
    return err;
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    AUTO(object) *cached = informer_get_key(controller_informer(c, "v1", "Namespace"), key);
    struct object *live = NULL;

    if (!cached || !meta_deleting(object_meta(cached)))
        return NULL;
    struct kerr *err = rest_get(c->rest, object_kind(cached), NULL, key, &live);
    if (err && err->reason == KERR_NOT_FOUND) {
        kerr_free(err);
        return NULL;
    }
    if (err)
        return err;
    if (!meta_deleting(object_meta(live)) || OBJECT_BODY(live, namespace)->spec.finalizers.len == 0) {
        object_unref(live);
        return NULL;
    }
    return clear(c, live);
}

static void
namespace_changed(struct controller *c, const struct object *old, const struct object *now)
{
    if (now && meta_deleting(object_meta(now)))
        controller_enqueue(c, now);
}

/* The last pod of a namespace that is being emptied went: go on at once. */
static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    if (now)
        return;
    AUTO(object) *ns = informer_get(controller_informer(c, "v1", "Namespace"), NULL, object_namespace(old));
    if (ns && meta_deleting(object_meta(ns)))
        controller_enqueue(c, ns);
}

struct kerr *
namespace_start(struct controller *c)
{
    controller_queue(c, (unsigned)c->options->syncs_namespace, sync_key);
    controller_watch(c, "v1", "Namespace", namespace_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    return NULL;
}
