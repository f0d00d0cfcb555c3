// SPDX-License-Identifier: Apache-2.0
/* rest.h - the REST client: API objects to and from the apiserver.
 * All calls block: use them on pool or worker threads, never on a loop.  Any thread, many at once.
 * A Status in the answer becomes the kerr (reason, code, details, causes); a failed connection is KERR_UNAVAILABLE
 * whose message names the server.  429 and 5xx with Retry-After are retried a few times inside (never a
 * create that may have happened).  Objects returned carry one reference for the caller. */
#ifndef CKUBE_CLIENT_REST_H
#define CKUBE_CLIENT_REST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/api/codec.h"
#include "common/api/object.h"
#include "common/base/kerr.h"
#include "common/client/kubeconfig.h"

struct rest;

struct rest_options {
    const char *component;  /* User-Agent: "kube-scheduler" */
    double qps;             /* 0 = no limit of our own */
    int32_t burst;
    int64_t timeout_ms;     /* per call; 0 = 60 s */
    unsigned max_connections; /* 0 = 32 */
    const char *impersonate_user; /* or NULL */
};
struct kerr *rest_new(const struct client_config *cfg, const struct rest_options *opts, struct rest **ret) MUST_CHECK;
struct rest *rest_ref(struct rest *r);
void rest_unref(struct rest *r);
DEFINE_AUTO_UNREF(rest)
/* A client that goes over base's connections with a bearer token of its own; base must hold no credential.  Blocking calls
 * only (no informers). */
struct rest *rest_with_token(struct rest *base, const char *component) MUST_CHECK;
void rest_set_token(struct rest *r, const char *token); /* any thread, any time */
void rest_on_refused(struct rest *r, void (*fn)(void *arg), void *arg); /* a call was answered 401; before the first call */
const char *rest_server(const struct rest *r); /* "https://127.0.0.1:6443" */
const char *rest_component(const struct rest *r);

/* --- one object.  ns is NULL or "" for cluster-scoped kinds.  ret may be NULL where the answer is not wanted. --- */
struct kerr *rest_get(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, struct object **ret) MUST_CHECK;
struct kerr *rest_create(struct rest *r, const struct object *obj, struct object **ret) MUST_CHECK;
struct kerr *rest_update(struct rest *r, const struct object *obj, struct object **ret) MUST_CHECK;
struct kerr *rest_update_status(struct rest *r, const struct object *obj, struct object **ret) MUST_CHECK;

enum rest_patch_type { REST_PATCH_MERGE, REST_PATCH_STRATEGIC, REST_PATCH_JSON, REST_PATCH_APPLY };
struct rest_patch_options {
    const char *subresource; /* "status", "scale", ...; or NULL */
    const char *field_manager; /* REST_PATCH_APPLY needs one; NULL = the component */
    bool force;
};
struct kerr *rest_patch(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, enum rest_patch_type type,
                        const char *patch, size_t len, const struct rest_patch_options *opts, struct object **ret) MUST_CHECK;

enum rest_propagation { REST_PROPAGATION_DEFAULT, REST_PROPAGATION_BACKGROUND, REST_PROPAGATION_FOREGROUND, REST_PROPAGATION_ORPHAN };
struct rest_delete_options {
    bool has_grace_period;
    int64_t grace_period_s;
    const char *uid, *resource_version; /* preconditions; or NULL */
    enum rest_propagation propagation;
};
struct kerr *rest_delete(struct rest *r, const struct api_kind *kind, const char *ns, const char *name,
                         const struct rest_delete_options *opts) MUST_CHECK; /* opts may be NULL */

/* Subresources: POST or PUT of `body` to .../name/sub (binding, eviction, token, scale, approval, finalize, ephemeralcontainers). */
struct kerr *rest_create_sub(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
                             const struct object *body, struct object **ret) MUST_CHECK;
struct kerr *rest_update_sub(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
                             const struct object *body, struct object **ret) MUST_CHECK;
struct kerr *rest_get_sub(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
                          const struct api_kind *ret_kind, struct object **ret) MUST_CHECK;
struct kerr *rest_bind_pod(struct rest *r, const char *ns, const char *pod, const char *uid, const char *node) MUST_CHECK;
struct kerr *rest_evict_pod(struct rest *r, const char *ns, const char *pod, const struct rest_delete_options *opts) MUST_CHECK;
/* ServiceAccount token by TokenRequest; bound to a pod when pod_name is set. */
struct rest_token_request {
    const char *service_account;
    const struct strlist *audiences; /* NULL = the apiserver's */
    int64_t expiration_s;
    const char *pod_name, *pod_uid, *node_name, *node_uid;
};
struct kerr *rest_create_token(struct rest *r, const char *ns, const struct rest_token_request *req, char **ret_token, int64_t *ret_expires_unix) MUST_CHECK;

/* --- lists --- */
struct rest_list_options { /* all may be empty */
    const char *label_selector, *field_selector;
    const char *resource_version, *resource_version_match;
    const char *continue_token;
    int64_t limit;
    bool metadata_only; /* ask for PartialObjectMetadata; decode as such: `kind` must have that type */
};
/* One page.  item_fn takes each object. */
struct kerr *rest_list(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts,
                       void (*item_fn)(struct object *obj, void *arg), void *arg, struct list_head_info *ret) MUST_CHECK;
struct object_list { /* owns a reference to each */
    struct object **items;
    size_t len, cap;
};
void object_list_add_take(struct object_list *l, struct object *obj);
void object_list_done(struct object_list *l);
static inline void auto_object_list_(struct object_list *l)
{
    object_list_done(l);
}
#define AUTO_OBJECT_LIST __attribute__((cleanup(auto_object_list_))) struct object_list
/* All pages of 500.  ret_resource_version may be NULL, else the caller frees it. */
struct kerr *rest_list_all(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts,
                           struct object_list *ret, char **ret_resource_version) MUST_CHECK;
struct kerr *rest_delete_collection(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *which,
                                    const struct rest_delete_options *opts) MUST_CHECK;

/* --- watch: blocks, calling event_fn for each event until the server ends it, event_fn returns false, or *stop --- */
enum rest_watch_type { REST_WATCH_ADDED, REST_WATCH_MODIFIED, REST_WATCH_DELETED, REST_WATCH_BOOKMARK };
typedef bool rest_watch_fn(enum rest_watch_type type, struct object *obj, void *arg); /* takes obj */
/* An ERROR event becomes the kerr: KERR_EXPIRED or KERR_GONE mean "list again".  NULL = ended in order. */
struct kerr *rest_watch(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts,
                        int64_t timeout_s, rest_watch_fn *event_fn, void *arg, const atomic_bool *stop) MUST_CHECK;

/* --- anything else --- */
struct rest_reply {
    int code;
    struct sbuf body; /* at most 256 MB */
    char *content_type;
};
void rest_reply_done(struct rest_reply *reply);
/* Path with query, "/version".  Codes >= 400 are errors (the Status). */
struct kerr *rest_raw(struct rest *r, const char *method, const char *path_query, const char *content_type, const void *body,
                      size_t len, struct rest_reply *ret) MUST_CHECK;
/* "/apis/apps/v1/namespaces/a/deployments/b/status"; the caller frees it.  name and sub may be NULL. */
char *rest_path(const struct api_kind *kind, const char *ns, const char *name, const char *sub) MUST_CHECK;

/* --- waiting --- */
/* True for errors that pass by themselves: connection trouble, 429, 500, 503, 504, ServerTimeout. */
bool rest_is_transient(const struct kerr *err);
/* Asks /version until the apiserver answers; calls waiting_fn (may be NULL) with each reason.  False when *stop. */
bool rest_wait(struct rest *r, const atomic_bool *stop, void (*waiting_fn)(const char *server, const struct kerr *why, void *arg), void *arg);

#endif
