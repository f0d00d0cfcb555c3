// SPDX-License-Identifier: Apache-2.0
#include "apiserver/discovery/openapi.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/discovery/openapi_doc.h"
#include "common/api/codec.h"

/* Documents are written when asked for (some milliseconds) and not kept: only their hashes are, so that clients with a
 * copy of their own get 304 or an unchanged URL. */

enum { HASH_TEXT = 2 * SHA256_DIGEST_LENGTH + 1, GROUPS_MAX = 64 };

struct group_hash {
    const char *group, *version;
    char hash[HASH_TEXT];
};

static pthread_once_t hashed = PTHREAD_ONCE_INIT;
static struct group_hash groups[GROUPS_MAX];
static size_t ngroups;

static void
hash_of(const struct sbuf *b, char ret[HASH_TEXT])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)sbuf_str(b), b->len, hash);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(ret + 2 * i, 3, "%02X", hash[i]);
}

static void
hash_all(void)
{
    for (size_t i = 0; i < resources_count(); i++) {
        const struct api_kind *k = resource_at(i)->kind;
        size_t at;
        for (at = 0; at < ngroups; at++)
            if (strcmp(groups[at].group, k->group) == 0 && strcmp(groups[at].version, k->version) == 0)
                break;
        if (at < ngroups || ngroups == GROUPS_MAX)
            continue;
        AUTO_SBUF b = { 0 };
        openapi_write_v3(k->group, k->version, &b);
        groups[ngroups] = (struct group_hash){ .group = k->group, .version = k->version };
        hash_of(&b, groups[ngroups++].hash);
    }
}

static void
add_path(struct sbuf *b, const struct group_hash *g)
{
    sbuf_addf(b, *g->group ? "apis/%s/%s" : "api%s/%s", g->group, g->version);
}

static void
reply(struct api_request *r, const char *type, const char *etag, bool immutable, struct sbuf *body)
{
    struct http_header headers[REQUEST_HEADERS_MAX + 3];
    size_t n = request_headers(r, type, headers);
    const char *quoted = arena_printf(r->arena, "\"%s\"", etag);
    bool same = str_eq(http_stream_header(r->stream, "If-None-Match"), quoted);

    headers[n++] = (struct http_header){ "ETag", quoted };
    headers[n++] = (struct http_header){ "Vary", "Accept-Encoding, Accept" };
    for (size_t i = 0; immutable && i < n; i++)
        if (strcmp(headers[i].name, "Cache-Control") == 0)
            headers[i].value = "public, immutable";
    r->code = same ? 304 : 200;
    http_reply(r->stream, r->code, headers, n, sbuf_str(body), same ? 0 : body->len);
    sbuf_done(body);
    request_done(r);
}

/* --- v3 --- */

static void
v3_index(struct api_request *r)
{
    struct sbuf b = { 0 };
    char etag[HASH_TEXT];

    sbuf_adds(&b, "{\"paths\":{");
    for (size_t i = 0; i < ngroups; i++) {
        AUTO_SBUF path = { 0 };
        add_path(&path, &groups[i]);
        sbuf_addf(&b, "%s\"%s\":{\"serverRelativeURL\":\"/openapi/v3/%s?hash=%s\"}", i ? "," : "", sbuf_str(&path), sbuf_str(&path), groups[i].hash);
    }
    sbuf_adds(&b, "}}");
    hash_of(&b, etag);
    reply(r, "application/json", etag, false, &b);
}

void
openapi_v3(struct api_request *r)
{
    const char *rest = r->info.path + strlen("/openapi/v3");
    const char *accept = str_safe(http_stream_header(r->stream, "Accept"));

    pthread_once(&hashed, hash_all);
    while (*rest == '/')
        rest++;
    if (!*rest) {
        v3_index(r);
        return;
    }
    if (strstr(accept, "proto-openapi") && !strstr(accept, "json")) {
        request_fail(r, kerr_new(KERR_NOT_ACCEPTABLE, "OpenAPI v3 documents are served as application/json"));
        return;
    }
    for (size_t i = 0; i < ngroups; i++) {
        AUTO_SBUF path = { 0 };
        add_path(&path, &groups[i]);
        if (strcmp(sbuf_str(&path), rest) != 0)
            continue;
        struct sbuf b = { 0 };
        openapi_write_v3(groups[i].group, groups[i].version, &b);
        reply(r, "application/json", groups[i].hash, str_eq(request_param(&r->info, "hash"), groups[i].hash), &b);
        return;
    }
    request_fail(r, kerr_new(KERR_NOT_FOUND, "the server could not find the requested resource"));
}

/* --- v2 --- */

void
openapi_v2(struct api_request *r)
{
    const char *accept = str_safe(http_stream_header(r->stream, "Accept"));
    bool protobuf = strstr(accept, "com.github.proto-openapi.spec.v2") != NULL;
    struct sbuf json = { 0 }, pb = { 0 };
    char etag[HASH_TEXT];

    openapi_write_v2(&json);
    hash_of(&json, etag);
    if (!protobuf) {
        reply(r, "application/json", etag, false, &json);
        return;
    }
    struct kerr *err = openapi_v2_to_protobuf(&json, &pb);
    sbuf_done(&json);
    if (err) {
        sbuf_done(&pb);
        request_fail(r, err);
        return;
    }
    reply(r, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", etag, false, &pb);
}
