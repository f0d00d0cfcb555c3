// SPDX-License-Identifier: Apache-2.0
/* GET /stats/summary, /metrics/resource, /metrics/cadvisor: figures of the node, the pods and their containers. */
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "common/api/codec.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/net/http_server.h"
#include "kubelet/server/server.h"

struct node_figures {
    uint64_t cpu_ns, memory_total, memory_working_set, memory_available;
    uint64_t fs_capacity, fs_used, fs_available, inodes, inodes_used;
};

static uint64_t
mem_kb(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

static void
look_at_node(struct kubelet *k, struct node_figures *n)
{
    unsigned long long user, nice_, system, idle, iowait, irq, soft, steal;
    FILE *f = fopen("/proc/stat", "re");
    char text[4096] = "";
    struct statvfs v;

    *n = (struct node_figures){ 0 };
    if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice_, &system, &idle, &iowait, &irq, &soft, &steal) == 8)
        n->cpu_ns = (user + nice_ + system + irq + soft + steal) * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
    if (f)
        fclose(f);
    f = fopen("/proc/meminfo", "re");
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
    }
    n->memory_total = mem_kb(text, "MemTotal:");
    n->memory_available = mem_kb(text, "MemAvailable:");
    n->memory_working_set = n->memory_total - n->memory_available;
    if (!statvfs(k->cfg.root_dir, &v)) {
        n->fs_capacity = v.f_blocks * v.f_frsize;
        n->fs_available = v.f_bavail * v.f_frsize;
        n->fs_used = (v.f_blocks - v.f_bfree) * v.f_frsize;
        n->inodes = v.f_files;
        n->inodes_used = v.f_files - v.f_ffree;
    }
}

static void
time_text(int64_t ns, char *buf, size_t size)
{
    AUTO_SBUF b = { 0 };

    api_time_format(api_time_from_unix(ns / 1000000000), &b);
    snprintf(buf, size, "%s", sbuf_str(&b));
}

static void
add_usage(struct sbuf *out, const struct rt_stats *s)
{
    char t[40];

    time_text(s->at_ns, t, sizeof t);
    sbuf_addf(out, "\"cpu\":{\"time\":\"%s\",\"usageCoreNanoSeconds\":%llu},", t, (unsigned long long)s->cpu_ns);
    sbuf_addf(out, "\"memory\":{\"time\":\"%s\",\"usageBytes\":%llu,\"workingSetBytes\":%llu,\"rssBytes\":%llu,\"pageFaults\":%llu,\"majorPageFaults\":%llu}",
              t, (unsigned long long)s->memory_usage, (unsigned long long)s->memory_working_set, (unsigned long long)s->memory_rss,
              (unsigned long long)s->page_faults, (unsigned long long)s->major_page_faults);
}

static void
add_pod(struct sbuf *out, const struct rt_stats_list *l, size_t first)
{
    const struct rt_stats *p = &l->items[first];
    struct rt_stats sum = { .at_ns = p->at_ns };
    bool any = false;

    sbuf_adds(out, "{\"podRef\":{\"name\":");
    json_add_string(out, str_safe(p->pod_name));
    sbuf_adds(out, ",\"namespace\":");
    json_add_string(out, str_safe(p->pod_namespace));
    sbuf_adds(out, ",\"uid\":");
    json_add_string(out, p->pod_uid);
    sbuf_adds(out, "},\"containers\":[");
    for (size_t i = first; i < l->len; i++) {
        const struct rt_stats *s = &l->items[i];

        if (strcmp(s->pod_uid, p->pod_uid) != 0)
            continue;
        sum.cpu_ns += s->cpu_ns;
        sum.memory_usage += s->memory_usage;
        sum.memory_working_set += s->memory_working_set;
        sum.memory_rss += s->memory_rss;
        sum.page_faults += s->page_faults;
        sum.major_page_faults += s->major_page_faults;
        sbuf_addf(out, "%s{\"name\":", any ? "," : "");
        json_add_string(out, str_safe(s->container));
        sbuf_addc(out, ',');
        add_usage(out, s);
        sbuf_addf(out, ",\"rootfs\":{\"usedBytes\":%llu,\"inodesUsed\":%llu}}", (unsigned long long)s->fs_used, (unsigned long long)s->fs_inodes);
        any = true;
    }
    sbuf_adds(out, "],");
    add_usage(out, &sum);
    sbuf_addc(out, '}');
}

static bool
seen_before(const struct rt_stats_list *l, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(l->items[k].pod_uid, l->items[i].pod_uid))
            return true;
    return false;
}

void
server_stats(const struct server_request *rq)
{
    AUTO(arena) *a = arena_new(0);
    struct rt_stats_list l = { 0 };
    struct node_figures n;
    AUTO_SBUF out = { 0 };
    char now[40];
    bool any = false;
    struct kerr *err = runtime_stats(rq->k->rt, a, &l);

    if (err) {
        server_error(rq->stream, err);
        return;
    }
    look_at_node(rq->k, &n);
    time_text(clock_wall_us() * 1000, now, sizeof now);
    sbuf_adds(&out, "{\"node\":{\"nodeName\":");
    json_add_string(&out, rq->k->cfg.node_name);
    sbuf_addf(&out, ",\"cpu\":{\"time\":\"%s\",\"usageCoreNanoSeconds\":%llu}", now, (unsigned long long)n.cpu_ns);
    sbuf_addf(&out, ",\"memory\":{\"time\":\"%s\",\"availableBytes\":%llu,\"usageBytes\":%llu,\"workingSetBytes\":%llu}", now,
              (unsigned long long)n.memory_available, (unsigned long long)n.memory_working_set, (unsigned long long)n.memory_working_set);
    sbuf_addf(&out, ",\"fs\":{\"time\":\"%s\",\"availableBytes\":%llu,\"capacityBytes\":%llu,\"usedBytes\":%llu,\"inodes\":%llu,\"inodesUsed\":%llu}},\"pods\":[",
              now, (unsigned long long)n.fs_available, (unsigned long long)n.fs_capacity, (unsigned long long)n.fs_used,
              (unsigned long long)n.inodes, (unsigned long long)n.inodes_used);
    for (size_t i = 0; i < l.len; i++)
        if (!seen_before(&l, i)) {
            sbuf_adds(&out, any ? "," : "");
            add_pod(&out, &l, i);
            any = true;
        }
    sbuf_adds(&out, "]}\n");
    server_json(rq->stream, &out);
}

/* --- Prometheus text --- */

static void
reply_metrics(const struct server_request *rq, const struct sbuf *out)
{
    static const struct http_header type[] = { { "Content-Type", METRICS_CONTENT_TYPE } };

    http_reply(rq->stream, 200, type, 1, sbuf_str(out), out->len);
}

struct column {
    const char *name, *help;
    enum metric_type type;
    double (*value)(const struct rt_stats *s);
};

static double
cpu_seconds(const struct rt_stats *s)
{
    return (double)s->cpu_ns / 1e9;
}

static double
working_set(const struct rt_stats *s)
{
    return (double)s->memory_working_set;
}

static double
rss(const struct rt_stats *s)
{
    return (double)s->memory_rss;
}

static double
usage(const struct rt_stats *s)
{
    return (double)s->memory_usage;
}

static double
fs_usage(const struct rt_stats *s)
{
    return (double)s->fs_used;
}

static void
write_columns(struct sbuf *out, const struct column *cols, size_t n, const struct rt_stats_list *l, bool image_labels)
{
    for (size_t c = 0; c < n; c++) {
        metrics_write_head(out, cols[c].name, cols[c].help, cols[c].type);
        for (size_t i = 0; i < l->len; i++) {
            const struct rt_stats *s = &l->items[i];
            AUTO_FREE char *labels = xasprintf(image_labels ? "container=\"%s\",id=\"/kubepods/pod%s/%s\",namespace=\"%s\",pod=\"%s\"" : "container=\"%s\",namespace=\"%s\",pod=\"%s\"",
                                               str_safe(s->container), image_labels ? s->pod_uid : str_safe(s->pod_namespace),
                                               image_labels ? s->id : str_safe(s->pod_name), str_safe(s->pod_namespace), str_safe(s->pod_name));

            metrics_write_sample(out, cols[c].name, labels, cols[c].value(s));
        }
    }
}

static void
write_pods(struct sbuf *out, const char *name, const char *help, enum metric_type type, double (*value)(const struct rt_stats *s),
           const struct rt_stats_list *l)
{
    metrics_write_head(out, name, help, type);
    for (size_t i = 0; i < l->len; i++) {
        AUTO_FREE char *labels = NULL;
        double sum = 0;

        if (seen_before(l, i))
            continue;
        for (size_t k = i; k < l->len; k++)
            if (!strcmp(l->items[k].pod_uid, l->items[i].pod_uid))
                sum += value(&l->items[k]);
        labels = xasprintf("namespace=\"%s\",pod=\"%s\"", str_safe(l->items[i].pod_namespace), str_safe(l->items[i].pod_name));
        metrics_write_sample(out, name, labels, sum);
    }
}

void
server_metrics_resource(const struct server_request *rq)
{
    static const struct column cols[] = {
        { "container_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the container in core-seconds", METRIC_TYPE_COUNTER, cpu_seconds },
        { "container_memory_working_set_bytes", "[STABLE] Current working set of the container in bytes", METRIC_TYPE_GAUGE, working_set },
    };
    AUTO(arena) *a = arena_new(0);
    struct rt_stats_list l = { 0 };
    struct node_figures n;
    AUTO_SBUF out = { 0 };
    AUTO(kerr) *err = runtime_stats(rq->k->rt, a, &l);

    look_at_node(rq->k, &n);
    metrics_write_head(&out, "node_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the node in core-seconds", METRIC_TYPE_COUNTER);
    metrics_write_sample(&out, "node_cpu_usage_seconds_total", NULL, (double)n.cpu_ns / 1e9);
    metrics_write_head(&out, "node_memory_working_set_bytes", "[STABLE] Current working set of the node in bytes", METRIC_TYPE_GAUGE);
    metrics_write_sample(&out, "node_memory_working_set_bytes", NULL, (double)n.memory_working_set);
    write_columns(&out, cols, ARRAY_LEN(cols), &l, false);
    write_pods(&out, "pod_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the pod in core-seconds", METRIC_TYPE_COUNTER, cpu_seconds, &l);
    write_pods(&out, "pod_memory_working_set_bytes", "[STABLE] Current working set of the pod in bytes", METRIC_TYPE_GAUGE, working_set, &l);
    metrics_write_head(&out, "resource_scrape_error", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise", METRIC_TYPE_GAUGE);
    metrics_write_sample(&out, "resource_scrape_error", NULL, err ? 1 : 0);
    reply_metrics(rq, &out);
}

void
server_metrics_cadvisor(const struct server_request *rq)
{
    static const struct column cols[] = {
        { "container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", METRIC_TYPE_COUNTER, cpu_seconds },
        { "container_memory_working_set_bytes", "Current working set in bytes.", METRIC_TYPE_GAUGE, working_set },
        { "container_memory_rss", "Size of RSS in bytes.", METRIC_TYPE_GAUGE, rss },
        { "container_memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed", METRIC_TYPE_GAUGE, usage },
        { "container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", METRIC_TYPE_GAUGE, fs_usage },
    };
    AUTO(arena) *a = arena_new(0);
    struct rt_stats_list l = { 0 };
    AUTO_SBUF out = { 0 };
    struct kerr *err = runtime_stats(rq->k->rt, a, &l);

    if (err) {
        server_error(rq->stream, err);
        return;
    }
    metrics_write_head(&out, "machine_cpu_cores", "Number of logical CPU cores.", METRIC_TYPE_GAUGE);
    metrics_write_sample(&out, "machine_cpu_cores", NULL, (double)get_nprocs());
    metrics_write_head(&out, "machine_memory_bytes", "Amount of memory installed on the machine.", METRIC_TYPE_GAUGE);
    metrics_write_sample(&out, "machine_memory_bytes", NULL, (double)rq->k->memory_capacity);
    write_columns(&out, cols, ARRAY_LEN(cols), &l, true);
    reply_metrics(rq, &out);
}
