// SPDX-License-Identifier: Apache-2.0
#include "kubelet/cri/runtime_events.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/api/codec.h"
#include "common/base/klog.h"
#include "common/net/grpc_client.h"
#include "kubelet/cri/cri_call.h"

#define RETRY_MS 1000

enum source { SOURCE_CRI, SOURCE_CONTAINERD, SOURCE_NONE };
static const char *const methods[] = {
    [SOURCE_CRI] = "/runtime.v1.RuntimeService/GetContainerEvents",
    [SOURCE_CONTAINERD] = "/containerd.services.events.v1.Events/Subscribe",
};

struct runtime_events {
    struct runtime *rt;
    runtime_event_fn *fn;
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock; /* guards ended, stopping, status */
    pthread_cond_t cond;
    bool ended, stopping;
    int status;
    enum source source;
    atomic_bool live;
};

/* --- protobuf by hand: Envelope{ts, namespace, topic, Any{url, value{1: container_id, 2: id}}} --- */

struct span {
    const uint8_t *at, *end;
};

static bool
varint(struct span *s, uint64_t *ret)
{
    uint64_t n = 0;

    for (unsigned shift = 0; s->at < s->end && shift < 64; shift += 7) {
        uint8_t b = *s->at++;

        n |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = n;
            return true;
        }
    }
    return false;
}

/* The next field: its number, and its bytes when it has any (else value is empty). */
static bool
next_field(struct span *s, uint64_t *ret_no, struct span *value)
{
    uint64_t key, n;

    if (!varint(s, &key))
        return false;
    *ret_no = key >> 3;
    *value = (struct span){ s->at, s->at };
    switch (key & 7) {
    case 0:
        return varint(s, &n);
    case 1:
        n = 8;
        break;
    case 2:
        if (!varint(s, &n))
            return false;
        break;
    case 5:
        n = 4;
        break;
    default:
        return false;
    }
    if (n > (uint64_t)(s->end - s->at))
        return false;
    *value = (struct span){ s->at, s->at + n };
    s->at += n;
    return true;
}

static struct span
field(struct span s, uint64_t no)
{
    struct span value, found = { 0 };
    uint64_t n;

    while (s.at < s.end && next_field(&s, &n, &value))
        if (n == no)
            found = value;
    return found;
}

static bool
span_is(struct span s, const char *text)
{
    return (size_t)(s.end - s.at) == strlen(text) && !memcmp(s.at, text, strlen(text));
}

bool
runtime_events_parse(const void *message, size_t len, char *ret_id, size_t size)
{
    static const char *const topics[] = { "/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete", "/tasks/oom" };
    struct span all = { message, (const uint8_t *)message + len };
    struct span topic = field(all, 3), event = field(field(all, 4), 2);
    struct span id = field(event, 1);
    bool known = false, is_exit = topic.at && span_is(topic, "/tasks/exit");
    size_t n = (size_t)(id.end - id.at);

    for (size_t i = 0; topic.at && i < ARRAY_LEN(topics); i++)
        known |= span_is(topic, topics[i]);
    if (!known || !id.at || !n || n >= size)
        return false;
    if (is_exit) { /* the end of an exec'd process has an id of its own */
        struct span process = field(event, 2);

        if (process.at && process.end > process.at && ((size_t)(process.end - process.at) != n || memcmp(process.at, id.at, n) != 0))
            return false;
    }
    memcpy(ret_id, id.at, n);
    ret_id[n] = '\0';
    return true;
}

/* --- the stream --- */

static void
on_message(void *arg, const void *message, size_t len)
{
    struct runtime_events *ev = arg;
    char id[128];

    atomic_store(&ev->live, true);
    if (ev->source == SOURCE_CRI) {
        AUTO(arena) *a = arena_new(0);
        struct cri_container_event_response r = { 0 };
        AUTO(kerr) *err = pb_decode(&api_type_cri_container_event_response, a, message, len, &r);

        if (!err && !str_empty(r.container_id))
            ev->fn(r.container_id, ev->arg);
    } else if (runtime_events_parse(message, len, id, sizeof id)) {
        ev->fn(id, ev->arg);
    }
}

static void
on_end(void *arg, int status, struct kerr *err)
{
    struct runtime_events *ev = arg;

    if (err)
        log_v(4, "The event stream of the container runtime ended", "err", kv_err(err));
    kerr_free(err);
    pthread_mutex_lock(&ev->lock);
    ev->ended = true;
    ev->status = status;
    pthread_cond_broadcast(&ev->cond);
    pthread_mutex_unlock(&ev->lock);
}

static void
wait_ms(struct runtime_events *ev, uint64_t ms) /* lock held */
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!ev->stopping && pthread_cond_timedwait(&ev->cond, &ev->lock, &until) == 0)
        ;
}

static void *
thread_main(void *arg)
{
    static const struct grpc_stream_handler handler = { on_message, on_end };
    struct runtime_events *ev = arg;

    pthread_mutex_lock(&ev->lock);
    while (!ev->stopping && ev->source != SOURCE_NONE) {
        struct grpc_stream *s;
        int status;

        ev->ended = false;
        pthread_mutex_unlock(&ev->lock);
        s = grpc_stream_start(ev->rt->grpc, methods[ev->source], "", 0, &handler, ev);
        atomic_store(&ev->live, true);
        ev->fn(NULL, ev->arg); /* what happened before we listened */
        pthread_mutex_lock(&ev->lock);
        while (!ev->ended && !ev->stopping)
            pthread_cond_wait(&ev->cond, &ev->lock);
        if (!ev->ended) {
            pthread_mutex_unlock(&ev->lock);
            grpc_stream_cancel(s);
            pthread_mutex_lock(&ev->lock);
            while (!ev->ended)
                pthread_cond_wait(&ev->cond, &ev->lock);
        }
        status = ev->status;
        atomic_store(&ev->live, false);
        pthread_mutex_unlock(&ev->lock);
        grpc_stream_free(s);
        pthread_mutex_lock(&ev->lock);
        if (status == GRPC_UNIMPLEMENTED)
            ev->source++; /* the next one, at once */
        else if (!ev->stopping)
            wait_ms(ev, RETRY_MS);
    }
    if (!ev->stopping)
        log_info("The container runtime offers no events: it is asked every second");
    pthread_mutex_unlock(&ev->lock);
    return NULL;
}

struct runtime_events *
runtime_events_start(struct runtime *rt, runtime_event_fn *fn, void *arg)
{
    struct runtime_events *ev = XNEW(struct runtime_events);

    ev->rt = rt;
    ev->fn = fn;
    ev->arg = arg;
    pthread_mutex_init(&ev->lock, NULL);
    pthread_cond_init(&ev->cond, NULL);
    if (pthread_create(&ev->thread, NULL, thread_main, ev))
        abort();
    return ev;
}

void
runtime_events_stop(struct runtime_events *ev)
{
    if (!ev)
        return;
    pthread_mutex_lock(&ev->lock);
    ev->stopping = true;
    pthread_cond_broadcast(&ev->cond);
    pthread_mutex_unlock(&ev->lock);
    pthread_join(ev->thread, NULL);
    pthread_cond_destroy(&ev->cond);
    pthread_mutex_destroy(&ev->lock);
    free(ev);
}

bool
runtime_events_live(const struct runtime_events *ev)
{
    return atomic_load(&ev->live);
}
