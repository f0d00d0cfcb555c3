// SPDX-License-Identifier: Apache-2.0
/* The cells of `kubectl get`, and how long ago things were. */
#include "apiserver/rest/printers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

#include "common/api/codec.h"

enum { NOW = 1767268800 }; /* 2026-01-01T12:00:00Z */

static const struct {
    int64_t s;
    const char *want;
} durations[] = {
    { -100, "<invalid>" }, { -2, "<invalid>" }, { -1, "0s" }, { 0, "0s" }, { 1, "1s" }, { 119, "119s" }, { 120, "2m" }, { 121, "2m1s" },
    { 599, "9m59s" }, { 600, "10m" }, { 659, "10m" }, { 3600, "60m" }, { 3 * 3600 - 1, "179m" }, { 3 * 3600, "3h" }, { 3 * 3600 + 61, "3h1m" },
    { 8 * 3600 - 1, "7h59m" }, { 8 * 3600, "8h" }, { 48 * 3600 - 1, "47h" }, { 48 * 3600, "2d" }, { 49 * 3600, "2d1h" }, { 8 * 86400 - 1, "7d23h" },
    { 8 * 86400, "8d" }, { 2 * 365 * 86400ll - 1, "729d" }, { 2 * 365 * 86400ll, "2y" }, { (2 * 365 + 1) * 86400ll, "2y1d" },
    { 8 * 365 * 86400ll - 1, "7y364d" }, { 8 * 365 * 86400ll, "8y" }, { (8 * 365 + 30) * 86400ll, "8y" },
};

static void
human_durations(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        AUTO_SBUF got = { 0 };
        human_duration(durations[i].s, &got);
        if (strcmp(sbuf_str(&got), durations[i].want) != 0)
            fail_msg("%lld s: got %s, want %s", (long long)durations[i].s, sbuf_str(&got), durations[i].want);
    }
}

struct row {
    const char *json, *cells;
};

static void
check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(object) *obj = NULL;
        AUTO_SBUF cells = { 0 };
        AUTO(kerr) *err = object_decode_json(rows[i].json, strlen(rows[i].json), NULL, NULL, &obj);
        if (err)
            fail_msg("%s: %s", rows[i].json, err->message);
        const struct printer *p = printer_of(object_kind(obj));
        sbuf_addc(&cells, '[');
        p->row(obj, NOW, &cells);
        sbuf_addc(&cells, ']');
        json_t *tree = json_loads(sbuf_str(&cells), 0, NULL);
        AUTO_FREE char *got = json_dumps(tree, JSON_COMPACT); /* without \u003c for < */
        assert_int_equal(json_array_size(tree), p->ncolumns);
        json_decref(tree);
        if (strcmp(got, rows[i].cells) != 0)
            fail_msg("\nin:   %s\ngot:  %s\nwant: %s", rows[i].json, got, rows[i].cells);
    }
}

#define POD_OF(meta, spec, status)                                                                                                                   \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"creationTimestamp\":\"2026-01-01T11:59:00Z\"" meta "},\"spec\":{" spec   \
    "},\"status\":{" status "}}"
#define C1 "\"containers\":[{\"name\":\"c\"}]"
#define C2 "\"containers\":[{\"name\":\"c\"},{\"name\":\"d\"}]"
#define I2 "\"initContainers\":[{\"name\":\"i\"},{\"name\":\"j\"}]," C1
#define SIDECAR "\"initContainers\":[{\"name\":\"s\",\"restartPolicy\":\"Always\"},{\"name\":\"j\"}]," C1
#define STATES(list) "\"containerStatuses\":[" list "]"
#define INITS(list) "\"initContainerStatuses\":[" list "]"
#define CS(name, ready, restarts, state) "{\"name\":\"" name "\",\"ready\":" ready ",\"restartCount\":" restarts ",\"state\":{" state "}}"
#define RUNNING "\"running\":{\"startedAt\":\"2026-01-01T11:00:00Z\"}"
#define WAITING(reason) "\"waiting\":{\"reason\":\"" reason "\"}"
#define ENDED(code, reason) "\"terminated\":{\"exitCode\":" code ",\"reason\":\"" reason "\"}"
#define SIGNALLED(sig) "\"terminated\":{\"exitCode\":0,\"signal\":" sig "}"
#define COND(type, status) "\"conditions\":[{\"type\":\"" type "\",\"status\":\"" status "\"}]"
#define DELETED ",\"deletionTimestamp\":\"2026-01-01T12:00:30Z\""
#define CELLS(ready, status, restarts) "[\"p\",\"" ready "\",\"" status "\",\"" restarts "\",\"60s\",\"<none>\",\"<none>\",\"<none>\",\"<none>\"]"

static void
pods(void **state)
{
    static const struct row rows[] = {
        { POD_OF("", C1, "\"phase\":\"Pending\""), CELLS("0/1", "Pending", "0") },
        { POD_OF("", C1, "\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":\"SchedulingGated\"}]"),
          CELLS("0/1", "SchedulingGated", "0") },
        { POD_OF("", C1, "\"phase\":\"Failed\",\"reason\":\"Evicted\""), CELLS("0/1", "Evicted", "0") },
        { POD_OF("", C1, "\"phase\":\"Running\"," STATES(CS("c", "true", "0", RUNNING))), CELLS("1/1", "Running", "0") },
        { POD_OF("", C2, "\"phase\":\"Running\"," STATES(CS("c", "true", "1", RUNNING) "," CS("d", "false", "2", RUNNING))), CELLS("1/2", "Running", "3") },
        { POD_OF("", C1, "\"phase\":\"Pending\"," STATES(CS("c", "false", "0", WAITING("ContainerCreating")))), CELLS("0/1", "ContainerCreating", "0") },
        { POD_OF("", C2, "\"phase\":\"Running\"," STATES(CS("c", "false", "4", WAITING("CrashLoopBackOff")) "," CS("d", "true", "0", RUNNING))),
          CELLS("1/2", "CrashLoopBackOff", "4") },
        { POD_OF("", C1, "\"phase\":\"Failed\"," STATES(CS("c", "false", "0", ENDED("1", "Error")))), CELLS("0/1", "Error", "0") },
        { POD_OF("", C1, "\"phase\":\"Failed\"," STATES(CS("c", "false", "0", ENDED("3", "")))), CELLS("0/1", "ExitCode:3", "0") },
        { POD_OF("", C1, "\"phase\":\"Failed\"," STATES(CS("c", "false", "0", SIGNALLED("9")))), CELLS("0/1", "Signal:9", "0") },
        { POD_OF("", C1, "\"phase\":\"Succeeded\"," STATES(CS("c", "false", "0", ENDED("0", "Completed")))), CELLS("0/1", "Completed", "0") },
        { POD_OF("", C2, "\"phase\":\"Running\"," STATES(CS("c", "false", "0", ENDED("0", "Completed")) "," CS("d", "true", "0", RUNNING)) "," COND("Ready", "True")),
          CELLS("1/2", "Running", "0") },
        { POD_OF("", C2, "\"phase\":\"Running\"," STATES(CS("c", "false", "0", ENDED("0", "Completed")) "," CS("d", "true", "0", RUNNING))),
          CELLS("1/2", "NotReady", "0") },
        /* init containers */
        { POD_OF("", I2, "\"phase\":\"Pending\"," INITS(CS("i", "false", "0", RUNNING) "," CS("j", "false", "0", WAITING("PodInitializing"))) ","
                         STATES(CS("c", "false", "0", WAITING("PodInitializing")))), CELLS("0/1", "Init:0/2", "0") },
        { POD_OF("", I2, "\"phase\":\"Pending\"," INITS(CS("i", "true", "0", ENDED("0", "Completed")) "," CS("j", "false", "0", RUNNING))),
          CELLS("0/1", "Init:1/2", "0") },
        { POD_OF("", I2, "\"phase\":\"Pending\"," INITS(CS("i", "false", "5", WAITING("CrashLoopBackOff")))), CELLS("0/1", "Init:CrashLoopBackOff", "5") },
        { POD_OF("", I2, "\"phase\":\"Pending\"," INITS(CS("i", "false", "0", ENDED("1", "Error")))), CELLS("0/1", "Init:Error", "0") },
        { POD_OF("", I2, "\"phase\":\"Pending\"," INITS(CS("i", "false", "0", ENDED("7", "")))), CELLS("0/1", "Init:ExitCode:7", "0") },
        { POD_OF("", I2, "\"phase\":\"Pending\"," INITS(CS("i", "false", "0", "\"terminated\":{\"exitCode\":137,\"signal\":9}"))),
          CELLS("0/1", "Init:Signal:9", "0") },
        /* restarts of init containers do not count once all are through; those of sidecars do, which count as ready too */
        { POD_OF("", I2, "\"phase\":\"Running\"," INITS(CS("i", "true", "3", ENDED("0", "Completed")) "," CS("j", "true", "0", ENDED("0", "Completed"))) ","
                         STATES(CS("c", "true", "1", RUNNING))), CELLS("1/1", "Running", "1") },
        { POD_OF("", SIDECAR, "\"phase\":\"Running\"," INITS("{\"name\":\"s\",\"ready\":true,\"started\":true,\"restartCount\":2,\"state\":{" RUNNING "}},"
                                                           CS("j", "true", "3", ENDED("0", "Completed"))) "," STATES(CS("c", "true", "1", RUNNING))),
          CELLS("2/2", "Running", "3") },
        { POD_OF("", SIDECAR, "\"phase\":\"Pending\""), CELLS("0/2", "Pending", "0") },
        { POD_OF("", SIDECAR, "\"phase\":\"Pending\"," INITS("{\"name\":\"s\",\"ready\":true,\"started\":true,\"restartCount\":0,\"state\":{" RUNNING "}},"
                                                           CS("j", "false", "0", RUNNING))), CELLS("1/2", "Init:1/2", "0") },
        { POD_OF("", I2, "\"phase\":\"Running\"," INITS(CS("i", "false", "1", RUNNING)) "," STATES(CS("c", "true", "0", RUNNING)) "," COND("Initialized", "True")),
          CELLS("1/1", "Init:0/2", "0") },
        /* going away */
        { POD_OF(DELETED, C1, "\"phase\":\"Running\"," STATES(CS("c", "true", "0", RUNNING))), CELLS("1/1", "Terminating", "0") },
        { POD_OF(DELETED, C1, "\"phase\":\"Running\",\"reason\":\"NodeLost\""), CELLS("0/1", "Unknown", "0") },
        { POD_OF(DELETED, C1, "\"phase\":\"Succeeded\"," STATES(CS("c", "false", "0", ENDED("0", "Completed")))), CELLS("0/1", "Completed", "0") },
        /* when it last restarted, and the wide columns */
        { POD_OF("", C1, "\"phase\":\"Running\"," STATES("{\"name\":\"c\",\"ready\":true,\"restartCount\":2,\"state\":{" RUNNING "},\"lastState\":{"
                 "\"terminated\":{\"exitCode\":1,\"finishedAt\":\"2026-01-01T11:55:00Z\"}}}")), CELLS("1/1", "Running", "2 (5m ago)") },
        { POD_OF("", C1 ",\"nodeName\":\"n1\",\"readinessGates\":[{\"conditionType\":\"A\"},{\"conditionType\":\"B\"}]",
                 "\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}],\"nominatedNodeName\":\"n2\"," COND("A", "True")),
          "[\"p\",\"0/1\",\"Running\",\"0\",\"60s\",\"10.0.0.1\",\"n1\",\"n2\",\"1/2\"]" },
    };
    check(rows, ARRAY_LEN(rows));
}

#define META(kind, api, more) "{\"apiVersion\":\"" api "\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"x\",\"creationTimestamp\":\"2026-01-01T11:59:00Z\"" more "}"

static void
others(void **state)
{
    static const struct row rows[] = {
        { META("Node", "v1", ",\"labels\":{\"node-role.kubernetes.io/control-plane\":\"\",\"kubernetes.io/role\":\"edge\"}")
              ",\"spec\":{\"unschedulable\":true},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"addresses\":[{\"type\":"
              "\"InternalIP\",\"address\":\"10.1.1.1\"}],\"nodeInfo\":{\"kubeletVersion\":\"v1.35.0\"}}}",
          "[\"x\",\"Ready,SchedulingDisabled\",\"edge,control-plane\",\"60s\",\"v1.35.0\",\"10.1.1.1\",\"<none>\",\"<unknown>\",\"<unknown>\",\"<unknown>\"]" },
        { META("Node", "v1", "") ",\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"}]}}",
          "[\"x\",\"NotReady\",\"<none>\",\"60s\",\"\",\"<none>\",\"<none>\",\"<unknown>\",\"<unknown>\",\"<unknown>\"]" },
        { META("Service", "v1", "") ",\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.96.0.1\",\"selector\":{\"a\":\"b\"},\"ports\":[{\"port\":80,\"protocol\":"
                                    "\"TCP\"},{\"port\":53,\"protocol\":\"UDP\"}]}}",
          "[\"x\",\"ClusterIP\",\"10.96.0.1\",\"<none>\",\"80/TCP,53/UDP\",\"60s\",\"a=b\"]" },
        { META("Service", "v1", "") ",\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.1\",\"ports\":[{\"port\":80,\"nodePort\":30080,\"protocol\":\"TCP\"}]}}",
          "[\"x\",\"NodePort\",\"10.96.0.1\",\"<none>\",\"80:30080/TCP\",\"60s\",\"<none>\"]" },
        { META("Service", "v1", "") ",\"spec\":{\"type\":\"LoadBalancer\",\"clusterIP\":\"10.96.0.1\"}}",
          "[\"x\",\"LoadBalancer\",\"10.96.0.1\",\"<pending>\",\"<none>\",\"60s\",\"<none>\"]" },
        { META("Service", "v1", "") ",\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"a.b\"}}",
          "[\"x\",\"ExternalName\",\"<none>\",\"a.b\",\"<none>\",\"60s\",\"<none>\"]" },
        { META("Service", "v1", "") ",\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"None\",\"externalIPs\":[\"1.2.3.4\"]}}",
          "[\"x\",\"ClusterIP\",\"None\",\"1.2.3.4\",\"<none>\",\"60s\",\"<none>\"]" },
        { META("Deployment", "apps/v1", "") ",\"spec\":{\"replicas\":3,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"spec\":{\"containers\":[{"
                                            "\"name\":\"c\",\"image\":\"i\"}]}}},\"status\":{\"readyReplicas\":2,\"updatedReplicas\":3,\"availableReplicas\":1}}",
          "[\"x\",\"2/3\",3,1,\"60s\",\"c\",\"i\",\"a=b\"]" },
        { META("Job", "batch/v1", "") ",\"spec\":{\"completions\":3,\"template\":{\"spec\":{\"containers\":[]}}},\"status\":{\"succeeded\":1,\"startTime\":"
                                      "\"2026-01-01T11:58:00Z\"}}",
          "[\"x\",\"Running\",\"1/3\",\"2m\",\"60s\",\"\",\"\",\"<none>\"]" },
        { META("Job", "batch/v1", "") ",\"spec\":{\"parallelism\":2,\"template\":{\"spec\":{\"containers\":[]}}},\"status\":{\"conditions\":[{\"type\":\"Complete\","
                                      "\"status\":\"True\"}]}}",
          "[\"x\",\"Complete\",\"0/1 of 2\",\"\",\"60s\",\"\",\"\",\"<none>\"]" },
        { META("ConfigMap", "v1", "") ",\"data\":{\"a\":\"1\",\"b\":\"2\"},\"binaryData\":{\"c\":\"\"}}", "[\"x\",3,\"60s\"]" },
        { META("Secret", "v1", "") ",\"type\":\"Opaque\",\"data\":{\"a\":\"\"}}", "[\"x\",\"Opaque\",1,\"60s\"]" },
        { META("Namespace", "v1", "") ",\"status\":{\"phase\":\"Active\"}}", "[\"x\",\"Active\",\"60s\"]" },
        { META("Lease", "coordination.k8s.io/v1", "") ",\"spec\":{\"holderIdentity\":\"h\"}}", "[\"x\",\"h\",\"60s\"]" },
        { META("Endpoints", "v1", "") ",\"subsets\":[{\"addresses\":[{\"ip\":\"1.1.1.1\"},{\"ip\":\"1.1.1.2\"},{\"ip\":\"1.1.1.3\"},{\"ip\":\"1.1.1.4\"}],"
                                      "\"ports\":[{\"port\":80}]}]}",
          "[\"x\",\"1.1.1.1:80,1.1.1.2:80,1.1.1.3:80 + 1 more...\",\"60s\"]" },
        { META("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "") ",\"roleRef\":{\"kind\":\"ClusterRole\",\"name\":\"r\"},\"subjects\":[{\"kind\":\"User\","
          "\"name\":\"u\"},{\"kind\":\"ServiceAccount\",\"namespace\":\"n\",\"name\":\"s\"},{\"kind\":\"User\",\"name\":\"v\"}]}",
          "[\"x\",\"ClusterRole/r\",\"60s\",\"u, v\",\"\",\"n/s\"]" },
    };
    check(rows, ARRAY_LEN(rows));
}

static void
unknown_age_and_plain_kinds(void **state)
{
    static const struct row rows[] = {
        { "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"x\"}}", "[\"x\",\"\",\"<unknown>\"]" },
        { META("LimitRange", "v1", "") "}", "[\"x\",\"60s\"]" },
        { META("ConfigMap", "v1", "") "}", "[\"x\",0,\"60s\"]" },
    };
    check(rows, 1);
    check(rows + 2, 1);
}

#define Q(name, of) META("HorizontalPodAutoscaler", "autoscaling/v2", "") ",\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\"},\"maxReplicas\":3,\"metrics\":[" name "]},\"status\":{\"currentMetrics\":[" of "]}}"
#define CPU(target) "{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{" target "}}}"
#define EXTERNAL(target) "{\"type\":\"External\",\"external\":{\"metric\":{\"name\":\"q\"},\"target\":{" target "}}}"
#define HPA_CELLS(targets) "[\"x\",\"Deployment/d\",\"" targets "\",\"<unset>\",3,0,\"60s\"]"

static void
the_rest(void **state)
{
    static const struct row rows[] = {
        { META("PersistentVolume", "v1", "") ",\"spec\":{\"capacity\":{\"storage\":\"1Gi\"},\"accessModes\":[\"ReadWriteMany\",\"ReadWriteOnce\"],"
          "\"claimRef\":{\"namespace\":\"n\",\"name\":\"c\"},\"persistentVolumeReclaimPolicy\":\"Retain\",\"volumeMode\":\"Block\"},\"status\":{\"phase\":\"Bound\"}}",
          "[\"x\",\"1Gi\",\"RWO,RWX\",\"Retain\",\"Bound\",\"n/c\",\"\",\"<unset>\",\"\",\"60s\",\"Block\"]" },
        { META("PersistentVolumeClaim", "v1", "") ",\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"storageClassName\":\"s\"},\"status\":{\"phase\":\"Pending\"}}",
          "[\"x\",\"Pending\",\"\",\"\",\"\",\"s\",\"<unset>\",\"60s\",\"<unset>\"]" },
        { META("PersistentVolumeClaim", "v1", ",\"deletionTimestamp\":\"2026-01-01T11:59:30Z\"") ",\"spec\":{\"volumeName\":\"v\"},\"status\":{\"phase\":\"Bound\","
          "\"accessModes\":[\"ReadWriteOncePod\"],\"capacity\":{\"storage\":\"2Gi\"}}}",
          "[\"x\",\"Terminating\",\"v\",\"2Gi\",\"RWOP\",\"\",\"<unset>\",\"60s\",\"<unset>\"]" },
        { META("StorageClass", "storage.k8s.io/v1", "") ",\"provisioner\":\"p\",\"allowVolumeExpansion\":true}",
          "[\"x\",\"p\",\"Delete\",\"Immediate\",true,\"60s\"]" },
        { META("Ingress", "networking.k8s.io/v1", "") ",\"spec\":{\"rules\":[{\"host\":\"a\"},{\"host\":\"b\"},{\"host\":\"c\"},{\"host\":\"d\"}]},\"status\":{"
          "\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.2.3.4\"},{\"hostname\":\"h\"}]}}}",
          "[\"x\",\"<none>\",\"a,b,c + 1 more...\",\"1.2.3.4,h\",\"80\",\"60s\"]" },
        { META("Ingress", "networking.k8s.io/v1", "") ",\"spec\":{\"ingressClassName\":\"n\",\"tls\":[{}]}}", "[\"x\",\"n\",\"*\",\"\",\"80, 443\",\"60s\"]" },
        { META("PodDisruptionBudget", "policy/v1", "") ",\"spec\":{\"maxUnavailable\":1},\"status\":{\"disruptionsAllowed\":2}}", "[\"x\",\"N/A\",\"1\",2,\"60s\"]" },
        { Q("", ""), HPA_CELLS("<none>") },
        { Q(CPU("\"averageUtilization\":50"), "{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"current\":{\"averageUtilization\":7}}}"), HPA_CELLS("cpu: 7%/50%") },
        { Q(CPU("\"averageValue\":\"100m\""), ""), HPA_CELLS("cpu: <unknown>/100m") },
        { Q(EXTERNAL("\"averageValue\":\"3\"") "," EXTERNAL("\"value\":\"4\"") "," CPU(""), ""), HPA_CELLS("<unknown>/3 (avg), <unknown>/4 + 1 more...") },
        { META("ResourceQuota", "v1", "") ",\"status\":{\"hard\":{\"limits.cpu\":\"2\",\"pods\":\"5\"},\"used\":{\"pods\":\"1\"}}}",
          "[\"x\",\"pods: 1/5\",\"limits.cpu: 0/2\",\"60s\"]" },
        { META("ControllerRevision", "apps/v1", ",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\",\"name\":\"s\",\"controller\":true}]")
          ",\"revision\":4}", "[\"x\",\"statefulset.apps/s\",4,\"60s\"]" },
        { META("CertificateSigningRequest", "certificates.k8s.io/v1", "") ",\"spec\":{\"signerName\":\"s\",\"username\":\"u\",\"expirationSeconds\":3600},\"status\":{"
          "\"certificate\":\"YQ==\",\"conditions\":[{\"type\":\"Approved\"}]}}", "[\"x\",\"60s\",\"s\",\"u\",\"60m\",\"Approved,Issued\"]" },
        { META("APIService", "apiregistration.k8s.io/v1", "") ",\"spec\":{\"service\":{\"namespace\":\"n\",\"name\":\"s\"}},\"status\":{\"conditions\":[{\"type\":\"Available\","
          "\"status\":\"False\",\"reason\":\"R\"}]}}", "[\"x\",\"n/s\",\"False (R)\",\"60s\"]" },
        { META("LimitRange", "v1", "") "}", "[\"x\",\"2026-01-01T11:59:00Z\"]" },
        { META("ComponentStatus", "v1", "") ",\"conditions\":[{\"type\":\"Healthy\",\"status\":\"False\",\"message\":\"m\",\"error\":\"e\"}]}",
          "[\"x\",\"Unhealthy\",\"m\",\"e\"]" },
        { META("PriorityLevelConfiguration", "flowcontrol.apiserver.k8s.io/v1", "") ",\"spec\":{\"type\":\"Exempt\"}}",
          "[\"x\",\"Exempt\",\"<none>\",\"<none>\",\"<none>\",\"<none>\",\"60s\"]" },
    };
    (void)state;
    check(rows, ARRAY_LEN(rows));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(human_durations),
        cmocka_unit_test(pods),
        cmocka_unit_test(others),
        cmocka_unit_test(the_rest),
        cmocka_unit_test(unknown_age_and_plain_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
