// SPDX-License-Identifier: Apache-2.0
/* endpoints.c - what the operators' endpoints answer; who may ask is serving.c's business. */
#include <time.h>

#include "common/api/codec.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/version.h"
#include "common/daemon/daemon_impl.h"

#define NOT_FOR_MACHINES                                                                                               \
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes " \
    "only.\n\n"

typedef void builtin_fn(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply);

static void
answer_metrics(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply)
{
    (void)d;
    (void)req;
    reply->content_type = METRICS_CONTENT_TYPE;
    metrics_write(&reply->body);
}

static void
answer_version(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply)
{
    (void)d;
    (void)req;
    reply->content_type = "application/json";
    version_json(&reply->body);
}

static void
answer_configz(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply)
{
    (void)req;
    reply->content_type = "application/json";
    sbuf_addc(&reply->body, '{');
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->configz.len; i++) {
        sbuf_adds(&reply->body, i ? "," : "");
        json_add_string(&reply->body, d->configz.items[i].key);
        sbuf_addf(&reply->body, ":%s", d->configz.items[i].value);
    }
    pthread_mutex_unlock(&d->lock);
    sbuf_adds(&reply->body, "}\n");
}

static void
answer_flagz(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply)
{
    (void)req;
    sbuf_addf(&reply->body, "\n%s flagz\n" NOT_FOR_MACHINES, d->name);
    flags_values(d->flags, &reply->body);
}

static void
answer_statusz(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply)
{
    int64_t up = clock_wall_s() - d->started_s;
    time_t started = (time_t)d->started_s;
    char when[64] = "";
    struct tm tm;

    (void)req;
    gmtime_r(&started, &tm);
    strftime(when, sizeof when, "%a %b %e %H:%M:%S UTC %Y", &tm);
    sbuf_addf(&reply->body,
              "\n%s statusz\n" NOT_FOR_MACHINES "Started: %s\nUp: %lld hr %02lld min %02lld sec\nBinary version: %s\nckube: %s\n"
              "Paths: /configz /debug/flags/v /flagz /healthz /livez /metrics /readyz /statusz /version\n",
              d->name, when, (long long)(up / 3600), (long long)(up / 60 % 60), (long long)(up % 60), version_git(), version_sha());
}

/* PUT a number: the verbosity from now on. */
static void
answer_verbosity(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply)
{
    AUTO_FREE char *text = xstrndup(str_safe(req->body), req->body_len);
    int32_t v;

    (void)d;
    text[strcspn(text, " \r\n")] = '\0';
    if (!str_eq(req->method, "PUT")) {
        reply->code = 406;
        sbuf_adds(&reply->body, "unrecognized http method, only PUT is supported\n");
    } else if (parse_i32(text, &v)) {
        reply->code = 400;
        sbuf_addf(&reply->body, "failed set klog.logging.verbosity %s: not a number\n", text);
    } else {
        klog_set_verbosity(v);
        sbuf_addf(&reply->body, "successfully set klog.logging.verbosity to %s", text);
    }
}

static const struct builtin {
    const char *path;
    builtin_fn *fn;
} builtins[] = {
    { "/metrics", answer_metrics }, { "/version", answer_version }, { "/configz", answer_configz },
    { "/flagz", answer_flagz },     { "/statusz", answer_statusz }, { "/debug/flags/v", answer_verbosity },
};

void
daemon_add_endpoint(struct daemon *d, const char *path, endpoint_fn *fn, void *arg)
{
    pthread_mutex_lock(&d->lock);
    d->endpoints = xreallocarray(d->endpoints, d->nendpoints + 1, sizeof *d->endpoints);
    d->endpoints[d->nendpoints++] = (struct endpoint){ xstrdup(path), fn, arg };
    pthread_mutex_unlock(&d->lock);
}

void
daemon_set_configz(struct daemon *d, const char *key, const char *json)
{
    struct flag_map *m = &d->configz;

    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < m->len; i++) {
        if (str_eq(m->items[i].key, key)) {
            free(m->items[i].value);
            m->items[i].value = xstrdup(json);
            pthread_mutex_unlock(&d->lock);
            return;
        }
    }
    m->items = xreallocarray(m->items, m->len + 1, sizeof *m->items);
    m->items[m->len++] = (struct flag_pair){ xstrdup(key), xstrdup(json) };
    pthread_mutex_unlock(&d->lock);
}

static bool
path_matches(const char *pattern, const char *path)
{
    size_t len = strlen(pattern);

    return strcmp(pattern, path) == 0 || (len && pattern[len - 1] == '/' && strncmp(pattern, path, len) == 0);
}

static bool
find_endpoint(struct daemon *d, const char *path, struct endpoint *ret)
{
    bool found = false;

    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->nendpoints && !found; i++) {
        found = path_matches(d->endpoints[i].path, path);
        if (found)
            *ret = d->endpoints[i];
    }
    pthread_mutex_unlock(&d->lock);
    return found;
}

bool
daemon_answer(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply)
{
    struct endpoint e;

    reply->code = 200;
    reply->content_type = "text/plain; charset=utf-8";
    if (find_endpoint(d, req->path, &e)) {
        e.fn(req, reply, e.arg);
        return true;
    }
    if (health_is_path(req->path)) {
        reply->code = health_answer(d->health, req->path, req->query, &reply->body);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        if (strcmp(builtins[i].path, req->path) == 0) {
            builtins[i].fn(d, req, reply);
            return true;
        }
    }
    reply->code = 404;
    sbuf_adds(&reply->body, "404 page not found\n");
    return false;
}
