// SPDX-License-Identifier: Apache-2.0
/* read_watch.c - a watch as a stream of frames: pulled from the hub while the client takes them. */
#include <event2/buffer.h>

#include "apiserver/rest/encode.h"
#include "apiserver/rest/read_internal.h"
#include "apiserver/rest/watch_cache.h"
#include "common/api/codec.h"
#include "common/api/status.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/base/rng.h"
#include "common/base/str.h"
#include "common/net/loop.h"

#define BATCH_BYTES (64u << 10) /* what is gathered before it is handed to the connection */

static struct metric watch_events = METRIC_COUNTER("apiserver_watch_events_total", "Number of events sent in watch clients.",
                                                   "group,version,resource");
static struct metric long_running = METRIC_GAUGE("apiserver_longrunning_requests",
                                                 "Gauge of all active long-running apiserver requests broken out by verb, group, version, "
                                                 "resource, scope and component.",
                                                 "verb,group,version,resource,subresource,scope,component");

struct watch_stream {
    struct api_request *r;
    struct watcher *watcher;
    struct loop_timer *timeout;
    struct evbuffer *out;
    const char *include_object;
    struct metric_series *sent;
    struct watch_cache *encodings; /* the loop's */
    bool plain, first;
    bool pumping;   /* do not free: pump() is below us on the stack and will */
    bool over;      /* the client left, or the stream failed */
    bool timed_out; /* timeoutSeconds are over: what is ready still goes out */
};

/* --- frames --- */

static void
add_plain_event(struct evbuffer *out, const struct watch_item *item)
{
    static const char *const heads[] = { [WATCH_ADDED] = "{\"type\":\"ADDED\",\"object\":",
                                         [WATCH_MODIFIED] = "{\"type\":\"MODIFIED\",\"object\":",
                                         [WATCH_DELETED] = "{\"type\":\"DELETED\",\"object\":" };

    evbuffer_add(out, heads[item->type], strlen(heads[item->type]));
    read_add_record(out, item->record, false);
    evbuffer_add(out, "}\n", 2);
}

static void
encode_status(const struct media *m, const struct kerr *why, struct sbuf *out)
{
    if (m->format == MEDIA_PROTOBUF) {
        AUTO(object) *status = status_object(why);

        object_encode_pb(status, out);
    } else {
        status_encode_json(why, out);
    }
}

/* *ret: the object of the frame; `own` is where it is made when nobody shares it. */
static struct kerr *
encode_item(struct watch_stream *ws, const struct watch_item *item, struct sbuf *own, const struct sbuf **ret)
{
    const struct media *m = &ws->r->media;

    *ret = own;
    if (item->type == WATCH_ERROR) {
        encode_status(m, item->error, own);
        return NULL;
    }
    if (item->type == WATCH_BOOKMARK)
        return encode_bookmark(m, ws->r->resource, item->revision, item->initial_end, own);
    return watch_cache_encode(ws->encodings, m, ws->r->resource, item->record, ws->first, ws->include_object, ret);
}

static void
add_item(struct watch_stream *ws, const struct watch_item *item)
{
    AUTO_SBUF own = { 0 }, frame = { 0 };
    struct watch_item failed = { .type = WATCH_ERROR };
    const struct watch_item *sent = item;
    const struct sbuf *object;

    if (ws->plain && item->record) {
        add_plain_event(ws->out, item);
        return;
    }
    failed.error = encode_item(ws, item, &own, &object);
    if (failed.error) { /* an object that cannot be put into the client's form ends the watch */
        own.len = 0;
        sent = &failed;
        kerr_free(encode_item(ws, sent, &own, &object));
        ws->over = true;
    }
    ws->first &= sent->record == NULL;
    encode_watch_frame(&ws->r->media, watch_type_name(sent->type), object, &frame);
    evbuffer_add(ws->out, sbuf_str(&frame), frame.len);
    kerr_free(failed.error);
}

/* --- life --- */

static void
count_stream(const struct api_request *r, double change)
{
    const struct request_info *info = &r->info;

    metric_add(&long_running, change, "WATCH", info->api_group, info->api_version, info->resource, "",
               *info->name ? "resource" : *info->ns ? "namespace" : "cluster", "apiserver");
}

static void
free_stream(struct watch_stream *ws)
{
    count_stream(ws->r, -1);
    watcher_free(ws->watcher);
    loop_timer_free(ws->timeout);
    evbuffer_free(ws->out);
    request_done(ws->r);
    free(ws);
}

/* The watch is over on our side: a clean end, the client comes back. */
static void
end_stream(struct watch_stream *ws)
{
    struct http_stream *s = ws->r->stream;

    http_stream_on_close(s, NULL, NULL);
    http_reply_on_drained(s, NULL, NULL);
    http_reply_write_buffer(s, ws->out);
    http_reply_end(s);
    free_stream(ws);
}

static void
on_client_gone(struct http_stream *s, void *arg)
{
    struct watch_stream *ws = arg;

    http_reply_on_drained(s, NULL, NULL);
    if (ws->pumping)
        ws->over = true; /* pump() is below us and cleans up */
    else
        free_stream(ws);
}

/* As much as there is, or as the client takes. */
static void
pump(struct watch_stream *ws)
{
    struct http_stream *s = ws->r->stream;
    struct watch_item item;
    bool dry = false;

    if (ws->pumping)
        return;
    ws->pumping = true;
    while (!ws->over && !dry && !http_reply_full(s)) {
        dry = !watcher_next(ws->watcher, &item);
        if (!dry) {
            add_item(ws, &item);
            watch_item_done(&item);
            metric_series_inc(ws->sent);
        }
        if (evbuffer_get_length(ws->out) >= BATCH_BYTES || (dry && evbuffer_get_length(ws->out)))
            http_reply_write_buffer(s, ws->out);
    }
    ws->pumping = false;
    if (ws->over || ws->timed_out || watcher_ended(ws->watcher))
        end_stream(ws);
}

static void
on_ready(struct watcher *w, void *arg)
{
    pump(arg);
}

static void
on_drained(struct http_stream *s, void *arg)
{
    pump(arg);
}

static void
on_timeout(void *arg)
{
    struct watch_stream *ws = arg;

    ws->pumping = true; /* the bookmark makes the hub call `ready` */
    watcher_bookmark(ws->watcher);
    ws->pumping = false;
    ws->timed_out = true;
    pump(ws);
}

/* --- start --- */

static uint64_t
timeout_ms(const struct api_request *r, const struct read_options *o)
{
    struct rng rng = rng_from_system();
    uint64_t least_s = (uint64_t)(r->srv->options->min_request_timeout_s > 0 ? r->srv->options->min_request_timeout_s : 1800);

    return o->timeout_s > 0 ? (uint64_t)o->timeout_s * 1000 : least_s * 1000 + rng_below(&rng, least_s * 1000);
}

/* After 200 all errors are events, as upstream's watch cache does it. */
static void
fail_stream(struct watch_stream *ws, struct kerr *err)
{
    struct watch_item item = { .type = WATCH_ERROR, .error = err };

    add_item(ws, &item);
    watch_item_done(&item);
    end_stream(ws);
}

struct watch_start { /* in the request's arena */
    struct read_options o;
    struct record_filter filter;
};

static void
start_watch(struct api_request *r, void *arg)
{
    struct watch_start *start = arg;
    const struct read_options *o = &start->o;
    struct watch_stream *ws = XNEW(struct watch_stream);
    struct http_header headers[REQUEST_HEADERS_MAX];
    struct media m = r->media;
    struct watch_opts opts = { .filter = start->filter, .resource_version = o->resource_version, .allow_bookmarks = o->bookmarks,
                               .send_initial_events = o->send_initial == 1, .now_on = o->send_initial == 0 && !o->resource_version,
                               .ready = on_ready, .arg = ws };
    struct kerr *err;
    size_t n;

    ws->r = r;
    ws->out = evbuffer_new();
    ws->encodings = apiserver_loop_of(r->srv, http_stream_loop(r->stream))->encodings;
    ws->plain = encode_is_plain(&r->media, r->resource);
    ws->first = true;
    ws->include_object = str_safe(request_param(&r->info, "includeObject"));
    ws->sent = metric_series_of(&watch_events, r->info.api_group, r->info.api_version, r->info.resource);
    count_stream(r, 1);
    r->code = 200;
    m.watch_stream = true;
    n = request_headers(r, media_type(&m), headers);
    http_reply_start(r->stream, 200, headers, n);
    if (http_stream_gone(r->stream)) {
        free_stream(ws);
        return;
    }
    http_stream_on_close(r->stream, on_client_gone, ws);
    err = watcher_new(apiserver_loop_of(r->srv, http_stream_loop(r->stream))->port, r->resource->store, &opts, clock_mono_ms(), &ws->watcher);
    if (err) {
        fail_stream(ws, err);
        return;
    }
    http_reply_on_drained(r->stream, on_drained, ws);
    ws->timeout = loop_timer_new(http_stream_loop(r->stream), on_timeout, ws);
    loop_timer_once(ws->timeout, timeout_ms(r, o));
    pump(ws);
}

void
rest_read_watch(struct api_request *r)
{
    struct watch_start *start = ARENA_NEW(r->arena, struct watch_start);
    struct read_options *o = &start->o;
    struct kerr *err;

    err = r->resource->store ? read_options_of(r, true, o)
                             : kerr_new(KERR_METHOD_NOT_ALLOWED, "watch is not supported on resources of kind \"%s\"", r->info.resource);
    if (!err)
        err = read_filter(r, &start->filter);
    if (err)
        request_fail(r, err);
    else if (o->resource_version == 0 && !o->rv_given)
        read_when_new_enough(r, 0, start_watch, start, NULL); /* the most recent state */
    else if (o->send_initial == 1 && o->resource_version > 0)
        read_when_new_enough(r, o->resource_version, start_watch, start, NULL);
    else
        start_watch(r, start);
}
