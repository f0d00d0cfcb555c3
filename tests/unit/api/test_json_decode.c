// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/api/values.h"

static struct object *
decoded(const char *json, struct codec_report *report)
{
    struct object *obj = NULL;
    struct kerr *err = object_decode_json(json, strlen(json), NULL, report, &obj);

    if (err)
        fail_msg("%s: %s", json, err->message);
    return obj;
}

static void
check_refused(const char *json, const char *message)
{
    struct object *obj = NULL;
    AUTO(kerr) *err = object_decode_json(json, strlen(json), NULL, NULL, &obj);

    if (!err)
        fail_msg("accepted: %s", json);
    assert_int_equal(err->reason, KERR_BAD_REQUEST);
    assert_string_equal(err->message, message);
    assert_null(obj);
}

#define POD(rest) "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"" rest "}"
#define CM(rest) "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"" rest "}"
#define POD_ERR "Pod in version \"v1\" cannot be handled as a Pod: "

static void
fields_land_where_they_belong(void **state)
{
    AUTO(object) *obj = decoded(
        " {\"kind\":\"Pod\", \"apiVersion\":\"v1\",\n\t\"metadata\":{\"name\":\"a\",\"labels\":{\"z\":\"1\",\"b\":\"2\"},"
        "\"creationTimestamp\":null,\"generation\":3},\r\n"
        "\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":80,\"protocol\":\"TCP\"}],\"tty\":true,"
        "\"resources\":{\"limits\":{\"cpu\":1.5,\"memory\":\"1Gi\"}},"
        "\"livenessProbe\":{\"httpGet\":{\"port\":\"http\",\"path\":\"\"}}}],"
        "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}],\"priority\":-1,\"tolerations\":[],\"hostAliases\":null}} ",
        NULL);
    const struct pod *pod = OBJECT_BODY(obj, pod);

    assert_non_null(pod);
    assert_string_equal(object_name(obj), "a");
    assert_int_equal(pod->metadata.generation, 3);
    assert_int_equal(pod->metadata.labels.len, 2);
    assert_string_equal(pod->metadata.labels.items[0].key, "b"); /* sorted */
    assert_string_equal(pod->metadata.labels.items[1].value, "1");
    const struct container *c = &pod->spec.containers.items[0];
    assert_int_equal(c->ports.items[0].container_port, 80);
    assert_string_equal(c->ports.items[0].protocol, "TCP");
    assert_true(c->tty);
    assert_string_equal(c->resources.limits.items[0].key, "cpu");
    assert_string_equal(quantity_text(c->resources.limits.items[0].value), "1500m");
    assert_string_equal(c->liveness_probe->probe_handler.http_get->port.str, "http");
    assert_non_null(pod->spec.volumes.items[0].volume_source.empty_dir); /* inlined */
    assert_int_equal(*pod->spec.priority, -1);
    assert_non_null(pod->spec.tolerations.items); /* [] is not null */
    assert_int_equal(pod->spec.tolerations.len, 0);
    assert_null(pod->spec.host_aliases.items);
    assert_null(OBJECT_BODY(obj, service));
}

static void
null_is_the_zero_value_everywhere(void **state)
{
    AUTO(object) *obj = decoded(
        POD(",\"metadata\":null,\"spec\":{\"containers\":[null,{\"name\":null,\"ports\":null,\"livenessProbe\":null,\"tty\":null,"
            "\"resources\":{\"limits\":{\"cpu\":null}}}],\"priority\":null,\"nodeSelector\":null},\"status\":{\"startTime\":null}"),
        NULL);
    const struct pod *pod = object_body(obj);

    assert_int_equal(pod->spec.containers.len, 2);
    assert_null(pod->spec.containers.items[1].liveness_probe);
    assert_string_equal(quantity_text(pod->spec.containers.items[1].resources.limits.items[0].value), "0");
    assert_null(pod->status.start_time);
}

static void
strings_are_unescaped(void **state)
{
    AUTO(object) *obj = decoded(CM(",\"data\":{\"\\u006b\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\ud800x\\udc00\xff\xc3\xa9\","
                                   "\"empty\":\"\",\"long\":\"0123456789abcdef0123456789abcdef\\n\"},\"binaryData\":{\"b\":\"AAEC\"}"),
                                NULL);
    const struct config_map *cm = object_body(obj);

    assert_string_equal(cm->data.items[1].key, "k");
    assert_string_equal(cm->data.items[1].value, "a\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9");
    assert_string_equal(cm->data.items[0].value, "");
    assert_string_equal(cm->data.items[2].value, "0123456789abcdef0123456789abcdef\n");
    assert_int_equal(cm->binary_data.items[0].value.len, 3);
    assert_memory_equal(cm->binary_data.items[0].value.data, "\0\1\2", 3);
}

static void
wrong_types_are_named_as_upstream_does(void **state)
{
    check_refused(POD(",\"spec\":{\"containers\":[{\"ports\":[{\"containerPort\":\"80\"}]}]}"),
                  POD_ERR "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32");
    check_refused(POD(",\"spec\":{\"containers\":[{\"env\":[{\"name\":\"a\",\"value\":1}]}]}"),
                  POD_ERR "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string");
    check_refused(POD(",\"spec\":{\"containers\":{}}"),
                  POD_ERR "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container");
    check_refused(POD(",\"spec\":{\"containers\":[[]]}"),
                  POD_ERR "json: cannot unmarshal array into Go struct field PodSpec.spec.containers of type v1.Container");
    check_refused(POD(",\"spec\":3"), POD_ERR "json: cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec");
    check_refused(POD(",\"spec\":{\"hostNetwork\":\"yes\"}"),
                  POD_ERR "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool");
    check_refused(POD(",\"metadata\":{\"labels\":{\"a\":true}}"),
                  POD_ERR "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string");
    check_refused(POD(",\"metadata\":{\"labels\":[]}"),
                  POD_ERR "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string");
    check_refused(POD(",\"spec\":{\"priority\":2147483648}"),
                  POD_ERR "json: cannot unmarshal number 2147483648 into Go struct field PodSpec.spec.priority of type int32");
    check_refused(POD(",\"spec\":{\"priority\":1.0}"),
                  POD_ERR "json: cannot unmarshal number 1.0 into Go struct field PodSpec.spec.priority of type int32");
    check_refused(POD(",\"metadata\":{\"generation\":9223372036854775808}"),
                  POD_ERR "json: cannot unmarshal number 9223372036854775808 into Go struct field ObjectMeta.metadata.generation of type int64");
    check_refused(CM(",\"binaryData\":{\"a\":\"AA!=\"}"),
                  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: illegal base64 data at input byte 2");
    check_refused(CM(",\"metadata\":{\"creationTimestamp\":\"2020-01-01\"}"),
                  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: parsing time \"2020-01-01\" as "
                  "\"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\"");
    check_refused(CM(",\"metadata\":{\"creationTimestamp\":\"soon\"}"),
                  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: parsing time \"soon\" as "
                  "\"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\"");
    check_refused(CM(",\"data\":{\"a\":\"x\\u0000y\"}"),
                  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal string with a NUL "
                  "character into Go struct field ConfigMap.data of type string");
}

static void
the_limits_of_integers_are_exact(void **state)
{
    AUTO(object) *obj = decoded(POD(",\"metadata\":{\"generation\":-9223372036854775808,\"deletionGracePeriodSeconds\":9223372036854775807},"
                                    "\"spec\":{\"priority\":-2147483648}"), NULL);
    const struct pod *pod = object_body(obj);

    assert_true(pod->metadata.generation == INT64_MIN);
    assert_true(*pod->metadata.deletion_grace_period_seconds == INT64_MAX);
    assert_true(*pod->spec.priority == INT32_MIN);
    check_refused(POD(",\"metadata\":{\"generation\":-9223372036854775809}"),
                  POD_ERR "json: cannot unmarshal number -9223372036854775809 into Go struct field ObjectMeta.metadata.generation of type int64");
}

/* Broken syntax anywhere wins over a wrong type before it. */
static void
bad_syntax_is_refused(void **state)
{
    static const struct {
        const char *json, *message;
    } bad[] = {
        { POD(",\"spec\":{\"priority\":\"x\"},"), POD_ERR "invalid character '}' looking for beginning of object key string" },
        { POD(",\"spec\":{\"priority\":01}"), POD_ERR "invalid character '1' after object key:value pair" },
        { POD(",\"spec\":{\"priority\":+1}"), POD_ERR "invalid character '+' looking for beginning of value" },
        { POD(",\"spec\":{\"priority\":1.}"), POD_ERR "invalid character '}' after decimal point in numeric literal" },
        { POD(",\"spec\":{\"priority\":1e}"), POD_ERR "invalid character '}' in exponent of numeric literal" },
        { POD(",\"spec\":{\"priority\":-}"), POD_ERR "invalid character '}' in numeric literal" },
        { POD(",\"spec\":{\"hostNetwork\":trux}"), POD_ERR "invalid character 'x' in literal true (expecting 'e')" },
        { POD(",\"spec\":nulL"), POD_ERR "invalid character 'L' in literal null (expecting 'l')" },
        { POD(",\"spec\":{\"nodeName\":\"a\nb\"}"), POD_ERR "invalid character '\\n' in string literal" },
        { POD(",\"spec\":{\"nodeName\":\"\\x\"}"), POD_ERR "invalid character 'x' in string escape code" },
        { POD(",\"spec\":{\"nodeName\":\"\\u12g4\"}"), POD_ERR "invalid character 'g' in \\u hexadecimal character escape" },
        { POD(",\"spec\":{\"nodeName\" \"a\"}"), POD_ERR "invalid character '\"' after object key" },
        { POD(",\"spec\":{\"containers\":[1 2]}"), POD_ERR "invalid character '2' after array element" },
        { POD(",\"unknown\":[1,]"), POD_ERR "invalid character ']' looking for beginning of value" },
        { POD("") " x", POD_ERR "invalid character 'x' after top-level value" },
        { POD("") "{}", POD_ERR "invalid character '{' after top-level value" },
        { "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{", POD_ERR "unexpected end of JSON input" },
        { "{\"apiVersion\":\"v1\",\"kind\":\"Pod", "couldn't get version/kind; json parse error: unexpected end of JSON input" },
        { "", "couldn't get version/kind; json parse error: unexpected end of JSON input" },
        { "{}", "Object 'Kind' is missing in '{}'" },
        { "{\"kind\":\"Pod\"}", "Object 'apiVersion' is missing in '{\"kind\":\"Pod\"}'" },
        { "{\"kind\":\"Pad\",\"apiVersion\":\"v1\"}", "no kind \"Pad\" is registered for version \"v1\"" },
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_refused(bad[i].json, bad[i].message);
}

static void
nesting_is_bounded(void **state)
{
    struct object *obj = NULL;
    AUTO_SBUF json = { 0 };

    sbuf_adds(&json, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"x\":");
    for (int i = 0; i < 100000; i++)
        sbuf_addc(&json, '[');
    AUTO(kerr) *err = object_decode_json(json.s, json.len, NULL, NULL, &obj);
    assert_non_null(err);
    assert_string_equal(err->message, POD_ERR "exceeded max depth");
    /* a schema nests in a typed way */
    sbuf_clear(&json);
    sbuf_adds(&json, "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"spec\":{\"versions\":[{\"schema\":{\"openAPIV3Schema\":");
    for (int i = 0; i < 100000; i++)
        sbuf_adds(&json, "{\"not\":");
    kerr_free(err);
    err = object_decode_json(json.s, json.len, NULL, NULL, &obj);
    assert_non_null(err);
    assert_non_null(strstr(err->message, "exceeded max depth"));
}

static void
amplification_is_bounded(void **state)
{
    struct object *obj = NULL;
    AUTO_SBUF json = { 0 };

    sbuf_adds(&json, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"containers\":[{}");
    for (int i = 0; i < 1000000; i++)
        sbuf_adds(&json, ",{}");
    sbuf_adds(&json, "]}}");
    AUTO(kerr) *err = object_decode_json(json.s, json.len, NULL, NULL, &obj);
    assert_non_null(err);
    assert_string_equal(err->message, POD_ERR "exceeded max decoded size");
}

static void
strict_findings_have_upstream_texts(void **state)
{
    struct codec_report report = { .collect = true };
    AUTO(object) *obj = decoded(
        POD(",\"foo\":1,\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"},\"Name\":\"x\"},"
            "\"spec\":{\"containers\":[{},{\"name\":\"a\",\"name\":\"b\",\"ports\":[{\"x\\\"y\":{}}]}],\"nodeName\":\"m\",\"nodeName\":\"n\"},\"foo\":2"),
        &report);
    const struct pod *pod = object_body(obj);

    static const char *const want[] = {
        "unknown field \"foo\"",
        "duplicate field \"metadata.labels.a\"",
        "unknown field \"metadata.Name\"", /* names are case-sensitive */
        "duplicate field \"spec.containers[1].name\"",
        "unknown field \"spec.containers[1].ports[0].x\\\"y\"",
        "duplicate field \"spec.nodeName\"",
    };
    assert_int_equal(report.findings.len, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        if (!strlist_has(&report.findings, want[i]))
            fail_msg("missing: %s", want[i]);
    }
    /* the last one counts */
    assert_string_equal(pod->spec.node_name, "n");
    assert_int_equal(pod->metadata.labels.len, 2);
    assert_string_equal(pod->metadata.labels.items[0].value, "3");
    strlist_done(&report.findings);
}

static void
findings_are_bounded(void **state)
{
    struct codec_report report = { .collect = true };
    AUTO_SBUF json = { 0 };

    sbuf_adds(&json, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"");
    for (int i = 0; i < 1000; i++)
        sbuf_addf(&json, ",\"u%d\":%d", i, i);
    sbuf_addc(&json, '}');
    AUTO(object) *obj = decoded(json.s, &report);
    assert_non_null(obj);
    assert_int_equal(report.findings.len, 100);
    strlist_done(&report.findings);
}

static void
big_lists_and_maps_keep_order_and_content(void **state)
{
    AUTO_SBUF json = { 0 };

    sbuf_adds(&json, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"labels\":{");
    for (int i = 3000; i > 0; i--)
        sbuf_addf(&json, "\"k%05d\":\"%d\"%s", i, i, i > 1 ? "," : "}},");
    sbuf_adds(&json, "\"spec\":{\"containers\":[");
    for (int i = 0; i < 500; i++) {
        sbuf_addf(&json, "%s{\"name\":\"c%d\",\"args\":[", i ? "," : "", i);
        for (int j = 0; j < 40; j++)
            sbuf_addf(&json, "%s\"%d-%d\"", j ? "," : "", i, j);
        sbuf_adds(&json, "]}");
    }
    sbuf_adds(&json, "]}}");
    AUTO(object) *obj = decoded(json.s, NULL);
    const struct pod *pod = object_body(obj);

    assert_int_equal(pod->metadata.labels.len, 3000);
    for (uint32_t i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05u", i + 1);
        assert_string_equal(pod->metadata.labels.items[i].key, key);
    }
    assert_int_equal(pod->spec.containers.len, 500);
    for (uint32_t i = 0; i < 500; i++) {
        char text[32];
        snprintf(text, sizeof text, "%u-39", i);
        assert_int_equal(pod->spec.containers.items[i].args.len, 40);
        assert_string_equal(pod->spec.containers.items[i].args.items[39], text);
    }
}

static void
raw_json_is_kept_compact(void **state)
{
    AUTO(object) *obj = decoded("{\"apiVersion\":\"apps/v1\",\"kind\":\"ControllerRevision\",\"data\": { \"a b\" : [ 1 , \" x \\\" y\" ] , \"c\":{ } } ,\"revision\":2}", NULL);
    const struct controller_revision *cr = object_body(obj);

    assert_string_equal(cr->data.json, "{\"a b\":[1,\" x \\\" y\"],\"c\":{}}");
    assert_int_equal(cr->data.len, strlen(cr->data.json));
}

static void
schemas_take_their_other_forms(void **state)
{
    static const char json[] =
        "{\"kind\":\"CustomResourceDefinition\",\"apiVersion\":\"apiextensions.k8s.io/v1\",\"metadata\":{},"
        "\"spec\":{\"group\":\"\",\"names\":{\"plural\":\"\",\"kind\":\"\"},\"scope\":\"\",\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,"
        "\"schema\":{\"openAPIV3Schema\":{\"maximum\":1e-7,\"minimum\":1.5,\"multipleOf\":1e+21,\"enum\":[\"a\",1],"
        "\"items\":{\"type\":\"string\"},\"allOf\":[{\"items\":[{\"type\":\"a\"},{}]}],\"properties\":{\"p\":{\"additionalProperties\":false},\"q\":{\"additionalProperties\":{\"type\":\"x\"}}},"
        "\"additionalProperties\":true,\"dependencies\":{\"d\":[\"a\",\"b\"],\"e\":{\"type\":\"string\"}}}}}]},"
        "\"status\":{\"conditions\":null,\"acceptedNames\":{\"plural\":\"\",\"kind\":\"\"},\"storedVersions\":null}}";
    AUTO(object) *obj = decoded(json, NULL);
    AUTO_SBUF out = { 0 };

    object_encode_json(obj, &out);
    AUTO_SBUF want = { 0 };
    sbuf_adds(&want, json);
    /* 1e-7 and 1e+21 in Go's form already */
    assert_string_equal(out.s, want.s);
}

static int items_seen;

static void
take_item(struct object *obj, void *arg)
{
    assert_string_equal(object_kind(obj)->kind, "Pod");
    assert_string_equal(((const struct pod *)object_body(obj))->type_meta.kind, "Pod");
    assert_int_equal(object_name(obj)[0], 'a' + items_seen);
    items_seen++;
    object_unref(obj);
}

static void
lists_are_walked(void **state)
{
    static const char json[] = "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{\"name\":\"b\"}}],"
                               "\"metadata\":{\"resourceVersion\":\"12\",\"continue\":\"abc\",\"remainingItemCount\":7}}";
    struct list_head_info info = { 0 };
    const struct api_kind *pod = api_kind_find("v1", "Pod");

    items_seen = 0;
    assert_null(list_decode_json(json, strlen(json), pod, take_item, NULL, &info));
    assert_int_equal(items_seen, 2);
    assert_string_equal(info.resource_version, "12");
    assert_string_equal(info.continue_token, "abc");
    assert_int_equal(info.remaining_item_count, 7);
    list_head_info_done(&info);
    assert_null(list_decode_json("{\"items\":null}", 14, pod, take_item, NULL, &info));
    assert_int_equal(info.remaining_item_count, -1);
    list_head_info_done(&info);

    for (size_t len = 0; len < strlen(json); len++) { /* cut anywhere: refused, nothing leaks */
        items_seen = 0;
        AUTO(kerr) *err = list_decode_json(json, len, pod, take_item, NULL, &info);
        assert_non_null(err);
    }
    items_seen = 0;
    AUTO(kerr) *err = list_decode_json("{\"items\":[{\"spec\":1}]}", 22, pod, take_item, NULL, &info);
    assert_string_equal(err->message, "PodList item 0: json: cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec");
}

static void
known_kind_checks_the_document(void **state)
{
    const struct api_kind *cm = api_kind_find("v1", "ConfigMap");
    struct object *obj = NULL;

    assert_null(object_decode_json("{\"data\":{}}", 11, cm, NULL, &obj));
    assert_string_equal(((const struct config_map *)object_body(obj))->type_meta.api_version, "v1");
    object_unref(obj);
    AUTO(kerr) *err = object_decode_json(POD(""), strlen(POD("")), cm, NULL, &obj);
    assert_non_null(strstr(err->message, "Pod in version \"v1\" cannot be handled as a ConfigMap"));
    kerr_free(err);
    err = object_decode_json("{\"apiVersion\":\"apps/v1\"}", 24, cm, NULL, &obj);
    assert_string_equal(err->message, "the API version in the data (apps/v1) does not match the expected API version (v1)");
    kerr_free(err);
    err = object_decode_json("nope", 4, cm, NULL, &obj);
    assert_string_equal(err->message, "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json "
                                      "parse error: invalid character 'o' in literal null (expecting 'u') (nope)");
}

/* kubectl sends DeleteOptions under the version of what it deletes. */
static void
options_come_under_any_version(void **state)
{
    static const char json[] = "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"apps/v1\",\"gracePeriodSeconds\":5}";
    struct object *obj = NULL;
    AUTO_SBUF pb = { 0 };

    assert_null(object_decode_json(json, strlen(json), api_kind_find("v1", "DeleteOptions"), NULL, &obj));
    assert_int_equal(*OBJECT_BODY(obj, delete_options)->grace_period_seconds, 5);
    object_encode_pb(obj, &pb);
    object_unref(obj);
    assert_null(object_decode_pb(pb.s, pb.len, api_kind_find("apps/v1", "DeleteOptions"), &obj));
    object_unref(obj);
}

/* Cut at every byte and with every byte replaced: never accepted half, never a crash (run under ASan). */
static void
mangled_input_survives(void **state)
{
    static const char json[] = POD(",\"metadata\":{\"name\":\"a\\u00e9\",\"labels\":{\"b\":\"1\",\"a\":\"2\"},\"creationTimestamp\":\"2020-01-02T03:04:05Z\"},"
                                   "\"spec\":{\"containers\":[{\"name\":\"c\",\"args\":[\"x\"],\"resources\":{\"limits\":{\"cpu\":\"1\"}}}]}");
    static const char with[] = "\0\"\\{}[]:,x1 \xff";

    for (size_t i = 0; i < sizeof json - 1; i++) {
        struct object *obj = NULL;
        char *cut = xmemdup(json, i); /* exact size, so that ASan sees reads past it */
        AUTO(kerr) *err = object_decode_json(cut, i, NULL, NULL, &obj);
        assert_non_null(err);
        free(cut);
        for (size_t j = 0; j < sizeof with - 1; j++) {
            char *bad = xmemdup(json, sizeof json - 1);
            struct codec_report report = { .collect = true };
            bad[i] = with[j];
            obj = NULL;
            AUTO(kerr) *why = object_decode_json(bad, sizeof json - 1, NULL, &report, &obj);
            assert_true((why == NULL) == (obj != NULL));
            object_unref(obj);
            strlist_done(&report.findings);
            free(bad);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_land_where_they_belong),
        cmocka_unit_test(null_is_the_zero_value_everywhere),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(wrong_types_are_named_as_upstream_does),
        cmocka_unit_test(the_limits_of_integers_are_exact),
        cmocka_unit_test(bad_syntax_is_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(amplification_is_bounded),
        cmocka_unit_test(strict_findings_have_upstream_texts),
        cmocka_unit_test(findings_are_bounded),
        cmocka_unit_test(big_lists_and_maps_keep_order_and_content),
        cmocka_unit_test(raw_json_is_kept_compact),
        cmocka_unit_test(schemas_take_their_other_forms),
        cmocka_unit_test(lists_are_walked),
        cmocka_unit_test(known_kind_checks_the_document),
        cmocka_unit_test(options_come_under_any_version),
        cmocka_unit_test(mangled_input_survives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
