// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/watch_cache.h"

#include "apiserver/rest/encode.h"
#include "common/base/str.h"

#define SLOTS 64
#define SLOT_MAX (256u << 10) /* bytes: larger encodings are not kept */

struct slot {
    struct record *rec; /* a reference, so that its address stays its own */
    const struct resource *res;
    struct media media;
    bool first;
    char include_object[16];
    struct sbuf bytes;
};

struct watch_cache {
    struct slot slots[SLOTS];
    struct sbuf large; /* the last one that was not kept */
};

struct watch_cache *
watch_cache_new(void)
{
    return XNEW(struct watch_cache);
}

static void
slot_clear(struct slot *s)
{
    record_unref(s->rec);
    sbuf_done(&s->bytes);
    *s = (struct slot){ 0 };
}

void
watch_cache_free(struct watch_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        slot_clear(&c->slots[i]);
    sbuf_done(&c->large);
    free(c);
}

static bool
same_media(const struct media *a, const struct media *b)
{
    return a->format == b->format && a->as == b->as && a->as_v1beta1 == b->as_v1beta1 && a->pretty == b->pretty;
}

static bool
slot_holds(const struct slot *s, const struct media *m, const struct resource *res, const struct record *rec, bool first,
           const char *include_object)
{
    return s->rec == rec && s->res == res && s->first == first && same_media(&s->media, m) && str_eq(s->include_object, include_object);
}

struct kerr *
watch_cache_encode(struct watch_cache *c, const struct media *m, const struct resource *res, const struct record *rec, bool first,
                   const char *include_object, const struct sbuf **ret)
{
    struct slot *s = &c->slots[(((uintptr_t)rec >> 4) * 0x9e3779b97f4a7c15ull >> 40) % SLOTS];
    struct sbuf bytes = { 0 };
    struct kerr *err;

    if (slot_holds(s, m, res, rec, first, include_object)) {
        *ret = &s->bytes;
        return NULL;
    }
    err = encode_watch_object(m, res, rec, first, include_object, &bytes);
    if (err) {
        sbuf_done(&bytes);
        return err;
    }
    if (bytes.len > SLOT_MAX || strlen(include_object) >= sizeof(s->include_object)) {
        sbuf_done(&c->large);
        c->large = bytes;
        *ret = &c->large;
        return NULL;
    }
    slot_clear(s);
    *s = (struct slot){ record_ref(rec), res, *m, first, { 0 }, bytes };
    memcpy(s->include_object, include_object, strlen(include_object));
    *ret = &s->bytes;
    return NULL;
}
