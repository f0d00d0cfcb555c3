// SPDX-License-Identifier: Apache-2.0
#include "scheduler/config.h"

#include "common/api/codec.h"
#include "common/base/str.h"
#include "scheduler/plugins.h"

#define O(member) offsetof(struct scheduler_config, member)
#define WRITTEN "kubescheduler.config.k8s.io/v1"

static const struct flag misc_flags[] = {
    { "config", FLAG_STRING, O(config_file), NULL, "The path to the configuration file. Most other flags have no effect with it." },
    { "master", FLAG_STRING, O(master), NULL, "The address of the Kubernetes API server (overrides any value in kubeconfig)." },
    { "write-config-to", FLAG_STRING, O(write_config_to), NULL, "If set, write the configuration values to this file and exit." },
    { "pod-max-in-unschedulable-pods-duration", FLAG_DURATION, O(unschedulable_ms), "5m",
      "The maximum time a pod stays among the unschedulable ones before it is tried again.", "it may be removed in a future version" },
};

static const struct flag deprecated_flags[] = {
    { "kubeconfig", FLAG_STRING, O(kubeconfig), NULL, "Path to kubeconfig file with authorization and master location information." },
    { "kube-api-qps", FLAG_FLOAT, O(qps), "0", "QPS to use while talking with kubernetes apiserver; 0 is no limit." },
    { "kube-api-burst", FLAG_I32, O(burst), "100", "Burst to use while talking with kubernetes apiserver." },
    { "kube-api-content-type", FLAG_STRING, O(content_type), "application/vnd.kubernetes.protobuf", "Content type of requests sent to apiserver." },
};

static const struct flag leader_flags[] = {
    { "leader-elect", FLAG_BOOL, O(leader_elect), "true", "Start a leader election client and gain leadership before executing the main loop." },
    { "leader-elect-lease-duration", FLAG_DURATION, O(lease_duration_ms), "15s", "How long others wait before they take over a lease that is not renewed." },
    { "leader-elect-renew-deadline", FLAG_DURATION, O(renew_deadline_ms), "10s", "How long the leader tries to renew before it gives up." },
    { "leader-elect-retry-period", FLAG_DURATION, O(retry_period_ms), "2s", "The wait between tries." },
    { "leader-elect-resource-lock", FLAG_STRING, O(resource_lock), "leases", "The type of the lock object: leases." },
    { "leader-elect-resource-namespace", FLAG_STRING, O(resource_namespace), "kube-system", "Namespace of the lock object." },
    { "leader-elect-resource-name", FLAG_STRING, O(resource_name), "kube-scheduler", "Name of the lock object." },
};

static const struct removed_flag removed[] = {
    { "algorithm-provider", "1.23", "use --config with profiles[].plugins", false, false },
    { "policy-config-file", "1.23", "use --config with profiles[].plugins", false, false },
    { "policy-configmap", "1.23", "use --config with profiles[].plugins", false, false },
    { "policy-configmap-namespace", "1.23", "use --config with profiles[].plugins", false, false },
    { "use-legacy-policy-config", "1.23", NULL, true, true },
    { "scheduler-name", "1.23", "use --config with profiles[].schedulerName", false, false },
    { "hard-pod-affinity-symmetric-weight", "1.23", "use --config with pluginConfig of InterPodAffinity", false, false },
    { "lock-object-name", "1.24", "use --leader-elect-resource-name", false, false },
    { "lock-object-namespace", "1.24", "use --leader-elect-resource-namespace", false, false },
};

void
scheduler_config_flags(struct flags *fs, struct scheduler_config *c)
{
    flags_add(fs, "Misc", misc_flags, ARRAY_LEN(misc_flags), c);
    flags_add(fs, "Deprecated", deprecated_flags, ARRAY_LEN(deprecated_flags), c);
    flags_add(fs, "Leader election", leader_flags, ARRAY_LEN(leader_flags), c);
    flags_add_removed(fs, removed, ARRAY_LEN(removed));
}

static const struct config_key keys[] = {
    { "parallelism", CONFIG_INT },
    { "leaderElection.leaderElect", CONFIG_BOOL },
    { "leaderElection.leaseDuration", CONFIG_DURATION },
    { "leaderElection.renewDeadline", CONFIG_DURATION },
    { "leaderElection.retryPeriod", CONFIG_DURATION },
    { "leaderElection.resourceLock", CONFIG_STRING },
    { "leaderElection.resourceName", CONFIG_STRING },
    { "leaderElection.resourceNamespace", CONFIG_STRING },
    { "clientConnection.kubeconfig", CONFIG_STRING },
    { "clientConnection.acceptContentTypes", CONFIG_STRING },
    { "clientConnection.contentType", CONFIG_STRING },
    { "clientConnection.qps", CONFIG_FLOAT },
    { "clientConnection.burst", CONFIG_INT },
    { "enableProfiling", CONFIG_BOOL },
    { "enableContentionProfiling", CONFIG_BOOL },
    { "percentageOfNodesToScore", CONFIG_INT },
    { "podInitialBackoffSeconds", CONFIG_INT },
    { "podMaxBackoffSeconds", CONFIG_INT },
    { "delayCacheUntilActive", CONFIG_BOOL },
    { "profiles[].schedulerName", CONFIG_STRING },
    { "profiles[].percentageOfNodesToScore", CONFIG_INT },
    { "profiles[].plugins", CONFIG_ANY },
    { "profiles[].pluginConfig", CONFIG_ANY },
    { "extenders", CONFIG_ANY },
};

static const char *const old_versions[][2] = {
    { "v1alpha1", "use v1; healthzBindAddress and metricsBindAddress are the flags --bind-address and --secure-port, bindTimeoutSeconds is an argument of VolumeBinding, schedulerName and algorithmSource are profiles" },
    { "v1alpha2", "use v1; healthzBindAddress and metricsBindAddress are the flags --bind-address and --secure-port" },
    { "v1beta1", "use v1; healthzBindAddress and metricsBindAddress are the flags --bind-address and --secure-port" },
    { "v1beta2", "use v1; healthzBindAddress and metricsBindAddress are the flags --bind-address and --secure-port" },
    { "v1beta3", "use v1" },
    { NULL, NULL },
};

static const struct config_schema schema = { "kubescheduler.config.k8s.io", "v1", "KubeSchedulerConfiguration", keys, ARRAY_LEN(keys), .old_versions = old_versions };

/* --- profiles --- */

void
profile_init(struct profile *p, const char *name)
{
    *p = (struct profile){ .name = xstrdup(name), .default_spread = true, .hard_affinity_weight = 1, .fit_strategy = FIT_LEAST };
    for (unsigned i = 0; i < PLUGIN_COUNT; i++) {
        p->enabled |= 1u << i;
        p->filters |= plugins[i].filter || plugins[i].pre_filter ? 1u << i : 0;
        p->scores |= plugins[i].score ? 1u << i : 0;
        p->weight[i] = plugins[i].weight;
    }
    for (uint32_t id = RES_CPU; id <= RES_MEMORY; id++) {
        p->fit_resources[p->nfit_resources].id = id;
        p->fit_resources[p->nfit_resources++].weight = 1;
        p->balanced_resources[p->nbalanced_resources].id = id;
        p->balanced_resources[p->nbalanced_resources++].weight = 1;
    }
}

/* The plugin sets that an extension point's list changes. */
static uint32_t *
sets_of(struct profile *p, const char *point, uint32_t *sets[3])
{
    static const char *const others[] = { "preEnqueue", "queueSort", "postFilter", "preScore", "reserve", "permit", "preBind", "bind", "postBind", NULL };

    sets[0] = sets[1] = sets[2] = NULL;
    if (str_eq(point, "multiPoint")) {
        sets[0] = &p->filters;
        sets[1] = &p->scores;
        sets[2] = &p->enabled;
    } else if (str_eq(point, "filter") || str_eq(point, "preFilter")) {
        sets[0] = &p->filters;
    } else if (str_eq(point, "score")) {
        sets[0] = &p->scores;
    } else {
        for (size_t i = 0; others[i]; i++)
            if (str_eq(point, others[i]))
                sets[0] = &p->enabled;
    }
    return sets[0];
}

static void
set_bits(uint32_t *sets[3], uint32_t bits, bool on)
{
    for (size_t i = 0; i < 3; i++)
        if (sets[i])
            *sets[i] = on ? *sets[i] | bits : *sets[i] & ~bits;
}

static struct kerr *
apply_plugin(struct profile *p, const char *where, json_t *entry, uint32_t *sets[3], bool on)
{
    const char *name = json_string_value(json_object_get(entry, "name")), *key;
    json_t *value, *weight = json_object_get(entry, "weight");
    int id;

    if (!json_is_object(entry) || !name)
        return kerr_new(KERR_INVALID, "%s: each entry needs a name", where);
    json_object_foreach(entry, key, value)
        if (!str_eq(key, "name") && !str_eq(key, "weight"))
            return kerr_new(KERR_INVALID, "%s: unknown field \"%s\"", where, key);
    if (weight && (!json_is_integer(weight) || json_integer_value(weight) < 0 || json_integer_value(weight) > 1000000))
        return kerr_new(KERR_INVALID, "%s: weight of %s must be a number from 0 to 1000000", where, name);
    if (!on && str_eq(name, "*")) {
        set_bits(sets, ~0u, false);
        return NULL;
    }
    id = plugin_find(name);
    if (id < 0)
        return plugin_known_absent(name) ? NULL : kerr_new(KERR_INVALID, "%s: unknown plugin \"%s\"", where, name);
    set_bits(sets, 1u << id, on);
    if (on && weight && json_integer_value(weight) > 0)
        p->weight[id] = (int32_t)json_integer_value(weight);
    return NULL;
}

static struct kerr *
read_plugins(struct profile *p, json_t *tree, const char *where)
{
    static const char *const lists[] = { "disabled", "enabled" }; /* in this order: what is enabled wins */
    const char *point, *key;
    json_t *of_point, *value, *entry;
    size_t i;

    if (tree && !json_is_object(tree))
        return kerr_new(KERR_INVALID, "%s must be a map", where);
    json_object_foreach(tree, point, of_point)
    {
        uint32_t *sets[3];

        if (!sets_of(p, point, sets))
            return kerr_new(KERR_INVALID, "%s: unknown field \"%s\"", where, point);
        json_object_foreach(of_point, key, value)
            if (!str_eq(key, "enabled") && !str_eq(key, "disabled"))
                return kerr_new(KERR_INVALID, "%s.%s: unknown field \"%s\"", where, point, key);
        for (size_t l = 0; l < ARRAY_LEN(lists); l++)
            json_array_foreach(json_object_get(of_point, lists[l]), i, entry)
            {
                AUTO_FREE char *at = xasprintf("%s.%s.%s[%zu]", where, point, lists[l], i);
                struct kerr *err = apply_plugin(p, at, entry, sets, l == 1);

                if (err)
                    return err;
            }
    }
    return NULL;
}

/* --- plugin arguments --- */

#define READ_RESOURCES(list, count)                                                                                                            \
    do {                                                                                                                                       \
        (count) = 0;                                                                                                                           \
        json_array_foreach(resources, i, r)                                                                                                    \
        {                                                                                                                                      \
            const char *name = json_string_value(json_object_get(r, "name"));                                                                  \
            json_int_t weight = json_object_get(r, "weight") ? json_integer_value(json_object_get(r, "weight")) : 1;                            \
            if (!name || weight < 1 || weight > 100)                                                                                           \
                return kerr_new(KERR_INVALID, "%s: resources need a name and a weight from 1 to 100", where);                                  \
            if ((count) == ARRAY_LEN(list))                                                                                                    \
                return kerr_new(KERR_INVALID, "%s: at most %zu resources", where, ARRAY_LEN(list));                                            \
            (list)[(count)].id = resource_id(names, name);                                                                                     \
            (list)[(count)++].weight = weight;                                                                                                 \
        }                                                                                                                                      \
    } while (0)

static struct kerr *
fit_args(struct profile *p, json_t *args, struct resource_names *names, const char *where)
{
    static const struct { const char *name; int strategy; } strategies[] = { { "LeastAllocated", FIT_LEAST }, { "MostAllocated", FIT_MOST }, { "RequestedToCapacityRatio", FIT_RATIO } };
    json_t *strategy = json_object_get(args, "scoringStrategy"), *resources = json_object_get(strategy, "resources"), *r;
    const char *type = json_string_value(json_object_get(strategy, "type"));
    bool known = !type;
    size_t i;

    for (size_t k = 0; type && k < ARRAY_LEN(strategies); k++)
        if (str_eq(type, strategies[k].name)) {
            p->fit_strategy = strategies[k].strategy;
            known = true;
        }
    if (!known)
        return kerr_new(KERR_INVALID, "%s: scoringStrategy.type must be LeastAllocated, MostAllocated or RequestedToCapacityRatio", where);
    if (resources)
        READ_RESOURCES(p->fit_resources, p->nfit_resources);
    if (p->fit_strategy != FIT_RATIO)
        return NULL;
    json_array_foreach(json_object_get(json_object_get(strategy, "requestedToCapacityRatio"), "shape"), i, r)
    {
        json_int_t x = json_integer_value(json_object_get(r, "utilization")), y = json_integer_value(json_object_get(r, "score"));

        if (p->nshape == ARRAY_LEN(p->shape) || x < 0 || x > 100 || y < 0 || y > 10 || (p->nshape > 0 && x <= p->shape[p->nshape - 1].utilization))
            return kerr_new(KERR_INVALID, "%s: shape needs rising utilizations from 0 to 100 with scores from 0 to 10", where);
        p->shape[p->nshape].utilization = (int32_t)x;
        p->shape[p->nshape++].score = (int32_t)y * MAX_SCORE / 10;
    }
    return p->nshape > 0 ? NULL : kerr_new(KERR_INVALID, "%s: requestedToCapacityRatio.shape is required", where);
}

static struct kerr *
balanced_args(struct profile *p, json_t *args, struct resource_names *names, const char *where)
{
    json_t *resources = json_object_get(args, "resources"), *r;
    size_t i;

    if (resources)
        READ_RESOURCES(p->balanced_resources, p->nbalanced_resources);
    return NULL;
}

static struct kerr *
spread_args(struct profile *p, json_t *args, struct resource_names *names, const char *where)
{
    const char *type = json_string_value(json_object_get(args, "defaultingType"));

    if (type && !str_eq(type, "System") && !str_eq(type, "List"))
        return kerr_new(KERR_INVALID, "%s: defaultingType must be System or List", where);
    if (json_array_size(json_object_get(args, "defaultConstraints")) > 0)
        return kerr_new(KERR_INVALID, "%s: defaultConstraints are not supported; set topologySpreadConstraints in the pods", where);
    p->default_spread = !str_eq(type, "List");
    return NULL;
}

static struct kerr *
affinity_args(struct profile *p, json_t *args, struct resource_names *names, const char *where)
{
    json_t *weight = json_object_get(args, "hardPodAffinityWeight");

    if (weight && (!json_is_integer(weight) || json_integer_value(weight) < 0 || json_integer_value(weight) > 100))
        return kerr_new(KERR_INVALID, "%s: hardPodAffinityWeight must be from 0 to 100", where);
    if (weight)
        p->hard_affinity_weight = (int32_t)json_integer_value(weight);
    return NULL;
}

static const struct {
    const char *plugin;
    struct kerr *(*read)(struct profile *p, json_t *args, struct resource_names *names, const char *where);
} args_readers[] = {
    { "NodeResourcesFit", fit_args },
    { "NodeResourcesBalancedAllocation", balanced_args },
    { "PodTopologySpread", spread_args },
    { "InterPodAffinity", affinity_args },
};

static struct kerr *
read_plugin_config(struct profile *p, json_t *list, struct resource_names *names, const char *where)
{
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        AUTO_FREE char *at = xasprintf("%s[%zu].args", where, i);
        struct kerr *err = NULL;

        if (!name || (plugin_find(name) < 0 && !plugin_known_absent(name)))
            return kerr_new(KERR_INVALID, "%s[%zu]: unknown plugin \"%s\"", where, i, str_safe(name));
        for (size_t k = 0; !err && k < ARRAY_LEN(args_readers); k++)
            if (str_eq(args_readers[k].plugin, name))
                err = args_readers[k].read(p, json_object_get(entry, "args"), names, at);
        if (err)
            return err;
    }
    return NULL;
}

static struct kerr *
read_profile(struct profile *p, const struct config_file *f, size_t i, int64_t percentage, struct resource_names *names)
{
    AUTO_FREE char *at = xasprintf("profiles[%zu]", i), *name = xasprintf("%s.schedulerName", at), *share = xasprintf("%s.percentageOfNodesToScore", at);
    AUTO_FREE char *plugins_path = xasprintf("%s.plugins", at), *args_path = xasprintf("%s.pluginConfig", at);
    struct kerr *err;

    profile_init(p, config_string(f, name, "default-scheduler"));
    p->percentage_of_nodes = (int32_t)config_i64(f, share, percentage);
    err = read_plugins(p, config_at(f, plugins_path), plugins_path);
    return err ? err : read_plugin_config(p, config_at(f, args_path), names, args_path);
}

static struct kerr *
read_profiles(struct scheduler_config *c, const struct config_file *f, struct resource_names *names)
{
    int64_t percentage = config_i64(f, "percentageOfNodesToScore", 0);
    size_t n = config_len(f, "profiles");

    if (percentage < 0 || percentage > 100)
        return kerr_new(KERR_INVALID, "percentageOfNodesToScore must be from 0 to 100");
    c->profiles = xcalloc(n ? n : 1, sizeof(*c->profiles));
    for (size_t i = 0; i < n; i++) {
        struct kerr *err = read_profile(&c->profiles[i], f, i, percentage, names);

        c->nprofiles++;
        for (size_t k = 0; !err && k < i; k++)
            if (str_eq(c->profiles[k].name, c->profiles[i].name))
                err = kerr_new(KERR_INVALID, "profiles[%zu].schedulerName: Duplicate value: \"%s\"", i, c->profiles[i].name);
        if (err)
            return err;
    }
    if (n == 0) {
        profile_init(&c->profiles[0], "default-scheduler");
        c->profiles[0].percentage_of_nodes = (int32_t)percentage;
        c->nprofiles = 1;
    }
    return NULL;
}

/* --- the file --- */

/* Values that a flag holds too go through the flags, which own their strings. */
static struct kerr *
copy_to_flags(const struct config_file *f, struct flags *fs)
{
    static const struct { const char *path, *flag; enum config_type type; } map[] = {
        { "clientConnection.kubeconfig", "kubeconfig", CONFIG_STRING },
        { "leaderElection.resourceLock", "leader-elect-resource-lock", CONFIG_STRING },
        { "leaderElection.resourceName", "leader-elect-resource-name", CONFIG_STRING },
        { "leaderElection.resourceNamespace", "leader-elect-resource-namespace", CONFIG_STRING },
    };

    for (size_t i = 0; i < ARRAY_LEN(map); i++) {
        const char *value = config_string(f, map[i].path, NULL);
        struct kerr *err = value ? flags_set(fs, map[i].flag, value) : NULL;

        if (err)
            return kerr_wrap(err, "%s", map[i].path);
    }
    return NULL;
}

static struct kerr *
read_file(struct scheduler_config *c, struct flags *fs, const struct config_file *f, struct resource_names *names)
{
    int64_t initial = config_i64(f, "podInitialBackoffSeconds", 1), max = config_i64(f, "podMaxBackoffSeconds", 10);
    struct kerr *err = copy_to_flags(f, fs);

    if (err)
        return err;
    if (initial < 1 || initial > 86400)
        return kerr_new(KERR_INVALID, "podInitialBackoffSeconds: Invalid value: %lld: must be greater than 0", (long long)initial);
    if (max < initial || max > 86400)
        return kerr_new(KERR_INVALID, "podMaxBackoffSeconds: Invalid value: %lld: must be greater than or equal to PodInitialBackoffSeconds", (long long)max);
    if (config_len(f, "extenders") > 0)
        return kerr_new(KERR_INVALID, "extenders are not supported");
    if (config_i64(f, "parallelism", 16) <= 0)
        return kerr_new(KERR_INVALID, "parallelism: Invalid value: %lld: should be an integer value greater than zero", (long long)config_i64(f, "parallelism", 16));
    c->qps = config_float(f, "clientConnection.qps", 0);
    c->burst = (int32_t)config_i64(f, "clientConnection.burst", 100);
    c->leader_elect = config_bool(f, "leaderElection.leaderElect", true);
    c->lease_duration_ms = config_duration_ms(f, "leaderElection.leaseDuration", 15000);
    c->renew_deadline_ms = config_duration_ms(f, "leaderElection.renewDeadline", 10000);
    c->retry_period_ms = config_duration_ms(f, "leaderElection.retryPeriod", 2000);
    c->limits.initial_backoff_ms = (uint64_t)initial * 1000;
    c->limits.max_backoff_ms = (uint64_t)max * 1000;
    for (size_t i = 0; i < config_warnings(f)->len; i++)
        strlist_add(&c->warnings, config_warnings(f)->items[i]);
    return read_profiles(c, f, names);
}

struct kerr *
scheduler_config_parse(struct scheduler_config *c, struct flags *fs, const char *text, const char *path, struct resource_names *names)
{
    AUTO(config_file) *f = NULL;
    struct kerr *err = config_file_parse(text, strlen(text), path, &schema, &f);

    return err ? err : kerr_wrap(read_file(c, fs, f, names), "%s", path);
}

struct kerr *
scheduler_config_load(struct scheduler_config *c, struct flags *fs, struct resource_names *names)
{
    AUTO(config_file) *f = NULL;
    struct kerr *err = NULL;

    c->limits.max_unschedulable_ms = c->unschedulable_ms > 0 ? (uint64_t)c->unschedulable_ms : 0;
    if (str_empty(c->config_file)) {
        f = config_file_empty(&schema);
        return read_profiles(c, f, names);
    }
    err = config_file_load(c->config_file, &schema, &f);
    return err ? err : kerr_wrap(read_file(c, fs, f, names), "%s", c->config_file);
}

void
scheduler_config_json(const struct scheduler_config *c, struct sbuf *out)
{
    sbuf_addf(out, "{\"kind\":\"KubeSchedulerConfiguration\",\"apiVersion\":\"%s\",\"clientConnection\":{\"kubeconfig\":", WRITTEN);
    json_add_string(out, str_safe(c->kubeconfig));
    sbuf_addf(out, ",\"qps\":%g,\"burst\":%d},\"leaderElection\":{\"leaderElect\":%s,\"resourceName\":", c->qps, c->burst, c->leader_elect ? "true" : "false");
    json_add_string(out, str_safe(c->resource_name));
    sbuf_adds(out, "},\"profiles\":[");
    for (size_t i = 0; i < c->nprofiles; i++) {
        const char *before = "";

        sbuf_addf(out, "%s{\"schedulerName\":", i ? "," : "");
        json_add_string(out, c->profiles[i].name);
        sbuf_adds(out, ",\"plugins\":{\"multiPoint\":{\"enabled\":[");
        for (unsigned id = 0; id < PLUGIN_COUNT; id++)
            if ((c->profiles[i].enabled | c->profiles[i].filters | c->profiles[i].scores) & (1u << id)) {
                sbuf_addf(out, "%s{\"name\":\"%s\",\"weight\":%d}", before, plugins[id].name, c->profiles[i].weight[id]);
                before = ",";
            }
        sbuf_adds(out, "]}}}");
    }
    sbuf_adds(out, "]}");
}

void
scheduler_config_done(struct scheduler_config *c)
{
    for (size_t i = 0; i < c->nprofiles; i++)
        free(c->profiles[i].name);
    free(c->profiles);
    c->profiles = NULL;
    c->nprofiles = 0;
    strlist_done(&c->warnings);
}
