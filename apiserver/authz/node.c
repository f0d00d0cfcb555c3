// SPDX-License-Identifier: Apache-2.0
/* The node authorizer: a kubelet (user system:node:<name>, group system:nodes) may read what the pods bound to its node
 * refer to, and write its own Node, Lease, CSINode, pod status and tokens of its pods' accounts.
 * (upstream: plugin/pkg/auth/authorizer/node; the graph here is a set of "node|kind|ns/name" edges from pods.) */
#include <pthread.h>
#include <string.h>
#include <uthash.h>

#include "apiserver/authz/authz_internal.h"
#include "apiserver/authz/rbac.h"
#include "apiserver/registry/resource.h"
#include "apiserver/storage/follower.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/base/klog.h"

#define USER_PREFIX "system:node:"
#define GROUP_NODES "system:nodes"

struct edge { /* how many pods of a node refer to an object */
    char *key; /* "secrets|ns/name|node" */
    unsigned count;
    UT_hash_handle hh;
};

struct pod_edges { /* what a pod contributed, to take back */
    char *key;
    struct strlist edges;
    UT_hash_handle hh;
};

struct node_authorizer {
    struct follower *follower;
    struct pod_edges *pods; /* the follower's thread only */
    pthread_rwlock_t lock;  /* guards edges */
    struct edge *edges;
};

/* --- the graph --- */

static void
count_edge(struct node_authorizer *n, const char *key, int by)
{
    struct edge *e;

    HASH_FIND_STR(n->edges, key, e);
    if (!e && by > 0) {
        e = XNEW(struct edge);
        e->key = xstrdup(key);
        HASH_ADD_KEYPTR(hh, n->edges, e->key, strlen(e->key), e);
    }
    if (!e)
        return;
    e->count += (unsigned)by;
    if (e->count == 0) {
        HASH_DEL(n->edges, e);
        free(e->key);
        free(e);
    }
}

static void
note(struct strlist *l, const struct pod *pod, const char *resource, const char *name)
{
    if (!str_empty(name))
        strlist_add_take(l, xasprintf("%s|%s/%s|%s", resource, str_safe(pod->metadata.namespace), name, pod->spec.node_name));
}

static void
note_environment(struct strlist *l, const struct pod *pod, const struct env_var_slice *env, const struct env_from_source_slice *from)
{
    for (uint32_t i = 0; i < from->len; i++) {
        if (from->items[i].secret_ref)
            note(l, pod, "secrets", from->items[i].secret_ref->local_object_reference.name);
        if (from->items[i].config_map_ref)
            note(l, pod, "configmaps", from->items[i].config_map_ref->local_object_reference.name);
    }
    for (uint32_t i = 0; i < env->len; i++) {
        const struct env_var_source *s = env->items[i].value_from;
        if (s && s->secret_key_ref)
            note(l, pod, "secrets", s->secret_key_ref->local_object_reference.name);
        if (s && s->config_map_key_ref)
            note(l, pod, "configmaps", s->config_map_key_ref->local_object_reference.name);
    }
}

static void
note_volume(struct strlist *l, const struct pod *pod, const struct volume *volume)
{
    const struct volume_source *v = &volume->volume_source;

    if (v->secret)
        note(l, pod, "secrets", v->secret->secret_name);
    if (v->config_map)
        note(l, pod, "configmaps", v->config_map->local_object_reference.name);
    if (v->persistent_volume_claim)
        note(l, pod, "persistentvolumeclaims", v->persistent_volume_claim->claim_name);
    if (v->ephemeral) {
        AUTO_FREE char *claim = xasprintf("%s-%s", pod->metadata.name, volume->name);
        note(l, pod, "persistentvolumeclaims", claim);
    }
    for (uint32_t i = 0; v->projected && i < v->projected->sources.len; i++) {
        const struct volume_projection *p = &v->projected->sources.items[i];
        if (p->secret)
            note(l, pod, "secrets", p->secret->local_object_reference.name);
        if (p->config_map)
            note(l, pod, "configmaps", p->config_map->local_object_reference.name);
    }
}

static void
note_pod(struct strlist *l, const struct pod *pod)
{
    const struct pod_spec *s = &pod->spec;

    note(l, pod, "serviceaccounts", str_or(s->service_account_name, "default"));
    for (uint32_t i = 0; i < s->image_pull_secrets.len; i++)
        note(l, pod, "secrets", s->image_pull_secrets.items[i].name);
    for (uint32_t i = 0; i < s->containers.len; i++)
        note_environment(l, pod, &s->containers.items[i].env, &s->containers.items[i].env_from);
    for (uint32_t i = 0; i < s->init_containers.len; i++)
        note_environment(l, pod, &s->init_containers.items[i].env, &s->init_containers.items[i].env_from);
    for (uint32_t i = 0; i < s->ephemeral_containers.len; i++)
        note_environment(l, pod, &s->ephemeral_containers.items[i].ephemeral_container_common.env,
                         &s->ephemeral_containers.items[i].ephemeral_container_common.env_from);
    for (uint32_t i = 0; i < s->volumes.len; i++)
        note_volume(l, pod, &s->volumes.items[i]);
}

static void
drop_pod(struct node_authorizer *n, struct pod_edges *p)
{
    pthread_rwlock_wrlock(&n->lock);
    for (size_t i = 0; i < p->edges.len; i++)
        count_edge(n, p->edges.items[i], -1);
    pthread_rwlock_unlock(&n->lock);
    HASH_DEL(n->pods, p);
    strlist_done(&p->edges);
    free(p->key);
    free(p);
}

static void
reset(void *arg)
{
    struct node_authorizer *n = arg;
    struct pod_edges *p, *next;

    HASH_ITER (hh, n->pods, p, next)
        drop_pod(n, p);
}

static void
changed(unsigned which, enum watch_type type, const struct record *rec, void *arg)
{
    struct node_authorizer *n = arg;
    const char *node = rec->fields[0]; /* spec.nodeName: row 0 of the pods' selectable fields */
    struct pod_edges *p;

    HASH_FIND_STR(n->pods, rec->key, p);
    /* A pod's references do not change once it is bound, but for ephemeral containers; status writes are many. */
    if (p && type == WATCH_MODIFIED && !strstr(rec->json, "\"ephemeralContainers\""))
        return;
    if (p)
        drop_pod(n, p);
    if (type == WATCH_DELETED || !*node)
        return;
    AUTO(object) *obj = NULL;
    AUTO(kerr) *err = object_decode_json(rec->json, rec->json_len, api_kind_find("v1", "Pod"), NULL, &obj);
    if (err) {
        log_error("Pod cannot be decoded; its node may not read what it needs", "pod", rec->key, "err", kv_err(err));
        return;
    }
    p = XNEW(struct pod_edges);
    p->key = xstrdup(rec->key);
    /* Mirror pods are written by the kubelet itself: what they name gives it no right. */
    note(&p->edges, OBJECT_BODY(obj, pod), "pods", object_name(obj));
    if (!meta_annotation(object_meta(obj), "kubernetes.io/config.mirror"))
        note_pod(&p->edges, OBJECT_BODY(obj, pod));
    HASH_ADD_KEYPTR(hh, n->pods, p->key, strlen(p->key), p);
    pthread_rwlock_wrlock(&n->lock);
    for (size_t i = 0; i < p->edges.len; i++)
        count_edge(n, p->edges.items[i], 1);
    pthread_rwlock_unlock(&n->lock);
}

static void
settled(void *arg)
{
    (void)arg; /* edges are current as they come */
}

struct node_authorizer *
node_authorizer_new(struct storage *st)
{
    struct node_authorizer *n = XNEW(struct node_authorizer);
    struct store *stores[] = { resource_named("v1", "Pod")->store };
    const struct follower_handler handler = { .reset = reset, .changed = changed, .settled = settled, .arg = n };

    pthread_rwlock_init(&n->lock, NULL);
    n->follower = follower_new(st, stores, 1, &handler);
    return n;
}

bool
node_authorizer_wait(struct node_authorizer *n, int64_t timeout_ms)
{
    return follower_wait(n->follower, timeout_ms);
}

void
node_authorizer_free(struct node_authorizer *n)
{
    if (!n)
        return;
    follower_free(n->follower);
    reset(n);
    pthread_rwlock_destroy(&n->lock);
    free(n);
}

/* --- deciding --- */

static bool
refers(struct node_authorizer *n, const char *node, const char *resource, const char *ns, const char *name)
{
    AUTO_FREE char *key = xasprintf("%s|%s/%s|%s", resource, str_safe(ns), str_safe(name), node);
    struct edge *e;

    pthread_rwlock_rdlock(&n->lock);
    HASH_FIND_STR(n->edges, key, e);
    pthread_rwlock_unlock(&n->lock);
    return e != NULL;
}

static bool
one_of(const char *verb, const char *list)
{
    size_t len = strlen(verb);

    for (const char *at = list; (at = strstr(at, verb)); at += len)
        if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

/* What every node may do, whatever runs on it: (group, resource, subresource or "*", verbs). */
static const struct {
    const char *group, *resource, *sub, *verbs;
} common_rules[] = {
    { "authentication.k8s.io", "tokenreviews", "", "create" },
    { "authorization.k8s.io", "subjectaccessreviews", "", "create" },
    { "authorization.k8s.io", "localsubjectaccessreviews", "", "create" },
    { "", "services", "", "get,list,watch" },
    { "", "nodes", "", "create,update,patch" },
    { "", "nodes", "status", "update,patch" },
    { "", "events", "", "create,update,patch" },
    { "events.k8s.io", "events", "", "create,update,patch" },
    { "", "pods", "", "create,delete" }, /* mirror pods; NodeRestriction looks closer */
    { "", "pods", "status", "update,patch" },
    { "", "pods", "eviction", "create" },
    { "certificates.k8s.io", "certificatesigningrequests", "", "create,get,list,watch" },
    { "coordination.k8s.io", "leases", "", "get,create,update,patch,delete" },
    { "storage.k8s.io", "volumeattachments", "", "get" },
    { "storage.k8s.io", "csidrivers", "", "get,list,watch" },
    { "storage.k8s.io", "csinodes", "", "get,create,update,patch,delete" },
    { "node.k8s.io", "runtimeclasses", "", "get,list,watch" },
    { "certificates.k8s.io", "clustertrustbundles", "", "get,list,watch" },
    { "resource.k8s.io", "resourceslices", "", "get,list,watch,create,update,patch,delete,deletecollection" },
    { "resource.k8s.io", "resourceclaims", "", "get" },
};

static enum authz_decision
deny(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return AUTHZ_NO_OPINION;
}

static enum authz_decision
decide_reference(struct node_authorizer *n, const struct authz_attributes *at, const char *node, struct arena *a, const char **ret_reason)
{
    if (!one_of(at->verb, "get,list,watch"))
        return deny("can only read resources of this type", ret_reason);
    if (*str_safe(at->subresource))
        return deny("cannot read subresource", ret_reason);
    if (!*str_safe(at->name))
        return deny("No Object name found", ret_reason);
    if (refers(n, node, at->resource, at->ns, at->name))
        return AUTHZ_ALLOW;
    return deny(arena_printf(a, "no relationship found between node '%s' and this object", node), ret_reason);
}

/* Lists and watches of pods must select the node's own; one pod may be read that runs there. */
static enum authz_decision
read_pods(struct node_authorizer *n, const struct authz_attributes *at, const char *node, struct arena *a, const char **ret_reason)
{
    AUTO_STRLIST terms = { 0 };
    const char *own = arena_printf(a, "spec.nodeName=%s", node), *same = arena_printf(a, "spec.nodeName==%s", node);

    strlist_split(&terms, str_safe(at->field_selector), ',');
    if (strcmp(at->verb, "get") != 0 && (strlist_has(&terms, own) || strlist_has(&terms, same)))
        return AUTHZ_ALLOW;
    if (!*str_safe(at->name))
        return deny("can only list/watch pods with spec.nodeName field selector", ret_reason);
    if (refers(n, node, "pods", at->ns, at->name))
        return AUTHZ_ALLOW;
    return deny(arena_printf(a, "no relationship found between node '%s' and this object", node), ret_reason);
}

static enum authz_decision
read_nodes(const struct authz_attributes *at, const char *node, struct arena *a, const char **ret_reason)
{
    if (str_eq(at->name, node))
        return AUTHZ_ALLOW;
    if (!*str_safe(at->name))
        return deny(arena_printf(a, "node '%s' cannot read all nodes, only its own Node object", node), ret_reason);
    return deny(arena_printf(a, "node '%s' cannot read '%s', only its own Node object", node, at->name), ret_reason);
}

static enum authz_decision
decide_account(struct node_authorizer *n, const struct authz_attributes *at, const char *node, struct arena *a, const char **ret_reason)
{
    if (strcmp(str_safe(at->subresource), "token") == 0 ? !one_of(at->verb, "create") : !one_of(at->verb, "get"))
        return deny("can only create tokens for individual service accounts", ret_reason);
    if (refers(n, node, "serviceaccounts", at->ns, at->name))
        return AUTHZ_ALLOW;
    return deny(arena_printf(a, "no relationship found between node '%s' and this object", node), ret_reason);
}

static enum authz_decision
decide_own(const struct authz_attributes *at, const char *node, const char **ret_reason)
{
    bool lease = strcmp(at->resource, "leases") == 0;

    if (lease && !str_eq(at->ns, "kube-node-lease"))
        return deny("can only access leases in the \"kube-node-lease\" system namespace", ret_reason);
    if (strcmp(at->verb, "create") != 0 && !str_eq(at->name, node))
        return deny(lease ? "can only access node lease with the same name as the requesting node"
                          : "can only access CSINode with the same name as the requesting node", ret_reason);
    return AUTHZ_ALLOW;
}

enum authz_decision
node_authorizer_decide(struct node_authorizer *n, const struct authz_attributes *at, struct arena *a, const char **ret_reason)
{
    const char *group = str_safe(at->group), *sub = str_safe(at->subresource);

    if (!str_has_prefix(at->user->username, USER_PREFIX) || !user_in_group(at->user, GROUP_NODES) || !at->is_resource)
        return AUTHZ_NO_OPINION;
    const char *node = at->user->username + strlen(USER_PREFIX);
    if (!*group && one_of(at->resource, "secrets,configmaps,persistentvolumeclaims"))
        return decide_reference(n, at, node, a, ret_reason);
    bool reads = !*group && !*sub && one_of(at->verb, "get,list,watch");
    if (reads && strcmp(at->resource, "pods") == 0)
        return read_pods(n, at, node, a, ret_reason);
    if (reads && strcmp(at->resource, "nodes") == 0)
        return read_nodes(at, node, a, ret_reason);
    if (!*group && strcmp(at->resource, "persistentvolumes") == 0 && strcmp(at->verb, "get") == 0)
        return AUTHZ_ALLOW; /* a claim of one of its pods leads there; names of volumes are not secret */
    if (!*group && strcmp(at->resource, "serviceaccounts") == 0)
        return decide_account(n, at, node, a, ret_reason);
    if ((strcmp(group, "coordination.k8s.io") == 0 && strcmp(at->resource, "leases") == 0) ||
        (strcmp(group, "storage.k8s.io") == 0 && strcmp(at->resource, "csinodes") == 0))
        return one_of(at->verb, "get,create,update,patch,delete") ? decide_own(at, node, ret_reason) : AUTHZ_NO_OPINION;
    for (size_t i = 0; i < ARRAY_LEN(common_rules); i++)
        if (strcmp(common_rules[i].group, group) == 0 && strcmp(common_rules[i].resource, at->resource) == 0 &&
            strcmp(common_rules[i].sub, sub) == 0 && one_of(at->verb, common_rules[i].verbs))
            return AUTHZ_ALLOW;
    return AUTHZ_NO_OPINION;
}
