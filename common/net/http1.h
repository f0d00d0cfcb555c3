// SPDX-License-Identifier: Apache-2.0
/* http1.h - one HTTP/1.1 connection, shared by http1_conn.c, http1_head.c and http1_reply.c.  Lives on its shard's loop.
 *
 *   IDLE --first byte--> HEAD --empty line--> BODY --complete--> WAIT (for the reply) --reply left--> IDLE ...
 *   refusals and "Connection: close" lead to FLUSH (reply leaving) -> LINGER (reading on, so that the client sees it) -> freed */
#ifndef CKUBE_NET_HTTP1_H
#define CKUBE_NET_HTTP1_H

#include <llhttp.h>

#include "common/net/http_private.h"

enum http1_state { H1_IDLE, H1_HEAD, H1_BODY, H1_WAIT, H1_FLUSH, H1_LINGER };

struct http1_row { /* offsets into head */
    uint32_t name, value;
};

struct http_conn {
    struct http_conn *prev, *next;
    struct http_shard *shard;
    struct http_server *server;
    struct bufferevent *bev;
    struct tls_server *tls; /* NULL = plain */
    struct ssl_st *ssl;
    struct http_peer *peer;
    struct loop_timer *timer;
    enum http1_state state;
    uint64_t since_ms;     /* when the state began */
    uint64_t timer_due_ms; /* 0 = the timer does not run */

    unsigned busy; /* callbacks of ours on the stack */
    bool dead;     /* freed when busy is 0 */
    bool eof;      /* the client half-closed */
    bool progress; /* the kernel took bytes since the stall timer last looked */
    bool body_moved;
    bool identity_known;
    bool served; /* at least one request came whole */

    /* the head under way: strings with their NULs in `head`, found again by offset */
    llhttp_t parser;
    struct sbuf head;
    struct http1_row *rows;
    size_t nrows, rows_cap;
    bool value_open; /* the last row's value has no NUL yet */
    size_t head_bytes;
    int refuse_code; /* noted inside llhttp, acted upon outside */
    const char *refuse_message;

    /* the request under way */
    struct http_stream *stream; /* NULL between requests */
    bool keep_alive;
    bool expects_continue;
    bool body_done;
    bool discard_body; /* the reply went out already; the short rest is read to keep the connection */
    bool body_paused;
    size_t trailer_bytes;

    /* the reply under way */
    bool chunked, bodyless;
    int64_t promised; /* Content-Length of a reply in pieces; -1 = none */
    int64_t written;
};

extern const llhttp_settings_t http1_settings;
extern const struct http_codec http1_codec;

/* http1_head.c */
void http1_head_reset(struct http_conn *conn);
/* The head is complete: makes conn->stream.  False: refuse_code and refuse_message are set. */
bool http1_head_finish(struct http_conn *conn);
void http1_note_refusal(struct http_conn *conn, int code, const char *message); /* first one counts */

/* http1_conn.c */
void http1_doom(struct http_conn *conn);       /* frees the connection as soon as no callback of it is on the stack */
void http1_reply_over(struct http_conn *conn); /* the last byte of the reply is in the output */
void http1_forget_channel(struct http_conn *conn); /* unhooks from the bufferevent, which lives on */
bool http1_body_left_is_short(const struct http_conn *conn);

#endif
