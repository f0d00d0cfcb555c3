// SPDX-License-Identifier: Apache-2.0
/* Upstream's metric names. */
#include <stdio.h>

#include "common/base/metrics.h"

#include "scheduler/scheduler_impl.h"

static const double seconds[] = { 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384 };
static const double attempts_buckets[] = { 1, 2, 4, 8, 16 };
static const double waits[] = { 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36, 1310.72, 2621.44, 5242.88 };

static struct metric schedule_attempts =
    METRIC_COUNTER("scheduler_schedule_attempts_total", "Number of attempts to schedule pods, by the result.", "profile,result");
static struct metric attempt_seconds = METRIC_HISTOGRAM("scheduler_scheduling_attempt_duration_seconds",
                                                        "Scheduling attempt latency in seconds (scheduling algorithm + binding).", "profile,result", seconds);
static struct metric algorithm_seconds =
    METRIC_HISTOGRAM("scheduler_scheduling_algorithm_duration_seconds", "Scheduling algorithm latency in seconds.", NULL, seconds);
static struct metric pod_attempts =
    METRIC_HISTOGRAM("scheduler_pod_scheduling_attempts", "Number of attempts to successfully schedule a pod.", NULL, attempts_buckets);
static struct metric sli_seconds = METRIC_HISTOGRAM("scheduler_pod_scheduling_sli_duration_seconds",
                                                    "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue.", "attempts", waits);
static const double victim_counts[] = { 1, 2, 4, 8, 16, 32, 64 };
static struct metric preemptions = METRIC_COUNTER("scheduler_preemption_attempts_total", "Total preemption attempts in the cluster till now.", NULL);
static struct metric preemption_victims = METRIC_HISTOGRAM("scheduler_preemption_victims", "Number of selected preemption victims.", NULL, victim_counts);
static struct metric incoming =
    METRIC_COUNTER("scheduler_queue_incoming_pods_total", "Number of pods added to scheduling queues by event and queue type.", "event,queue");

void
metrics_attempt(const struct profile *p, enum attempt_result result, uint64_t took_us)
{
    static const char *const names[] = { "scheduled", "unschedulable", "error" };

    metric_inc(&schedule_attempts, p->name, names[result]);
    metric_observe(&attempt_seconds, (double)took_us / 1e6, p->name, names[result]);
}

void
metrics_algorithm(uint64_t took_us)
{
    metric_observe(&algorithm_seconds, (double)took_us / 1e6);
}

void
metrics_bound(unsigned attempts, uint64_t waited_ms)
{
    char label[8] = "16+";

    if (attempts < 16)
        snprintf(label, sizeof(label), "%u", attempts);
    metric_observe(&pod_attempts, attempts);
    metric_observe(&sli_seconds, (double)waited_ms / 1e3, label);
}

void
metrics_preemption(unsigned victims)
{
    metric_inc(&preemptions);
    metric_observe(&preemption_victims, victims);
}

void
metrics_incoming(const char *event, const char *queue)
{
    metric_inc(&incoming, event, queue);
}

static void
write_state(struct sbuf *out, void *arg)
{
    struct scheduler *s = arg;
    size_t active, backoff, unschedulable, gated, pods, nodes, assumed = 0;

    pthread_mutex_lock(&s->lock);
    active = pod_queue_len(s->queue, QUEUE_ACTIVE);
    backoff = pod_queue_len(s->queue, QUEUE_BACKOFF) + pod_queue_len(s->queue, QUEUE_ERROR_BACKOFF);
    unschedulable = pod_queue_len(s->queue, QUEUE_UNSCHEDULABLE);
    gated = pod_queue_len(s->queue, QUEUE_GATED);
    assumed = pod_queue_len(s->queue, QUEUE_IN_CYCLE);
    pods = HASH_COUNT(s->pods) - active - backoff - unschedulable - gated;
    nodes = s->nodes->nlive;
    pthread_mutex_unlock(&s->lock);
    metrics_write_head(out, "scheduler_pending_pods", "Number of pending pods, by the queue type.", METRIC_TYPE_GAUGE);
    metrics_write_sample(out, "scheduler_pending_pods", "queue=\"active\"", (double)active);
    metrics_write_sample(out, "scheduler_pending_pods", "queue=\"backoff\"", (double)backoff);
    metrics_write_sample(out, "scheduler_pending_pods", "queue=\"gated\"", (double)gated);
    metrics_write_sample(out, "scheduler_pending_pods", "queue=\"unschedulable\"", (double)unschedulable);
    metrics_write_head(out, "scheduler_cache_size", "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.", METRIC_TYPE_GAUGE);
    metrics_write_sample(out, "scheduler_cache_size", "type=\"assumed_pods\"", (double)assumed);
    metrics_write_sample(out, "scheduler_cache_size", "type=\"nodes\"", (double)nodes);
    metrics_write_sample(out, "scheduler_cache_size", "type=\"pods\"", (double)pods);
}

void
metrics_start(struct scheduler *s)
{
    struct metric *all[] = { &schedule_attempts, &attempt_seconds, &algorithm_seconds, &pod_attempts, &sli_seconds, &incoming, &preemptions, &preemption_victims };

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        metrics_register(all[i]);
    metrics_add_collector(write_state, s);
}

void
metrics_stop(struct scheduler *s)
{
    metrics_remove_collector(write_state, s);
}
