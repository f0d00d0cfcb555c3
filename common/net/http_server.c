// SPDX-License-Identifier: Apache-2.0
#include "common/net/http_server.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"
#include "common/net/http_private.h"

#define ACCEPT_PAUSE_MS 100 /* when out of file descriptors */

struct http_listener {
    struct http_listener *next;
    struct http_server *server;
    struct http_shard *shard;
    struct evconnlistener *evl;
    struct tls_server *tls;
    struct loop_timer *resume;
    char *unix_path; /* to be removed at the end */
    char *text;
};

static const struct http_limits defaults = {
    .max_url = 16 << 10,
    .max_head = 1 << 20,
    .max_headers = 256,
    .max_body = 3 << 20,
    .max_connections = 20000,
    .output_high = 1 << 20,
    .output_max = 64 << 20,
    .head_timeout_ms = 32000,
    .body_stall_ms = 60000,
    .idle_timeout_ms = 180000,
    .write_stall_ms = 120000,
};

struct kerr *
http_server_new(const struct http_handler *handler, void *arg, const struct http_limits *limits,
                struct http_server **ret)
{
    if (!handler->on_request)
        return kerr_new(KERR_INTERNAL, "http server: a handler needs on_request");
    struct http_server *srv = XNEW(struct http_server);
    srv->handler = *handler;
    srv->arg = arg;
    if (limits)
        srv->limits = *limits;
#define OR_DEFAULT(field) (srv->limits.field = srv->limits.field ? srv->limits.field : defaults.field)
    OR_DEFAULT(max_url);
    OR_DEFAULT(max_head);
    OR_DEFAULT(max_headers);
    OR_DEFAULT(max_body);
    OR_DEFAULT(max_connections);
    OR_DEFAULT(output_high);
    OR_DEFAULT(output_max);
    OR_DEFAULT(head_timeout_ms);
    OR_DEFAULT(body_stall_ms);
    OR_DEFAULT(idle_timeout_ms);
    OR_DEFAULT(write_stall_ms);
#undef OR_DEFAULT
    signal(SIGPIPE, SIG_IGN); /* a write to a closed socket is an error, not a death */
    *ret = srv;
    return NULL;
}

/* ---- shards ------------------------------------------------------------------------------------------ */

static void
shard_unref(struct http_shard *shard)
{
    if (atomic_fetch_sub(&shard->refs, 1) == 1)
        free(shard);
}

static struct http_shard *
shard_of(struct http_server *srv, struct loop *loop)
{
    for (size_t i = 0; i < srv->nshards; i++)
        if (srv->shards[i]->loop == loop)
            return srv->shards[i];
    struct http_shard *shard = XNEW(struct http_shard);
    atomic_init(&shard->refs, 1);
    shard->server = srv;
    shard->loop = loop;
    srv->shards = xreallocarray(srv->shards, srv->nshards + 1, sizeof *srv->shards);
    srv->shards[srv->nshards++] = shard;
    return shard;
}

static void
drain_shard(void *arg)
{
    struct http_shard *shard = arg;
    struct http_server *srv = shard->server;

    for (struct http_listener *l = srv ? srv->listeners : NULL; l; l = l->next)
        if (l->shard == shard && l->evl) {
            evconnlistener_free(l->evl);
            l->evl = NULL;
        }
    for (struct http_conn *conn = shard->conns, *next; conn; conn = next) {
        next = http1_conn_next(conn);
        http1_conn_drain(conn);
    }
    shard_unref(shard);
}

void
http_server_drain(struct http_server *srv)
{
    if (atomic_exchange(&srv->draining, true))
        return;
    for (size_t i = 0; i < srv->nshards; i++) {
        atomic_fetch_add(&srv->shards[i]->refs, 1);
        loop_post(srv->shards[i]->loop, drain_shard, srv->shards[i]);
    }
}

void
http_server_free(struct http_server *srv)
{
    if (!srv)
        return;
    while (srv->listeners) {
        struct http_listener *l = srv->listeners;
        srv->listeners = l->next;
        if (l->evl)
            evconnlistener_free(l->evl);
        loop_timer_free(l->resume);
        if (l->unix_path)
            unlink(l->unix_path);
        free(l->unix_path);
        free(l->text);
        free(l);
    }
    for (size_t i = 0; i < srv->nshards; i++) {
        while (srv->shards[i]->conns)
            http1_conn_free(srv->shards[i]->conns);
        srv->shards[i]->server = NULL;
        shard_unref(srv->shards[i]);
    }
    free(srv->shards);
    free(srv);
}

uint16_t
http_server_port(const struct http_server *srv)
{
    return srv->port;
}

uint32_t
http_server_connections(const struct http_server *srv)
{
    return atomic_load(&((struct http_server *)srv)->connections);
}

/* ---- accepting --------------------------------------------------------------------------------------- */

static char *
local_address(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return xstrdup("");
    return addr_format((struct sockaddr *)&ss, len);
}

static void
on_accept(struct evconnlistener *evl, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
    struct http_listener *l = arg;
    struct http_server *srv = l->server;
    static _Atomic uint64_t last_ms;

    if (atomic_fetch_add(&srv->connections, 1) >= srv->limits.max_connections) {
        uint64_t last = last_ms;
        atomic_fetch_sub(&srv->connections, 1);
        close(fd);
        if (klog_every(&last, clock_mono_ms(), 1000)) {
            last_ms = last;
            log_warning("http: too many connections, closing new ones", "listener", l->text, "max",
                        kv_int(srv->limits.max_connections));
        }
        return;
    }
    addr_tune(fd);
    struct http_peer *peer = XNEW(struct http_peer);
    atomic_init(&peer->refs, 1);
    peer->remote = addr_format(sa, (socklen_t)len);
    peer->local = local_address(fd);
    http1_conn_new(l->shard, fd, l->tls, peer);
}

static void
resume_accepting(void *arg)
{
    struct http_listener *l = arg;

    if (l->evl)
        evconnlistener_enable(l->evl);
}

static void
on_accept_error(struct evconnlistener *evl, void *arg)
{
    struct http_listener *l = arg;
    int why = EVUTIL_SOCKET_ERROR();

    log_warning("http: accepting a connection failed, trying again shortly", "listener", l->text, "err", strerror(why));
    evconnlistener_disable(evl);
    if (!l->resume)
        l->resume = loop_timer_new(l->shard->loop, resume_accepting, l);
    loop_timer_once(l->resume, ACCEPT_PAUSE_MS);
}

/* ---- listening --------------------------------------------------------------------------------------- */

/* A socket file that nobody listens on any more is in the way of bind(). */
static void
remove_stale_socket(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static struct kerr *
bind_socket(const struct addr *a, bool share, int *ret_fd)
{
    static const int on = 1, off = 0;
    AUTO_FREE char *text = addr_text(a);
    AUTO_FD int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return kerr_errno(errno, "listen on %s: socket", text);
    if (a->ss.ss_family == AF_UNIX) {
        remove_stale_socket(((const struct sockaddr_un *)&a->ss)->sun_path);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (a->ss.ss_family == AF_INET6) /* "::" serves IPv4 too */
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (share)
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (bind(fd, (const struct sockaddr *)&a->ss, a->len) < 0 || listen(fd, 4096) < 0)
        return kerr_errno(errno, "listen on %s", text);
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

static struct kerr *
add_listener(struct http_server *srv, struct loop *loop, int fd, const char *unix_path, struct tls_server *tls)
{
    struct http_listener *l = XNEW(struct http_listener);

    l->server = srv;
    l->shard = shard_of(srv, loop);
    l->tls = tls;
    l->text = local_address(fd);
    l->unix_path = xstrdup(unix_path);
    l->next = srv->listeners;
    srv->listeners = l;
    l->evl = evconnlistener_new(loop_base(loop), on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!l->evl) {
        close(fd);
        return kerr_new(KERR_INTERNAL, "listen on %s: cannot watch the socket", l->text);
    }
    evconnlistener_set_error_cb(l->evl, on_accept_error);
    return NULL;
}

/* With SO_REUSEPORT alone a second daemon of the same user would quietly share the port: the first bind goes without. */
static struct kerr *
check_port_is_free(const struct addr *a)
{
    int fd;
    struct kerr *err = bind_socket(a, false, &fd);

    if (!err)
        close(fd);
    return err;
}

static void
adopt_port(struct addr *a, int fd)
{
    a->len = sizeof a->ss;
    getsockname(fd, (struct sockaddr *)&a->ss, &a->len);
}

struct listen_call {
    struct http_server *srv;
    struct loop *loop;
    int fd;
    const char *unix_path;
    struct tls_server *tls;
    struct kerr *err;
};

static void
add_on_loop(void *arg)
{
    struct listen_call *c = arg;

    c->err = add_listener(c->srv, c->loop, c->fd, c->unix_path, c->tls);
}

struct kerr *
http_server_listen(struct http_server *srv, struct loop *const *loops, size_t nloops, const char *address,
                   uint16_t port, struct tls_server *tls)
{
    struct addr a;
    struct kerr *err = addr_parse(address, port, &a);

    if (err)
        return err;
    bool is_unix = a.ss.ss_family == AF_UNIX;
    bool share = nloops > 1 && !is_unix;
    if (share && port && (err = check_port_is_free(&a)))
        return err;
    for (size_t i = 0; i < (share ? nloops : 1); i++) {
        struct listen_call c = { .srv = srv, .loop = loops[i], .tls = tls };
        c.unix_path = is_unix ? ((const struct sockaddr_un *)&a.ss)->sun_path : NULL;
        if ((err = bind_socket(&a, share, &c.fd)))
            return err;
        adopt_port(&a, c.fd); /* the others bind the port that 0 became */
        loop_call(loops[i], add_on_loop, &c);
        if (c.err)
            return c.err;
    }
    if (!srv->port)
        srv->port = addr_port(&a);
    return NULL;
}
