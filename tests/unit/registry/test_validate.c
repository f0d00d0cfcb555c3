// SPDX-License-Identifier: Apache-2.0
/* Objects in, upstream's texts out.  Each case is decoded and defaulted as the write path does it. */
#include "apiserver/registry/validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "apiserver/registry/defaults.h"
#include "common/api/codec.h"

#define SUBDOMAIN_TEXT                                                                                                 \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "   \
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                        \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_TEXT                                                                                                     \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "    \
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "                     \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

struct bad {
    const char *json;
    const char *message; /* NULL: it is fine */
};

static struct object *
prepared(const char *json)
{
    struct object *obj = NULL;
    struct kerr *err = object_decode_json(json, strlen(json), NULL, NULL, &obj);

    if (err)
        fail_msg("%s: %s", json, err->message);
    api_default_static(object_kind(obj)->type, object_arena(obj), object_body(obj));
    defaults_apply(object_kind(obj), object_arena(obj), object_body(obj));
    return obj;
}

static void
compare(const char *json, struct kerr *err, const char *want)
{
    if (!err && !want)
        return;
    if (!err)
        fail_msg("passed: %s\nwanted: %s", json, want);
    if (!want || strcmp(err->message, want) != 0) {
        print_error("in:   %s\ngot:  %s\nwant: %s\n", json, err->message, want ? want : "(fine)");
        kerr_free(err);
        fail();
    }
    assert_int_equal(err->reason, KERR_INVALID);
    assert_int_equal(err->http_code, 422);
    assert_true(err->ncauses > 0);
    kerr_free(err);
}

static void
check_creates(const struct bad *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(object) *obj = prepared(cases[i].json);
        compare(cases[i].json, validate_create(object_kind(obj), object_body(obj), NULL), cases[i].message);
    }
}

#define POD(spec) "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"d\"},\"spec\":{" spec "}}"
#define CONTAINER(extra) "\"containers\":[{\"name\":\"c\",\"image\":\"i\"" extra "}]"
#define INVALID "Pod \"p\" is invalid: "

static void
pods_are_checked(void **state)
{
    static const struct bad cases[] = {
        { POD(CONTAINER("")), NULL },
        { POD(""), INVALID "spec.containers: Required value" },
        { POD("\"containers\":[{\"name\":\"c\"}]"), INVALID "spec.containers[0].image: Required value" },
        { POD("\"containers\":[{\"image\":\"i\"}]"), INVALID "spec.containers[0].name: Required value" },
        { POD("\"containers\":[{\"name\":\"C_1\",\"image\":\"i\"}]"),
          INVALID "spec.containers[0].name: Invalid value: \"C_1\": " LABEL_TEXT },
        { POD("\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"c\",\"image\":\"i\"}]"),
          INVALID "spec.containers[1].name: Duplicate value: \"c\"" },
        { POD("\"containers\":[{\"name\":\"c\",\"image\":\" i\"}]"),
          INVALID "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace" },
        { POD(CONTAINER(",\"imagePullPolicy\":\"Sometimes\"")),
          INVALID "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
                  "\"IfNotPresent\", \"Never\"" },
        { POD("\"restartPolicy\":\"Maybe\"," CONTAINER("")),
          INVALID "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\"" },
        { POD(CONTAINER(",\"ports\":[{\"containerPort\":0}]")),
          INVALID "spec.containers[0].ports[0].containerPort: Required value" },
        { POD(CONTAINER(",\"ports\":[{\"containerPort\":70000,\"protocol\":\"ICMP\"}]")),
          INVALID "[spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, "
                  "inclusive, spec.containers[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: "
                  "\"SCTP\", \"TCP\", \"UDP\"]" },
        { POD(CONTAINER(",\"ports\":[{\"containerPort\":80,\"hostPort\":8080},{\"containerPort\":81,\"hostPort\":8080}]")),
          INVALID "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//8080\"" },
        { POD(CONTAINER(",\"ports\":[{\"containerPort\":80,\"name\":\"Web--\"}]")),
          INVALID "[spec.containers[0].ports[0].name: Invalid value: \"Web--\": must contain only alpha-numeric "
                  "characters (a-z, 0-9), and hyphens (-), spec.containers[0].ports[0].name: Invalid value: \"Web--\": "
                  "must not contain consecutive hyphens, spec.containers[0].ports[0].name: Invalid value: \"Web--\": must "
                  "not begin or end with a hyphen]" },
        { POD(CONTAINER(",\"env\":[{\"name\":\"\"}]")), INVALID "spec.containers[0].env[0].name: Required value" },
        { POD(CONTAINER(",\"env\":[{\"name\":\"a=b\"}]")),
          INVALID "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist "
                  "only of printable ASCII characters other than '='" },
        { POD(CONTAINER(",\"env\":[{\"name\":\"A\",\"valueFrom\":{}}]")),
          INVALID "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, "
                  "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`" },
        { POD(CONTAINER(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.phase\"}}}]")),
          INVALID "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported "
                  "values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", "
                  "\"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"" },
        { POD(CONTAINER(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['x']\"}}}]")),
          NULL },
        { POD(CONTAINER(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"x.y\"}}}]")),
          INVALID "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"x.y\": error converting "
                  "fieldPath: field label not supported: x.y" },
        { POD(CONTAINER(",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/x\"}]")),
          INVALID "spec.containers[0].volumeMounts[0].name: Not found: \"v\"" },
        { POD("\"volumes\":[{\"name\":\"v\"}]," CONTAINER(",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/x\"},"
                                                        "{\"name\":\"v\",\"mountPath\":\"/x\"}]")),
          INVALID "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique" },
        { POD("\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/a/../b\"}}]," CONTAINER("")),
          INVALID "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'" },
        { POD("\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/a\"},\"emptyDir\":{}}]," CONTAINER("")),
          INVALID "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type" },
        { POD("\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"m\",\"defaultMode\":1000}}]," CONTAINER("")),
          INVALID "spec.volumes[0].configMap.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), "
                  "both inclusive" },
        { POD(CONTAINER(",\"resources\":{\"requests\":{\"cpu\":\"2\"},\"limits\":{\"cpu\":\"1\"}}")),
          INVALID "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1" },
        { POD(CONTAINER(",\"resources\":{\"requests\":{\"cpu\":\"-1\"}}")),
          INVALID "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0" },
        { POD(CONTAINER(",\"resources\":{\"requests\":{\"example.com/gpu\":\"1\"}}")),
          INVALID "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources" },
        { POD(CONTAINER(",\"resources\":{\"limits\":{\"gpu\":\"1\"}}")),
          INVALID "[spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or "
                  "fully qualified, spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard "
                  "resource for containers, spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a "
                  "standard resource type or fully qualified, spec.containers[0].resources.requests[gpu]: Invalid value: "
                  "\"gpu\": must be a standard resource for containers]" },
        { POD(CONTAINER(",\"livenessProbe\":{\"httpGet\":{\"port\":80},\"successThreshold\":2}")),
          INVALID "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1" },
        { POD(CONTAINER(",\"readinessProbe\":{}")),
          INVALID "spec.containers[0].readinessProbe: Required value: must specify a handler type" },
        { POD(CONTAINER(",\"securityContext\":{\"privileged\":true}")),
          INVALID "spec.containers[0].securityContext.privileged: Forbidden: disallowed by cluster policy" },
        { POD("\"securityContext\":{\"seccompProfile\":{\"type\":\"Localhost\"}}," CONTAINER("")),
          INVALID "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is "
                  "Localhost" },
        { POD("\"initContainers\":[{\"name\":\"c\",\"image\":\"i\",\"lifecycle\":{}}]," CONTAINER("")),
          INVALID "[spec.initContainers[0].name: Duplicate value: \"c\", spec.initContainers[0].lifecycle: Forbidden: may "
                  "not be set for init containers without restartPolicy=Always]" },
        { POD("\"tolerations\":[{\"operator\":\"Equal\"}]," CONTAINER("")),
          INVALID "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which "
                  "means \"match all values and all keys\"" },
        { POD("\"tolerations\":[{\"key\":\"k\",\"operator\":\"Exists\",\"effect\":\"Now\"}]," CONTAINER("")),
          INVALID "spec.tolerations[0].effect: Unsupported value: \"Now\": supported values: \"NoSchedule\", "
                  "\"PreferNoSchedule\", \"NoExecute\"" },
        { POD("\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[]}}},"
              CONTAINER("")),
          INVALID "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required "
                  "value: must have at least one node selector term" },
        { POD("\"topologySpreadConstraints\":[{\"maxSkew\":0,\"topologyKey\":\"z\",\"whenUnsatisfiable\":\"DoNotSchedule\"}],"
              CONTAINER("")),
          INVALID "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero" },
        { POD("\"dnsPolicy\":\"None\"," CONTAINER("")),
          INVALID "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None" },
        { POD("\"nodeName\":\"N\"," CONTAINER("")), INVALID "spec.nodeName: Invalid value: \"N\": " SUBDOMAIN_TEXT },
        { POD("\"activeDeadlineSeconds\":0," CONTAINER("")),
          INVALID "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive" },
        { POD("\"hostNetwork\":true," CONTAINER(",\"ports\":[{\"containerPort\":80,\"hostPort\":81}]")),
          INVALID "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is "
                  "true" },
        { POD("\"ephemeralContainers\":[{\"name\":\"e\",\"image\":\"i\"}]," CONTAINER("")),
          INVALID "spec.ephemeralContainers: Forbidden: cannot be set on create" },
        { POD("\"schedulingGates\":[{\"name\":\"g\"}],\"nodeName\":\"n\"," CONTAINER("")),
          INVALID "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared" },
    };

    check_creates(cases, ARRAY_LEN(cases));
}

static void
metadata_is_checked(void **state)
{
#define CM(meta) "{\"apiVersion\":\"v1\",\"kind\":\"PodTemplate\",\"metadata\":{" meta "},\"template\":{\"spec\":{" CONTAINER("") "}}}"
    static const struct bad cases[] = {
        { CM("\"name\":\"x\",\"namespace\":\"d\""), NULL },
        { CM("\"namespace\":\"d\""), "PodTemplate \"\" is invalid: metadata.name: Required value: name or generateName is "
                                     "required" },
        { CM("\"name\":\"X\",\"namespace\":\"d\""), "PodTemplate \"X\" is invalid: metadata.name: Invalid value: \"X\": "
                                                     SUBDOMAIN_TEXT },
        { CM("\"name\":\"x\""), "PodTemplate \"x\" is invalid: metadata.namespace: Required value" },
        { CM("\"name\":\"x\",\"namespace\":\"a.b\""), "PodTemplate \"x\" is invalid: metadata.namespace: Invalid value: "
                                                      "\"a.b\": must not contain dots" },
        { CM("\"name\":\"x\",\"namespace\":\"d\",\"labels\":{\"a b\":\"c\"}"),
          "PodTemplate \"x\" is invalid: metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric "
          "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  "
          "or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')" },
        { CM("\"name\":\"x\",\"namespace\":\"d\",\"annotations\":{\"Example.com/X\":\"c\"}"), NULL },
        { CM("\"name\":\"x\",\"namespace\":\"d\",\"finalizers\":[\"mine\"]"),
          "PodTemplate \"x\" is invalid: metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer "
          "name nor is it fully qualified" },
        { CM("\"name\":\"x\",\"namespace\":\"d\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"\",\"name\":\"n\","
             "\"uid\":\"\"}]"),
          "PodTemplate \"x\" is invalid: [metadata.ownerReferences.kind: Invalid value: \"\": must not be empty, "
          "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty]" },
    };

    check_creates(cases, ARRAY_LEN(cases));
}

#define SVC(spec) "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\",\"namespace\":\"d\"},\"spec\":{" spec "}}"

static void
services_are_checked(void **state)
{
    static const struct bad cases[] = {
        { SVC("\"ports\":[{\"port\":80}]"), NULL },
        { SVC(""), "Service \"s\" is invalid: spec.ports: Required value" },
        { SVC("\"clusterIP\":\"None\",\"clusterIPs\":[\"None\"]"), NULL },
        { SVC("\"type\":\"ExternalName\""), "Service \"s\" is invalid: spec.externalName: Required value" },
        { SVC("\"type\":\"Cluster\",\"ports\":[{\"port\":80}]"),
          "Service \"s\" is invalid: [spec.type: Unsupported value: \"Cluster\": supported values: \"ClusterIP\", "
          "\"ExternalName\", \"LoadBalancer\", \"NodePort\", spec.internalTrafficPolicy: Required value]" },
        { SVC("\"ports\":[{\"port\":80},{\"port\":81}]"),
          "Service \"s\" is invalid: [spec.ports[0].name: Required value, spec.ports[1].name: Required value]" },
        { SVC("\"ports\":[{\"name\":\"a\",\"port\":80},{\"name\":\"b\",\"port\":80}]"),
          "Service \"s\" is invalid: spec.ports[1]: Duplicate value: {\"protocol\":\"TCP\",\"port\":80}" },
        { SVC("\"ports\":[{\"port\":80,\"nodePort\":30000}]"),
          "Service \"s\" is invalid: spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'" },
        { SVC("\"ports\":[{\"port\":0}]"),
          "Service \"s\" is invalid: [spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, "
          "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive]" },
        { SVC("\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":86401}},"
              "\"ports\":[{\"port\":80}]"),
          "Service \"s\" is invalid: spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater "
          "than 0 and less than 86400" },
        { SVC("\"externalIPs\":[\"127.0.0.1\"],\"ports\":[{\"port\":80}]"),
          "Service \"s\" is invalid: spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range "
          "(127.0.0.0/8, ::1/128)" },
        { SVC("\"clusterIP\":\"10.0.0.300\",\"clusterIPs\":[\"10.0.0.300\"],\"ports\":[{\"port\":80}]"),
          "Service \"s\" is invalid: spec.clusterIPs[0]: Invalid value: \"10.0.0.300\": must be a valid IP address, (e.g. "
          "10.9.8.7 or 2001:db8::ffff)" },
    };

    check_creates(cases, ARRAY_LEN(cases));
}

#define DEPLOY(spec)                                                                                                   \
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"namespace\":\"n\"},\"spec\":{" spec "}}"
#define TEMPLATE "\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{" CONTAINER("") "}}"
#define SELECTOR "\"selector\":{\"matchLabels\":{\"app\":\"x\"}},"

static void
deployments_are_checked(void **state)
{
    static const struct bad cases[] = {
        { DEPLOY(SELECTOR TEMPLATE), NULL },
        { DEPLOY(TEMPLATE), "Deployment.apps \"d\" is invalid: [spec.selector: Required value, spec.template.metadata.labels: "
                            "Invalid value: {\"app\":\"x\"}: `selector` does not match template `labels`]" },
        { DEPLOY("\"selector\":{\"matchLabels\":{\"app\":\"y\"}}," TEMPLATE),
          "Deployment.apps \"d\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"x\"}: `selector` does not "
          "match template `labels`" },
        { DEPLOY("\"selector\":{}," TEMPLATE),
          "Deployment.apps \"d\" is invalid: spec.selector: Invalid value: {}: empty selector is invalid for deployment" },
        { DEPLOY("\"replicas\":-1," SELECTOR TEMPLATE),
          "Deployment.apps \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0" },
        { DEPLOY("\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":{}}," SELECTOR TEMPLATE),
          "Deployment.apps \"d\" is invalid: spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` "
          "is 'Recreate'" },
        { DEPLOY("\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":\"0%\"}}," SELECTOR TEMPLATE),
          "Deployment.apps \"d\" is invalid: spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 "
          "when `maxSurge` is 0" },
        { DEPLOY("\"minReadySeconds\":600," SELECTOR TEMPLATE),
          "Deployment.apps \"d\" is invalid: spec.progressDeadlineSeconds: Invalid value: 600: must be greater than "
          "minReadySeconds" },
        { DEPLOY(SELECTOR "\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{\"restartPolicy\":\"Never\","
                          CONTAINER("") "}}"),
          "Deployment.apps \"d\" is invalid: spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
          "\"Always\"" },
    };

    check_creates(cases, ARRAY_LEN(cases));
}

struct change {
    const char *from, *to;
    const char *message;
};

static void
check_updates(const struct change *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(object) *old = prepared(cases[i].from);
        AUTO(object) *now = prepared(cases[i].to);
        object_meta(old)->resource_version = object_meta(now)->resource_version = "5";
        compare(cases[i].to, validate_update(object_kind(now), object_body(now), object_body(old), NULL), cases[i].message);
    }
}

static void
updates_are_checked(void **state)
{
#define FIELDS                                                                                                         \
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"          \
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"                        \
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
    static const struct change cases[] = {
        { POD(CONTAINER("")), POD(CONTAINER("")), NULL },
        { POD(CONTAINER("")), POD("\"containers\":[{\"name\":\"c\",\"image\":\"j\"}]"), NULL },
        { POD(CONTAINER("")), POD("\"nodeName\":\"n\"," CONTAINER("")),
          INVALID "spec: Forbidden: " FIELDS "changed: `spec.nodeName`" },
        { POD(CONTAINER("")), POD(CONTAINER(",\"command\":[\"x\"]")),
          INVALID "spec: Forbidden: " FIELDS "changed: `spec.containers`" },
        { POD(CONTAINER("")), POD("\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"d\",\"image\":\"i\"}]"),
          INVALID "spec.containers: Forbidden: pod updates may not add or remove containers" },
        { POD(CONTAINER("")), POD("\"tolerations\":[{\"key\":\"k\",\"operator\":\"Exists\"}]," CONTAINER("")), NULL },
        { POD("\"tolerations\":[{\"key\":\"k\",\"operator\":\"Exists\"}]," CONTAINER("")), POD(CONTAINER("")),
          INVALID "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds" },
        { POD("\"schedulingGates\":[{\"name\":\"g\"}]," CONTAINER("")), POD("\"nodeSelector\":{\"a\":\"b\"}," CONTAINER("")),
          NULL },
        { POD(CONTAINER("")), POD("\"schedulingGates\":[{\"name\":\"g\"}]," CONTAINER("")),
          INVALID "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'" },
        { POD("\"activeDeadlineSeconds\":5," CONTAINER("")), POD("\"activeDeadlineSeconds\":9," CONTAINER("")),
          INVALID "spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value" },
        { DEPLOY(SELECTOR TEMPLATE),
          DEPLOY("\"selector\":{\"matchLabels\":{\"app\":\"y\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"y\"}},"
                 "\"spec\":{" CONTAINER("") "}}"),
          "Deployment.apps \"d\" is invalid: spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"y\"}}: field is "
          "immutable" },
        { SVC("\"clusterIP\":\"10.0.0.1\",\"clusterIPs\":[\"10.0.0.1\"],\"ports\":[{\"port\":80}]"),
          SVC("\"clusterIP\":\"10.0.0.2\",\"clusterIPs\":[\"10.0.0.2\"],\"ports\":[{\"port\":80}]"),
          "Service \"s\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set" },
    };

    check_updates(cases, ARRAY_LEN(cases));
}

#define OBJ(api, kind, ns, rest)                                                                                       \
    "{\"apiVersion\":\"" api "\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"x\"" ns "}," rest "}"
#define NS ",\"namespace\":\"d\""
#define JOB(spec) OBJ("batch/v1", "Job", NS, "\"spec\":{" spec "}")
#define JOBTPL(policy) "\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"restartPolicy\":\"" policy "\"," CONTAINER("") "}}"
#define JOBSEL "\"manualSelector\":true,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},"

static void
other_kinds_are_checked(void **state)
{
    static const struct bad cases[] = {
        { OBJ("v1", "ConfigMap", NS, "\"data\":{\"a b\":\"c\"}"),
          "ConfigMap \"x\" is invalid: data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric "
          "characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
          "'[-._a-zA-Z0-9]+')" },
        { OBJ("v1", "ConfigMap", NS, "\"data\":{\"..a\":\"c\"}"),
          "ConfigMap \"x\" is invalid: data[..a]: Invalid value: \"..a\": must not start with '..'" },
        { OBJ("v1", "Secret", NS, "\"type\":\"kubernetes.io/tls\",\"data\":{\"tls.crt\":\"YQ==\"}"),
          "Secret \"x\" is invalid: data[tls.key]: Required value" },
        { OBJ("v1", "Secret", NS, "\"type\":\"kubernetes.io/tls\",\"stringData\":{\"tls.crt\":\"a\",\"tls.key\":\"b\"}"), NULL },
        { OBJ("v1", "Secret", NS, "\"type\":\"kubernetes.io/dockerconfigjson\",\"stringData\":{\".dockerconfigjson\":\"x\"}"),
          "Secret \"x\" is invalid: data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": unexpected end of "
          "JSON input" },
        { OBJ("v1", "Namespace", "", "\"spec\":{\"finalizers\":[\"kubernetes\"]}"), NULL },
        { OBJ("v1", "Node", "", "\"spec\":{\"taints\":[{\"key\":\"k\",\"effect\":\"NoSchedule\"},{\"key\":\"k\",\"effect\":"
                                "\"NoSchedule\"}]}"),
          "Node \"x\" is invalid: metadata.taints[1]: Duplicate value: {\"key\":\"k\",\"effect\":\"NoSchedule\"}: taints must be "
          "unique by key and effect pair" },
        { OBJ("v1", "Node", "", "\"spec\":{\"podCIDRs\":[\"10.0.0.0/24\",\"10.0.1.0/24\"]}"),
          "Node \"x\" is invalid: spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one "
          "CIDR for each IP family" },
        { JOB(JOBSEL JOBTPL("Never")), NULL },
        { JOB(JOBSEL JOBTPL("Always")),
          "Job.batch \"x\" is invalid: spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", "
          "\"Never\"" },
        { JOB("\"completionMode\":\"Indexed\"," JOBSEL JOBTPL("Never")), NULL },
        { JOB("\"backoffLimitPerIndex\":1," JOBSEL JOBTPL("Never")),
          "Job.batch \"x\" is invalid: spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode" },
        { OBJ("batch/v1", "CronJob", NS, "\"spec\":{\"schedule\":\"* * *\",\"jobTemplate\":{\"spec\":{" JOBTPL("Never") "}}}"),
          "CronJob.batch \"x\" is invalid: spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: "
          "[* * *]" },
        { OBJ("batch/v1", "CronJob", NS,
              "\"spec\":{\"schedule\":\"*/5 0-6 1,15 jan-MAR mon\",\"jobTemplate\":{\"spec\":{" JOBTPL("Never") "}}}"),
          NULL },
        { OBJ("batch/v1", "CronJob", NS, "\"spec\":{\"schedule\":\"60 * * * *\",\"jobTemplate\":{\"spec\":{" JOBTPL("Never") "}}}"),
          "CronJob.batch \"x\" is invalid: spec.schedule: Invalid value: \"60 * * * *\": end of range (60) above maximum (59): "
          "60" },
        { OBJ("rbac.authorization.k8s.io/v1", "Role", NS, "\"rules\":[{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/x\"]}]"),
          "Role.rbac.authorization.k8s.io \"x\" is invalid: rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules "
          "cannot apply to non-resource URLs" },
        { OBJ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}]"),
          "ClusterRole.rbac.authorization.k8s.io \"x\" is invalid: rules[0].verbs: Required value: verbs must contain at least "
          "one value" },
        { OBJ("rbac.authorization.k8s.io/v1", "RoleBinding", NS,
              "\"roleRef\":{\"kind\":\"Role\",\"name\":\"r\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"u\"},{\"kind\":"
              "\"Robot\",\"name\":\"r\"}]"),
          "RoleBinding.rbac.authorization.k8s.io \"x\" is invalid: subjects[1].kind: Unsupported value: \"Robot\": supported "
          "values: \"ServiceAccount\", \"User\", \"Group\"" },
        { OBJ("apps/v1", "StatefulSet", NS,
              "\"spec\":{" SELECTOR "\"serviceName\":\"s\",\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"data\"},\"spec\":{"
              "\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}],\"template\":{"
              "\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{"
              CONTAINER(",\"volumeMounts\":[{\"name\":\"data\",\"mountPath\":\"/d\"}]") "}}}"),
          NULL },
        { OBJ("apps/v1", "DaemonSet", NS, "\"spec\":{\"updateStrategy\":{\"rollingUpdate\":{\"maxUnavailable\":0}}," SELECTOR TEMPLATE
                                          "}"),
          "DaemonSet.apps \"x\" is invalid: spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when "
          "maxSurge is 0" },
        { OBJ("v1", "PersistentVolumeClaim", NS, "\"spec\":{\"accessModes\":[\"ReadWriteOnce\"]}"),
          "PersistentVolumeClaim \"x\" is invalid: spec.resources[storage]: Required value" },
        { OBJ("v1", "PersistentVolume", "",
              "\"spec\":{\"accessModes\":[\"Sometimes\"],\"capacity\":{\"storage\":\"1Gi\"},\"hostPath\":{\"path\":\"/x\"}}"),
          "PersistentVolume \"x\" is invalid: spec.accessModes: Unsupported value: \"Sometimes\": supported values: "
          "\"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"" },
        { OBJ("networking.k8s.io/v1", "Ingress", NS, "\"spec\":{}"),
          "Ingress.networking.k8s.io \"x\" is invalid: spec: Invalid value: null: either `defaultBackend` or `rules` must be "
          "specified" },
        { OBJ("networking.k8s.io/v1", "Ingress", NS,
              "\"spec\":{\"rules\":[{\"host\":\"a.b\",\"http\":{\"paths\":[{\"path\":\"x\",\"pathType\":\"Prefix\",\"backend\":{"
              "\"service\":{\"name\":\"s\",\"port\":{\"number\":80}}}}]}}]}"),
          "Ingress.networking.k8s.io \"x\" is invalid: spec.rules[0].http.paths[0].path: Invalid value: \"x\": must be an absolute "
          "path" },
        { OBJ("networking.k8s.io/v1", "NetworkPolicy", NS,
              "\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"11.0.0.0/"
              "16\"]}}]}]}"),
          "NetworkPolicy.networking.k8s.io \"x\" is invalid: spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "
          "\"11.0.0.0/16\": must be a strict subset of `cidr`" },
        { OBJ("policy/v1", "PodDisruptionBudget", NS, "\"spec\":{\"minAvailable\":\"101%\"}"),
          "PodDisruptionBudget.policy \"x\" is invalid: spec.minAvailable: Invalid value: \"101%\": must not be greater than "
          "100%" },
        { OBJ("autoscaling/v2", "HorizontalPodAutoscaler", NS,
              "\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"d\"},\"minReplicas\":3,\"maxReplicas\":2}"),
          "HorizontalPodAutoscaler.autoscaling \"x\" is invalid: spec.maxReplicas: Invalid value: 2: must be greater than or equal "
          "to `minReplicas`" },
        { "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\",\"spec\":{\"user\":\"u\",\"resourceAttributes\":{\"verb\":\"get\"}}}",
          NULL },
        { "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\",\"spec\":{\"resourceAttributes\":{\"verb\":\"get\"}}}",
          "SubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.user: Invalid value: \"\": at least one of user or group must be specified" },
        { "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectAccessReview\",\"spec\":{}}",
          "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified" },
        { "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"LocalSubjectAccessReview\",\"spec\":{\"groups\":[\"g\"],\"resourceAttributes\":{\"namespace\":\"n\"}}}",
          "LocalSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"n\": must match metadata.namespace" },
        { OBJ("scheduling.k8s.io/v1", "PriorityClass", "", "\"value\":1000000001"),
          "PriorityClass.scheduling.k8s.io \"x\" is invalid: value: Forbidden: maximum allowed value of a user defined priority "
          "is 1000000000" },
        { OBJ("v1", "ResourceQuota", NS, "\"spec\":{\"hard\":{\"pods\":\"1500m\"}}"),
          "ResourceQuota \"x\" is invalid: spec.hard[pods]: Invalid value: \"1500m\": must be an integer" },
        { OBJ("v1", "LimitRange", NS, "\"spec\":{\"limits\":[{\"type\":\"Container\",\"min\":{\"cpu\":\"2\"},\"max\":{\"cpu\":"
                                      "\"1\"}}]}"),
          "LimitRange \"x\" is invalid: [spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1, "
          "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1, "
          "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1]" },
        { OBJ("discovery.k8s.io/v1", "EndpointSlice", NS,
              "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"fd00::1\"]}],\"ports\":[]"),
          "EndpointSlice.discovery.k8s.io \"x\" is invalid: endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid "
          "IPv4 address" },
        { OBJ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "",
              "\"webhooks\":[{\"name\":\"a.b.c\",\"clientConfig\":{\"url\":\"https://h/x\"},\"admissionReviewVersions\":[\"v1\"]}]"),
          "ValidatingWebhookConfiguration.admissionregistration.k8s.io \"x\" is invalid: webhooks[0].sideEffects: Required value: "
          "must specify one of None, NoneOnDryRun" },
        { OBJ("coordination.k8s.io/v1", "Lease", NS, "\"spec\":{\"leaseDurationSeconds\":0}"),
          "Lease.coordination.k8s.io \"x\" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0" },
        { OBJ("v1", "Event", NS, "\"involvedObject\":{\"namespace\":\"other\"}"),
          "Event \"x\" is invalid: involvedObject.namespace: Invalid value: \"other\": does not match event.namespace" },
    };

    check_creates(cases, ARRAY_LEN(cases));
}

static void
other_updates_are_checked(void **state)
{
    static const struct change cases[] = {
        { OBJ("v1", "ConfigMap", NS, "\"immutable\":true,\"data\":{\"a\":\"b\"}"),
          OBJ("v1", "ConfigMap", NS, "\"immutable\":true,\"data\":{\"a\":\"c\"}"),
          "ConfigMap \"x\" is invalid: data: Forbidden: field is immutable when `immutable` is set" },
        { OBJ("v1", "Secret", NS, "\"type\":\"Opaque\""), OBJ("v1", "Secret", NS, "\"type\":\"other\""),
          "Secret \"x\" is invalid: type: Invalid value: \"other\": field is immutable" },
        { OBJ("rbac.authorization.k8s.io/v1", "RoleBinding", NS, "\"roleRef\":{\"kind\":\"Role\",\"name\":\"r\"}"),
          OBJ("rbac.authorization.k8s.io/v1", "RoleBinding", NS, "\"roleRef\":{\"kind\":\"Role\",\"name\":\"s\"}"),
          "RoleBinding.rbac.authorization.k8s.io \"x\" is invalid: roleRef: Invalid value: "
          "{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"s\"}: cannot change roleRef" },
        { JOB("\"completions\":3," JOBSEL JOBTPL("Never")), JOB("\"completions\":4," JOBSEL JOBTPL("Never")),
          "Job.batch \"x\" is invalid: spec.completions: Invalid value: 4: field is immutable" },
        { JOB(JOBSEL JOBTPL("Never")), JOB("\"parallelism\":9," JOBSEL JOBTPL("Never")),
          "Job.batch \"x\" is invalid: spec.completions: Invalid value: null: field is immutable" },
        { OBJ("apps/v1", "StatefulSet", NS, "\"spec\":{\"serviceName\":\"s\"," SELECTOR TEMPLATE "}"),
          OBJ("apps/v1", "StatefulSet", NS, "\"spec\":{\"serviceName\":\"t\"," SELECTOR TEMPLATE "}"),
          "StatefulSet.apps \"x\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
          "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
          "'minReadySeconds' are forbidden" },
        { OBJ("v1", "Node", "", "\"spec\":{\"podCIDRs\":[\"10.0.0.0/24\"]}"),
          OBJ("v1", "Node", "", "\"spec\":{\"podCIDRs\":[\"10.0.1.0/24\"]}"),
          "Node \"x\" is invalid: spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid" },
        { OBJ("v1", "Node", ",\"uid\":\"a\"", "\"spec\":{}"), OBJ("v1", "Node", ",\"uid\":\"b\"", "\"spec\":{}"),
          "Node \"x\" is invalid: metadata.uid: Invalid value: \"b\": field is immutable" },
        { OBJ("v1", "Node", ",\"deletionTimestamp\":\"2024-01-01T00:00:00Z\"", "\"spec\":{}"),
          OBJ("v1", "Node", ",\"deletionTimestamp\":\"2024-01-01T00:00:00Z\",\"finalizers\":[\"a/b\"]", "\"spec\":{}"),
          "Node \"x\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
          "found new finalizers []string{\"a/b\"}" },
    };

    check_updates(cases, ARRAY_LEN(cases));
}

/* A rule that any stored object breaks would block every write: our own smallest objects must pass. */
static void
every_kind_survives_its_empty_object(void **state)
{
    for (size_t i = 0; i < api_kinds_len; i++) {
        AUTO(object) *obj = object_new(&api_kinds[i]);
        if (!object_meta(obj) || !api_kinds[i].resource)
            continue;
        object_meta(obj)->name = "x";
        object_meta(obj)->resource_version = "1";
        if (api_kinds[i].namespaced)
            object_meta(obj)->namespace = "d";
        api_default_static(api_kinds[i].type, object_arena(obj), object_body(obj));
        defaults_apply(&api_kinds[i], object_arena(obj), object_body(obj));
        defaults_apply(&api_kinds[i], object_arena(obj), object_body(obj));
        /* Findings or not: no crash on absent parts, in any of the entries. */
        kerr_free(validate_create(&api_kinds[i], object_body(obj), NULL));
        kerr_free(validate_update(&api_kinds[i], object_body(obj), object_body(obj), NULL));
        kerr_free(validate_status_update(&api_kinds[i], object_body(obj), object_body(obj), NULL));
        kerr_free(validate_subresource(&api_kinds[i], "finalize", object_body(obj), object_body(obj), NULL));
    }
}

static void
causes_carry_field_and_type(void **state)
{
    AUTO(object) *obj = prepared(POD("\"containers\":[{\"name\":\"c\"}]"));
    AUTO(kerr) *err = validate_create(object_kind(obj), object_body(obj), NULL);

    assert_non_null(err);
    assert_int_equal(err->ncauses, 1);
    assert_string_equal(err->causes[0].reason, "FieldValueRequired");
    assert_string_equal(err->causes[0].field, "spec.containers[0].image");
    assert_string_equal(err->causes[0].message, "Required value");
    assert_string_equal(err->kind, "Pod");
    assert_string_equal(err->name, "p");
}

static void
privileged_is_an_option(void **state)
{
    struct validate_opts opts = { .allow_privileged = true };
    AUTO(object) *obj = prepared(POD(CONTAINER(",\"securityContext\":{\"privileged\":true}")));
    AUTO(kerr) *err = validate_create(object_kind(obj), object_body(obj), &opts);

    assert_null(err);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pods_are_checked),        cmocka_unit_test(metadata_is_checked),
        cmocka_unit_test(services_are_checked),    cmocka_unit_test(deployments_are_checked),
        cmocka_unit_test(updates_are_checked),     cmocka_unit_test(causes_carry_field_and_type),
        cmocka_unit_test(privileged_is_an_option),
        cmocka_unit_test(other_kinds_are_checked), cmocka_unit_test(other_updates_are_checked),
        cmocka_unit_test(every_kind_survives_its_empty_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
