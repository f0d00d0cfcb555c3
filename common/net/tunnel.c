// SPDX-License-Identifier: Apache-2.0
#include "common/net/tunnel.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/net/loop.h"
#include "common/net/tls.h"

#define DEFAULT_BOUND (256u << 10)
#define HALF_CLOSED_MS 30000 /* without a byte after one side ended: the rest is not coming */

struct side {
    struct tunnel *tunnel;
    struct bufferevent *bev;
    struct side *other;
    uint64_t bytes;   /* read here */
    bool ended;       /* no more bytes come from here */
    bool end_passed;  /* the other end of the tunnel was told so */
    bool held;        /* not reading: the other side does not take the bytes */
};

struct tunnel {
    struct side a, b;
    size_t bound;
    struct loop_timer *timer;
    uint64_t idle_ms, moved_ms;
    void (*on_end)(void *, uint64_t, uint64_t);
    void *arg;
    unsigned busy;
    bool dead;
};

static void
free_channel(struct bufferevent *bev)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);

    bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
    if (ssl && SSL_is_init_finished(ssl) && !(SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN))
        SSL_shutdown(ssl);
    ERR_clear_error();
    bufferevent_free(bev);
}

static void
tunnel_free(struct tunnel *t)
{
    loop_timer_free(t->timer);
    free_channel(t->a.bev);
    free_channel(t->b.bev);
    if (t->on_end)
        t->on_end(t->arg, t->a.bytes, t->b.bytes);
    free(t);
}

/* Everything below may end the tunnel: the outermost callback frees it. */
static void
leave(struct tunnel *t)
{
    if (--t->busy == 0 && t->dead)
        tunnel_free(t);
}

static size_t
queued(const struct side *s)
{
    return evbuffer_get_length(bufferevent_get_output(s->bev));
}

static void
pass_end(struct side *from)
{
    struct side *to = from->other;
    SSL *ssl = bufferevent_openssl_get_ssl(to->bev);

    from->end_passed = true;
    if (ssl)
        SSL_shutdown(ssl);
    ERR_clear_error();
    shutdown(bufferevent_getfd(to->bev), SHUT_WR);
}

static void
check_ends(struct tunnel *t)
{
    struct side *sides[2] = { &t->a, &t->b };

    for (int i = 0; i < 2; i++)
        if (sides[i]->ended && !sides[i]->end_passed && queued(sides[i]->other) == 0)
            pass_end(sides[i]);
    if (t->a.end_passed && t->b.end_passed)
        t->dead = true;
}

static void
move_bytes(struct side *s)
{
    struct evbuffer *in = bufferevent_get_input(s->bev);
    size_t len = evbuffer_get_length(in);

    if (len == 0)
        return;
    s->bytes += len;
    s->tunnel->moved_ms = clock_mono_ms();
    bufferevent_write_buffer(s->other->bev, in);
    if (!s->held && queued(s->other) >= s->tunnel->bound) {
        s->held = true;
        bufferevent_disable(s->bev, EV_READ);
    }
}

static void
on_readable(struct bufferevent *bev, void *arg)
{
    struct side *s = arg;
    struct tunnel *t = s->tunnel;

    t->busy++;
    if (!t->dead)
        move_bytes(s);
    leave(t);
}

/* Half of the bound left: the source may go on. */
static void
on_written(struct bufferevent *bev, void *arg)
{
    struct side *s = arg;
    struct tunnel *t = s->tunnel;

    t->busy++;
    t->moved_ms = clock_mono_ms();
    if (!t->dead && s->other->held && queued(s) <= t->bound / 2) {
        s->other->held = false;
        if (!s->other->ended) {
            bufferevent_enable(s->other->bev, EV_READ);
            tls_read_on(s->other->bev);
        }
    }
    if (!t->dead)
        check_ends(t);
    leave(t);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    struct side *s = arg;
    struct tunnel *t = s->tunnel;

    t->busy++;
    if (what & BEV_EVENT_ERROR) {
        t->dead = true;
    } else if (what & BEV_EVENT_EOF) {
        move_bytes(s);
        s->ended = true;
        check_ends(t);
    }
    leave(t);
}

static void
on_timer(void *arg)
{
    struct tunnel *t = arg;
    uint64_t quiet = clock_mono_ms() - t->moved_ms;
    bool half = t->a.ended || t->b.ended;

    t->busy++;
    if ((t->idle_ms && quiet >= t->idle_ms) || (half && quiet >= HALF_CLOSED_MS))
        t->dead = true;
    leave(t);
}

static void
side_start(struct tunnel *t, struct side *s, struct side *other, struct bufferevent *bev)
{
    *s = (struct side){ .tunnel = t, .bev = bev, .other = other };
    bufferevent_setcb(bev, on_readable, on_written, on_event, s);
    bufferevent_setwatermark(bev, EV_WRITE, t->bound / 2, 0);
}

struct tunnel *
tunnel_start(struct loop *loop, struct bufferevent *a, struct bufferevent *b, const struct tunnel_options *o)
{
    struct tunnel *t = XNEW(struct tunnel);

    t->bound = o && o->bound ? o->bound : DEFAULT_BOUND;
    t->idle_ms = o ? o->idle_ms : 0;
    t->on_end = o ? o->on_end : NULL;
    t->arg = o ? o->arg : NULL;
    t->moved_ms = clock_mono_ms();
    t->timer = loop_timer_new(loop, on_timer, t);
    loop_timer_every(t->timer, t->idle_ms && t->idle_ms < 4000 ? t->idle_ms / 4 + 1 : 1000);
    side_start(t, &t->a, &t->b, a);
    side_start(t, &t->b, &t->a, b);
    bufferevent_enable(a, EV_READ | EV_WRITE);
    bufferevent_enable(b, EV_READ | EV_WRITE);
    tls_read_on(a);
    tls_read_on(b);
    move_bytes(&t->a); /* what came early */
    move_bytes(&t->b);
    return t;
}

void
tunnel_close(struct tunnel *t)
{
    if (t->busy)
        t->dead = true;
    else
        tunnel_free(t);
}
