// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/node_routes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/api/codec.h"
#include "common/api/object.h"
#include "common/base/klog.h"
#include "common/base/str.h"
#include "common/client/informer.h"
#include "common/client/workqueue.h"

#define READ_BUFFER ((size_t)64 << 10)
#define RECHECK_MS 60000

/* --- decide --- */

void
node_route_list_done(struct node_route_list *l)
{
    free(l->items);
    *l = (struct node_route_list){ 0 };
}

static void
list_add(struct node_route_list *l, const struct ip_net *dest, const struct ip_addr *via)
{
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->items = xreallocarray(l->items, l->cap, sizeof(*l->items));
    }
    l->items[l->len++] = (struct node_route){ *dest, *via };
}

static bool
internal_ip(const struct node *node, enum ip_family family, struct ip_addr *ret)
{
    for (uint32_t i = 0; i < node->status.addresses.len; i++)
        if (str_eq(node->status.addresses.items[i].type, "InternalIP") &&
            ip_parse(node->status.addresses.items[i].address, ret) == 0 && ret->family == family)
            return true;
    return false;
}

static void
add_cidr(struct node_route_list *l, const struct node *node, const char *cidr)
{
    struct ip_net dest;
    struct ip_addr via;

    if (ip_net_parse(cidr, &dest) == 0 && dest.bits > 0 && internal_ip(node, dest.addr.family, &via))
        list_add(l, &dest, &via);
}

static int
route_cmp(const void *a, const void *b)
{
    const struct node_route *x = a, *y = b;
    int order = ip_net_cmp(&x->dest, &y->dest);

    return order ? order : ip_cmp(&x->via, &y->via);
}

void
node_routes_wanted(const struct node *const *nodes, size_t n, const char *self, struct node_route_list *ret)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        const struct node_spec *spec = &nodes[i]->spec;

        if (str_eq(nodes[i]->metadata.name, self))
            continue;
        for (uint32_t c = 0; c < spec->pod_cidrs.len; c++)
            add_cidr(ret, nodes[i], spec->pod_cidrs.items[c]);
        if (!spec->pod_cidrs.len && !str_empty(spec->pod_cidr))
            add_cidr(ret, nodes[i], spec->pod_cidr);
    }
    if (ret->len)
        qsort(ret->items, ret->len, sizeof(*ret->items), route_cmp);
    for (size_t i = 0; i < ret->len; i++)
        if (kept == 0 || ip_net_cmp(&ret->items[kept - 1].dest, &ret->items[i].dest) != 0)
            ret->items[kept++] = ret->items[i];
    ret->len = kept;
}

/* --- act: rtnetlink --- */

static size_t
ip_bytes(enum ip_family family)
{
    return family == IP_V4 ? 4 : 16;
}

static void
add_attr(struct sbuf *out, uint16_t type, const void *data, size_t len)
{
    struct rtattr a = { .rta_len = (unsigned short)RTA_LENGTH(len), .rta_type = type };

    sbuf_add(out, &a, sizeof(a));
    sbuf_add(out, data, len); /* addresses are multiples of 4 */
}

static void
route_message(struct sbuf *out, uint16_t type, uint16_t flags, const struct node_route *r)
{
    struct nlmsghdr h = { .nlmsg_type = type,
                          .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
                          .nlmsg_seq = 1 };
    struct rtmsg m = { .rtm_family = r->dest.addr.family == IP_V4 ? AF_INET : AF_INET6,
                       .rtm_dst_len = r->dest.bits,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = NODE_ROUTE_PROTOCOL,
                       .rtm_scope = RT_SCOPE_UNIVERSE,
                       .rtm_type = RTN_UNICAST };

    sbuf_clear(out);
    sbuf_add(out, &h, sizeof(h));
    sbuf_add(out, &m, sizeof(m));
    add_attr(out, RTA_DST, r->dest.addr.b, ip_bytes(r->dest.addr.family));
    add_attr(out, RTA_GATEWAY, r->via.b, ip_bytes(r->via.family));
}

static struct kerr *
send_message(int fd, struct sbuf *msg)
{
    uint32_t len = (uint32_t)msg->len;

    memcpy(msg->s, &len, sizeof(len));
    if (send(fd, msg->s, msg->len, 0) != (ssize_t)msg->len)
        return kerr_errno(errno, "asking the kernel for its routes (rtnetlink)");
    return NULL;
}

static bool
address_attr(const struct rtattr *a, enum ip_family family, struct ip_addr *ret)
{
    if (RTA_PAYLOAD(a) != ip_bytes(family))
        return false;
    memset(ret, 0, sizeof(*ret));
    ret->family = (uint8_t)family;
    memcpy(ret->b, RTA_DATA(a), ip_bytes(family));
    return true;
}

static void
read_route(const struct nlmsghdr *h, struct node_route_list *ours)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));
    struct ip_net dest = { .bits = m->rtm_dst_len };
    struct ip_addr via = { 0 };
    enum ip_family family = m->rtm_family == AF_INET ? IP_V4 : IP_V6;

    if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_protocol != NODE_ROUTE_PROTOCOL || m->rtm_table != RT_TABLE_MAIN)
        return;
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if (a->rta_type == RTA_DST && !address_attr(a, family, &dest.addr))
            return;
        if (a->rta_type == RTA_GATEWAY && !address_attr(a, family, &via))
            return;
    }
    if (dest.addr.family)
        list_add(ours, &dest, &via);
}

/* Reads answers until the end of the dump or the acknowledgement; routes of ours go to the list (may be NULL). */
static struct kerr *
read_answer(int fd, struct node_route_list *ours)
{
    AUTO_FREE char *buf = xmalloc(READ_BUFFER);

    for (;;) {
        ssize_t n = recv(fd, buf, READ_BUFFER, 0);
        size_t left = n > 0 ? (size_t)n : 0;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return kerr_errno(n < 0 ? errno : EPIPE, "reading the kernel's routes (rtnetlink)");
        for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return NULL;
            if (h->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *e = NLMSG_DATA(h);

                return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) || !e->error
                           ? NULL
                           : kerr_errno(e->error, "the kernel refused");
            }
            if (ours && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg)))
                read_route(h, ours);
        }
    }
}

static struct kerr *
dump_family(int fd, int af, struct node_route_list *ours)
{
    struct nlmsghdr h = { .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 1 };
    struct rtmsg m = { .rtm_family = (unsigned char)af };
    AUTO_SBUF msg = { 0 };
    struct kerr *err;

    sbuf_add(&msg, &h, sizeof(h));
    sbuf_add(&msg, &m, sizeof(m));
    err = send_message(fd, &msg);
    return err ? err : read_answer(fd, ours);
}

static bool
has_route(const struct node_route_list *l, const struct node_route *r, bool whole)
{
    for (size_t i = 0; i < l->len; i++)
        if (ip_net_cmp(&l->items[i].dest, &r->dest) == 0 && (!whole || ip_eq(&l->items[i].via, &r->via)))
            return true;
    return false;
}

static struct kerr *
change(int fd, uint16_t type, uint16_t flags, const struct node_route *r)
{
    char dest[IP_TEXT_MAX], via[IP_TEXT_MAX];
    AUTO_SBUF msg = { 0 };
    struct kerr *err;

    route_message(&msg, type, flags, r);
    err = send_message(fd, &msg);
    if (!err)
        err = read_answer(fd, NULL);
    return kerr_wrap(err, "route to %s by %s (the nodes must share a network)", ip_net_text(&r->dest, dest),
                     ip_text(&r->via, via));
}

static void
keep_first(struct kerr **first, struct kerr *err, size_t *changed)
{
    if (!err)
        (*changed)++;
    else if (!*first)
        *first = err;
    else
        kerr_free(err);
}

struct kerr *
node_routes_apply(const struct node_route_list *wanted, size_t *ret_changed)
{
    AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    AUTO_NODE_ROUTE_LIST ours = { 0 };
    struct kerr *err, *first = NULL;

    *ret_changed = 0;
    if (fd < 0)
        return kerr_errno(errno, "netlink socket for routes");
    err = dump_family(fd, AF_INET, &ours);
    if (!err)
        err = dump_family(fd, AF_INET6, &ours);
    if (err)
        return err;
    for (size_t i = 0; i < wanted->len; i++)
        if (!has_route(&ours, &wanted->items[i], true))
            keep_first(&first, change(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &wanted->items[i]), ret_changed);
    for (size_t i = 0; i < ours.len; i++)
        if (!has_route(wanted, &ours.items[i], false))
            keep_first(&first, change(fd, RTM_DELROUTE, 0, &ours.items[i]), ret_changed);
    return first;
}

/* --- observe --- */

struct node_routes {
    struct informer *nodes;
    char *self;
    struct workqueue *queue;
};

static struct kerr *
sync_routes(const char *key, void *arg)
{
    struct node_routes *r = arg;
    AUTO_OBJECT_LIST all = { 0 };
    AUTO_NODE_ROUTE_LIST wanted = { 0 };
    AUTO_FREE const struct node **nodes = NULL;
    struct kerr *err;
    size_t n = 0, changed;

    if (!informer_synced(r->nodes)) /* half a list would take routes away; the rest of it wakes us */
        return NULL;
    informer_list(r->nodes, NULL, &all);
    nodes = xcalloc(all.len + 1, sizeof(*nodes));
    for (size_t i = 0; i < all.len; i++)
        if ((nodes[n] = OBJECT_BODY(all.items[i], node)))
            n++;
    node_routes_wanted(nodes, n, r->self, &wanted);
    err = node_routes_apply(&wanted, &changed);
    if (changed)
        log_info("Routes to the other nodes' pods changed", "changed", kv_int((int64_t)changed), "routes",
                 kv_int((int64_t)wanted.len));
    if (!err)
        workqueue_add_after(r->queue, key, RECHECK_MS); /* somebody may have flushed them */
    return err;
}

static void
wake(struct node_routes *r)
{
    workqueue_add(r->queue, "routes");
}

static void
node_added(const struct object *obj, bool initial, void *arg)
{
    if (!initial)
        wake(arg);
}
static void
node_updated(const struct object *old, const struct object *now, void *arg)
{
    const struct node *a = OBJECT_BODY(old, node), *b = OBJECT_BODY(now, node);

    /* Heartbeats come all the time; only these two matter. */
    if (!a || !b || !api_equal(&api_type_node_spec, &a->spec, &b->spec) ||
        a->status.addresses.len != b->status.addresses.len) {
        wake(arg);
        return;
    }
    for (uint32_t i = 0; i < a->status.addresses.len; i++)
        if (!str_eq(a->status.addresses.items[i].address, b->status.addresses.items[i].address)) {
            wake(arg);
            return;
        }
}
static void
node_removed(const struct object *last, void *arg)
{
    wake(arg);
}
static void
nodes_synced(void *arg)
{
    wake(arg);
}

struct node_routes *
node_routes_new(struct informers *informers, const char *self)
{
    struct node_routes *r = XNEW(struct node_routes);
    struct workqueue_config cfg = { .name = "routes", .workers = 1, .sync = sync_routes, .arg = r };

    r->self = xstrdup(self);
    r->queue = workqueue_new(&cfg);
    r->nodes = informers_kind(informers, "v1", "Node");
    informer_add_handler(
        r->nodes,
        &(struct informer_handler){
            .add = node_added, .update = node_updated, .remove = node_removed, .synced = nodes_synced, .arg = r });
    return r;
}

void
node_routes_start(struct node_routes *r)
{
    workqueue_start(r->queue);
}

void
node_routes_stop(struct node_routes *r)
{
    workqueue_stop(r->queue);
}

void
node_routes_free(struct node_routes *r)
{
    if (!r)
        return;
    workqueue_free(r->queue);
    free(r->self);
    free(r);
}
