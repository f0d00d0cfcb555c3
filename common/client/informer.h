// SPDX-License-Identifier: Apache-2.0
/* informer.h - a local, always-fresh copy of the objects of one kind, with indexes and change handlers.
 *
 *   apiserver --list, watch--> reflector --decoded objects--> store (rwlock) --> handlers; all on the set's loop
 *
 * A daemon has one informer set; asking twice for the same kind, namespace and selectors gives the same informer.
 * Threads: one loop does the network, the decoding, the store's changes and the handlers, one after the other, so
 * handlers need no locks among themselves and must not block.  informer_get(), _list(), _by_index() may be called from
 * any thread and give references; what a handler was told is in the store already.
 * Order of use: informers_new, informers_get, informer_add_index, informer_add_handler, informers_start.
 * Lost connections, 410 and apiserver restarts are healed inside (back-off with jitter, relist); handlers then see the
 * difference only. */
#ifndef CKUBE_CLIENT_INFORMER_H
#define CKUBE_CLIENT_INFORMER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/api/object.h"
#include "common/client/rest.h"

struct loop;
struct informers;
struct informer;

struct informer_config {
    const struct api_kind *kind;
    const char *namespace; /* NULL = all */
    const char *label_selector, *field_selector;
    bool metadata_only;    /* PartialObjectMetadata of the kind: `kind` must have that type */
    bool keep_managed_fields; /* else dropped on arrival, to save memory */
    /* Changes the fresh object before it is shared (drop what is not needed); on the loop; or NULL. */
    void (*transform)(struct object *obj);
};

struct informer_handler { /* any function may be NULL; all run on the set's loop; objects are borrowed */
    void (*add)(const struct object *obj, bool initial, void *arg); /* initial: part of the first list */
    void (*update)(const struct object *old, const struct object *now, void *arg);
    void (*remove)(const struct object *last, void *arg); /* the final state, as far as known */
    void (*synced)(void *arg); /* once, after the first list's adds */
    void *arg;
};

/* loop NULL: the set runs its own thread with a loop (then informers_wait_synced() may be called from main). */
struct informers *informers_new(struct rest *r, struct loop *loop) MUST_CHECK;
/* Not from a handler.  With a loop of the caller's: on that loop's thread, or before it runs, or after it ended. */
void informers_free(struct informers *set);
DEFINE_AUTO(informers)
struct informer *informers_get(struct informers *set, const struct informer_config *cfg);
struct informer *informers_kind(struct informers *set, const char *api_version, const char *kind); /* all of one built-in kind */
void informers_start(struct informers *set); /* also starts those got since the last start */
bool informers_synced(const struct informers *set);
/* Blocks (not on the set's loop) until all started ones have their first list; false: *stop was set. */
bool informers_wait_synced(struct informers *set, const atomic_bool *stop);
/* Told on the loop when a list or watch of a resource fails, and with NULL when it works again: daemon_waiting_fn() fits. */
void informers_on_trouble(struct informers *set, void (*fn)(const char *what, const struct kerr *why, void *arg), void *arg);
struct loop *informers_loop(struct informers *set);

/* After the start too: then `add` is called for what is there (initial = true), and `synced`. */
void informer_add_handler(struct informer *inf, const struct informer_handler *handler);
/* key_fn calls emit once per key of the object.  Before the start only.  The number names the index. */
typedef void informer_emit_fn(const char *key, void *ctx);
typedef void informer_key_fn(const struct object *obj, informer_emit_fn *emit, void *ctx);
unsigned informer_add_index(struct informer *inf, const char *name, informer_key_fn *key_fn); /* same name: same index */
informer_key_fn informer_key_node_name; /* pods by spec.nodeName */
informer_key_fn informer_key_owner_uid; /* by metadata.ownerReferences[].uid */
informer_key_fn informer_key_controller_uid; /* by the controlling owner's uid */
informer_key_fn informer_key_uid;

bool informer_synced(const struct informer *inf);
size_t informer_count(const struct informer *inf);
/* NULL = not there; else the caller unrefs. */
struct object *informer_get(const struct informer *inf, const char *ns, const char *name) MUST_CHECK;
struct object *informer_get_key(const struct informer *inf, const char *key) MUST_CHECK; /* "ns/name" or "name" */
void informer_list(const struct informer *inf, const char *ns, struct object_list *ret); /* appends; ns NULL = all; no order */
void informer_by_index(const struct informer *inf, unsigned index, const char *key, struct object_list *ret);
const struct api_kind *informer_kind(const struct informer *inf);
const char *informer_resource_version(const struct informer *inf, char *buf, size_t size); /* last seen */

/* Keys as workqueues use them. */
char *object_key(const struct object *obj) MUST_CHECK; /* "ns/name" or "name" */
/* Splits in place of two buffers the caller frees. */
void object_key_split(const char *key, char **ret_ns, char **ret_name);

#endif
