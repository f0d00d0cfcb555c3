// SPDX-License-Identifier: Apache-2.0
/* config.h - flags and KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1, read strictly) of the scheduler. */
#ifndef CKUBE_SCHEDULER_CONFIG_H
#define CKUBE_SCHEDULER_CONFIG_H

#include "common/daemon/config_file.h"
#include "common/daemon/flags.h"
#include "scheduler/cycle.h"
#include "scheduler/queue.h"

struct scheduler_config {
    char *config_file, *kubeconfig, *master, *write_config_to;
    double qps; /* 0 = no limit: the apiserver says when it is too much */
    int32_t burst;
    char *content_type;
    bool leader_elect;
    int64_t lease_duration_ms, renew_deadline_ms, retry_period_ms, unschedulable_ms;
    char *resource_lock, *resource_namespace, *resource_name;
    int32_t parallelism;
    /* set by scheduler_config_load() */
    struct queue_limits limits;
    struct profile *profiles;
    size_t nprofiles;
    struct strlist warnings;
};

void scheduler_config_flags(struct flags *fs, struct scheduler_config *c); /* the strings are the flags' */
/* Reads the file when --config names one: its values replace the flags', as upstream has it. */
struct kerr *scheduler_config_load(struct scheduler_config *c, struct flags *fs, struct resource_names *resources) MUST_CHECK;
/* The same from a text; for tests. */
struct kerr *scheduler_config_parse(struct scheduler_config *c, struct flags *fs, const char *text, const char *path,
                                    struct resource_names *resources) MUST_CHECK;
void scheduler_config_json(const struct scheduler_config *c, struct sbuf *out); /* for /configz */
void scheduler_config_done(struct scheduler_config *c);

void profile_init(struct profile *p, const char *name); /* upstream's defaults */

#endif
