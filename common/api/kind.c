// SPDX-License-Identifier: Apache-2.0
#include "common/api/type.h"

#include <pthread.h>

#include "common/base/str.h"

enum { SLOTS = 1024 }; /* a power of two, well over twice the kinds */

/* Open addressing, 1-based indexes into api_kinds; 0 = free.  Built once, then read only. */
static struct {
    uint16_t by_kind[SLOTS];
    uint16_t by_plural[SLOTS];
    char **api_versions; /* parallel to api_kinds */
} index_;
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static uint32_t
slot_of(const char *group, size_t group_len, const char *version, const char *name)
{
    uint32_t h = fnv32a(FNV32_INIT, name, strlen(name));

    h = fnv32a(h, group, group_len);
    return fnv32a(h, version, strlen(version));
}

static void
insert(uint16_t *slots, const struct api_kind *k, const char *name)
{
    uint32_t at = slot_of(k->group, strlen(k->group), k->version, name);

    while (slots[at % SLOTS])
        at++;
    slots[at % SLOTS] = (uint16_t)(k - api_kinds + 1);
}

static void
build_index(void)
{
    if (api_kinds_len > SLOTS / 2)
        abort(); /* a bug: make SLOTS larger */
    index_.api_versions = xcalloc(api_kinds_len, sizeof *index_.api_versions);
    for (size_t i = 0; i < api_kinds_len; i++) {
        const struct api_kind *k = &api_kinds[i];
        insert(index_.by_kind, k, k->kind);
        if (k->resource && !str_empty(k->plural))
            insert(index_.by_plural, k, k->plural);
        index_.api_versions[i] = *k->group ? xasprintf("%s/%s", k->group, k->version) : xstrdup(k->version);
    }
}

static bool
is_kind(const struct api_kind *k, const char *group, size_t group_len, const char *version)
{
    return strlen(k->group) == group_len && memcmp(k->group, group, group_len) == 0 && str_eq(k->version, version);
}

/* Options of requests (DeleteOptions, ListOptions, ...) may come under any group's version, as clients name that of the
 * resource they ask for; there is one schema for all. */
static bool
of_any_version(const struct api_kind *k)
{
    return !k->resource && str_has_suffix(k->kind, "Options") &&
           str_has_prefix(k->type->openapi, "io.k8s.apimachinery.pkg.apis.meta.v1.");
}

static const struct api_kind *
find_exact(const char *api_version, const char *kind)
{
    const char *slash = strchr(api_version, '/');
    const char *version = slash ? slash + 1 : api_version;
    size_t group_len = slash ? (size_t)(slash - api_version) : 0;
    if (slash && !group_len)
        return NULL;
    for (uint32_t at = slot_of(api_version, group_len, version, kind); index_.by_kind[at % SLOTS]; at++) {
        const struct api_kind *k = &api_kinds[index_.by_kind[at % SLOTS] - 1];
        if (str_eq(k->kind, kind) && is_kind(k, api_version, group_len, version))
            return k;
    }
    return NULL;
}

const struct api_kind *
api_kind_find(const char *api_version, const char *kind)
{
    if (str_empty(api_version) || str_empty(kind))
        return NULL;
    pthread_once(&index_once, build_index);
    const struct api_kind *k = find_exact(api_version, kind);
    if (k)
        return k;
    k = find_exact("v1", kind);
    return k && of_any_version(k) ? k : NULL;
}

const struct api_kind *
api_kind_by_resource(const char *group, const char *version, const char *plural)
{
    group = str_safe(group);
    pthread_once(&index_once, build_index);
    size_t group_len = strlen(group);
    for (uint32_t at = slot_of(group, group_len, str_safe(version), str_safe(plural)); index_.by_plural[at % SLOTS]; at++) {
        const struct api_kind *k = &api_kinds[index_.by_plural[at % SLOTS] - 1];
        if (str_eq(k->plural, plural) && is_kind(k, group, group_len, version))
            return k;
    }
    return NULL;
}

/* Kinds made at run time (custom resources, metadata-only views): their texts are kept for ever, once each. */
static const char *
interned_api_version(const struct api_kind *k)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
    static struct strlist texts;
    char *text = str_empty(k->group) ? xstrdup(k->version) : xasprintf("%s/%s", k->group, k->version);
    const char *found = NULL;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < texts.len && !found; i++)
        found = strcmp(texts.items[i], text) == 0 ? texts.items[i] : NULL;
    if (found) {
        free(text);
    } else {
        strlist_add_take(&texts, text);
        found = text;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

const char *
api_kind_api_version(const struct api_kind *k)
{
    if (k < api_kinds || k >= api_kinds + api_kinds_len)
        return interned_api_version(k);
    pthread_once(&index_once, build_index);
    if (k < api_kinds || k >= api_kinds + api_kinds_len)
        k = api_kind_by_resource(k->group, k->version, k->plural); /* a caller's own row: the kind as metadata only */
    return k ? index_.api_versions[k - api_kinds] : "";
}

const struct api_name *
api_type_name(const struct api_type *t, const char *json, size_t len)
{
    unsigned low = 0, high = t->nnames;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        const struct api_name *n = &t->names[mid];
        int c = len != n->len ? (len < n->len ? -1 : 1) : memcmp(json, n->json, len);
        if (c == 0)
            return n;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

uint32_t
api_value_size(const struct api_field *f)
{
    static const uint8_t sizes[] = {
        [API_BOOL] = sizeof(bool),
        [API_I32] = sizeof(int32_t),
        [API_I64] = sizeof(int64_t),
        [API_U32] = sizeof(uint32_t),
        [API_U64] = sizeof(uint64_t),
        [API_F64] = sizeof(double),
        [API_STRING] = sizeof(char *),
        [API_BYTES] = sizeof(struct api_bytes),
        [API_QUANTITY] = sizeof(struct quantity),
        [API_TIME] = sizeof(struct api_time),
        [API_MICRO_TIME] = sizeof(struct api_time),
        [API_DURATION] = sizeof(struct api_duration),
        [API_INT_OR_STRING] = sizeof(struct int_or_string),
        [API_RAW] = sizeof(struct api_raw),
        [API_FIELDS_V1] = sizeof(struct api_raw),
        [API_STRINGS] = sizeof(struct api_list),
    };

    return f->value == API_MESSAGE ? f->type->size : sizes[f->value];
}

/* Entries are as the generated structs: a pointer, then the value, padded to the pointer's alignment. */
uint32_t
api_entry_size(const struct api_field *f)
{
    return (API_ENTRY_VALUE + api_value_size(f) + 7) & ~7u;
}
