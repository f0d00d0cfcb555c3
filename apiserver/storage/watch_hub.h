// SPDX-License-Identifier: Apache-2.0
/* watch_hub.h - changes of the stores, to those who watch them.
 *
 *   storage --event, once per port--> hub_port (one per I/O loop) --by namespace, name, index field--> watchers
 *                                                                        --> consumer: pulls, writes to its stream
 *
 * An event is two records (before, now); its bytes are theirs, shared by all watchers.  Which of ADDED, MODIFIED,
 * DELETED a watcher sees depends on its selector: old fails and new passes = ADDED, and so on.
 * A port and its watchers live on one loop: call everything from that loop, except that storage calls `wake`
 * from any thread, which must make the loop call hub_port_run() soon.
 * A watcher whose consumer does not pull is cut when its queue passes a bound of events, bytes or age: never waited for. */
#ifndef CKUBE_APISERVER_WATCH_HUB_H
#define CKUBE_APISERVER_WATCH_HUB_H

#include "apiserver/storage/store.h"

struct hub_port;
struct watcher;

struct hub_port *hub_port_new(struct storage *st, void (*wake)(void *arg), void *arg) MUST_CHECK;
void hub_port_free(struct hub_port *port); /* all its watchers must be gone */
void hub_port_run(struct hub_port *port);  /* hands waiting events to watchers, calls their `ready` */
/* About once a second: bookmarks that are due, watchers that are too slow. */
void hub_port_tick(struct hub_port *port, uint64_t now_ms);

enum watch_type { WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED, WATCH_BOOKMARK, WATCH_ERROR };
const char *watch_type_name(enum watch_type type);

struct watch_item {
    enum watch_type type;
    struct record *record; /* a reference; of ADDED, MODIFIED, DELETED */
    int64_t revision;      /* of the change; of BOOKMARK the resourceVersion to write */
    bool initial_end;      /* BOOKMARK: with the annotation k8s.io/initial-events-end */
    struct kerr *error;    /* WATCH_ERROR: the caller's; the watch is over after it */
};
void watch_item_done(struct watch_item *item);

struct watch_opts {
    struct record_filter filter;  /* strings are copied; ctx must live as long as the watcher */
    int64_t resource_version;     /* > 0: everything after it; 0: the present state as ADDED, then changes */
    bool now_on;                  /* nothing from the past: only changes from here on */
    bool send_initial_events;     /* state as ADDED, then a bookmark that says so; needs allow_bookmarks for the mark */
    bool allow_bookmarks;
    uint32_t max_events;          /* queue bound; 0: 10,000 */
    uint64_t max_bytes;           /* bytes of records only this queue may pin; 0: 64 MiB */
    uint64_t max_age_ms;          /* the oldest queued event; 0: 30 s */
    void (*ready)(struct watcher *w, void *arg); /* there is something to pull; on the port's loop */
    void *arg;
};
/* KERR_EXPIRED "too old resource version: X (Y)" when the history does not reach back that far. */
struct kerr *watcher_new(struct hub_port *port, struct store *s, const struct watch_opts *opts, uint64_t now_ms,
                         struct watcher **ret) MUST_CHECK;
void watcher_free(struct watcher *w); /* at any time, also inside ready */
DEFINE_AUTO(watcher)
/* False: nothing now (ready will be called), or the watch has ended (watcher_ended). */
bool watcher_next(struct watcher *w, struct watch_item *ret);
bool watcher_ended(const struct watcher *w);
void watcher_bookmark(struct watcher *w); /* queue one now, if it allows them: before a timeout */

#endif
