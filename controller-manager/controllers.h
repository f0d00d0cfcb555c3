// SPDX-License-Identifier: Apache-2.0
/* controllers.h - the functions that controller_table.c names; each is defined in the file of its controller. */
#ifndef CKUBE_CONTROLLER_MANAGER_CONTROLLERS_H
#define CKUBE_CONTROLLER_MANAGER_CONTROLLERS_H

#include "controller-manager/controller.h"

typedef struct kerr *controller_start_fn(struct controller *c) MUST_CHECK;
controller_start_fn clusterrole_aggregation_start, cronjob_start, daemonset_start, job_start, statefulset_start, ttl_after_finished_start;
controller_start_fn deployment_start, endpoints_start, endpointslice_start, garbage_collector_start, namespace_start, node_ipam_start,
    node_lifecycle_start, pod_gc_start, replicaset_start, replicationcontroller_start, root_ca_start, serviceaccount_start, taint_eviction_start;
void namespace_defaults_stop(struct controller *c);
void node_ipam_stop(struct controller *c);
void garbage_collector_run(struct controller *c);
void garbage_collector_halt(struct controller *c);
void garbage_collector_stop(struct controller *c);
void node_lifecycle_stop(struct controller *c);
void taint_eviction_stop(struct controller *c);
void pod_gc_stop(struct controller *c);
void cronjob_stop(struct controller *c);
void daemonset_stop(struct controller *c);
void job_stop(struct controller *c);
void controller_free_state(struct controller *c); /* stop() of those whose state is one block */

#endif
