// SPDX-License-Identifier: Apache-2.0
/* serving.c - the daemon's HTTP side: listeners, TLS, who may ask.
 *   http loop: head and body --> pool thread: authenticate, authorize, endpoint --> reply */
#include <errno.h>
#include <stdio.h>

#include "api_types.h"
#include "common/api/status.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/base/pool.h"
#include "common/client/kubeconfig.h"
#include "common/client/rest.h"
#include "common/daemon/daemon_impl.h"
#include "common/daemon/delegated.h"
#include "common/net/http_server.h"
#include "common/net/tls.h"

#define O(member) offsetof(struct serving_options, member)
#define CA_REFRESH_MS 60000

static const struct flag serving_flags[] = {
    { "bind-address", FLAG_IP, O(bind_address), "0.0.0.0", "The IP address on which to listen for the --secure-port port." },
    { "secure-port", FLAG_I32, O(port), "0", "The port on which to serve HTTPS with authentication and authorization. If 0, don't serve HTTPS at all." },
    { "cert-dir", FLAG_STRING, O(cert_dir), NULL, "The directory where the TLS certs are located, used when --tls-cert-file is not given." },
    { "tls-cert-file", FLAG_STRING, O(tls_cert_file), NULL, "File containing the default x509 Certificate for HTTPS. A self-signed one is made when empty." },
    { "tls-private-key-file", FLAG_STRING, O(tls_private_key_file), NULL, "File containing the default x509 private key matching --tls-cert-file." },
    { "tls-cipher-suites", FLAG_STRINGS, O(tls_cipher_suites), NULL, "Comma-separated list of cipher suites for the server." },
    { "tls-min-version", FLAG_STRING, O(tls_min_version), NULL, "Minimum TLS version supported: VersionTLS12, VersionTLS13." },
    { "client-ca-file", FLAG_STRING, O(client_ca_file), NULL,
      "Any request presenting a client certificate signed by one of the authorities in this file is authenticated by its CommonName." },
    { "requestheader-client-ca-file", FLAG_STRING, O(requestheader_client_ca_file), NULL,
      "Root certificate bundle to use to verify client certificates before trusting usernames in headers." },
    { "requestheader-allowed-names", FLAG_STRINGS, O(requestheader_allowed_names), NULL,
      "Client certificate common names allowed to provide usernames in headers. If empty, any certificate of that authority is allowed." },
    { "authentication-kubeconfig", FLAG_STRING, O(authentication_kubeconfig), NULL,
      "kubeconfig file for creating tokenreviews.authentication.k8s.io. Without it all token requests are anonymous." },
    { "authorization-kubeconfig", FLAG_STRING, O(authorization_kubeconfig), NULL,
      "kubeconfig file for creating subjectaccessreviews.authorization.k8s.io. Without it only the always allowed paths answer." },
    { "authentication-skip-lookup", FLAG_BOOL, O(authentication_skip_lookup), "false",
      "If true, --authentication-kubeconfig is not used to look up missing authentication configuration in the cluster." },
    { "authentication-tolerate-lookup-failure", FLAG_BOOL, O(authentication_tolerate_lookup_failure), "true",
      "If true, failures to look up missing authentication configuration are not fatal." },
    { "authorization-always-allow-paths", FLAG_STRINGS, O(always_allow_paths), "/healthz,/readyz,/livez",
      "A list of HTTP paths to skip during authorization." },
    { "authentication-token-webhook-cache-ttl", FLAG_IGNORED, 0, NULL, NULL },
    { "authorization-webhook-cache-authorized-ttl", FLAG_IGNORED, 0, NULL, NULL },
    { "authorization-webhook-cache-unauthorized-ttl", FLAG_IGNORED, 0, NULL, NULL },
    { "requestheader-username-headers", FLAG_IGNORED, 0, NULL, NULL },
    { "requestheader-uid-headers", FLAG_IGNORED, 0, NULL, NULL },
    { "requestheader-group-headers", FLAG_IGNORED, 0, NULL, NULL },
    { "requestheader-extra-headers-prefix", FLAG_IGNORED, 0, NULL, NULL },
    { "http2-max-streams-per-connection", FLAG_IGNORED, 0, NULL, NULL },
    { "disable-http2-serving", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "permit-address-sharing", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "permit-port-sharing", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "tls-sni-cert-key", FLAG_IGNORED, 0, NULL, NULL },
};

void
daemon_add_serving_flags(struct daemon *d, int default_port)
{
    flags_add(d->flags, "Secure serving", serving_flags, ARRAY_LEN(serving_flags), &d->serving);
    d->serving.port = default_port;
}

struct serving_options *
daemon_serving(struct daemon *d)
{
    return &d->serving;
}

void
serving_options_done(struct serving_options *s)
{
    char *const owned[] = { s->bind_address,   s->tls_cert_file,     s->tls_private_key_file,         s->cert_dir,
                            s->tls_min_version, s->client_ca_file,   s->requestheader_client_ca_file, s->authentication_kubeconfig,
                            s->authorization_kubeconfig };

    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        free(owned[i]);
    strlist_done(&s->tls_cipher_suites);
    strlist_done(&s->requestheader_allowed_names);
    strlist_done(&s->always_allow_paths);
    *s = (struct serving_options){ 0 };
}

/* --- one request --- */

struct serving_job {
    struct listener *listener;
    struct http_stream *stream;
};

static void
reply_status(struct http_stream *s, const struct kerr *err)
{
    static const struct http_header json[] = { { "Content-Type", "application/json" } };
    AUTO_SBUF body = { 0 };

    status_encode_json(err, &body);
    http_reply(s, err->http_code, json, 1, sbuf_str(&body), body.len);
}

static const char *
verb_of(const char *method)
{
    static const char *const verbs[][2] = { { "GET", "get" }, { "HEAD", "head" }, { "POST", "post" }, { "PUT", "put" },
                                            { "PATCH", "patch" }, { "DELETE", "delete" }, { "OPTIONS", "options" } };

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i][0], method) == 0)
            return verbs[i][1];
    }
    return "other";
}

static struct kerr *
check_access(struct daemon *d, const struct http_stream *s, const char *path)
{
    const struct http_request *req = http_stream_request(s);
    struct delegated_credential cred = { 0 };
    struct delegated_user user = { 0 };
    const char *header = http_stream_header(s, "Authorization");

    if (delegated_path_allowed(d->delegated, path))
        return NULL;
    if (header && strncasecmp(header, "Bearer ", 7) == 0)
        cred.bearer_token = header + 7;
    if (req->identity && !req->identity->refused && (req->identity->trusted_by & (1u << TLS_CA_CLIENT))) {
        cred.cert_common_name = req->identity->common_name;
        cred.cert_organizations = &req->identity->organizations;
    }
    struct kerr *err = delegated_authenticate(d->delegated, &cred, &user);
    if (!err)
        err = delegated_authorize(d->delegated, &user, &(struct delegated_access){ .verb = verb_of(req->method), .path = path });
    delegated_user_done(&user);
    return err;
}

static bool
listener_has(const struct listener *l, const char *path)
{
    if (!l->paths)
        return true;
    for (size_t i = 0; l->paths[i]; i++) {
        size_t len = strlen(l->paths[i]);
        if (strncmp(l->paths[i], path, len) == 0 && (path[len] == '\0' || path[len] == '/'))
            return true;
    }
    return false;
}

static char *
decode_path(const char *raw)
{
    struct sbuf out = { 0 };

    for (const char *p = raw; *p; p++) {
        unsigned c;
        if (*p == '%' && sscanf(p + 1, "%2x", &c) == 1 && p[1] && p[2] && c) {
            sbuf_addc(&out, (char)c);
            p += 2;
        } else {
            sbuf_addc(&out, *p);
        }
    }
    return sbuf_steal(&out);
}

static void
answer(struct listener *l, struct http_stream *s)
{
    const struct http_request *req = http_stream_request(s);
    AUTO_FREE char *path = decode_path(req->path);
    struct endpoint_request ask = { .method = req->method, .path = path, .query = req->query };
    struct endpoint_reply reply = { 0 };
    AUTO(kerr) *err = l->secure ? check_access(l->daemon, s, path) : NULL;

    if (err) {
        reply_status(s, err);
        return;
    }
    ask.body = http_stream_body(s, &ask.body_len);
    if (listener_has(l, path)) {
        daemon_answer(l->daemon, &ask, &reply);
    } else {
        reply.code = 404;
        sbuf_adds(&reply.body, "404 page not found\n");
    }
    const struct http_header headers[] = { { "Content-Type", str_or(reply.content_type, "text/plain; charset=utf-8") },
                                           { "X-Content-Type-Options", "nosniff" } };
    http_reply(s, reply.code ? reply.code : 200, headers, ARRAY_LEN(headers), sbuf_str(&reply.body), reply.body.len);
    sbuf_done(&reply.body);
}

static void
run_job(void *arg)
{
    struct serving_job *job = arg;

    answer(job->listener, job->stream);
    http_stream_unref(job->stream);
    free(job);
}

static void
on_request(struct http_stream *s, void *arg)
{
    struct serving_job *job = XNEW(struct serving_job);
    struct listener *l = arg;

    *job = (struct serving_job){ l, http_stream_ref(s) };
    if (pool_submit(l->daemon->http_pool, run_job, job) == 0)
        return;
    AUTO(kerr) *err = kerr_new(KERR_TOO_MANY_REQUESTS, "too many requests, please try again later");
    reply_status(s, err);
    http_stream_unref(s);
    free(job);
}

/* --- set-up --- */

static struct kerr *
make_loop(struct daemon *d)
{
    if (d->http_loop)
        return NULL;
    d->http_pool = pool_new("http-work", 4, 256);
    struct kerr *err = loop_new("http", &d->http_loop);
    if (!err)
        err = loop_thread_start(d->http_loop);
    return err;
}

static struct kerr *
listen_on(struct daemon *d, const char *address, int port, const char *const *paths, bool secure)
{
    static const struct http_handler handler = { .on_request = on_request };
    static const struct http_limits limits = { .max_body = 1 << 20, .max_connections = 1000 };
    struct listener *l = XNEW(struct listener);
    struct kerr *err = make_loop(d);

    *l = (struct listener){ .daemon = d, .paths = paths, .secure = secure };
    if (!err && (port < 1 || port > 65535))
        err = kerr_new(KERR_BAD_REQUEST, "%d is not a valid port, must be between 1 and 65535", port);
    if (!err)
        err = http_server_new(&handler, l, &limits, &l->server);
    if (!err)
        err = http_server_listen(l->server, &d->http_loop, 1, str_or(address, "0.0.0.0"), (uint16_t)port, secure ? d->tls : NULL);
    l->next = d->listeners; /* freed in serving_done(), when the loop has stopped */
    d->listeners = l;
    if (err)
        return kerr_wrap(err, "failed to listen on %s port %d", str_or(address, "0.0.0.0"), port);
    log_info("Serving", "address", str_or(address, "0.0.0.0"), "port", kv_int(port), "scheme", secure ? "https" : "http");
    return NULL;
}

/* A certificate when none is given: in --cert-dir, or in a folder that lives as long as the process. */
static struct kerr *
own_certificate(struct daemon *d)
{
    struct serving_options *s = &d->serving;
    AUTO_STRLIST names = { 0 };
    char host[256] = "localhost";

    gethostname(host, sizeof host - 1);
    if (str_empty(s->cert_dir)) {
        char temp[] = "/tmp/ckube-cert.XXXXXX";
        if (!mkdtemp(temp))
            return kerr_errno(errno, "create %s", temp);
        d->temp_cert_dir = xstrdup(temp);
    }
    strlist_add(&names, "localhost");
    strlist_add(&names, "127.0.0.1");
    if (!str_empty(s->bind_address) && !str_eq(s->bind_address, "0.0.0.0") && !str_eq(s->bind_address, "::"))
        strlist_add(&names, s->bind_address);
    free(s->tls_cert_file);
    free(s->tls_private_key_file);
    s->tls_cert_file = s->tls_private_key_file = NULL;
    log_info("No --tls-cert-file, serving with a self-signed certificate", "dir", str_or(s->cert_dir, d->temp_cert_dir));
    return tls_self_signed(str_or(s->cert_dir, d->temp_cert_dir), d->name, host, &names, &s->tls_cert_file, &s->tls_private_key_file);
}

static struct kerr *
make_tls(struct daemon *d)
{
    struct serving_options *s = &d->serving;
    AUTO_SBUF suites = { 0 };
    struct kerr *err = NULL;

    if (str_empty(s->tls_cert_file) != str_empty(s->tls_private_key_file))
        return kerr_new(KERR_BAD_REQUEST, "--tls-cert-file and --tls-private-key-file must be given together");
    if (str_empty(s->tls_cert_file))
        err = own_certificate(d);
    if (err)
        return err;
    for (size_t i = 0; i < s->tls_cipher_suites.len; i++)
        sbuf_addf(&suites, "%s%s", i ? "," : "", s->tls_cipher_suites.items[i]);
    struct tls_server_options options = {
        .cert_file = s->tls_cert_file,
        .key_file = s->tls_private_key_file,
        .ca_files = { [TLS_CA_CLIENT] = str_empty(s->client_ca_file) ? NULL : s->client_ca_file,
                      [TLS_CA_REQUESTHEADER] = str_empty(s->requestheader_client_ca_file) ? NULL : s->requestheader_client_ca_file },
        .min_version = s->tls_min_version,
        .cipher_suites = sbuf_str(&suites),
    };
    return tls_server_new(&options, &d->tls);
}

static struct kerr *
make_rest(struct daemon *d, const char *kubeconfig, struct rest **ret)
{
    AUTO_CLIENT_CONFIG config = { 0 };
    struct rest_options options = { .component = d->name, .timeout_ms = 10000 };

    if (str_empty(kubeconfig))
        return NULL;
    struct kerr *err = kubeconfig_load(kubeconfig, NULL, &config);
    return err ? err : rest_new(&config, &options, ret);
}

static const char *
map_get(const struct string_map *m, const char *key)
{
    for (uint32_t i = 0; i < m->len; i++) {
        if (str_eq(m->items[i].key, key))
            return m->items[i].value;
    }
    return NULL;
}

/* The cluster's own client CA, published by the apiserver: upstream's "lookup of missing authentication configuration". */
static void
look_up_ca(void *arg)
{
    static const struct api_kind *config_map;
    struct daemon *d = arg;
    AUTO(object) *obj = NULL;

    if (!config_map)
        config_map = api_kind_find("v1", "ConfigMap");
    AUTO(kerr) *err = rest_get(d->authn, config_map, "kube-system", "extension-apiserver-authentication", &obj);
    if (err) {
        log_v(1, "Cannot read the cluster's client CA, client certificates are not accepted here until then", "err", err->message);
        return;
    }
    const struct config_map *cm = OBJECT_BODY(obj, config_map);
    const char *pem = map_get(&cm->data, "client-ca-file");
    if (str_empty(d->serving.client_ca_file) && !str_empty(pem))
        err = tls_server_set_ca(d->tls, TLS_CA_CLIENT, pem);
    if (err)
        log_warning("The cluster's client CA is not usable", "configmap", "kube-system/extension-apiserver-authentication", "err", err->message);
}

static void
refresh_ca(void *arg)
{
    struct daemon *d = arg;
    int ignored = pool_submit(d->http_pool, look_up_ca, d);

    (void)ignored; /* a full pool: the next turn comes in a minute */
}

static void
start_ca_timer(void *arg)
{
    struct daemon *d = arg;

    d->ca_timer = loop_timer_new(d->http_loop, refresh_ca, d);
    loop_timer_every(d->ca_timer, CA_REFRESH_MS);
    refresh_ca(d);
}

static struct kerr *
make_delegated(struct daemon *d)
{
    struct delegated_config config = { .anonymous = true };
    struct kerr *err = make_rest(d, d->serving.authentication_kubeconfig, &d->authn);

    if (!err)
        err = make_rest(d, d->serving.authorization_kubeconfig, &d->authz);
    if (err)
        return err;
    config.authn = d->authn;
    config.authz = d->authz;
    for (size_t i = 0; i < d->serving.always_allow_paths.len; i++)
        strlist_add(&config.allowed_paths, d->serving.always_allow_paths.items[i]);
    d->delegated = delegated_new(&config);
    strlist_done(&config.allowed_paths);
    return NULL;
}

struct kerr *
daemon_serve(struct daemon *d)
{
    struct serving_options *s = &d->serving;
    struct kerr *err;

    if (s->port == 0)
        return NULL;
    if (s->insecure)
        return listen_on(d, s->bind_address, s->port, NULL, false);
    err = make_tls(d);
    if (!err)
        err = make_delegated(d);
    if (!err)
        err = listen_on(d, s->bind_address, s->port, NULL, true);
    if (!err && d->authn && !s->authentication_skip_lookup && str_empty(s->client_ca_file))
        loop_post(d->http_loop, start_ca_timer, d);
    return err;
}

struct kerr *
daemon_serve_plain(struct daemon *d, const char *bind_address, int port, const char *const *paths)
{
    return port == 0 ? NULL : listen_on(d, bind_address, port, paths, false);
}

void
serving_done(struct daemon *d)
{
    if (d->http_loop) {
        loop_stop(d->http_loop);
        loop_thread_join(d->http_loop);
    }
    pool_free(d->http_pool);
    while (d->listeners) {
        struct listener *l = d->listeners;
        d->listeners = l->next;
        http_server_free(l->server);
        free(l);
    }
    loop_timer_free(d->ca_timer);
    loop_free(d->http_loop);
    tls_server_free(d->tls);
    delegated_free(d->delegated);
    rest_unref(d->authn);
    rest_unref(d->authz);
    if (d->temp_cert_dir)
        kerr_free(file_remove_tree(d->temp_cert_dir));
    free(d->temp_cert_dir);
}
