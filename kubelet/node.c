// SPDX-License-Identifier: Apache-2.0
#include "kubelet/node.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>

#include "common/api/codec.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/client/informer.h"
#include "common/daemon/daemon.h"
#include "kubelet/api_build.h"
#include "kubelet/cni_config.h"

#define UNREADY_LOOK_MS 250

struct node_agent {
    struct kubelet *k;
    pthread_t status_thread, lease_thread;
    bool running;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t cond;
    bool stopping, look;
    char *uid;
    struct object *now; /* the API's node */
    struct strlist cidrs;
    struct strlist ips;
    char *machine_id, *system_uuid, *boot_id, *kernel, *os_image, *runtime_version;
    int64_t memory, cpus;
};

static struct node_agent *inspected; /* node_inspect() runs before node_new() */

/* --- the machine --- */

static char *
first_line(const char *path)
{
    char *text = NULL;
    AUTO(kerr) *err = file_read(path, 65536, &text, NULL);

    if (err)
        return xstrdup("");
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static char *
os_name(void)
{
    AUTO_FREE char *text = NULL;
    AUTO(kerr) *err = file_read("/etc/os-release", 65536, &text, NULL);
    char *at = err ? NULL : strstr(text, "PRETTY_NAME=");

    if (!at)
        return xstrdup("Linux");
    at += 12;
    at += *at == '"';
    return xstrndup(at, strcspn(at, "\"\n"));
}

static const char *
architecture(void)
{
    static struct utsname un;

    uname(&un);
    return !strcmp(un.machine, "x86_64") ? "amd64" : !strcmp(un.machine, "aarch64") ? "arm64" : un.machine;
}

static int64_t
mem_info(const char *key)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[256];
    int64_t kb = 0;
    size_t n = strlen(key);

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, n) && line[n] == ':')
            kb = strtoll(line + n + 1, NULL, 10);
    if (f)
        fclose(f);
    return kb * 1024;
}

/* The address that a packet to the outside would carry; else the first of any interface that is up. */
static char *
own_address(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) }, me;
    socklen_t len = sizeof me;
    char text[INET_ADDRSTRLEN] = "";
    struct ifaddrs *all = NULL;
    AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, "192.0.2.254", &to.sin_addr);
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof to) && !getsockname(fd, (struct sockaddr *)&me, &len))
        inet_ntop(AF_INET, &me.sin_addr, text, sizeof text);
    if (!*text && !getifaddrs(&all))
        for (struct ifaddrs *i = all; i && !*text; i = i->ifa_next)
            if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK))
                inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text, sizeof text);
    if (all)
        freeifaddrs(all);
    return xstrdup(*text ? text : "127.0.0.1");
}

static int64_t
fs_size(const char *path)
{
    struct statvfs v;

    return statvfs(path, &v) ? 0 : (int64_t)v.f_blocks * (int64_t)v.f_frsize;
}

struct kerr *
node_inspect(struct kubelet *k)
{
    struct node_agent *n = XNEW(struct node_agent);
    struct utsname un;
    const char **ips;
    AUTO(arena) *a = arena_new(0);
    struct node_picture p = { .cfg = &k->cfg, .hostname = "" };
    struct node_status st;

    uname(&un);
    for (size_t i = 0; i < k->cfg.node_ips.len; i++)
        strlist_add(&n->ips, k->cfg.node_ips.items[i]);
    if (!n->ips.len)
        strlist_add_take(&n->ips, own_address());
    n->machine_id = first_line("/etc/machine-id");
    n->system_uuid = first_line("/sys/class/dmi/id/product_uuid");
    if (str_empty(n->system_uuid)) {
        free(n->system_uuid);
        n->system_uuid = xstrdup(n->machine_id);
    }
    n->boot_id = first_line("/proc/sys/kernel/random/boot_id");
    n->kernel = xstrdup(un.release);
    n->os_image = os_name();
    n->cpus = sysconf(_SC_NPROCESSORS_ONLN);
    n->memory = mem_info("MemTotal");
    ips = xcalloc(n->ips.len, sizeof *ips);
    for (size_t i = 0; i < n->ips.len; i++)
        ips[i] = n->ips.items[i];
    k->identity = (struct node_identity){ ips, n->ips.len, k->runtime_name };
    k->memory_capacity = n->memory;
    k->cpu_capacity_milli = n->cpus * 1000;
    p.cpus = n->cpus;
    p.memory = n->memory;
    p.ephemeral = fs_size(k->cfg.root_dir);
    node_status_make(&p, a, &st);
    k->allocatable_cpu_milli = quantity_milli(*quantity_map_value(&st.allocatable, "cpu"));
    k->allocatable_memory = quantity_value(*quantity_map_value(&st.allocatable, "memory"));
    k->allocatable_ephemeral = quantity_value(*quantity_map_value(&st.allocatable, "ephemeral-storage"));
    inspected = n;
    return NULL;
}

static void
take_picture(struct node_agent *n, struct arena *a, struct node_picture *p)
{
    struct kubelet *k = n->k;
    struct rt_image_list *images = ARENA_NEW(a, struct rt_image_list);
    struct statvfs v;
    struct kerr *err;

    *p = (struct node_picture){ .cfg = &k->cfg, .cpus = n->cpus, .memory = n->memory, .ephemeral = fs_size(k->cfg.root_dir),
                                .machine_id = n->machine_id, .system_uuid = n->system_uuid, .boot_id = n->boot_id, .kernel = n->kernel,
                                .os_image = n->os_image, .architecture = architecture(), .ips = k->identity.host_ips,
                                .nips = k->identity.nhost_ips, .hostname = k->cfg.hostname, .now_s = clock_wall_s() };
    p->hugepages_2m = 0;
    err = runtime_info(k->rt, &p->runtime);
    if (err) {
        p->runtime_error = arena_strdup(a, err->message);
        kerr_free(err);
    } else {
        p->runtime_version = arena_printf(a, "%s://%s", p->runtime.name, p->runtime.version);
        err = runtime_images(k->rt, a, images);
        if (!err)
            p->images = images;
        kerr_free(err);
    }
    p->memory_pressure = mem_info("MemAvailable") < 100ll * 1024 * 1024;
    if (!statvfs(k->cfg.root_dir, &v))
        p->disk_pressure = v.f_bavail * 10 < v.f_blocks || (v.f_files && v.f_favail * 20 < v.f_files);
    pthread_mutex_lock(&n->lock);
    if (!p->runtime_version)
        p->runtime_version = arena_strdup(a, str_safe(n->runtime_version));
    free(n->runtime_version);
    n->runtime_version = xstrdup(p->runtime_version);
    p->now = object_ref(n->now);
    pthread_mutex_unlock(&n->lock);
}

/* --- registration and status --- */

static struct kerr *
register_node(struct node_agent *n, const struct node_picture *p)
{
    struct kubelet *k = n->k;
    AUTO(object) *wanted = node_object_make(p);
    AUTO(object) *made = NULL;
    struct kerr *err = rest_create(k->rest, wanted, &made);

    if (err && err->reason == KERR_ALREADY_EXISTS) {
        const struct string_map *labels = &object_meta(wanted)->labels;
        json_t *set = json_object(), *doc;
        char *text;

        kerr_free(err);
        for (uint32_t i = 0; i < labels->len; i++)
            json_object_set_new(set, labels->items[i].key, json_string(labels->items[i].value));
        doc = json_pack("{s:{s:o}}", "metadata", "labels", set);
        text = json_dumps(doc, JSON_COMPACT);
        json_decref(doc);
        err = rest_patch(k->rest, api_kind_find("v1", "Node"), NULL, k->cfg.node_name, REST_PATCH_STRATEGIC, text, strlen(text), NULL, &made);
        free(text);
    } else if (!err) {
        log_info("Successfully registered node", "node", k->cfg.node_name);
    }
    if (!err && made)
        node_seen(n, made);
    return err;
}

/* Equal but for the times at which conditions were looked at. */
static bool
same_status(const struct node_status *x, const struct node_status *y)
{
    struct node_status cx = *x, cy = *y;
    bool same = cx.conditions.len == cy.conditions.len;

    for (uint32_t i = 0; same && i < cx.conditions.len; i++) {
        const struct node_condition *c = &cx.conditions.items[i], *d = NULL;

        for (uint32_t k = 0; k < cy.conditions.len; k++)
            if (str_eq(cy.conditions.items[k].type, c->type))
                d = &cy.conditions.items[k];
        same = d && str_eq(c->status, d->status) && str_eq(c->reason, d->reason) && str_eq(c->message, d->message);
    }
    cx.conditions = cy.conditions = (struct node_condition_slice){ 0 };
    cx.volumes_in_use = cy.volumes_in_use = (struct string_slice){ 0 };
    cx.volumes_attached = cy.volumes_attached;
    cx.phase = cy.phase;
    cx.config = cy.config;
    cx.runtime_handlers = cy.runtime_handlers;
    cx.features = cy.features;
    return same && api_equal(&api_type_node_status, &cx, &cy);
}

static struct kerr *
write_status(struct node_agent *n, const struct node_status *st)
{
    struct rest_patch_options o = { .subresource = "status" };
    AUTO_SBUF text = { 0 };
    AUTO(object) *answer = NULL;
    json_t *status, *addresses, *doc;
    struct kerr *err;
    char *patch;

    json_encode(&api_type_node_status, st, &text);
    status = json_loadb(sbuf_str(&text), text.len, 0, NULL);
    addresses = json_object_get(status, "addresses");
    json_array_insert_new(addresses, 0, json_pack("{s:s}", "$patch", "replace"));
    doc = json_pack("{s:o}", "status", status);
    patch = json_dumps(doc, JSON_COMPACT);
    err = rest_patch(n->k->rest, api_kind_find("v1", "Node"), NULL, n->k->cfg.node_name, REST_PATCH_STRATEGIC, patch, strlen(patch), &o, &answer);
    free(patch);
    json_decref(doc);
    if (!err && answer)
        node_seen(n, answer);
    return err;
}

static bool
status_ready(const struct node_status *st)
{
    for (uint32_t i = 0; i < st->conditions.len; i++)
        if (str_eq(st->conditions.items[i].type, "Ready"))
            return str_eq(st->conditions.items[i].status, "True");
    return false;
}

static void
event_on_ready(struct node_agent *n, bool ready)
{
    struct event_target about = { .api_version = "v1", .kind = "Node", .name = n->k->cfg.node_name, .uid = n->k->cfg.node_name };

    events_send_to(n->k->events, &about, EVENT_NORMAL, ready ? "NodeReady" : "NodeNotReady", "Node %s status is now: %s", n->k->cfg.node_name,
                   ready ? "NodeReady" : "NodeNotReady");
}

static void
apply_cidrs(struct node_agent *n)
{
    AUTO_STRLIST cidrs = { 0 };
    AUTO(kerr) *err = NULL;

    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < n->cidrs.len; i++)
        strlist_add(&cidrs, n->cidrs.items[i]);
    pthread_mutex_unlock(&n->lock);
    if (!cidrs.len && !str_empty(n->k->cfg.pod_cidr))
        strlist_split(&cidrs, n->k->cfg.pod_cidr, ',');
    err = cni_config_write(n->k->cfg.cni_conf_dir, n->k->cfg.cni_mode, &cidrs);
    if (err)
        log_error("The CNI configuration cannot be written", "err", kv_err(err));
}

static void
pause_ms(struct node_agent *n, uint64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&n->lock);
    while (!n->stopping && !n->look && pthread_cond_timedwait(&n->cond, &n->lock, &until) == 0)
        ;
    n->look = false;
    pthread_mutex_unlock(&n->lock);
}

static bool
stopping(struct node_agent *n)
{
    bool s;

    pthread_mutex_lock(&n->lock);
    s = n->stopping;
    pthread_mutex_unlock(&n->lock);
    return s;
}

static void *
status_main(void *arg)
{
    struct node_agent *n = arg;
    struct kubelet *k = n->k;
    int64_t written_ms = 0;
    int ready_before = -1;

    while (!stopping(n)) {
        AUTO(arena) *a = arena_new(16384);
        struct node_picture p;
        struct node_status st;
        struct kerr *err = NULL;
        bool ready, due;

        apply_cidrs(n);
        take_picture(n, a, &p);
        node_status_make(&p, a, &st);
        ready = status_ready(&st);
        due = (int64_t)clock_mono_ms() - written_ms >= k->cfg.status_report_ms;
        if (k->rest && k->cfg.register_node && !p.now)
            err = register_node(n, &p);
        else if (k->rest && p.now && (!written_ms || due || !same_status(&st, &OBJECT_BODY(p.now, node)->status))) {
            err = write_status(n, &st);
            if (!err)
                written_ms = (int64_t)clock_mono_ms();
        }
        if (err && err->reason == KERR_NOT_FOUND)
            node_gone(n);
        if (err)
            log_warning("The node status cannot be written; trying again", "err", kv_err(err));
        if (!err && ready_before != (int)ready && p.now) {
            log_info("Node is now", "ready", ready ? "True" : "False");
            event_on_ready(n, ready);
            ready_before = ready;
        }
        object_unref(p.now);
        pause_ms(n, err ? 1000 : ready && p.now && written_ms ? (uint64_t)k->cfg.status_update_ms : UNREADY_LOOK_MS);
        kerr_free(err);
    }
    return NULL;
}

/* --- lease --- */

static struct object *
lease_object(struct node_agent *n)
{
    struct object *obj = object_new_of("coordination.k8s.io/v1", "Lease");
    struct lease *l = OBJECT_BODY(obj, lease);
    struct arena *a = object_arena(obj);

    l->metadata.name = arena_strdup(a, n->k->cfg.node_name);
    l->metadata.namespace = "kube-node-lease";
    l->spec.holder_identity = l->metadata.name;
    l->spec.lease_duration_seconds = ARENA_PTR(a, int32_t, n->k->cfg.lease_duration_s);
    return obj;
}

static struct kerr *
renew_lease(struct node_agent *n, struct object **held)
{
    const struct api_kind *kind = api_kind_find("coordination.k8s.io/v1", "Lease");
    struct kubelet *k = n->k;
    AUTO(object) *next = NULL;
    struct object *answer = NULL;
    struct lease *l;
    struct kerr *err = NULL;
    bool create = false;

    if (!*held) {
        err = rest_get(k->rest, kind, "kube-node-lease", k->cfg.node_name, held);
        create = err && err->reason == KERR_NOT_FOUND;
        if (err && !create)
            return err;
        kerr_free(err);
    }
    next = create ? lease_object(n) : object_copy(*held);
    l = OBJECT_BODY(next, lease);
    l->spec.holder_identity = arena_strdup(object_arena(next), k->cfg.node_name);
    l->spec.lease_duration_seconds = ARENA_PTR(object_arena(next), int32_t, k->cfg.lease_duration_s);
    l->spec.renew_time = ARENA_PTR(object_arena(next), struct api_time, api_time_from_unix_us(clock_wall_us()));
    if (!l->metadata.owner_references.len && !str_empty(node_uid_of(n))) {
        struct owner_reference *o = SLICE_ADD(object_arena(next), &l->metadata.owner_references);

        o->api_version = "v1";
        o->kind = "Node";
        o->name = arena_strdup(object_arena(next), k->cfg.node_name);
        o->uid = arena_strdup(object_arena(next), node_uid_of(n));
    }
    err = create ? rest_create(k->rest, next, &answer) : rest_update(k->rest, next, &answer);
    object_unref(*held);
    *held = err ? NULL : answer; /* after any error it is read again */
    return err;
}

static void *
lease_main(void *arg)
{
    struct node_agent *n = arg;
    struct object *held = NULL;
    uint64_t period_ms = (uint64_t)n->k->cfg.lease_duration_s * 250, wait_ms;

    while (!stopping(n)) {
        struct kerr *err = renew_lease(n, &held);

        wait_ms = period_ms;
        if (err) {
            log_v(err->reason == KERR_CONFLICT ? 3 : 1, "The node lease cannot be renewed; trying again", "err", kv_err(err));
            wait_ms = 500;
        }
        kerr_free(err);
        for (uint64_t end = clock_mono_ms() + wait_ms; clock_mono_ms() < end && !stopping(n);)
            clock_sleep_ms(wait_ms < 250 ? wait_ms : 250);
    }
    object_unref(held);
    return NULL;
}

/* --- life --- */

struct node_agent *
node_new(struct kubelet *k)
{
    struct node_agent *n = inspected;

    inspected = NULL;
    n->k = k;
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->cond, NULL);
    return n;
}

void
node_start(struct node_agent *n)
{
    if (pthread_create(&n->status_thread, NULL, status_main, n))
        abort();
    if (n->k->rest && pthread_create(&n->lease_thread, NULL, lease_main, n))
        abort();
    n->running = true;
}

void
node_stop(struct node_agent *n)
{
    if (!n->running)
        return;
    pthread_mutex_lock(&n->lock);
    n->stopping = true;
    pthread_cond_broadcast(&n->cond);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->status_thread, NULL);
    if (n->k->rest)
        pthread_join(n->lease_thread, NULL);
    n->running = false;
}

void
node_free(struct node_agent *n)
{
    char *owned[7];

    if (!n)
        return;
    owned[0] = n->uid;
    owned[1] = n->machine_id;
    owned[2] = n->system_uuid;
    owned[3] = n->boot_id;
    owned[4] = n->kernel;
    owned[5] = n->os_image;
    owned[6] = n->runtime_version;
    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        free(owned[i]);
    object_unref(n->now);
    free((void *)n->k->identity.host_ips);
    strlist_done(&n->cidrs);
    strlist_done(&n->ips);
    pthread_cond_destroy(&n->cond);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

const char *
node_uid_of(struct node_agent *n)
{
    const char *uid;

    pthread_mutex_lock(&n->lock);
    uid = str_safe(n->uid);
    pthread_mutex_unlock(&n->lock);
    return uid;
}

void
node_gone(struct node_agent *n)
{
    pthread_mutex_lock(&n->lock);
    object_unref(n->now);
    n->now = NULL;
    n->look = true;
    pthread_cond_broadcast(&n->cond);
    pthread_mutex_unlock(&n->lock);
}

void
node_seen(struct node_agent *n, const struct object *node)
{
    const struct node *body = OBJECT_BODY(node, node);
    bool news = false;

    pthread_mutex_lock(&n->lock);
    object_unref(n->now);
    n->now = object_ref(node);
    if (!n->uid || !str_eq(n->uid, body->metadata.uid)) /* kept for ever: others hold it; a node is made anew rarely */
        n->uid = xstrdup(body->metadata.uid);
    if (!str_empty(body->spec.pod_cidr) && !(n->cidrs.len && str_eq(n->cidrs.items[0], body->spec.pod_cidr))) {
        strlist_done(&n->cidrs);
        n->cidrs = (struct strlist){ 0 };
        for (uint32_t i = 0; i < body->spec.pod_cidrs.len; i++)
            strlist_add(&n->cidrs, body->spec.pod_cidrs.items[i]);
        if (!n->cidrs.len)
            strlist_add(&n->cidrs, body->spec.pod_cidr);
        news = true;
    }
    if (news) {
        n->look = true;
        pthread_cond_broadcast(&n->cond);
    }
    pthread_mutex_unlock(&n->lock);
}
