// SPDX-License-Identifier: Apache-2.0
/* Events have two shapes: core/v1, which is what is stored, and events.k8s.io/v1, which has other names for the same. */
#include "apiserver/registry/convert_internal.h"

#include "common/api/object.h"

void
convert_event_from_core(struct arena *a, const void *from, void *to)
{
    const struct core_event *c = from;
    struct events_event *e = to;

    *e = (struct events_event){
        .metadata = c->metadata,
        .event_time = c->event_time,
        .reporting_controller = c->reporting_component,
        .reporting_instance = c->reporting_instance,
        .action = c->action,
        .reason = c->reason,
        .regarding = c->involved_object,
        .related = c->related,
        .note = c->message,
        .type = c->type,
        .deprecated_source = c->source,
        .deprecated_first_timestamp = c->first_timestamp,
        .deprecated_last_timestamp = c->last_timestamp,
        .deprecated_count = c->count,
    };
    if (c->series) {
        e->series = ARENA_NEW(a, struct events_event_series);
        *e->series = (struct events_event_series){ c->series->count, c->series->last_observed_time };
    }
}

void
convert_event_to_core(struct arena *a, const void *from, void *to)
{
    const struct events_event *e = from;
    struct core_event *c = to;

    *c = (struct core_event){
        .metadata = e->metadata,
        .involved_object = e->regarding,
        .reason = e->reason,
        .message = e->note,
        .source = e->deprecated_source,
        .first_timestamp = e->deprecated_first_timestamp,
        .last_timestamp = e->deprecated_last_timestamp,
        .count = e->deprecated_count,
        .type = e->type,
        .event_time = e->event_time,
        .action = e->action,
        .related = e->related,
        .reporting_component = e->reporting_controller,
        .reporting_instance = e->reporting_instance,
    };
    if (e->series) {
        c->series = ARENA_NEW(a, struct core_event_series);
        *c->series = (struct core_event_series){ e->series->count, e->series->last_observed_time };
    }
}
