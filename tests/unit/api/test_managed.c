// SPDX-License-Identifier: Apache-2.0
/* Field sets, managedFields of updates, server-side apply. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/api/codec.h"
#include "common/api/fieldset.h"
#include "common/api/managed.h"
#include "common/api/values.h"

/* --- field sets --- */

static struct field_set *
set_of(struct arena *a, const char *json)
{
    struct field_set *s = NULL;
    struct kerr *err = field_set_decode(a, json, strlen(json), &s);

    if (err)
        fail_msg("%s: %s", json, err->message);
    return s;
}

static void
assert_set(const struct field_set *s, const char *want)
{
    AUTO_SBUF out = { 0 };

    field_set_encode(s, &out);
    assert_string_equal(sbuf_str(&out), want);
}

static void
sets_keep_their_text(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"f:a\":{}}",
        "{\"f:a\":{\".\":{},\"f:b\":{}},\"f:c\":{\"f:d\":{}}}",
        "{\"f:x\":{\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{}}}}",
        "{\"f:x\":{\"v:1\":{},\"v:\\\"a\\\"\":{},\"v:true\":{},\"i:3\":{}}}",
        "{\"f:a/b.c~d\":{}}",
    };
    AUTO(arena) *a = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_set(set_of(a, texts[i]), texts[i]);
    /* sorted on the way in; unknown kinds of elements are dropped */
    assert_set(set_of(a, "{\"f:b\":{},\"z:new\":{},\"f:a\":{}}"), "{\"f:a\":{},\"f:b\":{}}");
    /* keys are sorted by name, elements by kind: names, keys, values, indexes */
    assert_set(set_of(a, "{\"i:0\":{},\"v:1\":{},\"k:{\\\"b\\\":1,\\\"a\\\":2}\":{},\"f:z\":{}}"),
               "{\"f:z\":{},\"k:{\\\"a\\\":2,\\\"b\\\":1}\":{},\"v:1\":{},\"i:0\":{}}");
}

static void
bad_sets(void **state)
{
    static const char *const texts[] = { "", "[]", "{\"f\":{}}", "{\"k:{\":{}}", "{\"v:x\":{}}", "{\"i:x\":{}}", "{\"f:a\":{}", "{\"f:a\":{}}x" };
    AUTO(arena) *a = arena_new(0);
    struct field_set *s;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct kerr *err = field_set_decode(a, texts[i], strlen(texts[i]), &s);
        if (!err)
            fail_msg("accepted: %s", texts[i]);
        kerr_free(err);
    }
}

static void
algebra(void **state)
{
    AUTO(arena) *a = arena_new(0);
    struct field_set *x = set_of(a, "{\"f:a\":{\".\":{},\"f:b\":{}},\"f:c\":{},\"f:d\":{\"f:e\":{},\"f:f\":{}}}");
    struct field_set *y = set_of(a, "{\"f:a\":{},\"f:d\":{\"f:e\":{}},\"f:g\":{}}");

    assert_set(field_set_union(a, x, y), "{\"f:a\":{\".\":{},\"f:b\":{}},\"f:c\":{},\"f:d\":{\"f:e\":{},\"f:f\":{}},\"f:g\":{}}");
    assert_set(field_set_intersection(a, x, y), "{\"f:a\":{},\"f:d\":{\"f:e\":{}}}");
    assert_set(field_set_difference(a, x, y), "{\"f:a\":{\"f:b\":{}},\"f:c\":{},\"f:d\":{\"f:f\":{}}}");
    assert_set(field_set_recursive_difference(a, x, y), "{\"f:c\":{},\"f:d\":{\"f:f\":{}}}");
    assert_null(field_set_difference(a, x, x));
    assert_true(field_set_equal(x, set_of(a, "{\"f:d\":{\"f:f\":{},\"f:e\":{}},\"f:c\":{},\"f:a\":{\"f:b\":{},\".\":{}}}")));
    assert_false(field_set_equal(x, y));
    assert_true(field_set_empty(NULL));
}

static void
collect(const char *path, void *arg)
{
    sbuf_addf(arg, "%s|", path);
}

static void
paths(void **state)
{
    AUTO(arena) *a = arena_new(0);
    AUTO_SBUF out = { 0 };

    field_set_each(set_of(a, "{\"f:s\":{\"k:{\\\"name\\\":\\\"w\\\",\\\"port\\\":1}\":{\".\":{},\"f:i\":{}},\"v:\\\"x\\\"\":{}}}"), collect, &out);
    assert_string_equal(sbuf_str(&out), ".s[name=\"w\",port=1]|.s[=\"x\"]|.s[name=\"w\",port=1].i|");
}

/* --- updates --- */

#define DEPLOYMENT_FIELDS                                                                                              \
    "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},"                                                           \
    "\"f:spec\":{\"f:progressDeadlineSeconds\":{},\"f:replicas\":{},\"f:revisionHistoryLimit\":{},\"f:selector\":{},"    \
    "\"f:strategy\":{\"f:rollingUpdate\":{\".\":{},\"f:maxSurge\":{},\"f:maxUnavailable\":{}},\"f:type\":{}},"           \
    "\"f:template\":{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},"                                             \
    "\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"nginx\\\"}\":{\".\":{},\"f:image\":{},\"f:imagePullPolicy\":{}," \
    "\"f:name\":{},\"f:resources\":{},\"f:terminationMessagePath\":{},\"f:terminationMessagePolicy\":{}}},"               \
    "\"f:dnsPolicy\":{},\"f:restartPolicy\":{},\"f:schedulerName\":{},\"f:securityContext\":{},"                          \
    "\"f:terminationGracePeriodSeconds\":{}}}}}"

static const char deployment[] =
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"nginx\",\"namespace\":\"default\",\"uid\":\"u1\","
    "\"creationTimestamp\":\"2024-01-01T00:00:00Z\",\"generation\":1,\"labels\":{\"app\":\"nginx\"}},\"spec\":{\"replicas\":1,"
    "\"selector\":{\"matchLabels\":{\"app\":\"nginx\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"nginx\"}},\"spec\":{"
    "\"containers\":[{\"name\":\"nginx\",\"image\":\"nginx\",\"resources\":{},\"terminationMessagePath\":\"/dev/termination-log\","
    "\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"Always\"}],\"restartPolicy\":\"Always\","
    "\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\",\"securityContext\":{},\"schedulerName\":\"default-scheduler\"}},"
    "\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"25%\",\"maxSurge\":\"25%\"}},"
    "\"revisionHistoryLimit\":10,\"progressDeadlineSeconds\":600},\"status\":{}}";

static const char *const reset_status[] = { "status", NULL };
static const char *const reset_spec[] = { "spec", "metadata.labels", NULL };

static struct object *
object_of(const char *json)
{
    struct object *obj = NULL;
    struct kerr *err = object_decode_json(json, strlen(json), NULL, NULL, &obj);

    if (err)
        fail_msg("%s", err->message);
    return obj;
}

static struct managed_request
request(const char *manager, int64_t now)
{
    return (struct managed_request){ .manager = manager, .api_version = "apps/v1", .reset_fields = reset_status, .now = api_time_from_unix(now) };
}

static const struct managed_fields_entry *
entry(const struct object *obj, const char *manager, const char *operation)
{
    const struct object_meta *m = object_meta(obj);

    for (uint32_t i = 0; i < m->managed_fields.len; i++)
        if (str_eq(m->managed_fields.items[i].manager, manager) && str_eq(m->managed_fields.items[i].operation, operation))
            return &m->managed_fields.items[i];
    return NULL;
}

static void
assert_entry(const struct object *obj, const char *manager, const char *operation, const char *fields)
{
    const struct managed_fields_entry *e = entry(obj, manager, operation);

    if (!e) {
        AUTO_SBUF out = { 0 };
        object_encode_json(obj, &out);
        fail_msg("no entry of %s (%s) in %s", manager, operation, sbuf_str(&out));
    }
    assert_string_equal(e->fields_type, "FieldsV1");
    assert_string_equal(e->fields_v1->json, fields);
    assert_int_equal(e->fields_v1->len, strlen(fields));
}

static struct object *
created(const char *json, const char *manager)
{
    struct object *obj = object_of(json);
    struct managed_request req = request(manager, 1000);

    managed_fields_update(NULL, obj, &req);
    return obj;
}

static void
create_owns_all(void **state)
{
    AUTO(object) *obj = created(deployment, "kubectl-create");

    assert_int_equal(object_meta(obj)->managed_fields.len, 1);
    assert_entry(obj, "kubectl-create", "Update", DEPLOYMENT_FIELDS); /* as a real cluster shows it */
    assert_int_equal(api_time_unix(*entry(obj, "kubectl-create", "Update")->time), 1000);
    assert_string_equal(entry(obj, "kubectl-create", "Update")->api_version, "apps/v1");
    assert_true(str_empty(entry(obj, "kubectl-create", "Update")->subresource));
}

static void
update_moves_fields(void **state)
{
    AUTO(object) *v1 = created(deployment, "kubectl-create");
    AUTO(object) *v2 = object_copy(v1);
    struct managed_request req = request("scaler", 2000);

    *OBJECT_BODY(v2, deployment)->spec.replicas = 3;
    object_meta(v2)->resource_version = "77";
    managed_fields_update(v1, v2, &req);
    assert_entry(v2, "scaler", "Update", "{\"f:spec\":{\"f:replicas\":{}}}");
    assert_null(strstr(entry(v2, "kubectl-create", "Update")->fields_v1->json, "f:replicas"));
    assert_int_equal(api_time_unix(*entry(v2, "kubectl-create", "Update")->time), 1000); /* losing is no action */

    /* nothing changed: nothing moves, no time changes, even when the client dropped managedFields */
    AUTO(object) *v3 = object_copy(v2);
    struct managed_request later = request("scaler", 3000);
    object_meta(v3)->managed_fields = (struct managed_fields_entry_slice){ 0 };
    managed_fields_update(v2, v3, &later);
    assert_true(api_equal(&api_type_object_meta, object_meta(v2), object_meta(v3)));

    /* a removed field is nobody's */
    AUTO(object) *v4 = object_copy(v3);
    OBJECT_BODY(v4, deployment)->spec.replicas = NULL;
    managed_fields_update(v3, v4, &later);
    assert_null(entry(v4, "scaler", "Update"));
    assert_int_equal(object_meta(v4)->managed_fields.len, 1);
}

static void
subresources_have_entries_of_their_own(void **state)
{
    AUTO(object) *v1 = created(deployment, "kubectl-create");
    AUTO(object) *v2 = object_copy(v1);
    struct managed_request req = request("kcm", 2000);

    req.subresource = "status";
    req.reset_fields = reset_spec;
    OBJECT_BODY(v2, deployment)->status.replicas = 1;
    object_meta(v2)->managed_fields = (struct managed_fields_entry_slice){ 0 }; /* ignored on subresources */
    managed_fields_update(v1, v2, &req);
    assert_int_equal(object_meta(v2)->managed_fields.len, 2);
    assert_entry(v2, "kcm", "Update", "{\"f:status\":{\"f:replicas\":{}}}");
    assert_string_equal(entry(v2, "kcm", "Update")->subresource, "status");
    assert_entry(v2, "kubectl-create", "Update", DEPLOYMENT_FIELDS);
}

static void
reset_and_bad_managed_fields(void **state)
{
    AUTO(object) *v1 = created(deployment, "kubectl-create");
    AUTO(object) *v2 = object_copy(v1);
    AUTO(object) *v3 = object_copy(v1);
    struct managed_request req = request("x", 2000);

    object_meta(v2)->managed_fields.len = 1;
    object_meta(v2)->managed_fields.items[0] = (struct managed_fields_entry){ 0 };
    managed_fields_update(v1, v2, &req);
    assert_int_equal(object_meta(v2)->managed_fields.len, 0);

    object_meta(v3)->managed_fields.items[0].fields_type = "FieldsV9";
    managed_fields_update(v1, v3, &req);
    assert_entry(v3, "kubectl-create", "Update", DEPLOYMENT_FIELDS);

    /* entries of versions the kind lost go with the next change */
    AUTO(object) *v5 = object_copy(v1);
    AUTO(object) *v6 = object_copy(v1);
    object_meta(v5)->managed_fields.items[0].api_version = "extensions/v1beta1";
    *OBJECT_BODY(v6, deployment)->spec.replicas = 4;
    object_meta(v6)->managed_fields = (struct managed_fields_entry_slice){ 0 };
    managed_fields_update(v5, v6, &req);
    assert_int_equal(object_meta(v6)->managed_fields.len, 1);
    assert_entry(v6, "x", "Update", "{\"f:spec\":{\"f:replicas\":{}}}");

    /* an object that was never tracked stays untracked on updates */
    AUTO(object) *v4 = object_copy(v2);
    *OBJECT_BODY(v4, deployment)->spec.replicas = 9;
    managed_fields_update(v2, v4, &req);
    assert_int_equal(object_meta(v4)->managed_fields.len, 0);
}

static void
many_updaters_are_capped(void **state)
{
    AUTO(object) *obj = created(deployment, "m-00");

    for (int i = 1; i <= 14; i++) {
        AUTO(object) *next = object_copy(obj);
        AUTO_FREE char *name = xasprintf("m-%02d", i);
        struct managed_request req = request(name, 1000 + i);
        struct object_meta *m = object_meta(next);
        struct string_map_entry *items = arena_alloc(object_arena(next), (m->annotations.len + 1) * sizeof(*items));
        if (m->annotations.len)
            memcpy(items, m->annotations.items, m->annotations.len * sizeof(*items));
        items[m->annotations.len] = (struct string_map_entry){ arena_printf(object_arena(next), "a%02d", i), "x" };
        m->annotations.items = items;
        m->annotations.len++;
        managed_fields_update(obj, next, &req);
        object_unref(obj);
        obj = steal_ptr(next);
    }
    assert_int_equal(object_meta(obj)->managed_fields.len, MANAGED_MAX_UPDATERS);
    assert_non_null(entry(obj, "ancient-changes", "Update"));
    assert_non_null(strstr(entry(obj, "ancient-changes", "Update")->fields_v1->json, "f:a05"));
    assert_null(entry(obj, "m-03", "Update"));
    assert_non_null(entry(obj, "m-14", "Update"));
}

static void
sets_lists_and_duplicates(void **state)
{
    static const char before[] = "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\",\"finalizers\":[\"a\",\"b\"]},\"spec\":{\"ports\":["
                                 "{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":8080},{\"port\":53,\"protocol\":\"UDP\",\"targetPort\":53}]}}";
    AUTO(object) *v1 = object_of(before);
    struct managed_request req = request("a", 1);

    req.api_version = "v1";
    req.reset_fields = NULL;
    managed_fields_update(NULL, v1, &req);
    assert_entry(v1, "a", "Update",
                 "{\"f:metadata\":{\"f:finalizers\":{\".\":{},\"v:\\\"a\\\"\":{},\"v:\\\"b\\\"\":{}}},\"f:spec\":{\"f:ports\":{\".\":{},"
                 "\"k:{\\\"port\\\":53,\\\"protocol\\\":\\\"UDP\\\"}\":{\".\":{},\"f:port\":{},\"f:protocol\":{},\"f:targetPort\":{}},"
                 "\"k:{\\\"port\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:port\":{},\"f:protocol\":{},\"f:targetPort\":{}}}}}");

    AUTO(object) *v2 = object_copy(v1);
    struct service *s = OBJECT_BODY(v2, service);
    req.manager = "b";
    s->metadata.finalizers.len = 1;                                /* b goes */
    s->spec.ports.items[0].target_port = int_or_string_num(9090);  /* of port 80 */
    s->spec.ports.items[1].port = 54;                              /* another item */
    managed_fields_update(v1, v2, &req);
    assert_entry(v2, "b", "Update",
                 "{\"f:spec\":{\"f:ports\":{\"k:{\\\"port\\\":54,\\\"protocol\\\":\\\"UDP\\\"}\":{\".\":{},\"f:port\":{},\"f:protocol\":{},"
                 "\"f:targetPort\":{}},\"k:{\\\"port\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\"f:targetPort\":{}}}}}");
    assert_null(strstr(entry(v2, "a", "Update")->fields_v1->json, "v:\\\"b"));
    assert_null(strstr(entry(v2, "a", "Update")->fields_v1->json, ":53,"));

    /* two items of one key count as one, as a whole */
    AUTO(object) *v3 = object_copy(v2);
    req.manager = "c";
    s = OBJECT_BODY(v3, service);
    s->spec.ports.items[1] = s->spec.ports.items[0];
    managed_fields_update(v2, v3, &req);
    assert_entry(v3, "c", "Update", "{\"f:spec\":{\"f:ports\":{\"k:{\\\"port\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{}}}}");
}

static void
types_that_are_owned_whole(void **state)
{
    static const char rs[] = "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"metadata\":{\"name\":\"r\",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\","
                             "\"kind\":\"Deployment\",\"name\":\"d\",\"uid\":\"u\",\"controller\":true}]},\"spec\":{\"selector\":null,\"template\":{}}}";
    static const char pv[] = "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"claimRef\":{\"name\":\"c\",\"namespace\":\"n\"}}}";
    AUTO(object) *a = created(rs, "x");
    AUTO(object) *b = created(pv, "x");

    assert_entry(a, "x", "Update", "{\"f:metadata\":{\"f:ownerReferences\":{\".\":{},\"k:{\\\"uid\\\":\\\"u\\\"}\":{}}}}");
    assert_entry(b, "x", "Update", "{\"f:spec\":{\"f:claimRef\":{\".\":{},\"f:name\":{},\"f:namespace\":{}}}}"); /* structType=granular */
}

/* --- apply --- */

static struct kerr *
apply(const struct object *live, const char *config, const char *manager, bool force, int64_t now, struct object **ret)
{
    AUTO_JSON *tree = json_loads(config, 0, NULL);
    struct managed_request req = request(manager, now);
    AUTO_FREE char *version = NULL;

    assert_non_null(tree);
    version = xstrdup(json_string_value(json_object_get(tree, "apiVersion")));
    req.api_version = version;
    req.force = force;
    return managed_fields_apply(api_kind_find(version, json_string_value(json_object_get(tree, "kind"))), live, tree, &req, ret);
}

static struct object *
applied(const struct object *live, const char *config, const char *manager, int64_t now)
{
    struct object *obj = NULL;
    struct kerr *err = apply(live, config, manager, false, now, &obj);

    if (err)
        fail_msg("%s", err->message);
    return obj;
}

#define CM(rest) "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"namespace\":\"d\"}" rest "}"

static const char *
data(const struct object *obj, const char *key)
{
    const struct config_map *cm = OBJECT_BODY(obj, config_map);

    for (uint32_t i = 0; i < cm->data.len; i++)
        if (str_eq(cm->data.items[i].key, key))
            return str_safe(cm->data.items[i].value);
    return NULL;
}

static void
apply_creates_and_removes(void **state)
{
    AUTO(object) *v1 = applied(NULL, CM(",\"data\":{\"a\":\"1\",\"b\":\"2\"}"), "helm", 100);

    assert_entry(v1, "helm", "Apply", "{\"f:data\":{\"f:a\":{},\"f:b\":{}}}");
    assert_string_equal(data(v1, "a"), "1");

    AUTO(object) *v2 = applied(v1, CM(",\"data\":{\"a\":\"1\",\"c\":\"3\"}"), "helm", 200);
    assert_null(data(v2, "b")); /* no longer applied, nobody else's */
    assert_string_equal(data(v2, "c"), "3");
    assert_entry(v2, "helm", "Apply", "{\"f:data\":{\"f:a\":{},\"f:c\":{}}}");

    /* the same once more: nothing changes, not even the time */
    AUTO(object) *v3 = applied(v2, CM(",\"data\":{\"a\":\"1\",\"c\":\"3\"}"), "helm", 300);
    assert_true(api_equal(&api_type_config_map, object_body(v2), object_body(v3)));

    /* a second owner of the same value: no conflict; then the first one's removal leaves it */
    AUTO(object) *v4 = applied(v3, CM(",\"data\":{\"c\":\"3\"}"), "argo", 400);
    assert_entry(v4, "argo", "Apply", "{\"f:data\":{\"f:c\":{}}}");
    AUTO(object) *v5 = applied(v4, CM(",\"data\":{\"a\":\"1\"}"), "helm", 500);
    assert_string_equal(data(v5, "c"), "3");
    assert_entry(v5, "helm", "Apply", "{\"f:data\":{\"f:a\":{}}}");

    /* applying nothing gives all up */
    AUTO(object) *v6 = applied(v5, CM(""), "helm", 600);
    assert_null(data(v6, "a"));
    assert_null(entry(v6, "helm", "Apply"));
}

/* 1000m is 1: nothing happened, so not even the time changes. */
static void
same_value_in_other_words(void **state)
{
    static const char config[] = "{\"apiVersion\":\"v1\",\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"l\"},\"spec\":{\"limits\":[{\"type\":\"Pod\",\"max\":{\"cpu\":\"1000m\"}}]}}";
    AUTO(object) *v1 = applied(NULL, config, "x", 100);
    AUTO(object) *v2 = applied(v1, config, "x", 200);

    assert_true(api_equal(object_kind(v1)->type, object_body(v1), object_body(v2)));
    assert_int_equal(api_time_unix(*entry(v2, "x", "Apply")->time), 100);
}

static void
apply_conflicts(void **state)
{
    AUTO(object) *v1 = applied(NULL, CM(",\"data\":{\"a\":\"1\",\"b\":\"2\"}"), "helm", 100);
    AUTO(object) *v2 = NULL;
    struct kerr *err = apply(v1, CM(",\"data\":{\"a\":\"9\"}"), "argo", false, 200, &v2);

    assert_non_null(err);
    assert_int_equal(err->http_code, 409);
    assert_string_equal(err->message, "Apply failed with 1 conflict: conflict with \"helm\": .data.a");
    assert_int_equal(err->ncauses, 1);
    assert_string_equal(err->causes[0].reason, "FieldManagerConflict");
    assert_string_equal(err->causes[0].field, ".data.a");
    assert_string_equal(err->causes[0].message, "conflict with \"helm\"");
    kerr_free(err);

    err = apply(v1, CM(",\"data\":{\"a\":\"9\",\"b\":\"8\"}"), "argo", false, 200, &v2);
    assert_string_equal(err->message, "Apply failed with 2 conflicts: conflicts with \"helm\":\n- .data.a\n- .data.b");
    kerr_free(err);

    assert_null(apply(v1, CM(",\"data\":{\"a\":\"9\"}"), "argo", true, 200, &v2));
    assert_string_equal(data(v2, "a"), "9");
    assert_entry(v2, "argo", "Apply", "{\"f:data\":{\"f:a\":{}}}");
    assert_entry(v2, "helm", "Apply", "{\"f:data\":{\"f:b\":{}}}");
}

static void
conflict_with_an_updater(void **state)
{
    AUTO(object) *v1 = created(deployment, "kubectl-client-side-apply");
    AUTO(object) *v2 = NULL;
    static const char config[] = "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"nginx\"},\"spec\":{\"replicas\":5}}";
    struct kerr *err = apply(v1, config, "me", false, 5, &v2);

    assert_string_equal(err->message, "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas");
    kerr_free(err);

    /* the status writer's entry names its subresource */
    AUTO(object) *v3 = object_copy(v1);
    struct managed_request req = request("kcm", 2000);
    req.subresource = "status";
    req.reset_fields = NULL;
    *OBJECT_BODY(v3, deployment)->spec.replicas = 2;
    managed_fields_update(v1, v3, &req);
    err = apply(v3, config, "me", false, 5, &v2);
    assert_string_equal(err->message, "Apply failed with 1 conflict: conflict with \"kcm\" with subresource \"status\" using apps/v1: .spec.replicas");
    kerr_free(err);
}

static void
last_applied_hand_over(void **state)
{
    static const char client[] = CM(",\"data\":{\"a\":\"1\"}");
    AUTO(object) *v1 = object_of(client);
    struct managed_request req = request("kubectl-client-side-apply", 1);
    struct object_meta *m = object_meta(v1);

    m->annotations.items = arena_alloc(object_arena(v1), sizeof(*m->annotations.items));
    m->annotations.items[0] = (struct string_map_entry){ "kubectl.kubernetes.io/last-applied-configuration", client };
    m->annotations.len = 1;
    m->uid = "u";
    req.api_version = "v1";
    managed_fields_update(NULL, v1, &req);

    /* kubectl may change what it applied before; others may not */
    AUTO(object) *v2 = NULL;
    struct kerr *err = apply(v1, CM(",\"data\":{\"a\":\"2\"}"), "other", false, 2, &v2);
    assert_non_null(err);
    kerr_free(err);
    v2 = applied(v1, CM(",\"data\":{\"a\":\"2\"}"), "kubectl", 2);
    assert_string_equal(data(v2, "a"), "2");
    assert_entry(v2, "kubectl", "Apply", "{\"f:data\":{\"f:a\":{}}}");
    assert_string_equal(object_meta(v2)->annotations.items[0].value,
                        "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"namespace\":\"d\"}}\n");
}

static void
before_first_apply(void **state)
{
    AUTO(object) *v1 = object_of(CM(",\"data\":{\"a\":\"1\"}"));
    AUTO(object) *v2 = NULL;
    struct kerr *err;

    object_meta(v1)->uid = "u";
    err = apply(v1, CM(",\"data\":{\"a\":\"2\"}"), "helm", false, 2, &v2);
    assert_string_equal(err->message, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
    kerr_free(err);
    v2 = applied(v1, CM(",\"data\":{\"b\":\"2\"}"), "helm", 2);
    assert_entry(v2, "before-first-apply", "Update", "{\"f:data\":{\".\":{},\"f:a\":{}}}");
}

#define POD(spec) "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":" spec "}"

static void
apply_keyed_lists(void **state)
{
    AUTO(object) *v1 = applied(NULL, POD("{\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"ports\":[{\"containerPort\":80}]},{\"name\":\"b\",\"image\":\"i\"}]}"), "x", 1);
    AUTO(object) *v2 = NULL, *v3 = NULL;
    const struct pod *pod;

    /* the default of a key field is part of the key */
    assert_entry(v1, "x", "Apply",
                 "{\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"a\\\"}\":{\".\":{},\"f:image\":{},\"f:name\":{},\"f:ports\":{"
                 "\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{}}}},"
                 "\"k:{\\\"name\\\":\\\"b\\\"}\":{\".\":{},\"f:image\":{},\"f:name\":{}}}}}");

    /* another manager adds one; the order is the live one, then new ones */
    v2 = applied(v1, POD("{\"containers\":[{\"name\":\"side\",\"image\":\"s\"}]}"), "y", 2);
    pod = OBJECT_BODY(v2, pod);
    assert_int_equal(pod->spec.containers.len, 3);
    assert_string_equal(pod->spec.containers.items[2].name, "side");

    /* x drops b and reorders; y's stays */
    v3 = applied(v2, POD("{\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"a\",\"image\":\"i2\"}]}"), "x", 3);
    pod = OBJECT_BODY(v3, pod);
    assert_int_equal(pod->spec.containers.len, 3);
    char names[32] = "";
    for (uint32_t i = 0; i < 3; i++)
        strncat(names, pod->spec.containers.items[i].name, 8);
    assert_string_equal(names, "casid" "e");
    assert_null(strstr(entry(v3, "x", "Apply")->fields_v1->json, "f:ports"));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(pod->spec.containers.items[i].ports.len, 0); /* dropped with its last owner */
}

static void
refused(const char *config, const char *why)
{
    AUTO(object) *obj = NULL;
    struct kerr *err = apply(NULL, config, "x", false, 1, &obj);

    if (!err)
        fail_msg("accepted: %s", config);
    assert_string_equal(err->message, why);
    kerr_free(err);
}

static void
bad_configurations(void **state)
{
    refused(POD("{\"containers\":[{\"image\":\"i\"}]}"),
            "failed to create typed patch object (/p; v1, Kind=Pod): .spec.containers: element 0: associative list with keys has an element "
            "that omits key field \"name\" (and doesn't have default value)");
    refused(POD("{\"containers\":[{\"name\":\"a\"},{\"name\":\"a\"}]}"),
            "failed to create typed patch object (/p; v1, Kind=Pod): .spec.containers: duplicate entries for key [name=\"a\"]");
    refused(POD("{\"foo\":1}"), "failed to create typed patch object (/p; v1, Kind=Pod): .spec.foo: field not declared in schema");
    refused(POD("{\"foo\":1,\"bar\":2}"), "failed to create typed patch object (/p; v1, Kind=Pod): errors:\n  .spec.foo: field not declared in schema\n"
                                          "  .spec.bar: field not declared in schema");
    refused("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"managedFields\":[]}}", "metadata.managedFields must be nil");
}

static void
atomic_and_empty(void **state)
{
    AUTO(object) *v1 = applied(NULL, "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"labels\":{}},\"spec\":{"
                                     "\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"spec\":{\"nodeSelector\":{\"x\":\"y\"},\"tolerations\":[{\"key\":\"k\"}],"
                                     "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}}}", "x", 1);

    assert_entry(v1, "x", "Apply",
                 "{\"f:metadata\":{\"f:labels\":{}},\"f:spec\":{\"f:selector\":{},\"f:template\":{\"f:spec\":{\"f:nodeSelector\":{},\"f:tolerations\":{},"
                 "\"f:volumes\":{\"k:{\\\"name\\\":\\\"v\\\"}\":{\".\":{},\"f:emptyDir\":{},\"f:name\":{}}}}}}}");
    /* an atomic value is replaced as a whole, and needs no removal of its parts */
    AUTO(object) *v2 = applied(v1, "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{"
                                   "\"template\":{\"spec\":{\"nodeSelector\":{\"z\":\"y\"}}}}}", "x", 2);
    const struct deployment *d = OBJECT_BODY(v2, deployment);
    assert_int_equal(d->spec.template.spec.node_selector.len, 1);
    assert_string_equal(d->spec.template.spec.node_selector.items[0].key, "z");
    assert_int_equal(d->spec.template.spec.volumes.len, 0);
}

/* Order of merged items, on a set: { live, applied, merged } */
static void
order_of_merged_items(void **state)
{
    static const char *const cases[][3] = {
        { "abc", "cb", "acb" }, { "123", "34", "1234" }, { "1234", "41", "2341" }, { "ab", "ba", "ba" }, { "ab", "", "ab" },
        { "", "ba", "ba" },     { "abc", "b", "abc" },   { "ac", "abc", "abc" },   { "abcd", "dxb", "acdxb" },
    };

    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        struct sbuf doc[2] = { 0 };
        for (int side = 0; side < 2; side++) {
            sbuf_adds(&doc[side], "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"finalizers\":[");
            for (const char *p = cases[c][side]; *p; p++)
                sbuf_addf(&doc[side], "%s\"%c\"", p == cases[c][side] ? "" : ",", *p);
            sbuf_adds(&doc[side], "]}}");
        }
        AUTO(object) *live = object_of(sbuf_str(&doc[0]));
        AUTO(object) *merged = applied(live, sbuf_str(&doc[1]), "x", 1);
        AUTO_SBUF got = { 0 };
        for (uint32_t i = 0; i < object_meta(merged)->finalizers.len; i++)
            sbuf_adds(&got, object_meta(merged)->finalizers.items[i]);
        assert_string_equal(sbuf_str(&got), cases[c][2]);
        sbuf_done(&doc[0]);
        sbuf_done(&doc[1]);
    }
}

/* --- custom resources: nothing is known --- */

static void
trees(void **state)
{
    struct merge_schema none = { 0 };
    struct managed_request req = { .manager = "op", .api_version = "e.io/v1", .now = api_time_from_unix(1) };
    AUTO_JSON *cr = json_loads("{\"apiVersion\":\"e.io/v1\",\"kind\":\"Foo\",\"metadata\":{\"name\":\"f\"},\"spec\":{\"a\":1,\"l\":[1,2],\"o\":{}}}", 0, NULL);
    AUTO_JSON *config = json_loads("{\"apiVersion\":\"e.io/v1\",\"kind\":\"Foo\",\"metadata\":{\"name\":\"f\"},\"spec\":{\"l\":[3],\"n\":{\"x\":true}}}", 0, NULL);
    AUTO_JSON *merged = NULL;
    AUTO_SBUF out = { 0 };
    struct kerr *err;

    managed_fields_update_tree(none, NULL, cr, &req);
    tree_dump(json_object_get(json_object_get(cr, "metadata"), "managedFields"), &out);
    assert_string_equal(sbuf_str(&out), "[{\"manager\":\"op\",\"operation\":\"Update\",\"apiVersion\":\"e.io/v1\",\"time\":\"1970-01-01T00:00:01Z\","
                                        "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\".\":{},\"f:a\":{},\"f:l\":{},\"f:o\":{}}}}]");
    req.manager = "me";
    err = managed_fields_apply_tree(none, cr, config, &req, &merged);
    assert_string_equal(err->message, "Apply failed with 1 conflict: conflict with \"op\" using e.io/v1: .spec.l");
    kerr_free(err);
    req.force = true;
    assert_null(managed_fields_apply_tree(none, cr, config, &req, &merged));
    sbuf_clear(&out);
    tree_dump(json_object_get(merged, "spec"), &out);
    assert_string_equal(sbuf_str(&out), "{\"a\":1,\"l\":[3],\"o\":{},\"n\":{\"x\":true}}");
    sbuf_clear(&out);
    tree_dump(json_object_get(json_object_get(merged, "metadata"), "managedFields"), &out);
    assert_non_null(strstr(sbuf_str(&out), "{\"f:spec\":{\".\":{},\"f:l\":{},\"f:n\":{\".\":{},\"f:x\":{}}}}"));
    assert_non_null(strstr(sbuf_str(&out), "{\"f:spec\":{\".\":{},\"f:a\":{},\"f:o\":{}}}"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_keep_their_text), cmocka_unit_test(bad_sets), cmocka_unit_test(algebra), cmocka_unit_test(paths),
        cmocka_unit_test(create_owns_all), cmocka_unit_test(update_moves_fields),
        cmocka_unit_test(subresources_have_entries_of_their_own), cmocka_unit_test(reset_and_bad_managed_fields),
        cmocka_unit_test(many_updaters_are_capped), cmocka_unit_test(sets_lists_and_duplicates), cmocka_unit_test(types_that_are_owned_whole),
        cmocka_unit_test(apply_creates_and_removes), cmocka_unit_test(same_value_in_other_words), cmocka_unit_test(apply_conflicts), cmocka_unit_test(conflict_with_an_updater),
        cmocka_unit_test(last_applied_hand_over), cmocka_unit_test(before_first_apply), cmocka_unit_test(apply_keyed_lists),
        cmocka_unit_test(bad_configurations), cmocka_unit_test(atomic_and_empty), cmocka_unit_test(order_of_merged_items), cmocka_unit_test(trees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
