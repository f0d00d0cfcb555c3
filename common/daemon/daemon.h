// SPDX-License-Identifier: Apache-2.0
/* daemon.h - what all five programs do alike: flags, logging, signals, the loop, HTTP endpoints, systemd.
 *
 *   int main(int argc, char **argv)
 *   {
 *       struct daemon *d = daemon_new("kube-scheduler", "The Kubernetes scheduler is ...");
 *       int rc;
 *       flags_add(daemon_flags(d), "Misc", my_flags, ARRAY_LEN(my_flags), &my_options);
 *       daemon_add_serving_flags(d, 10259);              // optional: --secure-port, --tls-*, --authentication-kubeconfig, ...
 *       if (!daemon_start(d, argc, argv, &rc))           // --help, --version, bad flags: rc is the exit code
 *           return rc;
 *       ...read configs, make clients...                 // failures: return daemon_fail(d, err);
 *       err = daemon_serve(d);                           // endpoints are up: /healthz /livez /readyz /metrics /version ...
 *       ...start informers and workers, post them on daemon_loop(d)...
 *       daemon_ready(d);                                 // READY=1
 *       rc = daemon_run(d);                              // until SIGTERM, SIGINT or daemon_stop()
 *       ...stop workers...
 *       daemon_free(d);                                  // after everything that uses its loop
 *       return rc;
 *   }
 *
 * The main thread owns the loop that daemon_run() turns.  kube-apiserver and kubelet have servers of their own and
 * use health.h, metrics.h and daemon_answer() from them. */
#ifndef CKUBE_DAEMON_DAEMON_H
#define CKUBE_DAEMON_DAEMON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/sbuf.h"
#include "common/daemon/flags.h"
#include "common/daemon/health.h"

struct loop;
struct delegated;

struct daemon;

struct daemon *daemon_new(const char *name, const char *about) MUST_CHECK;
void daemon_free(struct daemon *d);
DEFINE_AUTO(daemon)

/* --- before daemon_start() --- */
struct flags *daemon_flags(struct daemon *d); /* the common set is in it: --v, --vmodule, --logging-format, --feature-gates, ... */
void daemon_add_serving_flags(struct daemon *d, int default_port);
/* Known gates and their defaults, NULL-terminated "Name=true" strings; unknown ones only warn. */
void daemon_feature_gates(struct daemon *d, const char *const *known);

/* --- start-up --- */
/* Parses, sets up logging and signals, logs the version and the flags.  False: leave with *ret_exit_code. */
bool daemon_start(struct daemon *d, int argc, char *const *argv, int *ret_exit_code);
/* Logs the error as upstream does ("command failed" err="...") and gives exit code 1.  Takes err. */
int daemon_fail(struct daemon *d, struct kerr *err);
bool daemon_feature(const struct daemon *d, const char *gate);
const char *daemon_name(const struct daemon *d);
struct loop *daemon_loop(struct daemon *d);
struct health *daemon_health(struct daemon *d);

/* What serves the endpoints; filled from the serving flags, open to changes before daemon_serve(). */
struct serving_options {
    char *bind_address;
    int32_t port; /* 0 = no endpoints */
    bool insecure; /* plain HTTP without authentication (kube-proxy's 10249 and 10256, kubelet's 10248) */
    char *tls_cert_file, *tls_private_key_file, *cert_dir, *tls_min_version;
    struct strlist tls_cipher_suites;
    char *client_ca_file, *requestheader_client_ca_file;
    struct strlist requestheader_allowed_names;
    char *authentication_kubeconfig, *authorization_kubeconfig;
    bool authentication_skip_lookup, authentication_tolerate_lookup_failure;
    struct strlist always_allow_paths; /* /healthz /readyz /livez */
};
struct serving_options *daemon_serving(struct daemon *d);
struct kerr *daemon_serve(struct daemon *d) MUST_CHECK; /* binds and answers; by daemon_serving() */
/* One more plain listener with the same endpoints (kube-proxy has two).  `paths` NULL = all, else NULL-terminated. */
struct kerr *daemon_serve_plain(struct daemon *d, const char *bind_address, int port, const char *const *paths) MUST_CHECK;

/* --- endpoints beside /healthz* /livez* /readyz* /metrics /version /configz /flagz /statusz /debug/flags/v --- */
struct endpoint_request {
    const char *method, *path, *query; /* path is decoded, query is not */
    const char *body;
    size_t body_len;
};
struct endpoint_reply {
    int code; /* 200 unless set */
    const char *content_type; /* constant; "text/plain; charset=utf-8" unless set */
    struct sbuf body;
};
typedef void endpoint_fn(const struct endpoint_request *req, struct endpoint_reply *reply, void *arg);
/* Runs on a pool thread.  A path ending in "/" takes all below it. */
void daemon_add_endpoint(struct daemon *d, const char *path, endpoint_fn *fn, void *arg);
/* Used under /configz: {"<key>": <json>}; json is copied. */
void daemon_set_configz(struct daemon *d, const char *key, const char *json);
/* Answers any of the endpoints above, for daemons with their own server.  False: no such path. */
bool daemon_answer(struct daemon *d, const struct endpoint_request *req, struct endpoint_reply *reply);

/* --- running --- */
void daemon_ready(struct daemon *d); /* READY=1, and the watchdog is fed from the loop from now on */
/* "waiting for <peer>: <why>": log line at most every 10 s per peer and STATUS= for systemd; why NULL: it is well again.
 * Any thread. */
void daemon_waiting(struct daemon *d, const char *peer, const struct kerr *why);
/* The same in the shape that rest_wait() and informers_on_trouble() call; arg is the daemon. */
void daemon_waiting_fn(const char *peer, const struct kerr *why, void *daemon);
int daemon_run(struct daemon *d);                /* the exit code */
void daemon_stop(struct daemon *d, int exit_code); /* any thread */
bool daemon_stopping(const struct daemon *d);      /* any thread */
const atomic_bool *daemon_stop_flag(const struct daemon *d); /* for rest_wait() and the like; set by a signal at once */
void daemon_on_reopen(struct daemon *d, void (*fn)(void *arg), void *arg); /* SIGHUP, on the loop */

#endif
