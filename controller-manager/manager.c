// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/manager.h"

#include <malloc.h>
#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/daemon/daemon.h"
#include "common/net/loop.h"
#include "controller-manager/controller.h"
#include "controller-manager/identity.h"

struct manager {
    struct daemon *daemon;
    const struct kcm_options *options;
    const struct client_config *client_config;
    const struct rest_options *rest_options;
    struct rest *rest;
    struct events *events;
    struct identities *identities;
    struct informers *informers;
    struct controller *controllers;
    size_t len;
    bool running;
    pthread_t thread;
};

/* --- --controllers --- */

static bool
known(const char *name)
{
    for (size_t i = 0; i < controller_rows_len; i++)
        if (str_eq(controller_rows[i].name, name) || str_eq(controller_rows[i].old_name, name))
            return true;
    return false;
}

struct kerr *
controllers_check(const struct strlist *wanted)
{
    for (size_t i = 0; i < wanted->len; i++) {
        const char *name = wanted->items[i];
        if (str_eq(name, "*"))
            continue;
        if (*name == '-')
            name++;
        if (str_empty(name) || !known(name))
            return kerr_new(KERR_INVALID, "--controllers: \"%s\" is not in the list of known controllers", name);
    }
    return NULL;
}

bool
controllers_enabled(const struct strlist *wanted, const char *name, const char *old_name, bool off_by_default)
{
    bool star = false;

    for (size_t i = 0; i < wanted->len; i++) {
        const char *w = wanted->items[i], *bare = *w == '-' ? w + 1 : w;
        if (str_eq(w, "*"))
            star = true;
        else if (str_eq(bare, name) || (!str_empty(old_name) && str_eq(bare, old_name)))
            return *w != '-';
    }
    return star && !off_by_default;
}

/* --- one controller --- */

/* The same name as upstream's event source: the account ("replicaset-controller"). */
static struct kerr *
set_up(struct manager *m, struct controller *c)
{
    struct kerr *err = identities_get(m->identities, c->row->account, &c->rest);

    if (err)
        return err;
    struct executor_config cfg = { .rest = c->rest, .threads = 16 };
    c->events = events_for(m->events, c->row->account, NULL);
    cfg.events = c->events;
    c->executor = executor_new(&cfg);
    return NULL;
}

static void
tear_down(struct controller *c)
{
    workqueue_free(c->queue);
    if (c->row->stop)
        c->row->stop(c);
    executor_free(c->executor);
    expectations_free(c->expectations);
    rest_unref(c->rest);
}

/* --- all of them --- */

static void
choose(struct manager *m)
{
    m->controllers = xcalloc(controller_rows_len, sizeof *m->controllers);
    for (size_t i = 0; i < controller_rows_len; i++) {
        const struct controller_row *row = &controller_rows[i];
        if (!controllers_enabled(&m->options->controllers, row->name, row->old_name, row->off_by_default)) {
            log_info("Controller is disabled", "controller", row->name);
            continue;
        }
        if (!row->start) {
            log_v(1, "Controller is not part of this build", "controller", row->name);
            continue;
        }
        m->controllers[m->len++] = (struct controller){ .row = row, .options = m->options, .informers = m->informers };
    }
}

static void
wait_a_second(struct manager *m)
{
    for (unsigned n = 0; n < 10 && !daemon_stopping(m->daemon); n++)
        clock_sleep_ms(100);
}

/* False: we are to stop. */
static bool
take_identities(struct manager *m)
{
    for (size_t i = 0; i < m->len; i++) {
        for (;;) {
            struct kerr *err = set_up(m, &m->controllers[i]);
            daemon_waiting(m->daemon, "kube-apiserver", err); /* NULL: it is well again */
            if (!err)
                break;
            kerr_free(err);
            wait_a_second(m);
            if (daemon_stopping(m->daemon))
                return false;
        }
    }
    return true;
}

static struct kerr *
start_controllers(struct manager *m)
{
    for (size_t i = 0; i < m->len && !daemon_stopping(m->daemon);) {
        struct kerr *err = m->controllers[i].row->start(&m->controllers[i]);
        if (!err) {
            daemon_waiting(m->daemon, "kube-apiserver", NULL);
            i++;
            continue;
        }
        if (!rest_is_transient(err))
            return kerr_wrap(err, "%s", m->controllers[i].row->name);
        daemon_waiting(m->daemon, "kube-apiserver", err);
        kerr_free(err);
        wait_a_second(m);
    }
    return NULL;
}

static void *
run(void *arg)
{
    struct manager *m = arg;
    struct kerr *err;

    pthread_setname_np(pthread_self(), "manager");
    if (!take_identities(m))
        return NULL;
    err = start_controllers(m);
    if (err) {
        daemon_stop(m->daemon, daemon_fail(m->daemon, err));
        return NULL;
    }
    informers_start(m->informers);
    if (!informers_wait_synced(m->informers, daemon_stop_flag(m->daemon)))
        return NULL;
    log_info("Caches are synced, starting the controllers", "controllers", kv_int((int64_t)m->len));
    for (size_t i = 0; i < m->len; i++) {
        struct controller *c = &m->controllers[i];
        if (c->queue)
            workqueue_start(c->queue);
        if (c->row->run)
            c->row->run(c);
        loop_call(informers_loop(m->informers), controller_timer_start, c);
    }
    malloc_trim(0); /* the first lists came as text: that memory is not needed again */
    return NULL;
}

struct manager *
manager_new(struct daemon *d, const struct kcm_options *options, const struct client_config *cfg, const struct rest_options *rest_options,
            struct rest *rest, struct events *events)
{
    struct manager *m = XNEW(struct manager);

    *m = (struct manager){ .daemon = d, .options = options, .client_config = cfg, .rest_options = rest_options, .rest = rest_ref(rest), .events = events };
    return m;
}

void
manager_start(struct manager *m)
{
    struct kerr *err = identities_new(m->rest, m->client_config, m->rest_options, m->options->use_service_account_credentials, &m->identities);

    if (err) {
        daemon_stop(m->daemon, daemon_fail(m->daemon, err));
        return;
    }
    m->informers = informers_new(m->rest, NULL);
    informers_on_trouble(m->informers, daemon_waiting_fn, m->daemon);
    choose(m);
    int rc = pthread_create(&m->thread, NULL, run, m);
    if (rc) {
        daemon_stop(m->daemon, daemon_fail(m->daemon, kerr_errno(rc, "start the manager's thread")));
        return;
    }
    m->running = true;
}

void
manager_free(struct manager *m)
{
    if (!m)
        return;
    if (m->running)
        pthread_join(m->thread, NULL);
    for (size_t i = 0; i < m->len; i++) {
        if (m->controllers[i].row->halt)
            m->controllers[i].row->halt(&m->controllers[i]);
        loop_call(informers_loop(m->informers), controller_timer_free, &m->controllers[i]);
        if (m->controllers[i].queue)
            workqueue_stop(m->controllers[i].queue);
    }
    informers_free(m->informers);
    for (size_t i = 0; i < m->len; i++) {
        tear_down(&m->controllers[i]);
        controller_watches_free(&m->controllers[i]);
    }
    free(m->controllers);
    identities_free(m->identities);
    rest_unref(m->rest);
    free(m);
}
