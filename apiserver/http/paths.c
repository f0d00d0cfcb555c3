// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http/paths.h"

#include <string.h>

#include "apiserver/discovery/discovery.h"
#include "apiserver/discovery/openapi.h"
#include "apiserver/server.h"
#include "common/base/metrics.h"
#include "common/daemon/daemon.h"
#include "common/daemon/health.h"

/* /healthz /livez /readyz /metrics /version /configz /flagz /statusz /debug/flags/v: as every daemon answers them. */
static void
answer_daemon(struct api_request *r)
{
    const struct http_request *req = http_stream_request(r->stream);
    struct endpoint_reply reply = { .code = 200, .content_type = "text/plain; charset=utf-8" };
    struct endpoint_request ask = { .method = req->method, .path = r->info.path, .query = req->query };

    ask.body = http_stream_body(r->stream, &ask.body_len);
    if (daemon_answer(r->srv->daemon, &ask, &reply)) {
        request_reply(r, reply.code, reply.content_type, &reply.body);
        return;
    }
    sbuf_done(&reply.body);
    request_fail(r, kerr_new(KERR_NOT_FOUND, "the server could not find the requested resource"));
}

static const struct {
    const char *prefix;
    bool below; /* everything under it too */
    void (*run)(struct api_request *r);
} table[] = {
    { "/", false, discovery_root },
    { "/api", true, discovery_core },
    { "/apis", true, discovery_groups },
    { "/openapi/v2", false, openapi_v2 },
    { "/openapi/v3", true, openapi_v3 },
    { "/.well-known/openid-configuration", false, discovery_issuer },
    { "/openid/v1/jwks", false, discovery_jwks },
};

void
paths_answer(struct api_request *r)
{
    const char *path = r->info.path;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        size_t len = strlen(table[i].prefix);
        if (strncmp(path, table[i].prefix, len) == 0 && (path[len] == '\0' || (table[i].below && path[len] == '/'))) {
            table[i].run(r);
            return;
        }
    }
    answer_daemon(r);
}
