// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/identity.h"

#include <pthread.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"

#define TOKEN_LIFE_S 3600
#define RETRY_MS 10000
#define NAMESPACE "kube-system"

struct identity {
    struct identities *set;
    char *account;
    struct rest *rest;
    uint64_t renew_ms; /* when to ask for the next token */
    uint64_t asked_ms;
    struct identity *next;
};

struct identities {
    struct rest *main, *base; /* base NULL: every identity is main */
    pthread_mutex_t lock;     /* guards list, renew_ms, asked_ms and stop */
    pthread_cond_t wake;
    struct identity *list;
    bool stop, running;
    pthread_t thread;
};

/* --- one token --- */

static struct kerr *
make_account(struct rest *r, const char *account)
{
    AUTO(object) *obj = object_new_of("v1", "ServiceAccount");
    struct object_meta *meta = object_meta(obj);

    meta->namespace = NAMESPACE;
    meta->name = arena_strdup(object_arena(obj), account);
    struct kerr *err = rest_create(r, obj, NULL);
    if (err && err->reason == KERR_ALREADY_EXISTS) {
        kerr_free(err);
        err = NULL;
    }
    return kerr_wrap(err, "make ServiceAccount " NAMESPACE "/%s", account);
}

static struct kerr *
ask(struct rest *r, const char *account, char **ret_token, int64_t *ret_expires)
{
    struct rest_token_request req = { .service_account = account, .expiration_s = TOKEN_LIFE_S };
    struct kerr *err = rest_create_token(r, NAMESPACE, &req, ret_token, ret_expires);

    if (!err || err->reason != KERR_NOT_FOUND)
        return kerr_wrap(err, "token of ServiceAccount " NAMESPACE "/%s", account);
    kerr_free(err);
    err = make_account(r, account);
    if (err)
        return err;
    return kerr_wrap(rest_create_token(r, NAMESPACE, &req, ret_token, ret_expires), "token of ServiceAccount " NAMESPACE "/%s", account);
}

static struct kerr *
renew(struct identities *ids, struct identity *id)
{
    AUTO_FREE char *token = NULL;
    int64_t expires = 0;
    struct kerr *err = ask(ids->main, id->account, &token, &expires);
    int64_t life = expires - clock_wall_s();

    if (!err)
        rest_set_token(id->rest, token);
    pthread_mutex_lock(&ids->lock);
    id->asked_ms = clock_mono_ms();
    id->renew_ms = id->asked_ms + (err ? RETRY_MS : (uint64_t)(life > 60 ? life : 60) * 800); /* at 80 % of its life */
    pthread_mutex_unlock(&ids->lock);
    return err;
}

/* --- the thread that renews --- */

static struct identity *
due(struct identities *ids, uint64_t now, uint64_t *ret_next)
{
    *ret_next = UINT64_MAX;
    for (struct identity *id = ids->list; id; id = id->next) {
        if (id->renew_ms <= now)
            return id;
        if (id->renew_ms < *ret_next)
            *ret_next = id->renew_ms;
    }
    return NULL;
}

static void
wait_until(struct identities *ids, uint64_t at_ms)
{
    struct timespec t;

    if (at_ms == UINT64_MAX) {
        pthread_cond_wait(&ids->wake, &ids->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now = clock_mono_ms(), wait = at_ms > now ? at_ms - now : 0;
    t.tv_sec += (time_t)(wait / 1000);
    t.tv_nsec += (long)(wait % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&ids->wake, &ids->lock, &t);
}

static void *
run(void *arg)
{
    struct identities *ids = arg;
    uint64_t next;

    pthread_setname_np(pthread_self(), "identity");
    pthread_mutex_lock(&ids->lock);
    while (!ids->stop) {
        struct identity *id = due(ids, clock_mono_ms(), &next);
        if (!id) {
            wait_until(ids, next);
            continue;
        }
        pthread_mutex_unlock(&ids->lock);
        AUTO(kerr) *err = renew(ids, id);
        if (err)
            log_warning("No new token for a controller; trying again", "account", id->account, "after_s", kv_int(RETRY_MS / 1000), "err", kv_err(err));
        pthread_mutex_lock(&ids->lock);
    }
    pthread_mutex_unlock(&ids->lock);
    return NULL;
}

/* The apiserver did not take the token: its account was made anew, or the signing key changed. */
static void
on_refused(void *arg)
{
    struct identity *id = arg;
    struct identities *ids = id->set;

    pthread_mutex_lock(&ids->lock);
    uint64_t soonest = id->asked_ms + RETRY_MS;
    if (id->renew_ms > soonest) {
        id->renew_ms = soonest;
        pthread_cond_signal(&ids->wake);
    }
    pthread_mutex_unlock(&ids->lock);
}

/* --- the set --- */

struct kerr *
identities_new(struct rest *main, const struct client_config *cfg, const struct rest_options *opts, bool own, struct identities **ret)
{
    struct identities *ids = XNEW(struct identities);
    pthread_condattr_t attr;

    pthread_mutex_init(&ids->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ids->wake, &attr);
    pthread_condattr_destroy(&attr);
    ids->main = rest_ref(main);
    if (own) {
        AUTO_CLIENT_CONFIG bare = { 0 };
        bare.origin = xstrdup(cfg->origin);
        bare.server = xstrdup(cfg->server);
        bare.tls_server_name = xstrdup(cfg->tls_server_name);
        bare.insecure_skip_tls_verify = cfg->insecure_skip_tls_verify;
        bare.ca_file = xstrdup(cfg->ca_file);
        bare.ca_pem = xstrdup(cfg->ca_pem);
        struct kerr *err = rest_new(&bare, opts, &ids->base);
        if (err) {
            identities_free(ids);
            return err;
        }
    }
    *ret = ids;
    return NULL;
}

void
identities_free(struct identities *ids)
{
    if (!ids)
        return;
    pthread_mutex_lock(&ids->lock);
    ids->stop = true;
    pthread_cond_signal(&ids->wake);
    pthread_mutex_unlock(&ids->lock);
    if (ids->running)
        pthread_join(ids->thread, NULL);
    for (struct identity *id = ids->list, *next; id; id = next) {
        next = id->next;
        rest_unref(id->rest);
        free(id->account);
        free(id);
    }
    rest_unref(ids->base);
    rest_unref(ids->main);
    pthread_cond_destroy(&ids->wake);
    pthread_mutex_destroy(&ids->lock);
    free(ids);
}

static struct kerr *
start_thread(struct identities *ids)
{
    if (ids->running)
        return NULL;
    int rc = pthread_create(&ids->thread, NULL, run, ids);
    if (rc)
        return kerr_errno(rc, "start the thread that renews tokens");
    ids->running = true;
    return NULL;
}

struct kerr *
identities_get(struct identities *ids, const char *account, struct rest **ret)
{
    struct kerr *err;

    if (!ids->base) {
        *ret = rest_ref(ids->main);
        return NULL;
    }
    struct identity *id = XNEW(struct identity);
    id->set = ids;
    id->account = xstrdup(account);
    id->rest = rest_with_token(ids->base, account);
    rest_on_refused(id->rest, on_refused, id);
    err = renew(ids, id);
    if (!err)
        err = start_thread(ids);
    if (err) {
        rest_unref(id->rest);
        free(id->account);
        free(id);
        return err;
    }
    pthread_mutex_lock(&ids->lock);
    id->next = ids->list;
    ids->list = id;
    pthread_cond_signal(&ids->wake);
    pthread_mutex_unlock(&ids->lock);
    *ret = rest_ref(id->rest);
    return NULL;
}
