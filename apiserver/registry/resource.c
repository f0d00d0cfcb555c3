// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/resource.h"

#include <string.h>

#include "apiserver/registry/strategies.h"
#include "common/base/str.h"

/* --- selectable fields (upstream: each registry's SelectableFields) --- */

static const struct store_field pod_fields[] = {
    { "spec.nodeName" },
    { "spec.restartPolicy" },
    { "spec.schedulerName" },
    { "spec.serviceAccountName" },
    { "spec.hostNetwork", .zero = "false" },
    { "status.phase" },
    { "status.podIP" },
    { "status.podIPs", .path = "status.podIP" },
    { "status.nominatedNodeName" },
};
static const struct store_field event_fields[] = {
    { "involvedObject.kind" },   { "involvedObject.namespace" },       { "involvedObject.name" },
    { "involvedObject.uid" },    { "involvedObject.apiVersion" },      { "involvedObject.resourceVersion" },
    { "involvedObject.fieldPath" }, { "reason" },                      { "type" },
    { "reportingComponent", .fallback = "source.component" },          { "source", .path = "source.component", .fallback = "reportingComponent" },
};
static const struct store_field events_fields[] = {
    { "regarding.kind", .path = "involvedObject.kind" },
    { "regarding.namespace", .path = "involvedObject.namespace" },
    { "regarding.name", .path = "involvedObject.name" },
    { "regarding.uid", .path = "involvedObject.uid" },
    { "regarding.apiVersion", .path = "involvedObject.apiVersion" },
    { "regarding.resourceVersion", .path = "involvedObject.resourceVersion" },
    { "regarding.fieldPath", .path = "involvedObject.fieldPath" },
    { "reason" },
    { "type" },
    { "reportingController", .path = "reportingComponent", .fallback = "source.component" },
};
static const struct store_field node_fields[] = { { "spec.unschedulable", .zero = "false" } };
static const struct store_field secret_fields[] = { { "type" } };
static const struct store_field namespace_fields[] = { { "status.phase" }, { "name", .path = "metadata.name" } };
static const struct store_field job_fields[] = { { "status.successful", .path = "status.succeeded", .zero = "0" } };
static const struct store_field replica_fields[] = { { "status.replicas", .zero = "0" } };
static const struct store_field csr_fields[] = { { "spec.signerName" } };
static const struct store_field service_fields[] = { { "spec.clusterIP" }, { "spec.type" } };
static const struct store_field crd_fields[] = { { "spec.group" } };
static const struct store_field slice_fields[] = { { "spec.nodeName" }, { "spec.driver" } };

#define FIELDS(rows) .fields = (rows), .nfields = ARRAY_LEN(rows)

/* --- subresources --- */

#define GET_UPDATE_PATCH (VERB_GET | VERB_UPDATE | VERB_PATCH)
#define STATUS { "status", NULL, NULL, NULL, GET_UPDATE_PATCH }
#define SCALE { "scale", "autoscaling", "v1", "Scale", GET_UPDATE_PATCH }
#define CONNECT_VERBS (VERB_GET | VERB_CREATE)
#define PROXY_VERBS (VERB_GET | VERB_CREATE | VERB_UPDATE | VERB_PATCH | VERB_DELETE)

static const struct subresource status_only[] = { STATUS };
static const struct subresource scale_status[] = { SCALE, STATUS };
static const struct subresource pod_subs[] = {
    { "attach", "", "v1", "PodAttachOptions", CONNECT_VERBS },
    { "binding", "", "v1", "Binding", VERB_CREATE },
    { "ephemeralcontainers", NULL, NULL, NULL, GET_UPDATE_PATCH },
    { "eviction", "policy", "v1", "Eviction", VERB_CREATE },
    { "exec", "", "v1", "PodExecOptions", CONNECT_VERBS },
    { "log", NULL, NULL, NULL, VERB_GET },
    { "portforward", "", "v1", "PodPortForwardOptions", CONNECT_VERBS },
    { "proxy", "", "v1", "PodProxyOptions", PROXY_VERBS },
    { "resize", NULL, NULL, NULL, GET_UPDATE_PATCH },
    STATUS,
};
static const struct subresource namespace_subs[] = { { "finalize", NULL, NULL, NULL, VERB_UPDATE }, STATUS };
static const struct subresource node_subs[] = { { "proxy", "", "v1", "NodeProxyOptions", PROXY_VERBS }, STATUS };
static const struct subresource service_subs[] = { { "proxy", "", "v1", "ServiceProxyOptions", PROXY_VERBS }, STATUS };
static const struct subresource account_subs[] = { { "token", "authentication.k8s.io", "v1", "TokenRequest", VERB_CREATE } };
static const struct subresource csr_subs[] = { { "approval", NULL, NULL, NULL, GET_UPDATE_PATCH }, STATUS };

#define SUBS(rows) .subs = (rows), .nsubs = ARRAY_LEN(rows)

/* --- the rows that differ from: all verbs, generic strategy, no subresource, stored --- */

struct row {
    const char *group, *kind;
    unsigned verbs; /* 0 = VERB_ALL */
    const struct strategy *strategy;
    const struct subresource *subs;
    size_t nsubs;
    const struct store_field *fields;
    uint32_t nfields;
    bool indexed;    /* by fields[0] */
    bool not_stored; /* reviews */
    const char *shares; /* kept as the objects of this other group's resource of the same plural name */
    bool events;     /* expires by --event-ttl */
    const char *stored_version; /* of several versions, the one objects are stored as; NULL: there is one version only */
};

static const struct row rows[] = {
    { "", "Pod", .strategy = &strategy_pod, SUBS(pod_subs), FIELDS(pod_fields), .indexed = true },
    { "", "Namespace", VERB_ALL_BUT_DELETECOLLECTION, &strategy_namespace, SUBS(namespace_subs), FIELDS(namespace_fields) },
    { "", "Node", .strategy = &strategy_node, SUBS(node_subs), FIELDS(node_fields) },
    { "", "Service", .strategy = &strategy_service, SUBS(service_subs), FIELDS(service_fields) },
    { "", "ServiceAccount", .strategy = &strategy_plain, SUBS(account_subs) },
    { "", "Secret", .strategy = &strategy_secret, FIELDS(secret_fields) },
    { "", "ConfigMap", .strategy = &strategy_plain },
    { "", "Endpoints", .strategy = &strategy_endpoints },
    { "", "Event", .strategy = &strategy_event, FIELDS(event_fields), .events = true },
    { "", "PodTemplate", .strategy = &strategy_generic },
    { "", "ReplicationController", SUBS(scale_status), FIELDS(replica_fields) },
    { "", "ResourceQuota", SUBS(status_only) },
    { "", "PersistentVolume", .strategy = &strategy_pv, SUBS(status_only) },
    { "", "PersistentVolumeClaim", .strategy = &strategy_pvc, SUBS(status_only) },
    { "", "Binding", VERB_CREATE, &strategy_plain, .not_stored = true },
    { "", "ComponentStatus", VERB_GET | VERB_LIST, &strategy_plain, .not_stored = true },
    { "events.k8s.io", "Event", .strategy = &strategy_event, FIELDS(events_fields), .shares = "", .events = true },
    { "apps", "Deployment", SUBS(scale_status) },
    { "apps", "ReplicaSet", SUBS(scale_status), FIELDS(replica_fields) },
    { "apps", "StatefulSet", SUBS(scale_status) },
    { "apps", "DaemonSet", SUBS(status_only) },
    { "apps", "ControllerRevision", .strategy = &strategy_plain },
    { "batch", "Job", .strategy = &strategy_job, SUBS(status_only), FIELDS(job_fields) },
    { "batch", "CronJob", SUBS(status_only) },
    { "autoscaling", "HorizontalPodAutoscaler", SUBS(status_only), .stored_version = "v2" },
    { "policy", "PodDisruptionBudget", SUBS(status_only) },
    { "networking.k8s.io", "Ingress", SUBS(status_only) },
    { "networking.k8s.io", "ServiceCIDR", SUBS(status_only) },
    { "coordination.k8s.io", "Lease", .strategy = &strategy_lease },
    { "discovery.k8s.io", "EndpointSlice", .strategy = &strategy_generic },
    { "certificates.k8s.io", "CertificateSigningRequest", .strategy = &strategy_csr, SUBS(csr_subs), FIELDS(csr_fields) },
    { "storage.k8s.io", "VolumeAttachment", SUBS(status_only) },
    { "flowcontrol.apiserver.k8s.io", "FlowSchema", SUBS(status_only) },
    { "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", SUBS(status_only) },
    { "admissionregistration.k8s.io", "ValidatingAdmissionPolicy", SUBS(status_only) },
    { "apiextensions.k8s.io", "CustomResourceDefinition", SUBS(status_only), FIELDS(crd_fields) },
    { "apiregistration.k8s.io", "APIService", SUBS(status_only) },
    { "resource.k8s.io", "ResourceClaim", SUBS(status_only) },
    { "resource.k8s.io", "ResourceSlice", FIELDS(slice_fields) },
    { "rbac.authorization.k8s.io", "Role", .strategy = &strategy_plain },
    { "rbac.authorization.k8s.io", "RoleBinding", .strategy = &strategy_plain },
    { "rbac.authorization.k8s.io", "ClusterRole", .strategy = &strategy_plain },
    { "rbac.authorization.k8s.io", "ClusterRoleBinding", .strategy = &strategy_plain },
    { "scheduling.k8s.io", "PriorityClass", .strategy = &strategy_generic },
    { "authentication.k8s.io", "TokenReview", VERB_CREATE, &strategy_plain, .not_stored = true },
    { "authentication.k8s.io", "SelfSubjectReview", VERB_CREATE, &strategy_plain, .not_stored = true },
    { "authorization.k8s.io", "SubjectAccessReview", VERB_CREATE, &strategy_plain, .not_stored = true },
    { "authorization.k8s.io", "SelfSubjectAccessReview", VERB_CREATE, &strategy_plain, .not_stored = true },
    { "authorization.k8s.io", "LocalSubjectAccessReview", VERB_CREATE, &strategy_plain, .not_stored = true },
    { "authorization.k8s.io", "SelfSubjectRulesReview", VERB_CREATE, &strategy_plain, .not_stored = true },
};

static struct resource *table;
static size_t table_len;

static const struct row *
row_of(const struct api_kind *k)
{
    static const struct row plain = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].group, k->group) == 0 && strcmp(rows[i].kind, k->kind) == 0)
            return &rows[i];
    return &plain;
}

/* Two versions of one resource (autoscaling/v1 and v2), or two groups (events), serve the same objects. The row filled
 * first has the store; objects are stored as its kind. */
static const struct resource *
storing_row(const struct api_kind *k, const struct row *row)
{
    const char *group = row->shares ? row->shares : k->group;

    for (size_t i = 0; i < table_len; i++)
        if (table[i].kind && table[i].store && strcmp(table[i].kind->group, group) == 0 && strcmp(table[i].kind->plural, k->plural) == 0)
            return &table[i];
    return NULL;
}

/* Whether the kind is filled after the one that has the store. */
static bool
comes_second(const struct api_kind *k)
{
    const struct row *row = row_of(k);

    return row->shares || (row->stored_version && strcmp(row->stored_version, k->version) != 0);
}

static void
fill(struct resource *r, const struct api_kind *k, struct storage *st, int64_t event_ttl_s)
{
    const struct row *row = row_of(k);

    r->kind = k;
    r->verbs = row->verbs ? row->verbs : VERB_ALL;
    r->strategy = row->strategy ? row->strategy : &strategy_generic;
    r->subresources = row->subs;
    r->nsubresources = row->nsubs;
    r->list_kind = xasprintf("%sList", k->kind);
    if (row->not_stored)
        return;
    r->storage = (struct store_resource){
        .group = k->group,
        .resource = k->plural,
        .shape = { .namespaced = k->namespaced, .fields = row->fields, .nfields = row->nfields },
        .index_field = row->indexed ? 0 : -1,
        .ttl_s = row->events ? event_ttl_s : 0,
    };
    const struct resource *other = storing_row(k, row);
    r->stored_kind = other ? other->kind : k;
    r->store = other ? other->store : storage_add(st, &r->storage);
}

static size_t
kinds_served(void)
{
    size_t n = 0;

    for (size_t i = 0; i < api_kinds_len; i++)
        n += api_kinds[i].resource;
    return n;
}

void
resources_start(struct storage *st, int64_t event_ttl_s)
{
    table = xcalloc(kinds_served(), sizeof *table);
    table_len = kinds_served();
    for (int second = 0; second < 2; second++)
        for (size_t i = 0, slot = 0; i < api_kinds_len; i++) {
            if (!api_kinds[i].resource)
                continue;
            if (comes_second(&api_kinds[i]) == second)
                fill(&table[slot], &api_kinds[i], st, event_ttl_s);
            slot++;
        }
}

void
resources_stop(void)
{
    for (size_t i = 0; i < table_len; i++)
        free((char *)table[i].list_kind);
    free(table);
    table = NULL;
    table_len = 0;
}

const struct resource *
resource_find(const char *group, const char *version, const char *plural)
{
    for (size_t i = 0; i < table_len; i++)
        if (strcmp(table[i].kind->plural, plural) == 0 && strcmp(table[i].kind->group, group) == 0 &&
            strcmp(table[i].kind->version, version) == 0)
            return &table[i];
    return NULL;
}

const struct resource *
resource_of_kind(const struct api_kind *kind)
{
    for (size_t i = 0; i < table_len; i++)
        if (table[i].kind == kind)
            return &table[i];
    return NULL;
}

const struct resource *
resource_named(const char *api_version, const char *kind)
{
    const struct api_kind *k = api_kind_find(api_version, kind);

    return k ? resource_of_kind(k) : NULL;
}

const struct subresource *
resource_subresource(const struct resource *r, const char *name)
{
    for (size_t i = 0; i < r->nsubresources; i++)
        if (strcmp(r->subresources[i].name, name) == 0)
            return &r->subresources[i];
    return NULL;
}

size_t
resources_count(void)
{
    return table_len;
}

const struct resource *
resource_at(size_t i)
{
    return &table[i];
}
