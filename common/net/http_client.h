// SPDX-License-Identifier: Apache-2.0
/* http_client.h - HTTP/1.1 calls to servers: blocking for pool threads, streaming on a loop, and raw channels for tunnels.
 * A client is a set of credentials and a pool of kept-alive connections (libcurl); make one per peer and share it.
 * Any HTTP status is a success here; errors are transport errors that name hop, host, and for TLS issuer and CA file. */
#ifndef CKUBE_NET_HTTP_CLIENT_H
#define CKUBE_NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/mem.h"
#include "common/net/http_header.h"
#include "common/net/tls.h"

struct bufferevent;
struct loop;
struct http_client;
struct http_fetch;
struct http_dial;

struct http_client_options {
    const char *hop;                   /* for errors: "kubelet -> kube-apiserver"; NULL = "http" */
    struct tls_client_options tls;
    const char *bearer_token;          /* never logged */
    const char *bearer_token_file;     /* read again when it changes, at most once a second; wins over bearer_token */
    const char *username, *password;   /* basic auth */
    const char *user_agent;
    const char *unix_socket;           /* connect there, whatever the URL's host says */
    const char *proxy_url;             /* "" or NULL = none: the environment is not looked at */
    uint64_t connect_timeout_ms;       /* 0 = 10000 */
    size_t max_idle;                   /* kept handles; 0 = 32 */
};
struct kerr *http_client_new(const struct http_client_options *options, struct http_client **ret) MUST_CHECK;
/* When no call is in it and every fetch is done.  Fetches need their loops stopped or all ended.  NULL is fine. */
void http_client_free(struct http_client *c);
DEFINE_AUTO(http_client)
const char *http_client_hop(const struct http_client *c);
struct tls_client *http_client_tls(struct http_client *c); /* for http_dial_start(); borrowed */

struct http_call {
    const char *method; /* NULL = GET */
    const char *url;    /* absolute, http:// or https:// */
    const struct http_header *headers;
    size_t nheaders;
    const void *body; /* NULL = none; must stay valid until the call (fetch: on_done) is over */
    size_t body_len;
    uint64_t timeout_ms; /* of the whole call; 0 = 30000 for http_call_do, none for a fetch */
    uint64_t stall_ms;   /* fetch only: fail when nothing came for so long; 0 = never */
    size_t max_body;     /* http_call_do only; more is an error; 0 = 64 MiB */
};

struct http_result {
    int code;
    struct http_header *headers; /* all of the final response, in order */
    size_t nheaders;
    char *body; /* never NULL after success, NUL-terminated */
    size_t body_len;
};
void http_result_done(struct http_result *r); /* frees the content; zero-initialised is fine */
static inline void auto_http_result_(struct http_result *r)
{
    http_result_done(r);
}
#define AUTO_HTTP_RESULT __attribute__((cleanup(auto_http_result_))) struct http_result
const char *http_result_header(const struct http_result *r, const char *name); /* NULL when absent */
int32_t http_result_retry_after_s(const struct http_result *r);                /* 0 = none */

/* Blocking; for pool threads, from any number of them. */
struct kerr *http_call_do(struct http_client *c, const struct http_call *call, struct http_result *ret) MUST_CHECK;

/* ---- streaming, on a loop --------------------------------------------------------------------------------- */

/* All on the loop.  on_done comes exactly once and is the last (not after a cancel); err is its to free, NULL = the reply came
 * whole.  In the callbacks http_fetch_pause() and http_fetch_cancel() are allowed. */
struct http_fetch_handler {
    void (*on_headers)(struct http_fetch *f, int code, const struct http_header *headers, size_t n, void *arg); /* may be NULL */
    void (*on_data)(struct http_fetch *f, const char *data, size_t len, void *arg);
    void (*on_done)(struct http_fetch *f, struct kerr *err, void *arg);
};
/* The URL, method and headers are copied.  The handle is valid until on_done returned or http_fetch_cancel(). */
struct http_fetch *http_fetch_start(struct http_client *c, struct loop *loop, const struct http_call *call,
                                    const struct http_fetch_handler *handler, void *arg) MUST_CHECK;
void http_fetch_pause(struct http_fetch *f, bool pause); /* back-pressure: no on_data while paused, the peer gets stopped */
void http_fetch_cancel(struct http_fetch *f);            /* no callback comes any more; NULL is fine */

/* ---- raw channel for upgrades ------------------------------------------------------------------------------- */

struct http_dial_options {
    const char *hop;          /* for errors */
    const char *address;      /* "10.0.0.4:10250", "[::1]:80", "name:443" or a unix path */
    struct tls_client *tls;   /* NULL = plain; borrowed until the callback */
    const char *method;       /* NULL = GET */
    const char *target;       /* path and query as to be sent */
    const char *host;         /* Host header; NULL = address */
    const struct http_header *headers; /* Connection and Upgrade among them */
    size_t nheaders;
    uint64_t timeout_ms; /* until the reply head (and a refusal's body) is here; 0 = 30000 */
    bool any_code;       /* hand over the channel whatever the code: bytes after the head are unread, for verbatim relays */
};
struct http_dial_reply {
    int code;
    const struct http_header *headers;
    size_t nheaders;
    const char *raw_head; /* as received, with the empty line */
    size_t raw_head_len;
    struct bufferevent *bev; /* the callback's to own: 101 (or any_code); reading disabled, no callbacks set */
    const char *body;        /* of a reply without bev: first 64 KiB */
    size_t body_len;
};
/* The callback comes once, on the loop: with err (its to free) or reply (valid within the callback, except bev). */
struct http_dial *http_dial_start(struct loop *loop, const struct http_dial_options *options,
                                  void (*done)(void *arg, struct kerr *err, const struct http_dial_reply *reply),
                                  void *arg);
void http_dial_cancel(struct http_dial *d); /* before the callback; it then does not come */

#endif
