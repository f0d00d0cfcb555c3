// SPDX-License-Identifier: Apache-2.0
/* store_metrics.c - what storage tells /metrics, under upstream's names. */
#include <stdio.h>

#include "apiserver/storage/store_internal.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"

static const double seconds_buckets[] = { 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1,  1.25, 1.5, 2,
                                          3,     4,     5,    6,   8,   10,  15,  20,  30, 45,   60 };
static struct metric etcd_seconds = METRIC_HISTOGRAM("etcd_request_duration_seconds",
                                                     "Etcd request latency in seconds for each operation and object type.",
                                                     "operation,group,resource", seconds_buckets);
static struct metric etcd_total = METRIC_COUNTER("etcd_requests_total", "Etcd request counts for each operation and object type.",
                                                 "operation,group,resource");
static struct metric etcd_errors = METRIC_COUNTER(
    "etcd_request_errors_total", "Etcd failed request counts for each operation and object type.", "operation,group,resource");

void
storage_count_call(const struct store *s, const char *operation, uint64_t start_us, bool failed)
{
    const struct store_resource *r = s->resource;

    metric_observe(&etcd_seconds, (double)(clock_mono_us() - start_us) / 1e6, operation, r->group, r->resource);
    metric_inc(&etcd_total, operation, r->group, r->resource);
    if (failed)
        metric_inc(&etcd_errors, operation, r->group, r->resource);
}

static void
write_counts(struct storage *st, struct sbuf *out, const char *name, bool with_group)
{
    struct store *s;
    char labels[700];

    metrics_write_head(out, name, "Number of stored objects at the time of last check split by kind.", METRIC_TYPE_GAUGE);
    for (size_t i = 0; (s = storage_store_at(st, i)); i++) {
        const struct store_resource *r = s->resource;

        if (with_group)
            snprintf(labels, sizeof(labels), "group=\"%s\",resource=\"%s\"", r->group, r->resource);
        else
            snprintf(labels, sizeof(labels), "resource=\"%s%s%s\"", r->resource, *r->group ? "." : "", r->group);
        metrics_write_sample(out, name, labels, (double)store_count(s));
    }
}

static void
one(struct sbuf *out, const char *name, const char *help, enum metric_type type, double value)
{
    metrics_write_head(out, name, help, type);
    metrics_write_sample(out, name, NULL, value);
}

void
storage_write_metrics(struct sbuf *out, void *arg)
{
    struct storage *st = arg;
    struct storage_stats stats;

    storage_get_stats(st, &stats);
    storage_lock_table(st);
    write_counts(st, out, "apiserver_storage_objects", false);
    write_counts(st, out, "apiserver_resource_objects", true);
    storage_unlock_table(st);
    if (stats.db_size > 0) {
        metrics_write_head(out, "apiserver_storage_size_bytes", "Size of the storage database file physically allocated in bytes.",
                           METRIC_TYPE_GAUGE);
        metrics_write_sample(out, "apiserver_storage_size_bytes", "storage_cluster_id=\"etcd-0\"", (double)stats.db_size);
    }
    one(out, "ckube_storage_record_bytes", "Bytes of objects held in memory.", METRIC_TYPE_GAUGE, (double)stats.record_bytes);
    one(out, "ckube_storage_revision", "etcd revision that memory is at.", METRIC_TYPE_GAUGE, (double)storage_revision(st));
    one(out, "ckube_storage_watch_changes_total", "Changes applied from the etcd watch.", METRIC_TYPE_COUNTER, (double)stats.events_applied);
    one(out, "ckube_storage_own_changes_total", "Changes applied from our own txn replies.", METRIC_TYPE_COUNTER, (double)stats.own_applied);
    one(out, "ckube_storage_revision_calls_total", "Calls for etcd's revision.", METRIC_TYPE_COUNTER, (double)stats.revision_calls);
    one(out, "ckube_storage_consistent_reads_total", "Reads that waited for one of those calls.", METRIC_TYPE_COUNTER,
        (double)stats.reads_waited);
    one(out, "ckube_storage_resyncs_total", "Times that everything was read again.", METRIC_TYPE_COUNTER, (double)stats.resyncs);
    one(out, "ckube_storage_reconnects_total", "Times that the etcd watch was connected anew.", METRIC_TYPE_COUNTER,
        (double)stats.reconnects);
}
