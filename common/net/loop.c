// SPDX-License-Identifier: Apache-2.0
#include "common/net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include <event2/event.h>

#include "common/base/clock.h"
#include "common/base/klog.h"

#define SLOW_TURN_MS 100

struct post {
    struct post *next;
    void (*fn)(void *);
    void *arg;
};

struct loop {
    struct event_base *base;
    struct event *wake_event;
    int wake_fd;
    char name[16];
    atomic_bool running;
    atomic_bool stopping;
    _Atomic(pthread_t) runner; /* valid while running */
    pthread_t thread;
    bool has_thread;
    atomic_uint_fast64_t slow_turns;
    pthread_mutex_t lock; /* guards the queue below; innermost */
    struct post *head, **tail;
    bool woken; /* the eventfd was written and not yet read */
};

struct loop_timer {
    struct event *event;
    void (*fn)(void *);
    void *arg;
    bool repeats;
    uint64_t interval_ms;
};

/* Takes the whole queue at once: posts made by a post run in the next turn, so sockets get their share. */
static void
run_posts(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct post *p = l->head;
    l->head = NULL;
    l->tail = &l->head;
    l->woken = false;
    pthread_mutex_unlock(&l->lock);
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    uint64_t count;
    uint64_t start = clock_mono_ms();

    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("loop: reading its wake-up failed", "loop", l->name, "err", strerror(errno));
    run_posts(l);
    if (atomic_load(&l->stopping))
        event_base_loopbreak(l->base);
    if (clock_mono_ms() - start > SLOW_TURN_MS)
        atomic_fetch_add(&l->slow_turns, 1);
}

struct kerr *
loop_new(const char *name, struct loop **ret)
{
    struct loop *l = XNEW(struct loop);

    strncpy(l->name, name ? name : "loop", sizeof l->name - 1);
    pthread_mutex_init(&l->lock, NULL);
    l->tail = &l->head;
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0) {
        struct kerr *err = kerr_errno(errno, "loop '%s': eventfd", l->name);
        loop_free(l);
        return err;
    }
    struct event_config *config = event_config_new();
    if (config) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        l->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (l->base)
        l->wake_event = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    if (!l->wake_event || event_add(l->wake_event, NULL) < 0) {
        loop_free(l);
        return kerr_new(KERR_INTERNAL, "loop '%s': cannot make an event base", name ? name : "loop");
    }
    *ret = l;
    return NULL;
}

void
loop_free(struct loop *l)
{
    if (!l)
        return;
    while (l->head)
        run_posts(l);
    if (l->wake_event)
        event_free(l->wake_event);
    if (l->base)
        event_base_free(l->base);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void
loop_run(struct loop *l)
{
    atomic_store(&l->runner, pthread_self());
    atomic_store(&l->running, true);
    while (!atomic_load(&l->stopping))
        if (event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
            log_error("loop: waiting for events failed", "loop", l->name, "err", strerror(errno));
            break;
        }
    atomic_store(&l->running, false);
}

static void *
thread_main(void *arg)
{
    struct loop *l = arg;

    pthread_setname_np(pthread_self(), l->name);
    loop_run(l);
    return NULL;
}

struct kerr *
loop_thread_start(struct loop *l)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&l->thread, NULL, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return kerr_errno(rc, "loop '%s': cannot start its thread", l->name);
    l->has_thread = true;
    return NULL;
}

static void
wake(struct loop *l)
{
    uint64_t one = 1;

    while (write(l->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void
loop_stop(struct loop *l)
{
    atomic_store(&l->stopping, true);
    wake(l);
}

void
loop_thread_join(struct loop *l)
{
    if (l->has_thread)
        pthread_join(l->thread, NULL);
    l->has_thread = false;
}

bool
loop_is_current(const struct loop *l)
{
    struct loop *loop = (struct loop *)l; /* atomics are not const-correct */

    return atomic_load(&loop->running) && pthread_equal(atomic_load(&loop->runner), pthread_self());
}

struct event_base *
loop_base(struct loop *l)
{
    return l->base;
}

void
loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct post *p = xmalloc(sizeof *p);

    *p = (struct post){ .fn = fn, .arg = arg };
    pthread_mutex_lock(&l->lock);
    *l->tail = p;
    l->tail = &p->next;
    bool must_wake = !l->woken;
    l->woken = true;
    pthread_mutex_unlock(&l->lock);
    if (must_wake)
        wake(l);
}

struct waited_call {
    void (*fn)(void *);
    void *arg;
    bool done;
    pthread_mutex_t lock; /* guards done */
    pthread_cond_t over;
};

static void
run_waited(void *arg)
{
    struct waited_call *w = arg;

    w->fn(w->arg);
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->over);
    pthread_mutex_unlock(&w->lock);
}

void
loop_call(struct loop *l, void (*fn)(void *arg), void *arg)
{
    bool has_runner = l->has_thread || atomic_load(&l->running);

    if (!has_runner || loop_is_current(l)) {
        fn(arg);
        return;
    }
    struct waited_call w = { .fn = fn, .arg = arg };
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.over, NULL);
    loop_post(l, run_waited, &w);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.over, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.over);
    pthread_mutex_destroy(&w.lock);
}

uint64_t
loop_slow_turns(const struct loop *l)
{
    return atomic_load(&((struct loop *)l)->slow_turns);
}

/* ---- timers ------------------------------------------------------------------------------------------ */

static void
add_event(struct loop_timer *t, uint64_t ms)
{
    struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

    event_add(t->event, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *t = arg;

    if (t->repeats)
        add_event(t, t->interval_ms);
    t->fn(t->arg); /* may free t */
}

struct loop_timer *
loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct loop_timer *t = XNEW(struct loop_timer);

    t->fn = fn;
    t->arg = arg;
    t->event = evtimer_new(l->base, on_timer, t);
    if (!t->event)
        abort(); /* out of memory */
    return t;
}

void
loop_timer_free(struct loop_timer *t)
{
    if (!t)
        return;
    event_free(t->event);
    free(t);
}

void
loop_timer_once(struct loop_timer *t, uint64_t after_ms)
{
    t->repeats = false;
    add_event(t, after_ms);
}

void
loop_timer_every(struct loop_timer *t, uint64_t interval_ms)
{
    t->repeats = true;
    t->interval_ms = interval_ms ? interval_ms : 1;
    add_event(t, t->interval_ms);
}

void
loop_timer_stop(struct loop_timer *t)
{
    event_del(t->event);
}

bool
loop_timer_pending(const struct loop_timer *t)
{
    return evtimer_pending(t->event, NULL);
}
