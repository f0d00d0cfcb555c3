// SPDX-License-Identifier: Apache-2.0
#include "common/net/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/sbuf.h"
#include "common/net/addr.h"
#include "common/net/tls_private.h"

struct tls_client {
    pthread_mutex_t lock; /* guards ctx, the PEMs' file states, next_look_ms */
    struct tls_pem cert, key, ca;
    char *server_name;
    bool insecure;
    SSL_CTX *ctx;
    uint64_t next_look_ms;
};

/* ---- explaining -------------------------------------------------------------------------------------- */

static void
free_text(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    free(ptr);
}

static int ssl_why_index, ctx_hook_index;
static pthread_once_t indexes_once = PTHREAD_ONCE_INIT;

static void
make_indexes(void)
{
    ssl_why_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_text);
    ctx_hook_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_text);
}

static char *
cert_names(X509 *cert)
{
    struct sbuf out = { 0 };
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && out.len < 300; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const unsigned char *p = NULL;
        int len = 0;
        if (name->type == GEN_DNS || name->type == GEN_IPADD) {
            p = ASN1_STRING_get0_data(name->d.ia5);
            len = ASN1_STRING_length(name->d.ia5);
        }
        if (name->type == GEN_DNS)
            sbuf_addf(&out, "%s%.*s", out.len ? ", " : "", len, (const char *)p);
        else if (name->type == GEN_IPADD && len == 4)
            sbuf_addf(&out, "%s%u.%u.%u.%u", out.len ? ", " : "", p[0], p[1], p[2], p[3]);
    }
    GENERAL_NAMES_free(names);
    return sbuf_steal(&out);
}

/* "certificate "CN=kube-apiserver" (issuer "CN=old-ca", sha256 ab12...) is not trusted: unable to get local issuer
 *  certificate; /etc/kubernetes/pki/ca.crt trusts "CN=kubernetes" */
static char *
explain(const struct tls_client *c, X509_STORE_CTX *ctx)
{
    int code = X509_STORE_CTX_get_error(ctx);
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx), *bad = X509_STORE_CTX_get_current_cert(ctx);
    X509 *cert = bad ? bad : leaf;
    AUTO_FREE char *subject = tls_name_text(X509_get_subject_name(cert));
    AUTO_FREE char *issuer = tls_name_text(X509_get_issuer_name(cert));
    AUTO_FREE char *trusted = tls_store_subjects(X509_STORE_CTX_get0_store(ctx));
    const char *reason = X509_verify_cert_error_string(code);

    if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        AUTO_FREE char *names = cert_names(leaf);
        return xasprintf("certificate \"%s\" is not for this host: it is valid for %s", subject, str_or(names, "no name"));
    }
    return xasprintf("certificate \"%s\" (issuer \"%s\") is not trusted: %s; %s trusts %s", subject, issuer, reason,
                     tls_pem_given(&c->ca) ? tls_pem_where(&c->ca) : "the system's CA bundle", str_or(trusted, "nobody"));
}

static int
verify_and_explain(X509_STORE_CTX *ctx, void *arg)
{
    const struct tls_client *c = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    if (X509_verify_cert(ctx) == 1)
        return 1;
    free(SSL_get_ex_data(ssl, ssl_why_index));
    SSL_set_ex_data(ssl, ssl_why_index, explain(c, ctx));
    return 0;
}

char *
tls_client_explain(struct tls_client *c, SSL *ssl)
{
    const char *why = SSL_get_ex_data(ssl, ssl_why_index);

    if (why)
        return xstrdup(why);
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    if (code && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
        return xstrdup("the peer does not speak TLS on this port");
    return xstrdup(reason ? reason : "TLS handshake failed");
}

/* ---- contexts ---------------------------------------------------------------------------------------- */

static struct kerr *
build(struct tls_client *c, SSL_CTX **ret)
{
    SSL_CTX *ctx = NULL;
    X509_STORE *store = NULL;
    struct kerr *err = tls_new_ctx(TLS_client_method(), &ctx);

    if (!err && tls_pem_given(&c->cert))
        err = tls_load_pair(ctx, &c->cert, &c->key);
    if (!err && tls_pem_given(&c->ca) && !c->insecure) {
        err = tls_load_store(&c->ca, &store, NULL);
        if (!err)
            SSL_CTX_set_cert_store(ctx, store); /* takes store */
    } else if (!err && !c->insecure) {
        SSL_CTX_set_default_verify_paths(ctx);
    }
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_set_verify(ctx, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (!c->insecure)
        SSL_CTX_set_cert_verify_callback(ctx, verify_and_explain, c);
    *ret = ctx;
    return NULL;
}

struct kerr *
tls_client_new(const struct tls_client_options *o, struct tls_client **ret)
{
    struct tls_client *c = XNEW(struct tls_client);

    pthread_once(&indexes_once, make_indexes);
    pthread_mutex_init(&c->lock, NULL);
    tls_pem_init(&c->ca, o->ca_file, o->ca_pem);
    tls_pem_init(&c->cert, o->cert_file, o->cert_pem);
    tls_pem_init(&c->key, o->key_file, o->key_pem);
    c->server_name = str_empty(o->server_name) ? NULL : xstrdup(o->server_name);
    c->insecure = o->insecure;
    c->next_look_ms = clock_mono_ms() + TLS_LOOK_EVERY_MS;
    struct kerr *err = NULL;
    if (tls_pem_given(&c->cert) != tls_pem_given(&c->key))
        err = kerr_new(KERR_INVALID, "client certificate and client key must be given together");
    if (!err)
        err = build(c, &c->ctx);
    if (err) {
        tls_client_free(c);
        return kerr_wrap(err, "TLS");
    }
    *ret = c;
    return NULL;
}

void
tls_client_free(struct tls_client *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    tls_pem_done(&c->ca);
    tls_pem_done(&c->cert);
    tls_pem_done(&c->key);
    free(c->server_name);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void
look_locked(struct tls_client *c)
{
    SSL_CTX *ctx;

    if (!tls_pem_changed(&c->cert) && !tls_pem_changed(&c->key) && !tls_pem_changed(&c->ca))
        return;
    struct kerr *err = build(c, &ctx);
    if (err) {
        log_error("Changed TLS client files cannot be used, going on with the old ones", "ca", tls_pem_where(&c->ca),
                  "cert", tls_pem_where(&c->cert), "err", err->message);
        kerr_free(err);
        return;
    }
    SSL_CTX_free(c->ctx);
    c->ctx = ctx;
}

SSL *
tls_client_connect(struct tls_client *c, const char *host)
{
    const char *name = c->server_name ? c->server_name : host;
    uint64_t now = clock_mono_ms();

    pthread_mutex_lock(&c->lock);
    if (now >= c->next_look_ms) {
        c->next_look_ms = now + TLS_LOOK_EVERY_MS;
        look_locked(c);
    }
    SSL *ssl = SSL_new(c->ctx);
    pthread_mutex_unlock(&c->lock);
    if (!ssl)
        abort(); /* out of memory */
    SSL_set_connect_state(ssl);
    if (addr_is_ip(name)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    } else if (!str_empty(name)) {
        SSL_set1_host(ssl, name);
        SSL_set_tlsext_host_name(ssl, name);
    }
    return ssl;
}

/* ---- libcurl's contexts ------------------------------------------------------------------------------ */

struct curl_hook {
    struct tls_client *client;
    char **why;
};

static int
verify_for_curl(X509_STORE_CTX *ctx, void *arg)
{
    struct curl_hook *hook = arg;

    if (X509_verify_cert(ctx) == 1)
        return 1;
    free(*hook->why);
    *hook->why = explain(hook->client, ctx);
    return 0;
}

void
tls_client_hook_curl(struct tls_client *c, void *ssl_ctx, char **why)
{
    struct curl_hook *hook = XNEW(struct curl_hook);

    *hook = (struct curl_hook){ c, why };
    SSL_CTX_set_ex_data(ssl_ctx, ctx_hook_index, hook); /* freed with it */
    if (!c->insecure)
        SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_for_curl, hook);
}
