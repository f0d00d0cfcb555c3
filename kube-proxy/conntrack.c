// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/klog.h"
#include "common/base/str.h"

#define DUMP_BUFFER ((size_t)256 << 10)
#define STALE_MAX ((size_t)16 << 20) /* bytes of flows deleted in one go; the rest goes with the next change */
#define TYPE_MASK 0x3fff             /* without the nested and byte order flags */

/* --- is it stale? --- */

bool
conntrack_is_stale(const struct nft_tables *t, const struct conntrack_flow *flow)
{
    const struct frontend *f;
    struct frontend_key key;

    memset(&key, 0, sizeof(key));
    key.kind = FRONTEND_ADDRESS;
    key.proto = (uint8_t)flow->proto;
    key.port = flow->dest.port;
    key.ip = flow->dest.ip;
    f = nft_tables_find(t, &key);
    if (!f) {
        key.kind = FRONTEND_NODE_PORT;
        memset(&key.ip, 0, sizeof(key.ip));
        f = nft_tables_find(t, &key);
        /* Not translated: somebody else's server on another machine happens to use that number. */
        if (endpoint_addr_cmp(&flow->dest, &flow->served_by) == 0)
            return false;
    }
    return f && !endpoint_list_has(f->endpoints, &flow->served_by) && !endpoint_list_has(f->local, &flow->served_by);
}

/* --- reading one message --- */

/* The attribute of that type among those at `at`; its content in ret. */
static bool
attribute(const char *at, size_t len, unsigned type, const char **ret, size_t *ret_len)
{
    while (len >= NLA_HDRLEN) {
        struct nlattr a;
        size_t step;

        memcpy(&a, at, sizeof(a));
        if (a.nla_len < NLA_HDRLEN || a.nla_len > len)
            return false;
        if ((a.nla_type & TYPE_MASK) == type) {
            *ret = at + NLA_HDRLEN;
            *ret_len = a.nla_len - (size_t)NLA_HDRLEN;
            return true;
        }
        step = NLA_ALIGN((size_t)a.nla_len);
        if (step >= len)
            return false;
        at += step;
        len -= step;
    }
    return false;
}

static bool
fixed(const char *at, size_t len, unsigned type, void *ret, size_t size)
{
    const char *p;
    size_t n;

    if (!attribute(at, len, type, &p, &n) || n != size)
        return false;
    memcpy(ret, p, size);
    return true;
}

static bool
address(const char *at, size_t len, unsigned v4, unsigned v6, struct ip_addr *ret)
{
    struct ip_addr ip;

    memset(&ip, 0, sizeof(ip));
    if (fixed(at, len, v4, ip.b, 4))
        ip.family = IP_V4;
    else if (fixed(at, len, v6, ip.b, 16))
        ip.family = IP_V6;
    else
        return false;
    *ret = ip;
    return true;
}

static bool
port(const char *at, size_t len, unsigned type, uint16_t *ret)
{
    uint16_t be;

    if (!fixed(at, len, type, &be, sizeof(be)))
        return false;
    *ret = ntohs(be);
    return true;
}

static bool
tuple(const char *at, size_t len, struct endpoint_addr *from, struct endpoint_addr *to, uint8_t *ret_proto)
{
    const char *ip, *proto;
    size_t ip_len, proto_len;

    if (!attribute(at, len, CTA_TUPLE_IP, &ip, &ip_len) || !attribute(at, len, CTA_TUPLE_PROTO, &proto, &proto_len))
        return false;
    return address(ip, ip_len, CTA_IP_V4_SRC, CTA_IP_V6_SRC, &from->ip) &&
           address(ip, ip_len, CTA_IP_V4_DST, CTA_IP_V6_DST, &to->ip) &&
           fixed(proto, proto_len, CTA_PROTO_NUM, ret_proto, 1) &&
           port(proto, proto_len, CTA_PROTO_SRC_PORT, &from->port) &&
           port(proto, proto_len, CTA_PROTO_DST_PORT, &to->port);
}

bool
conntrack_parse(const void *message, size_t len, struct conntrack_flow *ret, const void **ret_tuple, size_t *ret_len,
                uint16_t *ret_zone)
{
    struct endpoint_addr unused;
    const char *at = message, *orig, *reply;
    size_t orig_len, reply_len;
    uint8_t proto, reply_proto;

    if (len < sizeof(struct nfgenmsg))
        return false;
    at += NLMSG_ALIGN(sizeof(struct nfgenmsg));
    len -= NLMSG_ALIGN(sizeof(struct nfgenmsg));
    memset(ret, 0, sizeof(*ret));
    if (!attribute(at, len, CTA_TUPLE_ORIG, &orig, &orig_len) ||
        !attribute(at, len, CTA_TUPLE_REPLY, &reply, &reply_len) ||
        !tuple(orig, orig_len, &ret->client, &ret->dest, &proto) ||
        !tuple(reply, reply_len, &ret->served_by, &unused, &reply_proto))
        return false;
    if (proto != IPPROTO_UDP)
        return false;
    ret->proto = PROTO_UDP;
    *ret_zone = 0;
    fixed(at, len, CTA_ZONE, ret_zone, sizeof(*ret_zone));
    *ret_tuple = orig - NLA_HDRLEN;
    *ret_len = orig_len + NLA_HDRLEN;
    return true;
}

/* --- netlink --- */

struct dump {
    const struct nft_tables *tables;
    struct sbuf stale; /* records: uint32 length of the tuple, uint16 zone, the tuple */
};

static void
request_head(struct sbuf *out, uint16_t type, uint16_t flags, enum ip_family family, uint32_t seq)
{
    struct nlmsghdr h = { .nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type),
                          .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                          .nlmsg_seq = seq };
    struct nfgenmsg g = { .nfgen_family = family == IP_V4 ? AF_INET : AF_INET6, .version = NFNETLINK_V0 };

    sbuf_clear(out);
    sbuf_add(out, &h, sizeof(h));
    sbuf_add(out, &g, sizeof(g));
}

static struct kerr *
send_request(int fd, struct sbuf *req)
{
    uint32_t len = (uint32_t)req->len;

    memcpy(req->s, &len, sizeof(len)); /* nlmsg_len is the first member */
    if (send(fd, req->s, req->len, 0) != (ssize_t)req->len)
        return kerr_errno(errno, "asking the kernel's flow table (ctnetlink)");
    return NULL;
}

/* Messages of one read: calls fn for each; true when the answer is complete. */
static struct kerr *
each_message(const char *buf, size_t len, void (*fn)(const void *body, size_t len, void *arg), void *arg,
             bool *ret_done)
{
    while (len >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr h;
        size_t step;

        memcpy(&h, buf, sizeof(h));
        if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
            return kerr_new(KERR_INTERNAL, "the kernel's flow table answered with a broken message");
        if (h.nlmsg_type == NLMSG_DONE) {
            *ret_done = true;
            return NULL;
        }
        if (h.nlmsg_type == NLMSG_ERROR) {
            struct nlmsgerr e = { 0 };

            if (h.nlmsg_len >= NLMSG_HDRLEN + sizeof(e))
                memcpy(&e, buf + NLMSG_HDRLEN, sizeof(e));
            *ret_done = true;
            return e.error && e.error != -ENOENT ? kerr_errno(e.error, "the kernel's flow table (ctnetlink)") : NULL;
        }
        if (fn)
            fn(buf + NLMSG_HDRLEN, h.nlmsg_len - NLMSG_HDRLEN, arg);
        step = NLMSG_ALIGN((size_t)h.nlmsg_len);
        if (step >= len)
            return NULL;
        buf += step;
        len -= step;
    }
    return NULL;
}

static struct kerr *
read_answer(int fd, void (*fn)(const void *body, size_t len, void *arg), void *arg)
{
    AUTO_FREE char *buf = xmalloc(DUMP_BUFFER);
    bool done = false;
    struct kerr *err = NULL;

    while (!done && !err) {
        ssize_t n = recv(fd, buf, DUMP_BUFFER, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return kerr_errno(n < 0 ? errno : EPIPE, "reading the kernel's flow table (ctnetlink)");
        err = each_message(buf, (size_t)n, fn, arg, &done);
    }
    return err;
}

static void
note_stale(const void *body, size_t len, void *arg)
{
    struct dump *d = arg;
    struct conntrack_flow flow;
    const void *orig;
    size_t orig_len;
    uint16_t zone;
    uint32_t size;

    if (!conntrack_parse(body, len, &flow, &orig, &orig_len, &zone) || !conntrack_is_stale(d->tables, &flow))
        return;
    size = (uint32_t)orig_len;
    if (!sbuf_reserve(&d->stale, sizeof(size) + sizeof(zone) + orig_len))
        return;
    sbuf_add(&d->stale, &size, sizeof(size));
    sbuf_add(&d->stale, &zone, sizeof(zone));
    sbuf_add(&d->stale, orig, orig_len);
}

static struct kerr *
delete_one(int fd, enum ip_family family, const char *orig, uint32_t len, uint16_t zone, struct sbuf *req)
{
    static const char pad[4];
    struct nlattr a = { .nla_len = NLA_HDRLEN + sizeof(zone), .nla_type = CTA_ZONE };
    struct kerr *err;

    request_head(req, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family, 2);
    sbuf_add(req, orig, len);
    sbuf_add(req, pad, NLA_ALIGN(len) - len);
    if (zone) {
        sbuf_add(req, &a, sizeof(a));
        sbuf_add(req, &zone, sizeof(zone));
        sbuf_add(req, pad, 2);
    }
    err = send_request(fd, req);
    return err ? err : read_answer(fd, NULL, NULL);
}

struct kerr *
conntrack_flush(const struct nft_tables *t, enum ip_family family, size_t *ret_deleted)
{
    AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    struct dump d = { .tables = t, .stale = { .max = STALE_MAX } };
    AUTO_SBUF req = { 0 };
    struct kerr *err;

    *ret_deleted = 0;
    if (fd < 0)
        return kerr_errno(errno, "netlink socket for the kernel's flow table");
    request_head(&req, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family, 1);
    err = send_request(fd, &req);
    if (!err)
        err = read_answer(fd, note_stale, &d);
    for (size_t at = 0; !err && at < d.stale.len;) {
        uint32_t len;
        uint16_t zone;

        memcpy(&len, d.stale.s + at, sizeof(len));
        memcpy(&zone, d.stale.s + at + sizeof(len), sizeof(zone));
        at += sizeof(len) + sizeof(zone);
        err = delete_one(fd, family, d.stale.s + at, len, zone, &req);
        at += len;
        *ret_deleted += !err;
    }
    sbuf_done(&d.stale);
    return err;
}

/* --- limits --- */

static int64_t
sysctl_get(const char *name)
{
    AUTO_FREE char *path = xasprintf("/proc/sys/net/netfilter/%s", name);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[32] = "";
    int64_t n;
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (len <= 0)
        return -1;
    text[strcspn(text, "\n")] = '\0';
    return parse_i64(text, &n) < 0 ? -1 : n;
}

static void
sysctl_set(const char *name, int64_t value)
{
    AUTO_FREE char *path = xasprintf("/proc/sys/net/netfilter/%s", name);
    int64_t old = sysctl_get(name);
    char text[32];
    int fd;

    if (old == value)
        return;
    snprintf(text, sizeof(text), "%lld", (long long)value);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        log_warning("Cannot set a conntrack limit; the kernel's own stays", "sysctl", name, "value", text, "err",
                    strerror(errno));
    else
        log_info("Set sysctl", "entry", name, "value", text);
    if (fd >= 0)
        close(fd);
}

void
conntrack_set_limits(const struct conntrack_limits *limits)
{
    int64_t max = limits->max_per_core * sysconf(_SC_NPROCESSORS_ONLN);
    const struct {
        const char *name;
        int64_t seconds;
    } timeouts[] = {
        { "nf_conntrack_tcp_timeout_established", limits->tcp_established_s },
        { "nf_conntrack_tcp_timeout_close_wait", limits->tcp_close_wait_s },
        { "nf_conntrack_udp_timeout", limits->udp_s },
        { "nf_conntrack_udp_timeout_stream", limits->udp_stream_s },
    };

    if (limits->max_per_core > 0) {
        if (max < limits->min)
            max = limits->min;
        if (sysctl_get("nf_conntrack_max") < max) /* never lower than the machine's owner set it */
            sysctl_set("nf_conntrack_max", max);
    }
    for (size_t i = 0; i < ARRAY_LEN(timeouts); i++)
        if (timeouts[i].seconds > 0)
            sysctl_set(timeouts[i].name, timeouts[i].seconds);
    if (limits->tcp_be_liberal)
        sysctl_set("nf_conntrack_tcp_be_liberal", 1);
}
