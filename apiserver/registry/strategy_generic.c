// SPDX-License-Identifier: Apache-2.0
/* The two strategies most kinds have: plain (all fields are the client's) and generic (spec is the client's, status is
 * written through /status only). */
#include <string.h>

#include "apiserver/registry/strategies.h"

static const struct api_field *
top_field(const struct api_type *t, const char *json)
{
    const struct api_name *n = api_type_name(t, json, strlen(json));

    return n ? n->field : NULL;
}

void
strategy_copy_field(const struct api_type *t, const char *json, const void *from, void *to)
{
    const struct api_field *f = top_field(t, json);
    uint32_t size;

    if (!f)
        return;
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        size = api_value_size(f);
        break;
    case API_PTR:
        size = sizeof(void *);
        break;
    default:
        size = sizeof(struct api_list);
    }
    if (from)
        memcpy((char *)to + f->offset, (const char *)from + f->offset, size);
    else
        memset((char *)to + f->offset, 0, size);
}

static void
generic_prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    strategy_copy_field(c->resource->kind->type, "status", NULL, body);
}

static void
generic_prepare_update(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    strategy_copy_field(c->resource->kind->type, "status", old, body);
}

/* Everything but status and what may change in metadata with it stays. */
static void
generic_prepare_status(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    const struct api_kind *k = c->resource->kind;
    const struct object_meta *was = (const struct object_meta *)((const char *)old + k->meta_offset);
    struct object_meta *meta = (struct object_meta *)((char *)body + k->meta_offset);

    for (uint16_t i = 0; i < k->type->nfields; i++) {
        const char *json = k->type->fields[i].json;
        if (*json && strcmp(json, "status") != 0 && strcmp(json, "metadata") != 0)
            strategy_copy_field(k->type, json, old, body);
    }
    meta->labels = was->labels;
    meta->owner_references = was->owner_references;
}

const struct strategy strategy_generic = {
    .prepare_create = generic_prepare_create,
    .prepare_update = generic_prepare_update,
    .prepare_status = generic_prepare_status,
};

const struct strategy strategy_plain = {
    .no_generation = true,
    .prepare_status = generic_prepare_status,
};

const struct strategy strategy_lease = { .no_generation = true, .allow_create_on_update = true };
const struct strategy strategy_event = { .no_generation = true, .allow_create_on_update = true };
const struct strategy strategy_endpoints = { .no_generation = true, .allow_create_on_update = true };

/* Secrets: stringData is written into data and never kept (core/v1 Secret.stringData). */
static void
secret_fold(struct arena *a, struct secret *s)
{
    for (uint32_t i = 0; i < s->string_data.len; i++) {
        const struct string_map_entry *e = &s->string_data.items[i];
        const struct api_bytes value = { (const uint8_t *)(e->value ? e->value : ""), e->value ? (uint32_t)strlen(e->value) : 0 };
        uint32_t at = 0;
        while (at < s->data.len && strcmp(s->data.items[at].key, e->key) < 0)
            at++;
        if (at == s->data.len || strcmp(s->data.items[at].key, e->key) != 0) {
            s->data.items = arena_grow(a, s->data.items, s->data.len * sizeof *s->data.items, (s->data.len + 1) * sizeof *s->data.items);
            memmove(&s->data.items[at + 1], &s->data.items[at], (s->data.len - at) * sizeof *s->data.items);
            s->data.cap = ++s->data.len;
            s->data.items[at].key = e->key;
        }
        s->data.items[at].value = value;
    }
    s->string_data = (struct string_map){ 0 };
}

static void
secret_prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    secret_fold(a, body);
}

static void
secret_prepare_update(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    secret_fold(a, body);
}

const struct strategy strategy_secret = {
    .no_generation = true,
    .prepare_create = secret_prepare_create,
    .prepare_update = secret_prepare_update,
};

/* Nodes bring their status when they register, so a create keeps it. */
const struct strategy strategy_node = {
    .no_generation = true,
    .keeps_status = true,
    .prepare_update = generic_prepare_update,
    .prepare_status = generic_prepare_status,
};

static void
pv_prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    struct persistent_volume *pv = body;

    pv->status = (struct persistent_volume_status){ .phase = "Pending" };
}

static void
pvc_prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    struct persistent_volume_claim *pvc = body;

    pvc->status = (struct persistent_volume_claim_status){ .phase = "Pending" };
}

const struct strategy strategy_pv = {
    .no_generation = true,
    .prepare_create = pv_prepare_create,
    .prepare_update = generic_prepare_update,
    .prepare_status = generic_prepare_status,
    .returns_deleted = true,
};
const struct strategy strategy_pvc = {
    .no_generation = true,
    .prepare_create = pvc_prepare_create,
    .prepare_update = generic_prepare_update,
    .prepare_status = generic_prepare_status,
    .returns_deleted = true,
};
