// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_admit.h"

#include "common/client/informer.h"
#include "kubelet/pod_worker.h"

bool
sysctl_is_safe(const char *name)
{
    static const char *const safe[] = {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    };

    for (size_t i = 0; i < ARRAY_LEN(safe); i++)
        if (!strcmp(name, safe[i]))
            return true;
    return false;
}

static bool
sysctl_allowed(struct kubelet *k, const char *name)
{
    for (size_t i = 0; i < k->cfg.allowed_unsafe_sysctls.len; i++) {
        const char *a = k->cfg.allowed_unsafe_sysctls.items[i];
        size_t n = strlen(a);

        if (!strcmp(a, name) || (n && a[n - 1] == '*' && !strncmp(a, name, n - 1)))
            return true;
    }
    return sysctl_is_safe(name);
}

static bool
addresses_overlap(const char *x, const char *y)
{
    bool any_x = str_empty(x) || str_eq(x, "0.0.0.0") || str_eq(x, "::"), any_y = str_empty(y) || str_eq(y, "0.0.0.0") || str_eq(y, "::");

    return any_x || any_y || str_eq(x, y);
}

bool
host_ports_clash(const struct pod *x, const struct pod *y)
{
    for (uint32_t i = 0; i < x->spec.containers.len; i++)
        for (uint32_t p = 0; p < x->spec.containers.items[i].ports.len; p++) {
            const struct container_port *a = &x->spec.containers.items[i].ports.items[p];

            if (a->host_port <= 0)
                continue;
            for (uint32_t j = 0; j < y->spec.containers.len; j++)
                for (uint32_t q = 0; q < y->spec.containers.items[j].ports.len; q++) {
                    const struct container_port *b = &y->spec.containers.items[j].ports.items[q];

                    if (a->host_port == b->host_port && str_eq(str_or(a->protocol, "TCP"), str_or(b->protocol, "TCP")) &&
                        addresses_overlap(a->host_ip, b->host_ip))
                        return true;
                }
        }
    return false;
}

static bool
is_active(const struct object *obj)
{
    return !pod_phase_terminal(OBJECT_BODY(obj, pod)->status.phase);
}

static bool
refuse(char **ret_reason, char **ret_message, const char *reason, char *message)
{
    *ret_reason = xstrdup(reason);
    *ret_message = message;
    return false;
}

static bool
fits(struct kubelet *k, const struct pod *pod, const struct object_list *others, char **ret_reason, char **ret_message)
{
    struct pod_resources want = pod_resources_of(pod);
    int64_t cpu = 0, memory = 0;
    size_t n = 0;

    for (size_t i = 0; i < others->len; i++) {
        const struct pod *o = OBJECT_BODY(others->items[i], pod);
        struct pod_resources r = pod_resources_of(o);

        if (!is_active(others->items[i]) || str_eq(o->metadata.uid, pod->metadata.uid))
            continue;
        n++;
        cpu += r.cpu_request;
        memory += r.memory_request;
        if (host_ports_clash(pod, o))
            return refuse(ret_reason, ret_message, "NodePorts", xstrdup("Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"));
    }
    if (n >= (size_t)k->cfg.max_pods)
        return refuse(ret_reason, ret_message, "OutOfpods",
                      xasprintf("Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: %zu, capacity: %d", n, k->cfg.max_pods));
    if (want.cpu_request && cpu + want.cpu_request > k->allocatable_cpu_milli)
        return refuse(ret_reason, ret_message, "OutOfcpu",
                      xasprintf("Pod was rejected: Node didn't have enough resource: cpu, requested: %lld, used: %lld, capacity: %lld",
                                (long long)want.cpu_request, (long long)cpu, (long long)k->allocatable_cpu_milli));
    if (want.memory_request && memory + want.memory_request > k->allocatable_memory)
        return refuse(ret_reason, ret_message, "OutOfmemory",
                      xasprintf("Pod was rejected: Node didn't have enough resource: memory, requested: %lld, used: %lld, capacity: %lld",
                                (long long)want.memory_request, (long long)memory, (long long)k->allocatable_memory));
    return true;
}

bool
pod_admit(struct kubelet *k, const struct pod *pod, char **ret_reason, char **ret_message)
{
    const struct pod_security_context *psc = pod->spec.security_context;
    AUTO_OBJECT_LIST others = { 0 };
    AUTO_SBUF bad = { 0 };

    for (uint32_t i = 0; psc && i < psc->sysctls.len; i++)
        if (!sysctl_allowed(k, psc->sysctls.items[i].name))
            sbuf_addf(&bad, "%s\"%s\"", bad.len ? ", " : "", psc->sysctls.items[i].name);
    if (bad.len)
        return refuse(ret_reason, ret_message, "SysctlForbidden", xasprintf("Pod was rejected: forbidden sysctl: %s not allowlisted", sbuf_str(&bad)));
    if (pod->spec.os && !str_empty(pod->spec.os->name) && !str_eq(pod->spec.os->name, "linux"))
        return refuse(ret_reason, ret_message, "PodOSNotSupported", xstrdup("Pod was rejected: Failed to admit pod as the OS field doesn't match node OS"));
    pod_workers_pods(k->workers, &others);
    return fits(k, pod, &others, ret_reason, ret_message);
}
