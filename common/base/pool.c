// SPDX-License-Identifier: Apache-2.0
#include "common/base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <signal.h>

struct job {
    struct job *next;
    void (*fn)(void *);
    void *arg;
};

struct pool {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    struct job *head, **tail;
    size_t queued, max_queued;
    unsigned threads, idle, max_threads;
    bool stopping;
    pthread_t *ids;
    char name[16];
};

struct pool *
pool_new(const char *name, unsigned max_threads, size_t max_queued)
{
    struct pool *p = XNEW(struct pool);

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->tail = &p->head;
    p->max_queued = max_queued;
    p->max_threads = max_threads;
    p->ids = xcalloc(max_threads, sizeof *p->ids);
    for (size_t i = 0; i + 1 < sizeof p->name && name[i]; i++)
        p->name[i] = name[i];
    return p;
}

static void *
thread_main(void *arg)
{
    struct pool *p = arg;

    pthread_setname_np(pthread_self(), p->name);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->head && !p->stopping) {
            p->idle++;
            pthread_cond_wait(&p->wake, &p->lock);
            p->idle--;
        }
        struct job *job = p->head;
        if (!job)
            break;
        p->head = job->next;
        if (!p->head)
            p->tail = &p->head;
        p->queued--;
        pthread_mutex_unlock(&p->lock);
        job->fn(job->arg);
        free(job);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals go to the main thread only. */
static void
start_thread(struct pool *p)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&p->ids[p->threads], NULL, thread_main, p) == 0)
        p->threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int
pool_submit(struct pool *p, void (*fn)(void *arg), void *arg)
{
    struct job *job = XNEW(struct job);
    int rc = 0;

    job->fn = fn;
    job->arg = arg;
    pthread_mutex_lock(&p->lock);
    if (p->stopping)
        rc = -ESHUTDOWN;
    else if (p->queued >= p->max_queued)
        rc = -EBUSY;
    else {
        if (p->queued >= p->idle && p->threads < p->max_threads)
            start_thread(p);
        if (p->threads == 0)
            rc = -EAGAIN;
    }
    if (rc == 0) {
        *p->tail = job;
        p->tail = &job->next;
        p->queued++;
        pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    if (rc)
        free(job);
    return rc;
}

void
pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->ids);
    free(p);
}
