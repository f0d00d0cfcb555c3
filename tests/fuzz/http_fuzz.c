// SPDX-License-Identifier: Apache-2.0
/* Bytes of a hostile client into the HTTP/1.1 server codec, through a socket pair, in pieces chosen by the first byte. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/str.h"
#include "common/net/http_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct http_server *server;
static struct http_shard shard;

static void
echo_piece(struct http_stream *s, const char *data, size_t len, void *arg)
{
    if (data)
        http_reply_write(s, data, len);
    else
        http_reply_end(s);
}

static void
on_head(struct http_stream *s, void *arg)
{
    const struct http_request *r = http_stream_request(s);

    if (r->path[1] == 's') {
        http_stream_stream_body(s, echo_piece, NULL);
        http_reply_start(s, 200, NULL, 0);
    } else if (r->path[1] == 'r') {
        http_reply(s, 403, NULL, 0, "no", 2);
    } else if (r->path[1] == 'u' && r->upgrade) {
        struct bufferevent *bev = http_upgrade_take(s, 101, NULL, 0);
        if (bev)
            bufferevent_free(bev);
    }
}

static void
on_request(struct http_stream *s, void *arg)
{
    const struct http_request *r = http_stream_request(s);
    size_t len, sum = strlen(r->method) + strlen(r->path) + strlen(r->query) + strlen(r->host);
    const char *body = http_stream_body(s, &len);

    for (size_t i = 0; i < r->nheaders; i++)
        sum += strlen(r->headers[i].name) + strlen(r->headers[i].value);
    if (r->path[1] == 'x')
        http_stream_reset(s);
    else
        http_reply(s, sum % 7 ? 200 : 204, r->headers, r->nheaders, body, len);
}

static void
set_up(void)
{
    static const struct http_handler handler = { .on_head = on_head, .on_request = on_request };
    static const struct http_limits limits = { .max_url = 256, .max_head = 2048, .max_headers = 16, .max_body = 1024,
                                               .output_high = 512, .output_max = 4096 };
    struct kerr *err = loop_new("fuzz", &loop);

    if (!err)
        err = http_server_new(&handler, NULL, &limits, &server);
    if (err)
        abort();
    shard.server = server;
    shard.loop = loop;
    shard.refs = 1;
}

static void
turn(int peer)
{
    char sink[4096];

    for (int i = 0; i < 4; i++) {
        event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
        while (recv(peer, sink, sizeof sink, MSG_DONTWAIT) > 0)
            ;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];

    if (!loop)
        set_up();
    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return 0;
    struct http_peer *peer = XNEW(struct http_peer);
    peer->refs = 1;
    peer->remote = xstrdup("fuzz");
    peer->local = xstrdup("fuzz");
    atomic_fetch_add(&server->connections, 1);
    http1_conn_new(&shard, pair[0], NULL, peer);

    size_t piece = data[0] ? data[0] * 4 : size;
    for (size_t at = 1; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        if (send(pair[1], data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        turn(pair[1]);
    }
    shutdown(pair[1], SHUT_WR);
    turn(pair[1]);
    close(pair[1]);
    turn(pair[1]);
    while (shard.conns)
        http1_conn_free(shard.conns);
    turn(pair[1]); /* posts that the free left behind */
    return 0;
}
