// SPDX-License-Identifier: Apache-2.0
#include "apiserver/discovery/discovery.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/authn/sa_token.h"
#include "apiserver/server.h"
#include "common/api/codec.h"
#include "common/base/base64.h"

/* --- groups in upstream's order of preference (kube-aggregator's group priorities) --- */

static const char *const group_order[] = {
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
};

/* Versions of a group, the preferred one first.  At most two so far. */
static size_t
versions_of(const char *group, const char *ret[4])
{
    size_t n = 0;

    for (size_t i = 0; i < resources_count(); i++) {
        const struct api_kind *k = resource_at(i)->kind;
        size_t at;
        if (strcmp(k->group, group) != 0)
            continue;
        for (at = 0; at < n && strcmp(ret[at], k->version) != 0; at++)
            ;
        if (at == n && n < 4) {
            ret[n++] = k->version;
            for (; at > 0 && strcmp(ret[at - 1], ret[at]) < 0; at--) { /* v2 before v1 */
                const char *swap = ret[at];
                ret[at] = ret[at - 1];
                ret[at - 1] = swap;
            }
        }
    }
    return n;
}

/* --- pieces --- */

static const struct {
    unsigned verb;
    const char *name;
} verb_names[] = {
    { VERB_CREATE, "create" }, { VERB_DELETE, "delete" }, { VERB_DELETECOLLECTION, "deletecollection" }, { VERB_GET, "get" },
    { VERB_LIST, "list" },     { VERB_PATCH, "patch" },   { VERB_UPDATE, "update" },                     { VERB_WATCH, "watch" },
};

static void
add_verbs(struct sbuf *b, unsigned verbs)
{
    bool first = true;

    sbuf_adds(b, "\"verbs\":[");
    for (size_t i = 0; i < ARRAY_LEN(verb_names); i++)
        if (verbs & verb_names[i].verb) {
            sbuf_addf(b, "%s\"%s\"", first ? "" : ",", verb_names[i].name);
            first = false;
        }
    sbuf_addc(b, ']');
}

static void
add_list(struct sbuf *b, const char *key, const char *comma_list)
{
    AUTO_STRLIST l = { 0 };

    strlist_split(&l, comma_list, ',');
    if (!l.len)
        return;
    sbuf_addf(b, ",\"%s\":[", key);
    for (size_t i = 0; i < l.len; i++)
        sbuf_addf(b, "%s\"%s\"", i ? "," : "", l.items[i]);
    sbuf_addc(b, ']');
}

static void
add_group_version(struct sbuf *b, const char *group, const char *version)
{
    sbuf_addf(b, "{\"groupVersion\":\"%s%s%s\",\"version\":\"%s\"}", group, *group ? "/" : "", version, version);
}

/* Upstream's StorageVersionHash: base64 of the first 8 bytes of sha256("group/version/kind"). */
static void
add_storage_hash(struct sbuf *b, const struct api_kind *k)
{
    AUTO_FREE char *text = xasprintf("%s/%s/%s", k->group, k->version, k->kind);
    unsigned char hash[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)text, strlen(text), hash);
    sbuf_adds(b, ",\"storageVersionHash\":\"");
    base64_encode(hash, 8, b);
    sbuf_addc(b, '"');
}

/* --- legacy documents --- */

static void
add_legacy_resource(struct sbuf *b, const struct resource *r, bool *first)
{
    const struct api_kind *k = r->kind;

    sbuf_addf(b, "%s{\"name\":\"%s\",\"singularName\":\"%s\",\"namespaced\":%s,\"kind\":\"%s\",", *first ? "" : ",", k->plural, k->singular,
              k->namespaced ? "true" : "false", k->kind);
    *first = false;
    add_verbs(b, r->verbs);
    add_list(b, "shortNames", k->short_names);
    add_list(b, "categories", k->categories);
    if (r->store)
        add_storage_hash(b, r->stored_kind);
    sbuf_addc(b, '}');
    for (size_t i = 0; i < r->nsubresources; i++) {
        const struct subresource *s = &r->subresources[i];
        sbuf_addf(b, ",{\"name\":\"%s/%s\",\"singularName\":\"\",\"namespaced\":%s,", k->plural, s->name, k->namespaced ? "true" : "false");
        if (s->kind && (strcmp(s->kind_group, k->group) != 0 || strcmp(s->kind_version, k->version) != 0))
            sbuf_addf(b, "\"group\":\"%s\",\"version\":\"%s\",", s->kind_group, s->kind_version);
        sbuf_addf(b, "\"kind\":\"%s\",", s->kind ? s->kind : k->kind);
        add_verbs(b, s->verbs);
        sbuf_addc(b, '}');
    }
}

static bool
write_resources(struct sbuf *b, const char *group, const char *version)
{
    bool first = true;

    sbuf_addf(b, "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"%s%s%s\",\"resources\":[", group, *group ? "/" : "", version);
    for (size_t i = 0; i < resources_count(); i++) {
        const struct resource *r = resource_at(i);
        if (strcmp(r->kind->group, group) == 0 && strcmp(r->kind->version, version) == 0)
            add_legacy_resource(b, r, &first);
    }
    sbuf_adds(b, "]}");
    return !first;
}

static void
add_group(struct sbuf *b, const char *group, bool alone)
{
    const char *versions[4];
    size_t n = versions_of(group, versions);

    sbuf_adds(b, alone ? "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\"," : "{");
    sbuf_addf(b, "\"name\":\"%s\",\"versions\":[", group);
    for (size_t i = 0; i < n; i++) {
        if (i)
            sbuf_addc(b, ',');
        add_group_version(b, group, versions[i]);
    }
    sbuf_adds(b, "],\"preferredVersion\":");
    add_group_version(b, group, versions[0]);
    sbuf_addc(b, '}');
}

static void
write_groups(struct sbuf *b)
{
    bool first = true;

    sbuf_adds(b, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
    for (size_t i = 1; i < ARRAY_LEN(group_order); i++) {
        const char *versions[4];
        if (!versions_of(group_order[i], versions))
            continue;
        if (!first)
            sbuf_addc(b, ',');
        first = false;
        add_group(b, group_order[i], false);
    }
    sbuf_adds(b, "]}");
}

/* --- aggregated documents (apidiscovery.k8s.io) --- */

static void
add_kind(struct sbuf *b, const char *group, const char *version, const char *kind)
{
    sbuf_addf(b, "\"responseKind\":{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}", group, version, kind);
}

static void
add_aggregated_resource(struct sbuf *b, const struct resource *r)
{
    const struct api_kind *k = r->kind;

    sbuf_addf(b, "{\"resource\":\"%s\",", k->plural);
    add_kind(b, k->group, k->version, k->kind);
    sbuf_addf(b, ",\"scope\":\"%s\",\"singularResource\":\"%s\",", k->namespaced ? "Namespaced" : "Cluster", k->singular);
    add_verbs(b, r->verbs);
    add_list(b, "shortNames", k->short_names);
    add_list(b, "categories", k->categories);
    if (r->nsubresources)
        sbuf_adds(b, ",\"subresources\":[");
    for (size_t i = 0; i < r->nsubresources; i++) {
        const struct subresource *s = &r->subresources[i];
        sbuf_addf(b, "%s{\"subresource\":\"%s\",", i ? "," : "", s->name);
        add_kind(b, s->kind ? s->kind_group : k->group, s->kind ? s->kind_version : k->version, s->kind ? s->kind : k->kind);
        sbuf_addc(b, ',');
        add_verbs(b, s->verbs);
        sbuf_addc(b, '}');
    }
    sbuf_adds(b, r->nsubresources ? "]}" : "}");
}

static void
add_aggregated_group(struct sbuf *b, const char *group)
{
    const char *versions[4];
    size_t n = versions_of(group, versions);

    sbuf_adds(b, "{\"metadata\":{");
    if (*group)
        sbuf_addf(b, "\"name\":\"%s\"", group);
    sbuf_adds(b, "},\"versions\":[");
    for (size_t v = 0; v < n; v++) {
        bool first = true;
        sbuf_addf(b, "%s{\"version\":\"%s\",\"resources\":[", v ? "," : "", versions[v]);
        for (size_t i = 0; i < resources_count(); i++) {
            const struct resource *r = resource_at(i);
            if (strcmp(r->kind->group, group) != 0 || strcmp(r->kind->version, versions[v]) != 0)
                continue;
            if (!first)
                sbuf_addc(b, ',');
            first = false;
            add_aggregated_resource(b, r);
        }
        sbuf_adds(b, "],\"freshness\":\"Current\"}");
    }
    sbuf_adds(b, "]}");
}

static void
write_aggregated(struct sbuf *b, bool core, const char *version)
{
    bool first = true;

    sbuf_addf(b, "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/%s\",\"metadata\":{},\"items\":[", version);
    for (size_t i = core ? 0 : 1; i < (core ? 1 : ARRAY_LEN(group_order)); i++) {
        const char *versions[4];
        if (!versions_of(group_order[i], versions))
            continue;
        if (!first)
            sbuf_addc(b, ',');
        first = false;
        add_aggregated_group(b, group_order[i]);
    }
    sbuf_adds(b, "]}\n");
}

/* "v2" or "v2beta1" when the client prefers the aggregated form; NULL for the legacy one. */
static const char *
aggregated_version(const struct api_request *r)
{
    struct media_clause c;
    const char *best = NULL;
    int best_q = 0;

    for (const char *at = str_safe(http_stream_header(r->stream, "Accept")); media_next_clause(&at, &c);) {
        const char *v = media_param(&c, "v");
        bool as = str_eq(media_param(&c, "as"), "APIGroupDiscoveryList") && str_eq(media_param(&c, "g"), "apidiscovery.k8s.io") &&
                  strcmp(c.type, "application/json") == 0;
        bool plain = !media_param(&c, "as");
        if (c.q <= best_q || !(plain || (as && (str_eq(v, "v2") || str_eq(v, "v2beta1")))))
            continue;
        best_q = c.q;
        best = plain ? NULL : str_eq(v, "v2") ? "v2" : "v2beta1";
    }
    return best;
}

/* --- answering --- */

static void
reply_aggregated(struct api_request *r, bool core, const char *version)
{
    struct sbuf body = { 0 };
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char etag[2 * SHA256_DIGEST_LENGTH + 3] = "\"";

    write_aggregated(&body, core, version);
    SHA256((const unsigned char *)sbuf_str(&body), body.len, hash);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(etag + 1 + 2 * i, 3, "%02X", hash[i]);
    etag[sizeof etag - 2] = '"';
    const char *type = arena_printf(r->arena, "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList", version);
    struct http_header headers[REQUEST_HEADERS_MAX + 2];
    size_t n = request_headers(r, type, headers);
    headers[n++] = (struct http_header){ "ETag", etag };
    headers[n++] = (struct http_header){ "Vary", "Accept" };
    bool same = str_eq(http_stream_header(r->stream, "If-None-Match"), etag);
    r->code = same ? 304 : 200;
    http_reply(r->stream, r->code, headers, n, sbuf_str(&body), same ? 0 : body.len);
    sbuf_done(&body);
    request_done(r);
}

static void
not_found(struct api_request *r)
{
    request_fail(r, kerr_new(KERR_NOT_FOUND, "the server could not find the requested resource"));
}

/* In the client's format; these documents have kinds of their own. */
static void
reply_legacy(struct api_request *r, struct sbuf *json)
{
    struct kerr *err = media_accept(http_stream_header(r->stream, "Accept"), false, &r->media);
    AUTO(object) *obj = NULL;

    if (!err && r->media.format == MEDIA_JSON) {
        sbuf_addc(json, '\n');
        request_reply(r, 200, "application/json", json);
        return;
    }
    if (!err)
        err = object_decode_json(sbuf_str(json), json->len, NULL, NULL, &obj);
    sbuf_done(json);
    if (err)
        request_fail(r, err);
    else
        request_reply_object(r, 200, obj);
}

void
discovery_core(struct api_request *r)
{
    const char *version = aggregated_version(r);
    struct sbuf body = { 0 };

    if (!*r->info.api_version) {
        if (version) {
            reply_aggregated(r, true, version);
            return;
        }
        sbuf_addf(&body, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[{\"clientCIDR\":\"0.0.0.0/0\","
                         "\"serverAddress\":\"%s:%d\"}]}\n", r->srv->options->advertise_address, (int)r->srv->options->secure_port);
        request_reply(r, 200, "application/json", &body);
    } else if (write_resources(&body, "", r->info.api_version)) {
        reply_legacy(r, &body);
    } else {
        sbuf_done(&body);
        not_found(r);
    }
}

void
discovery_groups(struct api_request *r)
{
    const struct request_info *info = &r->info;
    const char *version = aggregated_version(r), *versions[4];
    struct sbuf body = { 0 };
    bool found = true;

    if (!*info->api_group && version) {
        reply_aggregated(r, false, version);
        return;
    }
    if (!*info->api_group)
        write_groups(&body);
    else if (!*info->api_version && (found = versions_of(info->api_group, versions) > 0))
        add_group(&body, info->api_group, true);
    else if (found)
        found = write_resources(&body, info->api_group, info->api_version);
    if (found) {
        reply_legacy(r, &body);
    } else {
        sbuf_done(&body);
        not_found(r);
    }
}

void
discovery_root(struct api_request *r)
{
    static const char *const always[] = { "/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics",
                                          "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version" };
    struct sbuf body = { 0 };

    sbuf_adds(&body, "{\"paths\":[");
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        sbuf_addf(&body, "%s\"%s\"", i ? "," : "", always[i]);
    for (size_t i = 1; i < ARRAY_LEN(group_order); i++) {
        const char *versions[4];
        size_t n = versions_of(group_order[i], versions);
        if (n)
            sbuf_addf(&body, ",\"/apis/%s\"", group_order[i]);
        for (size_t v = 0; v < n; v++)
            sbuf_addf(&body, ",\"/apis/%s/%s\"", group_order[i], versions[v]);
    }
    sbuf_adds(&body, "]}\n");
    request_reply(r, 200, "application/json", &body);
}

void
discovery_issuer(struct api_request *r)
{
    struct sbuf body = { 0 };

    sa_issuer_document(r->srv->authn, &body);
    request_reply(r, 200, "application/json", &body);
}

void
discovery_jwks(struct api_request *r)
{
    struct sbuf body = { 0 };

    sa_jwks_document(r->srv->authn, &body);
    request_reply(r, 200, "application/jwk-set+json", &body);
}
