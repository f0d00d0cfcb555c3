// SPDX-License-Identifier: Apache-2.0
/* kube-apiserver: flags, order of start, run.  What the parts are: server.h. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apiserver/admission/admission.h"
#include "apiserver/bootstrap.h"
#include "apiserver/http/pipeline.h"
#include "apiserver/options.h"
#include "apiserver/rest/kubelet_dialer.h"
#include "apiserver/rest/watch_cache.h"
#include "apiserver/server.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/daemon/daemon.h"
#include "common/daemon/health.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"
#include "common/net/tls.h"

enum { WRITERS = 24, WRITES_QUEUED = 2000 };

static struct kerr *
etcd_health(void *arg)
{
    return storage_health(arg);
}

static struct kerr *
start_storage(struct apiserver *srv, const struct options *o, struct etcd **ret_etcd)
{
    const struct etcd_config ec = {
        .endpoints = o->etcd_servers,
        .ca_file = o->etcd_cafile,
        .cert_file = o->etcd_certfile,
        .key_file = o->etcd_keyfile,
    };
    struct kerr *err = etcd_new(&ec, ret_etcd);

    if (err)
        return err;
    const struct storage_config sc = {
        .etcd = *ret_etcd,
        .prefix = o->etcd_prefix,
        .compaction_interval_ms = o->etcd_compaction_interval_ms,
    };
    srv->storage = storage_new(&sc);
    resources_start(srv->storage, o->api.event_ttl_ms / 1000);
    storage_start(srv->storage);
    health_add(daemon_health(srv->daemon), HEALTH_HEALTHZ | HEALTH_READYZ, "etcd", etcd_health, srv->storage);
    health_add(daemon_health(srv->daemon), HEALTH_READYZ, "etcd-readiness", etcd_health, srv->storage);
    return NULL;
}

static void
wake_port(void *arg)
{
    struct api_loop *al = arg;

    hub_port_run(al->port);
}

static void
post_wake(void *arg)
{
    struct api_loop *al = arg;

    loop_post(al->loop, wake_port, al);
}

static void
tick(void *arg)
{
    struct api_loop *al = arg;

    hub_port_tick(al->port, clock_mono_ms());
}

static struct kerr *
start_loops(struct apiserver *srv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct kerr *err = NULL;

    srv->nloops = cores < 1 ? 1 : cores > 8 ? 8 : (size_t)cores;
    srv->loops = xcalloc(srv->nloops, sizeof *srv->loops);
    for (size_t i = 0; !err && i < srv->nloops; i++) {
        struct api_loop *al = &srv->loops[i];
        char name[32];
        snprintf(name, sizeof name, "io-%zu", i);
        al->srv = srv;
        if ((err = loop_new(name, &al->loop)))
            break;
        al->port = hub_port_new(srv->storage, post_wake, al);
        al->tick = loop_timer_new(al->loop, tick, al);
        al->encodings = watch_cache_new();
        loop_timer_every(al->tick, 1000);
    }
    return err;
}

static struct kerr *
start_auth(struct apiserver *srv, const struct options *o)
{
    AUTO_FREE char *url = xasprintf("https://%s:%d", o->api.advertise_address, (int)o->api.secure_port);
    const struct authn_config ac = {
        .storage = srv->storage,
        .anonymous = o->anonymous_auth,
        .token_auth_file = o->token_auth_file,
        .client_ca = !str_empty(o->api.client_ca_file),
        .bootstrap_tokens = o->bootstrap_tokens,
        .issuers = &o->api.service_account_issuer,
        .audiences = &o->api_audiences,
        .key_files = &o->service_account_key_files,
        .signing_key_file = o->service_account_signing_key_file,
        .max_token_expiration_s = o->max_token_expiration_ms / 1000,
        .extend_token_expiration = o->extend_token_expiration,
        .advertise_url = url,
        .requestheader_allowed_names = &o->api.requestheader_allowed_names,
        .requestheader_username_headers = str_empty(o->api.requestheader_client_ca_file) ? NULL : &o->api.requestheader_username_headers,
        .requestheader_group_headers = &o->api.requestheader_group_headers,
        .requestheader_extra_prefixes = &o->api.requestheader_extra_headers_prefix,
    };
    struct kerr *err = authn_new(&ac, &srv->authn);

    return err ? err : authz_new(&o->authorization_mode, srv->storage, &srv->authz);
}

static struct kerr *
start_serving(struct apiserver *srv, const struct options *o, struct tls_server **ret_tls)
{
    AUTO_FREE char *made_cert = NULL;
    AUTO_FREE char *made_key = NULL;
    const char *cert = o->tls_cert_file, *key = o->tls_private_key_file;
    struct kerr *err;

    if (str_empty(cert)) {
        struct strlist names = { 0 };
        options_self_signed_names(o, &names);
        err = tls_self_signed(o->cert_dir, "apiserver", o->api.advertise_address, &names, &made_cert, &made_key);
        strlist_done(&names);
        if (err)
            return err;
        cert = made_cert;
        key = made_key;
    }
    AUTO_FREE char *suites = options_join(&o->tls_cipher_suites);
    const struct tls_server_options to = {
        .cert_file = cert,
        .key_file = key,
        .ca_files = { [TLS_CA_CLIENT] = str_empty(o->api.client_ca_file) ? NULL : o->api.client_ca_file,
                      [TLS_CA_REQUESTHEADER] = str_empty(o->api.requestheader_client_ca_file) ? NULL : o->api.requestheader_client_ca_file },
        .min_version = o->tls_min_version,
        .cipher_suites = suites,
    };
    if ((err = tls_server_new(&to, ret_tls)))
        return err;
    const struct http_limits limits = { .max_body = 3 * 1024 * 1024 };
    if ((err = http_server_new(&pipeline_handler, srv, &limits, &srv->http)))
        return err;
    struct loop *loops[8];
    for (size_t i = 0; i < srv->nloops; i++)
        loops[i] = srv->loops[i].loop;
    err = http_server_listen(srv->http, loops, srv->nloops, o->api.bind_address, (uint16_t)o->api.secure_port, *ret_tls);
    for (size_t i = 0; !err && i < srv->nloops; i++)
        err = loop_thread_start(srv->loops[i].loop);
    if (!err)
        log_info("Serving securely", "address", o->api.bind_address, "port", kv_int(o->api.secure_port));
    return err;
}

static void
stop(struct apiserver *srv)
{
    if (srv->http)
        http_server_drain(srv->http);
    bootstrap_stop();
    pool_free(srv->writers);
    if (srv->storage)
        storage_stop(srv->storage); /* from here on nothing posts to the loops */
    for (size_t i = 0; i < srv->nloops; i++) {
        loop_stop(srv->loops[i].loop);
        loop_thread_join(srv->loops[i].loop);
    }
    http_server_free(srv->http);
    for (size_t i = 0; i < srv->nloops; i++) {
        loop_timer_free(srv->loops[i].tick);
        loop_free(srv->loops[i].loop); /* runs what was posted to it, which may still turn the port */
        hub_port_free(srv->loops[i].port);
        watch_cache_free(srv->loops[i].encodings);
    }
    free(srv->loops);
    authz_free(srv->authz);
    authn_free(srv->authn);
}

static struct kerr *
start(struct apiserver *srv, struct options *o, struct etcd **ret_etcd, struct tls_server **ret_tls)
{
    struct kerr *err = options_check(o);

    if (!err)
        err = start_storage(srv, o, ret_etcd);
    if (!err)
        err = start_loops(srv);
    if (!err)
        err = start_auth(srv, o);
    if (!err)
        err = admission_start(srv);
    if (!err)
        err = kubelet_dialer_new(&o->api, &srv->kubelets);
    if (err)
        return err;
    srv->writers = pool_new("writer", WRITERS, WRITES_QUEUED);
    pipeline_register_metrics();
    /* Reads are answered from memory: nothing is served before it is loaded. */
    while (!storage_wait_ready(srv->storage, 2000)) {
        AUTO(kerr) *why = storage_health(srv->storage);
        daemon_waiting(srv->daemon, etcd_endpoints(*ret_etcd), why);
        if (daemon_stopping(srv->daemon))
            return NULL;
    }
    err = bootstrap_start(srv);
    return err ? err : start_serving(srv, o, ret_tls);
}

int
main(int argc, char **argv)
{
    /* Dozens of threads that mostly wait: as many malloc arenas as can be busy at a time keep the memory small.
     * First of all: the daemon's parts start threads. */
    mallopt(M_ARENA_MAX, (int)sysconf(_SC_NPROCESSORS_ONLN) + 1);

    struct daemon *d = daemon_new("kube-apiserver", "The Kubernetes API server validates and configures data for the api objects which "
                                                    "include pods, services, replicationcontrollers, and others.");
    struct options o = { 0 };
    struct apiserver srv = { .daemon = d, .options = &o.api };
    struct etcd *etcd = NULL;
    struct tls_server *tls = NULL;
    int rc;

    options_add_flags(daemon_flags(d), &o);
    if (!daemon_start(d, argc, argv, &rc)) {
        daemon_free(d);
        return rc;
    }
    struct kerr *err = start(&srv, &o, &etcd, &tls);
    if (err) {
        rc = daemon_fail(d, err);
    } else {
        daemon_ready(d);
        rc = daemon_run(d);
    }
    AUTO(kerr) *etcd_gone = srv.storage && storage_ready(srv.storage) ? storage_health(srv.storage) : NULL;
    if (etcd_gone && etcd)
        etcd_interrupt(etcd); /* writes that wait for it would hold up the end one by one */
    stop(&srv);
    if (etcd)
        etcd_interrupt(etcd);
    storage_free(srv.storage);
    resources_stop();
    kubelet_dialer_free(srv.kubelets);
    etcd_free(etcd);
    tls_server_free(tls);
    daemon_free(d);
    return rc;
}
