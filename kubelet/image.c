// SPDX-License-Identifier: Apache-2.0
#include "kubelet/image.h"

#include <ctype.h>
#include <jansson.h>
#include <pthread.h>

#include "common/base/base64.h"
#include "common/base/clock.h"

const char *
image_policy(const struct container *c)
{
    const char *slash = strrchr(str_safe(c->image), '/'), *colon = strrchr(str_safe(c->image), ':');

    if (!str_empty(c->image_pull_policy))
        return c->image_pull_policy;
    if (strchr(str_safe(c->image), '@'))
        return "IfNotPresent";
    if (!colon || (slash && colon < slash))
        return "Always"; /* no tag is :latest */
    return !strcmp(colon, ":latest") ? "Always" : "IfNotPresent";
}

/* Enough to tell a typo from a name; the runtime knows the full grammar. */
bool
image_name_valid(const char *image)
{
    const char *name_end;

    if (str_empty(image) || strlen(image) > 2048 || !isalnum((unsigned char)*image))
        return false;
    for (const char *p = image; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-/:@+", *p))
            return false;
    name_end = strrchr(image, '/');
    name_end = name_end ? name_end + 1 : image;
    for (const char *p = name_end; *p && *p != ':' && *p != '@'; p++)
        if (isupper((unsigned char)*p))
            return false; /* repository name must be lowercase */
    return *name_end && *name_end != ':' && *name_end != '@';
}

struct kerr *
image_check(struct kubelet *k, const struct container *c, struct arena *a, enum image_answer *ret, struct rt_image **ret_image)
{
    const char *policy = image_policy(c);
    struct kerr *err;

    *ret_image = NULL;
    if (!image_name_valid(c->image)) {
        *ret = IMAGE_INVALID;
        return NULL;
    }
    err = runtime_image(k->rt, c->image, a, ret_image);
    if (err)
        return err;
    if (!strcmp(policy, "Always"))
        *ret = IMAGE_PULL;
    else if (*ret_image)
        *ret = IMAGE_HERE;
    else
        *ret = !strcmp(policy, "Never") ? IMAGE_NEVER : IMAGE_PULL;
    return NULL;
}

/* --- credentials --- */

static char *
registry_of(const char *image)
{
    const char *slash = strchr(image, '/');
    size_t n = slash ? (size_t)(slash - image) : 0;

    if (!slash || (!memchr(image, '.', n) && !memchr(image, ':', n) && strncmp(image, "localhost/", 10) != 0))
        return xstrdup("index.docker.io");
    if (n == 9 && !strncmp(image, "docker.io", 9))
        return xstrdup("index.docker.io");
    return xstrndup(image, n);
}

/* "https://index.docker.io/v1/" -> "index.docker.io"; a path that is no API version stays: it limits to a repository. */
static char *
config_host(const char *key, char **ret_path)
{
    const char *at = strstr(key, "://") ? strstr(key, "://") + 3 : key;
    const char *slash = strchr(at, '/');
    char *host = xstrndup(at, slash ? (size_t)(slash - at) : strlen(at));

    *ret_path = slash && strcmp(slash, "/v1/") != 0 && strcmp(slash, "/v2/") != 0 && strcmp(slash, "/v1") != 0 && strcmp(slash, "/v2") != 0 && slash[1]
                    ? xstrdup(slash + 1)
                    : xstrdup("");
    if (!strcmp(host, "docker.io") || !strcmp(host, "registry-1.docker.io")) {
        free(host);
        host = xstrdup("index.docker.io");
    }
    return host;
}

static bool
host_matches(const char *pattern, const char *host)
{
    if (!strncmp(pattern, "*.", 2)) {
        const char *dot = strchr(host, '.');

        return dot && !strcmp(dot, pattern + 1);
    }
    return !strcmp(pattern, host);
}

static const char *
text_of(json_t *o, const char *key, struct arena *a)
{
    return arena_strdup(a, json_string_value(json_object_get(o, key)));
}

bool
image_auth_find(const char *json, size_t len, bool legacy, const char *image, struct arena *a, struct image_auth *ret)
{
    json_t *doc = json_loadb(json, len, 0, NULL);
    json_t *auths = legacy ? doc : json_object_get(doc, "auths"), *entry;
    AUTO_FREE char *registry = registry_of(image);
    const char *key, *repo = strchr(image, '/') && strcmp(registry, "index.docker.io") != 0 ? strchr(image, '/') + 1 : image;
    size_t best = 0;
    bool found = false;

    json_object_foreach(auths, key, entry)
    {
        AUTO_FREE char *path = NULL;
        AUTO_FREE char *host = config_host(key, &path);
        size_t n = strlen(path);

        if (!host_matches(host, registry) || strncmp(repo, path, n) != 0 || (found && n <= best))
            continue;
        *ret = (struct image_auth){ .username = text_of(entry, "username", a), .password = text_of(entry, "password", a),
                                    .auth = text_of(entry, "auth", a), .identity_token = text_of(entry, "identitytoken", a) };
        if (str_empty(ret->username) && !str_empty(ret->auth)) {
            size_t n_auth = strlen(ret->auth);
            char *plain = arena_alloc(a, BASE64_DECODED_MAX(n_auth) + 1), *colon;

            if (base64_decode(ret->auth, n_auth, (uint8_t *)plain, NULL) > 0 && (colon = strchr(plain, ':'))) {
                ret->username = arena_strndup(a, plain, (size_t)(colon - plain));
                ret->password = arena_strdup(a, colon + 1);
            }
        }
        best = n;
        found = true;
    }
    json_decref(doc);
    return found;
}

static bool
auth_of_secret(struct kubelet *k, const struct pod *pod, const char *name, const char *image, struct arena *a, struct image_auth *ret)
{
    AUTO(object) *obj = NULL;
    AUTO(kerr) *err = k->src.get(k->src.arg, "Secret", pod->metadata.namespace, name, &obj);
    const struct secret *s;

    if (err) { /* as upstream: try without */
        kubelet_event(k, pod, NULL, EVENT_WARNING, "FailedToRetrieveImagePullSecret",
                      "Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", name);
        return false;
    }
    s = OBJECT_BODY(obj, secret);
    for (uint32_t i = 0; s && i < s->data.len; i++) {
        const struct api_bytes *v = &s->data.items[i].value;
        bool legacy = !strcmp(s->data.items[i].key, ".dockercfg");

        if ((legacy || !strcmp(s->data.items[i].key, ".dockerconfigjson")) &&
            image_auth_find((const char *)v->data, v->len, legacy, image, a, ret))
            return true;
    }
    return false;
}

/* --- pulling --- */

static pthread_mutex_t serial = PTHREAD_MUTEX_INITIALIZER; /* serializeImagePulls */

static void
seconds_text(uint64_t ms, char *buf, size_t size)
{
    if (ms < 1000)
        snprintf(buf, size, "%llums", (unsigned long long)ms);
    else
        snprintf(buf, size, "%llu.%03llus", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
}

struct kerr *
image_pull(struct kubelet *k, const struct pod *pod, const struct container *c, char **ret_ref)
{
    AUTO(arena) *a = arena_new(0);
    uint64_t asked = clock_mono_ms(), begun;
    struct rt_image *img = NULL;
    struct kerr *err = NULL;
    char took[32], waited[32];
    bool tried = false;

    kubelet_event(k, pod, c->name, EVENT_NORMAL, "Pulling", "Pulling image \"%s\"", c->image);
    if (k->cfg.serialize_pulls)
        pthread_mutex_lock(&serial);
    begun = clock_mono_ms();
    for (uint32_t i = 0; i < pod->spec.image_pull_secrets.len; i++) {
        struct image_auth auth;

        if (!auth_of_secret(k, pod, pod->spec.image_pull_secrets.items[i].name, c->image, a, &auth))
            continue;
        kerr_free(err);
        tried = true;
        err = runtime_image_pull(k->rt, c->image, &auth, ret_ref);
        if (!err)
            break;
    }
    if (!tried)
        err = runtime_image_pull(k->rt, c->image, NULL, ret_ref);
    if (k->cfg.serialize_pulls)
        pthread_mutex_unlock(&serial);
    if (err) {
        kubelet_event(k, pod, c->name, EVENT_WARNING, "Failed", "Failed to pull image \"%s\": %s", c->image, runtime_error_text(err));
        return err;
    }
    seconds_text(clock_mono_ms() - begun, took, sizeof took);
    seconds_text(clock_mono_ms() - asked, waited, sizeof waited);
    err = runtime_image(k->rt, c->image, a, &img);
    kerr_free(err);
    kubelet_event(k, pod, c->name, EVENT_NORMAL, "Pulled",
                  "Successfully pulled image \"%s\" in %s (%s including waiting). Image size: %llu bytes.", c->image, took, waited,
                  img ? (unsigned long long)img->size : 0);
    return NULL;
}
