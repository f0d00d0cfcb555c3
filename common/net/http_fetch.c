// SPDX-License-Identifier: Apache-2.0
/* Streaming reads: libcurl's multi interface driven by a loop's sockets and timer; one multi per client and loop. */
#include <event2/event.h>
#include <string.h>
#include <utlist.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/net/http_client_private.h"
#include "common/net/loop.h"

struct http_multi {
    struct http_multi *next;
    struct http_client *client;
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct http_fetch *fetches;
};

struct http_fetch {
    struct http_fetch *prev, *next;
    struct http_multi *multi;
    struct http_handle *handle;
    struct http_fetch_handler handler;
    void *arg;
    char *method, *url;
    bool headers_told, paused, cancelled, in_callback;
    struct loop_timer *resume; /* libcurl may call back from within a resume: never on the user's stack */
    struct loop_timer *stall;
    uint64_t stall_ms, moved_ms;
    struct kerr *refused; /* why the call could not even be made */
};

static void
fetch_free(struct http_fetch *f)
{
    DL_DELETE(f->multi->fetches, f);
    curl_multi_remove_handle(f->multi->multi, f->handle->easy);
    loop_timer_free(f->resume);
    loop_timer_free(f->stall);
    http_handle_free(f->handle);
    kerr_free(f->refused);
    free(f->method);
    free(f->url);
    free(f);
}

static void
fetch_finish(struct http_fetch *f, struct kerr *err)
{
    void (*on_done)(struct http_fetch *, struct kerr *, void *) = f->handler.on_done;

    if (f->cancelled) {
        kerr_free(err);
    } else {
        f->in_callback = true; /* a cancel from here is void */
        on_done(f, err, f->arg);
    }
    fetch_free(f);
}

/* ---- libcurl's side ---------------------------------------------------------------------------------- */

static void
tell_headers(struct http_fetch *f)
{
    long code = 0;

    if (f->headers_told || !f->handle->head_over)
        return;
    curl_easy_getinfo(f->handle->easy, CURLINFO_RESPONSE_CODE, &code);
    f->headers_told = true;
    if (!f->handler.on_headers)
        return;
    struct http_header *rows = http_handle_rows(f->handle, sbuf_str(&f->handle->head));
    f->in_callback = true;
    f->handler.on_headers(f, (int)code, rows, f->handle->nrows, f->arg);
    f->in_callback = false;
    free(rows);
}

/* The head is told as soon as it is whole: a quiet watch has no body for a minute. */
static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
    struct http_fetch *f = arg;
    size_t taken = http_handle_on_header(line, size, n, f->handle);
    long code = 0;

    f->moved_ms = clock_mono_ms();
    if (taken != size * n || !f->handle->head_over || f->cancelled)
        return f->cancelled ? 0 : taken;
    curl_easy_getinfo(f->handle->easy, CURLINFO_RESPONSE_CODE, &code);
    if (code >= 200)
        tell_headers(f);
    return f->cancelled ? 0 : taken;
}

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
    struct http_fetch *f = arg;

    f->moved_ms = clock_mono_ms();
    if (f->paused)
        return CURL_WRITEFUNC_PAUSE;
    tell_headers(f);
    if (!f->cancelled && f->paused)
        return CURL_WRITEFUNC_PAUSE;
    if (!f->cancelled) {
        f->in_callback = true;
        f->handler.on_data(f, data, size * n, f->arg);
        f->in_callback = false;
    }
    return f->cancelled ? 0 : size * n; /* 0 makes libcurl give up */
}

static void
reap(struct http_multi *m)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(m->multi, &left))) {
        struct http_fetch *f = NULL;
        CURLcode rc = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        if (rc == CURLE_OK && !f->cancelled)
            tell_headers(f); /* a reply without a body */
        struct http_call call = { .method = f->method, .url = f->url };
        struct kerr *err = steal_ptr(f->refused);
        if (!err && rc != CURLE_OK && !f->cancelled)
            err = http_handle_error(f->handle, &call, rc);
        fetch_finish(f, err);
    }
}

static void
on_socket_ready(evutil_socket_t fd, short what, void *arg)
{
    struct http_multi *m = arg;
    int mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0), running;

    curl_multi_socket_action(m->multi, fd, mask, &running);
    reap(m);
}

static int
on_socket_change(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_multi *m = arg;
    struct event *event = socket_arg;

    if (event)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short wants = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
        event = event_new(loop_base(m->loop), fd, (short)(wants | EV_PERSIST), on_socket_ready, m);
        if (!event || event_add(event, NULL))
            abort(); /* out of memory */
    }
    curl_multi_assign(m->multi, fd, event);
    return 0;
}

static int
on_timer_change(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_multi *m = arg;

    if (timeout_ms < 0)
        loop_timer_stop(m->timer);
    else
        loop_timer_once(m->timer, (uint64_t)timeout_ms);
    return 0;
}

static void
on_timer(void *arg)
{
    struct http_multi *m = arg;
    int running;

    curl_multi_socket_action(m->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(m);
}

static struct http_multi *
multi_for(struct http_client *c, struct loop *loop)
{
    struct http_multi *m;

    pthread_mutex_lock(&c->lock);
    for (m = c->multis; m && m->loop != loop; m = m->next)
        ;
    if (!m) {
        m = XNEW(struct http_multi);
        m->client = c;
        m->loop = loop;
        m->multi = curl_multi_init();
        if (!m->multi)
            abort(); /* out of memory */
        m->timer = loop_timer_new(loop, on_timer, m);
        curl_multi_setopt(m->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change);
        curl_multi_setopt(m->multi, CURLMOPT_SOCKETDATA, m);
        curl_multi_setopt(m->multi, CURLMOPT_TIMERFUNCTION, on_timer_change);
        curl_multi_setopt(m->multi, CURLMOPT_TIMERDATA, m);
        m->next = c->multis;
        c->multis = m;
    }
    pthread_mutex_unlock(&c->lock);
    return m;
}

void
http_multis_free(struct http_multi *m)
{
    while (m) {
        struct http_multi *next = m->next;
        while (m->fetches)
            fetch_free(m->fetches);
        curl_multi_cleanup(m->multi);
        loop_timer_free(m->timer);
        free(m);
        m = next;
    }
}

/* ---- the user's side --------------------------------------------------------------------------------- */

static void
on_stall_timer(void *arg)
{
    struct http_fetch *f = arg;
    struct http_client *c = f->multi->client;

    if (f->paused || clock_mono_ms() - f->moved_ms < f->stall_ms)
        return;
    fetch_finish(f, kerr_new(KERR_TIMEOUT, "%s: %s %.*s: nothing came for %llu ms", c->hop, f->method,
                             (int)strcspn(f->url, "?"), f->url, (unsigned long long)f->stall_ms));
}

static void
on_resume(void *arg)
{
    struct http_fetch *f = arg;
    struct http_multi *m = f->multi;

    if (f->paused)
        return;
    curl_easy_pause(f->handle->easy, CURLPAUSE_CONT); /* may call on_data */
    if (f->cancelled)
        fetch_free(f);
    reap(m);
}

struct http_fetch *
http_fetch_start(struct http_client *c, struct loop *loop, const struct http_call *call,
                 const struct http_fetch_handler *handler, void *arg)
{
    struct http_fetch *f = XNEW(struct http_fetch);
    struct http_multi *m = multi_for(c, loop);

    f->multi = m;
    f->handler = *handler;
    f->arg = arg;
    f->method = xstrdup(str_or(call->method, "GET"));
    f->url = xstrdup(call->url);
    f->moved_ms = clock_mono_ms();
    f->stall_ms = call->stall_ms;
    f->handle = http_handle_new(c);
    f->resume = loop_timer_new(loop, on_resume, f);
    DL_APPEND(m->fetches, f);
    f->refused = http_handle_prepare(f->handle, call);
    if (f->refused) /* told when this fails, so that on_done never comes before we return */
        curl_easy_setopt(f->handle->easy, CURLOPT_URL, "http://");
    curl_easy_setopt(f->handle->easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(f->handle->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(f->handle->easy, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(f->handle->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(f->handle->easy, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(f->handle->easy, CURLOPT_PRIVATE, f);
    curl_easy_setopt(f->handle->easy, CURLOPT_BUFFERSIZE, 65536L);
    if (f->stall_ms) {
        f->stall = loop_timer_new(loop, on_stall_timer, f);
        loop_timer_every(f->stall, f->stall_ms / 4 + 1);
    }
    curl_multi_add_handle(m->multi, f->handle->easy);
    return f;
}

void
http_fetch_pause(struct http_fetch *f, bool pause)
{
    bool was = f->paused;

    f->paused = pause;
    if (was && !pause) {
        f->moved_ms = clock_mono_ms();
        loop_timer_once(f->resume, 0);
    }
}

void
http_fetch_cancel(struct http_fetch *f)
{
    if (!f || f->cancelled)
        return;
    f->cancelled = true;
    if (!f->in_callback)
        fetch_free(f);
}
