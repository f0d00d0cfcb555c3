// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/cidr_set.h"

#include <stdio.h>
#include <string.h>

#include "common/base/str.h"

#define MAX_NODE_BITS 16

static struct kerr *
parse(const char *cidr, struct api_ip *ret_ip, unsigned *ret_bits, bool *ret_v4)
{
    unsigned bits;

    if (!api_cidr_parse(cidr, ret_ip, &bits))
        return kerr_new(KERR_INVALID, "invalid CIDR address: %s", cidr);
    *ret_v4 = api_ip_is_v4(ret_ip) && strchr(cidr, ':') == NULL;
    *ret_bits = *ret_v4 ? bits + 96 : bits;
    return NULL;
}

/* The number in bits [from, to) of an address. */
static uint32_t
bits_of(const struct api_ip *ip, unsigned from, unsigned to)
{
    uint32_t n = 0;

    for (unsigned i = from; i < to; i++)
        n = n << 1 | (ip->bytes[i / 8] >> (7 - i % 8) & 1);
    return n;
}

static void
set_bits(struct api_ip *ip, unsigned from, unsigned to, uint32_t n)
{
    for (unsigned i = to; i-- > from; n >>= 1) {
        uint8_t mask = (uint8_t)(1u << (7 - i % 8));
        ip->bytes[i / 8] = (uint8_t)(n & 1 ? ip->bytes[i / 8] | mask : ip->bytes[i / 8] & ~mask);
    }
}

static bool
same_prefix(const struct api_ip *a, const struct api_ip *b, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if ((a->bytes[i / 8] ^ b->bytes[i / 8]) >> (7 - i % 8) & 1)
            return false;
    return true;
}

struct kerr *
cidr_set_init(struct cidr_set *s, const char *cluster_cidr, int node_mask)
{
    *s = (struct cidr_set){ 0 };
    struct kerr *err = parse(cluster_cidr, &s->base, &s->cluster_bits, &s->v4);
    if (err)
        return err;
    s->node_bits = (unsigned)node_mask + (s->v4 ? 96 : 0);
    if (node_mask < 1 || s->node_bits > 128 || s->node_bits < s->cluster_bits)
        return kerr_new(KERR_INVALID, "New CIDR set failed; the node CIDR mask size %d does not fit the cluster CIDR %s", node_mask, cluster_cidr);
    if (s->node_bits - s->cluster_bits > MAX_NODE_BITS)
        return kerr_new(KERR_INVALID, "New CIDR set failed; the node CIDR size is too big: %s has more than 65536 ranges of size /%d", cluster_cidr, node_mask);
    s->count = 1u << (s->node_bits - s->cluster_bits);
    s->taken = xcalloc((s->count + 63) / 64, sizeof *s->taken);
    return NULL;
}

void
cidr_set_done(struct cidr_set *s)
{
    free(s->taken);
    *s = (struct cidr_set){ 0 };
}

static bool
is_taken(const struct cidr_set *s, uint32_t i)
{
    return s->taken[i / 64] >> (i % 64) & 1;
}

static void
mark(struct cidr_set *s, uint32_t i, bool taken)
{
    if (is_taken(s, i) == taken)
        return;
    s->taken[i / 64] ^= 1ull << (i % 64);
    s->used = taken ? s->used + 1 : s->used - 1;
}

/* Which node ranges a CIDR covers; false: none. */
static bool
span(const struct cidr_set *s, const char *cidr, uint32_t *ret_first, uint32_t *ret_last)
{
    struct api_ip ip;
    unsigned bits;
    bool v4;
    struct kerr *err = parse(cidr, &ip, &bits, &v4);

    if (err || v4 != s->v4) {
        kerr_free(err);
        return false;
    }
    unsigned common = bits < s->cluster_bits ? bits : s->cluster_bits;
    if (!same_prefix(&ip, &s->base, common))
        return false;
    *ret_first = 0;
    *ret_last = s->count - 1;
    if (bits <= s->cluster_bits)
        return true;
    unsigned to = bits < s->node_bits ? bits : s->node_bits;
    uint32_t n = bits_of(&ip, s->cluster_bits, to);
    *ret_first = n << (s->node_bits - to);
    *ret_last = *ret_first + (1u << (s->node_bits - to)) - 1;
    return true;
}

void
cidr_set_occupy(struct cidr_set *s, const char *cidr)
{
    uint32_t first, last;

    if (span(s, cidr, &first, &last))
        for (uint32_t i = first; i <= last; i++)
            mark(s, i, true);
}

void
cidr_set_release(struct cidr_set *s, const char *cidr)
{
    uint32_t first, last;

    if (span(s, cidr, &first, &last))
        for (uint32_t i = first; i <= last; i++)
            mark(s, i, false);
}

bool
cidr_set_contains(const struct cidr_set *s, const char *cidr)
{
    struct api_ip ip;
    unsigned bits;
    bool v4;
    struct kerr *err = parse(cidr, &ip, &bits, &v4);
    bool yes = !err && v4 == s->v4 && bits >= s->cluster_bits && same_prefix(&ip, &s->base, s->cluster_bits);

    kerr_free(err);
    return yes;
}

bool
cidr_set_allocate(struct cidr_set *s, char ret[CIDR_TEXT_SIZE])
{
    char text[API_IP_TEXT_SIZE];
    struct api_ip ip = s->base;

    if (s->used == s->count)
        return false;
    while (is_taken(s, s->next % s->count))
        s->next++;
    uint32_t i = s->next % s->count;
    s->next = (i + 1) % s->count;
    mark(s, i, true);
    set_bits(&ip, s->cluster_bits, s->node_bits, i);
    api_ip_format(&ip, text);
    snprintf(ret, CIDR_TEXT_SIZE, "%s/%u", text, s->v4 ? s->node_bits - 96 : s->node_bits);
    return true;
}
