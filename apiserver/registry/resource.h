// SPDX-License-Identifier: Apache-2.0
/* resource.h - the table of what the apiserver serves: one row a resource.  Routing, discovery, storage, RBAC attributes,
 * tables and tests read it; adding a kind is a row here and a strategy file if it has rules of its own.
 *
 *   resource.c: rows --resources_start()--> struct resource (kind + row + its store) --> looked up by group, version, plural
 *
 * Custom resources build the same struct at run time from their CRD (later).  Rows are constant; lookups any thread. */
#ifndef CKUBE_APISERVER_RESOURCE_H
#define CKUBE_APISERVER_RESOURCE_H

#include "apiserver/authn/authn.h"
#include "apiserver/storage/store.h"
#include "common/api/object.h"

enum resource_verb {
    VERB_GET = 1 << 0,
    VERB_LIST = 1 << 1,
    VERB_WATCH = 1 << 2,
    VERB_CREATE = 1 << 3,
    VERB_UPDATE = 1 << 4,
    VERB_PATCH = 1 << 5,
    VERB_DELETE = 1 << 6,
    VERB_DELETECOLLECTION = 1 << 7,
    VERB_ALL = 0xff,
    VERB_ALL_BUT_DELETECOLLECTION = 0x7f,
};

/* What a strategy function gets to know of the write it takes part in. */
struct write_context {
    struct apiserver *srv;
    const struct resource *resource;
    const char *subresource; /* "" = the main resource */
    const char *ns, *name;
    const struct user_info *user;
    int64_t now_us; /* wall clock */
    bool dry_run;
    struct strlist *warnings; /* add "Warning: 299" texts here */
};

/* Per-kind behaviour around the generic write path; every member may be NULL.  Bodies are the kind's struct; memory that
 * becomes part of a body comes from `a`. */
struct strategy {
    bool allow_create_on_update;        /* PUT to a missing name creates (leases, events, ...) */
    bool forbid_unconditional_update;   /* PUT needs a resourceVersion */
    bool keeps_status;                  /* creates and updates may write status (nodes) */
    bool no_generation;                 /* metadata.generation stays 0 */
    void (*prepare_create)(const struct write_context *c, struct arena *a, void *body);
    void (*prepare_update)(const struct write_context *c, struct arena *a, void *body, const void *old);
    /* Fields that a status write may change are copied from `body`, all others from `old`: done here. */
    void (*prepare_status)(const struct write_context *c, struct arena *a, void *body, const void *old);
    /* Before validation and the store: allocations (ClusterIP, NodePort).  On failure nothing stays taken. */
    struct kerr *(*allocate)(const struct write_context *c, struct arena *a, void *body, const void *old) MUST_CHECK;
    /* Gives back what `body` holds and `keep` (NULL: nothing) does not: the object is gone, let go of something, or its write
     * failed or was dry. */
    void (*release)(const struct write_context *c, const void *body, const void *keep);
    /* Deletion: grace period in seconds for this object (0 = at once); NULL: 0. */
    int64_t (*grace_seconds)(const void *body, const int64_t *asked);
    bool orphans_by_default; /* deletion without a policy orphans dependents (jobs, replicationcontrollers) */
    bool returns_deleted;    /* DELETE answers with the object, not with a Status */
    /* Beside finalizers: must this object stay, marked, until something else removes it (namespaces)? */
    bool (*holds)(const void *body);
    /* The object was just marked for deletion (namespace phase). */
    void (*prepare_mark)(const struct write_context *c, struct arena *a, void *body);
    /* Whether spec changed (bumps generation).  NULL: anything but metadata and status differs. */
    bool (*spec_changed)(const void *body, const void *old);
};

struct subresource {
    const char *name;          /* "status", "scale", "binding" */
    const char *kind_group, *kind_version, *kind; /* of the body: "autoscaling", "v1", "Scale"; NULL = the resource's own */
    unsigned verbs;            /* enum resource_verb */
};

struct resource {
    const struct api_kind *kind;
    unsigned verbs;
    const struct strategy *strategy; /* never NULL */
    const struct subresource *subresources;
    size_t nsubresources;
    struct store_resource storage; /* path, selectable fields, ttl */
    struct store *store;           /* NULL: not stored (reviews) */
    const struct api_kind *stored_kind; /* differs from kind where versions or groups share objects: see convert.h */
    const char *list_kind;         /* "PodList" */
};

/* Builds the rows and adds the stores; once, before serving. */
void resources_start(struct storage *st, int64_t event_ttl_s);
void resources_stop(void);

const struct resource *resource_find(const char *group, const char *version, const char *plural);
const struct resource *resource_of_kind(const struct api_kind *kind);
const struct resource *resource_named(const char *api_version, const char *kind); /* "apps/v1", "Deployment" */
const struct subresource *resource_subresource(const struct resource *r, const char *name);
/* All rows, in discovery order (group priority, then name). */
size_t resources_count(void);
const struct resource *resource_at(size_t i);

#endif
