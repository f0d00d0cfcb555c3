// SPDX-License-Identifier: Apache-2.0
/* executor.h - the "act" of observe, decide, act: a plan is a list of API calls with a reason each, written by a pure
 * decide function; the executor carries it out.
 *
 *   struct plan *p = plan_new("ns/web");
 *   plan_update_status(p, new_status_object, "replica counts changed");
 *   for (...) plan_create(p, pod, "scale up")->batch = 1;       // same batch: in parallel, slow start 1, 2, 4, ...
 *   plan_event(p, obj, "Normal", "SuccessfulCreate", "Created pod: %s", name);
 *   plan_requeue(p, 30000);
 *   ...
 *   err = executor_run(ex, p);                                   // on the sync() thread; its error goes to the workqueue
 *
 * Actions run in order; the first error ends the plan and is returned (the rest is marked skipped), except where the
 * action's flags say otherwise.  Plans are plain data: golden tests print them with plan_print(). */
#ifndef CKUBE_CLIENT_EXECUTOR_H
#define CKUBE_CLIENT_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/api/object.h"
#include "common/base/kerr.h"
#include "common/base/sbuf.h"
#include "common/client/rest.h"

struct events;
struct workqueue;

enum action_verb {
    ACTION_CREATE,
    ACTION_UPDATE,
    ACTION_UPDATE_STATUS,
    ACTION_PATCH,
    ACTION_DELETE,
    ACTION_CREATE_SUB, /* POST object to .../name/subresource */
    ACTION_UPDATE_SUB, /* PUT */
    ACTION_EVENT,
};

enum action_flags {
    ACTION_IGNORE_NOT_FOUND = 1, /* set by plan_delete() */
    ACTION_IGNORE_EXISTS = 2,
    ACTION_IGNORE_CONFLICT = 4,
    ACTION_GO_ON = 8, /* an error is returned in the end, but later actions run */
};

enum action_state { ACTION_PENDING, ACTION_DONE, ACTION_FAILED, ACTION_SKIPPED };

struct action {
    enum action_verb verb;
    unsigned flags;
    unsigned batch; /* 0 = alone; neighbours with one number run in parallel with slow start */
    const struct api_kind *kind;
    char *namespace, *name; /* name empty: generateName of the object */
    struct object *object;  /* create, update, *_sub: what to write; event: what it is about */
    char *subresource;
    enum rest_patch_type patch_type;
    char *patch;
    struct { bool has_grace_period; int64_t grace_period_s; char *uid, *resource_version; enum rest_propagation propagation; } del;
    char *event_type, *event_reason, *event_message;
    char *reason; /* why: for logs, explain and golden files */
    /* results */
    enum action_state state;
    struct object *result; /* the server's answer, when keep_result was set */
    bool keep_result;
    struct kerr *error;
};

struct plan {
    char *key;
    struct action *items;
    size_t len, cap;
    uint64_t requeue_after_ms; /* 0 = no */
};

struct plan *plan_new(const char *key) MUST_CHECK;
void plan_free(struct plan *p);
DEFINE_AUTO(plan)
/* The objects are taken (give a fresh object, or object_ref()).  The pointer returned is valid until the next call. */
struct action *plan_create(struct plan *p, struct object *obj, const char *reason);
struct action *plan_update(struct plan *p, struct object *obj, const char *reason);
struct action *plan_update_status(struct plan *p, struct object *obj, const char *reason);
struct action *plan_patch(struct plan *p, const struct api_kind *kind, const char *ns, const char *name, enum rest_patch_type type,
                          const char *subresource, const char *patch_json, const char *reason);
struct action *plan_delete(struct plan *p, const struct object *obj, const char *reason); /* with its uid as precondition */
struct action *plan_create_sub(struct plan *p, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
                               struct object *body, const char *reason);
struct action *plan_update_sub(struct plan *p, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
                               struct object *body, const char *reason);
void plan_event(struct plan *p, const struct object *about, const char *type, const char *reason, const char *fmt, ...) PRINTF_LIKE(5, 6);
void plan_requeue(struct plan *p, uint64_t after_ms); /* the earliest wins */
bool plan_empty(const struct plan *p);
/* One line per action: `create Pod ns/web-abc: scale up`, objects as JSON below when asked. */
void plan_print(const struct plan *p, bool with_objects, struct sbuf *out);
const char *action_verb_name(enum action_verb verb);

struct executor;

struct executor_config {
    struct rest *rest;
    struct events *events;  /* may be NULL: event actions are dropped */
    unsigned threads;       /* for batches of all plans; 0 = 16 */
    bool dry_run;           /* log only */
    /* After each action, on the thread that did it; results fed back to caches and expectations.  Or NULL. */
    void (*on_action)(const struct plan *plan, const struct action *action, void *arg);
    void *arg;
};
struct executor *executor_new(const struct executor_config *cfg) MUST_CHECK;
void executor_free(struct executor *ex);
DEFINE_AUTO(executor)
/* Blocks; any thread.  Each action's result is in the plan afterwards. */
struct kerr *executor_run(struct executor *ex, struct plan *plan) MUST_CHECK;
/* executor_run(), then requeue_after of the plan into wq.  Takes the plan: `return executor_sync(ex, wq, plan);` */
struct kerr *executor_sync(struct executor *ex, struct workqueue *wq, struct plan *plan) MUST_CHECK;

#endif
