// SPDX-License-Identifier: Apache-2.0
/* What the server adds to small objects.  `spec` and the like are compared as JSON, in Go's field order. */
#include "apiserver/registry/defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/api/codec.h"

struct row {
    const char *in, *out;
};

static void
apply(struct object *obj)
{
    api_default_static(object_kind(obj)->type, object_arena(obj), object_body(obj));
    defaults_apply(object_kind(obj), object_arena(obj), object_body(obj));
}

static void
check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(object) *obj = NULL;
        AUTO_SBUF out = { 0 };
        struct kerr *err = object_decode_json(rows[i].in, strlen(rows[i].in), NULL, NULL, &obj);
        if (err)
            fail_msg("%s: %s", rows[i].in, err->message);
        apply(obj);
        object_encode_json(obj, &out);
        if (strcmp(sbuf_str(&out), rows[i].out) != 0)
            fail_msg("\nin:   %s\ngot:  %s\nwant: %s", rows[i].in, sbuf_str(&out), rows[i].out);
        apply(obj); /* once more changes nothing */
        sbuf_clear(&out);
        object_encode_json(obj, &out);
        assert_string_equal(sbuf_str(&out), rows[i].out);
    }
}

#define META(kind, api) "{\"kind\":\"" kind "\",\"apiVersion\":\"" api "\",\"metadata\":{\"name\":\"x\"}"
#define CONTAINER_END "\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\","
#define POD_END                                                                                                        \
    "\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\","                \
    "\"securityContext\":{},\"schedulerName\":\"default-scheduler\""
#define TEMPLATE_IN "\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"
#define TEMPLATE_OUT                                                                                                   \
    "\"template\":{\"metadata\":{},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"resources\":{},"       \
    CONTAINER_END "\"imagePullPolicy\":\"IfNotPresent\"}]," POD_END "}}"

static void
pods(void **state)
{
    static const struct row rows[] = {
        { META("Pod", "v1") ",\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\"}]}}",
          META("Pod", "v1") ",\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"resources\":{}," CONTAINER_END
          "\"imagePullPolicy\":\"Always\"}]," POD_END ",\"enableServiceLinks\":true},\"status\":{\"phase\":\"Pending\"}}" },
        { META("Pod", "v1") ",\"spec\":{\"hostNetwork\":true,\"serviceAccount\":\"sa\",\"containers\":[{\"name\":\"c\",\"image\":"
                            "\"r.io:5000/a/b@sha256:0\",\"ports\":[{\"containerPort\":80}],\"resources\":{\"limits\":{\"cpu\":"
                            "\"0.5\",\"memory\":\"1024Mi\"},\"requests\":{\"cpu\":\"0.1\"}},\"livenessProbe\":{\"httpGet\":{"
                            "\"port\":80}}}]}}",
          META("Pod", "v1") ",\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"r.io:5000/a/b@sha256:0\",\"ports\":[{"
                            "\"hostPort\":80,\"containerPort\":80,\"protocol\":\"TCP\"}],\"resources\":{\"limits\":{\"cpu\":"
                            "\"500m\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"100m\",\"memory\":\"1Gi\"}},\"livenessProbe\":{"
                            "\"httpGet\":{\"path\":\"/\",\"port\":80,\"scheme\":\"HTTP\"},\"timeoutSeconds\":1,"
                            "\"periodSeconds\":10,\"successThreshold\":1,\"failureThreshold\":3}," CONTAINER_END
                            "\"imagePullPolicy\":\"IfNotPresent\"}],\"restartPolicy\":\"Always\","
                            "\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\",\"serviceAccountName\":\"sa\","
                            "\"serviceAccount\":\"sa\",\"hostNetwork\":true,\"securityContext\":{},\"schedulerName\":"
                            "\"default-scheduler\",\"enableServiceLinks\":true},\"status\":{\"phase\":\"Pending\"}}" },
        { META("PodTemplate", "v1") ",\"template\":{\"spec\":{\"volumes\":[{\"name\":\"a\"},{\"name\":\"b\",\"secret\":{"
                                    "\"secretName\":\"s\"}},{\"name\":\"c\",\"hostPath\":{\"path\":\"/\"}},{\"name\":\"d\","
                                    "\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"t\"}},{\"downwardAPI\":{"
                                    "\"items\":[{\"path\":\"p\",\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}]}}]}}],"
                                    "\"containers\":null}}}",
          META("PodTemplate", "v1") ",\"template\":{\"metadata\":{},\"spec\":{\"volumes\":[{\"name\":\"a\",\"emptyDir\":{}},{"
                                    "\"name\":\"b\",\"secret\":{\"secretName\":\"s\",\"defaultMode\":420}},{\"name\":\"c\","
                                    "\"hostPath\":{\"path\":\"/\",\"type\":\"\"}},{\"name\":\"d\",\"projected\":{\"sources\":[{"
                                    "\"serviceAccountToken\":{\"expirationSeconds\":3600,\"path\":\"t\"}},{\"downwardAPI\":{"
                                    "\"items\":[{\"path\":\"p\",\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":"
                                    "\"metadata.name\"}}]}}],\"defaultMode\":420}}],\"containers\":null," POD_END "}}}" },
    };

    check(rows, ARRAY_LEN(rows));
}

static void
workloads(void **state)
{
    static const struct row rows[] = {
        { META("Deployment", "apps/v1") ",\"spec\":{" TEMPLATE_IN "}}",
          META("Deployment", "apps/v1") ",\"spec\":{\"replicas\":1,\"selector\":null," TEMPLATE_OUT
          ",\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"25%\",\"maxSurge\":\"25%\"}},"
          "\"revisionHistoryLimit\":10,\"progressDeadlineSeconds\":600},\"status\":{}}" },
        { META("DaemonSet", "apps/v1") ",\"spec\":{" TEMPLATE_IN "}}",
          META("DaemonSet", "apps/v1") ",\"spec\":{\"selector\":null," TEMPLATE_OUT
          ",\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":1,\"maxSurge\":0}},"
          "\"revisionHistoryLimit\":10},\"status\":{\"currentNumberScheduled\":0,\"numberMisscheduled\":0,"
          "\"desiredNumberScheduled\":0,\"numberReady\":0}}" },
        { META("StatefulSet", "apps/v1") ",\"spec\":{\"serviceName\":\"s\",\"volumeClaimTemplates\":[{\"metadata\":{\"name\":"
                                         "\"v\"},\"spec\":{}}]," TEMPLATE_IN "}}",
          META("StatefulSet", "apps/v1") ",\"spec\":{\"replicas\":1,\"selector\":null," TEMPLATE_OUT
          ",\"volumeClaimTemplates\":[{\"kind\":\"PersistentVolumeClaim\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"v\"},"
          "\"spec\":{\"resources\":{},\"volumeMode\":\"Filesystem\"},\"status\":{\"phase\":\"Pending\"}}],\"serviceName\":\"s\","
          "\"podManagementPolicy\":\"OrderedReady\",\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{"
          "\"partition\":0}},\"revisionHistoryLimit\":10,\"persistentVolumeClaimRetentionPolicy\":{\"whenDeleted\":\"Retain\","
          "\"whenScaled\":\"Retain\"}},\"status\":{\"replicas\":0,\"availableReplicas\":0}}" },
        { META("Job", "batch/v1") ",\"spec\":{" TEMPLATE_IN "}}",
          META("Job", "batch/v1") ",\"spec\":{\"parallelism\":1,\"completions\":1,\"backoffLimit\":6,\"manualSelector\":false,"
          TEMPLATE_OUT ",\"completionMode\":\"NonIndexed\",\"suspend\":false,\"podReplacementPolicy\":\"TerminatingOrFailed\"},"
          "\"status\":{}}" },
        { META("CronJob", "batch/v1") ",\"spec\":{\"schedule\":\"@daily\",\"jobTemplate\":{\"spec\":{" TEMPLATE_IN "}}}}",
          META("CronJob", "batch/v1") ",\"spec\":{\"schedule\":\"@daily\",\"concurrencyPolicy\":\"Allow\",\"suspend\":false,"
          "\"jobTemplate\":{\"metadata\":{},\"spec\":{" TEMPLATE_OUT "}},\"successfulJobsHistoryLimit\":3,"
          "\"failedJobsHistoryLimit\":1},\"status\":{}}" },
    };

    check(rows, ARRAY_LEN(rows));
}

static void
others(void **state)
{
    static const struct row rows[] = {
        { META("Service", "v1") ",\"spec\":{\"ports\":[{\"port\":80}]}}",
          META("Service", "v1") ",\"spec\":{\"ports\":[{\"protocol\":\"TCP\",\"port\":80,\"targetPort\":80}],\"type\":\"ClusterIP\","
          "\"sessionAffinity\":\"None\",\"internalTrafficPolicy\":\"Cluster\"},\"status\":{\"loadBalancer\":{}}}" },
        { META("Service", "v1") ",\"spec\":{\"type\":\"LoadBalancer\",\"sessionAffinity\":\"ClientIP\"}}",
          META("Service", "v1") ",\"spec\":{\"type\":\"LoadBalancer\",\"sessionAffinity\":\"ClientIP\",\"externalTrafficPolicy\":"
          "\"Cluster\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":10800}},\"allocateLoadBalancerNodePorts\":true,"
          "\"internalTrafficPolicy\":\"Cluster\"},\"status\":{\"loadBalancer\":{}}}" },
        { META("Secret", "v1") ",\"data\":{\"b\":\"Yg==\",\"z\":\"eg==\"},\"stringData\":{\"a\":\"a\",\"z\":\"new\"}}",
          META("Secret", "v1") ",\"data\":{\"a\":\"YQ==\",\"b\":\"Yg==\",\"z\":\"bmV3\"},\"type\":\"Opaque\"}" },
        { META("Namespace", "v1") "}",
          "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\",\"labels\":{\"kubernetes.io/metadata.name\":"
          "\"x\"}},\"spec\":{},\"status\":{\"phase\":\"Active\"}}" },
        { META("NetworkPolicy", "networking.k8s.io/v1") ",\"spec\":{\"egress\":[{\"ports\":[{\"port\":53}]}]}}",
          META("NetworkPolicy", "networking.k8s.io/v1") ",\"spec\":{\"podSelector\":{},\"egress\":[{\"ports\":[{\"protocol\":"
          "\"TCP\",\"port\":53}]}],\"policyTypes\":[\"Ingress\",\"Egress\"]}}" },
        { META("ClusterRoleBinding", "rbac.authorization.k8s.io/v1") ",\"subjects\":[{\"kind\":\"User\",\"name\":\"u\"},{\"kind\":"
          "\"ServiceAccount\",\"name\":\"s\",\"namespace\":\"n\"}],\"roleRef\":{\"kind\":\"ClusterRole\",\"name\":\"r\"}}",
          META("ClusterRoleBinding", "rbac.authorization.k8s.io/v1") ",\"subjects\":[{\"kind\":\"User\",\"apiGroup\":"
          "\"rbac.authorization.k8s.io\",\"name\":\"u\"},{\"kind\":\"ServiceAccount\",\"name\":\"s\",\"namespace\":\"n\"}],"
          "\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"r\"}}" },
        { META("StorageClass", "storage.k8s.io/v1") ",\"provisioner\":\"p\"}",
          META("StorageClass", "storage.k8s.io/v1") ",\"provisioner\":\"p\",\"reclaimPolicy\":\"Delete\",\"volumeBindingMode\":"
          "\"Immediate\"}" },
        { META("HorizontalPodAutoscaler", "autoscaling/v2") ",\"spec\":{\"scaleTargetRef\":{\"kind\":\"D\",\"name\":\"d\"},"
          "\"maxReplicas\":3,\"behavior\":{}}}",
          META("HorizontalPodAutoscaler", "autoscaling/v2") ",\"spec\":{\"scaleTargetRef\":{\"kind\":\"D\",\"name\":\"d\"},"
          "\"minReplicas\":1,\"maxReplicas\":3,\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{"
          "\"type\":\"Utilization\",\"averageUtilization\":80}}}],\"behavior\":{\"scaleUp\":{\"stabilizationWindowSeconds\":0,"
          "\"selectPolicy\":\"Max\",\"policies\":[{\"type\":\"Pods\",\"value\":4,\"periodSeconds\":15},{\"type\":\"Percent\","
          "\"value\":100,\"periodSeconds\":15}]},\"scaleDown\":{\"selectPolicy\":\"Max\",\"policies\":[{\"type\":\"Percent\","
          "\"value\":100,\"periodSeconds\":15}]}}},\"status\":{\"desiredReplicas\":0,\"currentMetrics\":null}}" },
        { META("LimitRange", "v1") ",\"spec\":{\"limits\":[{\"type\":\"Container\",\"max\":{\"cpu\":\"2\"},\"min\":{\"memory\":"
          "\"0.5Gi\"}}]}}",
          META("LimitRange", "v1") ",\"spec\":{\"limits\":[{\"type\":\"Container\",\"max\":{\"cpu\":\"2\"},\"min\":{\"memory\":"
          "\"512Mi\"},\"default\":{\"cpu\":\"2\"},\"defaultRequest\":{\"cpu\":\"2\",\"memory\":\"512Mi\"}}]}}" },
    };

    check(rows, ARRAY_LEN(rows));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pods),
        cmocka_unit_test(workloads),
        cmocka_unit_test(others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
