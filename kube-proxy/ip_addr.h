// SPDX-License-Identifier: Apache-2.0
/* ip_addr.h - IPv4 and IPv6 addresses and networks as values.  Text from API objects becomes one of these before it
 * gets anywhere near a rule: what does not parse never reaches the packet filter.  Pure, any thread. */
#ifndef CKUBE_KUBE_PROXY_IP_ADDR_H
#define CKUBE_KUBE_PROXY_IP_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/sbuf.h"

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip_addr { /* zero-initialised is "none"; unused bytes are zero, so that equal addresses are equal bytes */
    uint8_t family;
    uint8_t b[16];
};

struct ip_net {
    struct ip_addr addr; /* host bits cleared */
    uint8_t bits;
};

#define IP_TEXT_MAX 48 /* with "/128" and the NUL */

int ip_parse(const char *s, struct ip_addr *ret);                     /* 0 or -EINVAL */
int ip_net_parse(const char *s, struct ip_net *ret);                  /* "10.0.0.0/8"; 0 or -EINVAL */
const char *ip_text(const struct ip_addr *ip, char buf[IP_TEXT_MAX]); /* canonical */
const char *ip_net_text(const struct ip_net *net, char buf[IP_TEXT_MAX]);
bool ip_net_has(const struct ip_net *net, const struct ip_addr *ip);
bool ip_is_loopback(const struct ip_addr *ip);

static inline int
ip_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
    return memcmp(a, b, sizeof(*a));
}
static inline bool
ip_eq(const struct ip_addr *a, const struct ip_addr *b)
{
    return ip_cmp(a, b) == 0;
}
static inline int
ip_net_cmp(const struct ip_net *a, const struct ip_net *b)
{
    return memcmp(a, b, sizeof(*a));
}

#endif
