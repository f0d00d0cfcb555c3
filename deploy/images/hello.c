// SPDX-License-Identifier: Apache-2.0
/* hello.c - the sample's web server: says which pod answered, and of which version.  One process, one poll loop.
 *   GET /         "hello from <pod> version <tag>"
 *   GET /healthz  200 "ok"            GET /readyz  200, or 503 once the end was asked for
 * Environment: POD_NAME (else the host name), HELLO_VERSION, HELLO_PORT (8080), HELLO_DRAIN_SECONDS (3).
 * SIGTERM: goes on answering for HELLO_DRAIN_SECONDS, because whoever routes to us learns of it a moment later; then
 * closes the listener, finishes what is open and exits 0.  That is why a rolling update loses no request. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 250
#define REQUEST_MAX 4096
#define IDLE_MS 10000

struct conn {
    int fd; /* -1 = free */
    size_t in_len, out_len, out_sent;
    long long deadline_ms;
    char in[REQUEST_MAX + 1];
    char out[768];
};

static struct conn conns[MAX_CONNS];
static char pod_name[256], version[64];
static volatile sig_atomic_t end_asked;
static sigset_t wait_mask; /* signals arrive inside ppoll() only, so none is missed between a look and a wait */
static bool draining;

static long long
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void
on_end(int sig)
{
    (void)sig;
    end_asked = 1;
}

static const char *
env_or(const char *name, const char *fallback)
{
    const char *v = getenv(name);

    return v && *v ? v : fallback;
}

static long
env_number(const char *name, long fallback, long min, long max)
{
    char *end;
    long n = strtol(env_or(name, ""), &end, 10);

    return *env_or(name, "") && !*end && n >= min && n <= max ? n : fallback;
}

static void
conn_close(struct conn *c)
{
    close(c->fd);
    c->fd = -1;
}

static void
reply(struct conn *c, const char *status, const char *body, bool with_body)
{
    c->out_len = (size_t)snprintf(
        c->out, sizeof(c->out),
        "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
        strlen(body), with_body ? body : "");
    c->out_sent = 0;
}

static void
answer(struct conn *c)
{
    char hello[400];
    char *method = c->in, *path = strchr(c->in, ' '), *end = path ? strpbrk(path + 1, " ?\r\n") : NULL;
    bool head;

    if (!end) {
        reply(c, "400 Bad Request", "not an HTTP request\n", true);
        return;
    }
    *path++ = '\0';
    *end = '\0';
    head = strcmp(method, "HEAD") == 0;
    snprintf(hello, sizeof(hello), "hello from %s version %s\n", pod_name, version);
    if (!head && strcmp(method, "GET") != 0)
        reply(c, "405 Method Not Allowed", "GET and HEAD only\n", true);
    else if (strcmp(path, "/healthz") == 0)
        reply(c, "200 OK", "ok\n", !head);
    else if (strcmp(path, "/readyz") == 0)
        reply(c, draining ? "503 Service Unavailable" : "200 OK", draining ? "draining\n" : "ok\n", !head);
    else if (strcmp(path, "/") == 0)
        reply(c, "200 OK", hello, !head);
    else
        reply(c, "404 Not Found", "there is /, /healthz and /readyz\n", !head);
}

static void
conn_read(struct conn *c)
{
    ssize_t n = read(c->fd, c->in + c->in_len, REQUEST_MAX - c->in_len);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    c->in_len += (size_t)n;
    c->in[c->in_len] = '\0';
    if (strstr(c->in, "\r\n\r\n"))
        answer(c);
    else if (c->in_len == REQUEST_MAX)
        reply(c, "431 Request Header Fields Too Large", "too large\n", true);
}

static void
conn_write(struct conn *c)
{
    ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (c->out_sent += (size_t)n) == c->out_len) {
        shutdown(c->fd, SHUT_WR);
        conn_close(c);
    }
}

static void
accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct conn *c = NULL;

        if (fd < 0)
            return;
        for (int i = 0; i < MAX_CONNS && !c; i++)
            if (conns[i].fd < 0)
                c = &conns[i];
        if (!c) { /* full: the client sees a closed connection and may retry */
            close(fd);
            return;
        }
        c->fd = fd;
        c->in_len = c->out_len = c->out_sent = 0;
        c->deadline_ms = now_ms() + IDLE_MS;
    }
}

static int
listen_on(unsigned short port)
{
    int one = 1, zero = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };

    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
        if (bind(fd, (struct sockaddr *)&a6, sizeof(a6)) == 0 && listen(fd, 128) == 0)
            return fd;
        close(fd);
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&a4, sizeof(a4)) == 0 && listen(fd, 128) == 0)
        return fd;
    close(fd);
    return -1;
}

/* One turn: wait, accept, serve.  Returns how many connections are open. */
static int
turn(int listener)
{
    struct pollfd fds[MAX_CONNS + 1];
    struct conn *of[MAX_CONNS + 1];
    const struct timespec tick = { 0, 100 * 1000000 };
    int n = 0, open = 0;
    long long now;

    if (listener >= 0) {
        of[n] = NULL;
        fds[n++] = (struct pollfd){ .fd = listener, .events = POLLIN };
    }
    for (int i = 0; i < MAX_CONNS; i++) {
        if (conns[i].fd < 0)
            continue;
        of[n] = &conns[i];
        fds[n++] = (struct pollfd){ .fd = conns[i].fd, .events = conns[i].out_len ? POLLOUT : POLLIN };
        open++;
    }
    if (ppoll(fds, (nfds_t)n, open || end_asked ? &tick : NULL, &wait_mask) < 0)
        return open;
    now = now_ms();
    for (int i = 0; i < n; i++) {
        struct conn *c = of[i];

        if (!c) {
            if (fds[i].revents)
                accept_all(listener);
            continue;
        }
        if (fds[i].revents && !c->out_len)
            conn_read(c);
        if (fds[i].revents && c->fd >= 0 && c->out_len)
            conn_write(c);
        if (c->fd >= 0 && now > c->deadline_ms)
            conn_close(c);
    }
    return open;
}

int
main(void)
{
    struct sigaction end = { .sa_handler = on_end };
    unsigned short port = (unsigned short)env_number("HELLO_PORT", 8080, 1, 65535);
    long drain_s = env_number("HELLO_DRAIN_SECONDS", 3, 0, 3600);
    char host[sizeof(pod_name)] = "unknown";
    long long drain_until = 0;
    int listener;

    gethostname(host, sizeof(host) - 1);
    snprintf(pod_name, sizeof(pod_name), "%s", env_or("POD_NAME", host));
    snprintf(version, sizeof(version), "%s", env_or("HELLO_VERSION", "?"));
    for (int i = 0; i < MAX_CONNS; i++)
        conns[i].fd = -1;
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    sigemptyset(&end.sa_mask);
    sigaddset(&end.sa_mask, SIGTERM);
    sigaddset(&end.sa_mask, SIGINT);
    sigprocmask(SIG_BLOCK, &end.sa_mask, &wait_mask);
    sigdelset(&wait_mask, SIGTERM);
    sigdelset(&wait_mask, SIGINT);
    listener = listen_on(port);
    if (listener < 0) {
        fprintf(stderr, "hello: cannot listen on port %u: %s\n", port, strerror(errno));
        return 1;
    }
    printf("hello: pod %s version %s listens on port %u\n", pod_name, version, port);
    fflush(stdout);
    for (;;) {
        int open = turn(listener);

        if (end_asked && !draining) {
            draining = true;
            drain_until = now_ms() + drain_s * 1000;
            printf("hello: asked to end, draining for %ld s\n", drain_s);
            fflush(stdout);
        }
        if (draining && listener >= 0 && now_ms() >= drain_until) {
            accept_all(listener); /* what is in the queue already is still served */
            close(listener);
            listener = -1;
        } else if (listener < 0 && !open) {
            printf("hello: done\n");
            return 0;
        }
    }
}
