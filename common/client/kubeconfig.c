// SPDX-License-Identifier: Apache-2.0
#include "common/client/kubeconfig.h"

#include <jansson.h>
#include <libgen.h>

#include "common/api/codec.h"
#include "common/base/base64.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define MAX_FILE (1u << 20)
#define SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/* One entry of the file while it is read; errors name the place in it. */
struct source {
    const char *path; /* of the file */
    char *dir;        /* relative paths start here */
    char *place;      /* `clusters["a"]` */
    json_t *node;     /* borrowed */
};

static struct kerr *
bad(const struct source *s, const char *field, const char *fmt, ...) PRINTF_LIKE(3, 4);
static struct kerr *
bad(const struct source *s, const char *field, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO_FREE char *why = xvasprintf(fmt, ap);
    va_end(ap);
    return kerr_new(KERR_BAD_REQUEST, "%s: %s%s%s: %s", s->path, str_safe(s->place), s->place && *field ? "." : "", field, why);
}

/* A string field; absent and null give NULL. */
static struct kerr *
get_string(const struct source *s, const char *field, char **ret)
{
    json_t *v = json_object_get(s->node, field);

    if (!v || json_is_null(v))
        return NULL;
    if (!json_is_string(v))
        return bad(s, field, "must be a string");
    if (strlen(json_string_value(v)) != json_string_length(v))
        return bad(s, field, "must not contain NUL");
    free(*ret);
    *ret = *json_string_value(v) ? xstrdup(json_string_value(v)) : NULL;
    return NULL;
}

static struct kerr *
get_bool(const struct source *s, const char *field, bool *ret)
{
    json_t *v = json_object_get(s->node, field);

    if (!v || json_is_null(v))
        return NULL;
    if (!json_is_boolean(v))
        return bad(s, field, "must be true or false");
    *ret = json_is_true(v);
    return NULL;
}

/* A path, made absolute by the file's own directory. */
static struct kerr *
get_path(const struct source *s, const char *field, char **ret)
{
    AUTO_FREE char *name = NULL;
    struct kerr *err = get_string(s, field, &name);

    if (!err && name)
        *ret = path_join(s->dir, name);
    return err;
}

/* Base64 of PEM. */
static struct kerr *
get_pem(const struct source *s, const char *field, char **ret)
{
    AUTO_FREE char *text = NULL;
    struct kerr *err = get_string(s, field, &text);
    size_t at = 0;

    if (err || !text)
        return err;
    size_t len = strlen(text);
    AUTO_FREE char *pem = xcalloc(1, BASE64_DECODED_MAX(len) + 1);
    ssize_t n = base64_decode(text, len, (uint8_t *)pem, &at);
    if (n < 0)
        return bad(s, field, "illegal base64 data at input byte %zu", at);
    if (strlen(pem) != (size_t)n || !strstr(pem, "-----BEGIN"))
        return bad(s, field, "does not hold PEM");
    *ret = steal_ptr(pem);
    return NULL;
}

static void
source_done(struct source *s)
{
    free(s->dir);
    free(s->place);
}

/* Finds entry `name` of list `list` ("clusters") and goes to its `member` ("cluster"). */
static struct kerr *
enter(const struct source *top, const char *list, const char *member, const char *name, struct source *ret)
{
    json_t *items = json_object_get(top->node, list);
    size_t i;
    json_t *item;

    *ret = (struct source){ .path = top->path, .dir = xstrdup(top->dir), .place = xasprintf("%s[\"%s\"]", list, name) };
    if (items && !json_is_null(items) && !json_is_array(items))
        return bad(top, list, "must be a list");
    json_array_foreach(items, i, item) {
        if (!str_eq(json_string_value(json_object_get(item, "name")), name))
            continue;
        ret->node = json_object_get(item, member);
        if (!json_is_object(ret->node))
            return bad(ret, member, "is missing");
        return NULL;
    }
    return bad(ret, "", "is not in the file");
}

static struct kerr *
check_server(const struct source *s, char *server)
{
    if (str_empty(server))
        return bad(s, "server", "is missing");
    bool https = str_has_prefix(server, "https://");
    const char *host = strstr(server, "://");
    if (!https && !str_has_prefix(server, "http://"))
        return bad(s, "server", "\"%s\" must begin with https:// or http://", server);
    host += 3;
    if (!*host || *host == '/' || *host == ':')
        return bad(s, "server", "\"%s\" has no host", server);
    if (strpbrk(server, " \t\r\n?#@"))
        return bad(s, "server", "\"%s\" is not a plain URL", server);
    for (size_t len = strlen(server); len && server[len - 1] == '/'; len--)
        server[len - 1] = '\0';
    return NULL;
}

static struct kerr *
read_cluster(const struct source *s, struct client_config *c)
{
    AUTO_FREE char *proxy = NULL;
    struct kerr *err = get_string(s, "server", &c->server);

    if (!err)
        err = check_server(s, c->server);
    if (!err)
        err = get_string(s, "tls-server-name", &c->tls_server_name);
    if (!err)
        err = get_bool(s, "insecure-skip-tls-verify", &c->insecure_skip_tls_verify);
    if (!err)
        err = get_path(s, "certificate-authority", &c->ca_file);
    if (!err)
        err = get_pem(s, "certificate-authority-data", &c->ca_pem);
    if (!err)
        err = get_string(s, "proxy-url", &proxy);
    if (!err && proxy)
        err = bad(s, "proxy-url", "proxies are not supported; connect directly or through a TCP forwarder");
    if (!err && c->insecure_skip_tls_verify && (c->ca_file || c->ca_pem))
        err = bad(s, "insecure-skip-tls-verify", "specifying a root certificates file with the insecure flag is not allowed");
    return err;
}

static struct kerr *
read_user(const struct source *s, struct client_config *c)
{
    struct kerr *err = get_path(s, "client-certificate", &c->cert_file);

    if (!err)
        err = get_pem(s, "client-certificate-data", &c->cert_pem);
    if (!err)
        err = get_path(s, "client-key", &c->key_file);
    if (!err)
        err = get_pem(s, "client-key-data", &c->key_pem);
    if (!err)
        err = get_string(s, "token", &c->token);
    if (!err)
        err = get_path(s, "tokenFile", &c->token_file);
    if (!err)
        err = get_string(s, "username", &c->username);
    if (!err)
        err = get_string(s, "password", &c->password);
    if (!err && json_is_object(json_object_get(s->node, "exec")))
        err = bad(s, "exec", "credential plugins are not supported by ckube's daemons; use a client certificate or a token");
    if (!err && json_is_object(json_object_get(s->node, "auth-provider")))
        err = bad(s, "auth-provider", "was removed in Kubernetes 1.26; use a client certificate or a token");
    if (!err && (c->cert_file || c->cert_pem) && !(c->key_file || c->key_pem))
        err = bad(s, "client-key", "is missing beside client-certificate");
    if (!err && (c->key_file || c->key_pem) && !(c->cert_file || c->cert_pem))
        err = bad(s, "client-certificate", "is missing beside client-key");
    return err;
}

static struct kerr *
pick_context(const struct source *top, const char *asked, char **ret)
{
    struct kerr *err = NULL;

    if (!str_empty(asked))
        *ret = xstrdup(asked);
    else
        err = get_string(top, "current-context", ret);
    if (err || *ret)
        return err;
    json_t *all = json_object_get(top->node, "contexts");
    const char *only = json_string_value(json_object_get(json_array_get(all, 0), "name"));
    if (json_array_size(all) != 1 || str_empty(only))
        return bad(top, "current-context", "is missing");
    *ret = xstrdup(only);
    return NULL;
}

static struct kerr *
read_all(const struct source *top, const char *asked, struct client_config *c)
{
    AUTO_FREE char *name = NULL, *cluster = NULL, *user = NULL;
    struct source context = { 0 }, at_cluster = { 0 }, at_user = { 0 };
    const char *kind = json_string_value(json_object_get(top->node, "kind"));
    struct kerr *err = NULL;

    if (!str_empty(kind) && !str_eq(kind, "Config"))
        return bad(top, "kind", "must be Config, not %s", kind);
    err = pick_context(top, asked, &name);
    if (!err)
        err = enter(top, "contexts", "context", name, &context);
    if (!err)
        err = get_string(&context, "cluster", &cluster);
    if (!err)
        err = get_string(&context, "user", &user);
    if (!err)
        err = get_string(&context, "namespace", &c->namespace);
    if (!err && !cluster)
        err = bad(&context, "cluster", "is missing");
    if (!err)
        err = enter(top, "clusters", "cluster", cluster, &at_cluster);
    if (!err)
        err = read_cluster(&at_cluster, c);
    if (!err && user)
        err = enter(top, "users", "user", user, &at_user);
    if (!err && user)
        err = read_user(&at_user, c);
    if (!err)
        c->origin = xasprintf("%s (context %s)", top->path, name);
    source_done(&context);
    source_done(&at_cluster);
    source_done(&at_user);
    return err;
}

struct kerr *
kubeconfig_parse(const char *text, size_t len, const char *path, const char *context, struct client_config *ret)
{
    AUTO_CLIENT_CONFIG c = { 0 };
    AUTO_SBUF json = { 0 };
    AUTO_FREE char *path_copy = xstrdup(path);
    struct source top = { .path = path };
    json_error_t at;
    struct kerr *err = yaml_to_json(text, len, NULL, &json);

    if (err)
        return kerr_wrap(err, "%s", path);
    top.node = json_loadb(sbuf_str(&json), json.len, JSON_DECODE_ANY, &at);
    top.dir = xstrdup(dirname(path_copy));
    if (json_is_object(top.node))
        err = read_all(&top, context, &c);
    else if (!top.node || json_is_null(top.node))
        err = kerr_new(KERR_BAD_REQUEST, "%s: the file is empty", path);
    else
        err = kerr_new(KERR_BAD_REQUEST, "%s: must be a map at the top", path);
    json_decref(top.node);
    source_done(&top);
    if (err)
        return err;
    *ret = c;
    c = (struct client_config){ 0 };
    return NULL;
}

struct kerr *
kubeconfig_load(const char *path, const char *context, struct client_config *ret)
{
    AUTO_FREE char *text = NULL;
    size_t len;
    struct kerr *err = file_read(path, MAX_FILE, &text, &len);

    if (err)
        return kerr_wrap(err, "kubeconfig");
    return kerr_wrap(kubeconfig_parse(text, len, path, context, ret), "kubeconfig");
}

struct kerr *
client_config_in_cluster(struct client_config *ret)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    AUTO_CLIENT_CONFIG c = { 0 };

    if (str_empty(host) || str_empty(port))
        return kerr_new(KERR_NOT_FOUND, "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT "
                                        "must be defined; outside of a pod give --kubeconfig");
    c.origin = xstrdup("in-cluster");
    c.server = xasprintf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
    c.token_file = xstrdup(SERVICE_ACCOUNT_DIR "/token");
    c.ca_file = xstrdup(SERVICE_ACCOUNT_DIR "/ca.crt");
    struct kerr *err = file_read(c.token_file, MAX_FILE, &c.token, NULL);
    if (err)
        return kerr_wrap(err, "in-cluster configuration");
    kerr_free(file_read(SERVICE_ACCOUNT_DIR "/namespace", 4096, &c.namespace, NULL));
    *ret = c;
    c = (struct client_config){ 0 };
    return NULL;
}

struct kerr *
client_config_load(const char *path, const char *master, struct client_config *ret)
{
    struct kerr *err = NULL;

    if (!str_empty(path)) {
        err = kubeconfig_load(path, NULL, ret);
    } else if (!str_empty(master)) {
        *ret = (struct client_config){ .origin = xstrdup("--master"), .server = xstrdup(master) };
    } else {
        err = client_config_in_cluster(ret);
    }
    if (err || str_empty(master))
        return err;
    free(ret->server);
    ret->server = strstr(master, "://") ? xstrdup(master) : xasprintf("http://%s", master);
    struct source s = { .path = "--master" };
    err = check_server(&s, ret->server);
    if (err)
        client_config_done(ret);
    return err;
}

/* Every owned string, for copy and free. */
static const size_t strings[] = {
    offsetof(struct client_config, origin),    offsetof(struct client_config, server),   offsetof(struct client_config, tls_server_name),
    offsetof(struct client_config, ca_file),   offsetof(struct client_config, ca_pem),   offsetof(struct client_config, cert_file),
    offsetof(struct client_config, cert_pem),  offsetof(struct client_config, key_file), offsetof(struct client_config, key_pem),
    offsetof(struct client_config, token),     offsetof(struct client_config, token_file), offsetof(struct client_config, username),
    offsetof(struct client_config, password),  offsetof(struct client_config, namespace),
};

static char **
string_at(const struct client_config *c, size_t i)
{
    return (char **)((char *)c + strings[i]);
}

void
client_config_copy(const struct client_config *from, struct client_config *ret)
{
    *ret = *from;
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        *string_at(ret, i) = xstrdup(*string_at(from, i));
}

static void
wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
}

void
client_config_done(struct client_config *c)
{
    wipe(c->key_pem);
    wipe(c->token);
    wipe(c->password);
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        free(*string_at(c, i));
    *c = (struct client_config){ 0 };
}

static void
put_string(json_t *o, const char *field, const char *value)
{
    if (!str_empty(value))
        json_object_set_new(o, field, json_string(value));
}

static void
put_pem(json_t *o, const char *field, const char *pem)
{
    AUTO_SBUF text = { 0 };

    if (str_empty(pem))
        return;
    base64_encode(pem, strlen(pem), &text);
    json_object_set_new(o, field, json_string(sbuf_str(&text)));
}

struct kerr *
kubeconfig_write(const char *path, const struct client_config *c, const char *user)
{
    json_t *cluster = json_object(), *who = json_object(), *context;

    put_string(cluster, "server", c->server);
    put_string(cluster, "tls-server-name", c->tls_server_name);
    put_string(cluster, "certificate-authority", c->ca_file);
    put_pem(cluster, "certificate-authority-data", c->ca_pem);
    if (c->insecure_skip_tls_verify)
        json_object_set_new(cluster, "insecure-skip-tls-verify", json_true());
    put_string(who, "client-certificate", c->cert_file);
    put_pem(who, "client-certificate-data", c->cert_pem);
    put_string(who, "client-key", c->key_file);
    put_pem(who, "client-key-data", c->key_pem);
    put_string(who, "token", c->token);
    put_string(who, "tokenFile", c->token_file);
    context = json_pack("{s:s, s:s}", "cluster", "default-cluster", "user", str_or(user, "default-auth"));
    put_string(context, "namespace", c->namespace);
    json_t *all = json_pack("{s:s, s:s, s:[{s:s, s:o}], s:[{s:s, s:o}], s:[{s:s, s:o}], s:s}", "apiVersion", "v1", "kind", "Config",
                            "clusters", "name", "default-cluster", "cluster", cluster, "users", "name", str_or(user, "default-auth"),
                            "user", who, "contexts", "name", "default-context", "context", context, "current-context",
                            "default-context");
    char *json = json_dumps(all, JSON_COMPACT);
    AUTO_SBUF yaml = { 0 };
    json_to_yaml(json, strlen(json), &yaml);
    struct kerr *err = file_write_atomic(path, sbuf_str(&yaml), yaml.len, 0600);
    if (yaml.s)
        explicit_bzero(yaml.s, yaml.len);
    explicit_bzero(json, strlen(json));
    free(json);
    json_decref(all);
    return err;
}
