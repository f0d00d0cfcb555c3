// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/kubelet_dialer.h"

#include <string.h>

#include "apiserver/rest/internal.h"

enum { DEFAULT_PORT = 10250 };

struct kubelet_dialer {
    const struct apiserver_options *options;
    struct http_client *client, *plain;
};

struct kerr *
kubelet_dialer_new(const struct apiserver_options *o, struct kubelet_dialer **ret)
{
    const struct http_client_options kubelets = {
        .hop = "kube-apiserver -> kubelet",
        .tls = {
            .ca_file = str_empty(o->kubelet_certificate_authority) ? NULL : o->kubelet_certificate_authority,
            .cert_file = str_empty(o->kubelet_client_certificate) ? NULL : o->kubelet_client_certificate,
            .key_file = str_empty(o->kubelet_client_key) ? NULL : o->kubelet_client_key,
            .insecure = str_empty(o->kubelet_certificate_authority), /* as upstream: unset = not verified */
        },
        .connect_timeout_ms = (uint64_t)o->kubelet_timeout_ms,
    };
    const struct http_client_options plain = { .hop = "kube-apiserver -> pod", .tls = { .insecure = true } };
    struct kubelet_dialer *k = XNEW(struct kubelet_dialer);
    struct kerr *err = http_client_new(&kubelets, &k->client);

    k->options = o;
    if (!err)
        err = http_client_new(&plain, &k->plain);
    if (err) {
        kubelet_dialer_free(k);
        return kerr_wrap(err, "credentials for kubelets");
    }
    *ret = k;
    return NULL;
}

void
kubelet_dialer_free(struct kubelet_dialer *k)
{
    if (!k)
        return;
    http_client_free(k->client);
    http_client_free(k->plain);
    free(k);
}

struct http_client *
kubelet_dialer_client(struct kubelet_dialer *k)
{
    return k->client;
}

struct http_client *
kubelet_dialer_plain(struct kubelet_dialer *k)
{
    return k->plain;
}

static const char *
preferred_address(const struct apiserver_options *o, const struct node *node)
{
    const struct strlist *types = &o->kubelet_preferred_address_types;

    for (size_t t = 0; t < types->len; t++)
        for (uint32_t i = 0; i < node->status.addresses.len; i++)
            if (str_eq(node->status.addresses.items[i].type, types->items[t]))
                return node->status.addresses.items[i].address;
    return NULL;
}

struct kerr *
kubelet_dialer_find(struct kubelet_dialer *k, const char *name, char **ret_address)
{
    AUTO(object) *obj = internal_get(resource_named("v1", "Node"), "", name);

    if (!obj)
        return kerr_not_found("", "nodes", name);
    const struct node *node = OBJECT_BODY(obj, node);
    const char *host = preferred_address(k->options, node);
    int port = node->status.daemon_endpoints.kubelet_endpoint.port;
    if (!host)
        return kerr_new(KERR_UNAVAILABLE, "node %s has no address of a type in --kubelet-preferred-address-types", name);
    *ret_address = xasprintf(strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port ? port : DEFAULT_PORT);
    return NULL;
}
