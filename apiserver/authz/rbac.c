// SPDX-License-Identifier: Apache-2.0
/* RBAC: an index from subject to bindings to rules, rebuilt when a role or binding changes and swapped in whole.
 * Decisions read one index snapshot; a decision looks at the bindings of the user's name and groups only. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <uthash.h>

#include "apiserver/authz/authz_internal.h"
#include "apiserver/authz/rbac.h"
#include "apiserver/authz/rules_review.h"
#include "apiserver/registry/resource.h"
#include "apiserver/storage/follower.h"
#include "common/api/codec.h"
#include "common/base/klog.h"
#include "common/base/str.h"

enum which { ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS, KINDS };

static const char *const kind_names[KINDS] = { "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding" };

/* What the follower keeps: the decoded objects by key. */
struct entry {
    char *key; /* "ns/name" or "name" */
    struct object *obj;
    UT_hash_handle hh;
};

/* A binding as seen from one of its subjects. */
struct grant {
    const char *ns; /* "" = everywhere */
    const struct policy_rule_slice *rules;
    const char *binding, *binding_kind, *role, *role_kind;
    const struct subject *subject;
    struct grant *next;
};

struct subject_entry {
    char *key; /* "User:name", "Group:name", "ServiceAccount:ns/name" as the user's name */
    struct grant *grants;
    UT_hash_handle hh;
};

struct index {
    atomic_int refs;
    struct subject_entry *subjects;
    struct object **held; /* references that keep rules and names alive */
    size_t nheld;
    struct arena *arena; /* grants */
};

struct rbac {
    struct follower *follower;
    struct entry *objects[KINDS]; /* the follower's thread only */
    pthread_rwlock_t lock;        /* guards index */
    struct index *index;
};

/* --- the index --- */

static void
index_unref(struct index *ix)
{
    struct subject_entry *s, *next;

    if (!ix || atomic_fetch_sub(&ix->refs, 1) != 1)
        return;
    HASH_ITER (hh, ix->subjects, s, next) {
        HASH_DEL(ix->subjects, s);
        free(s->key);
        free(s);
    }
    for (size_t i = 0; i < ix->nheld; i++)
        object_unref(ix->held[i]);
    free(ix->held);
    arena_free(ix->arena);
    free(ix);
}

static struct index *
current(struct rbac *r)
{
    pthread_rwlock_rdlock(&r->lock);
    struct index *ix = r->index;
    if (ix)
        atomic_fetch_add(&ix->refs, 1);
    pthread_rwlock_unlock(&r->lock);
    return ix;
}

static void
hold(struct index *ix, struct object *obj)
{
    ix->held = xreallocarray(ix->held, ix->nheld + 1, sizeof *ix->held);
    ix->held[ix->nheld++] = object_ref(obj);
}

static struct object *
find_role(struct rbac *r, const char *kind, const char *ns, const char *name)
{
    bool cluster = str_eq(kind, "ClusterRole");
    AUTO_FREE char *key = cluster ? xstrdup(name) : xasprintf("%s/%s", ns, str_safe(name));
    struct entry *e;

    HASH_FIND_STR(r->objects[cluster ? CLUSTER_ROLES : ROLES], key, e);
    return e ? e->obj : NULL;
}

static char *
subject_key(const struct subject *s, const char *binding_ns)
{
    if (str_eq(s->kind, "ServiceAccount"))
        return xasprintf("User:system:serviceaccount:%s:%s", str_or(s->namespace, binding_ns), str_safe(s->name));
    return xasprintf("%s:%s", str_eq(s->kind, "Group") ? "Group" : "User", str_safe(s->name));
}

static void
add_grant(struct index *ix, const struct subject *s, const char *binding_ns, const struct grant *g)
{
    char *key = subject_key(s, binding_ns);
    struct subject_entry *e;

    HASH_FIND_STR(ix->subjects, key, e);
    if (e) {
        free(key);
    } else {
        e = XNEW(struct subject_entry);
        e->key = key;
        HASH_ADD_KEYPTR(hh, ix->subjects, e->key, strlen(e->key), e);
    }
    struct grant *copy = arena_memdup(ix->arena, g, sizeof *g);
    copy->subject = s;
    copy->next = e->grants;
    e->grants = copy;
}

static void
add_binding(struct rbac *r, struct index *ix, struct object *obj, const char *kind, const char *ns, const struct role_ref *ref,
            const struct subject_slice *subjects)
{
    struct object *role = find_role(r, ref->kind, ns, ref->name);

    if (!role)
        return;
    hold(ix, obj);
    hold(ix, role);
    const struct grant g = {
        .ns = ns,
        .rules = str_eq(ref->kind, "ClusterRole") ? &OBJECT_BODY(role, cluster_role)->rules : &OBJECT_BODY(role, role)->rules,
        .binding = object_name(obj),
        .binding_kind = kind,
        .role = ref->name,
        .role_kind = ref->kind,
    };
    for (uint32_t i = 0; i < subjects->len; i++)
        add_grant(ix, &subjects->items[i], ns, &g);
}

static void
publish(void *arg)
{
    struct rbac *r = arg;
    struct index *ix = XNEW(struct index), *old;

    atomic_init(&ix->refs, 1);
    ix->arena = arena_new(64 * 1024);
    for (struct entry *e = r->objects[CLUSTER_BINDINGS]; e; e = e->hh.next) {
        const struct cluster_role_binding *b = OBJECT_BODY(e->obj, cluster_role_binding);
        add_binding(r, ix, e->obj, "ClusterRoleBinding", "", &b->role_ref, &b->subjects);
    }
    for (struct entry *e = r->objects[BINDINGS]; e; e = e->hh.next) {
        const struct role_binding *b = OBJECT_BODY(e->obj, role_binding);
        add_binding(r, ix, e->obj, "RoleBinding", str_safe(b->metadata.namespace), &b->role_ref, &b->subjects);
    }
    pthread_rwlock_wrlock(&r->lock);
    old = r->index;
    r->index = ix;
    pthread_rwlock_unlock(&r->lock);
    index_unref(old);
}

/* --- following --- */

static void
drop(struct entry **table, struct entry *e)
{
    HASH_DEL(*table, e);
    free(e->key);
    object_unref(e->obj);
    free(e);
}

static void
reset(void *arg)
{
    struct rbac *r = arg;
    struct entry *e, *next;

    for (int k = 0; k < KINDS; k++)
        HASH_ITER (hh, r->objects[k], e, next)
            drop(&r->objects[k], e);
}

static void
changed(unsigned which, enum watch_type type, const struct record *rec, void *arg)
{
    struct rbac *r = arg;
    struct object *obj = NULL;
    struct entry *e;

    HASH_FIND_STR(r->objects[which], rec->key, e);
    if (e)
        drop(&r->objects[which], e);
    if (type == WATCH_DELETED)
        return;
    AUTO(kerr) *err = object_decode_json(rec->json, rec->json_len, api_kind_find("rbac.authorization.k8s.io/v1", kind_names[which]), NULL, &obj);
    if (err) {
        log_error("Role or binding cannot be decoded and grants nothing", "key", rec->key, "err", kv_err(err));
        return;
    }
    e = XNEW(struct entry);
    e->key = xstrdup(rec->key);
    e->obj = obj;
    HASH_ADD_KEYPTR(hh, r->objects[which], e->key, strlen(e->key), e);
}

struct rbac *
rbac_new(struct storage *st)
{
    struct rbac *r = XNEW(struct rbac);
    struct store *stores[KINDS];
    const struct follower_handler handler = { .reset = reset, .changed = changed, .settled = publish, .arg = r };

    pthread_rwlock_init(&r->lock, NULL);
    for (int k = 0; k < KINDS; k++)
        stores[k] = resource_named("rbac.authorization.k8s.io/v1", kind_names[k])->store;
    r->follower = follower_new(st, stores, KINDS, &handler);
    return r;
}

bool
rbac_wait(struct rbac *r, int64_t timeout_ms)
{
    return follower_wait(r->follower, timeout_ms);
}

void
rbac_free(struct rbac *r)
{
    if (!r)
        return;
    follower_free(r->follower);
    reset(r);
    index_unref(r->index);
    pthread_rwlock_destroy(&r->lock);
    free(r);
}

/* --- rules --- */

static bool
has(const struct string_slice *l, const char *s)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (strcmp(l->items[i], "*") == 0 || strcmp(l->items[i], s) == 0)
            return true;
    return false;
}

static bool
has_resource(const struct string_slice *l, const char *resource, const char *sub)
{
    for (uint32_t i = 0; i < l->len; i++) {
        const char *want = l->items[i], *slash = strchr(want, '/');
        if (strcmp(want, "*") == 0)
            return true;
        if (!*sub ? strcmp(want, resource) == 0
                  : slash && strcmp(slash + 1, sub) == 0 &&
                        ((strlen(resource) == (size_t)(slash - want) && memcmp(want, resource, (size_t)(slash - want)) == 0) ||
                         (slash - want == 1 && *want == '*')))
            return true;
    }
    return false;
}

static bool
has_path(const struct string_slice *l, const char *path)
{
    for (uint32_t i = 0; i < l->len; i++) {
        size_t len = strlen(l->items[i]);
        if (strcmp(l->items[i], "*") == 0 || strcmp(l->items[i], path) == 0)
            return true;
        if (len && l->items[i][len - 1] == '*' && strncmp(l->items[i], path, len - 1) == 0)
            return true;
    }
    return false;
}

bool
rbac_rule_allows(const struct policy_rule *rule, const struct authz_attributes *at)
{
    if (!has(&rule->verbs, at->verb))
        return false;
    if (!at->is_resource)
        return has_path(&rule->non_resource_urls, str_safe(at->path));
    if (!has(&rule->api_groups, str_safe(at->group)) || !has_resource(&rule->resources, str_safe(at->resource), str_safe(at->subresource)))
        return false;
    if (rule->resource_names.len == 0)
        return true;
    for (uint32_t i = 0; i < rule->resource_names.len; i++)
        if (str_eq(rule->resource_names.items[i], at->name))
            return true;
    return false;
}

/* --- deciding --- */

/* fn returns false to stop.  Visits the grants of a user that reach into ns ("" visits cluster-wide ones only). */
static bool
visit_subject(const struct index *ix, const char *kind, const char *name, const char *ns, bool (*fn)(const struct grant *g, void *arg), void *arg)
{
    struct subject_entry *e;
    AUTO_FREE char *key = xasprintf("%s:%s", kind, str_safe(name));

    HASH_FIND_STR(ix->subjects, key, e);
    for (const struct grant *g = e ? e->grants : NULL; g; g = g->next)
        if ((!*g->ns || str_eq(g->ns, ns)) && !fn(g, arg))
            return false;
    return true;
}

static void
visit(const struct index *ix, const struct user_info *user, const char *ns, bool (*fn)(const struct grant *g, void *arg), void *arg)
{
    if (!visit_subject(ix, "User", user->username, ns, fn, arg))
        return;
    for (uint32_t i = 0; i < user->groups.len; i++)
        if (!visit_subject(ix, "Group", user->groups.items[i], ns, fn, arg))
            return;
}

struct question {
    const struct authz_attributes *at;
    const struct grant *by;
};

static bool
try_grant(const struct grant *g, void *arg)
{
    struct question *q = arg;

    for (uint32_t i = 0; i < g->rules->len; i++)
        if (rbac_rule_allows(&g->rules->items[i], q->at)) {
            q->by = g;
            return false;
        }
    return true;
}

static const char *
reason_of(const struct grant *g, struct arena *a)
{
    AUTO_FREE char *binding = *g->ns ? xasprintf("%s/%s", g->binding, g->ns) : xstrdup(g->binding);
    AUTO_FREE char *subject = str_eq(g->subject->kind, "ServiceAccount")
                                  ? xasprintf("%s/%s", str_safe(g->subject->name), str_or(g->subject->namespace, g->ns))
                                  : xstrdup(str_safe(g->subject->name));

    return arena_printf(a, "RBAC: allowed by %s \"%s\" of %s \"%s\" to %s \"%s\"", g->binding_kind, binding, g->role_kind, g->role,
                        str_safe(g->subject->kind), subject);
}

enum authz_decision
rbac_decide(struct rbac *r, const struct authz_attributes *at, struct arena *a, const char **ret_reason)
{
    struct question q = { .at = at };
    struct index *ix = current(r);

    if (ix)
        visit(ix, at->user, str_safe(at->ns), try_grant, &q);
    if (q.by)
        *ret_reason = reason_of(q.by, a);
    index_unref(ix);
    return q.by ? AUTHZ_ALLOW : AUTHZ_NO_OPINION;
}

struct collect {
    struct arena *a;
    struct policy_rule_slice *ret;
};

static bool
collect_rules(const struct grant *g, void *arg)
{
    struct collect *c = arg;
    uint32_t n = g->rules->len;

    c->ret->items = arena_grow(c->a, c->ret->items, c->ret->len * sizeof *c->ret->items, (c->ret->len + n) * sizeof *c->ret->items);
    for (uint32_t i = 0; i < n; i++)
        api_copy(&api_type_policy_rule, c->a, &g->rules->items[i], &c->ret->items[c->ret->len + i]);
    c->ret->len += n;
    c->ret->cap = c->ret->len;
    return true;
}

void
rbac_rules_of(struct rbac *r, const struct user_info *user, const char *ns, struct arena *a, struct policy_rule_slice *ret)
{
    struct collect c = { a, ret };
    struct index *ix = current(r);

    *ret = (struct policy_rule_slice){ 0 };
    if (ix)
        visit(ix, user, ns, collect_rules, &c);
    index_unref(ix);
}
