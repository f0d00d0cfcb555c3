// SPDX-License-Identifier: Apache-2.0
/* PEM in, flags in, a self-signed pair out: the parts of TLS that both sides use. */
#include "common/net/tls_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/base/sbuf.h"
#include "common/net/addr.h"

#define PEM_MAX (4u << 20)
#define EXPIRY_WARNING_S (30 * 86400)

void
tls_pem_init(struct tls_pem *p, const char *file, const char *text)
{
    memset(p, 0, sizeof *p);
    p->file = str_empty(file) ? NULL : xstrdup(file);
    p->text = str_empty(text) ? NULL : xstrdup(text);
}

void
tls_pem_done(struct tls_pem *p)
{
    free(p->file);
    free(p->text);
    memset(p, 0, sizeof *p);
}

bool
tls_pem_given(const struct tls_pem *p)
{
    return p->file || p->text;
}

const char *
tls_pem_where(const struct tls_pem *p)
{
    return p->text || !p->file ? "inline data" : p->file;
}

bool
tls_pem_changed(const struct tls_pem *p)
{
    struct stat st;

    if (p->text || !p->file || stat(p->file, &st) < 0)
        return false;
    return st.st_ino != p->ino || st.st_size != p->size || st.st_mtim.tv_sec != p->mtime.tv_sec ||
           st.st_mtim.tv_nsec != p->mtime.tv_nsec;
}

struct kerr *
tls_pem_read(struct tls_pem *p, char **ret)
{
    struct stat st;

    if (p->text) {
        *ret = xstrdup(p->text);
        return NULL;
    }
    if (stat(p->file, &st) == 0) { /* before the read: a change after it is seen as a change */
        p->ino = st.st_ino;
        p->size = st.st_size;
        p->mtime = st.st_mtim;
    }
    return file_read(p->file, PEM_MAX, ret, NULL);
}

struct kerr *
tls_openssl_error(const char *fmt, ...)
{
    va_list ap;
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    va_start(ap, fmt);
    AUTO_FREE char *context = xvasprintf(fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return kerr_new(KERR_INTERNAL, "%s: %s", context, reason ? reason : "failed");
}

char *
tls_name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;

    if (!bio)
        abort(); /* out of memory */
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_FN_SN);
    long len = BIO_get_mem_data(bio, &p);
    char *text = xstrndup(p, len > 0 ? (size_t)len : 0);
    BIO_free(bio);
    return text;
}

char *
tls_store_subjects(X509_STORE *store)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
    struct sbuf out = { 0 };
    int n = 0;

    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (!cert || ++n > 3)
            continue;
        AUTO_FREE char *name = tls_name_text(X509_get_subject_name(cert));
        sbuf_addf(&out, "%s\"%s\"", n > 1 ? ", " : "", name);
    }
    if (n > 3)
        sbuf_addf(&out, " and %d more", n - 3);
    return sbuf_steal(&out);
}

/* ---- loading ----------------------------------------------------------------------------------------- */

/* Keys with a passphrase are refused instead of asking the terminal. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    return 0;
}

static void
warn_of_expiry(X509 *cert, const char *where)
{
    int days = 0, seconds = 0;

    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)))
        return;
    if (days < 0 || seconds < 0)
        log_error("A certificate has expired; renew it", "file", where, "expired_days_ago", kv_int(-days));
    else if (days < EXPIRY_WARNING_S / 86400)
        log_warning("A certificate expires soon", "file", where, "days_left", kv_int(days));
}

static struct kerr *
use_chain(SSL_CTX *ctx, BIO *bio, const char *where)
{
    X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);

    if (!cert)
        return tls_openssl_error("no certificate in %s", where);
    warn_of_expiry(cert, where);
    int ok = SSL_CTX_use_certificate(ctx, cert);
    X509_free(cert);
    if (ok != 1)
        return tls_openssl_error("the certificate in %s cannot be used", where);
    SSL_CTX_clear_chain_certs(ctx);
    while ((cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)))
        if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
            X509_free(cert);
            return tls_openssl_error("an intermediate certificate in %s cannot be used", where);
        }
    ERR_clear_error(); /* the end of the file */
    return NULL;
}

static struct kerr *
use_key(SSL_CTX *ctx, BIO *bio, const char *where, const char *cert_where)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);

    if (!key)
        return tls_openssl_error("no usable private key in %s", where);
    int ok = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (ok != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        ERR_clear_error();
        return kerr_new(KERR_INTERNAL, "the private key in %s does not belong to the certificate in %s", where,
                        cert_where);
    }
    return NULL;
}

struct kerr *
tls_load_pair(SSL_CTX *ctx, struct tls_pem *cert, struct tls_pem *key)
{
    AUTO_FREE char *cert_text = NULL;
    AUTO_FREE char *key_text = NULL;
    struct kerr *err = tls_pem_read(cert, &cert_text);

    if (!err)
        err = tls_pem_read(key, &key_text);
    if (err)
        return err;
    BIO *cert_bio = BIO_new_mem_buf(cert_text, -1), *key_bio = BIO_new_mem_buf(key_text, -1);
    ERR_clear_error();
    err = use_chain(ctx, cert_bio, tls_pem_where(cert));
    if (!err)
        err = use_key(ctx, key_bio, tls_pem_where(key), tls_pem_where(cert));
    BIO_free(cert_bio);
    BIO_free(key_bio);
    OPENSSL_cleanse(key_text, strlen(key_text));
    return err;
}

struct kerr *
tls_load_store(struct tls_pem *ca, X509_STORE **ret, STACK_OF(X509_NAME) *names)
{
    AUTO_FREE char *text = NULL;
    struct kerr *err = tls_pem_read(ca, &text);
    X509 *cert;
    int n = 0;

    if (err)
        return err;
    X509_STORE *store = X509_STORE_new();
    BIO *bio = BIO_new_mem_buf(text, -1);
    if (!store || !bio)
        abort(); /* out of memory */
    ERR_clear_error();
    while ((cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
        n++;
        X509_STORE_add_cert(store, cert);
        if (names)
            sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(cert)));
        X509_free(cert);
    }
    BIO_free(bio);
    if (n == 0) {
        X509_STORE_free(store);
        return tls_openssl_error("no CA certificate in %s", tls_pem_where(ca));
    }
    ERR_clear_error();
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN); /* any certificate of the bundle is a root, as in Go */
    *ret = store;
    return NULL;
}

struct kerr *
tls_new_ctx(const SSL_METHOD *method, SSL_CTX **ret)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (!ctx)
        return tls_openssl_error("TLS context");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    *ret = ctx;
    return NULL;
}

/* ---- flags ------------------------------------------------------------------------------------------- */

struct kerr *
tls_check_min_version(const char *name)
{
    if (str_empty(name) || str_eq(name, "VersionTLS12") || str_eq(name, "VersionTLS13"))
        return NULL;
    if (str_eq(name, "VersionTLS10") || str_eq(name, "VersionTLS11"))
        return kerr_new(KERR_INVALID, "TLS version %s is not served any more; use VersionTLS12 or VersionTLS13", name);
    return kerr_new(KERR_INVALID, "unknown tls version \"%s\"; use VersionTLS12 or VersionTLS13", name);
}

/* OpenSSL's name of one IANA name; NULL = unknown.  Names of TLS 1.3 suites give "" (they cannot be chosen, as in Go). */
static const char *
openssl_suite(const char *iana)
{
    static const char *const tls13[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256" };

    for (size_t i = 0; i < ARRAY_LEN(tls13); i++)
        if (str_eq(tls13[i], iana))
            return "";
    AUTO_FREE char *full = str_has_suffix(iana, "_CHACHA20_POLY1305") ? xasprintf("%s_SHA256", iana) : xstrdup(iana);
    const char *name = OPENSSL_cipher_name(full);
    return str_eq(name, "(NONE)") ? NULL : name;
}

static struct kerr *
translate_suites(const char *list, struct sbuf *out, bool *ret_only_tls13)
{
    AUTO_STRLIST names = { 0 };

    strlist_split(&names, str_safe(list), ',');
    for (size_t i = 0; i < names.len; i++) {
        const char *name = openssl_suite(names.items[i]);
        if (!name)
            return kerr_new(KERR_INVALID, "Cipher suite %s not supported or doesn't exist", names.items[i]);
        if (*name)
            sbuf_addf(out, "%s%s", out->len ? ":" : "", name);
    }
    *ret_only_tls13 = names.len && !out->len;
    return NULL;
}

struct kerr *
tls_check_cipher_suites(const char *list)
{
    AUTO_SBUF out = { 0 };
    bool only_tls13;

    return translate_suites(list, &out, &only_tls13);
}

struct kerr *
tls_apply_flags(SSL_CTX *ctx, const char *min_version, const char *suites)
{
    AUTO_SBUF out = { 0 };
    bool only_tls13 = false;
    struct kerr *err = tls_check_min_version(min_version);

    if (!err)
        err = translate_suites(suites, &out, &only_tls13);
    if (err)
        return err;
    if (str_eq(min_version, "VersionTLS13") || only_tls13)
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    if (out.len && SSL_CTX_set_cipher_list(ctx, out.s) != 1)
        return tls_openssl_error("none of the cipher suites '%s' is available", suites);
    return NULL;
}

/* ---- self-signed pairs ------------------------------------------------------------------------------- */

static void
add_alt_name(struct sbuf *out, const char *name)
{
    if (str_empty(name) || strpbrk(name, ",\n"))
        return;
    sbuf_addf(out, "%s%s:%s", out->len ? "," : "", addr_is_ip(name) ? "IP" : "DNS", name);
}

static bool
add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static X509 *
make_certificate(EVP_PKEY *key, const char *host, const char *alt_names)
{
    X509 *cert = X509_new();
    AUTO_FREE char *cn = xasprintf("%.40s@%lld", host, (long long)clock_wall_s());
    unsigned char serial[16];

    RAND_bytes(serial, sizeof serial);
    serial[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    X509_set_version(cert, 2);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600); /* clocks of other machines lag */
    X509_gmtime_adj(X509_getm_notAfter(cert), 365L * 86400);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    bool ok = add_extension(cert, NID_basic_constraints, "critical,CA:TRUE") &&
              add_extension(cert, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign") &&
              add_extension(cert, NID_ext_key_usage, "serverAuth") &&
              add_extension(cert, NID_subject_key_identifier, "hash") &&
              add_extension(cert, NID_subject_alt_name, alt_names) && X509_sign(cert, key, EVP_sha256()) > 0;
    if (!ok) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static struct kerr *
write_bio(const char *path, BIO *bio, mode_t mode)
{
    char *p;
    long len = BIO_get_mem_data(bio, &p);

    return file_write_atomic(path, p, (size_t)len, mode);
}

static struct kerr *
write_pair(const char *cert_file, const char *key_file, const char *host, const char *alt_names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? make_certificate(key, host, alt_names) : NULL;
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    struct kerr *err = NULL;

    if (!cert || !PEM_write_bio_X509(cert_bio, cert) ||
        !PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL))
        err = tls_openssl_error("make a self-signed certificate for '%s'", host);
    if (!err)
        err = write_bio(key_file, key_bio, 0600);
    if (!err)
        err = write_bio(cert_file, cert_bio, 0644);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

struct kerr *
tls_self_signed(const char *dir, const char *name, const char *host, const struct strlist *alt_names,
                char **ret_cert_file, char **ret_key_file)
{
    AUTO_FREE char *cert_file = xasprintf("%s/%s.crt", dir, name);
    AUTO_FREE char *key_file = xasprintf("%s/%s.key", dir, name);
    AUTO_SBUF names = { 0 };
    struct kerr *err;

    if (!file_exists(cert_file) || !file_exists(key_file)) {
        add_alt_name(&names, str_or(host, "localhost"));
        for (size_t i = 0; alt_names && i < alt_names->len; i++)
            add_alt_name(&names, alt_names->items[i]);
        err = file_mkdirs(dir, 0755);
        if (!err)
            err = write_pair(cert_file, key_file, str_or(host, "localhost"), sbuf_str(&names));
        if (err)
            return err;
        log_info("Made a self-signed serving certificate", "cert", cert_file, "key", key_file);
    }
    *ret_cert_file = steal_ptr(cert_file);
    *ret_key_file = steal_ptr(key_file);
    return NULL;
}
