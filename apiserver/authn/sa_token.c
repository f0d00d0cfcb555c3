// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authn/sa_token.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "apiserver/authn/authn_internal.h"
#include "apiserver/authn/jwt.h"
#include "apiserver/rest/internal.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/rng.h"

#define LEGACY_ISSUER "kubernetes/serviceaccount"
#define LEGACY_CLAIM "kubernetes.io/serviceaccount"
#define USER_PREFIX "system:serviceaccount:"

enum {
    CACHE_MAX = 4096,
    LEEWAY_S = 60,
    DEFAULT_S = 3600,
    MIN_S = 600,
    PROJECTED_S = 3607, /* what the ServiceAccount admission plugin asks for; marks tokens that may be extended */
    EXTENDED_S = 365 * 24 * 3600,
};

/* What a good token says; kept in the cache by the hash of its text. */
struct claims {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char *ns, *account, *account_uid, *pod, *pod_uid, *secret, *node, *node_uid, *jti;
    struct strlist audiences;
    int64_t not_before_s, expires_s;
    UT_hash_handle hh;
};

struct sa_keys {
    struct strlist issuers, audiences;
    struct jwt_key *keys, *signing;
    size_t nkeys, nsigning;
    int64_t max_expiration_s;
    bool extend;
    char *advertise_url;
    pthread_mutex_t lock; /* guards cache */
    struct claims *cache;
};

/* --- set up --- */

static void
claims_free(struct claims *c)
{
    char *const all[] = { c->ns, c->account, c->account_uid, c->pod, c->pod_uid, c->secret, c->node, c->node_uid, c->jti };

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        free(all[i]);
    strlist_done(&c->audiences);
    free(c);
}

struct kerr *
sa_keys_new(const struct authn_config *config, struct sa_keys **ret)
{
    struct sa_keys *k = XNEW(struct sa_keys);
    struct kerr *err = NULL;

    pthread_mutex_init(&k->lock, NULL);
    for (size_t i = 0; i < config->issuers->len; i++)
        strlist_add(&k->issuers, config->issuers->items[i]);
    const struct strlist *audiences = config->audiences && config->audiences->len ? config->audiences : config->issuers;
    for (size_t i = 0; i < audiences->len; i++)
        strlist_add(&k->audiences, audiences->items[i]);
    k->max_expiration_s = config->max_token_expiration_s;
    k->extend = config->extend_token_expiration;
    k->advertise_url = xstrdup(config->advertise_url);
    for (size_t i = 0; !err && i < config->key_files->len; i++)
        err = kerr_wrap(jwt_keys_read(config->key_files->items[i], false, &k->keys, &k->nkeys), "--service-account-key-file");
    if (!err)
        err = kerr_wrap(jwt_keys_read(config->signing_key_file, true, &k->signing, &k->nsigning), "--service-account-signing-key-file");
    if (err) {
        sa_keys_free(k);
        return err;
    }
    *ret = k;
    return NULL;
}

void
sa_keys_free(struct sa_keys *k)
{
    struct claims *c, *next;

    if (!k)
        return;
    HASH_ITER (hh, k->cache, c, next) {
        HASH_DEL(k->cache, c);
        claims_free(c);
    }
    for (size_t i = 0; i < k->nkeys; i++)
        jwt_key_done(&k->keys[i]);
    for (size_t i = 0; i < k->nsigning; i++)
        jwt_key_done(&k->signing[i]);
    free(k->keys);
    free(k->signing);
    free(k->advertise_url);
    strlist_done(&k->issuers);
    strlist_done(&k->audiences);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* --- recognising --- */

static char *
text_at(json_t *tree, const char *key, const char *sub)
{
    json_t *at = json_object_get(tree, key);

    if (sub)
        at = json_object_get(at, sub);
    return xstrdup(json_string_value(at));
}

static struct claims *
claims_of(json_t *tree, bool legacy)
{
    struct claims *c = XNEW(struct claims);
    json_t *kube = json_object_get(tree, "kubernetes.io"), *aud = json_object_get(tree, "aud"), *one;
    size_t i;

    c->expires_s = legacy ? INT64_MAX : json_integer_value(json_object_get(tree, "exp"));
    c->not_before_s = json_integer_value(json_object_get(tree, "nbf"));
    if (legacy) { /* tokens of Secrets: flat claims, no end */
        c->ns = text_at(tree, LEGACY_CLAIM "/namespace", NULL);
        c->account = text_at(tree, LEGACY_CLAIM "/service-account.name", NULL);
        c->account_uid = text_at(tree, LEGACY_CLAIM "/service-account.uid", NULL);
        c->secret = text_at(tree, LEGACY_CLAIM "/secret.name", NULL);
        return c;
    }
    c->ns = text_at(kube, "namespace", NULL);
    c->account = text_at(kube, "serviceaccount", "name");
    c->account_uid = text_at(kube, "serviceaccount", "uid");
    c->pod = text_at(kube, "pod", "name");
    c->pod_uid = text_at(kube, "pod", "uid");
    c->secret = text_at(kube, "secret", "name");
    c->node = text_at(kube, "node", "name");
    c->node_uid = text_at(kube, "node", "uid");
    c->jti = text_at(tree, "jti", NULL);
    if (json_is_string(aud))
        strlist_add(&c->audiences, json_string_value(aud));
    json_array_foreach (aud, i, one)
        strlist_add(&c->audiences, json_string_value(one));
    return c;
}

static bool
ours(const struct sa_keys *k, const char *issuer, bool *ret_legacy)
{
    *ret_legacy = str_eq(issuer, LEGACY_ISSUER);
    return *ret_legacy || (!str_empty(issuer) && strlist_has(&k->issuers, issuer));
}

/* Signature and form only; whether it is valid now is asked each time. */
static enum authn_step
read_token(const struct sa_keys *k, const char *token, struct claims **ret)
{
    json_t *tree = jwt_peek(token);
    bool legacy;
    enum authn_step step = AUTHN_FOUND;

    if (!tree)
        return AUTHN_NEXT;
    if (!ours(k, json_string_value(json_object_get(tree, "iss")), &legacy))
        step = AUTHN_NEXT;
    else if (!jwt_verify(token, k->keys, k->nkeys))
        step = AUTHN_REFUSED;
    else
        *ret = claims_of(tree, legacy);
    json_decref(tree);
    return step;
}

static bool
alive(const char *kind, const char *ns, const char *name, const char *uid)
{
    struct record *rec = store_get(resource_named("v1", kind)->store, str_safe(ns), name);
    bool same = rec && (str_empty(uid) || str_eq(rec->uid, uid));

    record_unref(rec);
    return same;
}

static const char *
invalid_now(const struct claims *c, int64_t now_s)
{
    if (c->expires_s != INT64_MAX && now_s > c->expires_s + LEEWAY_S)
        return "token has expired";
    if (now_s < c->not_before_s - LEEWAY_S)
        return "token is not valid yet";
    if (str_empty(c->ns) || str_empty(c->account))
        return "token names no service account";
    if (!alive("ServiceAccount", c->ns, c->account, c->account_uid))
        return "service account has been deleted or replaced";
    if (c->pod && !alive("Pod", c->ns, c->pod, c->pod_uid))
        return "pod has been deleted or replaced";
    if (c->secret && !alive("Secret", c->ns, c->secret, NULL))
        return "secret has been deleted";
    if (c->node && !c->pod && !alive("Node", "", c->node, c->node_uid))
        return "node has been deleted or replaced";
    return NULL;
}

static bool
match_audiences(const struct sa_keys *k, const struct claims *c, const struct string_slice *asked, struct arena *a, struct string_slice *ret)
{
    bool own = !asked || asked->len == 0;
    size_t n = own ? k->audiences.len : asked->len;

    *ret = (struct string_slice){ arena_alloc(a, (n + 1) * sizeof *ret->items), 0, (uint32_t)n };
    for (size_t i = 0; i < n; i++) {
        const char *one = own ? k->audiences.items[i] : asked->items[i];
        /* Legacy tokens are for the apiserver itself. */
        if (strlist_has(&c->audiences, one) || (c->audiences.len == 0 && strlist_has(&k->audiences, one)))
            ret->items[ret->len++] = arena_strdup(a, one);
    }
    return ret->len > 0;
}

static void
fill_user(const struct claims *c, struct arena *a, struct user_info *ret)
{
    static const struct {
        const char *key;
        size_t at;
    } extras[] = {
        { "authentication.kubernetes.io/node-name", offsetof(struct claims, node) },
        { "authentication.kubernetes.io/node-uid", offsetof(struct claims, node_uid) },
        { "authentication.kubernetes.io/pod-name", offsetof(struct claims, pod) },
        { "authentication.kubernetes.io/pod-uid", offsetof(struct claims, pod_uid) },
    };

    ret->username = arena_printf(a, USER_PREFIX "%s:%s", c->ns, c->account);
    ret->uid = arena_strdup(a, c->account_uid);
    user_add_group(ret, a, "system:serviceaccounts");
    user_add_group(ret, a, arena_printf(a, "system:serviceaccounts:%s", c->ns));
    if (c->jti) {
        AUTO_FREE char *id = xasprintf("JTI=%s", c->jti);
        user_add_extra(ret, a, "authentication.kubernetes.io/credential-id", id);
    }
    for (size_t i = 0; i < ARRAY_LEN(extras); i++) {
        const char *value = *(char *const *)((const char *)c + extras[i].at);
        if (value)
            user_add_extra(ret, a, extras[i].key, value);
    }
}

static enum authn_step
use_claims(const struct sa_keys *k, const struct claims *c, const struct string_slice *audiences, struct arena *a, struct user_info *ret,
           struct string_slice *ret_audiences)
{
    const char *why = invalid_now(c, clock_wall_s());

    if (!why && !match_audiences(k, c, audiences, a, ret_audiences))
        why = "token audiences do not match";
    if (why) {
        log_v(2, "Service account token refused", "account", str_safe(c->account), "namespace", str_safe(c->ns), "why", why);
        return AUTHN_REFUSED;
    }
    fill_user(c, a, ret);
    return AUTHN_FOUND;
}

static void
remember(struct sa_keys *k, struct claims *c)
{
    struct claims *there;

    HASH_FIND(hh, k->cache, c->hash, sizeof c->hash, there);
    if (there) {
        claims_free(c);
        return;
    }
    if (HASH_COUNT(k->cache) >= CACHE_MAX) { /* the oldest goes */
        there = k->cache;
        HASH_DEL(k->cache, there);
        claims_free(there);
    }
    HASH_ADD(hh, k->cache, hash, sizeof c->hash, c);
}

enum authn_step
sa_token_identify(struct authn *n, const char *token, const struct string_slice *audiences, struct arena *a, struct user_info *ret,
                  struct string_slice *ret_audiences)
{
    struct sa_keys *k = n->sa;
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct claims *c;

    SHA256((const unsigned char *)token, strlen(token), hash);
    pthread_mutex_lock(&k->lock);
    HASH_FIND(hh, k->cache, hash, sizeof hash, c);
    enum authn_step step = c ? use_claims(k, c, audiences, a, ret, ret_audiences) : AUTHN_NEXT;
    pthread_mutex_unlock(&k->lock);
    if (c)
        return step;
    step = read_token(k, token, &c);
    if (step != AUTHN_FOUND)
        return step;
    memcpy(c->hash, hash, sizeof hash);
    step = use_claims(k, c, audiences, a, ret, ret_audiences);
    pthread_mutex_lock(&k->lock);
    remember(k, c);
    pthread_mutex_unlock(&k->lock);
    return step;
}

/* --- issuing --- */

static struct kerr *
refuse(const char *field, const char *value, const char *detail)
{
    struct kerr *err = kerr_about(kerr_new(KERR_INVALID, "TokenRequest.authentication.k8s.io \"\" is invalid: %s: Invalid value: %s: %s", field, value, detail),
                                  "authentication.k8s.io", "TokenRequest", "");

    kerr_add_cause(err, "FieldValueInvalid", field, "Invalid value: %s: %s", value, detail);
    return err;
}

static struct kerr *
settle_spec(const struct sa_keys *k, struct arena *a, struct token_request_spec *spec)
{
    char value[24];

    if (!spec->expiration_seconds) {
        spec->expiration_seconds = ARENA_NEW(a, int64_t);
        *spec->expiration_seconds = DEFAULT_S;
    }
    snprintf(value, sizeof value, "%lld", (long long)*spec->expiration_seconds);
    if (*spec->expiration_seconds < MIN_S)
        return refuse("spec.expirationSeconds", value, "may not specify a duration less than 10 minutes");
    if (*spec->expiration_seconds > 1ll << 32)
        return refuse("spec.expirationSeconds", value, "may not specify a duration larger than 2^32 seconds");
    if (k->max_expiration_s && *spec->expiration_seconds > k->max_expiration_s)
        *spec->expiration_seconds = k->max_expiration_s;
    if (spec->audiences.len == 0) {
        spec->audiences.items = arena_alloc(a, (k->audiences.len + 1) * sizeof *spec->audiences.items);
        for (size_t i = 0; i < k->audiences.len; i++)
            spec->audiences.items[i] = arena_strdup(a, k->audiences.items[i]);
        spec->audiences.len = spec->audiences.cap = (uint32_t)k->audiences.len;
    }
    return NULL;
}

static void
add_object(json_t *kube, const char *key, const struct object *obj)
{
    json_object_set_new(kube, key, json_pack("{s:s, s:s}", "name", object_name(obj), "uid", str_safe(object_meta(obj)->uid)));
}

static struct kerr *
bind_pod(json_t *kube, const char *ns, const char *account, const struct bound_object_reference *ref)
{
    AUTO(object) *obj = internal_get(resource_named("v1", "Pod"), ns, str_safe(ref->name));

    if (!obj)
        return kerr_not_found("", "pods", str_safe(ref->name));
    const struct pod *pod = OBJECT_BODY(obj, pod);
    if (!str_eq(str_or(pod->spec.service_account_name, "default"), account))
        return kerr_new(KERR_BAD_REQUEST, "cannot bind token for serviceaccount \"%s\" to pod running with different serviceaccount name.", account);
    if (!str_empty(ref->uid) && !str_eq(ref->uid, pod->metadata.uid)) {
        AUTO_FREE char *why = xasprintf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been "
                                        "deleted and then recreated", ref->uid);
        return kerr_conflict("", "pods", ref->name, why);
    }
    add_object(kube, "pod", obj);
    AUTO(object) *node = str_empty(pod->spec.node_name) ? NULL : internal_get(resource_named("v1", "Node"), "", pod->spec.node_name);
    if (node)
        add_object(kube, "node", node);
    return NULL;
}

static struct kerr *
bind_object(json_t *kube, const char *ns, const char *account, const struct bound_object_reference *ref)
{
    if (str_eq(ref->kind, "Pod"))
        return bind_pod(kube, ns, account, ref);
    if (!str_eq(ref->kind, "Secret") && !str_eq(ref->kind, "Node"))
        return kerr_new(KERR_BAD_REQUEST, "cannot bind token to object of type %s", str_safe(ref->kind));
    bool secret = str_eq(ref->kind, "Secret");
    AUTO(object) *obj = internal_get(resource_named("v1", ref->kind), secret ? ns : "", str_safe(ref->name));
    if (!obj)
        return kerr_not_found("", secret ? "secrets" : "nodes", str_safe(ref->name));
    if (!str_empty(ref->uid) && !str_eq(ref->uid, object_meta(obj)->uid))
        return kerr_conflict("", secret ? "secrets" : "nodes", ref->name, "the UID in the bound object reference does not match the UID in record");
    add_object(kube, secret ? "secret" : "node", obj);
    return NULL;
}

static struct kerr *
sign_claims(const struct sa_keys *k, json_t *kube, const char *ns, const char *account, const struct token_request_spec *spec, int64_t now_s,
            struct sbuf *ret)
{
    int64_t lives_s = *spec->expiration_seconds;
    bool extended = k->extend && lives_s == PROJECTED_S && spec->audiences.len && strlist_has(&k->audiences, spec->audiences.items[0]);
    char jti[37];
    json_t *aud = json_array();
    AUTO_FREE char *sub = xasprintf(USER_PREFIX "%s:%s", ns, account);

    random_uuid(jti);
    if (extended) {
        json_object_set_new(kube, "warnafter", json_integer(now_s + lives_s));
        lives_s = EXTENDED_S;
    }
    for (uint32_t i = 0; i < spec->audiences.len; i++)
        json_array_append_new(aud, json_string(spec->audiences.items[i]));
    json_t *claims = json_pack("{s:o, s:I, s:I, s:s, s:s, s:O, s:I, s:s}", "aud", aud, "exp", (json_int_t)(now_s + lives_s), "iat", (json_int_t)now_s,
                               "iss", k->issuers.items[0], "jti", jti, "kubernetes.io", kube, "nbf", (json_int_t)now_s, "sub", sub);
    char *text = json_dumps(claims, JSON_COMPACT);
    struct kerr *err = text ? jwt_sign(&k->signing[0], text, ret) : kerr_new(KERR_INTERNAL, "claims of a token cannot be encoded");

    free(text);
    json_decref(claims);
    return err;
}

struct kerr *
sa_token_request(struct authn *n, const char *ns, const char *account, struct arena *a, struct token_request *request)
{
    AUTO(object) *sa = internal_get(resource_named("v1", "ServiceAccount"), ns, account);
    struct token_request_spec *spec = &request->spec;
    AUTO_SBUF token = { 0 };
    int64_t now_s = clock_wall_s();

    if (!sa)
        return kerr_not_found("", "serviceaccounts", account);
    struct kerr *err = settle_spec(n->sa, a, spec);
    if (err)
        return err;
    json_t *kube = json_pack("{s:s}", "namespace", ns);
    add_object(kube, "serviceaccount", sa);
    if (spec->bound_object_ref)
        err = bind_object(kube, ns, account, spec->bound_object_ref);
    if (!err)
        err = sign_claims(n->sa, kube, ns, account, spec, now_s, &token);
    json_decref(kube);
    if (err)
        return err;
    request->metadata.name = arena_strdup(a, account);
    request->metadata.namespace = arena_strdup(a, ns);
    request->metadata.creation_timestamp = api_time_from_unix(now_s);
    request->status.token = arena_strdup(a, sbuf_str(&token));
    request->status.expiration_timestamp = api_time_from_unix(now_s + *spec->expiration_seconds);
    return NULL;
}

/* --- documents --- */

void
sa_issuer_document(struct authn *n, struct sbuf *out)
{
    sbuf_addf(out, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/openid/v1/jwks\",\"response_types_supported\":[\"id_token\"],"
                   "\"subject_types_supported\":[\"public\"],\"id_token_signing_alg_values_supported\":[\"%s\"]}",
              n->sa->issuers.items[0], str_safe(n->sa->advertise_url), n->sa->signing[0].alg);
}

void
sa_jwks_document(struct authn *n, struct sbuf *out)
{
    jwt_write_jwks(n->sa->keys, n->sa->nkeys, out);
}
