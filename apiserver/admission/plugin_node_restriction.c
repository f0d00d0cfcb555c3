// SPDX-License-Identifier: Apache-2.0
/* NodeRestriction: a kubelet writes its own Node, Lease and CSINode, and pods bound to its node, nothing else.
 * (KEP-279; the labels a node may set on itself are those of the kubernetes.io namespaces listed below.) */
#include <string.h>

#include "apiserver/admission/plugins.h"
#include "apiserver/rest/internal.h"
#include "common/api/meta.h"

#define USER_PREFIX "system:node:"

static const char *const own_labels[] = {
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type", "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "node.kubernetes.io/windows-build",
};

static struct kerr *
refuse(const struct write_context *c, const char *why)
{
    const struct api_kind *k = c->resource->kind;

    return kerr_forbidden(k->group, k->plural, c->name, why);
}

static bool
reserved_label(const char *key)
{
    const char *slash = strchr(key, '/');
    AUTO_FREE char *ns = slash ? xstrndup(key, (size_t)(slash - key)) : NULL;

    if (!ns)
        return false;
    bool kubernetes = str_eq(ns, "kubernetes.io") || str_has_suffix(ns, ".kubernetes.io") || str_eq(ns, "k8s.io") || str_has_suffix(ns, ".k8s.io");
    if (!kubernetes || str_has_prefix(key, "kubelet.kubernetes.io/") || str_has_prefix(key, "node.kubernetes.io/"))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(own_labels); i++)
        if (str_eq(own_labels[i], key))
            return false;
    return true;
}

static struct kerr *
check_labels(const struct write_context *c, const struct node *node, const struct node *old)
{
    for (uint32_t i = 0; i < node->metadata.labels.len; i++) {
        const struct string_map_entry *e = &node->metadata.labels.items[i];
        const char *had = old ? string_map_get(&old->metadata.labels, e->key) : NULL;
        if (reserved_label(e->key) && !(had && str_eq(had, e->value))) {
            AUTO_FREE char *why = xasprintf("is not allowed to modify labels: %s", e->key);
            return refuse(c, why);
        }
    }
    return NULL;
}

static struct kerr *
check_node(const struct write_context *c, enum admission_operation op, const struct node *node, const struct node *old, const char *own)
{
    const char *name = node ? node->metadata.name : c->name;

    if (!str_eq(name, own)) {
        AUTO_FREE char *why = xasprintf("node \"%s\" is not allowed to modify node \"%s\"", own, str_safe(name));
        return refuse(c, why);
    }
    if (op == ADMISSION_CREATE && node && node->spec.config_source)
        return refuse(c, "is not allowed to create pods with a non-nil configSource");
    return node && !*c->subresource ? check_labels(c, node, old) : NULL;
}

static struct kerr *
check_pod(const struct write_context *c, enum admission_operation op, const struct pod *pod, const struct pod *old, const char *own)
{
    if (op == ADMISSION_CREATE) {
        if (strcmp(c->subresource, "eviction") == 0 || strcmp(c->subresource, "binding") == 0)
            return NULL;
        if (!meta_annotation(&pod->metadata, "kubernetes.io/config.mirror"))
            return refuse(c, "pod does not have \"kubernetes.io/config.mirror\" annotation, node can only create mirror pods");
        if (!str_eq(pod->spec.node_name, own))
            return refuse(c, "node can only create pods with spec.nodeName set to itself");
        return NULL;
    }
    if (old && !str_eq(old->spec.node_name, own)) {
        AUTO_FREE char *why = xasprintf("node \"%s\" can only %s pods with spec.nodeName set to itself", own,
                                        op == ADMISSION_DELETE ? "delete" : "update pod status for");
        return refuse(c, why);
    }
    if (op == ADMISSION_UPDATE && strcmp(c->subresource, "status") != 0)
        return refuse(c, "node can only update pod status");
    return NULL;
}

static struct kerr *
validate(const struct write_context *c, enum admission_operation op, const struct object *obj, const struct object *old)
{
    const char *kind = c->resource->kind->kind, *user = c->user->username;

    if (!str_has_prefix(user, USER_PREFIX) || !user_in_group(c->user, "system:nodes"))
        return NULL;
    const char *own = user + strlen(USER_PREFIX);
    if (strcmp(kind, "Pod") == 0)
        return check_pod(c, op, obj ? OBJECT_BODY(obj, pod) : NULL, old ? OBJECT_BODY(old, pod) : NULL, own);
    if (strcmp(kind, "Node") == 0)
        return check_node(c, op, obj ? OBJECT_BODY(obj, node) : NULL, old ? OBJECT_BODY(old, node) : NULL, own);
    if (strcmp(kind, "Lease") == 0 || strcmp(kind, "CSINode") == 0) {
        const char *name = obj ? object_name(obj) : c->name;
        if (strcmp(kind, "Lease") == 0 && !str_eq(c->ns, "kube-node-lease"))
            return refuse(c, "can only access leases in the \"kube-node-lease\" system namespace");
        if (!str_eq(name, own))
            return refuse(c, "can only access the object with the same name as the requesting node");
    }
    return NULL;
}

const struct admission_plugin plugin_node_restriction = {
    .name = "NodeRestriction",
    .on_by_default = false,
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE,
    .validate = validate,
};
