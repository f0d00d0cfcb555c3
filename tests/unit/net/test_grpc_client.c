// SPDX-License-Identifier: Apache-2.0
#include "common/net/grpc_client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "tests/unit/net/fake_grpc.h"

static char socket_path[] = "/tmp/ckube-grpc-XXXXXX";
static struct fake_grpc server;
static struct fake_grpc_call *held;

static void
handle(struct fake_grpc_call *call, const char *method, const char *request, size_t len, void *arg)
{
    static char big[100000];

    if (str_eq(method, "/t/Echo")) {
        fake_grpc_message(call, request, len);
        fake_grpc_finish(call, 0, NULL);
    } else if (str_eq(method, "/t/Missing")) {
        fake_grpc_finish(call, 5, "no%20pod \"a\"%0A%e2%82%ac");
    } else if (str_eq(method, "/t/Late")) { /* data, then an error in real trailers */
        fake_grpc_message(call, "x", 1);
        fake_grpc_finish(call, 13, "broke");
    } else if (str_eq(method, "/t/Silent")) {
    } else if (str_eq(method, "/t/Big")) {
        fake_grpc_message(call, big, sizeof big);
        fake_grpc_finish(call, 0, NULL);
    } else if (str_eq(method, "/t/Twice")) {
        fake_grpc_message(call, "a", 1);
        fake_grpc_message(call, "b", 1);
        fake_grpc_finish(call, 0, NULL);
    } else if (str_eq(method, "/t/Compressed")) {
        fake_grpc_raw(call, "\1\0\0\0\1x", 6);
        fake_grpc_finish(call, 0, NULL);
    } else if (str_eq(method, "/t/Nothing")) {
        fake_grpc_finish(call, 0, NULL);
    } else if (str_eq(method, "/t/Count")) {
        for (char c = '0'; c <= '9'; c++)
            fake_grpc_message(call, &c, 1);
        fake_grpc_finish(call, 0, NULL);
    } else if (str_eq(method, "/t/Hold")) {
        call->held = true;
        held = call;
        fake_grpc_message(call, "first", 5);
    } else {
        fake_grpc_finish(call, 12, "unknown method");
    }
}

static void
release_it(void *arg)
{
    fake_grpc_release(held);
}
static void
release_held(void)
{
    loop_call(server.loop, release_it, NULL);
}

static struct grpc_client *
connect_with(size_t max_message)
{
    struct grpc_client *c = NULL;
    struct grpc_client_options o = {
        .target = socket_path, .hop = "test -> fake", .max_message = max_message, .backoff_max_ms = 50
    };

    assert_null(grpc_client_new(&o, &c));
    return c;
}

static int
set_up(void **state)
{
    server.handle = handle;
    return fake_grpc_start(&server, socket_path);
}

static int
tear_down(void **state)
{
    fake_grpc_stop(&server);
    unlink(socket_path);
    return 0;
}

static void
expect_error(struct grpc_client *c, const char *method, int want_status, const char *want_text)
{
    void *reply = NULL;
    size_t len = 0;
    int status = -1;
    struct kerr *err = grpc_call(c, method, "q", 1, 5000, &reply, &len, &status);

    assert_non_null(err);
    assert_int_equal(status, want_status);
    if (!strstr(err->message, want_text))
        fail_msg("'%s' is not in '%s'", want_text, err->message);
    kerr_free(err);
    assert_null(reply);
}

static void
expect_echo(struct grpc_client *c, const char *text)
{
    void *reply = NULL;
    size_t len = 0;
    int status = -1;
    struct kerr *err = grpc_call(c, "/t/Echo", text, strlen(text), 5000, &reply, &len, &status);

    if (err)
        fail_msg("%s", err->message);
    assert_int_equal(status, 0);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(reply, text, len);
    free(reply);
}

static void
unary_calls_share_one_connection(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    unsigned before = atomic_load(&server.accepted);

    expect_echo(c, "hello");
    expect_echo(c, "");
    for (int i = 0; i < 200; i++)
        expect_echo(c, "again");
    assert_int_equal(atomic_load(&server.accepted) - before, 1);
}

static void
large_messages_both_ways(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    size_t size = 3u << 20;
    AUTO_FREE char *text = xmalloc(size + 1);

    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + i % 26);
    text[size] = '\0';
    expect_echo(c, text);
}

static void
statuses_become_errors(void **state)
{
    AUTO(grpc_client) *c = connect_with(50000);

    expect_error(c, "/t/Missing", GRPC_NOT_FOUND,
                 "test -> fake: /t/Missing: rpc error: code = NotFound desc = no pod \"a\"\n\xe2\x82\xac");
    expect_error(c, "/t/Late", GRPC_INTERNAL, "broke");
    expect_error(c, "/t/Other", GRPC_UNIMPLEMENTED, "code = Unimplemented desc = unknown method");
    expect_error(c, "/t/Big", GRPC_RESOURCE_EXHAUSTED, "100000 bytes");
    expect_error(c, "/t/Twice", GRPC_INTERNAL, "two replies");
    expect_error(c, "/t/Compressed", GRPC_INTERNAL, "compressed");
    expect_error(c, "/t/Nothing", GRPC_INTERNAL, "without a reply");
    expect_echo(c, "still fine");
}

static void
a_deadline_ends_a_silent_call(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    void *reply;
    size_t len;
    int status = -1;
    struct kerr *err = grpc_call(c, "/t/Silent", NULL, 0, 20, &reply, &len, &status);

    assert_non_null(err);
    assert_int_equal(status, GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(err->reason, KERR_TIMEOUT);
    kerr_free(err);
    expect_echo(c, "next");
}

#define CALLERS 8
static void *
call_many(void *arg)
{
    for (int i = 0; i < 200; i++) {
        void *reply = NULL;
        size_t len = 0;
        char text[32];
        snprintf(text, sizeof text, "%p-%d", (void *)&text, i);
        struct kerr *err = grpc_call(arg, "/t/Echo", text, strlen(text), 10000, &reply, &len, NULL);
        bool same = !err && len == strlen(text) && memcmp(reply, text, len) == 0;
        kerr_free(err);
        free(reply);
        if (!same)
            return "wrong";
    }
    return NULL;
}

static void
many_threads_at_once(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    pthread_t ids[CALLERS];

    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, call_many, c), 0);
    for (int i = 0; i < CALLERS; i++) {
        void *wrong;
        pthread_join(ids[i], &wrong);
        assert_null(wrong);
    }
}

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t change;
    char text[64];
    int ended, status;
    struct kerr *err;
};

static void
see_message(void *arg, const void *message, size_t len)
{
    struct seen *seen = arg;

    pthread_mutex_lock(&seen->lock);
    strncat(seen->text, message, len);
    pthread_cond_signal(&seen->change);
    pthread_mutex_unlock(&seen->lock);
}

static void
see_end(void *arg, int status, struct kerr *err)
{
    struct seen *seen = arg;

    pthread_mutex_lock(&seen->lock);
    seen->ended++;
    seen->status = status;
    seen->err = err;
    pthread_cond_signal(&seen->change);
    pthread_mutex_unlock(&seen->lock);
}

static const struct grpc_stream_handler see = { see_message, see_end };
#define SEEN_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER }

static void
wait_until(struct seen *seen, const char *text, int ended)
{
    pthread_mutex_lock(&seen->lock);
    while (seen->ended < ended || (text && !str_eq(seen->text, text)))
        pthread_cond_wait(&seen->change, &seen->lock);
    pthread_mutex_unlock(&seen->lock);
}

static void
a_stream_delivers_in_order_and_ends_once(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    struct seen seen = SEEN_INIT;
    struct grpc_stream *s = grpc_stream_start(c, "/t/Count", NULL, 0, &see, &seen);

    wait_until(&seen, "0123456789", 1);
    assert_int_equal(seen.status, GRPC_OK);
    assert_null(seen.err);
    grpc_stream_free(s);
}

static void
a_stream_can_be_cancelled(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    struct seen seen = SEEN_INIT;
    struct grpc_stream *s = grpc_stream_start(c, "/t/Hold", NULL, 0, &see, &seen);

    wait_until(&seen, "first", 0);
    unsigned before = atomic_load(&server.ended);
    grpc_stream_cancel(s);
    wait_until(&seen, NULL, 1);
    assert_int_equal(seen.status, GRPC_CANCELLED);
    kerr_free(seen.err);
    while (atomic_load(&server.ended) == before) /* the server is told */
        clock_sleep_ms(1);
    release_held();
    grpc_stream_free(s);
}

static void
a_cut_connection_ends_streams_and_is_made_again(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    struct seen seen = SEEN_INIT;
    AUTO(grpc_stream) *s = grpc_stream_start(c, "/t/Hold", NULL, 0, &see, &seen);

    wait_until(&seen, "first", 0);
    fake_grpc_cut(&server);
    wait_until(&seen, NULL, 1);
    assert_int_equal(seen.status, GRPC_UNAVAILABLE);
    kerr_free(seen.err);
    release_held();
    expect_echo(c, "back");
}

static void
a_refused_call_is_sent_again_on_a_new_connection(void **state)
{
    AUTO(grpc_client) *c = connect_with(0);
    unsigned before = atomic_load(&server.accepted);

    expect_echo(c, "one");
    server.goaway_next = true;
    expect_echo(c, "two");
    assert_int_equal(atomic_load(&server.accepted) - before, 2);
}

static void
an_absent_peer_is_named_and_found_when_it_comes(void **state)
{
    struct grpc_client_options o = { .target = "unix:///tmp/ckube-no-such.sock", .hop = "kubelet -> containerd" };
    AUTO(grpc_client) *c = NULL;
    struct fake_grpc late = { .handle = handle };
    void *reply = NULL;
    size_t len = 0;
    int status = -1;

    unlink("/tmp/ckube-no-such.sock");
    o.backoff_max_ms = 50;
    assert_null(grpc_client_new(&o, &c));
    struct kerr *err = grpc_call(c, "/t/Echo", "x", 1, 5000, &reply, &len, &status);
    assert_non_null(err);
    assert_int_equal(status, GRPC_UNAVAILABLE);
    assert_string_equal(err->message, "kubelet -> containerd: /t/Echo: rpc error: code = Unavailable desc = "
                                      "dial unix:/tmp/ckube-no-such.sock: No such file or directory");
    kerr_free(err);

    assert_int_equal(fake_grpc_start(&late, "/tmp/ckube-no-such.sock"), 0);
    expect_echo(c, "there");
    fake_grpc_stop(&late);
    unlink("/tmp/ckube-no-such.sock");
}

static void
freeing_the_client_ends_streams(void **state)
{
    struct grpc_client *c = connect_with(0);
    struct seen seen = SEEN_INIT;
    struct grpc_stream *s = grpc_stream_start(c, "/t/Hold", NULL, 0, &see, &seen);

    wait_until(&seen, "first", 0);
    grpc_stream_free(s);
    grpc_client_free(c);
    assert_int_equal(seen.ended, 1);
    kerr_free(seen.err);
    fake_grpc_cut(&server);
    release_held();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_calls_share_one_connection),
        cmocka_unit_test(large_messages_both_ways),
        cmocka_unit_test(statuses_become_errors),
        cmocka_unit_test(a_deadline_ends_a_silent_call),
        cmocka_unit_test(many_threads_at_once),
        cmocka_unit_test(a_stream_delivers_in_order_and_ends_once),
        cmocka_unit_test(a_stream_can_be_cancelled),
        cmocka_unit_test(a_cut_connection_ends_streams_and_is_made_again),
        cmocka_unit_test(a_refused_call_is_sent_again_on_a_new_connection),
        cmocka_unit_test(an_absent_peer_is_named_and_found_when_it_comes),
        cmocka_unit_test(freeing_the_client_ends_streams),
    };

    close(mkstemp(socket_path));
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
