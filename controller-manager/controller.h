// SPDX-License-Identifier: Apache-2.0
/* controller.h - what every controller is made of: observe (informers), decide (a pure function), act (a plan, carried out).
 *
 *   informer --change--> changed() --key--> workqueue --> sync(): picture from the informers' copies
 *                                                           X_decide(picture, key, now) -> plan          (pure)
 *                                                           controller_act(plan): API writes, events, expectations
 *
 * One file per controller, one row per controller in controller_table.c.  The row's start() names what it watches; sync()
 * runs on the queue's worker threads, one key at a time per key.  The manager (manager.c) owns everything in here. */
#ifndef CKUBE_CONTROLLER_MANAGER_CONTROLLER_H
#define CKUBE_CONTROLLER_MANAGER_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/api/meta.h"
#include "common/api/object.h"
#include "common/client/events.h"
#include "common/client/executor.h"
#include "common/client/informer.h"
#include "common/client/rest.h"
#include "common/client/workqueue.h"
#include "controller-manager/expectations.h"
#include "controller-manager/options.h"

struct controller;
struct loop_timer;
struct watch_arg;

struct controller_row {
    const char *name;     /* canonical: "deployment-controller" */
    const char *old_name; /* the short name --controllers took before 1.28: "deployment"; or NULL */
    const char *account;  /* its ServiceAccount in kube-system */
    bool off_by_default;
    /* Before the informers start: informers, indexes, handlers, the queue.  NULL: upstream has it, this build does not.
     * Called again after a transient error. */
    struct kerr *(*start)(struct controller *c) MUST_CHECK;
    void (*run)(struct controller *c);  /* the copies are complete: start what is no queue; or NULL */
    void (*stop)(struct controller *c); /* after the queue ended: free c->state; or NULL */
    void (*halt)(struct controller *c); /* at the end, while informers and queue still live: end own threads; or NULL */
};
extern const struct controller_row controller_rows[];
extern const size_t controller_rows_len;

struct controller {
    const struct controller_row *row;
    const struct kcm_options *options;
    struct informers *informers;
    struct rest *rest;         /* with its own identity */
    struct events *events;
    struct executor *executor;
    struct workqueue *queue;   /* made by controller_queue() */
    struct expectations *expectations;
    const struct api_kind *expected; /* creations and deletions of this kind are waited for; NULL = none */
    void *state;               /* the controller's own */
    struct loop_timer *timer;  /* by controller_every() */
    void (*tick)(struct controller *c);
    uint64_t tick_ms;
    struct watch_arg *watches; /* private */
};

/* --- observe --- */
struct informer *controller_informer(struct controller *c, const char *api_version, const char *kind);
/* One function for all changes: old NULL = new, now NULL = gone.  On the informers' loop; must not block. */
void controller_watch(struct controller *c, const char *api_version, const char *kind,
                      void (*changed)(struct controller *c, const struct object *old, const struct object *now));
/* Pods, ReplicaSets, ... by the uid of the controlling owner; those without one under "orphan/<namespace>". */
unsigned controller_owner_index(struct informer *inf);
/* Those controlled by uid, and with ns != NULL the orphans of that namespace. */
void controller_owned(const struct informer *inf, unsigned index, const char *uid, const char *ns, struct object_list *ret);
unsigned controller_node_index(struct informer *pods); /* pods by spec.nodeName */

/* For the manager: */
void controller_watches_free(struct controller *c); /* after the informers ended */
void controller_timer_start(void *controller);      /* on the informers' loop */
void controller_timer_free(void *controller);       /* likewise */

/* --- queue --- */
void controller_queue(struct controller *c, unsigned workers, struct kerr *(*sync)(const char *key, void *controller));
void controller_enqueue(struct controller *c, const struct object *obj);
void controller_enqueue_name(struct controller *c, const char *ns, const char *name);
/* The owner of an object when it is a controller of that kind: queued; true.  expectations see to creations. */
bool controller_enqueue_owner(struct controller *c, const struct object *obj, const struct api_kind *owner_kind);
/* Handler for owned pods: queues the owner and notes what was expected. */
void controller_pod_changed(struct controller *c, const struct api_kind *owner_kind, const struct object *old, const struct object *now);
/* tick on the informers' loop, every so often; it queues keys. */
void controller_every(struct controller *c, uint64_t ms, void (*tick)(struct controller *c));

/* --- act --- */
/* Carries the plan out (takes it), requeues as it says, keeps the expectations, and reports pods created and deleted as
 * events about `owner` (may be NULL) with upstream's reasons.  The first error. */
struct kerr *controller_act(struct controller *c, const struct object *owner, struct plan *plan) MUST_CHECK;
/* The same without freeing: results are in the plan afterwards. */
struct kerr *controller_run(struct controller *c, const struct object *owner, struct plan *plan) MUST_CHECK;
/* The server's message, without "create Pod ns/name: " in front. */
const char *action_error_text(const struct kerr *err);
struct api_time controller_now(void);

/* --- adoption and release by selector and controllerRef --- */
struct claim {
    const struct object *owner;
    const struct label_query *selector;
    bool can_adopt;        /* the owner was read live, has the same uid and is not being deleted */
    const char *finalizer; /* added on adoption, taken away on release; or NULL */
};
/* True when a candidate is an orphan that would be adopted: then `can_adopt` must be found out. */
bool claim_needs_adoption(const struct claim *claim, const struct object_list *candidates);
/* GET of the owner: still there with this uid and not being deleted? */
struct kerr *claim_check_live(struct rest *r, const struct object *owner, bool *ret_can_adopt) MUST_CHECK;
/* Those that are the owner's, with the adoptions and releases as patches in the plan. References are taken. */
void claim_objects(const struct claim *claim, const struct object_list *candidates, struct plan *plan, struct object_list *ret);

/* --- small things --- */
static inline bool owner_ref_is(const struct owner_reference *ref, const struct api_kind *kind)
{
    return ref && str_eq(ref->kind, kind->kind) && str_eq(ref->api_version, api_kind_api_version(kind));
}
static inline int32_t i32_or(const int32_t *p, int32_t fallback)
{
    return p ? *p : fallback;
}
static inline int64_t i64_or(const int64_t *p, int64_t fallback)
{
    return p ? *p : fallback;
}
static inline bool bool_or(const bool *p, bool fallback)
{
    return p ? *p : fallback;
}
int32_t *arena_i32(struct arena *a, int32_t n);
bool *arena_bool(struct arena *a, bool b);
struct api_time *arena_time(struct arena *a, struct api_time t);
/* A new object of the kind of a template, owned by `owner`: metadata.generateName "<owner>-", labels, annotations, finalizers, spec. */
struct object *pod_from_template(const struct pod_template_spec *t, const struct object *owner);
/* FNV-32a of the template's canonical JSON and the collision count, in the name alphabet (as kubectl shows it). */
char *pod_template_hash(const struct pod_template_spec *t, const int32_t *collision_count) MUST_CHECK;
char *safe_encode(uint32_t hash) MUST_CHECK;
/* Which pods go first when there are too many: upstream's ActivePodsWithRanks.  `related` may be NULL. */
void pods_rank_for_deletion(struct object_list *pods, const struct object_list *related, struct api_time now);
int object_created_cmp(const struct object *a, const struct object *b); /* by creation time, then name */
void object_list_ref(struct object_list *l, const struct object *obj);
static inline uint64_t seconds_between_ms(struct api_time from, struct api_time to) /* 0 when to is before */
{
    return to.sec > from.sec ? (uint64_t)(to.sec - from.sec) * 1000 : 0;
}

#endif
