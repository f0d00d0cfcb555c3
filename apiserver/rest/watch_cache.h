// SPDX-License-Identifier: Apache-2.0
/* watch_cache.h - event objects in forms that are not the stored bytes (protobuf, Table, metadata only, another version):
 * the last few of one loop, so that the many watchers of an event share one encoding.  Lives on one loop: no locks. */
#ifndef CKUBE_APISERVER_WATCH_CACHE_H
#define CKUBE_APISERVER_WATCH_CACHE_H

#include "apiserver/http/media.h"
#include "apiserver/registry/resource.h"

struct watch_cache;
struct watch_cache *watch_cache_new(void) MUST_CHECK;
void watch_cache_free(struct watch_cache *c); /* NULL is fine */
DEFINE_AUTO(watch_cache)

/* As encode_watch_object(); *ret is valid until the next call. */
struct kerr *watch_cache_encode(struct watch_cache *c, const struct media *m, const struct resource *res, const struct record *rec,
                                bool first, const char *include_object, const struct sbuf **ret) MUST_CHECK;

#endif
