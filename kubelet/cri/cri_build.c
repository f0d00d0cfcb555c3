// SPDX-License-Identifier: Apache-2.0
#include "kubelet/cri/cri_build.h"

#include <stdio.h>

#include "kubelet/api_build.h"
#include "kubelet/cri/cri_enums.h"
#include "kubelet/cri/cri_names.h"

static void
add_strings(struct arena *a, struct string_slice *to, const struct strlist *from)
{
    for (size_t i = 0; i < from->len; i++)
        *SLICE_ADD(a, to) = arena_strdup(a, from->items[i]);
}

static struct cri_int64_value *
int64_value(struct arena *a, int64_t n)
{
    struct cri_int64_value *v = ARENA_NEW(a, struct cri_int64_value);

    v->value = n;
    return v;
}

static bool
flag(const bool *p)
{
    return p && *p;
}

/* --- parts that sandboxes and containers share --- */

static struct cri_namespace_option *
namespaces(const struct pod *pod, const char *target_id, struct arena *a)
{
    struct cri_namespace_option *ns = ARENA_NEW(a, struct cri_namespace_option);

    ns->network = pod->spec.host_network ? CRI_NS_NODE : CRI_NS_POD;
    ns->ipc = pod->spec.host_ipc ? CRI_NS_NODE : CRI_NS_POD;
    ns->pid = pod->spec.host_pid ? CRI_NS_NODE : flag(pod->spec.share_process_namespace) ? CRI_NS_POD : CRI_NS_CONTAINER;
    if (!str_empty(target_id) && ns->pid == CRI_NS_CONTAINER) {
        ns->pid = CRI_NS_TARGET;
        ns->target_id = target_id;
    }
    return ns;
}

static struct cri_security_profile *
seccomp(const struct seccomp_profile *p, bool by_default, const char *root, struct arena *a)
{
    struct cri_security_profile *sp = ARENA_NEW(a, struct cri_security_profile);

    sp->profile_type = CRI_PROFILE_UNCONFINED;
    if (!p)
        sp->profile_type = by_default ? CRI_PROFILE_RUNTIME_DEFAULT : CRI_PROFILE_UNCONFINED;
    else if (str_eq(p->type, "RuntimeDefault"))
        sp->profile_type = CRI_PROFILE_RUNTIME_DEFAULT;
    else if (str_eq(p->type, "Localhost")) {
        sp->profile_type = CRI_PROFILE_LOCALHOST;
        sp->localhost_ref = arena_printf(a, "%s/%s", str_safe(root), str_safe(p->localhost_profile));
    }
    return sp;
}

static struct cri_security_profile *
apparmor(const struct app_armor_profile *p, struct arena *a)
{
    struct cri_security_profile *sp;

    if (!p)
        return NULL;
    sp = ARENA_NEW(a, struct cri_security_profile);
    sp->profile_type = str_eq(p->type, "Unconfined")  ? CRI_PROFILE_UNCONFINED
                       : str_eq(p->type, "Localhost") ? CRI_PROFILE_LOCALHOST
                                                      : CRI_PROFILE_RUNTIME_DEFAULT;
    sp->localhost_ref = p->localhost_profile;
    return sp;
}

static struct cri_se_linux_option *
selinux(const struct se_linux_options *o, struct arena *a)
{
    struct cri_se_linux_option *s;

    if (!o)
        return NULL;
    s = ARENA_NEW(a, struct cri_se_linux_option);
    s->user = o->user;
    s->role = o->role;
    s->type = o->type;
    s->level = o->level;
    return s;
}

static void
pod_labels(const struct pod *pod, struct string_map *m, struct arena *a)
{
    string_map_set(m, a, L_POD_NAME, pod->metadata.name);
    string_map_set(m, a, L_POD_NAMESPACE, pod->metadata.namespace);
    string_map_set(m, a, L_POD_UID, pod->metadata.uid);
}

static void
groups(const struct pod_security_context *psc, const int64_t *extra, size_t nextra, struct i64_slice *to,
       int32_t *policy, struct arena *a)
{
    for (size_t i = 0; i < nextra; i++)
        *SLICE_ADD(a, to) = extra[i];
    if (!psc)
        return;
    if (psc->fs_group)
        *SLICE_ADD(a, to) = *psc->fs_group;
    for (uint32_t i = 0; i < psc->supplemental_groups.len; i++)
        *SLICE_ADD(a, to) = psc->supplemental_groups.items[i];
    if (str_eq(psc->supplemental_groups_policy, "Strict"))
        *policy = CRI_GROUPS_STRICT;
}

static struct cri_linux_container_resources *
resources(int64_t shares, int64_t quota, int64_t period, int64_t memory, struct arena *a)
{
    struct cri_linux_container_resources *r = ARENA_NEW(a, struct cri_linux_container_resources);

    r->cpu_shares = shares;
    r->cpu_quota = quota;
    r->cpu_period = quota ? period : 0;
    r->memory_limit_in_bytes = memory;
    return r;
}

/* --- sandbox --- */

static bool
any_privileged(const struct pod *pod)
{
    for (uint32_t i = 0; i < pod->spec.containers.len; i++)
        if (pod->spec.containers.items[i].security_context && flag(pod->spec.containers.items[i].security_context->privileged))
            return true;
    for (uint32_t i = 0; i < pod->spec.init_containers.len; i++)
        if (pod->spec.init_containers.items[i].security_context &&
            flag(pod->spec.init_containers.items[i].security_context->privileged))
            return true;
    return false;
}

static struct cri_linux_sandbox_security_context *
sandbox_security(const struct sandbox_request *rq, struct arena *a)
{
    const struct pod_security_context *psc = rq->pod->spec.security_context;
    struct cri_linux_sandbox_security_context *sc = ARENA_NEW(a, struct cri_linux_sandbox_security_context);

    sc->namespace_options = namespaces(rq->pod, NULL, a);
    sc->privileged = any_privileged(rq->pod);
    /* The pause container itself always runs with the runtime's profile, as upstream. */
    sc->seccomp = ARENA_NEW(a, struct cri_security_profile);
    sc->seccomp->profile_type = CRI_PROFILE_RUNTIME_DEFAULT;
    groups(psc, NULL, 0, &sc->supplemental_groups, &sc->supplemental_groups_policy, a);
    if (!psc)
        return sc;
    if (psc->run_as_user)
        sc->run_as_user = int64_value(a, *psc->run_as_user);
    if (psc->run_as_group && psc->run_as_user)
        sc->run_as_group = int64_value(a, *psc->run_as_group);
    sc->selinux_options = selinux(psc->se_linux_options, a);
    return sc;
}

static void
port_mappings(const struct pod *pod, const struct container_slice *cs, struct cri_port_mapping_slice *to, struct arena *a)
{
    for (uint32_t i = 0; i < cs->len; i++)
        for (uint32_t k = 0; k < cs->items[i].ports.len; k++) {
            const struct container_port *p = &cs->items[i].ports.items[k];
            struct cri_port_mapping *m;

            if (p->host_port <= 0 || pod->spec.host_network)
                continue;
            m = SLICE_ADD(a, to);
            m->host_port = p->host_port;
            m->container_port = p->container_port;
            m->host_ip = p->host_ip;
            m->protocol = str_eq(p->protocol, "UDP") ? CRI_PROTOCOL_UDP : str_eq(p->protocol, "SCTP") ? CRI_PROTOCOL_SCTP : CRI_PROTOCOL_TCP;
        }
}

static void
sandbox_sysctls(const struct pod *pod, struct string_map *to, struct arena *a)
{
    const struct pod_security_context *psc = pod->spec.security_context;

    for (uint32_t i = 0; psc && i < psc->sysctls.len; i++) {
        char *name = arena_strdup(a, psc->sysctls.items[i].name);

        for (char *p = name; *p; p++)
            if (*p == '/')
                *p = '.';
        string_map_set(to, a, name, psc->sysctls.items[i].value);
    }
}

struct cri_pod_sandbox_config *
cri_build_sandbox(const struct sandbox_request *rq, struct arena *a)
{
    const struct pod *pod = rq->pod;
    struct cri_pod_sandbox_config *c = ARENA_NEW(a, struct cri_pod_sandbox_config);

    c->metadata = ARENA_NEW(a, struct cri_pod_sandbox_metadata);
    c->metadata->name = pod->metadata.name;
    c->metadata->namespace = pod->metadata.namespace;
    c->metadata->uid = pod->metadata.uid;
    c->metadata->attempt = rq->attempt;
    c->hostname = pod->spec.host_network ? NULL : rq->hostname;
    c->log_directory = rq->log_dir;
    c->dns_config = ARENA_NEW(a, struct cri_dns_config);
    add_strings(a, &c->dns_config->servers, &rq->dns_servers);
    add_strings(a, &c->dns_config->searches, &rq->dns_searches);
    add_strings(a, &c->dns_config->options, &rq->dns_options);
    port_mappings(pod, &pod->spec.init_containers, &c->port_mappings, a);
    port_mappings(pod, &pod->spec.containers, &c->port_mappings, a);
    for (uint32_t i = 0; i < pod->metadata.labels.len; i++)
        string_map_set(&c->labels, a, pod->metadata.labels.items[i].key, pod->metadata.labels.items[i].value);
    pod_labels(pod, &c->labels, a);
    for (uint32_t i = 0; i < pod->metadata.annotations.len; i++)
        string_map_set(&c->annotations, a, pod->metadata.annotations.items[i].key, pod->metadata.annotations.items[i].value);
    c->linux = ARENA_NEW(a, struct cri_linux_pod_sandbox_config);
    c->linux->cgroup_parent = rq->cgroup_parent;
    c->linux->security_context = sandbox_security(rq, a);
    sandbox_sysctls(pod, &c->linux->sysctls, a);
    c->linux->resources = resources(rq->cpu_shares, rq->cpu_quota, rq->cpu_period, rq->memory_limit, a);
    if (rq->overhead_cpu_milli || rq->overhead_memory)
        c->linux->overhead = resources(0, rq->overhead_cpu_milli * 100, 100000, rq->overhead_memory, a);
    return c;
}

/* --- container --- */

static const char *const masked_paths[] = {
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
};
static const char *const readonly_paths[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };

static void
capabilities(const struct capabilities *caps, struct cri_capability **ret, struct arena *a)
{
    if (!caps)
        return;
    *ret = ARENA_NEW(a, struct cri_capability);
    for (uint32_t i = 0; i < caps->add.len; i++)
        *SLICE_ADD(a, &(*ret)->add_capabilities) = caps->add.items[i];
    for (uint32_t i = 0; i < caps->drop.len; i++)
        *SLICE_ADD(a, &(*ret)->drop_capabilities) = caps->drop.items[i];
}

static void
run_as(const struct container_request *rq, const struct security_context *sc, const struct pod_security_context *psc,
       struct cri_linux_container_security_context *out, struct arena *a)
{
    const int64_t *user = sc && sc->run_as_user ? sc->run_as_user : psc ? psc->run_as_user : NULL;
    const int64_t *group = sc && sc->run_as_group ? sc->run_as_group : psc ? psc->run_as_group : NULL;

    if (user)
        out->run_as_user = int64_value(a, *user);
    else if (rq->has_user)
        out->run_as_user = int64_value(a, rq->uid);
    else if (!str_empty(rq->user_name))
        out->run_as_username = rq->user_name;
    if (group) {
        out->run_as_group = int64_value(a, *group);
        if (!out->run_as_user && !out->run_as_username)
            out->run_as_user = int64_value(a, 0); /* CRI wants a user with a group; images without one run as root */
    }
}

static struct cri_linux_container_security_context *
container_security(const struct container_request *rq, struct arena *a)
{
    const struct security_context *sc = rq->container->security_context;
    const struct pod_security_context *psc = rq->pod->spec.security_context;
    struct cri_linux_container_security_context *out = ARENA_NEW(a, struct cri_linux_container_security_context);
    bool privileged = sc && flag(sc->privileged);

    out->privileged = privileged;
    out->namespace_options = namespaces(rq->pod, rq->target_id, a);
    out->readonly_rootfs = sc && flag(sc->read_only_root_filesystem);
    out->no_new_privs = sc && sc->allow_privilege_escalation && !*sc->allow_privilege_escalation;
    groups(psc, rq->extra_groups, rq->nextra_groups, &out->supplemental_groups, &out->supplemental_groups_policy, a);
    run_as(rq, sc, psc, out, a);
    if (sc)
        capabilities(sc->capabilities, &out->capabilities, a);
    out->selinux_options = selinux(sc && sc->se_linux_options ? sc->se_linux_options : psc ? psc->se_linux_options : NULL, a);
    out->seccomp = seccomp(sc && sc->seccomp_profile ? sc->seccomp_profile : psc ? psc->seccomp_profile : NULL,
                           rq->seccomp_default, rq->seccomp_root, a);
    out->apparmor = apparmor(sc && sc->app_armor_profile ? sc->app_armor_profile : psc ? psc->app_armor_profile : NULL, a);
    if (privileged)
        out->seccomp->profile_type = CRI_PROFILE_UNCONFINED;
    if (!privileged && !(sc && str_eq(sc->proc_mount, "Unmasked"))) {
        for (size_t i = 0; i < ARRAY_LEN(masked_paths); i++)
            *SLICE_ADD(a, &out->masked_paths) = masked_paths[i];
        for (size_t i = 0; i < ARRAY_LEN(readonly_paths); i++)
            *SLICE_ADD(a, &out->readonly_paths) = readonly_paths[i];
    }
    return out;
}

static void
container_annotations(const struct container_request *rq, struct string_map *m, struct arena *a)
{
    const struct container *c = rq->container;

    string_map_set(m, a, A_HASH, arena_printf(a, "%llx", (unsigned long long)rq->hash));
    string_map_set(m, a, A_RESTART_COUNT, arena_printf(a, "%u", rq->attempt));
    string_map_set(m, a, A_TERMINATION_PATH, c->termination_message_path);
    string_map_set(m, a, A_TERMINATION_POLICY, c->termination_message_policy);
    if (rq->pod->spec.termination_grace_period_seconds)
        string_map_set(m, a, A_GRACE, arena_printf(a, "%lld", (long long)*rq->pod->spec.termination_grace_period_seconds));
}

static void
container_mounts(const struct container_request *rq, struct cri_container_config *c, struct arena *a)
{
    for (size_t i = 0; i < rq->nmounts; i++) {
        struct cri_mount *m = SLICE_ADD(a, &c->mounts);

        m->host_path = rq->mounts[i].host_path;
        m->container_path = rq->mounts[i].container_path;
        m->readonly = rq->mounts[i].read_only;
        m->propagation = rq->mounts[i].propagation;
        m->recursive_read_only = rq->mounts[i].recursive_read_only;
    }
    for (size_t i = 0; i < rq->ndevices; i++) {
        struct cri_device *d = SLICE_ADD(a, &c->devices);

        d->host_path = rq->devices[i].host_path;
        d->container_path = rq->devices[i].container_path;
        d->permissions = rq->devices[i].permissions;
    }
}

struct cri_container_config *
cri_build_container(const struct container_request *rq, struct arena *a)
{
    const struct container *in = rq->container;
    struct cri_container_config *c = ARENA_NEW(a, struct cri_container_config);

    c->metadata = ARENA_NEW(a, struct cri_container_metadata);
    c->metadata->name = in->name;
    c->metadata->attempt = rq->attempt;
    c->image = ARENA_NEW(a, struct cri_image_spec);
    c->image->image = rq->image_ref;
    c->image->user_specified_image = in->image;
    add_strings(a, &c->command, &rq->command);
    add_strings(a, &c->args, &rq->args);
    c->working_dir = in->working_dir;
    for (size_t i = 0; i < rq->nenv; i++) {
        struct cri_key_value *kv = SLICE_ADD(a, &c->envs);

        kv->key = rq->env[i].name;
        kv->value = (struct api_bytes){ (const uint8_t *)str_safe(rq->env[i].value), (uint32_t)strlen(str_safe(rq->env[i].value)) };
    }
    container_mounts(rq, c, a);
    pod_labels(rq->pod, &c->labels, a);
    string_map_set(&c->labels, a, L_CONTAINER_NAME, in->name);
    container_annotations(rq, &c->annotations, a);
    c->log_path = rq->log_path;
    c->stdin = in->stdin;
    c->stdin_once = in->stdin_once;
    c->tty = in->tty;
    c->linux = ARENA_NEW(a, struct cri_linux_container_config);
    c->linux->resources = resources(rq->cpu_shares, rq->cpu_quota, rq->cpu_period, rq->memory_limit, a);
    c->linux->resources->oom_score_adj = rq->oom_score_adj;
    c->linux->resources->memory_swap_limit_in_bytes = rq->memory_swap_limit;
    c->linux->security_context = container_security(rq, a);
    return c;
}
