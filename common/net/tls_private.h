// SPDX-License-Identifier: Apache-2.0
/* tls_private.h - PEM material and OpenSSL helpers shared by tls_server.c, tls_client.c and tls_files.c. */
#ifndef CKUBE_NET_TLS_PRIVATE_H
#define CKUBE_NET_TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <sys/types.h>
#include <time.h>

#include "common/net/tls.h"

#define TLS_LOOK_EVERY_MS 1000

/* One piece of PEM: from a file that is looked at again, or given as text. */
struct tls_pem {
    char *file; /* NULL = none */
    char *text; /* given; wins */
    ino_t ino;
    off_t size;
    struct timespec mtime;
};
void tls_pem_init(struct tls_pem *p, const char *file, const char *text); /* copies */
void tls_pem_done(struct tls_pem *p);
bool tls_pem_given(const struct tls_pem *p);
bool tls_pem_changed(const struct tls_pem *p); /* since the last read; a missing file has not changed */
/* The caller frees; notes the file's identity. */
struct kerr *tls_pem_read(struct tls_pem *p, char **ret) MUST_CHECK;
const char *tls_pem_where(const struct tls_pem *p); /* the file's name, or "inline data" */

struct kerr *tls_load_pair(SSL_CTX *ctx, struct tls_pem *cert, struct tls_pem *key) MUST_CHECK;
/* All certificates of a bundle; names (may be NULL) collects their subjects. */
struct kerr *tls_load_store(struct tls_pem *ca, X509_STORE **ret, STACK_OF(X509_NAME) *names) MUST_CHECK;
struct kerr *tls_new_ctx(const SSL_METHOD *method, SSL_CTX **ret) MUST_CHECK; /* with what both sides share */
struct kerr *tls_apply_flags(SSL_CTX *ctx, const char *min_version, const char *suites) MUST_CHECK;

struct kerr *tls_openssl_error(const char *fmt, ...) MUST_CHECK PRINTF_LIKE(1, 2); /* "<fmt>: <newest reason>"; clears */
char *tls_name_text(const X509_NAME *name) MUST_CHECK; /* "CN=a,O=b" */
char *tls_store_subjects(X509_STORE *store) MUST_CHECK; /* of its first few certificates, for messages */

#endif
