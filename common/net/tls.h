// SPDX-License-Identifier: Apache-2.0
/* tls.h - who we are and whom we trust, on each side of a connection, from files that may change under us.
 * A tls_server or tls_client holds the newest good OpenSSL context; the files are looked at again at most once a second
 * when a connection is made.  A broken new file is logged by name and the old context stays in use.
 * Objects are shared by all loops and threads. */
#ifndef CKUBE_NET_TLS_H
#define CKUBE_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/mem.h"
#include "common/base/str.h"

struct bufferevent;
struct ssl_st;
struct tls_server;
struct tls_client;

/* ---- server ---------------------------------------------------------------------------------------- */

/* Client certificates are asked for but never demanded: a client without one is anonymous here, one that cannot be verified
 * carries the reason in `refused`, and authentication decides (as upstream does).  Two trust roots, told apart by bit. */
enum tls_ca { TLS_CA_CLIENT = 0, TLS_CA_REQUESTHEADER = 1, TLS_CA_COUNT };

struct tls_server_options {
    const char *cert_file; /* PEM, leaf first, intermediates after */
    const char *key_file;
    const char *ca_files[TLS_CA_COUNT]; /* PEM bundles; NULL = none */
    const char *min_version;            /* "VersionTLS12" (also for NULL and ""), "VersionTLS13"; 10 and 11 are refused */
    const char *cipher_suites;          /* comma list of IANA names as upstream's flag takes them; NULL or "" = our defaults */
    bool alpn_h2;                       /* offer "h2" too; only with a codec behind it */
};
struct kerr *tls_server_new(const struct tls_server_options *options, struct tls_server **ret) MUST_CHECK;
void tls_server_free(struct tls_server *s);
DEFINE_AUTO(tls_server)

/* Replaces the bundle of one trust root by PEM text (a ConfigMap, say); pem NULL = trust nobody there. */
struct kerr *tls_server_set_ca(struct tls_server *s, enum tls_ca which, const char *pem) MUST_CHECK;
struct ssl_st *tls_server_accept(struct tls_server *s) MUST_CHECK; /* a new SSL in accept state */
void tls_server_check_files(struct tls_server *s); /* look now, without the once-a-second limit */

/* libevent stops reading at a channel's high watermark or when told to, and waits for the socket when it may go on; bytes
 * that OpenSSL has already taken off the socket would lie there until the peer sends more.  Call this on the channel's loop
 * after making room: it reads them soon.  Nothing happens on a plain channel or when nothing lies there. */
void tls_read_on(struct bufferevent *bev);

/* Who the client says it is.  Valid names come from the leaf certificate. */
struct tls_identity {
    char *common_name;
    struct strlist organizations;
    char *subject, *issuer; /* "CN=...,O=..." */
    char *refused;          /* why no trust root verified it; NULL when one did */
    unsigned trusted_by;    /* bit (1 << TLS_CA_...) per trust root that verified it */
    int64_t not_after_s;
    char *fingerprint; /* SHA-256, lower-case hex */
};
/* NULL when the client showed no certificate. */
struct tls_identity *tls_identity_of(struct tls_server *s, struct ssl_st *ssl) MUST_CHECK;
void tls_identity_free(struct tls_identity *id);
DEFINE_AUTO(tls_identity)

/* ---- client ---------------------------------------------------------------------------------------- */

struct tls_client_options { /* for each: a file, or PEM text; text wins */
    const char *ca_file, *ca_pem; /* neither = the system's roots */
    const char *cert_file, *cert_pem;
    const char *key_file, *key_pem;
    const char *server_name; /* name to expect and to send as SNI; NULL = the host dialled */
    bool insecure;           /* trust anybody */
};
struct kerr *tls_client_new(const struct tls_client_options *options, struct tls_client **ret) MUST_CHECK;
void tls_client_free(struct tls_client *c);
DEFINE_AUTO(tls_client)
struct ssl_st *tls_client_connect(struct tls_client *c, const char *host) MUST_CHECK; /* a new SSL in connect state */
/* Why the handshake failed, in words that name issuer, expected CA and its file.  Caller frees. */
char *tls_client_explain(struct tls_client *c, struct ssl_st *ssl) MUST_CHECK;
/* For libcurl: verifies as tls_client does and keeps the explanation in *why (freed and set; NULL = fine).
 * `ssl_ctx` is an SSL_CTX; `why` must outlive it. */
void tls_client_hook_curl(struct tls_client *c, void *ssl_ctx, char **why);

/* ---- flags, files ---------------------------------------------------------------------------------- */

struct kerr *tls_check_min_version(const char *name) MUST_CHECK;   /* "" is fine */
struct kerr *tls_check_cipher_suites(const char *list) MUST_CHECK; /* "" is fine */

/* `<dir>/<name>.crt` and `.key` (0600), made when either is missing: self-signed, a year, for host and the extra names
 * and addresses.  Both paths are the caller's to free.  For daemons without --tls-cert-file. */
struct kerr *tls_self_signed(const char *dir, const char *name, const char *host, const struct strlist *alt_names,
                             char **ret_cert_file, char **ret_key_file) MUST_CHECK;

#endif
