// SPDX-License-Identifier: Apache-2.0
#include "kubelet/kubelet.h"

#include <stdio.h>

#include "common/base/klog.h"
#include "common/client/informer.h"
#include "kubelet/sources.h"

void
kubelet_event(struct kubelet *k, const struct pod *pod, const char *container, const char *type, const char *reason, const char *fmt, ...)
{
    const char *field = "";
    AUTO_SBUF text = { .max = 4096 };
    AUTO_FREE char *path = NULL;
    struct pod_container pc;
    struct event_target about = { .api_version = "v1", .kind = "Pod", .namespace = pod->metadata.namespace, .name = pod->metadata.name,
                                  .uid = pod->metadata.uid, .resource_version = pod->metadata.resource_version };
    va_list ap;

    va_start(ap, fmt);
    sbuf_addvf(&text, fmt, ap);
    va_end(ap);
    if (container && pod_container_find(pod, container, &pc))
        field = pc.kind == CONTAINER_INIT ? "spec.initContainers" : pc.kind == CONTAINER_MAIN ? "spec.containers" : "spec.ephemeralContainers";
    if (container) {
        path = xasprintf("%s{%s}", field, container);
        about.field_path = path;
    }
    log_v(2, "Event", "pod", pod->metadata.name, "namespace", pod->metadata.namespace, "container", str_safe(container), "type", type,
          "reason", reason, "message", sbuf_str(&text));
    if (k->rest && !str_empty(pod->metadata.namespace))
        events_send_to(k->events, &about, type, reason, "%s", sbuf_str(&text));
}

void
kubelet_facts(struct kubelet *k, const struct pod *pod, const struct rt_pod *rt, struct pod_facts *ret)
{
    const struct rt_sandbox *s = rt && rt->nsandboxes ? &rt->sandboxes[0] : NULL;

    *ret = (struct pod_facts){ .pod = pod, .host_ips = k->identity.host_ips, .nhost_ips = k->identity.nhost_ips,
                               .allocatable_cpu_milli = k->allocatable_cpu_milli, .allocatable_memory = k->allocatable_memory,
                               .allocatable_ephemeral = k->allocatable_ephemeral };
    if (pod->spec.host_network) {
        ret->pod_ips = k->identity.host_ips;
        ret->npod_ips = k->identity.nhost_ips;
    } else if (s) {
        ret->pod_ips = s->ips;
        ret->npod_ips = s->nips;
    }
}
