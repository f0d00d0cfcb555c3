// SPDX-License-Identifier: Apache-2.0
#include "common/net/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

struct order {
    struct loop *loop;
    unsigned next;
    bool wrong;
};
struct item {
    struct order *order;
    unsigned number;
};

static void
take_item(void *arg)
{
    struct item *it = arg;

    if (it->number != it->order->next || !loop_is_current(it->order->loop))
        it->order->wrong = true;
    it->order->next++;
    free(it);
}

static void
noop(void *arg)
{
}

static void
posts_run_in_order_on_the_loop(void **state)
{
    AUTO(loop) *loop = NULL;
    struct order order = { 0 };

    assert_null(loop_new("test", &loop));
    order.loop = loop;
    assert_null(loop_thread_start(loop));
    for (unsigned i = 0; i < 10000; i++) {
        struct item *it = XNEW(struct item);
        *it = (struct item){ &order, i };
        loop_post(loop, take_item, it);
    }
    loop_call(loop, noop, NULL);
    assert_int_equal(order.next, 10000);
    assert_false(order.wrong);
    assert_false(loop_is_current(loop));
    loop_stop(loop);
    loop_thread_join(loop);
}

#define POSTERS 4
#define POSTS_EACH 5000
static atomic_uint counted;

static void
count(void *arg)
{
    atomic_fetch_add(&counted, 1);
}

static void *
poster(void *arg)
{
    for (int i = 0; i < POSTS_EACH; i++)
        loop_post(arg, count, NULL);
    return NULL;
}

static void
many_threads_lose_no_post(void **state)
{
    AUTO(loop) *loop = NULL;
    pthread_t ids[POSTERS];

    assert_null(loop_new("test", &loop));
    assert_null(loop_thread_start(loop));
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, poster, loop), 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(ids[i], NULL);
    loop_call(loop, noop, NULL);
    assert_int_equal(atomic_load(&counted), POSTERS * POSTS_EACH);
    loop_stop(loop);
    loop_thread_join(loop);
}

static void
posts_left_over_run_when_freed(void **state)
{
    struct loop *loop = NULL;
    struct order order = { 0 };
    struct item *it = XNEW(struct item);

    assert_null(loop_new("test", &loop));
    order.loop = loop;
    *it = (struct item){ &order, 0 };
    loop_post(loop, take_item, it);
    loop_free(loop);
    assert_int_equal(order.next, 1);
}

struct ticker {
    struct loop *loop;
    struct loop_timer *timer, *once;
    int ticks, onces;
};

static void
on_tick(void *arg)
{
    struct ticker *t = arg;

    if (++t->ticks == 3) {
        loop_timer_free(t->timer); /* from within */
        t->timer = NULL;
        loop_timer_once(t->once, 1);
    }
}

static void
on_once(void *arg)
{
    struct ticker *t = arg;

    t->onces++;
    loop_stop(t->loop);
}

static void
timers_repeat_stop_and_free_themselves(void **state)
{
    AUTO(loop) *loop = NULL;
    struct ticker t = { 0 };

    assert_null(loop_new("test", &loop));
    t.loop = loop;
    t.timer = loop_timer_new(loop, on_tick, &t);
    t.once = loop_timer_new(loop, on_once, &t);
    loop_timer_every(t.timer, 1);
    assert_true(loop_timer_pending(t.timer));
    assert_false(loop_timer_pending(t.once));
    loop_run(loop);
    assert_int_equal(t.ticks, 3);
    assert_int_equal(t.onces, 1);
    loop_timer_free(t.once);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_run_in_order_on_the_loop),
        cmocka_unit_test(many_threads_lose_no_post),
        cmocka_unit_test(posts_left_over_run_when_freed),
        cmocka_unit_test(timers_repeat_stop_and_free_themselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
