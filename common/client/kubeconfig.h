// SPDX-License-Identifier: Apache-2.0
/* kubeconfig.h - where the apiserver is and who we are: a kubeconfig file or the pod's service account.
 * Reads files, no network.  Errors name the file and the field. */
#ifndef CKUBE_CLIENT_KUBECONFIG_H
#define CKUBE_CLIENT_KUBECONFIG_H

#include <stdbool.h>

#include "common/base/kerr.h"

struct client_config { /* zero-initialised is empty; strings owned */
    char *origin;      /* for messages: "/etc/kubernetes/scheduler.conf (context default)" or "in-cluster" */
    char *server;      /* "https://127.0.0.1:6443", no trailing slash */
    char *tls_server_name;
    bool insecure_skip_tls_verify;
    char *ca_file, *ca_pem;     /* path or content; neither = the system's */
    char *cert_file, *cert_pem; /* client certificate */
    char *key_file, *key_pem;
    char *token, *token_file; /* token_file wins and is read again when it changes */
    char *username, *password;
    char *namespace; /* of the context; may be NULL */
};

/* context NULL or "": current-context, or the only one. */
struct kerr *kubeconfig_load(const char *path, const char *context, struct client_config *ret) MUST_CHECK;
struct kerr *kubeconfig_parse(const char *text, size_t len, const char *path, const char *context, struct client_config *ret) MUST_CHECK;
/* KUBERNETES_SERVICE_HOST and /var/run/secrets/kubernetes.io/serviceaccount. */
struct kerr *client_config_in_cluster(struct client_config *ret) MUST_CHECK;
/* path set: that file; empty: in-cluster.  `master` set: overrides the server. */
struct kerr *client_config_load(const char *path, const char *master, struct client_config *ret) MUST_CHECK;
void client_config_copy(const struct client_config *from, struct client_config *ret);
void client_config_done(struct client_config *c);
static inline void auto_client_config_(struct client_config *c)
{
    client_config_done(c);
}
#define AUTO_CLIENT_CONFIG __attribute__((cleanup(auto_client_config_))) struct client_config

/* Writes one (kubelet's TLS bootstrap): paths or embedded data as set in c.  Mode 0600, atomic. */
struct kerr *kubeconfig_write(const char *path, const struct client_config *c, const char *user) MUST_CHECK;

#endif
