// SPDX-License-Identifier: Apache-2.0
#include "kubelet/status_manager.h"

#include <jansson.h>
#include <pthread.h>

#include "common/api/codec.h"
#include "common/base/klog.h"
#include "common/client/informer.h"
#include "common/client/workqueue.h"

#define WRITERS 2

struct entry {
    struct entry *next;
    char *uid;
    struct object *wanted; /* pod with its newest status */
    struct object *seen;   /* the API's pod, as far as we know: its status is what the patch starts from */
    struct object *mirror; /* static pods: where the status goes */
};

struct status_manager {
    struct kubelet *k;
    struct workqueue *wq;
    pthread_mutex_t lock; /* guards the list */
    struct entry *entries;
};

static struct kerr *sync_status(const char *uid, void *arg);

/* --- the patch --- */

static json_t *
tree_of(const struct pod_status *st)
{
    AUTO_SBUF text = { 0 };

    json_encode(&api_type_pod_status, st, &text);
    return json_loadb(sbuf_str(&text), text.len, 0, NULL);
}

static json_t *
by_key(json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *it;

    json_array_foreach(list, i, it) if (str_eq(json_string_value(json_object_get(it, key)), value)) return it;
    return NULL;
}

/* Conditions merge by type: only what changed, and what is gone by name. */
static json_t *
conditions_patch(json_t *from, json_t *to)
{
    json_t *out = json_array(), *it;
    size_t i;

    json_array_foreach(to, i, it)
    {
        json_t *old = by_key(from, "type", json_string_value(json_object_get(it, "type")));
        json_t *item;
        const char *key;
        json_t *value;

        if (old && json_equal(old, it))
            continue;
        item = json_deep_copy(it);
        json_object_foreach(old, key, value) if (!json_object_get(it, key)) json_object_set_new(item, key, json_null());
        json_array_append_new(out, item);
    }
    json_array_foreach(from, i, it)
    {
        const char *type = json_string_value(json_object_get(it, "type"));

        if (!by_key(to, "type", type))
            json_array_append_new(out, json_pack("{s:s,s:s}", "$patch", "delete", "type", str_safe(type)));
    }
    return out;
}

/* Lists merged by "ip": replaced as a whole. */
static json_t *
replaced_list(json_t *to)
{
    json_t *out = json_array();

    json_array_append_new(out, json_pack("{s:s}", "$patch", "replace"));
    json_array_extend(out, to);
    return out;
}

bool
pod_status_patch(const char *uid, const struct pod_status *from, const struct pod_status *to, struct sbuf *ret)
{
    json_t *old = tree_of(from), *new = tree_of(to), *diff = json_object(), *value, *doc;
    const char *key;
    bool changed;
    char *text;

    json_object_foreach(new, key, value)
    {
        json_t *was = json_object_get(old, key);

        if (was && json_equal(was, value))
            continue;
        if (!strcmp(key, "conditions"))
            json_object_set_new(diff, key, conditions_patch(was, value));
        else if (!strcmp(key, "podIPs") || !strcmp(key, "hostIPs"))
            json_object_set_new(diff, key, was ? replaced_list(value) : json_incref(value));
        else
            json_object_set(diff, key, value);
    }
    json_object_foreach(old, key, value) if (!json_object_get(new, key)) json_object_set_new(diff, key, json_null());
    changed = json_object_size(diff) > 0;
    doc = json_pack("{s:{s:s},s:o}", "metadata", "uid", uid, "status", diff);
    text = json_dumps(doc, JSON_COMPACT);
    if (changed)
        sbuf_adds(ret, text);
    free(text);
    json_decref(doc);
    json_decref(old);
    json_decref(new);
    return changed;
}

/* --- entries --- */

struct status_manager *
status_manager_new(struct kubelet *k)
{
    struct status_manager *sm = XNEW(struct status_manager);
    struct workqueue_config cfg = { .name = "pod-status", .workers = WRITERS, .sync = sync_status, .arg = sm,
                                    .limits = { .base_ms = 200, .max_ms = 10000, .overall_qps = 50, .overall_burst = 100 } };

    sm->k = k;
    pthread_mutex_init(&sm->lock, NULL);
    sm->wq = workqueue_new(&cfg);
    return sm;
}

void
status_manager_start(struct status_manager *sm)
{
    workqueue_start(sm->wq);
}

void
status_manager_stop(struct status_manager *sm)
{
    workqueue_stop(sm->wq);
}

static void
entry_free(struct entry *e)
{
    object_unref(e->wanted);
    object_unref(e->seen);
    object_unref(e->mirror);
    free(e->uid);
    free(e);
}

void
status_manager_free(struct status_manager *sm)
{
    if (!sm)
        return;
    workqueue_free(sm->wq);
    while (sm->entries) {
        struct entry *e = sm->entries;

        sm->entries = e->next;
        entry_free(e);
    }
    pthread_mutex_destroy(&sm->lock);
    free(sm);
}

static struct entry *
find(struct status_manager *sm, const char *uid, bool make) /* lock held */
{
    struct entry *e = sm->entries;

    while (e && strcmp(e->uid, uid) != 0)
        e = e->next;
    if (!e && make) {
        e = XNEW(struct entry);
        e->uid = xstrdup(uid);
        e->next = sm->entries;
        sm->entries = e;
    }
    return e;
}

void
status_manager_set(struct status_manager *sm, const struct object *pod)
{
    const char *uid = object_meta(pod)->uid;
    struct entry *e;

    pthread_mutex_lock(&sm->lock);
    e = find(sm, uid, true);
    object_unref(e->wanted);
    e->wanted = object_ref(pod);
    pthread_mutex_unlock(&sm->lock);
    if (sm->k->rest)
        workqueue_add(sm->wq, uid);
}

void
status_manager_check(struct status_manager *sm, const struct object *api_pod)
{
    const char *uid = object_meta(api_pod)->uid;
    struct entry *e;
    bool different = false;

    pthread_mutex_lock(&sm->lock);
    e = find(sm, uid, true);
    object_unref(e->seen);
    e->seen = object_ref(api_pod);
    different = e->wanted && !api_equal(&api_type_pod_status, &OBJECT_BODY(e->wanted, pod)->status, &OBJECT_BODY(api_pod, pod)->status);
    pthread_mutex_unlock(&sm->lock);
    if (different && sm->k->rest)
        workqueue_add_after(sm->wq, uid, 1000); /* our own write may still be on its way back */
}

void
status_manager_forget(struct status_manager *sm, const char *uid)
{
    struct entry **at, *e;

    pthread_mutex_lock(&sm->lock);
    for (at = &sm->entries; *at && strcmp((*at)->uid, uid) != 0;)
        at = &(*at)->next;
    e = *at;
    if (e) {
        *at = e->next;
        entry_free(e);
    }
    pthread_mutex_unlock(&sm->lock);
}

void
status_manager_mirror(struct status_manager *sm, const char *static_uid, const struct object *mirror)
{
    struct entry *e;

    pthread_mutex_lock(&sm->lock);
    e = find(sm, static_uid, true);
    object_unref(e->mirror);
    e->mirror = object_ref(mirror);
    object_unref(e->seen);
    e->seen = object_ref(mirror);
    pthread_mutex_unlock(&sm->lock);
    if (mirror && sm->k->rest)
        workqueue_add(sm->wq, static_uid);
}

/* --- writing --- */

static void
keep_seen(struct status_manager *sm, const char *uid, struct object *pod)
{
    struct entry *e;

    pthread_mutex_lock(&sm->lock);
    e = find(sm, uid, false);
    if (e) {
        object_unref(e->seen);
        e->seen = object_ref(pod);
    }
    pthread_mutex_unlock(&sm->lock);
}

struct kerr *
status_manager_flush(struct status_manager *sm, const char *uid)
{
    AUTO(object) *wanted = NULL;
    AUTO(object) *seen = NULL;
    AUTO(object) *target = NULL;
    AUTO(object) *answer = NULL;
    AUTO_SBUF patch = { 0 };
    struct rest_patch_options o = { .subresource = "status" };
    const struct api_kind *kind = api_kind_find("v1", "Pod");
    struct entry *e;
    struct kerr *err = NULL;

    pthread_mutex_lock(&sm->lock);
    e = find(sm, uid, false);
    if (e) {
        wanted = object_ref(e->wanted);
        seen = object_ref(e->seen);
        target = object_ref(pod_is_static(OBJECT_BODY(wanted ? wanted : e->seen, pod)) ? e->mirror : e->wanted);
    }
    pthread_mutex_unlock(&sm->lock);
    if (!wanted || !target)
        return NULL; /* a static pod without its mirror: when that comes, we are called again */
    if (!seen) {
        err = rest_get(sm->k->rest, kind, object_namespace(target), object_name(target), &seen);
        if (err)
            return err;
    }
    if (!str_eq(object_meta(seen)->uid, object_meta(target)->uid))
        return NULL; /* another pod of that name: ours is gone */
    if (!pod_status_patch(object_meta(target)->uid, &OBJECT_BODY(seen, pod)->status, &OBJECT_BODY(wanted, pod)->status, &patch))
        return NULL;
    err = rest_patch(sm->k->rest, kind, object_namespace(target), object_name(target), REST_PATCH_STRATEGIC, sbuf_str(&patch), patch.len, &o, &answer);
    if (!err && answer)
        keep_seen(sm, uid, answer);
    return kerr_wrap(err, "status of pod %s/%s", str_safe(object_namespace(target)), str_safe(object_name(target)));
}

static struct kerr *
sync_status(const char *uid, void *arg)
{
    struct status_manager *sm = arg;
    struct kerr *err = status_manager_flush(sm, uid);

    if (err && (err->reason == KERR_NOT_FOUND || err->reason == KERR_CONFLICT)) {
        log_v(3, "A pod status is not written: the pod is gone or another one", "uid", uid, "err", kv_err(err));
        kerr_free(err);
        return NULL;
    }
    return err;
}
