// SPDX-License-Identifier: Apache-2.0
#include "common/net/http_client.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"
#include "common/net/tunnel.h"
#include "tests/unit/net/http_peer.h"
#include "tests/unit/net/test_certs.h"

static char dir[] = "/tmp/ckube-client-XXXXXX";
static struct test_ca ca, other_ca;
static struct loop *server_loop, *loop;
static struct http_server *server;
static struct tls_server *tls;
static uint16_t plain_port, tls_port;
static atomic_uint gone, tunnels_ended;
static _Atomic(struct http_stream *) held;

static const char *
in_dir(const char *name)
{
    static __thread char paths[8][256];
    static __thread unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

/* ---- the server --------------------------------------------------------------------------------------- */

static void
on_gone(struct http_stream *s, void *arg)
{
    atomic_fetch_add(&gone, 1);
}

static void
describe(struct http_stream *s)
{
    const struct http_request *r = http_stream_request(s);
    static const struct http_header rows[] = { { "Content-Type", "text/plain" }, { "Retry-After", "7" },
                                               { "Warning", "299 - \"a\"" },     { "Warning", "299 - \"b\"" },
                                               { "X-Empty", "" } };
    AUTO_SBUF out = { 0 };
    size_t len;
    const char *body = http_stream_body(s, &len);

    sbuf_addf(&out, "%s %s host=%s auth=%s type=%s len=%lld ua=%s cn=%s x=%s body=", r->method, r->target, r->host,
              str_or(http_stream_header(s, "Authorization"), "-"), str_or(http_stream_header(s, "Content-Type"), "-"),
              (long long)r->content_length, http_stream_header(s, "User-Agent"), r->identity ? r->identity->common_name : "-",
              http_stream_header(s, "X-Nothing") ? "there" : "-");
    sbuf_add(&out, body, len);
    http_reply(s, 429, rows, ARRAY_LEN(rows), out.s, out.len);
}

#define FLOOD (32u << 20)
static void
flood(struct http_stream *s, void *arg)
{
    static char block[64 << 10];
    size_t *left = http_stream_user(s);

    while (*left && !http_reply_full(s)) {
        *left -= sizeof block;
        http_reply_write(s, block, sizeof block);
    }
    if (*left == 0)
        http_reply_end(s);
}

static void
echo_tunnel(struct bufferevent *bev, void *arg)
{
    bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void
echo_flushed(struct bufferevent *bev, void *arg)
{
    bufferevent_free(bev);
}

static void
end_echo(struct bufferevent *bev, short what, void *arg)
{
    if ((what & BEV_EVENT_EOF) && evbuffer_get_length(bufferevent_get_output(bev))) {
        bufferevent_setcb(bev, NULL, echo_flushed, end_echo, NULL);
        return; /* what is left goes out first */
    }
    bufferevent_free(bev);
}

static void
on_tunnel_end(void *arg, uint64_t ab, uint64_t ba)
{
    atomic_fetch_add(&tunnels_ended, 1);
}

static void
on_backend(void *arg, struct kerr *err, const struct http_dial_reply *reply)
{
    struct http_stream *s = arg;

    if (err) {
        http_reply(s, 502, NULL, 0, err->message, strlen(err->message));
        kerr_free(err);
    } else if (!reply->bev) {
        http_reply(s, reply->code, NULL, 0, reply->body, reply->body_len);
    } else {
        struct bufferevent *client = http_upgrade_take(s, reply->code, reply->headers, reply->nheaders);
        static const struct tunnel_options o = { .bound = 64 << 10, .on_end = on_tunnel_end };
        if (client)
            tunnel_start(http_stream_loop(s), client, reply->bev, &o);
        else
            bufferevent_free(reply->bev);
    }
    http_stream_unref(s);
}

static const struct http_header upgrade_rows[] = { { "Connection", "Upgrade" }, { "Upgrade", "echo" } };

/* /proxy/...: an upgrade through us to ourselves. */
static void
proxy(struct http_stream *s)
{
    AUTO_FREE char *address = xasprintf("127.0.0.1:%u", plain_port);
    AUTO_FREE char *local = xasprintf("localhost:%u", plain_port);
    const char *path = http_stream_request(s)->path + strlen("/proxy");
    bool refused = str_eq(path, "/nobody");
    struct http_dial_options o = {
        .hop = "kube-apiserver -> kubelet", .address = refused ? "127.0.0.1:1" : address, .target = path,
        .headers = upgrade_rows, .nheaders = 2, .timeout_ms = 5000,
    };

    if (str_eq(path, "/upgrade-by-name")) {
        o.address = local;
        o.target = "/upgrade";
    }
    http_dial_start(server_loop, &o, on_backend, http_stream_ref(s));
}

static void
on_request(struct http_stream *s, void *arg)
{
    const struct http_request *r = http_stream_request(s);

    if (str_eq(r->path, "/big")) {
        AUTO_FREE char *big = xcalloc(1, 1 << 20);
        http_reply(s, 200, NULL, 0, big, 1 << 20);
    } else if (str_eq(r->path, "/silent")) {
    } else if (str_eq(r->path, "/flood")) {
        size_t *left = XNEW(size_t);
        *left = FLOOD;
        http_stream_set_user(s, left, free);
        http_stream_on_close(s, on_gone, NULL);
        http_reply_on_drained(s, flood, NULL);
        http_reply_start(s, 200, NULL, 0);
        flood(s, NULL);
    } else if (str_eq(r->path, "/watch")) {
        http_stream_on_close(s, on_gone, NULL);
        atomic_store(&held, http_stream_ref(s));
        http_reply_start(s, 200, NULL, 0);
        http_reply_write(s, "one\n", 4);
    } else if (str_eq(r->path, "/cut")) {
        http_reply_start(s, 200, NULL, 0);
        http_reply_write(s, "half", 4);
        atomic_store(&held, http_stream_ref(s));
    } else if (str_eq(r->path, "/upgrade")) {
        struct bufferevent *bev = http_upgrade_take(s, 101, upgrade_rows, 2);
        bufferevent_setcb(bev, echo_tunnel, NULL, end_echo, NULL);
        bufferevent_enable(bev, EV_READ | EV_WRITE);
        bufferevent_trigger(bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS);
    } else if (str_has_prefix(r->path, "/proxy/")) {
        proxy(s);
    } else {
        describe(s);
    }
}

static int
set_up(void **state)
{
    static const struct http_handler handler = { .on_request = on_request };
    static const struct http_limits limits = { .output_high = 256 << 10 };
    struct http_server *tls_side;
    struct tls_server_options o = { 0 };

    assert_non_null(mkdtemp(dir));
    ca = test_ca_make("test-ca", in_dir("ca.crt"));
    other_ca = test_ca_make("other-ca", in_dir("other-ca.crt"));
    test_leaf_make(&ca, "server", NULL, "serverAuth", "DNS:kubernetes,IP:127.0.0.1", 100, in_dir("s.crt"), in_dir("s.key"));
    test_leaf_make(&ca, "admin", "o", "clientAuth", NULL, 100, in_dir("admin.crt"), in_dir("admin.key"));
    o = (struct tls_server_options){ .cert_file = in_dir("s.crt"), .key_file = in_dir("s.key"), .ca_files = { in_dir("ca.crt") } };
    assert_null(tls_server_new(&o, &tls));
    assert_null(loop_new("server", &server_loop));
    assert_null(loop_new("client", &loop));
    assert_null(http_server_new(&handler, NULL, &limits, &server));
    assert_null(http_server_listen(server, &server_loop, 1, "127.0.0.1", 0, NULL));
    assert_null(http_server_listen(server, &server_loop, 1, in_dir("sock"), 0, NULL));
    plain_port = http_server_port(server);
    assert_null(http_server_new(&handler, NULL, &limits, &tls_side));
    assert_null(http_server_listen(tls_side, &server_loop, 1, "127.0.0.1", 0, tls));
    tls_port = http_server_port(tls_side);
    *state = tls_side;
    assert_null(loop_thread_start(server_loop));
    assert_null(loop_thread_start(loop));
    return 0;
}

static int
tear_down(void **state)
{
    loop_stop(loop);
    loop_stop(server_loop);
    loop_thread_join(loop);
    loop_thread_join(server_loop);
    http_server_free(server);
    http_server_free(*state);
    loop_free(loop);
    loop_free(server_loop);
    tls_server_free(tls);
    test_ca_done(&ca);
    test_ca_done(&other_ca);
    kerr_free(file_remove_tree(dir));
    return 0;
}

/* ---- calls -------------------------------------------------------------------------------------------- */

static struct http_client *
client_with(const struct http_client_options *o)
{
    struct http_client *c = NULL;
    struct kerr *err = http_client_new(o, &c);

    if (err)
        fail_msg("%s", err->message);
    return c;
}

static char *
url_of(const char *path)
{
    return xasprintf("http://127.0.0.1:%u%s", plain_port, path);
}

static void
calls_carry_everything(void **state)
{
    static const struct http_client_options o = { .hop = "a -> b", .bearer_token = "s3cret", .user_agent = "test/1" };
    AUTO(http_client) *c = client_with(&o);
    AUTO_FREE char *url = url_of("/x/../y?limit=5&q=a%20b");
    static const struct http_header json[] = { { "Content-Type", "application/json" }, { "X-Nothing", "" } };
    static const struct {
        const char *method, *body, *want;
    } rows[] = {
        { NULL, NULL, "GET /x/../y?limit=5&q=a%20b host=127.0.0.1:" },
        { "POST", "{}", "POST /x/../y?limit=5&q=a%20b host=" },
        { "PUT", "{\"a\":1}", "len=7 ua=test/1 cn=- x=there body={\"a\":1}" },
        { "PATCH", "p", "PATCH /x" },
        { "DELETE", NULL, "DELETE /x" },
        { "DELETE", "{}", "body={}" },
        { "POST", NULL, "len=0 ua=test/1 cn=- x=there body=" },
        { "GET", NULL, "auth=Bearer s3cret type=application/json len=0" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_HTTP_RESULT r = { 0 };
        struct http_call call = { .method = rows[i].method, .url = url, .headers = json, .nheaders = 2, .body = rows[i].body,
                                  .body_len = rows[i].body ? strlen(rows[i].body) : 0 };
        struct kerr *err = http_call_do(c, &call, &r);
        if (err)
            fail_msg("row %zu: %s", i, err->message);
        assert_int_equal(r.code, 429);
        if (!strstr(r.body, rows[i].want))
            fail_msg("row %zu: wanted '%s' in '%s'", i, rows[i].want, r.body);
        assert_int_equal(http_result_retry_after_s(&r), 7);
        assert_string_equal(http_result_header(&r, "content-type"), "text/plain");
        const char *first = http_result_header(&r, "Warning");
        assert_string_equal(http_header_next(r.headers, r.nheaders, "warning", first), "299 - \"b\"");
        assert_string_equal(http_result_header(&r, "X-Empty"), "");
        assert_null(http_result_header(&r, "Nothing"));
    }
    AUTO_HTTP_RESULT r = { 0 };
    struct http_call head = { .method = "HEAD", .url = url };
    assert_null(http_call_do(c, &head, &r));
    assert_int_equal(r.body_len, 0);
}

static void
connections_are_kept(void **state)
{
    AUTO(http_client) *c = client_with(&(struct http_client_options){ 0 });
    AUTO_FREE char *url = url_of("/");
    uint32_t before = http_server_connections(server);

    for (int i = 0; i < 100; i++) {
        AUTO_HTTP_RESULT r = { 0 };
        struct http_call call = { .url = url };
        assert_null(http_call_do(c, &call, &r));
        assert_int_equal(r.code, 429);
    }
    assert_true(http_server_connections(server) <= before + 1);
}

static void
tls_and_unix_sockets_work(void **state)
{
    struct http_client_options o = { .tls = { .ca_file = in_dir("ca.crt"), .cert_file = in_dir("admin.crt"),
                                              .key_file = in_dir("admin.key") } };
    AUTO(http_client) *c = client_with(&o);
    AUTO_FREE char *url = xasprintf("https://127.0.0.1:%u/z", tls_port);
    AUTO_HTTP_RESULT r = { 0 };
    AUTO_HTTP_RESULT named = { 0 };
    AUTO_HTTP_RESULT over_unix = { 0 };
    struct http_call call = { .url = url };
    struct kerr *err = http_call_do(c, &call, &r);

    if (err)
        fail_msg("%s", err->message);
    assert_non_null(strstr(r.body, "cn=admin"));

    o.tls.server_name = "kubernetes";
    AUTO(http_client) *by_name = client_with(&o);
    err = http_call_do(by_name, &call, &named);
    if (err)
        fail_msg("%s", err->message);
    assert_non_null(strstr(named.body, "GET /z host=127.0.0.1:"));

    o = (struct http_client_options){ .unix_socket = in_dir("sock") };
    AUTO(http_client) *local = client_with(&o);
    call.url = "http://localhost/u";
    assert_null(http_call_do(local, &call, &over_unix));
    assert_non_null(strstr(over_unix.body, "GET /u host=localhost"));
}

static void
a_renewed_client_certificate_is_shown(void **state)
{
    struct http_client_options o = { .tls = { .ca_file = in_dir("ca.crt"), .cert_file = in_dir("rot.crt"),
                                              .key_file = in_dir("rot.key") } };
    AUTO_FREE char *url = xasprintf("https://127.0.0.1:%u/z", tls_port);
    struct http_call call = { .url = url };
    bool renewed = false;

    test_leaf_make(&ca, "first", NULL, "clientAuth", NULL, 100, in_dir("rot.crt"), in_dir("rot.key"));
    AUTO(http_client) *c = client_with(&o);
    AUTO_HTTP_RESULT before = { 0 };
    assert_null(http_call_do(c, &call, &before));
    assert_non_null(strstr(before.body, "cn=first"));
    test_leaf_make(&ca, "second", NULL, "clientAuth", NULL, 100, in_dir("rot.crt"), in_dir("rot.key"));
    while (!renewed) { /* the files are looked at once a second */
        AUTO_HTTP_RESULT r = { 0 };
        assert_null(http_call_do(c, &call, &r));
        renewed = strstr(r.body, "cn=second") != NULL;
        clock_sleep_ms(10);
    }
}

static void
expect_call_error(const struct http_client_options *o, struct http_call *call, enum kerr_reason reason, const char *want)
{
    AUTO(http_client) *c = client_with(o);
    AUTO_HTTP_RESULT r = { 0 };
    struct kerr *err = http_call_do(c, call, &r);

    assert_non_null(err);
    if (!strstr(err->message, want) || err->reason != reason)
        fail_msg("wanted '%s' in '%s' (reason %d)", want, err->message, (int)err->reason);
    kerr_free(err);
}

static void
errors_name_hop_host_and_cause(void **state)
{
    AUTO_FREE char *secure = xasprintf("https://127.0.0.1:%u/z?q=1", tls_port);
    AUTO_FREE char *big = url_of("/big");
    AUTO_FREE char *silent = url_of("/silent");
    AUTO_FREE char *plain = xasprintf("https://127.0.0.1:%u/z", plain_port);
    struct http_client_options o = { .hop = "kubelet -> kube-apiserver" };
    struct http_call call = { .url = "http://127.0.0.1:1/x" };

    expect_call_error(&o, &call, KERR_UNAVAILABLE, "kubelet -> kube-apiserver: GET http://127.0.0.1:1/x: Failed to connect");
    o.tls.ca_file = in_dir("other-ca.crt");
    call.url = secure;
    AUTO_FREE char *want = xasprintf("kubelet -> kube-apiserver: GET https://127.0.0.1:%u/z: certificate \"CN=server\" (issuer "
                                     "\"CN=test-ca\") is not trusted: unable to get local issuer certificate; %s trusts "
                                     "\"CN=other-ca\"",
                                     tls_port, in_dir("other-ca.crt"));
    expect_call_error(&o, &call, KERR_UNAVAILABLE, want);
    call.url = plain;
    expect_call_error(&o, &call, KERR_UNAVAILABLE, "wrong version number");
    call = (struct http_call){ .url = big, .max_body = 1000 };
    expect_call_error(&o, &call, KERR_TOO_LARGE, "larger than 1000 bytes");
    call = (struct http_call){ .url = silent, .timeout_ms = 50 };
    expect_call_error(&o, &call, KERR_TIMEOUT, "timed out");
    static const struct http_header evil[] = { { "X", "a\r\nEvil: 1" } };
    call = (struct http_call){ .url = big, .headers = evil, .nheaders = 1 };
    expect_call_error(&o, &call, KERR_INTERNAL, "line break");
}

static void
tokens_come_from_files(void **state)
{
    struct http_client_options o = { .bearer_token_file = in_dir("token") };
    AUTO_HTTP_RESULT r = { 0 };
    AUTO_FREE char *url = url_of("/");
    struct http_call call = { .url = url };

    assert_null(file_write_atomic(in_dir("token"), "from-file\n", 10, 0600));
    AUTO(http_client) *c = client_with(&o);
    assert_null(http_call_do(c, &call, &r));
    assert_non_null(strstr(r.body, "auth=Bearer from-file type"));
}

static void *
call_many(void *arg)
{
    AUTO_FREE char *url = url_of("/");

    for (int i = 0; i < 100; i++) {
        AUTO_HTTP_RESULT r = { 0 };
        struct http_call call = { .url = url };
        AUTO(kerr) *err = http_call_do(arg, &call, &r);
        if (err || r.code != 429)
            return "wrong";
    }
    return NULL;
}

static void
many_threads_share_a_client(void **state)
{
    AUTO(http_client) *c = client_with(&(struct http_client_options){ .bearer_token = "t" });
    pthread_t ids[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, call_many, c), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(ids[i], &wrong);
        assert_null(wrong);
    }
}

/* ---- fetches ------------------------------------------------------------------------------------------ */

struct watcher {
    struct http_client *client;
    struct http_call call;
    struct http_fetch *fetch;
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct sbuf seen;
    size_t bytes;
    int code, done;
    struct kerr *err;
    bool pause_once, cancel_at_data;
};
#define WATCHER_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER }

static void
on_headers(struct http_fetch *f, int code, const struct http_header *headers, size_t n, void *arg)
{
    struct watcher *w = arg;

    w->code = code;
    if (!http_header_get(headers, n, "Date"))
        w->code = -1;
}

static void
on_data(struct http_fetch *f, const char *data, size_t len, void *arg)
{
    struct watcher *w = arg;

    pthread_mutex_lock(&w->lock);
    w->bytes += len;
    if (w->seen.len < 1000)
        sbuf_add(&w->seen, data, len < 1000 ? len : 1000);
    pthread_cond_signal(&w->change);
    pthread_mutex_unlock(&w->lock);
    if (w->pause_once) {
        w->pause_once = false;
        http_fetch_pause(f, true);
    }
    if (w->cancel_at_data)
        http_fetch_cancel(f);
}

static void
on_done(struct http_fetch *f, struct kerr *err, void *arg)
{
    struct watcher *w = arg;

    pthread_mutex_lock(&w->lock);
    w->done++;
    w->err = err;
    pthread_cond_signal(&w->change);
    pthread_mutex_unlock(&w->lock);
}

static void
start_on_loop(void *arg)
{
    static const struct http_fetch_handler handler = { on_headers, on_data, on_done };
    struct watcher *w = arg;

    w->fetch = http_fetch_start(w->client, loop, &w->call, &handler, w);
}
static void
cancel_on_loop(void *arg)
{
    http_fetch_cancel(((struct watcher *)arg)->fetch);
}
static void
resume_on_loop(void *arg)
{
    http_fetch_pause(((struct watcher *)arg)->fetch, false);
}
static void
nothing(void *arg)
{
}

static void
wait_bytes(struct watcher *w, size_t bytes, int done)
{
    pthread_mutex_lock(&w->lock);
    while (w->bytes < bytes || w->done < done)
        pthread_cond_wait(&w->change, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static struct http_stream *
take_held(void)
{
    struct http_stream *s;

    while (!(s = atomic_exchange(&held, NULL)))
        clock_sleep_ms(1);
    return s;
}

static void
free_client_on_loop(struct http_client *c)
{
    loop_call(loop, (void (*)(void *))http_client_free, c); /* its fetches live there */
}

static void
a_watch_streams_until_it_ends(void **state)
{
    struct watcher w = WATCHER_INIT;
    AUTO_FREE char *url = url_of("/watch");

    w.client = client_with(&(struct http_client_options){ 0 });
    w.call.url = url;
    loop_call(loop, start_on_loop, &w);
    wait_bytes(&w, 4, 0);
    struct http_stream *s = take_held();
    http_reply_write(s, "two\n", 4);
    wait_bytes(&w, 8, 0);
    http_reply_end(s);
    http_stream_unref(s);
    wait_bytes(&w, 8, 1);
    assert_int_equal(w.code, 200);
    assert_null(w.err);
    assert_string_equal(sbuf_str(&w.seen), "one\ntwo\n");
    sbuf_done(&w.seen);
    free_client_on_loop(w.client);
}

static void
a_watch_can_be_cancelled(void **state)
{
    struct watcher w = WATCHER_INIT;
    AUTO_FREE char *url = url_of("/watch");
    unsigned before = atomic_load(&gone);

    w.client = client_with(&(struct http_client_options){ 0 });
    w.call.url = url;
    loop_call(loop, start_on_loop, &w);
    wait_bytes(&w, 4, 0);
    loop_call(loop, cancel_on_loop, &w);
    while (atomic_load(&gone) == before)
        clock_sleep_ms(1);
    http_stream_unref(take_held());

    w.cancel_at_data = true; /* from within */
    w.bytes = 0;
    loop_call(loop, start_on_loop, &w);
    wait_bytes(&w, 4, 0);
    while (atomic_load(&gone) < before + 2)
        clock_sleep_ms(1);
    http_stream_unref(take_held());
    assert_int_equal(w.done, 0);
    sbuf_done(&w.seen);
    free_client_on_loop(w.client);
}

static void
a_paused_fetch_stops_the_server_and_loses_nothing(void **state)
{
    struct watcher w = WATCHER_INIT;
    AUTO_FREE char *url = url_of("/flood");

    w.client = client_with(&(struct http_client_options){ 0 });
    w.call.url = url;
    w.pause_once = true;
    loop_call(loop, start_on_loop, &w);
    wait_bytes(&w, 1, 0);
    for (int i = 0; i < 50; i++)
        loop_call(loop, nothing, NULL);
    assert_true(w.bytes < 1 << 20);
    loop_call(loop, resume_on_loop, &w);
    wait_bytes(&w, FLOOD, 1);
    assert_null(w.err);
    assert_int_equal(w.bytes, FLOOD);
    sbuf_done(&w.seen);
    free_client_on_loop(w.client);
}

static void
a_cut_watch_and_a_silent_one_are_errors(void **state)
{
    struct watcher w = WATCHER_INIT, quiet = WATCHER_INIT;
    AUTO_FREE char *url = url_of("/cut");
    AUTO_FREE char *silent = url_of("/watch?quiet");

    w.client = client_with(&(struct http_client_options){ .hop = "x -> y" });
    w.call.url = url;
    loop_call(loop, start_on_loop, &w);
    wait_bytes(&w, 4, 0);
    struct http_stream *s = take_held();
    http_stream_reset(s);
    http_stream_unref(s);
    wait_bytes(&w, 4, 1);
    assert_non_null(w.err);
    assert_true(str_has_prefix(w.err->message, "x -> y: GET http://127.0.0.1:"));
    kerr_free(w.err);

    quiet.client = w.client;
    quiet.call = (struct http_call){ .url = silent, .stall_ms = 50 };
    loop_call(loop, start_on_loop, &quiet);
    wait_bytes(&quiet, 0, 1);
    assert_non_null(strstr(quiet.err->message, "nothing came for 50 ms"));
    kerr_free(quiet.err);
    http_stream_unref(take_held());
    sbuf_done(&w.seen);
    sbuf_done(&quiet.seen);
    free_client_on_loop(w.client);
}

/* ---- dials and tunnels -------------------------------------------------------------------------------- */

static void
upgrade_through(struct http_peer_conn *c, const char *path, int want)
{
    AUTO_FREE char *request = xasprintf("GET %s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly", path);
    struct http_peer_reply r;

    *c = peer_connect(plain_port);
    peer_sends(c, request);
    assert_true(peer_reply(c, false, &r));
    if (r.code != want)
        fail_msg("%s: got %d %s", path, r.code, sbuf_str(&r.body));
    if (want != 101)
        sbuf_add(&c->in, r.body.s, r.body.len);
    peer_reply_done(&r);
}

static void
tunnels_carry_bytes_both_ways(void **state)
{
    static const char *const paths[] = { "/proxy/upgrade", "/proxy/upgrade-by-name" };

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        unsigned before = atomic_load(&tunnels_ended);
        struct http_peer_conn c;
        upgrade_through(&c, paths[i], 101);
        AUTO_FREE char *early = peer_take(&c, 5);
        assert_string_equal(early, "early");
        peer_sends(&c, "then more");
        AUTO_FREE char *more = peer_take(&c, 9);
        assert_string_equal(more, "then more");
        peer_sends(&c, "last");
        shutdown(c.fd, SHUT_WR); /* half close: the rest still comes back */
        AUTO_FREE char *last = peer_rest(&c);
        assert_string_equal(last, "last");
        peer_close(&c);
        while (atomic_load(&tunnels_ended) == before)
            clock_sleep_ms(1);
    }
}

#define PUMPED (24u << 20)
static void *
send_much(void *arg)
{
    struct http_peer_conn *c = arg;
    static char block[64 << 10];

    for (size_t sent = 0; sent < PUMPED; sent += sizeof block)
        if (!peer_send(c, block, sizeof block))
            break;
    shutdown(c->fd, SHUT_WR);
    return NULL;
}

static void
tunnels_have_a_bound_and_lose_nothing(void **state)
{
    struct http_peer_conn c;
    pthread_t id;
    size_t got = 0;
    char buf[65536];
    ssize_t n;

    upgrade_through(&c, "/proxy/upgrade", 101);
    assert_int_equal(pthread_create(&id, NULL, send_much, &c), 0);
    clock_sleep_ms(50); /* nobody reads for a while: the sender has to stand still */
    while ((n = recv(c.fd, buf, sizeof buf, 0)) > 0)
        got += (size_t)n;
    pthread_join(id, NULL);
    assert_int_equal(got + c.in.len, PUMPED + 5);
    peer_close(&c);
}

static void
refusals_come_through(void **state)
{
    struct http_peer_conn c;

    upgrade_through(&c, "/proxy/nothing-here", 429);
    assert_non_null(strstr(c.in.s, "GET /nothing-here"));
    peer_close(&c);
    upgrade_through(&c, "/proxy/nobody", 502);
    assert_non_null(strstr(c.in.s, "kube-apiserver -> kubelet: 127.0.0.1:1: connect: Connection refused"));
    peer_close(&c);
}

struct dialled {
    struct http_dial_options o;
    atomic_int done;
    int code;
    char *error;
};

static void
on_dialled(void *arg, struct kerr *err, const struct http_dial_reply *reply)
{
    struct dialled *d = arg;

    d->error = err ? xstrdup(err->message) : NULL;
    kerr_free(err);
    d->code = reply ? reply->code : 0;
    if (reply && reply->bev)
        bufferevent_free(reply->bev);
    atomic_store(&d->done, 1);
}

static void
dial_on_loop(void *arg)
{
    struct dialled *d = arg;

    http_dial_start(loop, &d->o, on_dialled, d);
}

static void
dials_speak_tls_and_unix(void **state)
{
    AUTO_FREE char *address = xasprintf("127.0.0.1:%u", tls_port);
    AUTO(tls_client) *good = NULL;
    AUTO(tls_client) *bad = NULL;
    struct tls_client_options o = { .ca_file = in_dir("ca.crt") };

    assert_null(tls_client_new(&o, &good));
    o.ca_file = in_dir("other-ca.crt");
    assert_null(tls_client_new(&o, &bad));
    struct dialled rows[] = {
        { .o = { .address = address, .tls = good } },
        { .o = { .address = address, .tls = bad, .hop = "h" } },
        { .o = { .address = in_dir("sock") } },
        { .o = { .address = in_dir("no-such-sock") } },
        { .o = { .address = "127.0.0.1:1" } },
        { .o = { .address = "nonsense" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rows[i].o.target = "/upgrade";
        rows[i].o.headers = upgrade_rows;
        rows[i].o.nheaders = 2;
        loop_call(loop, dial_on_loop, &rows[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool want_ok = i == 0 || i == 2;
        while (!atomic_load(&rows[i].done))
            clock_sleep_ms(1);
        if (want_ok != !rows[i].error || (want_ok && rows[i].code != 101))
            fail_msg("row %zu: %s, %d", i, str_or(rows[i].error, "fine"), rows[i].code);
    }
    assert_non_null(strstr(rows[1].error, "h: 127.0.0.1:"));
    assert_non_null(strstr(rows[1].error, "trusts \"CN=other-ca\""));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        free(rows[i].error);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_carry_everything),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(tls_and_unix_sockets_work),
        cmocka_unit_test(a_renewed_client_certificate_is_shown),
        cmocka_unit_test(errors_name_hop_host_and_cause),
        cmocka_unit_test(tokens_come_from_files),
        cmocka_unit_test(many_threads_share_a_client),
        cmocka_unit_test(a_watch_streams_until_it_ends),
        cmocka_unit_test(a_watch_can_be_cancelled),
        cmocka_unit_test(a_paused_fetch_stops_the_server_and_loses_nothing),
        cmocka_unit_test(a_cut_watch_and_a_silent_one_are_errors),
        cmocka_unit_test(tunnels_carry_bytes_both_ways),
        cmocka_unit_test(tunnels_have_a_bound_and_lose_nothing),
        cmocka_unit_test(refusals_come_through),
        cmocka_unit_test(dials_speak_tls_and_unix),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
