// SPDX-License-Identifier: Apache-2.0
/* daemon_impl.h - what daemon.c, serving.c and endpoints.c share.  For these files only. */
#ifndef CKUBE_DAEMON_DAEMON_IMPL_H
#define CKUBE_DAEMON_DAEMON_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/daemon/daemon.h"
#include "common/net/loop.h"

struct event;
struct http_server;
struct pool;
struct rest;
struct tls_server;

struct common_options {
    int32_t v;
    char *vmodule, *logging_format;
    struct flag_map feature_gates;
    bool help, version;
};

struct endpoint {
    char *path;
    endpoint_fn *fn;
    void *arg;
};

struct listener {
    struct daemon *daemon;
    struct http_server *server;
    const char *const *paths; /* NULL = all */
    bool secure;              /* who asks is checked */
    struct listener *next;
};

struct waiting {
    char *peer;
    uint64_t logged_ms;
};

#define MAX_WAITING 64

struct daemon {
    const char *name;
    struct flags *flags;
    struct common_options options;
    struct serving_options serving;
    const char *const *known_gates;
    struct health *health;
    struct loop *loop;
    atomic_bool stopping;
    atomic_int exit_code;
    int64_t started_s;

    int signal_fd; /* eventfd, written by the signal handler */
    struct event *signal_event;
    struct loop_timer *watchdog;
    void (*reopen)(void *arg);
    void *reopen_arg;

    pthread_mutex_t lock; /* guards endpoints, configz and waiting */
    struct endpoint *endpoints;
    size_t nendpoints;
    struct flag_map configz;
    struct waiting waiting[MAX_WAITING];
    size_t nwaiting;

    /* serving */
    struct loop *http_loop;
    struct pool *http_pool;
    struct listener *listeners;
    struct tls_server *tls;
    struct delegated *delegated;
    struct rest *authn, *authz;
    struct loop_timer *ca_timer;
    char *temp_cert_dir;
};

void serving_done(struct daemon *d);
void serving_options_done(struct serving_options *s);

#endif
