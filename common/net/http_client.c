// SPDX-License-Identifier: Apache-2.0
#include "common/net/http_client.h"

#include <ctype.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"
#include "common/net/http_client_private.h"

#define DEFAULT_MAX_BODY (64u << 20)
#define MAX_HEAD (1u << 20)

/* ---- client ------------------------------------------------------------------------------------------ */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void
global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    signal(SIGPIPE, SIG_IGN);
}

struct kerr *
http_client_new(const struct http_client_options *o, struct http_client **ret)
{
    struct http_client *c = XNEW(struct http_client);

    pthread_once(&global_once, global_init);
    pthread_mutex_init(&c->lock, NULL);
    c->hop = xstrdup(str_or(o->hop, "http"));
    c->user_agent = xstrdup(str_or(o->user_agent, "ckube/" CKUBE_VERSION));
    c->unix_socket = xstrdup(o->unix_socket);
    c->proxy_url = xstrdup(str_safe(o->proxy_url));
    c->userpwd = str_empty(o->username) ? NULL : xasprintf("%s:%s", o->username, str_safe(o->password));
    c->connect_timeout_ms = o->connect_timeout_ms ? o->connect_timeout_ms : 10000;
    c->max_idle = o->max_idle ? o->max_idle : 32;
    tls_pem_init(&c->ca, o->tls.ca_file, o->tls.ca_pem);
    tls_pem_init(&c->cert, o->tls.cert_file, o->tls.cert_pem);
    tls_pem_init(&c->key, o->tls.key_file, o->tls.key_pem);
    tls_pem_init(&c->token_source, o->bearer_token_file, NULL);
    c->token = str_empty(o->bearer_token) ? NULL : xstrdup(o->bearer_token);
    c->server_name = str_empty(o->tls.server_name) ? NULL : xstrdup(o->tls.server_name);
    c->insecure = o->tls.insecure;
    struct kerr *err = tls_client_new(&o->tls, &c->tls);
    if (err) {
        err = kerr_wrap(err, "%s", c->hop);
        http_client_free(c);
        return err;
    }
    *ret = c;
    return NULL;
}

static void
wipe(char *secret)
{
    if (secret)
        OPENSSL_cleanse(secret, strlen(secret));
    free(secret);
}

void
http_client_free(struct http_client *c)
{
    if (!c)
        return;
    http_multis_free(c->multis);
    while (c->idle) {
        struct http_handle *h = c->idle;
        c->idle = h->next;
        http_handle_free(h);
    }
    tls_client_free(c->tls);
    tls_pem_done(&c->ca);
    tls_pem_done(&c->cert);
    tls_pem_done(&c->key);
    tls_pem_done(&c->token_source);
    wipe(c->token);
    wipe(c->userpwd);
    free(c->hop);
    free(c->user_agent);
    free(c->unix_socket);
    free(c->proxy_url);
    free(c->server_name);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const char *
http_client_hop(const struct http_client *c)
{
    return c->hop;
}

struct tls_client *
http_client_tls(struct http_client *c)
{
    return c->tls;
}

/* ---- handles ----------------------------------------------------------------------------------------- */

static CURLcode
on_ssl_ctx(CURL *easy, void *ssl_ctx, void *arg)
{
    struct http_handle *h = arg;

    tls_client_hook_curl(h->client->tls, ssl_ctx, &h->why);
    return CURLE_OK;
}

static void
add_row(struct http_handle *h, const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (h->nrows == h->rows_cap) {
        h->rows_cap = h->rows_cap ? h->rows_cap * 2 : 16;
        h->rows = xreallocarray(h->rows, h->rows_cap, sizeof *h->rows);
    }
    h->rows[h->nrows++] = h->head.len;
    sbuf_add(&h->head, name, name_len);
    sbuf_addc(&h->head, '\0');
    sbuf_add(&h->head, value, value_len);
    sbuf_addc(&h->head, '\0');
}

size_t
http_handle_on_header(char *line, size_t size, size_t n, void *arg)
{
    struct http_handle *h = arg;
    size_t len = size * n;

    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new head: the one before was a 1xx */
        sbuf_clear(&h->head);
        h->nrows = 0;
        h->head_over = false;
        return len;
    }
    const char *colon = memchr(line, ':', len);
    if (!colon) {
        h->head_over = true;
        return len;
    }
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    if (h->head.len + len > MAX_HEAD)
        return 0;
    add_row(h, line, (size_t)(colon - line), value, (size_t)(end - value));
    return len;
}

static void
set_pem(CURL *easy, const struct tls_pem *p, CURLoption file_option, CURLoption blob_option)
{
    if (p->text) {
        struct curl_blob blob = { .data = p->text, .len = strlen(p->text), .flags = CURL_BLOB_NOCOPY };
        curl_easy_setopt(easy, blob_option, &blob);
    } else if (p->file) {
        curl_easy_setopt(easy, file_option, p->file);
    }
}

static void
set_tls(struct http_handle *h)
{
    struct http_client *c = h->client;

    curl_easy_setopt(h->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
    curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
    curl_easy_setopt(h->easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    curl_easy_setopt(h->easy, CURLOPT_SSL_CTX_DATA, h);
    if (tls_pem_given(&c->ca)) {
        curl_easy_setopt(h->easy, CURLOPT_CAPATH, NULL); /* else the system's roots are trusted besides */
        curl_easy_setopt(h->easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(h->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
        set_pem(h->easy, &c->ca, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB);
    }
    set_pem(h->easy, &c->cert, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB);
    set_pem(h->easy, &c->key, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB);
}

struct http_handle *
http_handle_new(struct http_client *c)
{
    struct http_handle *h = XNEW(struct http_handle);

    h->client = c;
    h->easy = curl_easy_init();
    if (!h->easy)
        abort(); /* out of memory */
    curl_easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->errbuf);
    curl_easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, http_handle_on_header);
    curl_easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(h->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(h->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(h->easy, CURLOPT_TCP_KEEPIDLE, 15L);
    curl_easy_setopt(h->easy, CURLOPT_TCP_KEEPINTVL, 15L);
    curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
    curl_easy_setopt(h->easy, CURLOPT_USERAGENT, c->user_agent);
    curl_easy_setopt(h->easy, CURLOPT_PROXY, c->proxy_url); /* "" = none, whatever the environment says */
    if (c->unix_socket)
        curl_easy_setopt(h->easy, CURLOPT_UNIX_SOCKET_PATH, c->unix_socket);
    if (c->userpwd)
        curl_easy_setopt(h->easy, CURLOPT_USERPWD, c->userpwd);
    set_tls(h);
    return h;
}

void
http_handle_free(struct http_handle *h)
{
    curl_easy_cleanup(h->easy);
    curl_slist_free_all(h->headers);
    curl_slist_free_all(h->connect_to);
    sbuf_done(&h->head);
    free(h->rows);
    free(h->url);
    free(h->why);
    free(h);
}

static void
note_files(struct http_client *c)
{
    struct tls_pem *const pems[] = { &c->ca, &c->cert, &c->key };

    for (size_t i = 0; i < ARRAY_LEN(pems); i++) {
        char *text = NULL;
        if (!tls_pem_changed(pems[i]))
            continue;
        kerr_free(tls_pem_read(pems[i], &text)); /* libcurl reads them itself and tells what is wrong */
        wipe(text);
        c->generation++;
    }
}

/* Most recently used first: its connection is the one most likely alive. */
static struct http_handle *
handle_get(struct http_client *c)
{
    uint64_t now = clock_mono_ms();
    struct http_handle *h;

    pthread_mutex_lock(&c->lock);
    if (now >= c->next_files_look_ms) {
        c->next_files_look_ms = now + TLS_LOOK_EVERY_MS;
        note_files(c);
    }
    unsigned generation = c->generation;
    while ((h = c->idle)) {
        c->idle = h->next;
        c->nidle--;
        if (h->generation == generation)
            break;
        http_handle_free(h);
    }
    pthread_mutex_unlock(&c->lock);
    if (!h) {
        h = http_handle_new(c);
        h->generation = generation;
    }
    return h;
}

static void
handle_put(struct http_client *c, struct http_handle *h)
{
    pthread_mutex_lock(&c->lock);
    bool keep = c->nidle < c->max_idle && h->generation == c->generation;
    if (keep) {
        h->next = c->idle;
        c->idle = h;
        c->nidle++;
    }
    pthread_mutex_unlock(&c->lock);
    if (!keep)
        http_handle_free(h);
}

/* ---- one call ---------------------------------------------------------------------------------------- */

/* "Authorization: Bearer ..." or NULL; caller frees. */
static char *
authorization(struct http_client *c)
{
    uint64_t now = clock_mono_ms();
    char *line = NULL;

    pthread_mutex_lock(&c->lock);
    if (c->token_source.file && now >= c->next_token_look_ms) {
        c->next_token_look_ms = now + TLS_LOOK_EVERY_MS;
        char *text = NULL;
        struct kerr *err = NULL;
        if (!c->token || tls_pem_changed(&c->token_source))
            err = tls_pem_read(&c->token_source, &text);
        if (err)
            log_warning("Cannot read the bearer token, trying again", "hop", c->hop, "err", err->message);
        kerr_free(err);
        if (text) {
            text[strcspn(text, "\r\n \t")] = '\0';
            wipe(c->token);
            c->token = text;
        }
    }
    if (!str_empty(c->token))
        line = xasprintf("Authorization: Bearer %s", c->token);
    pthread_mutex_unlock(&c->lock);
    return line;
}

static struct kerr *
add_header(struct http_handle *h, const char *name, const char *value)
{
    if (strpbrk(name, "\r\n:") || strpbrk(value, "\r\n"))
        return kerr_new(KERR_INTERNAL, "%s: header '%s' has a line break in it", h->client->hop, name);
    /* libcurl's spelling of a header without a value */
    AUTO_FREE char *line = *value ? xasprintf("%s: %s", name, value) : xasprintf("%s;", name);
    h->headers = curl_slist_append(h->headers, line);
    return NULL;
}

static struct kerr *
set_headers(struct http_handle *h, const struct http_call *call)
{
    struct kerr *err = NULL;

    curl_slist_free_all(h->headers);
    h->headers = NULL;
    for (size_t i = 0; i < call->nheaders && !err; i++)
        err = add_header(h, call->headers[i].name, call->headers[i].value);
    if (err)
        return err;
    h->headers = curl_slist_append(h->headers, "Expect:");
    if (call->body && !http_header_get(call->headers, call->nheaders, "Content-Type"))
        h->headers = curl_slist_append(h->headers, "Content-Type:");
    if (!http_header_get(call->headers, call->nheaders, "Authorization")) {
        char *line = authorization(h->client);
        if (line)
            h->headers = curl_slist_append(h->headers, line);
        wipe(line);
    }
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
    return NULL;
}

/* libcurl checks the certificate against the URL's host: to expect another name, that name goes into the URL and the
 * true host into CONNECT_TO and the Host header. */
static struct kerr *
rewrite_for_server_name(struct http_handle *h, const struct http_call *call)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *url = NULL;
    struct kerr *err = NULL;

    free(h->url);
    h->url = NULL;
    curl_slist_free_all(h->connect_to);
    h->connect_to = NULL;
    if (curl_url_set(u, CURLUPART_URL, call->url, CURLU_PATH_AS_IS) ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) || curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
        curl_url_set(u, CURLUPART_HOST, h->client->server_name, 0) || curl_url_get(u, CURLUPART_URL, &url, 0)) {
        err = kerr_new(KERR_INTERNAL, "%s: malformed URL '%s'", h->client->hop, call->url);
    } else {
        AUTO_FREE char *line = xasprintf("%s:%s:%s:%s", h->client->server_name, port, host, port);
        AUTO_FREE char *host_line = xasprintf("Host: %s:%s", host, port);
        h->url = xstrdup(url);
        h->connect_to = curl_slist_append(NULL, line);
        h->headers = curl_slist_append(h->headers, host_line);
    }
    curl_free(host);
    curl_free(port);
    curl_free(url);
    curl_url_cleanup(u);
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(h->easy, CURLOPT_CONNECT_TO, h->connect_to);
    return err;
}

static void
set_method(struct http_handle *h, const struct http_call *call)
{
    const char *method = str_or(call->method, "GET");
    bool is_get = str_eq(method, "GET"), is_post = str_eq(method, "POST");

    curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(h->easy, CURLOPT_HTTPGET, 1L);
    if (str_eq(method, "HEAD")) {
        curl_easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (call->body || is_post) {
        curl_easy_setopt(h->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
        if (is_post)
            return;
    }
    if (!is_get || call->body)
        curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, method);
}

struct kerr *
http_handle_prepare(struct http_handle *h, const struct http_call *call)
{
    struct kerr *err = set_headers(h, call);

    if (!err && h->client->server_name && strncasecmp(str_safe(call->url), "https:", 6) == 0)
        err = rewrite_for_server_name(h, call);
    if (err)
        return err;
    h->errbuf[0] = '\0';
    free(h->why);
    h->why = NULL;
    sbuf_clear(&h->head);
    h->nrows = 0;
    h->head_over = false;
    curl_easy_setopt(h->easy, CURLOPT_URL, h->url ? h->url : call->url);
    set_method(h, call);
    return NULL;
}

struct http_header *
http_handle_rows(const struct http_handle *h, const char *text)
{
    struct http_header *rows = xcalloc(h->nrows + 1, sizeof *rows);

    for (size_t i = 0; i < h->nrows; i++) {
        rows[i].name = text + h->rows[i];
        rows[i].value = rows[i].name + strlen(rows[i].name) + 1;
    }
    return rows;
}

static enum kerr_reason
reason_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return KERR_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return KERR_UNAVAILABLE;
    default:
        return KERR_INTERNAL;
    }
}

/* "<hop>: GET https://10.0.0.1:6443/api/v1/pods: <cause>": without the query, which may be long. */
struct kerr *
http_handle_error(struct http_handle *h, const struct http_call *call, CURLcode rc)
{
    const char *why = h->why ? h->why : str_or(h->errbuf, curl_easy_strerror(rc));
    AUTO_FREE char *ours = NULL;
    int url_len = (int)strcspn(call->url, "?");

    if (!h->why && strstr(why, "alert") && tls_pem_given(&h->client->cert))
        ours = xasprintf(" (our client certificate: %s)", tls_pem_where(&h->client->cert));
    return kerr_new(reason_of(rc), "%s: %s %.*s: %s%s", h->client->hop, str_or(call->method, "GET"), url_len, call->url,
                    why, str_safe(ours));
}

struct body_sink {
    struct sbuf body;
    size_t max;
    bool too_large;
};

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
    struct body_sink *sink = arg;

    if (size * n > sink->max - sink->body.len) {
        sink->too_large = true;
        return 0;
    }
    sbuf_add(&sink->body, data, size * n);
    return size * n;
}

static void
fill_result(struct http_handle *h, struct body_sink *sink, struct http_result *ret)
{
    long code = 0;
    size_t rows_size = (h->nrows + 1) * sizeof(struct http_header);

    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &code);
    memset(ret, 0, sizeof *ret);
    ret->code = (int)code;
    ret->nheaders = h->nrows;
    ret->headers = xmalloc(rows_size + h->head.len + 1); /* one block: rows, then their text */
    char *text = (char *)ret->headers + rows_size;
    memcpy(text, sbuf_str(&h->head), h->head.len + 1);
    struct http_header *rows = http_handle_rows(h, text);
    memcpy(ret->headers, rows, rows_size);
    free(rows);
    ret->body_len = sink->body.len;
    ret->body = sbuf_steal(&sink->body);
}

struct kerr *
http_call_do(struct http_client *c, const struct http_call *call, struct http_result *ret)
{
    struct http_handle *h = handle_get(c);
    struct body_sink sink = { .max = call->max_body ? call->max_body : DEFAULT_MAX_BODY };
    struct kerr *err = http_handle_prepare(h, call);

    if (!err) {
        curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)(call->timeout_ms ? call->timeout_ms : 30000));
        curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, &sink);
        CURLcode rc = curl_easy_perform(h->easy);
        if (sink.too_large)
            err = kerr_new(KERR_TOO_LARGE, "%s: %s %s: the reply is larger than %zu bytes", c->hop,
                           str_or(call->method, "GET"), call->url, sink.max);
        else if (rc != CURLE_OK)
            err = http_handle_error(h, call, rc);
        else
            fill_result(h, &sink, ret);
    }
    sbuf_done(&sink.body);
    handle_put(c, h);
    return err;
}

/* ---- results ----------------------------------------------------------------------------------------- */

void
http_result_done(struct http_result *r)
{
    free(r->headers);
    free(r->body);
    memset(r, 0, sizeof *r);
}

const char *
http_result_header(const struct http_result *r, const char *name)
{
    return http_header_get(r->headers, r->nheaders, name);
}

int32_t
http_result_retry_after_s(const struct http_result *r)
{
    const char *text = http_result_header(r, "Retry-After");
    int32_t seconds;

    return text && parse_i32(text, &seconds) == 0 && seconds > 0 ? seconds : 0;
}
