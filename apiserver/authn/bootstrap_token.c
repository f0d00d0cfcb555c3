// SPDX-License-Identifier: Apache-2.0
/* Bootstrap tokens "<6 chars>.<16 chars>": secrets kube-system/bootstrap-token-<id> of type bootstrap.kubernetes.io/token. */
#include <string.h>

#include "apiserver/authn/authn_internal.h"
#include "apiserver/rest/internal.h"
#include "common/api/values.h"
#include "common/base/clock.h"

enum { ID_LEN = 6, SECRET_LEN = 16 };
#define GROUP_BOOTSTRAPPERS "system:bootstrappers"

static char *
data_of(const struct secret *s, const char *key)
{
    for (uint32_t i = 0; i < s->data.len; i++)
        if (strcmp(s->data.items[i].key, key) == 0)
            return xstrndup((const char *)s->data.items[i].value.data, s->data.items[i].value.len);
    return xstrdup("");
}

static bool
still_valid(const struct secret *s)
{
    AUTO_FREE char *until = data_of(s, "expiration");
    AUTO_FREE char *usage = data_of(s, "usage-bootstrap-authentication");
    struct api_time t;

    if (!str_eq(usage, "true") || s->metadata.deletion_timestamp || !str_eq(s->type, "bootstrap.kubernetes.io/token"))
        return false;
    return !*until || (api_time_parse(until, strlen(until), &t) == 0 && api_time_unix(t) > clock_wall_s());
}

enum authn_step
bootstrap_token_identify(struct authn *n, const char *token, struct arena *a, struct user_info *ret)
{
    if (strlen(token) != ID_LEN + 1 + SECRET_LEN || token[ID_LEN] != '.')
        return AUTHN_NEXT;
    AUTO_FREE char *id = xstrndup(token, ID_LEN);
    AUTO_FREE char *name = xasprintf("bootstrap-token-%s", id);
    AUTO(object) *obj = internal_get(resource_named("v1", "Secret"), "kube-system", name);
    if (!obj)
        return AUTHN_NEXT;
    const struct secret *s = OBJECT_BODY(obj, secret);
    AUTO_FREE char *stored_id = data_of(s, "token-id");
    AUTO_FREE char *stored = data_of(s, "token-secret");
    AUTO_FREE char *groups = data_of(s, "auth-extra-groups");
    if (!str_eq(stored_id, id) || strlen(stored) != SECRET_LEN || !same_secret(stored, token + ID_LEN + 1, SECRET_LEN) || !still_valid(s))
        return AUTHN_NEXT;
    ret->username = arena_printf(a, "system:bootstrap:%s", id);
    user_add_group(ret, a, GROUP_BOOTSTRAPPERS);
    AUTO_STRLIST extra = { 0 };
    strlist_split(&extra, groups, ',');
    for (size_t i = 0; i < extra.len; i++)
        user_add_group(ret, a, arena_strdup(a, extra.items[i]));
    return AUTHN_FOUND;
}
