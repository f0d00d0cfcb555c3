// SPDX-License-Identifier: Apache-2.0
/* events.h - core/v1 Events about objects, sent in the background with client-go's correlation: equal ones raise a count,
 * ten similar ones in 10 minutes become one "(combined from similar events)", a spam filter per source and object.
 * Never blocks: the queue is bounded, what does not fit is dropped and counted.  Any thread. */
#ifndef CKUBE_CLIENT_EVENTS_H
#define CKUBE_CLIENT_EVENTS_H

#include <stdint.h>

#include "common/api/object.h"
#include "common/client/rest.h"

struct events;

#define EVENT_NORMAL "Normal"
#define EVENT_WARNING "Warning"

/* component: source.component and reportingComponent ("default-scheduler"); host: source.host, may be NULL.
 * rest may be NULL: events go to the log only. */
struct events *events_new(struct rest *r, const char *component, const char *host) MUST_CHECK;
/* Same queue and thread, another source: the controller manager has many.  Freed with the first. */
struct events *events_for(struct events *e, const char *component, const char *host);
void events_free(struct events *e); /* sends what is queued for at most a second */
DEFINE_AUTO(events)

void events_send(struct events *e, const struct object *about, const char *type, const char *reason, const char *fmt, ...) PRINTF_LIKE(5, 6);
struct event_target { /* for things that are no cached object: a node by name, a container of a pod */
    const char *api_version, *kind, *namespace, *name, *uid, *resource_version, *field_path;
};
void events_send_to(struct events *e, const struct event_target *about, const char *type, const char *reason, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

/* --- the pure part: what to do with the next event --- */
struct event_correlator;
struct event_correlator *event_correlator_new(void) MUST_CHECK;
void event_correlator_free(struct event_correlator *c);
DEFINE_AUTO(event_correlator)
enum event_step { EVENT_CREATE, EVENT_PATCH, EVENT_DROP };
struct event_decision {
    enum event_step step;
    char *name;          /* of the Event object to create or patch */
    char *message;       /* maybe with the "(combined from similar events): " prefix */
    int32_t count;
    int64_t first_us;    /* firstTimestamp */
};
enum event_step event_correlate(struct event_correlator *c, const char *source, const struct event_target *about, const char *type,
                                const char *reason, const char *message, int64_t now_us, struct event_decision *ret);
void event_decision_done(struct event_decision *d);

#endif
