// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/etcd_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "apiserver/storage/etcd_frame.h"
#include "common/base/backoff.h"
#include "common/base/base64.h"
#include "common/base/clock.h"
#include "common/base/klog.h"

#define MAX_ELEMENT (64u << 20)  /* one key and value in base64; etcd's own default bound is 1.5 MiB */
#define MAX_ENVELOPE (256u << 10)
#define MAX_ANSWER (64u << 20)
#define MAX_IDLE 64

struct endpoint {
    char *url; /* without a slash at the end */
    uint64_t rest_until_ms;
    struct backoff backoff;
    bool down; /* said so in the log */
};

/* One HTTP call's handle with its kept-alive connection. */
struct wire {
    struct wire *next;
    CURL *curl;
    struct curl_slist *headers;
    char why[CURL_ERROR_SIZE];
};

struct etcd {
    struct strlist urls;
    char *all; /* endpoints, joined */
    char *ca_file, *cert_file, *key_file;
    int64_t dial_timeout_ms, call_timeout_ms, patience_ms;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards what follows; leaf lock */
    struct endpoint *endpoints;
    size_t nendpoints, preferred;
    struct rng rng;
    struct wire *idle;
    size_t nidle;
    CURLM *watching; /* the running watch */
    atomic_bool cut;
};

static const struct backoff_policy rest_policy = { .initial_ms = 100, .max_ms = 5000, .jitter_percent = 20 };

/* --- set-up --- */

static void
curl_init_once(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void
curl_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, curl_init_once);
}

static struct kerr *
check_endpoint(const char *url)
{
    const char *host = str_has_prefix(url, "https://") ? url + 8 : str_has_prefix(url, "http://") ? url + 7 : NULL;

    if (!host || !*host)
        return kerr_new(KERR_INVALID, "etcd endpoint \"%s\" must start with http:// or https:// and name a host", url);
    return NULL;
}

static struct kerr *
add_endpoints(struct etcd *e, const struct strlist *from)
{
    AUTO_SBUF all = { 0 };

    for (size_t i = 0; i < from->len; i++)
        strlist_split(&e->urls, from->items[i], ',');
    if (!e->urls.len)
        return kerr_new(KERR_INVALID, "no etcd endpoint is given (--etcd-servers)");
    e->endpoints = xcalloc(e->urls.len, sizeof(*e->endpoints));
    for (size_t i = 0; i < e->urls.len; i++) {
        char *url = e->urls.items[i];
        struct kerr *err = check_endpoint(url);

        if (err)
            return err;
        while (str_has_suffix(url, "/"))
            url[strlen(url) - 1] = 0;
        e->endpoints[e->nendpoints++].url = url;
        sbuf_addf(&all, "%s%s", i ? "," : "", url);
    }
    e->all = sbuf_steal(&all);
    return NULL;
}

struct kerr *
etcd_new(const struct etcd_config *config, struct etcd **ret)
{
    AUTO(etcd) *e = XNEW(struct etcd);
    struct kerr *err;

    curl_start();
    pthread_mutex_init(&e->lock, NULL);
    e->rng = rng_from_system();
    e->dial_timeout_ms = config->dial_timeout_ms ? config->dial_timeout_ms : 3000;
    e->call_timeout_ms = config->call_timeout_ms ? config->call_timeout_ms : 10000;
    e->patience_ms = config->patience_ms ? config->patience_ms : 1500;
    e->ca_file = str_empty(config->ca_file) ? NULL : xstrdup(config->ca_file);
    e->cert_file = str_empty(config->cert_file) ? NULL : xstrdup(config->cert_file);
    e->key_file = str_empty(config->key_file) ? NULL : xstrdup(config->key_file);
    err = add_endpoints(e, &config->endpoints);
    if (err)
        return err;
    *ret = steal_ptr(e);
    return NULL;
}

static void
wire_free(struct wire *w)
{
    curl_easy_cleanup(w->curl);
    curl_slist_free_all(w->headers);
    free(w);
}

void
etcd_free(struct etcd *e)
{
    if (!e)
        return;
    while (e->idle) {
        struct wire *next = e->idle->next;

        wire_free(e->idle);
        e->idle = next;
    }
    pthread_mutex_destroy(&e->lock);
    strlist_done(&e->urls);
    free(e->endpoints);
    free(e->all);
    free(e->ca_file);
    free(e->cert_file);
    free(e->key_file);
    free(e);
}

const char *
etcd_endpoints(const struct etcd *e)
{
    return e->all;
}

void
etcd_interrupt(struct etcd *e)
{
    atomic_store(&e->stop, true);
    etcd_watch_cut(e);
}

/* --- connections --- */

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct etcd *e = arg;

    return atomic_load_explicit(&e->stop, memory_order_relaxed);
}

static struct wire *
wire_new(struct etcd *e)
{
    struct wire *w = XNEW(struct wire);

    w->curl = curl_easy_init();
    if (!w->curl)
        abort();
    w->headers = curl_slist_append(NULL, "Content-Type: application/json");
    w->headers = curl_slist_append(w->headers, "Expect:");
    w->headers = curl_slist_append(w->headers, "Accept:");
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, w->headers);
    curl_easy_setopt(w->curl, CURLOPT_ERRORBUFFER, w->why);
    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(w->curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(w->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(w->curl, CURLOPT_TCP_KEEPIDLE, 10L);
    curl_easy_setopt(w->curl, CURLOPT_TCP_KEEPINTVL, 5L);
    curl_easy_setopt(w->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(w->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)e->dial_timeout_ms);
    curl_easy_setopt(w->curl, CURLOPT_MAXCONNECTS, 2L);
    curl_easy_setopt(w->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(w->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(w->curl, CURLOPT_XFERINFODATA, e);
    if (e->ca_file)
        curl_easy_setopt(w->curl, CURLOPT_CAINFO, e->ca_file);
    if (e->cert_file)
        curl_easy_setopt(w->curl, CURLOPT_SSLCERT, e->cert_file);
    if (e->key_file)
        curl_easy_setopt(w->curl, CURLOPT_SSLKEY, e->key_file);
    return w;
}

static struct wire *
wire_take(struct etcd *e)
{
    struct wire *w;

    pthread_mutex_lock(&e->lock);
    w = e->idle;
    if (w) {
        e->idle = w->next;
        e->nidle--;
    }
    pthread_mutex_unlock(&e->lock);
    return w ? w : wire_new(e);
}

static void
wire_give_back(struct etcd *e, struct wire *w)
{
    pthread_mutex_lock(&e->lock);
    if (e->nidle < MAX_IDLE) {
        w->next = e->idle;
        e->idle = w;
        e->nidle++;
        w = NULL;
    }
    pthread_mutex_unlock(&e->lock);
    if (w)
        wire_free(w);
}

/* --- endpoints and their health --- */

/* The preferred one, or the next that does not rest, or whichever rests least. */
static size_t
pick_endpoint(struct etcd *e, uint64_t now_ms)
{
    size_t best;

    pthread_mutex_lock(&e->lock);
    best = e->preferred;
    for (size_t i = 0; i < e->nendpoints; i++) {
        size_t at = (e->preferred + i) % e->nendpoints;

        if (e->endpoints[at].rest_until_ms <= now_ms) {
            best = at;
            break;
        }
        if (e->endpoints[at].rest_until_ms < e->endpoints[best].rest_until_ms)
            best = at;
    }
    pthread_mutex_unlock(&e->lock);
    return best;
}

static void
endpoint_good(struct etcd *e, size_t which)
{
    struct endpoint *ep = &e->endpoints[which];
    bool back;

    pthread_mutex_lock(&e->lock);
    back = ep->down;
    ep->down = false;
    ep->rest_until_ms = 0;
    backoff_reset(&ep->backoff);
    e->preferred = which;
    pthread_mutex_unlock(&e->lock);
    if (back)
        log_info("etcd answers again", "endpoint", ep->url);
}

static void
endpoint_bad(struct etcd *e, size_t which, const char *why)
{
    struct endpoint *ep = &e->endpoints[which];
    uint64_t now = clock_mono_ms();
    bool first;

    pthread_mutex_lock(&e->lock);
    first = !ep->down;
    ep->down = true;
    if (ep->rest_until_ms <= now)
        ep->rest_until_ms = now + backoff_next_ms(&ep->backoff, &rest_policy, &e->rng);
    if (e->preferred == which)
        e->preferred = (which + 1) % e->nendpoints;
    pthread_mutex_unlock(&e->lock);
    if (first && !atomic_load(&e->stop))
        log_warning("etcd endpoint failed, trying others and retrying", "endpoint", ep->url, "err", why);
}

/* --- what went wrong, in words --- */

static const struct {
    const char *sign, *hint;
} tls_hints[] = {
    { "wrong version number", "it speaks no TLS: use http:// or give etcd certificates" },
    { "unsupported certificate purpose", "its certificate lacks the extended key usage serverAuth" },
    { "bad certificate", "it refused our client certificate: is --etcd-certfile signed by etcd's trusted CA, with extended key usage clientAuth?" },
    { "certificate required", "it demands a client certificate: set --etcd-certfile and --etcd-keyfile" },
    { "unknown ca", "it does not trust the CA of our client certificate (--etcd-certfile)" },
    { "unable to get local issuer", "its certificate is not signed by the CA in --etcd-cafile" },
    { "self-signed certificate", "its certificate is not signed by the CA in --etcd-cafile" },
    { "self signed certificate", "its certificate is not signed by the CA in --etcd-cafile" },
    { "certificate has expired", "its certificate has expired" },
    { "no alternative certificate subject name", "its certificate does not name this host or address (SAN)" },
};

static const char *
tls_hint(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(tls_hints); i++)
        if (strcasestr(text, tls_hints[i].sign))
            return tls_hints[i].hint;
    return NULL;
}

/* A TLS 1.3 server that refuses our certificate may just close the connection on us.  TLS 1.2 says why within its
 * handshake, so that is tried once, to have something to tell.  Puts the better text into w->why. */
static void
ask_tls12(struct etcd *e, const struct endpoint *ep, struct wire *w)
{
    struct wire *probe = wire_new(e);

    curl_easy_setopt(probe->curl, CURLOPT_URL, ep->url);
    curl_easy_setopt(probe->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(probe->curl, CURLOPT_TIMEOUT_MS, (long)e->dial_timeout_ms);
    curl_easy_setopt(probe->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_MAX_TLSv1_2);
    if (curl_easy_perform(probe->curl) != CURLE_OK && tls_hint(probe->why))
        memcpy(w->why, probe->why, sizeof(w->why));
    wire_free(probe);
}

/* A plain request to a TLS port may just be closed, too. */
static bool
answers_tls(struct etcd *e, const struct endpoint *ep)
{
    AUTO_FREE char *url = xasprintf("https://%s", ep->url + strlen("http://"));
    struct wire *probe = wire_new(e);
    bool tls;

    curl_easy_setopt(probe->curl, CURLOPT_URL, url);
    curl_easy_setopt(probe->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(probe->curl, CURLOPT_TIMEOUT_MS, (long)e->dial_timeout_ms);
    curl_easy_setopt(probe->curl, CURLOPT_SSL_VERIFYPEER, 0L); /* nothing is sent: only to tell TLS from plain */
    curl_easy_setopt(probe->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    tls = curl_easy_perform(probe->curl) == CURLE_OK || strstr(probe->why, "alert");
    wire_free(probe);
    return tls;
}

static bool
closed_on_us(CURLcode rc)
{
    return rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR || rc == CURLE_GOT_NOTHING;
}

/* TCP stood, TLS never did. */
static bool
ended_in_handshake(const struct endpoint *ep, CURL *curl, CURLcode rc)
{
    curl_off_t tls_us = 0;
    long connects = 0;

    curl_easy_getinfo(curl, CURLINFO_APPCONNECT_TIME_T, &tls_us);
    curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
    return str_has_prefix(ep->url, "https://") && connects > 0 && tls_us == 0 && (closed_on_us(rc) || rc == CURLE_SSL_CONNECT_ERROR);
}

static struct kerr *
transport_error(struct etcd *e, const struct endpoint *ep, struct wire *w, CURLcode rc)
{
    const char *text, *hint;

    if (!w->why[0])
        snprintf(w->why, sizeof(w->why), "%s", curl_easy_strerror(rc));
    if (closed_on_us(rc) && str_has_prefix(ep->url, "https://") && !tls_hint(w->why) && !atomic_load(&e->stop))
        ask_tls12(e, ep, w);
    text = w->why;
    hint = tls_hint(text);
    if (!hint && ended_in_handshake(ep, w->curl, rc))
        hint = "it ended the TLS handshake: perhaps it speaks no TLS, then use http://";
    if (hint && strcasestr(text, "bad certificate") && !e->cert_file)
        hint = tls_hint("certificate required");
    if (closed_on_us(rc) && str_has_prefix(ep->url, "http://") && !atomic_load(&e->stop) && answers_tls(e, ep))
        hint = "it speaks TLS: use https://";
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return kerr_new(KERR_TIMEOUT, "etcd %s: timeout: %s", ep->url, text);
    return kerr_new(KERR_UNAVAILABLE, "etcd %s: %s%s%s", ep->url, text, hint ? ": " : "", hint ? hint : "");
}

/* etcd's own errors. Texts are etcd's, as upstream passes them on. */
static struct kerr *
answer_error(const struct endpoint *ep, long status, const char *body, size_t len)
{
    struct frame_envelope env;
    struct kerr *err = len && *body == '{' ? frame_read_envelope(body, len, &env) : kerr_new(KERR_INTERNAL, " ");

    if (err) {
        kerr_free(err);
        if (len > 200)
            len = 200;
        if (memmem(body, len, "HTTPS server", 12))
            return kerr_new(KERR_UNAVAILABLE, "etcd %s: it speaks TLS only: use https://", ep->url);
        return kerr_new(KERR_UNAVAILABLE, "etcd %s: HTTP status %ld: %.*s", ep->url, status, (int)len, body);
    }
    if (strstr(env.error, "has been compacted"))
        return kerr_new(KERR_EXPIRED, "%s", env.error);
    if (strstr(env.error, "future revision"))
        return kerr_new(KERR_BAD_REQUEST, "%s", env.error);
    if (env.code == 14 || status == 503)
        return kerr_new(KERR_UNAVAILABLE, "etcd %s: %s", ep->url, env.error);
    if (env.code == 4)
        return kerr_new(KERR_TIMEOUT, "etcd %s: %s", ep->url, env.error);
    return kerr_new(KERR_INTERNAL, "%s", env.error[0] ? env.error : "etcd answered with an error without text");
}

/* --- a call --- */

struct call {
    const char *path;
    const struct sbuf *body;
    struct sbuf answer;              /* of calls without a splitter, and of errors */
    struct frame_splitter *splitter; /* streams a good answer */
    struct kerr *err;                /* from the splitter */
    CURL *curl;
    const size_t *delivered;         /* entries already handed on: from the first one there is no second try */
    bool repeated;
};

static size_t
on_bytes(char *bytes, size_t one, size_t len, void *arg)
{
    struct call *call = arg;

    if (call->splitter) {
        long status = 0;

        curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status == 200) {
            call->err = splitter_feed(call->splitter, bytes, len);
            return call->err ? 0 : len;
        }
    }
    if (call->answer.len + len > MAX_ANSWER)
        return 0;
    sbuf_add(&call->answer, bytes, len);
    return len;
}

static void
set_request(struct etcd *e, struct wire *w, const struct endpoint *ep, struct call *call, long timeout_ms)
{
    char url[2048];

    snprintf(url, sizeof(url), "%s%s", ep->url, call->path);
    call->curl = w->curl;
    call->answer.len = 0;
    w->why[0] = 0;
    curl_easy_setopt(w->curl, CURLOPT_URL, url);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body->len);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, sbuf_str(call->body));
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
}

/* Did the request leave, so that etcd may have acted on it? */
static bool
may_have_arrived(CURLcode rc, CURL *curl)
{
    long sent = 0;

    if (rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_SSL_CONNECT_ERROR ||
        rc == CURLE_PEER_FAILED_VERIFICATION)
        return false;
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent);
    return sent > 0;
}

/* One try at one endpoint.  *ret_next: another endpoint, or the same later, may do better. */
static struct kerr *
try_once(struct etcd *e, size_t which, struct call *call, int64_t timeout_ms, bool *ret_next)
{
    struct endpoint *ep = &e->endpoints[which];
    struct wire *w = wire_take(e);
    struct kerr *err = NULL;
    long status = 0;
    CURLcode rc;

    set_request(e, w, ep, call, (long)timeout_ms);
    rc = curl_easy_perform(w->curl);
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_next = false;
    if (call->err) {
        err = steal_ptr(call->err);
    } else if (rc != CURLE_OK) {
        err = atomic_load(&e->stop) ? kerr_new(KERR_UNAVAILABLE, "etcd %s: shutting down", ep->url) : transport_error(e, ep, w, rc);
        *ret_next = !atomic_load(&e->stop);
        call->repeated |= may_have_arrived(rc, w->curl);
    } else if (status != 200) {
        err = answer_error(ep, status, sbuf_str(&call->answer), call->answer.len);
        *ret_next = err->reason == KERR_UNAVAILABLE || err->reason == KERR_TIMEOUT;
        call->repeated |= *ret_next;
    }
    if (rc != CURLE_OK) {
        wire_free(w);
    } else {
        wire_give_back(e, w);
    }
    return err;
}

/* Tries endpoints until one answers, patience ends or the answer is final. */
static struct kerr *
perform(struct etcd *e, struct call *call)
{
    uint64_t start = clock_mono_ms();
    size_t tries = 0;

    for (;;) {
        uint64_t now = clock_mono_ms();
        size_t which = pick_endpoint(e, now);
        struct kerr *err;
        bool next;

        err = try_once(e, which, call, e->call_timeout_ms, &next);
        tries++;
        if (!err || !next) {
            if (!err || err->reason == KERR_EXPIRED)
                endpoint_good(e, which);
            return err;
        }
        endpoint_bad(e, which, err->message);
        now = clock_mono_ms();
        if (atomic_load(&e->stop) || (call->delivered && *call->delivered) || (tries >= e->nendpoints && now - start >= (uint64_t)e->patience_ms) ||
            now - start >= (uint64_t)e->call_timeout_ms)
            return kerr_retry_after(err, 1);
        if (call->splitter)
            splitter_reset(call->splitter);
        kerr_free(err);
        if (tries % e->nendpoints == 0)
            clock_sleep_ms(50);
    }
}

static struct kerr *
call_plain(struct etcd *e, const char *path, const struct sbuf *body, struct frame_envelope *ret)
{
    struct call call = { .path = path, .body = body };
    struct kerr *err = perform(e, &call);

    if (!err)
        err = frame_read_envelope(sbuf_str(&call.answer), call.answer.len, ret);
    sbuf_done(&call.answer);
    return err;
}

/* --- ranges --- */

static void
add_base64_member(struct sbuf *out, const char *name, const char *data, size_t len)
{
    sbuf_addf(out, "%s\"%s\":\"", out->s[out->len - 1] == '{' ? "" : ",", name);
    base64_encode(data, len, out);
    sbuf_addc(out, '"');
}

struct range_call {
    etcd_kv_fn fn;
    void *arg;
    struct sbuf memory;
    struct frame_envelope env;
    size_t delivered;
};

static struct kerr *
on_range_kv(const char *json, size_t len, void *arg)
{
    struct range_call *rc = arg;
    struct etcd_kv kv;
    struct kerr *err = frame_read_kv(json, len, &rc->memory, &kv, NULL);

    rc->delivered++;
    return err ? err : rc->fn ? rc->fn(&kv, rc->arg) : NULL;
}

static struct kerr *
on_range_end(const char *json, size_t len, void *arg)
{
    struct range_call *rc = arg;

    return frame_read_envelope(json, len, &rc->env);
}

static void
range_body(const struct etcd_range *range, struct sbuf *body)
{
    sbuf_addc(body, '{');
    add_base64_member(body, "key", range->key, range->key_len);
    if (range->range_end)
        add_base64_member(body, "range_end", range->range_end, range->range_end_len);
    if (range->revision)
        sbuf_addf(body, ",\"revision\":\"%" PRId64 "\"", range->revision);
    if (range->limit)
        sbuf_addf(body, ",\"limit\":\"%" PRId64 "\"", range->limit);
    sbuf_adds(body, range->keys_only ? ",\"keys_only\":true" : "");
    sbuf_adds(body, range->count_only ? ",\"count_only\":true" : "");
    sbuf_adds(body, range->serializable ? ",\"serializable\":true" : "");
    sbuf_addc(body, '}');
}

struct kerr *
etcd_get_range(struct etcd *e, const struct etcd_range *range, etcd_kv_fn fn, void *arg, struct etcd_range_info *ret)
{
    struct range_call rc = { .fn = fn, .arg = arg };
    struct frame_splitter splitter = { .array = "kvs", .level = 1, .max_element = MAX_ELEMENT, .max_envelope = MAX_ENVELOPE,
                                       .element = on_range_kv, .document = on_range_end, .arg = &rc };
    AUTO_SBUF body = { 0 };
    struct call call = { .path = "/v3/kv/range", .body = &body, .splitter = &splitter, .delivered = &rc.delivered };
    struct kerr *err;

    range_body(range, &body);
    err = perform(e, &call);
    if (!err && rc.env.revision <= 0)
        err = kerr_new(KERR_INTERNAL, "etcd's answer to a range has no revision");
    if (!err)
        *ret = (struct etcd_range_info){ rc.env.revision, rc.env.count, rc.env.more, rc.env.cluster_id };
    splitter_done(&splitter);
    sbuf_done(&call.answer);
    sbuf_done(&rc.memory);
    return err;
}

struct kerr *
etcd_revision(struct etcd *e, int64_t *ret)
{
    struct etcd_range range = { .key = "compact_rev_key", .key_len = 15, .count_only = true };
    struct etcd_range_info info;
    struct kerr *err = etcd_get_range(e, &range, NULL, NULL, &info);

    if (!err)
        *ret = info.revision;
    return err;
}

/* --- txn --- */

static void
txn_body(const struct etcd_txn *txn, struct sbuf *body)
{
    bool mod = txn->guard == ETCD_GUARD_MOD_REVISION;
    AUTO_SBUF key = { 0 };

    base64_encode(txn->key, strlen(txn->key), &key);
    sbuf_reserve(body, txn->value_len / 3 * 4 + 3 * key.len + 300);
    sbuf_addf(body, "{\"compare\":[{\"key\":\"%s\",\"target\":\"%s\",\"result\":\"EQUAL\",\"%s\":\"%" PRId64 "\"}],\"success\":[", key.s,
              mod ? "MOD" : "VERSION", mod ? "mod_revision" : "version", txn->expect);
    if (txn->remove) {
        sbuf_addf(body, "{\"request_delete_range\":{\"key\":\"%s\"}}", key.s);
    } else {
        sbuf_addf(body, "{\"request_put\":{\"key\":\"%s\",\"value\":\"", key.s);
        base64_encode(txn->value, txn->value_len, body);
        sbuf_addc(body, '"');
        if (txn->lease)
            sbuf_addf(body, ",\"lease\":\"%" PRId64 "\"", txn->lease);
        sbuf_adds(body, "}}");
    }
    sbuf_addf(body, "],\"failure\":[{\"request_range\":{\"key\":\"%s\"}}]}", key.s);
}

struct kerr *
etcd_do_txn(struct etcd *e, const struct etcd_txn *txn, struct etcd_txn_reply *ret)
{
    AUTO_SBUF body = { 0 };
    struct call call = { .path = "/v3/kv/txn", .body = &body };
    struct kerr *err;

    txn_body(txn, &body);
    err = perform(e, &call);
    if (!err)
        err = frame_read_txn(sbuf_str(&call.answer), call.answer.len, ret);
    if (!err)
        ret->repeated = call.repeated;
    sbuf_done(&call.answer);
    return err;
}

void
etcd_txn_reply_done(struct etcd_txn_reply *reply)
{
    free(reply->memory_);
    *reply = (struct etcd_txn_reply){ 0 };
}

/* --- leases, compaction, status --- */

/* "NAME":"123" at the top level of an answer. */
static int64_t
number_in(const struct sbuf *answer, const char *member)
{
    struct json_cursor c = json_cursor_of(sbuf_str(answer), answer->len);
    struct json_span name;
    int64_t n = 0;

    if (cursor_enter_object(&c))
        while (cursor_next_member(&c, &name)) {
            if (span_is(name, member))
                n = cursor_i64(&c);
            else
                cursor_skip(&c, NULL);
        }
    return c.bad ? 0 : n;
}

struct kerr *
etcd_lease_grant(struct etcd *e, int64_t ttl_s, int64_t *ret_id)
{
    AUTO_SBUF body = { 0 };
    struct call call = { .path = "/v3/lease/grant", .body = &body };
    struct kerr *err;

    sbuf_addf(&body, "{\"TTL\":\"%" PRId64 "\"}", ttl_s);
    err = perform(e, &call);
    if (!err) {
        *ret_id = number_in(&call.answer, "ID");
        if (!*ret_id)
            err = kerr_new(KERR_INTERNAL, "etcd granted no lease: %s", sbuf_str(&call.answer));
    }
    sbuf_done(&call.answer);
    return err;
}

struct kerr *
etcd_lease_revoke(struct etcd *e, int64_t id)
{
    AUTO_SBUF body = { 0 };
    struct frame_envelope env;

    sbuf_addf(&body, "{\"ID\":\"%" PRId64 "\"}", id);
    return call_plain(e, "/v3/lease/revoke", &body, &env);
}

struct kerr *
etcd_compact(struct etcd *e, int64_t revision)
{
    AUTO_SBUF body = { 0 };
    struct frame_envelope env;
    struct kerr *err;

    sbuf_addf(&body, "{\"revision\":\"%" PRId64 "\"}", revision);
    err = call_plain(e, "/v3/kv/compaction", &body, &env);
    if (err && err->reason == KERR_EXPIRED) {
        kerr_free(err);
        return NULL;
    }
    return err;
}

static void
read_status(const struct sbuf *answer, struct etcd_status *ret)
{
    struct json_cursor c = json_cursor_of(sbuf_str(answer), answer->len);
    struct json_span name, span;

    if (!cursor_enter_object(&c))
        return;
    while (cursor_next_member(&c, &name)) {
        if (span_is(name, "version") && cursor_skip(&c, &span))
            snprintf(ret->version, sizeof(ret->version), "%.*s", (int)(span.len < 31 ? span.len : 31), span.s);
        else if (span_is(name, "dbSize"))
            ret->db_size = cursor_i64(&c);
        else if (span_is(name, "leader"))
            ret->has_leader = cursor_i64(&c) != 0;
        else
            cursor_skip(&c, NULL);
    }
}

struct kerr *
etcd_get_status(struct etcd *e, struct etcd_status *ret)
{
    AUTO_SBUF body = { 0 };
    struct call call = { .path = "/v3/maintenance/status", .body = &body };
    struct frame_envelope env;
    struct kerr *err;

    sbuf_adds(&body, "{}");
    err = perform(e, &call);
    if (!err)
        err = frame_read_envelope(sbuf_str(&call.answer), call.answer.len, &env);
    if (!err) {
        *ret = (struct etcd_status){ .revision = env.revision };
        read_status(&call.answer, ret);
    }
    sbuf_done(&call.answer);
    return err;
}

/* --- watch --- */

struct watch_call {
    const struct etcd_watcher *watcher;
    struct sbuf memory;
    bool started;
};

static struct kerr *
on_watch_event(const char *json, size_t len, void *arg)
{
    struct watch_call *wc = arg;
    struct etcd_watch_event ev;
    struct kerr *err = frame_read_event(json, len, &wc->memory, &ev);

    return err ? err : wc->watcher->event(&ev, wc->watcher->arg);
}

static struct kerr *
on_watch_frame(const char *json, size_t len, void *arg)
{
    struct watch_call *wc = arg;
    struct frame_envelope env;
    struct kerr *err = frame_read_envelope(json, len, &env);

    if (err)
        return err;
    if (env.compact_revision || strstr(env.cancel_reason, "compacted"))
        return kerr_new(KERR_EXPIRED, "etcd has compacted its history up to revision %" PRId64, env.compact_revision);
    if (env.error[0] || env.canceled)
        return kerr_new(KERR_UNAVAILABLE, "etcd ended the watch: %s", env.error[0] ? env.error : str_or(env.cancel_reason, "no reason given"));
    if (env.created && !wc->started) {
        wc->started = true;
        err = wc->watcher->started(wc->watcher->arg);
    }
    return err ? err : wc->watcher->frame_end(wc->watcher->arg);
}

void
etcd_watch_cut(struct etcd *e)
{
    pthread_mutex_lock(&e->lock);
    atomic_store(&e->cut, true);
    if (e->watching)
        curl_multi_wakeup(e->watching);
    pthread_mutex_unlock(&e->lock);
}

static void
set_watching(struct etcd *e, CURLM *multi)
{
    pthread_mutex_lock(&e->lock);
    e->watching = multi;
    if (multi)
        atomic_store(&e->cut, false);
    pthread_mutex_unlock(&e->lock);
}

/* Turns the stream until it ends by itself or is cut. */
static CURLcode
run_stream(struct etcd *e, CURLM *multi, bool *ret_cut)
{
    for (;;) {
        int running = 0, left = 0;
        CURLMsg *msg;

        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return CURLE_FAILED_INIT;
        msg = curl_multi_info_read(multi, &left);
        if (msg && msg->msg == CURLMSG_DONE)
            return msg->data.result;
        *ret_cut = atomic_load(&e->cut) || atomic_load(&e->stop);
        if (*ret_cut)
            return CURLE_ABORTED_BY_CALLBACK;
        if (curl_multi_poll(multi, NULL, 0, 1000, NULL) != CURLM_OK)
            return CURLE_FAILED_INIT;
    }
}

static struct kerr *
watch_error(struct etcd *e, struct endpoint *ep, struct wire *w, struct call *call, CURLcode rc, bool cut)
{
    long status = 0;

    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    if (call->err)
        return steal_ptr(call->err);
    if (cut)
        return kerr_new(KERR_UNAVAILABLE, "etcd %s: the watch was cut on our side", ep->url);
    if (rc != CURLE_OK)
        return transport_error(e, ep, w, rc);
    if (status != 200)
        return answer_error(ep, status, sbuf_str(&call->answer), call->answer.len);
    return kerr_new(KERR_UNAVAILABLE, "etcd %s: the watch ended", ep->url);
}

struct kerr *
etcd_watch_run(struct etcd *e, int64_t start_revision, const struct etcd_watcher *watcher)
{
    struct watch_call wc = { .watcher = watcher };
    struct frame_splitter splitter = { .array = "events", .level = 2, .max_element = MAX_ELEMENT, .max_envelope = MAX_ENVELOPE,
                                       .element = on_watch_event, .document = on_watch_frame, .arg = &wc };
    AUTO_SBUF body = { 0 };
    struct call call = { .path = "/v3/watch", .body = &body, .splitter = &splitter };
    size_t which = pick_endpoint(e, clock_mono_ms());
    struct wire *w = wire_new(e);
    CURLM *multi = curl_multi_init();
    struct kerr *err;
    bool cut = false;
    CURLcode rc;

    sbuf_addf(&body, "{\"create_request\":{\"key\":\"AA==\",\"range_end\":\"AA==\",\"start_revision\":\"%" PRId64 "\"}}", start_revision);
    set_request(e, w, &e->endpoints[which], &call, 0);
    curl_easy_setopt(w->curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_multi_add_handle(multi, w->curl);
    set_watching(e, multi);
    rc = run_stream(e, multi, &cut);
    set_watching(e, NULL);
    err = watch_error(e, &e->endpoints[which], w, &call, rc, cut);
    if (err->reason == KERR_UNAVAILABLE && !cut)
        endpoint_bad(e, which, err->message);
    curl_multi_remove_handle(multi, w->curl);
    curl_multi_cleanup(multi);
    wire_free(w);
    splitter_done(&splitter);
    sbuf_done(&call.answer);
    sbuf_done(&wc.memory);
    return err;
}

size_t
etcd_watch_value_max(const struct etcd_watch_event *ev)
{
    return BASE64_DECODED_MAX(ev->value64_len);
}

int
etcd_watch_value(const struct etcd_watch_event *ev, char *to, size_t *ret_len)
{
    ssize_t len = base64_decode(ev->value64, ev->value64_len, (uint8_t *)to, NULL);

    if (len < 0)
        return (int)len;
    *ret_len = (size_t)len;
    return 0;
}
