// SPDX-License-Identifier: Apache-2.0
#include "common/net/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/sbuf.h"
#include "common/net/tls_private.h"

struct tls_server {
    pthread_mutex_t lock; /* guards all below */
    struct tls_pem cert, key, ca[TLS_CA_COUNT];
    char *min_version, *cipher_suites;
    bool alpn_h2;
    SSL_CTX *ctx;
    X509_STORE *stores[TLS_CA_COUNT]; /* NULL = nobody is trusted there */
    uint64_t next_look_ms;
};

/* ---- contexts ---------------------------------------------------------------------------------------- */

/* Every certificate passes the handshake; who it makes of the client is decided in tls_identity_of(). */
static int
let_pass(X509_STORE_CTX *ctx, void *arg)
{
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
                void *arg)
{
    static const unsigned char with_h2[] = "\x02h2\x08http/1.1";
    const struct tls_server *s = arg;
    const unsigned char *ours = s->alpn_h2 ? with_h2 : with_h2 + 3;
    unsigned len = (unsigned)(s->alpn_h2 ? sizeof with_h2 - 1 : sizeof with_h2 - 4);

    if (SSL_select_next_proto((unsigned char **)out, out_len, ours, len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; /* nothing in common: go on without, HTTP/1.1 is what comes */
    return SSL_TLSEXT_ERR_OK;
}

static void
free_stores(X509_STORE **stores)
{
    for (int i = 0; i < TLS_CA_COUNT; i++)
        X509_STORE_free(stores[i]);
}

static struct kerr *
load_stores(struct tls_server *s, X509_STORE **stores, STACK_OF(X509_NAME) *names)
{
    struct kerr *err = NULL;

    for (int i = 0; i < TLS_CA_COUNT && !err; i++)
        if (tls_pem_given(&s->ca[i]))
            err = tls_load_store(&s->ca[i], &stores[i], names);
    return err;
}

static struct kerr *
build(struct tls_server *s, SSL_CTX **ret_ctx, X509_STORE **ret_stores)
{
    X509_STORE *stores[TLS_CA_COUNT] = { 0 };
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    SSL_CTX *ctx = NULL;
    struct kerr *err = tls_new_ctx(TLS_server_method(), &ctx);

    if (!err)
        err = tls_apply_flags(ctx, s->min_version, s->cipher_suites);
    if (!err)
        err = tls_load_pair(ctx, &s->cert, &s->key);
    if (!err)
        err = load_stores(s, stores, names);
    if (err) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        free_stores(stores);
        SSL_CTX_free(ctx);
        return err;
    }
    bool asks = sk_X509_NAME_num(names) > 0;
    SSL_CTX_set_client_CA_list(ctx, names); /* takes names */
    SSL_CTX_set_verify(ctx, asks ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, let_pass, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, s);
    /* No resumption: a resumed session would skip the look at changed CAs. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 0);
    *ret_ctx = ctx;
    memcpy(ret_stores, stores, sizeof stores);
    return NULL;
}

static struct kerr *
rebuild(struct tls_server *s)
{
    SSL_CTX *ctx;
    X509_STORE *stores[TLS_CA_COUNT];
    struct kerr *err = build(s, &ctx, stores);

    if (err)
        return err;
    SSL_CTX_free(s->ctx); /* connections that use it hold it */
    free_stores(s->stores);
    s->ctx = ctx;
    memcpy(s->stores, stores, sizeof stores);
    return NULL;
}

struct kerr *
tls_server_new(const struct tls_server_options *o, struct tls_server **ret)
{
    if (str_empty(o->cert_file) || str_empty(o->key_file))
        return kerr_new(KERR_INVALID, "TLS: certificate file and key file must both be given");
    struct tls_server *s = XNEW(struct tls_server);
    pthread_mutex_init(&s->lock, NULL);
    tls_pem_init(&s->cert, o->cert_file, NULL);
    tls_pem_init(&s->key, o->key_file, NULL);
    for (int i = 0; i < TLS_CA_COUNT; i++)
        tls_pem_init(&s->ca[i], o->ca_files[i], NULL);
    s->min_version = xstrdup(o->min_version);
    s->cipher_suites = xstrdup(o->cipher_suites);
    s->alpn_h2 = o->alpn_h2;
    s->next_look_ms = clock_mono_ms() + TLS_LOOK_EVERY_MS;
    struct kerr *err = rebuild(s);
    if (err) {
        tls_server_free(s);
        return kerr_wrap(err, "TLS");
    }
    *ret = s;
    return NULL;
}

void
tls_server_free(struct tls_server *s)
{
    if (!s)
        return;
    SSL_CTX_free(s->ctx);
    free_stores(s->stores);
    tls_pem_done(&s->cert);
    tls_pem_done(&s->key);
    for (int i = 0; i < TLS_CA_COUNT; i++)
        tls_pem_done(&s->ca[i]);
    free(s->min_version);
    free(s->cipher_suites);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- changes ----------------------------------------------------------------------------------------- */

static void
look_locked(struct tls_server *s)
{
    bool changed = tls_pem_changed(&s->cert) || tls_pem_changed(&s->key);

    for (int i = 0; i < TLS_CA_COUNT; i++)
        changed |= tls_pem_changed(&s->ca[i]);
    if (!changed)
        return;
    struct kerr *err = rebuild(s);
    if (err)
        log_error("Changed TLS files cannot be used, serving with the old ones", "cert", tls_pem_where(&s->cert), "err",
                  err->message);
    else
        log_info("TLS files changed, serving with the new ones", "cert", tls_pem_where(&s->cert));
    kerr_free(err);
}

void
tls_server_check_files(struct tls_server *s)
{
    pthread_mutex_lock(&s->lock);
    look_locked(s);
    pthread_mutex_unlock(&s->lock);
}

struct kerr *
tls_server_set_ca(struct tls_server *s, enum tls_ca which, const char *pem)
{
    struct tls_pem old;

    pthread_mutex_lock(&s->lock);
    old = s->ca[which];
    tls_pem_init(&s->ca[which], NULL, pem);
    struct kerr *err = rebuild(s);
    if (err) {
        tls_pem_done(&s->ca[which]);
        s->ca[which] = old;
    } else {
        tls_pem_done(&old);
    }
    pthread_mutex_unlock(&s->lock);
    return kerr_wrap(err, "TLS: new CA bundle");
}

SSL *
tls_server_accept(struct tls_server *s)
{
    uint64_t now = clock_mono_ms();

    pthread_mutex_lock(&s->lock);
    if (now >= s->next_look_ms) {
        s->next_look_ms = now + TLS_LOOK_EVERY_MS;
        look_locked(s);
    }
    SSL *ssl = SSL_new(s->ctx);
    pthread_mutex_unlock(&s->lock);
    if (!ssl)
        abort(); /* out of memory */
    SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- who the client is ------------------------------------------------------------------------------- */

static char *
entry_text(X509_NAME_ENTRY *entry)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));

    /* A NUL inside would make two readers see two names. */
    char *text = len < 0 || memchr(utf8, 0, (size_t)len) ? NULL : xstrndup((char *)utf8, (size_t)len);
    OPENSSL_free(utf8);
    return text;
}

static void
read_subject(struct tls_identity *id, X509 *cert)
{
    X509_NAME *name = X509_get_subject_name(cert);

    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        if (nid != NID_commonName && nid != NID_organizationName)
            continue;
        char *text = entry_text(entry);
        if (!text) {
            free(id->refused);
            id->refused = xstrdup("its subject is malformed");
        } else if (nid == NID_commonName) {
            free(id->common_name); /* the last one counts, as in Go */
            id->common_name = text;
        } else {
            strlist_add_take(&id->organizations, text);
        }
    }
}

static void
read_dates_and_print(struct tls_identity *id, X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct tm tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
        id->not_after_s = timegm(&tm);
    if (X509_digest(cert, EVP_sha256(), digest, &len) != 1)
        len = 0;
    id->fingerprint = xcalloc(1, len * 2 + 1);
    for (unsigned i = 0; i < len; i++)
        snprintf(id->fingerprint + 2 * i, 3, "%02x", digest[i]);
}

/* NULL = verified; else why not (static or OpenSSL's text). */
static const char *
verify(X509_STORE *store, X509 *cert, STACK_OF(X509) *chain)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    const char *why = NULL;

    if (!ctx || X509_STORE_CTX_init(ctx, store, cert, chain) != 1)
        abort(); /* out of memory */
    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
    if (X509_verify_cert(ctx) != 1)
        why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return why;
}

static void
judge(struct tls_server *s, struct tls_identity *id, X509 *cert, STACK_OF(X509) *chain)
{
    struct sbuf why = { 0 };

    for (int i = 0; i < TLS_CA_COUNT; i++) {
        pthread_mutex_lock(&s->lock);
        X509_STORE *store = s->stores[i];
        AUTO_FREE char *where = xstrdup(tls_pem_where(&s->ca[i]));
        if (store)
            X509_STORE_up_ref(store);
        pthread_mutex_unlock(&s->lock);
        if (!store)
            continue;
        const char *reason = verify(store, cert, chain);
        if (!reason) {
            id->trusted_by |= 1u << i;
        } else {
            AUTO_FREE char *subjects = tls_store_subjects(store);
            sbuf_addf(&why, "%s%s (issuer \"%s\"; %s trusts %s)", why.len ? "; " : "", reason, id->issuer, where, subjects);
        }
        X509_STORE_free(store);
    }
    if (!id->trusted_by && !id->refused)
        id->refused = xasprintf("certificate \"%s\": %s", id->subject, why.len ? why.s : "no CA is configured to verify it");
    sbuf_done(&why);
}

struct tls_identity *
tls_identity_of(struct tls_server *s, SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);

    if (!cert)
        return NULL;
    struct tls_identity *id = XNEW(struct tls_identity);
    id->subject = tls_name_text(X509_get_subject_name(cert));
    id->issuer = tls_name_text(X509_get_issuer_name(cert));
    read_dates_and_print(id, cert);
    read_subject(id, cert);
    judge(s, id, cert, SSL_get_peer_cert_chain(ssl));
    if (id->refused)
        id->trusted_by = 0;
    return id;
}

void
tls_identity_free(struct tls_identity *id)
{
    if (!id)
        return;
    free(id->common_name);
    strlist_done(&id->organizations);
    free(id->subject);
    free(id->issuer);
    free(id->refused);
    free(id->fingerprint);
    free(id);
}
