// SPDX-License-Identifier: Apache-2.0
#include "kubelet/env.h"

#include <ctype.h>

#include "common/api/meta.h"
#include "kubelet/downward.h"

struct vars { /* in order; later ones replace earlier ones of that name in place */
    struct container_request *rq;
    struct container_request service; /* only env is used: service variables, lowest rank */
};

static void
put(struct container_request *rq, const char *name, size_t name_len, const char *value, size_t len)
{
    for (size_t i = 0; i < rq->nenv; i++)
        if (!strncmp(rq->env[i].name, name, name_len) && !rq->env[i].name[name_len]) {
            free(rq->env[i].value);
            rq->env[i].value = xstrndup(value, len);
            return;
        }
    rq->env = xreallocarray(rq->env, rq->nenv + 1, sizeof *rq->env);
    rq->env[rq->nenv++] = (struct rt_env){ xstrndup(name, name_len), xstrndup(value, len) };
}

static void
puts_(struct container_request *rq, const char *name, const char *value)
{
    put(rq, name, strlen(name), str_safe(value), strlen(str_safe(value)));
}

const char *
env_lookup(const struct container_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->nenv; i++)
        if (!strcmp(rq->env[i].name, name))
            return rq->env[i].value;
    return NULL;
}

void
env_expand(const char *text, const char *(*lookup)(const char *name, void *arg), void *arg, struct sbuf *out)
{
    for (const char *p = str_safe(text); *p; p++) {
        const char *end;

        if (*p != '$') {
            sbuf_addc(out, *p);
            continue;
        }
        if (p[1] == '$') {
            sbuf_addc(out, '$');
            p++;
            continue;
        }
        end = p[1] == '(' ? strchr(p, ')') : NULL;
        if (!end) { /* "$x", "$" at the end, "$(" never closed: as they are */
            sbuf_addc(out, '$');
            continue;
        }
        AUTO_FREE char *name = xstrndup(p + 2, (size_t)(end - p - 2));
        const char *value = lookup(name, arg);

        if (value)
            sbuf_adds(out, value);
        else
            sbuf_add(out, p, (size_t)(end - p) + 1);
        p = end;
    }
}

static const char *
lookup_var(const char *name, void *arg)
{
    struct vars *v = arg;
    const char *value = env_lookup(v->rq, name);

    return value ? value : env_lookup(&v->service, name);
}

/* --- services --- */

static char *
env_name(const char *service)
{
    char *s = xstrdup(service);

    for (char *p = s; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return s;
}

PRINTF_LIKE(2, 4) static void
putf(struct container_request *rq, const char *name_fmt, const char *value, ...)
{
    AUTO_SBUF name = { 0 };
    va_list ap;

    va_start(ap, value);
    sbuf_addvf(&name, name_fmt, ap);
    va_end(ap);
    puts_(rq, sbuf_str(&name), value);
}

static void
add_service(struct container_request *to, const struct service *s)
{
    AUTO_FREE char *prefix = env_name(s->metadata.name);
    const char *ip = s->spec.cluster_ip;
    bool v6;

    if (str_empty(ip) || str_eq(ip, "None") || !s->spec.ports.len)
        return;
    v6 = strchr(ip, ':');
    putf(to, "%s_SERVICE_HOST", ip, prefix);
    for (uint32_t i = 0; i < s->spec.ports.len; i++) {
        const struct service_port *p = &s->spec.ports.items[i];
        const char *proto = str_or(p->protocol, "TCP");
        AUTO_FREE char *lower = str_lower(proto);
        AUTO_FREE char *port = xasprintf("%d", p->port);
        AUTO_FREE char *url = xasprintf(v6 ? "%s://[%s]:%d" : "%s://%s:%d", lower, ip, p->port);

        if (i == 0) {
            putf(to, "%s_SERVICE_PORT", port, prefix);
            putf(to, "%s_PORT", url, prefix);
        }
        if (!str_empty(p->name)) {
            AUTO_FREE char *upper = env_name(p->name);

            putf(to, "%s_SERVICE_PORT_%s", port, prefix, upper);
        }
        putf(to, "%s_PORT_%d_%s", url, prefix, p->port, proto);
        putf(to, "%s_PORT_%d_%s_PROTO", lower, prefix, p->port, proto);
        putf(to, "%s_PORT_%d_%s_PORT", port, prefix, p->port, proto);
        putf(to, "%s_PORT_%d_%s_ADDR", ip, prefix, p->port, proto);
    }
}

static struct kerr *
add_services(const struct pod_facts *f, const struct object_source *src, struct container_request *to)
{
    bool links = !f->pod->spec.enable_service_links || *f->pod->spec.enable_service_links;
    AUTO_OBJECT_LIST own = { 0 };
    AUTO_OBJECT_LIST master = { 0 };

    if (!src->services)
        return NULL;
    if (!src->services(src->arg, "default", &master) || !src->services(src->arg, f->pod->metadata.namespace, &own))
        return kerr_new(KERR_UNAVAILABLE, "services have not yet been read at least once, cannot construct envvars");
    for (size_t i = 0; i < master.len; i++)
        if (str_eq(object_name(master.items[i]), "kubernetes"))
            add_service(to, OBJECT_BODY(master.items[i], service));
    for (size_t i = 0; links && i < own.len; i++)
        add_service(to, OBJECT_BODY(own.items[i], service));
    return NULL;
}

/* --- envFrom --- */

static bool
is_true(const bool *p)
{
    return p && *p;
}

static void
put_prefixed(struct container_request *rq, const char *prefix, const char *key, const char *value, size_t len)
{
    AUTO_FREE char *name = xasprintf("%s%s", str_safe(prefix), key);

    put(rq, name, strlen(name), value, len);
}

static struct kerr *
add_from(const struct pod_facts *f, const struct env_from_source *from, const struct object_source *src, struct container_request *rq)
{
    const bool secret = from->secret_ref != NULL;
    const char *name = secret                  ? from->secret_ref->local_object_reference.name
                       : from->config_map_ref ? from->config_map_ref->local_object_reference.name
                                              : NULL;
    const bool *optional = secret ? from->secret_ref->optional : from->config_map_ref ? from->config_map_ref->optional : NULL;
    AUTO(object) *obj = NULL;
    struct kerr *err;

    if (!name)
        return NULL;
    err = src->get(src->arg, secret ? "Secret" : "ConfigMap", f->pod->metadata.namespace, name, &obj);
    if (err && err->reason == KERR_NOT_FOUND && is_true(optional)) {
        kerr_free(err);
        return NULL;
    }
    if (err)
        return err;
    if (secret) {
        const struct secret *s = OBJECT_BODY(obj, secret);

        for (uint32_t i = 0; i < s->data.len; i++)
            put_prefixed(rq, from->prefix, s->data.items[i].key, (const char *)s->data.items[i].value.data, s->data.items[i].value.len);
        return NULL;
    }
    const struct config_map *cm = OBJECT_BODY(obj, config_map);

    for (uint32_t i = 0; i < cm->data.len; i++)
        put_prefixed(rq, from->prefix, cm->data.items[i].key, str_safe(cm->data.items[i].value), strlen(str_safe(cm->data.items[i].value)));
    return NULL;
}

/* --- env --- */

/* *ret_set false: optional and absent, the variable is left out. */
static struct kerr *
key_ref(const struct pod_facts *f, const char *kind, const char *name, const char *key, bool optional, const struct object_source *src,
        struct sbuf *out, bool *ret_set)
{
    AUTO(object) *obj = NULL;
    struct kerr *err = src->get(src->arg, kind, f->pod->metadata.namespace, name, &obj);
    const struct config_map *cm;
    const struct secret *s;

    *ret_set = false;
    if (err) {
        if (err->reason != KERR_NOT_FOUND || !optional)
            return err;
        kerr_free(err);
        return NULL;
    }
    cm = OBJECT_BODY(obj, config_map);
    s = OBJECT_BODY(obj, secret);
    if (cm && string_map_get(&cm->data, key)) {
        sbuf_adds(out, string_map_get(&cm->data, key));
        *ret_set = true;
    }
    for (uint32_t i = 0; s && i < s->data.len; i++)
        if (!strcmp(s->data.items[i].key, key)) {
            sbuf_add(out, s->data.items[i].value.data, s->data.items[i].value.len);
            *ret_set = true;
        }
    if (!*ret_set && !optional)
        return kerr_new(KERR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key, kind, f->pod->metadata.namespace, name);
    return NULL;
}

static struct kerr *
add_var(const struct pod_facts *f, const struct container *c, const struct env_var *e, const struct object_source *src, struct vars *v)
{
    const struct env_var_source *from = e->value_from;
    AUTO_SBUF value = { 0 };
    struct kerr *err = NULL;
    bool set = true;

    if (!from)
        env_expand(e->value, lookup_var, v, &value);
    else if (from->field_ref)
        err = downward_field(f, from->field_ref->field_path, &value);
    else if (from->resource_field_ref)
        err = downward_resource(f, c, from->resource_field_ref, &value);
    else if (from->config_map_key_ref)
        err = key_ref(f, "ConfigMap", from->config_map_key_ref->local_object_reference.name, from->config_map_key_ref->key,
                      is_true(from->config_map_key_ref->optional), src, &value, &set);
    else if (from->secret_key_ref)
        err = key_ref(f, "Secret", from->secret_key_ref->local_object_reference.name, from->secret_key_ref->key,
                      is_true(from->secret_key_ref->optional), src, &value, &set);
    if (err || !set)
        return err;
    put(v->rq, e->name, strlen(e->name), sbuf_str(&value), value.len);
    return NULL;
}

static void
expand_all(const struct string_slice *from, struct vars *v, struct strlist *to)
{
    for (uint32_t i = 0; i < from->len; i++) {
        AUTO_SBUF b = { 0 };

        env_expand(from->items[i], lookup_var, v, &b);
        strlist_add_take(to, sbuf_steal(&b));
    }
}

struct kerr *
env_make(const struct pod_facts *f, const struct container *c, const struct object_source *src, struct container_request *rq)
{
    struct vars v = { .rq = rq };
    struct kerr *err = add_services(f, src, &v.service);

    for (uint32_t i = 0; !err && i < c->env_from.len; i++)
        err = add_from(f, &c->env_from.items[i], src, rq);
    for (uint32_t i = 0; !err && i < c->env.len; i++)
        err = add_var(f, c, &c->env.items[i], src, &v);
    if (!err) {
        expand_all(&c->command, &v, &rq->command);
        expand_all(&c->args, &v, &rq->args);
        for (size_t i = 0; i < v.service.nenv; i++)
            if (!env_lookup(rq, v.service.env[i].name))
                puts_(rq, v.service.env[i].name, v.service.env[i].value);
    }
    container_request_done(&v.service);
    return err;
}
