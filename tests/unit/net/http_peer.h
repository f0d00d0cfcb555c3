// SPDX-License-Identifier: Apache-2.0
/* http_peer.h - for tests: a client that writes and reads raw bytes on a blocking socket. */
#ifndef CKUBE_TESTS_HTTP_PEER_H
#define CKUBE_TESTS_HTTP_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/base/sbuf.h"
#include "common/base/str.h"

struct http_peer_conn {
    int fd;
    struct sbuf in; /* read and not yet taken */
};

static inline struct http_peer_conn
peer_connect(uint16_t port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct http_peer_conn c = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct timeval guard = { .tv_sec = 30 }; /* a hung test must end */

    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard);
    if (connect(c.fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        close(c.fd);
        c.fd = -1;
    }
    return c;
}

static inline void
peer_close(struct http_peer_conn *c)
{
    close(c->fd);
    c->fd = -1;
    sbuf_done(&c->in);
}

static inline bool
peer_send(struct http_peer_conn *c, const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}
#define peer_sends(c, text) peer_send((c), (text), strlen(text))

/* One read; 0 = end, -1 = error. */
static inline ssize_t
peer_read(struct http_peer_conn *c)
{
    char buf[65536];
    ssize_t n = recv(c->fd, buf, sizeof buf, 0);

    if (n > 0)
        sbuf_add(&c->in, buf, (size_t)n);
    return n;
}

/* Takes the next `len` bytes (or what came before the end); caller frees. */
static inline char *
peer_take(struct http_peer_conn *c, size_t len)
{
    while (c->in.len < len && peer_read(c) > 0)
        ;
    if (len > c->in.len)
        len = c->in.len;
    char *taken = xmalloc(len + 1);
    if (len)
        memcpy(taken, c->in.s, len);
    taken[len] = '\0';
    if (len)
        memmove(c->in.s, c->in.s + len, c->in.len - len);
    c->in.len -= len;
    return taken;
}

/* Takes up to and with `end`; NULL when the connection ended before. */
static inline char *
peer_until(struct http_peer_conn *c, const char *end)
{
    const char *at;

    while (!(at = c->in.len ? memmem(c->in.s, c->in.len, end, strlen(end)) : NULL))
        if (peer_read(c) <= 0)
            return NULL;
    return peer_take(c, (size_t)(at - c->in.s) + strlen(end));
}

static inline char *
peer_rest(struct http_peer_conn *c)
{
    while (peer_read(c) > 0)
        ;
    return peer_take(c, c->in.len);
}

struct http_peer_reply {
    int code;
    char *head;
    struct sbuf body;
};

static inline char *
peer_header(const struct http_peer_reply *r, const char *name) /* caller frees; NULL = absent */
{
    size_t n = strlen(name);

    for (const char *line = strstr(r->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            const char *value = line + 2 + n + 1 + strspn(line + 2 + n + 1, " ");
            return xstrndup(value, strcspn(value, "\r"));
        }
    return NULL;
}

static inline void
peer_reply_done(struct http_peer_reply *r)
{
    free(r->head);
    sbuf_done(&r->body);
    memset(r, 0, sizeof *r);
}

static inline void
peer_chunks_(struct http_peer_conn *c, struct sbuf *body)
{
    for (;;) {
        AUTO_FREE char *line = peer_until(c, "\r\n");
        size_t size = line ? strtoul(line, NULL, 16) : 0;
        AUTO_FREE char *piece = peer_take(c, size + 2);
        if (size == 0)
            return;
        sbuf_add(body, piece, size);
    }
}

/* Reads one reply; false = the connection ended first.  Replies to HEAD: bodyless = true. */
static inline bool
peer_reply(struct http_peer_conn *c, bool bodyless, struct http_peer_reply *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->head = peer_until(c, "\r\n\r\n");
    if (!ret->head || sscanf(ret->head, "HTTP/1.%*d %d", &ret->code) != 1)
        return false;
    AUTO_FREE char *length = peer_header(ret, "Content-Length");
    AUTO_FREE char *coding = peer_header(ret, "Transfer-Encoding");
    if (bodyless || ret->code == 204 || ret->code == 304 || ret->code < 200)
        return true;
    if (coding) {
        peer_chunks_(c, &ret->body);
    } else if (length) {
        size_t n = strtoul(length, NULL, 10);
        AUTO_FREE char *body = peer_take(c, n);
        sbuf_add(&ret->body, body, strlen(body) < n && memchr(body, 0, n) ? n : strlen(body));
    } else {
        AUTO_FREE char *body = peer_rest(c);
        sbuf_adds(&ret->body, body);
    }
    return true;
}

#endif
