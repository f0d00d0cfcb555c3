// SPDX-License-Identifier: Apache-2.0
#include "apiserver/bootstrap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "apiserver/options.h"
#include "apiserver/registry/allocator.h"
#include "apiserver/rest/internal.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/daemon/health.h"
#include "common/daemon/daemon.h"

enum { KEEP_EVERY_S = 10, REPAIR_EVERY = 18 /* rounds: three minutes */, CA_MAX = 1 << 20 };

static const char *const namespaces[] = { "kube-system", "kube-public", "kube-node-lease", "default" };

static const struct {
    const char *name, *about;
    int value;
} priorities[] = {
    { "system-cluster-critical", "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.", 2000000000 },
    { "system-node-critical", "Used for system critical pods that must not be moved from their current node.", 2000001000 },
};

static struct {
    struct apiserver *srv;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t wake;
    bool started, stop;
} keeper = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static struct kerr *
make_namespaces(void)
{
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        AUTO_FREE char *json = xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\",\"labels\":"
                                         "{\"kubernetes.io/metadata.name\":\"%s\"}},\"spec\":{\"finalizers\":[\"kubernetes\"]},"
                                         "\"status\":{\"phase\":\"Active\"}}",
                                         namespaces[i], namespaces[i]);
        struct record *there = store_get(resource_named("v1", "Namespace")->store, "", namespaces[i]);
        record_unref(there);
        if (there)
            continue;
        struct kerr *err = internal_create_json(json, NULL);
        if (err)
            return kerr_wrap(err, "create namespace %s", namespaces[i]);
    }
    return NULL;
}

static struct kerr *
make_priorities(void)
{
    for (size_t i = 0; i < ARRAY_LEN(priorities); i++) {
        AUTO_FREE char *json = xasprintf("{\"apiVersion\":\"scheduling.k8s.io/v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"%s\"},"
                                         "\"value\":%d,\"description\":\"%s\"}",
                                         priorities[i].name, priorities[i].value, priorities[i].about);
        struct kerr *err = internal_create_json(json, NULL);
        if (err)
            return kerr_wrap(err, "create priority class %s", priorities[i].name);
    }
    return NULL;
}

/* What extension servers need to trust our front proxy and our clients. */
static struct kerr *
make_authentication_config(const struct apiserver_options *o)
{
    AUTO(object) *obj = object_new_of("v1", "ConfigMap");
    struct config_map *cm = OBJECT_BODY(obj, config_map);
    struct arena *a = object_arena(obj);
    AUTO_FREE char *ca = NULL;
    AUTO_FREE char *proxy_ca = NULL;
    struct kerr *err = NULL;

    cm->metadata.name = "extension-apiserver-authentication";
    cm->metadata.namespace = "kube-system";
    if (!str_empty(o->client_ca_file)) {
        if ((err = file_read(o->client_ca_file, CA_MAX, &ca, NULL)))
            return kerr_wrap(err, "--client-ca-file");
        string_map_set(&cm->data, a, "client-ca-file", ca);
    }
    if (!str_empty(o->requestheader_client_ca_file)) {
        if ((err = file_read(o->requestheader_client_ca_file, CA_MAX, &proxy_ca, NULL)))
            return kerr_wrap(err, "--requestheader-client-ca-file");
        static const struct {
            const char *key;
            size_t at;
        } lists[] = {
            { "requestheader-allowed-names", offsetof(struct apiserver_options, requestheader_allowed_names) },
            { "requestheader-username-headers", offsetof(struct apiserver_options, requestheader_username_headers) },
            { "requestheader-group-headers", offsetof(struct apiserver_options, requestheader_group_headers) },
            { "requestheader-extra-headers-prefix", offsetof(struct apiserver_options, requestheader_extra_headers_prefix) },
        };
        string_map_set(&cm->data, a, "requestheader-client-ca-file", proxy_ca);
        for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
            const struct strlist *l = (const struct strlist *)((const char *)o + lists[i].at);
            AUTO_SBUF json = { 0 };
            sbuf_addc(&json, '[');
            for (size_t j = 0; j < l->len; j++) {
                if (j)
                    sbuf_addc(&json, ',');
                json_add_string(&json, l->items[j]);
            }
            sbuf_addc(&json, ']');
            string_map_set(&cm->data, a, lists[i].key, sbuf_str(&json));
        }
    }
    return internal_create(obj, NULL);
}

/* --- the kubernetes Service and its endpoints --- */

static struct kerr *
make_service(struct apiserver *srv)
{
    char ip[64];
    struct kerr *err = options_first_service_ip(srv->options, ip);

    if (err)
        return err;
    AUTO_FREE char *json =
        xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"labels\":"
                  "{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}},\"spec\":{\"ports\":[{\"name\":\"https\",\"protocol\":\"TCP\","
                  "\"port\":443,\"targetPort\":%d}],\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"type\":\"ClusterIP\",\"sessionAffinity\":\"None\","
                  "\"ipFamilies\":[\"%s\"],\"ipFamilyPolicy\":\"SingleStack\",\"internalTrafficPolicy\":\"Cluster\"}}",
                  (int)srv->options->secure_port, ip, ip, strchr(ip, ':') ? "IPv6" : "IPv4");
    return internal_create_json(json, NULL);
}

static struct kerr *
make_cidr(const struct apiserver_options *o)
{
    AUTO_SBUF json = { 0 };

    sbuf_adds(&json, "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"ServiceCIDR\",\"metadata\":{\"name\":\"kubernetes\"},\"spec\":{\"cidrs\":[");
    for (size_t i = 0; i < o->service_cluster_ip_range.len; i++)
        sbuf_addf(&json, "%s\"%s\"", i ? "," : "", o->service_cluster_ip_range.items[i]);
    AUTO_SBUF now = { 0 };
    api_time_format(api_time_from_unix(clock_wall_s()), &now);
    sbuf_addf(&json, "]},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"%s\",\"reason\":\"\","
                     "\"message\":\"Kubernetes Service CIDR is ready\"}]}}", sbuf_str(&now));
    return internal_create_json(sbuf_str(&json), NULL);
}

static bool
has_address(const struct endpoints *ep, const char *ip, int32_t port)
{
    for (uint32_t i = 0; i < ep->subsets.len; i++) {
        const struct endpoint_subset *s = &ep->subsets.items[i];
        for (uint32_t j = 0; j < s->addresses.len; j++)
            if (str_eq(s->addresses.items[j].ip, ip) && s->ports.len == 1 && s->ports.items[0].port == port)
                return true;
    }
    return false;
}

/* One subset with all apiservers of one port: ours is added, those of others stay (their own apiserver keeps them). */
static bool
add_endpoint(struct object *obj, void *arg)
{
    const struct apiserver_options *o = arg;
    struct endpoints *ep = OBJECT_BODY(obj, endpoints);
    struct arena *a = object_arena(obj);
    struct endpoint_subset *s;

    if (has_address(ep, o->advertise_address, o->secure_port))
        return false;
    if (ep->subsets.len != 1 || ep->subsets.items[0].ports.len != 1 || ep->subsets.items[0].ports.items[0].port != o->secure_port) {
        ep->subsets.items = ARENA_NEW(a, struct endpoint_subset);
        ep->subsets.len = ep->subsets.cap = 1;
        s = ep->subsets.items;
        s->ports.items = ARENA_NEW(a, struct endpoint_port);
        s->ports.len = s->ports.cap = 1;
        s->ports.items[0] = (struct endpoint_port){ .name = "https", .port = o->secure_port, .protocol = "TCP" };
    }
    s = &ep->subsets.items[0];
    s->addresses.items = arena_grow(a, s->addresses.items, s->addresses.len * sizeof *s->addresses.items,
                                    (s->addresses.len + 1) * sizeof *s->addresses.items);
    s->addresses.items[s->addresses.len++].ip = arena_strdup(a, o->advertise_address);
    s->addresses.cap = s->addresses.len;
    return true;
}

static bool
add_slice_endpoint(struct object *obj, void *arg)
{
    const struct apiserver_options *o = arg;
    struct endpoint_slice *es = OBJECT_BODY(obj, endpoint_slice);
    struct arena *a = object_arena(obj);

    for (uint32_t i = 0; i < es->endpoints.len; i++)
        if (string_slice_has(&es->endpoints.items[i].addresses, o->advertise_address) && es->ports.len == 1 && es->ports.items[0].port &&
            *es->ports.items[0].port == o->secure_port)
            return false;
    if (es->ports.len != 1 || !es->ports.items[0].port || *es->ports.items[0].port != o->secure_port) {
        es->endpoints.len = 0;
        es->ports.items = ARENA_NEW(a, struct discovery_endpoint_port);
        es->ports.len = es->ports.cap = 1;
        es->ports.items[0].name = "https";
        es->ports.items[0].protocol = "TCP";
        int32_t *port = ARENA_NEW(a, int32_t);
        *port = o->secure_port;
        es->ports.items[0].port = port;
    }
    es->endpoints.items = arena_grow(a, es->endpoints.items, es->endpoints.len * sizeof *es->endpoints.items,
                                     (es->endpoints.len + 1) * sizeof *es->endpoints.items);
    struct discovery_endpoint *e = &es->endpoints.items[es->endpoints.len++];
    es->endpoints.cap = es->endpoints.len;
    string_slice_add(&e->addresses, a, o->advertise_address);
    e->conditions.ready = ARENA_NEW(a, bool);
    *e->conditions.ready = true;
    return true;
}

static struct kerr *
keep_endpoints(struct apiserver *srv)
{
    const struct apiserver_options *o = srv->options;
    AUTO(object) *ep = object_new_of("v1", "Endpoints");
    AUTO(object) *slice = object_new_of("discovery.k8s.io/v1", "EndpointSlice");

    if (str_eq(o->endpoint_reconciler_type, "none"))
        return NULL;
    object_meta(ep)->name = "kubernetes";
    object_meta(ep)->namespace = "default";
    string_map_set(&object_meta(ep)->labels, object_arena(ep), "endpointslice.kubernetes.io/skip-mirror", "true");
    (void)add_endpoint(ep, (void *)o);
    struct kerr *err = internal_update(resource_named("v1", "Endpoints"), "default", "kubernetes", ep, add_endpoint, (void *)o);
    if (err)
        return kerr_wrap(err, "endpoints of the kubernetes Service");
    object_meta(slice)->name = "kubernetes";
    object_meta(slice)->namespace = "default";
    string_map_set(&object_meta(slice)->labels, object_arena(slice), "kubernetes.io/service-name", "kubernetes");
    OBJECT_BODY(slice, endpoint_slice)->address_type = strchr(o->advertise_address, ':') ? "IPv6" : "IPv4";
    (void)add_slice_endpoint(slice, (void *)o);
    err = internal_update(resource_named("discovery.k8s.io/v1", "EndpointSlice"), "default", "kubernetes", slice, add_slice_endpoint, (void *)o);
    return kerr_wrap(err, "endpoint slice of the kubernetes Service");
}

/* --- keeping them --- */

static bool
stopped_within(int seconds)
{
    struct timespec until;
    bool stop;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&keeper.lock);
    while (!keeper.stop && pthread_cond_timedwait(&keeper.wake, &keeper.lock, &until) != ETIMEDOUT)
        ;
    stop = keeper.stop;
    pthread_mutex_unlock(&keeper.lock);
    return stop;
}

static void *
keep(void *arg)
{
    for (unsigned round = 1; !stopped_within(KEEP_EVERY_S); round++) {
        struct kerr *err = make_namespaces();
        if (!err)
            err = keep_endpoints(keeper.srv);
        if (err)
            log_warning("Keeping the system's own objects failed, trying again in 10s", "err", kv_err(err));
        kerr_free(err);
        if (round % REPAIR_EVERY == 0)
            allocators_repair(keeper.srv->allocators, clock_mono_ms());
    }
    return NULL;
}

static struct kerr *
first_pass(struct apiserver *srv)
{
    struct kerr *err = make_namespaces();

    if (!err)
        err = make_priorities();
    if (!err)
        err = make_cidr(srv->options);
    if (!err)
        err = make_service(srv);
    if (!err)
        err = keep_endpoints(srv);
    if (!err)
        err = make_authentication_config(srv->options);
    if (!err)
        err = authz_bootstrap(srv->authz);
    return err;
}

struct kerr *
bootstrap_start(struct apiserver *srv)
{
    struct kerr *err = allocators_new(srv->options, &srv->allocators);

    if (err)
        return err;
    allocators_repair(srv->allocators, clock_mono_ms());
    /* etcd may go away at any moment: try until it is done, or we are told to stop. */
    while ((err = first_pass(srv)) && !daemon_stopping(srv->daemon)) {
        daemon_waiting(srv->daemon, "etcd", err);
        kerr_free(err);
        clock_sleep_ms(500);
    }
    kerr_free(err);
    keeper.srv = srv;
    keeper.started = pthread_create(&keeper.thread, NULL, keep, NULL) == 0;
    return keeper.started ? NULL : kerr_new(KERR_INTERNAL, "cannot start a thread for the system's own objects");
}

void
bootstrap_stop(void)
{
    if (!keeper.started)
        return;
    pthread_mutex_lock(&keeper.lock);
    keeper.stop = true;
    pthread_cond_signal(&keeper.wake);
    pthread_mutex_unlock(&keeper.lock);
    pthread_join(keeper.thread, NULL);
    keeper.started = false;
    allocators_free(keeper.srv->allocators);
    keeper.srv->allocators = NULL;
}
