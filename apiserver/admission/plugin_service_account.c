// SPDX-License-Identifier: Apache-2.0
/* ServiceAccount: every pod runs as an account that exists, and finds its token, the cluster's CA and its namespace under
 * /var/run/secrets/kubernetes.io/serviceaccount. */
#include <string.h>

#include "apiserver/admission/plugins.h"
#include "apiserver/rest/internal.h"
#include "common/api/meta.h"
#include "common/base/rng.h"

#define MOUNT_PATH "/var/run/secrets/kubernetes.io/serviceaccount"
#define MIRROR "kubernetes.io/config.mirror"
enum { TOKEN_SECONDS = 3607, VOLUME_MODE = 0644 };

static struct kerr *
find_account(const struct write_context *c, const struct pod *pod, struct object **ret)
{
    const struct resource *accounts = resource_named("v1", "ServiceAccount");

    *ret = internal_get(accounts, c->ns, pod->spec.service_account_name);
    if (!*ret) {
        AUTO(kerr) *late = storage_wait_fresh(c->srv->storage); /* made a moment ago by another apiserver */
        *ret = late ? NULL : internal_get(accounts, c->ns, pod->spec.service_account_name);
    }
    if (*ret)
        return NULL;
    AUTO_FREE char *why = xasprintf("error looking up service account %s/%s: serviceaccount \"%s\" not found", c->ns,
                                    pod->spec.service_account_name, pod->spec.service_account_name);
    return kerr_forbidden("", "pods", str_or(pod->metadata.name, pod->metadata.generate_name), why);
}

static bool
wants_token(const struct pod *pod, const struct service_account *sa)
{
    if (pod->spec.automount_service_account_token)
        return *pod->spec.automount_service_account_token;
    return !sa->automount_service_account_token || *sa->automount_service_account_token;
}

static bool
has_mount(const struct volume_mount_slice *l)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i].mount_path, MOUNT_PATH))
            return true;
    return false;
}

static bool
all_mounted(const struct container_slice *l)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (!has_mount(&l->items[i].volume_mounts))
            return false;
    return true;
}

static void
mount_in(struct container_slice *l, struct arena *a, const char *volume)
{
    for (uint32_t i = 0; i < l->len; i++) {
        struct volume_mount_slice *m = &l->items[i].volume_mounts;
        if (has_mount(m))
            continue;
        m->items = arena_grow(a, m->items, m->len * sizeof *m->items, (m->len + 1) * sizeof *m->items);
        m->items[m->len++] = (struct volume_mount){ .name = volume, .mount_path = MOUNT_PATH, .read_only = true };
        m->cap = m->len;
    }
}

static int32_t *
number(struct arena *a, int32_t n)
{
    int32_t *p = ARENA_NEW(a, int32_t);

    *p = n;
    return p;
}

static void
add_sources(struct projected_volume_source *p, struct arena *a)
{
    struct volume_projection *s = arena_alloc(a, 3 * sizeof *s);

    p->sources.items = s;
    p->sources.len = p->sources.cap = 3;
    p->default_mode = number(a, VOLUME_MODE);
    s[0].service_account_token = ARENA_NEW(a, struct service_account_token_projection);
    s[0].service_account_token->path = "token";
    s[0].service_account_token->expiration_seconds = ARENA_NEW(a, int64_t);
    *s[0].service_account_token->expiration_seconds = TOKEN_SECONDS;
    s[1].config_map = ARENA_NEW(a, struct config_map_projection);
    s[1].config_map->local_object_reference.name = "kube-root-ca.crt";
    s[1].config_map->items.items = ARENA_NEW(a, struct key_to_path);
    s[1].config_map->items.len = s[1].config_map->items.cap = 1;
    s[1].config_map->items.items[0] = (struct key_to_path){ .key = "ca.crt", .path = "ca.crt" };
    s[2].downward_api = ARENA_NEW(a, struct downward_api_projection);
    struct downward_api_volume_file *f = ARENA_NEW(a, struct downward_api_volume_file);
    s[2].downward_api->items.items = f;
    s[2].downward_api->items.len = s[2].downward_api->items.cap = 1;
    f->path = "namespace";
    f->field_ref = ARENA_NEW(a, struct object_field_selector);
    *f->field_ref = (struct object_field_selector){ .api_version = "v1", .field_path = "metadata.namespace" };
}

static void
mount_token(struct pod *pod, struct arena *a)
{
    struct volume_slice *l = &pod->spec.volumes;
    struct rng rng = rng_from_system();
    char suffix[6];

    if (all_mounted(&pod->spec.containers) && all_mounted(&pod->spec.init_containers))
        return;
    rng_name_suffix(&rng, suffix, 5);
    const char *name = arena_printf(a, "kube-api-access-%s", suffix);
    l->items = arena_grow(a, l->items, l->len * sizeof *l->items, (l->len + 1) * sizeof *l->items);
    struct volume *v = &l->items[l->len++];
    l->cap = l->len;
    v->name = name;
    v->volume_source.projected = ARENA_NEW(a, struct projected_volume_source);
    add_sources(v->volume_source.projected, a);
    mount_in(&pod->spec.containers, a, name);
    mount_in(&pod->spec.init_containers, a, name);
}

static struct kerr *
mutate(const struct write_context *c, enum admission_operation op, struct object *obj, const struct object *old)
{
    struct pod *pod = OBJECT_BODY(obj, pod);
    struct arena *a = object_arena(obj);
    AUTO(object) *account = NULL;

    if (!pod || op != ADMISSION_CREATE || *c->subresource)
        return NULL;
    if (meta_annotation(&pod->metadata, MIRROR)) { /* written by a kubelet for a static pod: no account, no token */
        if (!str_empty(pod->spec.service_account_name))
            return kerr_forbidden("", "pods", pod->metadata.name, "a mirror pod may not reference service accounts");
        return NULL;
    }
    if (str_empty(pod->spec.service_account_name))
        pod->spec.service_account_name = "default";
    pod->spec.service_account = pod->spec.service_account_name;
    struct kerr *err = find_account(c, pod, &account);
    if (err)
        return err;
    const struct service_account *sa = OBJECT_BODY(account, service_account);
    if (wants_token(pod, sa))
        mount_token(pod, a);
    if (pod->spec.image_pull_secrets.len == 0 && sa->image_pull_secrets.len) {
        struct local_object_reference_slice *l = &pod->spec.image_pull_secrets;
        l->items = arena_alloc(a, sa->image_pull_secrets.len * sizeof *l->items);
        l->len = l->cap = sa->image_pull_secrets.len;
        for (uint32_t i = 0; i < l->len; i++)
            l->items[i].name = arena_strdup(a, sa->image_pull_secrets.items[i].name);
    }
    return NULL;
}

const struct admission_plugin plugin_service_account = {
    .name = "ServiceAccount",
    .on_by_default = true,
    .operations = ADMISSION_CREATE,
    .mutate = mutate,
};
