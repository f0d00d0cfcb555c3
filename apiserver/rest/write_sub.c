// SPDX-License-Identifier: Apache-2.0
/* Subresources that are more than a part of their object: each row has a function that answers the request. */
#include <string.h>

#include "apiserver/authn/sa_token.h"
#include "apiserver/authz/review.h"
#include "apiserver/registry/validate.h"
#include "apiserver/rest/read.h"
#include "apiserver/rest/write_internal.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/patch.h"
#include "common/api/selector.h"
#include "common/api/status.h"
#include "common/api/values.h"
#include "common/base/clock.h"

static void
answer_created(struct api_request *r)
{
    AUTO(object) *status = status_success(NULL, NULL, NULL, NULL);

    request_reply_object(r, 201, status);
}

/* A change of the stored object by a function of ours, not by a body. */
struct change {
    struct api_request *r;
    struct kerr *(*apply)(struct api_request *r, struct object *obj, void *arg);
    void *arg;
    bool validate;
};

static struct kerr *
change_step(const struct record *current, struct sbuf *ret_json, void *arg)
{
    struct change *c = arg;
    AUTO(object) *old = NULL;
    AUTO(object) *obj = NULL;
    struct kerr *err = write_decode_record(c->r, current, &old);

    if (err)
        return err;
    obj = object_copy(old);
    err = c->apply(c->r, obj, c->arg);
    if (!err && c->validate)
        err = write_prepare_update(c->r, obj, old, true);
    if (!err && !write_should_delete(c->r, obj))
        write_encode(c->r, obj, ret_json);
    return err;
}

static struct kerr *
change_stored(struct change *c, struct record **ret)
{
    struct api_request *r = c->r;
    const struct store_update u = { .ns = r->info.ns, .name = r->info.name, .fn = change_step, .arg = c };
    enum store_outcome outcome;

    if (request_dry_run(r)) {
        AUTO_SBUF ignored = { 0 };
        struct record *rec = store_get(r->resource->store, r->info.ns, r->info.name);
        if (!rec)
            return kerr_not_found(r->resource->kind->group, r->resource->kind->plural, r->info.name);
        struct kerr *err = change_step(rec, &ignored, c);
        *ret = rec;
        if (err)
            record_unref(rec);
        return err;
    }
    return store_update(r->resource->store, &u, ret, &outcome);
}

/* --- pods/binding --- */

static struct kerr *
bind(struct api_request *r, struct object *obj, void *arg)
{
    const struct binding *binding = arg;
    struct pod *pod = OBJECT_BODY(obj, pod);
    struct arena *a = object_arena(obj);
    const char *why = NULL;

    if (!str_empty(binding->metadata.uid) && !str_eq(binding->metadata.uid, pod->metadata.uid))
        why = "Precondition failed: UID in precondition does not match the UID in object meta";
    else if (pod->metadata.deletion_timestamp)
        why = arena_printf(r->arena, "pod %s is being deleted, cannot be assigned to a host", r->info.name);
    else if (!str_empty(pod->spec.node_name))
        why = arena_printf(r->arena, "pod %s is already assigned to node \"%s\"", r->info.name, pod->spec.node_name);
    else if (pod->spec.scheduling_gates.len)
        why = arena_printf(r->arena, "pod %s has non-empty .spec.schedulingGates", r->info.name);
    if (why)
        return kerr_conflict("", "pods/binding", r->info.name, why);
    pod->spec.node_name = arena_strdup(a, binding->target.name);
    for (uint32_t i = 0; i < binding->metadata.annotations.len; i++)
        string_map_set(&pod->metadata.annotations, a, binding->metadata.annotations.items[i].key,
                       binding->metadata.annotations.items[i].value);
    pod_condition_set(&pod->status, a, "PodScheduled", "True", NULL, NULL, api_time_from_unix(clock_wall_s()));
    return NULL;
}

static struct kerr *
check_binding(const struct binding *binding)
{
    if (!str_empty(binding->target.kind) && !str_eq(binding->target.kind, "Node"))
        return kerr_new(KERR_INVALID, "Binding \"\" is invalid: target.kind: Unsupported value: \"%s\": supported values: \"Node\", \"<empty>\"",
                        binding->target.kind);
    if (str_empty(binding->target.name))
        return kerr_new(KERR_INVALID, "Binding \"\" is invalid: target.name: Required value");
    return NULL;
}

static void
sub_binding(struct api_request *r)
{
    AUTO(object) *body = NULL;
    struct record *rec = NULL;
    struct kerr *err = write_decode_body(r, api_kind_find("v1", "Binding"), &body);

    if (!err)
        err = check_binding(OBJECT_BODY(body, binding));
    if (!err) {
        struct change c = { .r = r, .apply = bind, .arg = object_body(body) };
        err = change_stored(&c, &rec);
        record_unref(rec);
    }
    if (err)
        request_fail(r, err);
    else
        answer_created(r);
}

/* POST to namespaces/x/bindings: the pod is named in the body.  The older form of pods/y/binding. */
static void
create_binding(struct api_request *r)
{
    AUTO(object) *body = NULL;
    struct record *rec = NULL;
    struct kerr *err = write_decode_body(r, r->resource->kind, &body);

    if (!err)
        err = check_binding(OBJECT_BODY(body, binding));
    if (!err) {
        r->resource = resource_named("v1", "Pod");
        r->info.name = arena_strdup(r->arena, str_safe(object_name(body)));
        struct change c = { .r = r, .apply = bind, .arg = object_body(body) };
        err = change_stored(&c, &rec);
        record_unref(rec);
    }
    if (err)
        request_fail(r, err);
    else
        answer_created(r);
}

/* --- pods/eviction: honours PodDisruptionBudgets --- */

struct budget_check {
    struct api_request *r;
    const struct pod *pod;
    struct record *budget;
    uint32_t matching;
};

static struct kerr *
take_disruption(const struct record *current, struct sbuf *ret_json, void *arg)
{
    struct budget_check *b = arg;
    const struct resource *res = resource_named("policy/v1", "PodDisruptionBudget");
    AUTO(object) *obj = NULL;

    if (!current)
        return kerr_not_found("policy", "poddisruptionbudgets", b->budget->name);
    struct kerr *err = object_decode_json(current->json, current->json_len, res->stored_kind, NULL, &obj);
    if (err)
        return err;
    struct pod_disruption_budget *pdb = OBJECT_BODY(obj, pod_disruption_budget);
    struct pod_disruption_budget_status *s = &pdb->status;
    if (s->observed_generation < pdb->metadata.generation)
        return kerr_retry_after(kerr_new(KERR_TOO_MANY_REQUESTS, "Cannot evict pod as it would violate the pod's disruption budget."), 10);
    if (s->disruptions_allowed <= 0) {
        err = kerr_new(KERR_TOO_MANY_REQUESTS, "Cannot evict pod as it would violate the pod's disruption budget.");
        kerr_add_cause(err, "DisruptionBudget", "", "The disruption budget %s needs %d healthy pods and has %d currently", pdb->metadata.name,
                       (int)s->desired_healthy, (int)s->current_healthy);
        return err;
    }
    s->disruptions_allowed--;
    struct time_map *map = &s->disrupted_pods;
    map->items = arena_grow(object_arena(obj), map->items, map->len * sizeof *map->items, (map->len + 1) * sizeof *map->items);
    map->items[map->len++] = (struct time_map_entry){ b->pod->metadata.name, api_time_from_unix(clock_wall_s()) };
    map->cap = map->len;
    object_encode_json(obj, ret_json);
    return NULL;
}

static struct kerr *
selects(const struct label_selector *selector, const struct pod *pod, struct arena *a, bool *ret)
{
    struct label_query *q;
    struct kerr *err = label_query_from(selector, a, &q);

    if (!err)
        *ret = label_query_matches(q, &pod->metadata.labels);
    return err;
}

static struct kerr *
find_budget(struct budget_check *b)
{
    const struct resource *res = resource_named("policy/v1", "PodDisruptionBudget");
    struct record_filter filter = { .ns = b->pod->metadata.namespace };
    struct record **all = NULL;
    size_t n = 0;
    struct kerr *err = rest_read_records(res, &filter, &all, &n);

    for (size_t i = 0; !err && i < n; i++) {
        AUTO(object) *obj = NULL;
        bool matches = false;
        err = object_decode_json(all[i]->json, all[i]->json_len, res->stored_kind, NULL, &obj);
        if (!err)
            err = selects(OBJECT_BODY(obj, pod_disruption_budget)->spec.selector, b->pod, object_arena(obj), &matches);
        if (!err && matches) {
            b->matching++;
            record_unref(b->budget);
            b->budget = record_ref(all[i]);
        }
    }
    for (size_t i = 0; i < n; i++)
        record_unref(all[i]);
    free(all);
    return err;
}

static bool
pod_over(const struct pod *pod)
{
    return str_eq(pod->status.phase, "Succeeded") || str_eq(pod->status.phase, "Failed") || str_eq(pod->status.phase, "Pending") ||
           pod->metadata.deletion_timestamp;
}

static struct kerr *
ask_budget(struct api_request *r, const struct pod *pod)
{
    struct budget_check b = { .r = r, .pod = pod };
    struct kerr *err = NULL;

    if (!pod_over(pod))
        err = find_budget(&b);
    if (!err && b.matching > 1)
        err = kerr_new(KERR_INTERNAL, "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
    if (!err && b.matching == 1 && !request_dry_run(r)) {
        const struct store_update u = { .ns = b.budget->ns, .name = b.budget->name, .fn = take_disruption, .arg = &b };
        struct record *rec = NULL;
        enum store_outcome outcome;
        err = store_update(resource_named("policy/v1", "PodDisruptionBudget")->store, &u, &rec, &outcome);
        record_unref(rec);
    }
    record_unref(b.budget);
    return err;
}

static struct kerr *
disruption_condition(struct api_request *r, struct object *obj, void *arg)
{
    struct pod *pod = OBJECT_BODY(obj, pod);

    pod_condition_set(&pod->status, object_arena(obj), "DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting",
                      api_time_from_unix(clock_wall_s()));
    return NULL;
}

static struct kerr *
evict(struct api_request *r, const struct eviction *eviction)
{
    struct delete_wish w = { .dry_run = request_dry_run(r) };
    struct record *rec = store_get(r->resource->store, r->info.ns, r->info.name);
    AUTO(object) *pod = NULL;
    bool gone;

    if (!rec)
        return kerr_not_found("", "pods", r->info.name);
    struct kerr *err = write_decode_record(r, rec, &pod);
    record_unref(rec);
    rec = NULL;
    if (!err)
        err = ask_budget(r, OBJECT_BODY(pod, pod));
    if (err)
        return err;
    if (eviction->delete_options) {
        const struct delete_options *o = eviction->delete_options;
        w.has_grace = o->grace_period_seconds != NULL;
        w.grace_s = w.has_grace ? *o->grace_period_seconds : 0;
        w.uid = o->preconditions ? xstrdup(o->preconditions->uid) : NULL;
        w.resource_version = o->preconditions ? xstrdup(o->preconditions->resource_version) : NULL;
    }
    if (!w.dry_run && !pod_over(OBJECT_BODY(pod, pod))) {
        struct change c = { .r = r, .apply = disruption_condition };
        err = change_stored(&c, &rec);
        record_unref(rec);
        rec = NULL;
    }
    if (!err)
        err = write_delete_one(r, r->info.ns, r->info.name, &w, &gone, &rec);
    record_unref(rec);
    delete_wish_done(&w);
    return err;
}

static void
sub_eviction(struct api_request *r)
{
    AUTO(object) *body = NULL;
    struct kerr *err = write_decode_body(r, api_kind_find("policy/v1", "Eviction"), &body);

    if (!err)
        err = evict(r, OBJECT_BODY(body, eviction));
    if (err)
        request_fail(r, err);
    else
        answer_created(r);
}

/* --- scale --- */

struct scale_view { /* where a scalable kind keeps its numbers */
    int32_t **replicas;
    int32_t observed;
    const struct label_selector *selector;
    const struct string_map *labels; /* instead of selector: replication controllers */
};

static bool
scale_view_of(struct object *obj, struct scale_view *v)
{
    const char *kind = object_kind(obj)->kind;

#define VIEW(name, member, selector_at)                                                            \
    if (strcmp(kind, name) == 0) {                                                                 \
        struct member *w = OBJECT_BODY(obj, member);                                               \
        *v = (struct scale_view){ .replicas = &w->spec.replicas, .observed = w->status.replicas, selector_at }; \
        return true;                                                                               \
    }
    VIEW("Deployment", deployment, .selector = w->spec.selector)
    VIEW("ReplicaSet", replica_set, .selector = w->spec.selector)
    VIEW("StatefulSet", stateful_set, .selector = w->spec.selector)
    VIEW("ReplicationController", replication_controller, .labels = &w->spec.selector)
#undef VIEW
    return false;
}

/* Scale tells its selector in the text form that list requests take. */
static const char *
selector_text(const struct scale_view *v, struct arena *a)
{
    struct label_query *q = NULL;
    AUTO_SBUF text = { 0 };

    if (v->labels) {
        q = label_query_from_map(v->labels, a);
    } else {
        AUTO(kerr) *err = label_query_from(v->selector, a, &q);
        if (err)
            return NULL;
    }
    label_query_print(q, &text);
    return arena_strdup(a, sbuf_str(&text));
}

static struct object *
scale_of(struct object *obj)
{
    struct object *out = object_new_of("autoscaling/v1", "Scale");
    struct scale *s = OBJECT_BODY(out, scale);
    struct arena *a = object_arena(out);
    const struct object_meta *meta = object_meta(obj);
    struct scale_view v;

    if (scale_view_of(obj, &v)) {
        s->spec.replicas = *v.replicas ? **v.replicas : 0;
        s->status.replicas = v.observed;
        s->status.selector = selector_text(&v, a);
    }
    s->metadata.name = arena_strdup(a, meta->name);
    s->metadata.namespace = arena_strdup(a, meta->namespace);
    s->metadata.uid = arena_strdup(a, meta->uid);
    s->metadata.resource_version = arena_strdup(a, meta->resource_version);
    s->metadata.creation_timestamp = meta->creation_timestamp;
    return out;
}

struct scaling {
    const struct object *wanted; /* PUT */
    enum patch_kind patch;       /* PATCH */
};

static struct kerr *
patched_scale(struct api_request *r, struct object *now, enum patch_kind kind, struct object **ret)
{
    AUTO_SBUF before = { 0 };
    AUTO_SBUF after = { 0 };
    size_t len;
    const char *body = http_stream_body(r->stream, &len);

    object_encode_json(now, &before);
    struct kerr *err = patch_apply_bytes(&api_type_scale, kind, sbuf_str(&before), before.len, body, len, &after);
    return err ? err : write_decode_json(r, api_kind_find("autoscaling/v1", "Scale"), sbuf_str(&after), after.len, ret);
}

static struct kerr *
set_scale(struct api_request *r, struct object *obj, void *arg)
{
    const struct scaling *s = arg;
    const struct api_kind *k = r->resource->kind;
    AUTO(object) *now = scale_of(obj);
    AUTO(object) *wanted = s->wanted ? object_ref(s->wanted) : NULL;
    struct scale_view v;
    struct kerr *err;

    if (!wanted && (err = patched_scale(r, now, s->patch, &wanted)))
        return err;
    const struct scale *scale = OBJECT_BODY(wanted, scale);
    if (!str_empty(scale->metadata.resource_version) && !str_eq(scale->metadata.resource_version, object_meta(obj)->resource_version))
        return kerr_conflict(k->group, k->plural, r->info.name,
                             "the object has been modified; please apply your changes to the latest version and try again");
    if (scale->spec.replicas < 0) {
        err = kerr_about(kerr_new(KERR_INVALID, "Scale.autoscaling \"%s\" is invalid: spec.replicas: Invalid value: %d: must be greater than or equal to 0",
                                  r->info.name, (int)scale->spec.replicas), "autoscaling", "Scale", r->info.name);
        kerr_add_cause(err, "FieldValueInvalid", "spec.replicas", "Invalid value: %d: must be greater than or equal to 0", (int)scale->spec.replicas);
        return err;
    }
    if (!scale_view_of(obj, &v))
        return kerr_new(KERR_NOT_FOUND, "the server could not find the requested resource");
    *v.replicas = ARENA_NEW(object_arena(obj), int32_t);
    **v.replicas = scale->spec.replicas;
    return NULL;
}

static void
sub_scale(struct api_request *r)
{
    struct scaling s = { .patch = patch_kind_from(http_stream_header(r->stream, "Content-Type")) };
    AUTO(object) *wanted = NULL;
    AUTO(object) *stored = NULL;
    struct record *rec = NULL;
    struct kerr *err = NULL;

    if (strcmp(r->info.verb, "update") == 0)
        err = write_decode_body(r, api_kind_find("autoscaling/v1", "Scale"), &wanted);
    else if (s.patch == PATCH_NONE || s.patch == PATCH_APPLY)
        err = kerr_new(KERR_UNSUPPORTED_MEDIA_TYPE, "scale can be patched by JSON patch and merge patch");
    s.wanted = wanted;
    if (!err) {
        struct change c = { .r = r, .apply = set_scale, .arg = &s, .validate = true };
        err = change_stored(&c, &rec);
    }
    if (!err) {
        err = write_decode_record(r, rec, &stored);
        record_unref(rec);
    }
    if (err) {
        request_fail(r, err);
        return;
    }
    AUTO(object) *answer = scale_of(stored);
    request_reply_object(r, 200, answer);
}

/* GET of scale, from read.c */
void
write_sub_get_scale(struct api_request *r, struct record *rec)
{
    AUTO(object) *stored = NULL;
    struct kerr *err = write_decode_record(r, rec, &stored);

    record_unref(rec);
    if (err) {
        request_fail(r, err);
        return;
    }
    AUTO(object) *answer = scale_of(stored);
    request_reply_object(r, 200, answer);
}

/* --- namespaces/finalize: spec.finalizers only --- */

static struct kerr *
set_finalizers(struct api_request *r, struct object *obj, void *arg)
{
    const struct namespace *wanted = arg;
    struct namespace *ns = OBJECT_BODY(obj, namespace);

    ns->spec.finalizers = wanted->spec.finalizers; /* read once, encoded before the body goes */
    return NULL;
}

static struct kerr *
finalize_step(const struct record *current, struct sbuf *ret_json, void *arg)
{
    struct change *c = arg;
    AUTO(object) *obj = NULL;
    struct kerr *err = current ? write_decode_record(c->r, current, &obj) : NULL;

    if (!err)
        err = c->apply(c->r, obj, c->arg);
    if (err)
        return err;
    const struct namespace *ns = OBJECT_BODY(obj, namespace);
    if (!(ns->metadata.deletion_timestamp && ns->spec.finalizers.len == 0 && ns->metadata.finalizers.len == 0))
        write_encode(c->r, obj, ret_json);
    return NULL;
}

static void
sub_finalize(struct api_request *r)
{
    AUTO(object) *body = NULL;
    struct record *rec = NULL;
    enum store_outcome outcome;
    struct kerr *err = write_decode_body(r, r->resource->kind, &body);

    if (!err) {
        struct change c = { .r = r, .apply = set_finalizers, .arg = object_body(body) };
        const struct store_update u = { .name = r->info.name, .fn = finalize_step, .arg = &c };
        err = store_update(r->resource->store, &u, &rec, &outcome);
    }
    if (err)
        request_fail(r, err);
    else
        write_answer_record(r, 200, rec);
}

/* --- serviceaccounts/token and the reviews --- */

static void
sub_token(struct api_request *r)
{
    AUTO(object) *body = NULL;
    struct kerr *err = write_decode_body(r, api_kind_find("authentication.k8s.io/v1", "TokenRequest"), &body);

    if (!err)
        err = sa_token_request(r->srv->authn, r->info.ns, r->info.name, object_arena(body), OBJECT_BODY(body, token_request));
    if (err)
        request_fail(r, err);
    else
        request_reply_object(r, 201, body);
}

static void
review(struct api_request *r)
{
    AUTO(object) *body = NULL;
    struct kerr *err = write_decode_body(r, r->resource->kind, &body);

    if (!err)
        err = review_fill(r->srv->authn, r->srv->authz, &r->user, r->info.ns, body);
    if (err)
        request_fail(r, err);
    else
        request_reply_object(r, 201, body);
}

static const struct {
    const char *resource, *subresource;
    write_sub_fn *run;
} handlers[] = {
    { "pods", "binding", sub_binding },   { "pods", "eviction", sub_eviction },
    { "*", "scale", sub_scale },          { "namespaces", "finalize", sub_finalize },
    { "serviceaccounts", "token", sub_token },
};

write_sub_fn *
write_sub_handler(const struct api_request *r)
{
    if (!r->resource->store)
        return strcmp(r->resource->kind->kind, "Binding") == 0 ? create_binding : review;
    for (size_t i = 0; r->subresource && i < ARRAY_LEN(handlers); i++)
        if (strcmp(handlers[i].subresource, r->subresource->name) == 0 &&
            (handlers[i].resource[0] == '*' || strcmp(handlers[i].resource, r->resource->kind->plural) == 0))
            return handlers[i].run;
    return NULL;
}
