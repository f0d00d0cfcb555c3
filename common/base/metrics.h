// SPDX-License-Identifier: Apache-2.0
/* metrics.h - counters, gauges and histograms, written out as Prometheus text.
 * A family is a static variable; it registers itself at its first use, or by metrics_register() so that it shows as 0.
 *
 *   static struct metric requests = METRIC_COUNTER("rest_client_requests_total", "Number of HTTP requests.", "code,method");
 *   metric_add(&requests, 1, "200", "GET");              // one value per label, in that order
 *
 * Hot paths keep the series: it lives as long as the process.
 *   static struct metric_series *s;  s = metric_series(&requests, "200", "GET");  metric_series_add(s, 1);
 * Any thread; additions are atomic and take no lock.  A family holds at most METRIC_MAX_SERIES label sets, then all
 * further ones share one series whose labels read "overflow". */
#ifndef CKUBE_BASE_METRICS_H
#define CKUBE_BASE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/sbuf.h"

#define METRIC_MAX_SERIES 10000
#define METRIC_MAX_LABELS 10
#define METRIC_MAX_BUCKETS 40

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM };

struct metric_series;
struct metric_table; /* private */

struct metric { /* use the initialisers below */
    const char *name;
    const char *help;
    const char *labels; /* "code,method"; NULL or "" for none */
    enum metric_type type;
    const double *buckets; /* histogram: upper bounds, rising, without +Inf */
    unsigned nbuckets;
    struct metric_table *table; /* private: set at registration */
};

#define METRIC_COUNTER(name_, help_, labels_) { .name = (name_), .help = (help_), .labels = (labels_), .type = METRIC_TYPE_COUNTER }
#define METRIC_GAUGE(name_, help_, labels_) { .name = (name_), .help = (help_), .labels = (labels_), .type = METRIC_TYPE_GAUGE }
#define METRIC_HISTOGRAM(name_, help_, labels_, buckets_)                                                              \
    { .name = (name_), .help = (help_), .labels = (labels_), .type = METRIC_TYPE_HISTOGRAM, .buckets = (buckets_),      \
      .nbuckets = sizeof(buckets_) / sizeof((buckets_)[0]) }

void metrics_register(struct metric *m); /* a family without labels shows at once */

/* The series of these label values (const char *, as many as the family has labels). */
struct metric_series *metric_series_of(struct metric *m, ...);
void metric_series_add(struct metric_series *s, double n);     /* counter (n >= 0), gauge */
void metric_series_inc(struct metric_series *s);               /* counter, cheapest */
void metric_series_set(struct metric_series *s, double value); /* gauge */
void metric_series_observe(struct metric_series *s, double value); /* histogram */
double metric_series_value(const struct metric_series *s);     /* histogram: number of observations */

/* The same in one call; the label values follow. */
#define metric_add(m, n, ...) metric_series_add(metric_series_of((m), ##__VA_ARGS__), (n))
#define metric_inc(m, ...) metric_series_inc(metric_series_of((m), ##__VA_ARGS__))
#define metric_set(m, v, ...) metric_series_set(metric_series_of((m), ##__VA_ARGS__), (v))
#define metric_observe(m, v, ...) metric_series_observe(metric_series_of((m), ##__VA_ARGS__), (v))
void metric_remove_series(struct metric *m, ...); /* no longer written out (its pointer stays valid) */

/* For values that are known only when asked: fn writes whole families with the two calls below. */
void metrics_add_collector(void (*fn)(struct sbuf *out, void *arg), void *arg);
void metrics_remove_collector(void (*fn)(struct sbuf *out, void *arg), void *arg); /* waits for a running one */
void metrics_write_head(struct sbuf *out, const char *name, const char *help, enum metric_type type);
void metrics_write_sample(struct sbuf *out, const char *name, const char *labels_text, double value); /* labels_text: a="b",c="d" or NULL */

/* Everything, in text format 0.0.4: our families sorted by name, collectors, process_*, kubernetes_build_info. */
void metrics_write(struct sbuf *out);
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
