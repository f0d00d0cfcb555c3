// SPDX-License-Identifier: Apache-2.0
/* Containers of all three kinds: names, images, ports, environment, mounts, probes, lifecycle. */
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

void
check_pull_policy(struct findings *f, const struct path *p, const char *policy)
{
    static const char *const policies[] = { "Always", "IfNotPresent", "Never", NULL };

    check_enum(f, p, policy, policies, true);
}

static void
check_ports(struct findings *f, const struct path *p, const struct container_port_slice *ports)
{
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < ports->len; i++) {
        const struct container_port *port = &ports->items[i];
        const struct path *at = AT_INDEX(p, i);
        if (!str_empty(port->name)) {
            unsigned before = findings_count(f);
            check_name(f, AT(at, "name"), NAME_PORT, port->name);
            if (findings_count(f) == before)
                check_unique(f, AT(at, "name"), &names, port->name, false);
        }
        if (port->container_port == 0)
            find_required(f, AT(at, "containerPort"), "");
        else
            check_port(f, AT(at, "containerPort"), port->container_port);
        if (port->host_port != 0)
            check_port(f, AT(at, "hostPort"), port->host_port);
        check_protocol(f, AT(at, "protocol"), port->protocol);
    }
}

/* ---- environment ---- */

static const char *const env_field_paths[] = { "metadata.name", "metadata.namespace",      "metadata.uid",
                                               "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
                                               "status.hostIPs", "status.podIP",            "status.podIPs",
                                               NULL };
/* What upstream can convert at all; the rest is refused with another text. */
static const char *const convertible[] = { "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                                           "metadata.uid",         "spec.nodeName",   "spec.restartPolicy",
                                           "spec.serviceAccountName", "spec.schedulerName", "status.phase",
                                           "status.hostIP",        "status.hostIPs",  "status.podIP", "status.podIPs", NULL };

void
check_field_ref(struct findings *f, const struct path *p, const struct object_field_selector *ref,
                const char *const *allowed)
{
    const char *path = ref->field_path;

    if (!check_required(f, AT(p, "apiVersion"), ref->api_version) || !check_required(f, AT(p, "fieldPath"), path))
        return;
    const char *open = strstr(path, "['");
    if (open && str_has_suffix(path, "']")) {
        AUTO_FREE char *base = xstrndup(path, (size_t)(open - path));
        AUTO_FREE char *key = xstrndup(open + 2, strlen(open) - 4);
        if (strcmp(base, "metadata.annotations") == 0) {
            AUTO_FREE char *lower = str_lower(key);
            check_label_key(f, p, lower);
        } else if (strcmp(base, "metadata.labels") == 0)
            check_label_key(f, p, key);
        else
            find_invalid(f, AT(p, "fieldPath"), path, "error converting fieldPath: field label does not support subscript");
        return;
    }
    if (!is_one_of(path, convertible))
        find_invalid(f, AT(p, "fieldPath"), path, "error converting fieldPath: field label not supported: %s", path);
    else if (!is_one_of(path, allowed))
        find_unsupported(f, AT(p, "fieldPath"), path, allowed);
}

static void
check_divisor(struct findings *f, const struct path *p, const char *resource, struct quantity divisor)
{
    static const char *const cpu[] = { "1m", "1", NULL };
    static const char *const bytes[] = { "1",   "1k",  "1M",  "1G",  "1T",  "1P",  "1E",
                                         "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei", NULL };
    static const struct {
        const char *suffix, *text;
    } kinds[] = { { ".memory", "memory" }, { ".ephemeral-storage", "local ephemeral storage" } };

    if (quantity_sign(divisor) == 0)
        return;
    if (str_has_suffix(resource, ".cpu")) {
        if (!is_one_of(quantity_text(divisor), cpu))
            find_invalid(f, AT(p, "divisor"), resource, "only divisor's values 1m and 1 are supported with the cpu resource");
        return;
    }
    const char *what = strstr(str_safe(resource), ".hugepages-") ? "hugepages" : NULL;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_has_suffix(resource, kinds[i].suffix))
            what = kinds[i].text;
    if (what && !is_one_of(quantity_text(divisor), bytes))
        find_invalid(f, AT(p, "divisor"), resource,
                     "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the "
                     "%s resource",
                     what);
}

void
check_resource_ref(struct findings *f, const struct path *p, const struct resource_field_selector *ref, bool volume)
{
    static const char *const resources[] = { "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
                                             "requests.cpu", "requests.ephemeral-storage", "requests.memory", NULL };

    if (volume && str_empty(ref->container_name))
        find_required(f, AT(p, "containerName"), "");
    else if (str_empty(ref->resource))
        find_required(f, AT(p, "resource"), "");
    else if (!is_one_of(ref->resource, resources) && !str_has_prefix(ref->resource, "limits.hugepages-") &&
             !str_has_prefix(ref->resource, "requests.hugepages-"))
        find_unsupported(f, AT(p, "resource"), ref->resource, resources);
    check_divisor(f, p, ref->resource, ref->divisor);
}

static void
check_key_ref(struct findings *f, const struct path *p, const char *name, const char *key)
{
    check_name(f, AT(p, "name"), NAME_DNS_SUBDOMAIN, name);
    check_required_name(f, AT(p, "key"), NAME_CONFIG_KEY, key);
}

static void
check_value_from(struct findings *f, const struct path *p, const struct env_var *e)
{
    const struct env_var_source *s = e->value_from;
    unsigned sources = 0;

    if (s->field_ref) {
        sources++;
        check_field_ref(f, AT(p, "fieldRef"), s->field_ref, env_field_paths);
    }
    if (s->resource_field_ref) {
        sources++;
        check_resource_ref(f, AT(p, "resourceFieldRef"), s->resource_field_ref, false);
    }
    if (s->config_map_key_ref) {
        sources++;
        check_key_ref(f, AT(p, "configMapKeyRef"), s->config_map_key_ref->local_object_reference.name,
                      s->config_map_key_ref->key);
    }
    if (s->secret_key_ref) {
        sources++;
        check_key_ref(f, AT(p, "secretKeyRef"), s->secret_key_ref->local_object_reference.name, s->secret_key_ref->key);
    }
    if (s->file_key_ref) {
        const struct path *at = AT(p, "fileKeyRef");
        sources++;
        check_required_name(f, AT(at, "key"), NAME_ENV_VAR, s->file_key_ref->key);
        check_required_name(f, AT(at, "volumeName"), NAME_DNS_LABEL, s->file_key_ref->volume_name);
        if (check_required(f, AT(at, "path"), s->file_key_ref->path))
            check_local_path(f, AT(at, "path"), s->file_key_ref->path);
    }
    if (sources == 0)
        find_invalid(f, p, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
    else if (!str_empty(e->value))
        find_invalid(f, p, "", "may not be specified when `value` is not empty");
    else if (sources > 1)
        find_invalid(f, p, "", "may not have more than one field specified at a time");
}

static void
check_env(struct findings *f, const struct path *p, const struct env_var_slice *env)
{
    for (uint32_t i = 0; i < env->len; i++) {
        const struct path *at = AT_INDEX(p, i);
        check_required_name(f, AT(at, "name"), NAME_ENV_VAR, env->items[i].name);
        if (env->items[i].value_from)
            check_value_from(f, AT(at, "valueFrom"), &env->items[i]);
    }
}

static void
check_env_from(struct findings *f, const struct path *p, const struct env_from_source_slice *from)
{
    for (uint32_t i = 0; i < from->len; i++) {
        const struct env_from_source *e = &from->items[i];
        const struct path *at = AT_INDEX(p, i);
        check_optional_name(f, AT(at, "prefix"), NAME_ENV_VAR, e->prefix);
        if (e->config_map_ref)
            check_required_name(f, AT(AT(at, "configMapRef"), "name"), NAME_DNS_SUBDOMAIN,
                                e->config_map_ref->local_object_reference.name);
        if (e->secret_ref)
            check_required_name(f, AT(AT(at, "secretRef"), "name"), NAME_DNS_SUBDOMAIN,
                                e->secret_ref->local_object_reference.name);
        if (!e->config_map_ref && !e->secret_ref)
            find_invalid(f, p, "", "must specify one of: `configMapRef` or `secretRef`");
        else if (e->config_map_ref && e->secret_ref)
            find_invalid(f, p, "", "may not have more than one field specified at a time");
    }
}

/* ---- mounts and devices ---- */

/* Names and paths of both lists of a container: none may be in both. */
struct mounted {
    struct name_index mount_names, mount_paths, device_names, device_paths;
};

static void
mounted_done(struct mounted *m)
{
    name_index_done(&m->mount_names);
    name_index_done(&m->mount_paths);
    name_index_done(&m->device_names);
    name_index_done(&m->device_paths);
}

static void
index_mounted(const struct container *c, struct mounted *ret)
{
    for (uint32_t i = 0; i < c->volume_mounts.len; i++) {
        (void)name_index_add(&ret->mount_names, c->volume_mounts.items[i].name, c);
        (void)name_index_add(&ret->mount_paths, c->volume_mounts.items[i].mount_path, c);
    }
    for (uint32_t i = 0; i < c->volume_devices.len; i++) {
        (void)name_index_add(&ret->device_names, c->volume_devices.items[i].name, c);
        (void)name_index_add(&ret->device_paths, c->volume_devices.items[i].device_path, c);
    }
}

static bool
is_privileged(const struct container *c)
{
    return c->security_context && c->security_context->privileged && *c->security_context->privileged;
}

static void
check_propagation(struct findings *f, const struct path *p, const struct volume_mount *m, const struct container *c)
{
    static const char *const modes[] = { "Bidirectional", "HostToContainer", "None", NULL };
    static const char *const recursive[] = { "Disabled", "Enabled", "IfPossible", NULL };

    if (m->mount_propagation) {
        if (!is_one_of(m->mount_propagation, modes))
            find_unsupported(f, AT(p, "mountPropagation"), m->mount_propagation, modes);
        if (str_eq(m->mount_propagation, "Bidirectional") && !is_privileged(c))
            find_forbidden(f, AT(p, "mountPropagation"),
                           "Bidirectional mount propagation is available only to privileged containers");
    }
    if (!m->recursive_read_only || str_eq(m->recursive_read_only, "Disabled"))
        return;
    if (!is_one_of(m->recursive_read_only, recursive)) {
        find_unsupported(f, AT(p, "recursiveReadOnly"), m->recursive_read_only, recursive);
        return;
    }
    if (!m->read_only)
        find_forbidden(f, AT(p, "recursiveReadOnly"), "may only be specified when readOnly is true");
    if (m->mount_propagation && !str_eq(m->mount_propagation, "None"))
        find_forbidden(f, AT(p, "recursiveReadOnly"),
                       "may only be specified when mountPropagation is None or not specified");
}

static void
check_sub_paths(struct findings *f, const struct path *list, const struct path *at, const struct volume_mount *m)
{
    bool sub = !str_empty(m->sub_path), expr = !str_empty(m->sub_path_expr);

    if (sub)
        check_relative_path(f, AT(list, "subPath"), m->sub_path);
    if (expr) {
        if (sub)
            find_invalid(f, AT(at, "subPathExpr"), m->sub_path_expr, "subPathExpr and subPath are mutually exclusive");
        check_relative_path(f, AT(list, "subPathExpr"), m->sub_path_expr);
    }
}

static void
check_mounts(struct findings *f, const struct path *p, const struct container *c, const struct pod_scope *scope,
             const struct mounted *all)
{
    const struct volume_mount_slice *mounts = &c->volume_mounts;
    AUTO_INDEX paths = { 0 };

    for (uint32_t i = 0; i < mounts->len; i++) {
        const struct volume_mount *m = &mounts->items[i];
        const struct path *at = AT_INDEX(p, i);
        check_required(f, AT(at, "name"), m->name);
        if (!name_index_get(scope->volumes, m->name))
            find_not_found(f, AT(at, "name"), m->name, "");
        check_required(f, AT(at, "mountPath"), m->mount_path);
        if (name_index_add(&paths, m->mount_path, m))
            find_invalid(f, AT(at, "mountPath"), m->mount_path, "must be unique");
        if (name_index_get(&all->device_names, m->name))
            find_invalid(f, AT(at, "name"), m->name, "must not already exist in volumeDevices");
        if (name_index_get(&all->device_paths, m->mount_path))
            find_invalid(f, AT(at, "mountPath"), m->mount_path, "must not already exist as a path in volumeDevices");
        check_sub_paths(f, p, at, m);
        check_propagation(f, p, m, c);
    }
}

static void
check_devices(struct findings *f, const struct path *p, const struct container *c, const struct pod_scope *scope,
              const struct mounted *all)
{
    const struct volume_device_slice *devices = &c->volume_devices;
    AUTO_INDEX names = { 0 };
    AUTO_INDEX paths = { 0 };

    for (uint32_t i = 0; i < devices->len; i++) {
        const struct volume_device *d = &devices->items[i];
        const struct path *at = AT_INDEX(p, i);
        const struct volume *v = name_index_get(scope->volumes, d->name);
        check_required(f, AT(at, "name"), d->name);
        if (!str_empty(d->name) && name_index_add(&names, d->name, d))
            find_invalid(f, AT(at, "name"), d->name, "must be unique");
        if (v && !v->volume_source.persistent_volume_claim && !v->volume_source.ephemeral)
            find_invalid(f, AT(at, "name"), d->name,
                         "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
        if (!v)
            find_not_found(f, AT(at, "name"), d->name, "");
        check_required(f, AT(at, "devicePath"), d->device_path);
        if (!str_empty(d->device_path) && name_index_add(&paths, d->device_path, d))
            find_invalid(f, AT(at, "devicePath"), d->device_path, "must be unique");
        if (has_backstep(d->device_path))
            find_invalid(f, AT(at, "devicePath"), d->device_path, "can not contain backsteps ('..')");
        if (name_index_get(&all->mount_names, d->name))
            find_invalid(f, AT(at, "name"), d->name, "must not already exist in volumeMounts");
        if (name_index_get(&all->mount_paths, d->device_path))
            find_invalid(f, AT(at, "devicePath"), d->device_path, "must not already exist as a path in volumeMounts");
    }
}

/* ---- handlers ---- */

struct handler {
    const struct exec_action *exec;
    const struct http_get_action *http_get;
    const struct tcp_socket_action *tcp_socket;
    const struct grpc_action *grpc;
    const struct sleep_action *sleep;
};

static void
check_http_get(struct findings *f, const struct path *p, const struct http_get_action *h)
{
    static const char *const schemes[] = { "HTTP", "HTTPS", NULL };

    check_required(f, AT(p, "path"), h->path);
    check_port_or_name(f, AT(p, "port"), h->port);
    if (!is_one_of(h->scheme, schemes))
        find_unsupported(f, AT(p, "scheme"), h->scheme, schemes);
    for (uint32_t i = 0; i < h->http_headers.len; i++)
        check_name(f, AT(p, "httpHeaders"), NAME_HTTP_HEADER, h->http_headers.items[i].name);
}

static bool
only_handler(struct findings *f, const struct path *p, unsigned *n)
{
    if ((*n)++ == 0)
        return true;
    find_forbidden(f, p, "may not specify more than 1 handler type");
    return false;
}

static void
check_handler(struct findings *f, const struct path *p, const struct handler *h, const int64_t *grace)
{
    unsigned n = 0;

    if (h->exec && only_handler(f, AT(p, "exec"), &n) && h->exec->command.len == 0)
        find_required(f, AT(AT(p, "exec"), "command"), "");
    if (h->http_get && only_handler(f, AT(p, "httpGet"), &n))
        check_http_get(f, AT(p, "httpGet"), h->http_get);
    if (h->tcp_socket && only_handler(f, AT(p, "tcpSocket"), &n))
        check_port_or_name(f, AT(AT(p, "tcpSocket"), "port"), h->tcp_socket->port);
    if (h->grpc && only_handler(f, AT(p, "grpc"), &n))
        check_port(f, AT(AT(p, "grpc"), "port"), h->grpc->port);
    if (h->sleep && only_handler(f, AT(p, "sleep"), &n) && grace && (h->sleep->seconds < 0 || h->sleep->seconds > *grace))
        find_invalid_int(f, AT(p, "sleep"), h->sleep->seconds,
                         "must be non-negative and less than terminationGracePeriodSeconds (%lld)", (long long)*grace);
    if (n == 0)
        find_required(f, p, "must specify a handler type");
}

static void
check_probe(struct findings *f, const struct path *p, const struct probe *probe, const int64_t *grace, bool readiness)
{
    if (!probe)
        return;
    const struct probe_handler *ph = &probe->probe_handler;
    check_handler(f, p, &(struct handler){ ph->exec, ph->http_get, ph->tcp_socket, ph->grpc, NULL }, grace);
    check_nonnegative(f, AT(p, "initialDelaySeconds"), probe->initial_delay_seconds);
    check_nonnegative(f, AT(p, "timeoutSeconds"), probe->timeout_seconds);
    check_nonnegative(f, AT(p, "periodSeconds"), probe->period_seconds);
    check_nonnegative(f, AT(p, "successThreshold"), probe->success_threshold);
    check_nonnegative(f, AT(p, "failureThreshold"), probe->failure_threshold);
    const int64_t *own_grace = probe->termination_grace_period_seconds;
    if (own_grace && *own_grace <= 0)
        find_invalid_int(f, AT(p, "terminationGracePeriodSeconds"), *own_grace, "must be greater than 0");
    if (readiness && own_grace)
        find_invalid_int(f, AT(p, "terminationGracePeriodSeconds"), *own_grace, "must not be set for readinessProbes");
    if (!readiness && probe->success_threshold != 1)
        find_invalid_int(f, AT(p, "successThreshold"), probe->success_threshold, "must be 1");
}

static void
check_lifecycle_handler(struct findings *f, const struct path *p, const struct lifecycle_handler *h, const int64_t *grace)
{
    if (h)
        check_handler(f, p, &(struct handler){ h->exec, h->http_get, h->tcp_socket, NULL, h->sleep }, grace);
}

static void
check_running_parts(struct findings *f, const struct path *p, const struct container *c, const int64_t *grace)
{
    if (c->lifecycle) {
        check_lifecycle_handler(f, AT(AT(p, "lifecycle"), "postStart"), c->lifecycle->post_start, grace);
        check_lifecycle_handler(f, AT(AT(p, "lifecycle"), "preStop"), c->lifecycle->pre_stop, grace);
    }
    check_probe(f, AT(p, "livenessProbe"), c->liveness_probe, grace, false);
    check_probe(f, AT(p, "readinessProbe"), c->readiness_probe, grace, true);
    check_probe(f, AT(p, "startupProbe"), c->startup_probe, grace, false);
}

/* ---- the container ---- */

static void
check_resize_policy(struct findings *f, const struct path *p, const struct container_resize_policy_slice *list,
                    const char *restart_policy)
{
    static const char *const resources[] = { "cpu", "memory", NULL };
    static const char *const policies[] = { "NotRequired", "RestartContainer", NULL };

    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < list->len; i++) {
        const struct container_resize_policy *r = &list->items[i];
        check_unique(f, AT_INDEX(p, i), &names, r->resource_name, false);
        check_enum(f, p, r->resource_name, resources, true);
        check_enum(f, p, r->restart_policy, policies, true);
        if (str_eq(restart_policy, "Never") && !str_eq(r->restart_policy, "NotRequired"))
            find_invalid(f, p, r->restart_policy, "must be 'NotRequired' when `restartPolicy` is 'Never'");
    }
}

static void
check_restart_rules(struct findings *f, const struct path *p, const struct container *c)
{
    static const char *const policies[] = { "Always", "Never", "OnFailure", NULL };
    static const char *const actions[] = { "Restart", NULL };
    static const char *const operators[] = { "In", "NotIn", NULL };

    if (c->restart_policy && !is_one_of(c->restart_policy, policies))
        find_unsupported(f, AT(p, "restartPolicy"), c->restart_policy, policies);
    if (c->restart_policy_rules.len == 0)
        return;
    p = AT(p, "restartPolicyRules");
    if (!c->restart_policy)
        find_required(f, AT(p->up, "restartPolicy"), "must specify restartPolicy when restart rules are used");
    if (c->restart_policy_rules.len > 20)
        find_too_many(f, p, c->restart_policy_rules.len, 20);
    for (uint32_t i = 0; i < c->restart_policy_rules.len; i++) {
        const struct container_restart_rule *r = &c->restart_policy_rules.items[i];
        const struct path *at = AT_INDEX(p, i);
        check_enum(f, AT(at, "action"), r->action, actions, true);
        if (!r->exit_codes) {
            find_required(f, AT(at, "exitCodes"), "must be specified");
            continue;
        }
        check_enum(f, AT(AT(at, "exitCodes"), "operator"), r->exit_codes->operator, operators, true);
        if (r->exit_codes->values.len > 255)
            find_too_many(f, AT(AT(at, "exitCodes"), "values"), r->exit_codes->values.len, 255);
    }
}

static void
check_common(struct findings *f, const struct path *p, const struct container *c, const struct pod_scope *scope)
{
    static const char *const message_policies[] = { "File", "FallbackToLogsOnError", NULL };
    struct mounted all = { 0 };

    check_required_name(f, AT(p, "name"), NAME_DNS_LABEL, c->name);
    check_required(f, AT(p, "image"), c->image);
    check_enum(f, AT(p, "terminationMessagePolicy"), c->termination_message_policy, message_policies, true);
    check_ports(f, AT(p, "ports"), &c->ports);
    check_env(f, AT(p, "env"), &c->env);
    check_env_from(f, AT(p, "envFrom"), &c->env_from);
    index_mounted(c, &all);
    check_mounts(f, AT(p, "volumeMounts"), c, scope, &all);
    check_devices(f, AT(p, "volumeDevices"), c, scope, &all);
    mounted_done(&all);
    check_pull_policy(f, AT(p, "imagePullPolicy"), c->image_pull_policy);
    check_resources(f, AT(p, "resources"), &c->resources, &scope->spec->resource_claims, false);
    check_resize_policy(f, AT(p, "resizePolicy"), &c->resize_policy, scope->spec->restart_policy);
    check_restart_rules(f, p, c);
    check_container_security(f, AT(p, "securityContext"), c->security_context, scope->host_users);
}

/* One host port of one protocol and address belongs to one container of those that run together. */
static void
check_host_ports(struct findings *f, const struct path *p, const struct container *containers, uint32_t len)
{
    AUTO_INDEX seen = { 0 };

    for (uint32_t c = 0; c < len; c++)
        for (uint32_t i = 0; i < containers[c].ports.len; i++) {
            const struct container_port *port = &containers[c].ports.items[i];
            if (port->host_port == 0)
                continue;
            AUTO_FREE char *key = xasprintf("%s/%s/%d", str_safe(port->protocol), str_safe(port->host_ip), port->host_port);
            check_unique(f, AT(AT_INDEX(AT(AT_INDEX(p, c), "ports"), i), "hostPort"), &seen, key, false);
        }
}

static void
check_main_containers(struct findings *f, const struct path *p, const struct pod_scope *scope, struct name_index *names)
{
    const struct container_slice *l = &scope->spec->containers;

    if (l->len == 0) {
        find_required(f, p, "");
        return;
    }
    for (uint32_t i = 0; i < l->len; i++) {
        const struct path *at = AT_INDEX(p, i);
        check_common(f, at, &l->items[i], scope);
        check_unique(f, AT(at, "name"), names, l->items[i].name, false);
        check_running_parts(f, at, &l->items[i], scope->spec->termination_grace_period_seconds);
    }
    check_host_ports(f, p, l->items, l->len);
}

static void
check_init_containers(struct findings *f, const struct path *p, const struct pod_scope *scope, struct name_index *names)
{
    static const char only_sidecars[] = "may not be set for init containers without restartPolicy=Always";
    const struct container_slice *l = &scope->spec->init_containers;

    for (uint32_t i = 0; i < l->len; i++) {
        const struct container *c = &l->items[i];
        const struct path *at = AT_INDEX(p, i);
        check_common(f, at, c, scope);
        check_unique(f, AT(at, "name"), names, c->name, true);
        check_host_ports(f, p, c, 1);
        if (container_is_sidecar(c)) {
            check_running_parts(f, at, c, scope->spec->termination_grace_period_seconds);
            continue;
        }
        const struct {
            const char *field;
            const void *set;
        } forbidden[] = { { "lifecycle", c->lifecycle },
                          { "livenessProbe", c->liveness_probe },
                          { "readinessProbe", c->readiness_probe },
                          { "startupProbe", c->startup_probe } };
        for (size_t k = 0; k < ARRAY_LEN(forbidden); k++)
            if (forbidden[k].set)
                find_forbidden(f, AT(at, forbidden[k].field), "%s", only_sidecars);
    }
}

static void
check_ephemeral_fields(struct findings *f, const struct path *p, const struct container *c)
{
    static const char msg[] = "cannot be set for an Ephemeral Container";
    const struct {
        const char *field;
        bool set;
    } forbidden[] = {
        { "ports", c->ports.len > 0 },
        { "resources", c->resources.limits.len + c->resources.requests.len + c->resources.claims.len > 0 },
        { "resizePolicy", c->resize_policy.len > 0 },
        { "restartPolicy", c->restart_policy != NULL },
        { "restartPolicyRules", c->restart_policy_rules.len > 0 },
        { "livenessProbe", c->liveness_probe != NULL },
        { "readinessProbe", c->readiness_probe != NULL },
        { "startupProbe", c->startup_probe != NULL },
        { "lifecycle", c->lifecycle != NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
        if (forbidden[i].set)
            find_forbidden(f, AT(p, forbidden[i].field), "%s", msg);
    for (uint32_t i = 0; i < c->volume_mounts.len; i++) {
        const struct path *at = AT_INDEX(AT(p, "volumeMounts"), i);
        if (!str_empty(c->volume_mounts.items[i].sub_path))
            find_forbidden(f, AT(at, "subPath"), "%s", msg);
        if (!str_empty(c->volume_mounts.items[i].sub_path_expr))
            find_forbidden(f, AT(at, "subPathExpr"), "%s", msg);
    }
}

static void
check_ephemeral_containers(struct findings *f, const struct path *p, const struct pod_scope *scope,
                           const struct name_index *others)
{
    const struct ephemeral_container_slice *l = &scope->spec->ephemeral_containers;
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < l->len; i++) {
        const struct container *c = (const struct container *)&l->items[i].ephemeral_container_common;
        const struct path *at = AT_INDEX(p, i);
        const char *target = l->items[i].target_container_name;
        check_common(f, at, c, scope);
        if (name_index_get(others, c->name) || name_index_add(&names, c->name, c))
            find_duplicate(f, AT(at, "name"), c->name);
        if (!str_empty(target) && !name_index_get(others, target))
            find_not_found(f, AT(at, "targetContainerName"), target, "");
        check_ephemeral_fields(f, at, c);
    }
}

void
check_containers(struct findings *f, const struct path *spec_path, const struct pod_scope *scope)
{
    AUTO_INDEX names = { 0 };

    check_main_containers(f, AT(spec_path, "containers"), scope, &names);
    check_init_containers(f, AT(spec_path, "initContainers"), scope, &names);
    check_ephemeral_containers(f, AT(spec_path, "ephemeralContainers"), scope, &names);
}

void
each_container(const struct pod_spec *spec, const struct path *spec_path,
               void (*fn)(const struct container *c, const struct path *p, void *arg), void *arg)
{
    for (uint32_t i = 0; i < spec->init_containers.len; i++)
        fn(&spec->init_containers.items[i], AT_INDEX(AT(spec_path, "initContainers"), i), arg);
    for (uint32_t i = 0; i < spec->containers.len; i++)
        fn(&spec->containers.items[i], AT_INDEX(AT(spec_path, "containers"), i), arg);
    for (uint32_t i = 0; i < spec->ephemeral_containers.len; i++)
        fn((const struct container *)&spec->ephemeral_containers.items[i].ephemeral_container_common,
           AT_INDEX(AT(spec_path, "ephemeralContainers"), i), arg);
}
