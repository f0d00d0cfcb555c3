// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/allocator.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "apiserver/registry/resource.h"
#include "apiserver/rest/read.h"
#include "common/api/codec.h"
#include "common/base/klog.h"
#include "common/base/rng.h"

enum { RANGE_MAX = 1 << 20, GRACE_MS = 60 * 1000 };

struct taken {
    uint32_t offset;
    uint64_t at_ms; /* when it was handed out, or last seen in the store */
    UT_hash_handle hh;
};

struct allocator {
    pthread_mutex_t lock; /* guards taken, ntaken, rng */
    struct taken *taken;
    uint32_t ntaken;
    struct rng rng;
    int family; /* 0: ports */
    unsigned char base[16];
    char text[64];  /* the CIDR, for messages */
    uint32_t first; /* lowest offset given out; for ports the lowest port */
    uint32_t count; /* how many from there */
    uint32_t low;   /* the first `low` are for those who ask by name (KEP-3070): automatic ones start above */
};

struct allocators {
    struct allocator *ips[FAMILIES];
    struct allocator *ports;
    int primary;
};

/* --- ranges --- */

/* How many at the bottom are for those who ask by name (KEP-3070, KEP-3668); small ranges keep none apart. */
static uint32_t
band(uint32_t size, uint32_t step, uint32_t max)
{
    if (size <= 16)
        return 0;
    return size / step < 16 ? 16 : size / step > max ? max : size / step;
}

static struct allocator *
make(uint32_t first, uint32_t count, uint32_t low)
{
    struct allocator *a = XNEW(struct allocator);

    pthread_mutex_init(&a->lock, NULL);
    a->rng = rng_from_system();
    a->first = first;
    a->count = count;
    a->low = low < count ? low : 0;
    return a;
}

static void
allocator_free(struct allocator *a)
{
    struct taken *t, *next;

    if (!a)
        return;
    HASH_ITER (hh, a->taken, t, next) {
        HASH_DEL(a->taken, t);
        free(t);
    }
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static struct kerr *
parse_cidr(const char *cidr, struct allocator **ret)
{
    AUTO_FREE char *host = xstrndup(cidr, strcspn(cidr, "/"));
    const char *slash = strchr(cidr, '/');
    unsigned char base[16];
    int32_t bits;
    int family = strchr(host, ':') ? AF_INET6 : AF_INET;
    int width = family == AF_INET ? 32 : 128;

    if (inet_pton(family, host, base) != 1 || !slash || parse_i32(slash + 1, &bits) || bits < 8 || bits > width - 2)
        return kerr_new(KERR_BAD_REQUEST, "--service-cluster-ip-range: \"%s\" is no usable network", cidr);
    uint32_t size = width - bits >= 20 ? RANGE_MAX : 1u << (width - bits);
    /* The network's own address is not given out, nor IPv4's broadcast address. */
    struct allocator *a = make(1, size - (family == AF_INET ? 2 : 1), band(size, 16, 256));
    a->family = family;
    memcpy(a->base, base, sizeof base);
    for (int i = bits; i < width; i++)
        a->base[i / 8] &= (unsigned char)~(0x80 >> (i % 8));
    snprintf(a->text, sizeof a->text, "%.60s", cidr);
    *ret = a;
    return NULL;
}

static struct kerr *
parse_ports(const char *range, struct allocator **ret)
{
    AUTO_FREE char *low = xstrndup(range, strcspn(range, "-"));
    const char *dash = strchr(range, '-');
    int32_t first, last;

    if (!dash || parse_i32(low, &first) || parse_i32(dash + 1, &last) || first < 1 || last > 65535 || first > last)
        return kerr_new(KERR_BAD_REQUEST, "--service-node-port-range: \"%s\" is not low-high", range);
    uint32_t count = (uint32_t)(last - first + 1);
    *ret = make((uint32_t)first, count, band(count, 32, 128));
    snprintf((*ret)->text, sizeof (*ret)->text, "%.60s", range);
    return NULL;
}

struct kerr *
allocators_new(const struct apiserver_options *o, struct allocators **ret)
{
    struct allocators *all = XNEW(struct allocators);
    struct kerr *err = parse_ports(o->service_node_port_range, &all->ports);

    for (size_t i = 0; !err && i < o->service_cluster_ip_range.len; i++) {
        struct allocator *a = NULL;
        err = parse_cidr(o->service_cluster_ip_range.items[i], &a);
        if (err)
            break;
        int at = a->family == AF_INET6;
        if (all->ips[at]) {
            err = kerr_new(KERR_BAD_REQUEST, "--service-cluster-ip-range: two networks of one IP family");
            allocator_free(a);
            break;
        }
        all->ips[at] = a;
        if (i == 0)
            all->primary = a->family;
    }
    if (err) {
        allocators_free(all);
        return err;
    }
    *ret = all;
    return NULL;
}

void
allocators_free(struct allocators *all)
{
    if (!all)
        return;
    for (int i = 0; i < FAMILIES; i++)
        allocator_free(all->ips[i]);
    allocator_free(all->ports);
    free(all);
}

struct allocator *
allocators_ips(struct allocators *all, int family)
{
    return all->ips[family == AF_INET6];
}

int
allocators_primary_family(const struct allocators *all)
{
    return all->primary;
}

struct allocator *
allocators_ports(struct allocators *all)
{
    return all->ports;
}

/* --- taking and giving back --- */

static bool
take(struct allocator *a, uint32_t offset, uint64_t now_ms)
{
    struct taken *t;

    HASH_FIND(hh, a->taken, &offset, sizeof offset, t);
    if (t)
        return false;
    t = XNEW(struct taken);
    t->offset = offset;
    t->at_ms = now_ms;
    HASH_ADD(hh, a->taken, offset, sizeof t->offset, t);
    a->ntaken++;
    return true;
}

static void
give_back(struct allocator *a, uint32_t offset)
{
    struct taken *t;

    pthread_mutex_lock(&a->lock);
    HASH_FIND(hh, a->taken, &offset, sizeof offset, t);
    if (t) {
        HASH_DEL(a->taken, t);
        free(t);
        a->ntaken--;
    }
    pthread_mutex_unlock(&a->lock);
}

/* A random free one above the reserved band, then below it. */
static bool
take_any(struct allocator *a, uint64_t now_ms, uint32_t *ret)
{
    const uint32_t parts[2][2] = { { a->low, a->count - a->low }, { 0, a->low } };

    for (int p = 0; p < 2; p++) {
        uint32_t from = parts[p][0], n = parts[p][1];
        uint32_t start = n ? (uint32_t)rng_below(&a->rng, n) : 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t offset = a->first + from + (start + i) % n;
            if (take(a, offset, now_ms)) {
                *ret = offset;
                return true;
            }
        }
    }
    return false;
}

static void
address_of(const struct allocator *a, uint32_t offset, char ret[64])
{
    unsigned char bytes[16];
    int last = a->family == AF_INET ? 3 : 15;
    uint32_t carry = offset;

    memcpy(bytes, a->base, sizeof bytes);
    for (int i = last; i >= 0 && carry; i--) {
        carry += bytes[i];
        bytes[i] = (unsigned char)carry;
        carry >>= 8;
    }
    inet_ntop(a->family, bytes, ret, 64);
}

static bool
offset_of(const struct allocator *a, const char *ip, uint32_t *ret)
{
    unsigned char bytes[16];
    int len = a->family == AF_INET ? 4 : 16;
    uint64_t offset = 0;

    if (inet_pton(a->family, ip, bytes) != 1)
        return false;
    for (int i = 0; i < len; i++) {
        if (i < len - 4 && bytes[i] != a->base[i])
            return false;
        if (i >= len - 4)
            offset = offset * 256 + bytes[i];
    }
    uint64_t base = 0;
    for (int i = len - 4; i < len; i++)
        base = base * 256 + a->base[i];
    if (offset < base + a->first || offset - base - a->first >= a->count)
        return false;
    *ret = (uint32_t)(offset - base);
    return true;
}

struct kerr *
allocator_take_ip(struct allocator *a, const char *wanted, uint64_t now_ms, char ret[64])
{
    uint32_t offset;
    struct kerr *err = NULL;

    if (!str_empty(wanted) && !offset_of(a, wanted, &offset))
        return kerr_new(KERR_INVALID, "the provided IP (%s) is not in the valid range. The range of valid IPs is %s", wanted, a->text);
    pthread_mutex_lock(&a->lock);
    if (!str_empty(wanted)) {
        if (!take(a, offset, now_ms))
            err = kerr_new(KERR_INVALID, "provided IP is already allocated");
    } else if (!take_any(a, now_ms, &offset)) {
        err = kerr_new(KERR_INTERNAL, "range is full");
    }
    pthread_mutex_unlock(&a->lock);
    if (!err)
        address_of(a, offset, ret);
    return err;
}

void
allocator_release_ip(struct allocator *a, const char *ip)
{
    uint32_t offset;

    if (offset_of(a, ip, &offset))
        give_back(a, offset);
}

struct kerr *
allocator_take_port(struct allocator *a, int32_t wanted, uint64_t now_ms, int32_t *ret)
{
    uint32_t port = (uint32_t)wanted;
    struct kerr *err = NULL;

    if (wanted && (port < a->first || port - a->first >= a->count))
        return kerr_new(KERR_INVALID, "provided port is not in the valid range. The range of valid ports is %s", a->text);
    pthread_mutex_lock(&a->lock);
    if (wanted) {
        if (!take(a, port, now_ms))
            err = kerr_new(KERR_INVALID, "provided port is already allocated");
    } else if (!take_any(a, now_ms, &port)) {
        err = kerr_new(KERR_INTERNAL, "range is full");
    }
    pthread_mutex_unlock(&a->lock);
    if (!err)
        *ret = (int32_t)port;
    return err;
}

void
allocator_release_port(struct allocator *a, int32_t port)
{
    give_back(a, (uint32_t)port);
}

/* --- repair --- */

static void
seen(struct allocator *a, uint32_t offset, uint64_t now_ms)
{
    struct taken *t;

    pthread_mutex_lock(&a->lock);
    if (!take(a, offset, now_ms)) {
        HASH_FIND(hh, a->taken, &offset, sizeof offset, t);
        t->at_ms = now_ms;
    }
    pthread_mutex_unlock(&a->lock);
}

static void
forget_unseen(struct allocator *a, uint64_t now_ms)
{
    struct taken *t, *next;

    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    HASH_ITER (hh, a->taken, t, next) {
        if (now_ms - t->at_ms < GRACE_MS)
            continue;
        HASH_DEL(a->taken, t);
        free(t);
        a->ntaken--;
    }
    pthread_mutex_unlock(&a->lock);
}

static void
see_service(struct allocators *all, const struct service *s, uint64_t now_ms)
{
    uint32_t offset;

    for (uint32_t i = 0; i < s->spec.cluster_ips.len; i++)
        for (int f = 0; f < FAMILIES; f++)
            if (all->ips[f] && offset_of(all->ips[f], s->spec.cluster_ips.items[i], &offset))
                seen(all->ips[f], offset, now_ms);
    for (uint32_t i = 0; i < s->spec.ports.len; i++)
        if (s->spec.ports.items[i].node_port)
            seen(all->ports, (uint32_t)s->spec.ports.items[i].node_port, now_ms);
    if (s->spec.health_check_node_port)
        seen(all->ports, (uint32_t)s->spec.health_check_node_port, now_ms);
}

void
allocators_repair(struct allocators *all, uint64_t now_ms)
{
    const struct resource *services = resource_named("v1", "Service");
    const struct record_filter every = { 0 };
    struct record **list = NULL;
    size_t n = 0;
    AUTO(kerr) *err = rest_read_records(services, &every, &list, &n);

    if (err) {
        log_warning("Services could not be read for repairing allocations, trying again later", "err", kv_err(err));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        AUTO(object) *obj = NULL;
        AUTO(kerr) *bad = object_decode_json(list[i]->json, list[i]->json_len, services->stored_kind, NULL, &obj);
        if (!bad)
            see_service(all, OBJECT_BODY(obj, service), now_ms);
        record_unref(list[i]);
    }
    free(list);
    for (int f = 0; f < FAMILIES; f++)
        forget_unseen(all->ips[f], now_ms);
    forget_unseen(all->ports, now_ms);
}
