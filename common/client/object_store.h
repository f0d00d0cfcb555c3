// SPDX-License-Identifier: Apache-2.0
/* object_store.h - the objects of one informer by key, with indexes.  One writer (the informer's loop), readers on any
 * thread: a rwlock inside; readers get references. */
#ifndef CKUBE_CLIENT_OBJECT_STORE_H
#define CKUBE_CLIENT_OBJECT_STORE_H

#include "common/client/informer.h"

struct object_store;

struct object_store *object_store_new(void) MUST_CHECK; /* has an index by namespace */
void object_store_free(struct object_store *s);
unsigned object_store_add_index(struct object_store *s, const char *name, informer_key_fn *fn);

void object_store_put(struct object_store *s, const char *key, struct object *obj, unsigned round); /* takes obj */
void object_store_touch(struct object_store *s, const char *key, unsigned round); /* seen in this round, unchanged */
struct object *object_store_remove(struct object_store *s, const char *key) MUST_CHECK; /* the caller's now; NULL = was not there */
/* Removes all that were not put or touched in this round; ret gets them. */
void object_store_sweep(struct object_store *s, unsigned round, struct object_list *ret);

struct object *object_store_get(const struct object_store *s, const char *key) MUST_CHECK;
void object_store_list(const struct object_store *s, const char *ns, struct object_list *ret);
void object_store_by_index(const struct object_store *s, unsigned index, const char *key, struct object_list *ret);
size_t object_store_len(const struct object_store *s);

#endif
