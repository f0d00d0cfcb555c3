// SPDX-License-Identifier: Apache-2.0
/* nft_affinity.c - session affinity that outlived its endpoint, or a restart of ours: reads nft's listing of the map
 * "affinity". */
#include <ctype.h>
#include <stdio.h>

#include "common/base/str.h"
#include "kube-proxy/nft_private.h"

struct affinity_entry {
    struct ip_addr client, service;
    enum service_proto proto;
    int64_t port;
    struct endpoint_addr endpoint;
    char times[64]; /* "timeout 3h expires 2h59m" */
};

static bool
next_token(const char **at, char *buf, size_t size)
{
    size_t n = 0;

    while (**at && (isspace((unsigned char)**at) || **at == ','))
        (*at)++;
    while (**at && !isspace((unsigned char)**at) && **at != ',' && n + 1 < size)
        buf[n++] = *(*at)++;
    buf[n] = '\0';
    return n > 0;
}

static bool
want_token(const char **at, const char *text)
{
    char buf[64];

    return next_token(at, buf, sizeof(buf)) && strcmp(buf, text) == 0;
}

static bool
read_proto(const char *s, enum service_proto *ret)
{
    for (int p = 0; p < PROTO_COUNT; p++)
        if (strcmp(s, service_proto_name(p)) == 0) {
            *ret = p;
            return true;
        }
    return false;
}

static bool
is_duration(const char *s)
{
    for (; *s; s++)
        if (!isalnum((unsigned char)*s))
            return false;
    return true;
}

/* "1.2.3.4 . 10.96.0.1 . tcp . 80 timeout 3h expires 2h59m58s : 10.244.0.7 . 8080" */
static bool
affinity_parse(const char **at, struct affinity_entry *e)
{
    char a[64], timeout[24], expires[24];
    int64_t port;

    memset(e, 0, sizeof(*e));
    if (!next_token(at, a, sizeof(a)) || ip_parse(a, &e->client) < 0 || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || ip_parse(a, &e->service) < 0 || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || !read_proto(a, &e->proto) || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || parse_i64(a, &e->port) < 0 || e->port < 0 || e->port > 65535)
        return false;
    if (!want_token(at, "timeout") || !next_token(at, timeout, sizeof(timeout)) || !want_token(at, "expires") ||
        !next_token(at, expires, sizeof(expires)) || !want_token(at, ":") || !is_duration(timeout) ||
        !is_duration(expires))
        return false;
    if (!next_token(at, a, sizeof(a)) || ip_parse(a, &e->endpoint.ip) < 0 || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || parse_i64(a, &port) < 0 || port < 0 || port > 65535)
        return false;
    e->endpoint.port = (uint16_t)port;
    snprintf(e->times, sizeof(e->times), "timeout %s expires %s", timeout, expires);
    return true;
}

static bool
affinity_holds(const struct nft_tables *t, const struct affinity_entry *e)
{
    struct frontend_key key;
    const struct frontend *f;

    memset(&key, 0, sizeof(key));
    key.kind = FRONTEND_ADDRESS;
    key.proto = (uint8_t)e->proto;
    key.port = (uint16_t)e->port;
    key.ip = e->service;
    f = nft_tables_find(t, &key);
    if (!f) {
        key.kind = FRONTEND_NODE_PORT;
        memset(&key.ip, 0, sizeof(key.ip));
        f = nft_tables_find(t, &key);
    }
    return f && f->affinity_s &&
           (endpoint_list_has(f->endpoints, &e->endpoint) || endpoint_list_has(f->local, &e->endpoint));
}

static void
affinity_element(const struct nft_tables *t, const struct affinity_entry *e, const char *verb, struct sbuf *out)
{
    char client[IP_TEXT_MAX], service[IP_TEXT_MAX], endpoint[IP_TEXT_MAX];

    sbuf_addf(out, "%s element %s " NFT_TABLE " affinity { %s . %s . %s . %d %s : %s . %u }\n", verb, nft_family(t),
              ip_text(&e->client, client), ip_text(&e->service, service), service_proto_name(e->proto), (int)e->port,
              e->times, ip_text(&e->endpoint.ip, endpoint), e->endpoint.port);
}

static size_t
each_affinity(struct nft_tables *t, const char *listing, bool holding, struct sbuf *out)
{
    const char *at = listing ? strstr(listing, "elements = {") : NULL;
    struct affinity_entry e;
    size_t n = 0;

    if (!at)
        return 0;
    for (at += strlen("elements = {"); affinity_parse(&at, &e);) {
        if (affinity_holds(t, &e) != holding)
            continue;
        n++;
        if (holding) {
            affinity_element(t, &e, "add", out);
        } else { /* it may run out meanwhile, and deleting nothing is an error: first make sure that it is there */
            snprintf(e.times, sizeof(e.times), "timeout 1m");
            affinity_element(t, &e, "add", out);
            e.times[0] = '\0';
            affinity_element(t, &e, "delete", out);
        }
    }
    return n;
}

bool
nft_tables_affinity_suspect(const struct nft_tables *t)
{
    return t->affinity_suspect;
}

size_t
nft_tables_stale_affinity(struct nft_tables *t, const char *listing, struct sbuf *out)
{
    t->affinity_suspect = false;
    return each_affinity(t, listing, false, out);
}

size_t
nft_tables_keep_affinity(struct nft_tables *t, const char *listing, struct sbuf *out)
{
    return each_affinity(t, listing, true, out);
}
