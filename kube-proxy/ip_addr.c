// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/ip_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "common/base/str.h"

int
ip_parse(const char *s, struct ip_addr *ret)
{
    struct ip_addr ip = { 0 };
    struct in_addr v4;
    struct in6_addr v6;

    if (str_empty(s))
        return -EINVAL;
    if (inet_pton(AF_INET, s, &v4) == 1) {
        ip.family = IP_V4;
        memcpy(ip.b, &v4, 4);
    } else if (inet_pton(AF_INET6, s, &v6) == 1) {
        ip.family = IP_V6;
        memcpy(ip.b, &v6, 16);
    } else {
        return -EINVAL;
    }
    *ret = ip;
    return 0;
}

static void
mask(struct ip_addr *ip, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits >= (i + 1) * 8 ? 8 : bits <= i * 8 ? 0 : bits - i * 8;

        ip->b[i] &= (uint8_t)(0xff00u >> keep);
    }
}

int
ip_net_parse(const char *s, struct ip_net *ret)
{
    const char *slash = s ? strchr(s, '/') : NULL;
    AUTO_FREE char *head = NULL;
    struct ip_net net = { 0 };
    int64_t bits;

    if (!slash)
        return -EINVAL;
    head = xstrndup(s, (size_t)(slash - s));
    if (ip_parse(head, &net.addr) < 0 || parse_i64(slash + 1, &bits) < 0)
        return -EINVAL;
    if (bits < 0 || bits > (net.addr.family == IP_V4 ? 32 : 128))
        return -EINVAL;
    net.bits = (uint8_t)bits;
    mask(&net.addr, net.bits);
    *ret = net;
    return 0;
}

const char *
ip_text(const struct ip_addr *ip, char buf[IP_TEXT_MAX])
{
    if (ip->family == IP_NONE || !inet_ntop(ip->family == IP_V4 ? AF_INET : AF_INET6, ip->b, buf, IP_TEXT_MAX))
        snprintf(buf, IP_TEXT_MAX, "none");
    return buf;
}

const char *
ip_net_text(const struct ip_net *net, char buf[IP_TEXT_MAX])
{
    size_t len;

    ip_text(&net->addr, buf);
    len = strlen(buf);
    snprintf(buf + len, IP_TEXT_MAX - len, "/%u", net->bits);
    return buf;
}

bool
ip_net_has(const struct ip_net *net, const struct ip_addr *ip)
{
    struct ip_addr masked = *ip;

    if (ip->family != net->addr.family)
        return false;
    mask(&masked, net->bits);
    return ip_eq(&masked, &net->addr);
}

bool
ip_is_loopback(const struct ip_addr *ip)
{
    static const uint8_t one[16] = { [15] = 1 };

    return ip->family == IP_V4 ? ip->b[0] == 127 : ip->family == IP_V6 && memcmp(ip->b, one, 16) == 0;
}
