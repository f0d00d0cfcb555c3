// SPDX-License-Identifier: Apache-2.0
/* options.h - the flags of kube-apiserver, and what follows from them. */
#ifndef CKUBE_APISERVER_OPTIONS_H
#define CKUBE_APISERVER_OPTIONS_H

#include "apiserver/server.h"
#include "common/daemon/flags.h"

struct options {
    struct apiserver_options api; /* what handlers read */
    struct strlist etcd_servers;
    char *etcd_cafile, *etcd_certfile, *etcd_keyfile, *etcd_prefix, *storage_backend;
    int64_t etcd_compaction_interval_ms;
    char *tls_cert_file, *tls_private_key_file, *cert_dir, *tls_min_version;
    struct strlist tls_cipher_suites;
    bool anonymous_auth, bootstrap_tokens, extend_token_expiration;
    char *token_auth_file;
    struct strlist authorization_mode;
    struct strlist service_account_key_files, api_audiences;
    char *service_account_signing_key_file;
    int64_t max_token_expiration_ms;
    char *audit_log_path, *audit_policy_file, *encryption_provider_config;
    struct flag_map runtime_config;
};

void options_add_flags(struct flags *fs, struct options *o);
/* Cross-checks, and fills what follows from other flags (advertise address, key files).  KERR_BAD_REQUEST names the flag. */
struct kerr *options_check(struct options *o) MUST_CHECK;
/* Subject alternative names for a self-made serving certificate. */
void options_self_signed_names(const struct options *o, struct strlist *ret);
char *options_join(const struct strlist *l) MUST_CHECK; /* with commas */
/* First usable address of the first service range: the kubernetes Service. */
struct kerr *options_first_service_ip(const struct apiserver_options *o, char ret[64]) MUST_CHECK;

#endif
