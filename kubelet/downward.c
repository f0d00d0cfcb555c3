// SPDX-License-Identifier: Apache-2.0
#include "kubelet/downward.h"

#include "common/api/values.h"
#include "kubelet/api_build.h"
#include "kubelet/pod_util.h"

static void
add_list(struct sbuf *out, const char *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sbuf_addf(out, "%s%s", i ? "," : "", items[i]);
}

/* key="escaped value" lines, as upstream's fmt.Sprintf("%v=%q"). */
static void
add_map(struct sbuf *out, const struct string_map *m)
{
    for (uint32_t i = 0; i < m->len; i++) {
        sbuf_addf(out, "%s%s=\"", i ? "\n" : "", m->items[i].key);
        for (const unsigned char *p = (const unsigned char *)str_safe(m->items[i].value); *p; p++) {
            switch (*p) {
            case '"':
            case '\\':
                sbuf_addf(out, "\\%c", *p);
                break;
            case '\n':
                sbuf_adds(out, "\\n");
                break;
            case '\t':
                sbuf_adds(out, "\\t");
                break;
            case '\r':
                sbuf_adds(out, "\\r");
                break;
            default:
                if (*p < 0x20 || *p == 0x7f)
                    sbuf_addf(out, "\\x%02x", *p);
                else
                    sbuf_addc(out, (char)*p);
            }
        }
        sbuf_addc(out, '"');
    }
}

/* metadata.labels['key'] -> the key; NULL: another path. */
static char *
subscript(const char *path, const char *of)
{
    size_t n = strlen(of), len = strlen(path);

    if (strncmp(path, of, n) != 0 || len < n + 4 || strncmp(path + n, "['", 2) != 0 || strcmp(path + len - 2, "']") != 0)
        return NULL;
    return xstrndup(path + n + 2, len - n - 4);
}

struct kerr *
downward_field(const struct pod_facts *f, const char *path, struct sbuf *out)
{
    const struct object_meta *m = &f->pod->metadata;
    AUTO_FREE char *label = subscript(path, "metadata.labels");
    AUTO_FREE char *annotation = subscript(path, "metadata.annotations");
    const struct {
        const char *path, *value;
    } plain[] = {
        { "metadata.name", m->name },
        { "metadata.namespace", m->namespace },
        { "metadata.uid", m->uid },
        { "spec.nodeName", f->pod->spec.node_name },
        { "spec.serviceAccountName", f->pod->spec.service_account_name },
        { "status.hostIP", f->nhost_ips ? f->host_ips[0] : NULL },
        { "status.podIP", f->npod_ips ? f->pod_ips[0] : NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (!strcmp(path, plain[i].path)) {
            sbuf_adds(out, str_safe(plain[i].value));
            return NULL;
        }
    if (!strcmp(path, "status.hostIPs"))
        add_list(out, f->host_ips, f->nhost_ips);
    else if (!strcmp(path, "status.podIPs"))
        add_list(out, f->pod_ips, f->npod_ips);
    else if (!strcmp(path, "metadata.labels"))
        add_map(out, &m->labels);
    else if (!strcmp(path, "metadata.annotations"))
        add_map(out, &m->annotations);
    else if (label)
        sbuf_adds(out, str_safe(string_map_get(&m->labels, label)));
    else if (annotation)
        sbuf_adds(out, str_safe(string_map_get(&m->annotations, annotation)));
    else
        return kerr_new(KERR_INVALID, "unsupported fieldPath: %s", path);
    return NULL;
}

static int64_t
ceil_div(int64_t n, int64_t d)
{
    return d <= 0 ? n : (n + d - 1) / d;
}

struct kerr *
downward_resource(const struct pod_facts *f, const struct container *c, const struct resource_field_selector *sel, struct sbuf *out)
{
    struct pod_container pc;
    const char *dot = strchr(str_safe(sel->resource), '.');
    const char *what = dot ? dot + 1 : "";
    bool limits = str_has_prefix(sel->resource, "limits."), cpu = !strcmp(what, "cpu");
    const struct quantity *q;
    int64_t n;

    if (!str_empty(sel->container_name)) {
        if (!pod_container_find(f->pod, sel->container_name, &pc))
            return kerr_new(KERR_NOT_FOUND, "container %s not found", sel->container_name);
        c = pc.c;
    }
    if (!c)
        return kerr_new(KERR_INVALID, "resourceFieldRef without containerName");
    if (!limits && !str_has_prefix(sel->resource, "requests."))
        return kerr_new(KERR_INVALID, "unsupported container resource: %s", str_safe(sel->resource));
    q = quantity_map_value(limits ? &c->resources.limits : &c->resources.requests, what);
    if (!q && !limits)
        q = quantity_map_value(&c->resources.limits, what);
    if (cpu) {
        int64_t divisor = quantity_sign(sel->divisor) > 0 ? quantity_milli(sel->divisor) : 1000;

        n = ceil_div(q ? quantity_milli(*q) : limits ? f->allocatable_cpu_milli : 0, divisor);
    } else {
        int64_t divisor = quantity_sign(sel->divisor) > 0 ? quantity_value(sel->divisor) : 1;
        int64_t fallback = !limits                           ? 0
                           : !strcmp(what, "memory")            ? f->allocatable_memory
                           : !strcmp(what, "ephemeral-storage") ? f->allocatable_ephemeral
                                                                : 0;

        n = ceil_div(q ? quantity_value(*q) : fallback, divisor);
    }
    sbuf_add_i64(out, n);
    return NULL;
}
