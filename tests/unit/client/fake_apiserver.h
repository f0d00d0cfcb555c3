// SPDX-License-Identifier: Apache-2.0
/* fake_apiserver.h - a scripted HTTP server for tests of the client: each request is given to a function of the test.
 * Included once per test program. */
#ifndef CKUBE_TESTS_FAKE_APISERVER_H
#define CKUBE_TESTS_FAKE_APISERVER_H

#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"
#include "common/client/rest.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"

struct fake {
    struct loop *loop;
    struct http_server *server;
    struct rest *rest;
    pthread_mutex_t lock; /* guards log and watch */
    struct sbuf log;      /* "GET /api/v1/configmaps?limit=500\n" and what the test adds */
    struct http_stream *watch; /* the newest one */
    int step;
    void (*answer)(struct fake *f, struct http_stream *s, const char *method, const char *target, const char *body);
};

static void
fake_log(struct fake *f, const char *line)
{
    pthread_mutex_lock(&f->lock);
    sbuf_addf(&f->log, "%s\n", line);
    pthread_mutex_unlock(&f->lock);
}

static inline void
fake_reply(struct http_stream *s, int code, const char *json)
{
    static const struct http_header headers[] = { { "Content-Type", "application/json" } };

    http_reply(s, code, headers, 1, json, strlen(json));
}

static inline void
fake_start_watch(struct fake *f, struct http_stream *s)
{
    static const struct http_header headers[] = { { "Content-Type", "application/json" } };

    pthread_mutex_lock(&f->lock);
    http_stream_unref(f->watch);
    f->watch = http_stream_ref(s);
    pthread_mutex_unlock(&f->lock);
    http_reply_start(s, 200, headers, 1);
}

static void
fake_on_request(struct http_stream *s, void *arg)
{
    struct fake *f = arg;
    const struct http_request *req = http_stream_request(s);
    AUTO_FREE char *line = xasprintf("%s %s", req->method, req->target);
    /* timeoutSeconds is random */
    char *at = strstr(line, "&timeoutSeconds=");
    if (at)
        *at = '\0';
    fake_log(f, line);
    f->answer(f, s, req->method, req->target, str_safe(http_stream_body(s, NULL)));
}

static inline char *
fake_log_copy(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    char *copy = xstrdup(sbuf_str(&f->log));
    pthread_mutex_unlock(&f->lock);
    return copy;
}

/* Until the log holds the text; fails the test after 20 s. */
static inline void
fake_wait_for(struct fake *f, const char *text)
{
    for (int i = 0; i < 4000; i++) {
        AUTO_FREE char *log = fake_log_copy(f);
        if (strstr(log, text))
            return;
        clock_sleep_ms(5);
    }
    AUTO_FREE char *log = fake_log_copy(f);
    fail_msg("never saw \"%s\" in:\n%s", text, log);
}

static inline void
fake_clear_log(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    sbuf_clear(&f->log);
    pthread_mutex_unlock(&f->lock);
}

static inline void
fake_send(struct fake *f, const char *bytes)
{
    pthread_mutex_lock(&f->lock);
    if (f->watch)
        http_reply_write(f->watch, bytes, strlen(bytes));
    pthread_mutex_unlock(&f->lock);
}

static inline void
fake_end_watch(struct fake *f, bool cleanly)
{
    pthread_mutex_lock(&f->lock);
    struct http_stream *s = f->watch;
    f->watch = NULL;
    pthread_mutex_unlock(&f->lock);
    if (!s)
        return;
    if (cleanly) {
        http_reply_end(s);
    } else {
        struct loop *loop = http_stream_loop(s);
        loop_call(loop, (void (*)(void *))(void *)http_stream_reset, s);
    }
    http_stream_unref(s);
}

static inline struct fake *
fake_start(void (*answer)(struct fake *f, struct http_stream *s, const char *method, const char *target, const char *body))
{
    static const struct http_handler handler = { .on_request = fake_on_request };
    struct fake *f = XNEW(struct fake);

    pthread_mutex_init(&f->lock, NULL);
    f->answer = answer;
    assert_null(loop_new("fake", &f->loop));
    assert_null(http_server_new(&handler, f, NULL, &f->server));
    assert_null(http_server_listen(f->server, &f->loop, 1, "127.0.0.1", 0, NULL));
    assert_null(loop_thread_start(f->loop));
    AUTO_FREE char *url = xasprintf("http://127.0.0.1:%u", http_server_port(f->server));
    struct client_config config = { .server = url };
    struct rest_options options = { .component = "test", .timeout_ms = 20000 };
    assert_null(rest_new(&config, &options, &f->rest));
    return f;
}

static inline void
fake_stop(struct fake *f)
{
    rest_unref(f->rest);
    loop_stop(f->loop);
    loop_thread_join(f->loop);
    http_stream_unref(f->watch);
    http_server_free(f->server);
    loop_free(f->loop);
    sbuf_done(&f->log);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

#endif
