// SPDX-License-Identifier: Apache-2.0
/* Kinds that share stored objects: what one version writes, the other reads. */
#include "apiserver/registry/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/api/codec.h"

/* `in` as `to` must encode as `out`. */
static void
check(const char *in, const char *to_version, const char *out)
{
    struct object *obj = NULL;
    AUTO(object) *result = NULL;
    AUTO_SBUF text = { 0 };
    struct kerr *err = object_decode_json(in, strlen(in), NULL, NULL, &obj);

    if (!err)
        err = convert_object(obj, api_kind_find(to_version, object_kind(obj)->kind), &result);
    if (err)
        fail_msg("%s: %s", in, err->message);
    object_encode_json(result, &text);
    if (strcmp(sbuf_str(&text), out) != 0)
        fail_msg("\nin:   %s\ngot:  %s\nwant: %s", in, sbuf_str(&text), out);
}

static void
both_ways(const char *one, const char *one_version, const char *other, const char *other_version)
{
    check(one, other_version, other);
    check(other, one_version, one);
}

static void
events(void **state)
{
    (void)state;
    both_ways("{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"e\",\"namespace\":\"n\"},"
              "\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"p\"},\"reason\":\"R\",\"message\":\"m\",\"source\":{\"component\":\"c\",\"host\":\"h\"},"
              "\"firstTimestamp\":\"2026-01-01T00:00:00Z\",\"lastTimestamp\":\"2026-01-02T00:00:00Z\",\"count\":3,\"type\":\"Normal\","
              "\"eventTime\":\"2026-01-01T00:00:00.000001Z\",\"series\":{\"count\":2,\"lastObservedTime\":\"2026-01-01T00:00:00.000002Z\"},"
              "\"action\":\"A\",\"related\":{\"kind\":\"Node\"},\"reportingComponent\":\"rc\",\"reportingInstance\":\"ri\"}",
              "v1",
              "{\"kind\":\"Event\",\"apiVersion\":\"events.k8s.io/v1\",\"metadata\":{\"name\":\"e\",\"namespace\":\"n\"},"
              "\"eventTime\":\"2026-01-01T00:00:00.000001Z\",\"series\":{\"count\":2,\"lastObservedTime\":\"2026-01-01T00:00:00.000002Z\"},"
              "\"reportingController\":\"rc\",\"reportingInstance\":\"ri\",\"action\":\"A\",\"reason\":\"R\",\"regarding\":{\"kind\":\"Pod\",\"name\":\"p\"},"
              "\"related\":{\"kind\":\"Node\"},\"note\":\"m\",\"type\":\"Normal\",\"deprecatedSource\":{\"component\":\"c\",\"host\":\"h\"},"
              "\"deprecatedFirstTimestamp\":\"2026-01-01T00:00:00Z\",\"deprecatedLastTimestamp\":\"2026-01-02T00:00:00Z\",\"deprecatedCount\":3}",
              "events.k8s.io/v1");
}

#define V1(annotations, cpu, current)                                                                                            \
    "{\"kind\":\"HorizontalPodAutoscaler\",\"apiVersion\":\"autoscaling/v1\",\"metadata\":{\"name\":\"h\"" annotations "},"      \
    "\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\",\"apiVersion\":\"apps/v1\"},\"minReplicas\":1,\"maxReplicas\":3" cpu \
    "},\"status\":{\"currentReplicas\":1,\"desiredReplicas\":2" current "}}"
#define V2(spec, status)                                                                                                         \
    "{\"kind\":\"HorizontalPodAutoscaler\",\"apiVersion\":\"autoscaling/v2\",\"metadata\":{\"name\":\"h\"},"                     \
    "\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\",\"apiVersion\":\"apps/v1\"},\"minReplicas\":1,\"maxReplicas\":3" spec \
    "},\"status\":{\"currentReplicas\":1,\"desiredReplicas\":2" status "}}"
#define CPU "{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":50}}}"

static void
autoscalers(void **state)
{
    (void)state;
    both_ways(V1("", ",\"targetCPUUtilizationPercentage\":50", ""), "autoscaling/v1", V2(",\"metrics\":[" CPU "]", ",\"currentMetrics\":null"), "autoscaling/v2");
    both_ways(V1(",\"annotations\":{"
                 "\"autoscaling.alpha.kubernetes.io/behavior\":\"{\\\"scaleDown\\\":{\\\"stabilizationWindowSeconds\\\":5}}\","
                 "\"autoscaling.alpha.kubernetes.io/metrics\":\"[{\\\"type\\\":\\\"Pods\\\",\\\"pods\\\":{\\\"metricName\\\":\\\"rps\\\",\\\"targetAverageValue\\\":\\\"1k\\\"}},"
                 "{\\\"type\\\":\\\"External\\\",\\\"external\\\":{\\\"metricName\\\":\\\"q\\\",\\\"targetValue\\\":\\\"7\\\"}}]\"}",
                 ",\"targetCPUUtilizationPercentage\":50", ""),
              "autoscaling/v1",
              V2(",\"metrics\":[" CPU ",{\"type\":\"Pods\",\"pods\":{\"metric\":{\"name\":\"rps\"},\"target\":{\"type\":\"AverageValue\",\"averageValue\":\"1k\"}}},"
                 "{\"type\":\"External\",\"external\":{\"metric\":{\"name\":\"q\"},\"target\":{\"type\":\"Value\",\"value\":\"7\"}}}],"
                 "\"behavior\":{\"scaleDown\":{\"stabilizationWindowSeconds\":5}}",
                 ",\"currentMetrics\":null"),
              "autoscaling/v2");
    check(V1(",\"annotations\":{\"autoscaling.alpha.kubernetes.io/metrics\":\"nonsense\",\"keep\":\"me\"}", "", ""), "autoscaling/v1",
          V1(",\"annotations\":{\"autoscaling.alpha.kubernetes.io/metrics\":\"nonsense\",\"keep\":\"me\"}", "", ""));
}

static void
no_way(void **state)
{
    struct object *result = NULL;
    (void)state;
    AUTO(kerr) *err = convert_object(object_new_of("v1", "Pod"), api_kind_find("v1", "Node"), &result);

    assert_non_null(err);
    assert_null(result);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(autoscalers),
        cmocka_unit_test(no_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
