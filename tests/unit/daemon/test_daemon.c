// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/daemon.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/daemon/sd_notify.h"
#include "common/net/http_client.h"

static int
free_port(void)
{
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

/* The body, in a buffer of the caller's to free. */
static char *
fetch(const char *scheme, int port, const char *method, const char *path, const char *body, int want_code)
{
    struct http_client_options options = { .tls.insecure = true, .user_agent = "test" };
    AUTO(http_client) *c = NULL;
    AUTO_FREE char *url = xasprintf("%s://127.0.0.1:%d%s", scheme, port, path);
    struct http_call call = { .method = method, .url = url, .body = body, .body_len = body ? strlen(body) : 0 };
    AUTO_HTTP_RESULT r = { 0 };

    assert_null(http_client_new(&options, &c));
    AUTO(kerr) *err = http_call_do(c, &call, &r);
    if (err)
        fail_msg("%s: %s", url, err->message);
    assert_int_equal(r.code, want_code);
    return steal_ptr(r.body);
}

static void
expect(const char *scheme, int port, const char *path, int code, const char *part)
{
    AUTO_FREE char *body = fetch(scheme, port, "GET", path, NULL, code);

    if (!strstr(body, part))
        fail_msg("%s: no \"%s\" in:\n%s", path, part, body);
}

static void
hello(const struct endpoint_request *req, struct endpoint_reply *reply, void *arg)
{
    sbuf_addf(&reply->body, "%s %s %s?%s", (const char *)arg, req->method, req->path, req->query);
}

static struct daemon *
start(char *const *argv, int argc)
{
    struct daemon *d = daemon_new("kube-test", "A test.");
    int rc;

    daemon_add_serving_flags(d, 1);
    if (daemon_start(d, argc, argv, &rc))
        return d;
    daemon_free(d);
    return NULL;
}
#define START(...)                                                                                                     \
    ({                                                                                                                 \
        char *argv_[] = { (char *)"kube-test", __VA_ARGS__ };                                                          \
        start(argv_, (int)ARRAY_LEN(argv_));                                                                           \
    })

static void
endpoints_answer_over_http(void **state)
{
    int port = free_port();
    AUTO_FREE char *flag = xasprintf("--secure-port=%d", port);
    AUTO(daemon) *d = START(flag, (char *)"--bind-address=127.0.0.1");

    assert_non_null(d);
    daemon_serving(d)->insecure = true;
    daemon_add_endpoint(d, "/debug/hello/", hello, (void *)"hi");
    daemon_set_configz(d, "testconfig", "{\"a\":1}");
    struct health_state *peer = health_add_state(daemon_health(d), HEALTH_READYZ, "peer", "not there");
    assert_null(daemon_serve(d));
    expect("http", port, "/healthz", 200, "ok");
    expect("http", port, "/readyz", 500, "[-]peer failed: reason withheld\n");
    health_state_set(peer, NULL);
    expect("http", port, "/readyz?verbose", 200, "[+]peer ok\nreadyz check passed\n");
    expect("http", port, "/metrics", 200, "# TYPE process_open_fds gauge\n");
    expect("http", port, "/version", 200, "\"gitVersion\": \"v1.35.0\"");
    expect("http", port, "/configz", 200, "{\"testconfig\":{\"a\":1}}");
    expect("http", port, "/flagz", 200, "bind-address=127.0.0.1\n");
    expect("http", port, "/statusz", 200, "kube-test statusz");
    expect("http", port, "/debug/hello/a%20b?x=1", 200, "hi GET /debug/hello/a b?x=1");
    expect("http", port, "/nope", 404, "404 page not found");
    AUTO_FREE char *set = fetch("http", port, "PUT", "/debug/flags/v", "3", 200);
    assert_string_equal(set, "successfully set klog.logging.verbosity to 3");
    free(fetch("http", port, "PUT", "/debug/flags/v", "0", 200));
    free(fetch("http", port, "PUT", "/debug/flags/v", "many", 400));
}

static void
https_makes_its_certificate_and_asks_who(void **state)
{
    int port = free_port();
    AUTO_FREE char *flag = xasprintf("--secure-port=%d", port);
    AUTO(daemon) *d = START(flag, (char *)"--bind-address=127.0.0.1");

    assert_non_null(d);
    assert_null(daemon_serve(d));
    expect("https", port, "/healthz", 200, "ok");
    expect("https", port, "/metrics", 403, "forbidden: User \\\"system:anonymous\\\" cannot get path \\\"/metrics\\\"");
}

static void
a_second_listener_can_be_narrower(void **state)
{
    static const char *const only[] = { "/healthz", NULL };
    int port = free_port();
    AUTO(daemon) *d = START();

    assert_non_null(d);
    assert_null(daemon_serve_plain(d, "127.0.0.1", port, only));
    expect("http", port, "/healthz/ping", 200, "ok");
    expect("http", port, "/metrics", 404, "404");
    AUTO(kerr) *err = daemon_serve_plain(d, "127.0.0.1", port, only);
    if (err) /* REUSEPORT may allow it */
        assert_non_null(strstr(err->message, "failed to listen on 127.0.0.1 port"));
}

static void
bad_flags_and_questions_end_at_once(void **state)
{
    assert_null(START((char *)"--no-such-flag"));
    assert_null(START((char *)"--version"));
    assert_null(START((char *)"--logging-format=xml"));
    assert_null(START((char *)"--vmodule=x"));
}

static void *
stop_soon(void *arg)
{
    clock_sleep_ms(30);
    if (arg)
        daemon_stop(arg, 3);
    else
        kill(getpid(), SIGTERM);
    return NULL;
}

static void
a_signal_ends_it_cleanly(void **state)
{
    pthread_t t;

    for (int by_call = 0; by_call < 2; by_call++) {
        AUTO(daemon) *d = START();
        assert_non_null(d);
        pthread_create(&t, NULL, stop_soon, by_call ? d : NULL);
        assert_int_equal(daemon_run(d), by_call ? 3 : 0);
        assert_true(daemon_stopping(d));
        pthread_join(t, NULL);
    }
}

static void
systemd_hears_of_it(void **state)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char got[128] = "";

    snprintf(a.sun_path, sizeof a.sun_path, "/tmp/ckube-notify-test.%d", getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    setenv("NOTIFY_SOCKET", a.sun_path, 1);
    setenv("WATCHDOG_USEC", "3000000", 1);
    assert_int_equal(sd_notify_watchdog_ms(), 1500);
    assert_true(sd_notify_send("READY=1\nSTATUS=%d", 5));
    assert_true(recv(fd, got, sizeof got - 1, 0) > 0);
    assert_string_equal(got, "READY=1\nSTATUS=5");
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    assert_false(sd_notify_send("READY=1"));
    unlink(a.sun_path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_answer_over_http),        cmocka_unit_test(https_makes_its_certificate_and_asks_who),
        cmocka_unit_test(a_second_listener_can_be_narrower), cmocka_unit_test(bad_flags_and_questions_end_at_once),
        cmocka_unit_test(a_signal_ends_it_cleanly),          cmocka_unit_test(systemd_hears_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
