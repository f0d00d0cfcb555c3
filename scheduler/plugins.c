// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plugins.h"

#include "common/base/str.h"

const struct plugin plugins[PLUGIN_COUNT] = {
    [PLUGIN_SCHEDULING_GATES] = { "SchedulingGates" },
    [PLUGIN_PRIORITY_SORT] = { "PrioritySort" },
    [PLUGIN_NODE_UNSCHEDULABLE] = { "NodeUnschedulable", .filter = node_unschedulable_filter, .node_changes = NODE_ADDED | NODE_UNSCHEDULABLE },
    [PLUGIN_NODE_NAME] = { "NodeName", .filter = node_name_filter, .node_changes = NODE_ADDED },
    [PLUGIN_TAINT_TOLERATION] = { "TaintToleration", 3, .filter = taint_toleration_filter, .score = taint_toleration_score,
                                  .node_changes = NODE_ADDED | NODE_TAINTS },
    [PLUGIN_NODE_AFFINITY] = { "NodeAffinity", 2, .pre_filter = node_affinity_pin, .filter = node_affinity_filter, .score = node_affinity_score,
                               .node_changes = NODE_ADDED | NODE_LABELS },
    [PLUGIN_NODE_PORTS] = { "NodePorts", .filter = node_ports_filter, .node_changes = NODE_ADDED, .pod_gone = true },
    [PLUGIN_NODE_RESOURCES_FIT] = { "NodeResourcesFit", 1, .filter = node_resources_fit_filter, .score = node_resources_fit_score,
                                    .node_changes = NODE_ADDED | NODE_ALLOCATABLE, .pod_gone = true },
    [PLUGIN_VOLUME_BINDING] = { "VolumeBinding", .pre_filter = volume_binding_check },
    [PLUGIN_POD_TOPOLOGY_SPREAD] = { "PodTopologySpread", 2, .filter = pod_topology_spread_filter, .score = pod_topology_spread_score,
                                     .node_changes = NODE_ADDED | NODE_GONE | NODE_LABELS | NODE_TAINTS, .pod_gone = true, .pod_came = true },
    [PLUGIN_INTER_POD_AFFINITY] = { "InterPodAffinity", 2, .filter = inter_pod_affinity_filter, .score = inter_pod_affinity_score,
                                    .node_changes = NODE_ADDED | NODE_LABELS, .pod_gone = true, .pod_came = true },
    [PLUGIN_BALANCED_ALLOCATION] = { "NodeResourcesBalancedAllocation", 1, .score = balanced_allocation_score },
    [PLUGIN_IMAGE_LOCALITY] = { "ImageLocality", 1, .score = image_locality_score },
    [PLUGIN_DEFAULT_PREEMPTION] = { "DefaultPreemption" },
    [PLUGIN_DEFAULT_BINDER] = { "DefaultBinder" },
};

int
plugin_find(const char *name)
{
    for (int i = 0; i < PLUGIN_COUNT; i++)
        if (str_eq(plugins[i].name, name))
            return i;
    return -1;
}

bool
plugin_known_absent(const char *name)
{
    static const char *const names[] = { "VolumeRestrictions", "NodeVolumeLimits", "VolumeZone", "DynamicResources", "NodeDeclaredFeatures", "GangScheduling" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}
