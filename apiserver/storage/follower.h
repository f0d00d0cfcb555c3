// SPDX-License-Identifier: Apache-2.0
/* follower.h - a thread that follows some stores and keeps an index of its owner's current (RBAC rules, node graph).
 * `changed` runs on that thread: first for every record there is, then `synced` once, then for each change, in order.
 * When a watch is cut off, everything is told again from the start, beginning with `reset`. */
#ifndef CKUBE_APISERVER_FOLLOWER_H
#define CKUBE_APISERVER_FOLLOWER_H

#include "apiserver/storage/watch_hub.h"

struct follower;

struct follower_handler {
    void (*reset)(void *arg);
    /* type: WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED; which: position of the store in the list given. */
    void (*changed)(unsigned which, enum watch_type type, const struct record *rec, void *arg);
    void (*settled)(void *arg); /* all changes known so far were told: a good moment to publish */
    void *arg;
};

enum { FOLLOWER_STORES_MAX = 8 };

struct follower *follower_new(struct storage *st, struct store *const *stores, unsigned n, const struct follower_handler *handler) MUST_CHECK;
void follower_free(struct follower *f); /* NULL is fine */
/* Blocks until the state there is was told once; false: not within timeout_ms. */
bool follower_wait(struct follower *f, int64_t timeout_ms);

#endif
