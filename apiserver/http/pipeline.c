// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "apiserver/authn/impersonate.h"
#include "apiserver/http/paths.h"
#include "apiserver/rest/connect.h"
#include "apiserver/rest/read.h"
#include "apiserver/rest/write.h"
#include "common/api/status.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/rng.h"
#include "common/base/metrics.h"

/* --- routes of resource requests --- */

struct route {
    const char *verb;
    unsigned needs; /* enum resource_verb */
    void (*run)(struct api_request *r);
    bool writes; /* runs on a writer thread */
};

static const struct route routes[] = {
    { "get", VERB_GET, rest_read_get, false },
    { "list", VERB_LIST, rest_read_list, false },
    { "watch", VERB_WATCH, rest_read_watch, false },
    { "create", VERB_CREATE, rest_write_create, true },
    { "update", VERB_UPDATE, rest_write_update, true },
    { "patch", VERB_PATCH, rest_write_patch, true },
    { "delete", VERB_DELETE, rest_write_delete, true },
    { "deletecollection", VERB_DELETECOLLECTION, rest_write_delete_collection, true },
};

static void
run_on_writer(void *arg)
{
    struct api_request *r = arg;

    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (strcmp(routes[i].verb, r->info.verb) == 0) {
            routes[i].run(r);
            return;
        }
}

static void
to_writer(struct api_request *r)
{
    int rc = pool_submit(r->srv->writers, run_on_writer, r);

    if (rc)
        request_fail(r, kerr_retry_after(kerr_new(KERR_TOO_MANY_REQUESTS, "too many requests, please try again later"), 1));
}

static struct kerr *
not_found_path(void)
{
    return kerr_new(KERR_NOT_FOUND, "the server could not find the requested resource");
}

/* Collections take POST, objects PUT and PATCH. */
static bool
fits_path(const struct route *route, const struct request_info *info)
{
    if (route->needs == VERB_CREATE)
        return !*info->name || *info->subresource;
    return !(route->needs & (VERB_UPDATE | VERB_PATCH)) || *info->name;
}

static void
route_resource(struct api_request *r)
{
    const struct request_info *info = &r->info;
    unsigned allowed = r->resource->verbs;

    /* a list or watch may have its name from a field selector: that is no path */
    bool named = *info->name && strcmp(info->verb, "list") != 0 && strcmp(info->verb, "watch") != 0;

    if (r->resource->kind->namespaced ? (!*info->ns && named) : (*info->ns && !str_eq(info->resource, "namespaces"))) {
        request_fail(r, not_found_path());
        return;
    }
    if (*info->subresource) {
        r->subresource = resource_subresource(r->resource, info->subresource);
        if (!r->subresource) {
            request_fail(r, not_found_path());
            return;
        }
        if (rest_connect_is(r)) {
            rest_connect(r);
            return;
        }
        allowed = r->subresource->verbs;
    }
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].verb, info->verb) != 0)
            continue;
        if (!(allowed & routes[i].needs) || !fits_path(&routes[i], info))
            break;
        if (routes[i].writes)
            to_writer(r);
        else
            routes[i].run(r);
        return;
    }
    request_fail(r, kerr_new(KERR_METHOD_NOT_ALLOWED, "the server does not allow this method on the requested resource"));
}

/* --- the steps --- */

static struct kerr *
authorize(struct api_request *r)
{
    const struct request_info *info = &r->info;
    struct authz_attributes attributes = {
        .user = &r->user,
        .verb = info->verb,
        .is_resource = info->is_resource,
        .group = info->api_group,
        .version = info->api_version,
        .resource = info->resource,
        .subresource = info->subresource,
        .ns = info->ns,
        .name = info->name,
        .path = info->path,
        .field_selector = request_param(info, "fieldSelector"),
        .label_selector = request_param(info, "labelSelector"),
    };

    return authz_check(r->srv->authz, &attributes, r->arena);
}

static void
audit_id(struct api_request *r)
{
    const char *given = http_stream_header(r->stream, "Audit-Id");

    if (given && strlen(given) < sizeof r->audit_id)
        memcpy(r->audit_id, given, strlen(given) + 1);
    else
        random_uuid(r->audit_id);
}

static struct kerr *
steps(struct api_request *r)
{
    const struct http_request *req = http_stream_request(r->stream);
    struct kerr *err = request_info_parse(r->arena, req->method, req->path, req->query, &r->info);

    if (!err)
        err = authn_identify(r->srv->authn, req, r->arena, &r->user);
    if (!err)
        err = impersonate(r->srv->authz, req, r->arena, &r->user);
    if (!err)
        err = authorize(r);
    if (err || !r->info.is_resource)
        return err;
    r->resource = resource_find(r->info.api_group, r->info.api_version, r->info.resource);
    if (!r->resource)
        return not_found_path();
    bool transforms = !*r->info.subresource || strcmp(r->info.subresource, "status") == 0;
    return media_accept(http_stream_header(r->stream, "Accept"), transforms, &r->media);
}

static void
on_request(struct http_stream *s, void *arg)
{
    struct api_request *r = XNEW(struct api_request);

    r->srv = arg;
    r->stream = http_stream_ref(s);
    r->arena = arena_new(1024);
    r->started_us = clock_mono_us();
    audit_id(r);
    struct kerr *err = steps(r);
    if (err)
        request_fail(r, err);
    else if (r->resource)
        route_resource(r);
    else
        paths_answer(r);
}

static void
on_refuse(struct http_stream *s, int code, const char *message, void *arg)
{
    AUTO(kerr) *err = kerr_new(kerr_reason_from(NULL, code), "%s", message);
    AUTO_SBUF body = { 0 };
    const struct http_header header = { "Content-Type", "application/json" };

    err->http_code = code;
    status_encode_json(err, &body);
    http_reply(s, code, &header, 1, sbuf_str(&body), body.len);
}

const struct http_handler pipeline_handler = { .on_request = on_request, .on_refuse = on_refuse };

/* --- metrics and log --- */

static const double seconds_buckets[] = { 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1,  1.25, 1.5, 2,
                                          3,     4,     5,    6,   8,   10,  15,  20,  30, 45,   60 };
static struct metric requests_total =
    METRIC_COUNTER("apiserver_request_total",
                   "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, "
                   "and HTTP response code.",
                   "verb,dry_run,group,version,resource,subresource,scope,component,code");
static struct metric request_seconds =
    METRIC_HISTOGRAM("apiserver_request_duration_seconds",
                     "Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, "
                     "scope and component.",
                     "verb,dry_run,group,version,resource,subresource,scope,component", seconds_buckets);

void
pipeline_register_metrics(void)
{
    metrics_register(&requests_total);
    metrics_register(&request_seconds);
}

static const char *
metric_verb(const char *verb)
{
    static const char *const names[][2] = { { "get", "GET" },       { "list", "LIST" },     { "watch", "WATCH" },
                                            { "create", "POST" },   { "update", "PUT" },    { "patch", "PATCH" },
                                            { "delete", "DELETE" }, { "deletecollection", "DELETECOLLECTION" }, { "proxy", "CONNECT" } };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i][0], verb))
            return names[i][1];
    return "other";
}

static void
count(const struct api_request *r, uint64_t took_us)
{
    const struct request_info *info = &r->info;
    const char *verb = metric_verb(info->verb), *dry = request_dry_run(r) ? "All" : "";
    /* Paths of clients never become labels: what is not a known resource counts without one. */
    bool known = r->resource != NULL;
    const char *group = known ? info->api_group : "", *version = known ? info->api_version : "";
    const char *resource = known ? info->resource : "", *sub = r->subresource ? r->subresource->name : "";
    const char *scope = !known ? "" : *info->name ? "resource" : *info->ns ? "namespace" : "cluster";
    char code[8];

    snprintf(code, sizeof code, "%d", r->code);
    metric_inc(&requests_total, verb, dry, group, version, resource, sub, scope, "apiserver", code);
    if (strcmp(verb, "WATCH") != 0 && strcmp(verb, "CONNECT") != 0)
        metric_observe(&request_seconds, (double)took_us / 1e6, verb, dry, group, version, resource, sub, scope, "apiserver");
}

void
pipeline_finished(const struct api_request *r)
{
    uint64_t took_us = clock_mono_us() - r->started_us;

    count(r, took_us);
    if (klog_v_on(3, __FILE__))
        klog_write(KLOG_INFO, __FILE__, __LINE__, "HTTP", "verb", str_safe(r->info.verb), "URI", http_stream_request(r->stream)->target,
                   "resp", kv_int(r->code), "user", str_safe(r->user.username), "audit-ID", r->audit_id, "took_us", kv_int((int64_t)took_us), NULL);
}
