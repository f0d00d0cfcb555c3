// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/component_status.h"

#include <string.h>

#include "apiserver/rest/read.h"
#include "apiserver/server.h"
#include "common/api/codec.h"
#include "common/net/http_client.h"

enum { PROBE_TIMEOUT_MS = 3000 };

static const struct component {
    const char *name;
    const char *url; /* where it is asked; NULL: our own view of etcd */
} components[] = {
    { "scheduler", "https://127.0.0.1:10259/healthz" },
    { "controller-manager", "https://127.0.0.1:10257/healthz" },
    { "etcd-0", NULL },
};

/* NULL: fine. The certificates of both daemons may be self-signed; nothing secret is sent, so anybody is believed, as upstream does. */
static struct kerr *
probe(const char *url)
{
    const struct http_client_options options = { .hop = "kube-apiserver -> component", .tls.insecure = true, .connect_timeout_ms = PROBE_TIMEOUT_MS };
    const struct http_call call = { .url = url, .timeout_ms = PROBE_TIMEOUT_MS, .max_body = 65536 };
    AUTO(http_client) *client = NULL;
    AUTO_HTTP_RESULT result = { 0 };
    struct kerr *err = http_client_new(&options, &client);

    if (!err)
        err = http_call_do(client, &call, &result);
    if (!err && result.code != 200)
        err = kerr_new(KERR_UNAVAILABLE, "HTTP probe failed with statuscode: %d", result.code);
    return err;
}

static struct kerr *
describe(struct api_request *r, const struct component *c, struct record **ret)
{
    AUTO(kerr) *bad = c->url ? probe(c->url) : storage_health(r->srv->storage);
    AUTO(object) *obj = object_new(r->resource->kind);
    struct component_status *body = OBJECT_BODY(obj, component_status);
    struct component_condition healthy = { .type = "Healthy", .status = bad ? "False" : "True", .message = bad ? bad->message : "ok" };
    AUTO_SBUF json = { 0 };

    body->metadata.name = c->name;
    body->conditions.items = &healthy;
    body->conditions.len = body->conditions.cap = 1;
    object_encode_json(obj, &json);
    return record_new(&r->resource->storage.shape, c->name, sbuf_str(&json), json.len, 0, ret);
}

static void
answer_one(struct api_request *r)
{
    for (size_t i = 0; i < ARRAY_LEN(components); i++) {
        struct record *rec = NULL;
        struct kerr *err;

        if (strcmp(components[i].name, r->info.name) != 0)
            continue;
        err = describe(r, &components[i], &rec);
        if (err)
            request_fail(r, err);
        else
            rest_read_answer_one(r, rec);
        return;
    }
    request_fail(r, kerr_not_found(r->info.api_group, r->info.resource, r->info.name));
}

static void
answer_all(struct api_request *r)
{
    struct record *all[ARRAY_LEN(components)];
    size_t n = 0;
    struct kerr *err = NULL;

    for (size_t i = 0; i < ARRAY_LEN(components) && !err; i++) {
        err = describe(r, &components[i], &all[n]);
        n += !err;
    }
    if (err)
        request_fail(r, err);
    else
        rest_read_answer_collected(r, all, n);
    while (n)
        record_unref(all[--n]);
}

static void
ask(void *arg) /* on a writer thread */
{
    struct api_request *r = arg;

    if (*r->info.name)
        answer_one(r);
    else
        answer_all(r);
}

void
component_status_read(struct api_request *r)
{
    if (pool_submit(r->srv->writers, ask, r) != 0)
        request_fail(r, kerr_retry_after(kerr_new(KERR_TOO_MANY_REQUESTS, "too many requests, please try again later"), 1));
}
