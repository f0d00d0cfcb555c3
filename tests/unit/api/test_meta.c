// SPDX-License-Identifier: Apache-2.0
#include "common/api/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/api/codec.h"
#include "common/api/names.h"
#include "common/api/values.h"

static struct object *
pod_from(const char *json)
{
    struct object *obj = NULL;
    struct kerr *err = object_decode_json(json, strlen(json), NULL, NULL, &obj);

    if (err)
        fail_msg("%s", err->message);
    return obj;
}

static void
names_keep_upstreams_rules(void **state)
{
    static const struct {
        enum name_rule rule;
        const char *value;
        bool ok;
    } cases[] = {
        { NAME_DNS_SUBDOMAIN, "a.b-c.d1", true },  { NAME_DNS_SUBDOMAIN, "", false },    { NAME_DNS_SUBDOMAIN, "a..b", false },
        { NAME_DNS_SUBDOMAIN, "-a", false },       { NAME_DNS_SUBDOMAIN, "a.", false },  { NAME_DNS_LABEL, "a.b", false },
        { NAME_DNS_LABEL, "1a", true },            { NAME_DNS_LABEL_1035, "1a", false }, { NAME_DNS_LABEL_1035, "a1", true },
        { NAME_QUALIFIED, "a.b/C_d", true },       { NAME_QUALIFIED, "/x", false },      { NAME_QUALIFIED, "A.b/x", false },
        { NAME_QUALIFIED, "x/", false },           { NAME_LABEL_VALUE, "", true },       { NAME_LABEL_VALUE, "a b", false },
        { NAME_PATH_SEGMENT, "system:x", true },   { NAME_PATH_SEGMENT, "a/b", false },  { NAME_PATH_SEGMENT, "..", false },
        { NAME_ENV_VAR, "a b!", true },            { NAME_ENV_VAR, "a=b", false },       { NAME_CONFIG_KEY, "A_b.c-d", true },
        { NAME_CONFIG_KEY, "..x", false },         { NAME_PORT, "http-2", true },        { NAME_PORT, "80", false },
        { NAME_PORT, "a--b", false },              { NAME_PERCENT, "5%", true },         { NAME_PERCENT, "5", false },
        { NAME_DNS_WILDCARD, "*.a.b", true },      { NAME_DNS_WILDCARD, "*", false },    { NAME_HTTP_HEADER, "X-A", true },
        { NAME_DNS_SUBDOMAIN_UNDERSCORE, "_a._b", true }, { NAME_CONDITION_REASON, "A,b:c_", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (name_ok(cases[i].rule, cases[i].value) != cases[i].ok)
            fail_msg("rule %d '%s'", cases[i].rule, cases[i].value);

    const char *why[NAME_MAX_ERRORS];
    assert_int_equal(name_check_prefix(NAME_DNS_SUBDOMAIN, "web-", why), 0);
    assert_int_equal(name_check(NAME_DNS_SUBDOMAIN, "web-", why), 1);
    char longer[300] = { 0 };
    memset(longer, 'a', 254);
    assert_int_equal(name_check(NAME_DNS_SUBDOMAIN, longer, why), 1);
    assert_string_equal(why[0], "must be no more than 253 characters");
}

static void
addresses_parse(void **state)
{
    struct api_ip ip;
    unsigned bits;
    char text[API_IP_TEXT_SIZE];

    assert_true(api_ip_parse("10.0.0.1", &ip) && api_ip_is_v4(&ip));
    assert_true(api_ip_parse("010.0.0.01", &ip));
    api_ip_format(&ip, text);
    assert_string_equal(text, "10.0.0.1");
    assert_true(api_ip_parse("FD00:0::1", &ip) && !api_ip_is_v4(&ip));
    api_ip_format(&ip, text);
    assert_string_equal(text, "fd00::1");
    assert_false(api_ip_parse("10.0.0", &ip) || api_ip_parse("10.0.0.256", &ip) || api_ip_parse("", &ip) || api_ip_parse("x", &ip));
    assert_true(api_cidr_parse("10.0.0.0/8", &ip, &bits) && bits == 8);
    assert_false(api_cidr_parse("10.0.0.0/33", &ip, &bits) || api_cidr_parse("10.0.0.0", &ip, &bits));
}

static void
maps_and_finalizers_change_on_copies(void **state)
{
    AUTO(arena) *a = arena_new(0);
    struct object_meta m = { 0 };

    assert_true(string_map_set(&m.labels, a, "b", "1"));
    struct string_map before = m.labels;
    assert_true(string_map_set(&m.labels, a, "a", "2"));
    assert_true(string_map_set(&m.labels, a, "c", "3"));
    assert_false(string_map_set(&m.labels, a, "c", "3"));
    assert_int_equal(before.len, 1);
    assert_string_equal(m.labels.items[0].key, "a");
    assert_string_equal(meta_label(&m, "b"), "1");
    assert_true(string_map_del(&m.labels, a, "b"));
    assert_null(meta_label(&m, "b"));
    assert_false(string_map_del(&m.labels, a, "b"));
    assert_true(meta_add_finalizer(&m, a, "x/y"));
    assert_false(meta_add_finalizer(&m, a, "x/y"));
    assert_true(meta_has_finalizer(&m, "x/y"));
    assert_true(meta_del_finalizer(&m, a, "x/y"));
    assert_int_equal(m.finalizers.len, 0);

    bool yes = true;
    struct owner_reference ref = { .kind = "ReplicaSet", .name = "r", .uid = "u1", .controller = &yes }, plain = { .uid = "u2" };
    meta_add_owner(&m, a, &plain);
    assert_null(meta_controller(&m));
    meta_add_owner(&m, a, &ref);
    meta_add_owner(&m, a, &ref);
    assert_int_equal(m.owner_references.len, 2);
    assert_true(meta_controlled_by(&m, "u1"));
    assert_true(meta_del_owner(&m, a, "u1"));
    assert_false(meta_controlled_by(&m, "u1"));
}

static void
conditions_move_time_only_with_status(void **state)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_status s = { 0 };

    assert_true(pod_condition_set(&s, a, "Ready", "True", "", "", api_time_from_unix(10)));
    assert_false(pod_condition_set(&s, a, "Ready", "True", NULL, NULL, api_time_from_unix(20)));
    assert_true(pod_condition_set(&s, a, "Ready", "True", "Why", NULL, api_time_from_unix(20)));
    assert_true(api_time_unix(pod_condition_find(&s, "Ready")->last_transition_time) == 10);
    struct pod pod = { .status = s };
    assert_true(pod_ready(&pod));
    assert_false(pod_available(&pod, 30, api_time_from_unix(39)));
    assert_true(pod_available(&pod, 30, api_time_from_unix(40)));
    assert_true(pod_condition_set(&s, a, "Ready", "False", "Why", NULL, api_time_from_unix(50)));
    assert_true(api_time_unix(pod_condition_find(&s, "Ready")->last_transition_time) == 50);
}

static void
pods_add_up(void **state)
{
    AUTO(arena) *a = arena_new(0);
    AUTO(object) *obj = pod_from(
        "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"overhead\":{\"cpu\":\"10m\"},"
        "\"initContainers\":[{\"name\":\"i\",\"resources\":{\"requests\":{\"memory\":\"1Gi\"}}},"
        "{\"name\":\"s\",\"restartPolicy\":\"Always\",\"resources\":{\"requests\":{\"cpu\":\"100m\"},\"limits\":{\"cpu\":\"1\"}}},"
        "{\"name\":\"j\",\"resources\":{\"requests\":{\"cpu\":\"600m\"}}}],"
        "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"250m\",\"memory\":\"512Mi\"}}},"
        "{\"name\":\"d\",\"resources\":{\"requests\":{\"cpu\":\"250m\"}}}]}}");
    const struct pod *pod = OBJECT_BODY(obj, pod);
    struct quantity_map requests = pod_requests(&pod->spec, a), limits = pod_limits(&pod->spec, a);

    /* cpu: max(250+250+100, 100+600) + 10; memory: max(512Mi, 1Gi) */
    assert_string_equal(quantity_text(quantity_map_get(&requests, "cpu")), "710m");
    assert_string_equal(quantity_text(quantity_map_get(&requests, "memory")), "1Gi");
    assert_string_equal(quantity_text(quantity_map_get(&limits, "cpu")), "1010m");
    assert_false(quantity_map_has(&limits, "memory"));
    assert_string_equal(pod_qos(&pod->spec), "Burstable");
}

static void
qos_has_three_classes(void **state)
{
#define QOS(resources) "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":" resources "}]}}"
    static const struct {
        const char *json, *qos;
    } cases[] = {
        { QOS("{}"), "BestEffort" },
        { QOS("{\"requests\":{\"cpu\":\"0\"}}"), "BestEffort" },
        { QOS("{\"requests\":{\"cpu\":\"1\"}}"), "Burstable" },
        { QOS("{\"requests\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}"), "Guaranteed" },
        { QOS("{\"requests\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"limits\":{\"cpu\":\"2\",\"memory\":\"1Gi\"}}"), "Burstable" },
        { QOS("{\"requests\":{\"cpu\":\"1000m\",\"memory\":\"1024Mi\"},\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}"), "Guaranteed" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(object) *obj = pod_from(cases[i].json);
        assert_string_equal(pod_qos(&OBJECT_BODY(obj, pod)->spec), cases[i].qos);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_keep_upstreams_rules),
        cmocka_unit_test(addresses_parse),
        cmocka_unit_test(maps_and_finalizers_change_on_copies),
        cmocka_unit_test(conditions_move_time_only_with_status),
        cmocka_unit_test(pods_add_up),
        cmocka_unit_test(qos_has_three_classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
