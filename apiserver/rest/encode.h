// SPDX-License-Identifier: Apache-2.0
/* encode.h - a stored object in the form the client asked for: itself as JSON (the stored bytes), YAML or protobuf, a
 * Table, or its metadata alone.  Pure; any thread. */
#ifndef CKUBE_APISERVER_ENCODE_H
#define CKUBE_APISERVER_ENCODE_H

#include "apiserver/http/media.h"
#include "apiserver/registry/resource.h"
#include "common/base/sbuf.h"

/* Whether the record's bytes can go out as they are. */
bool encode_is_plain(const struct media *m, const struct resource *res);
struct kerr *encode_record(const struct media *m, const struct resource *res, const struct record *rec, struct sbuf *out) MUST_CHECK;

struct list_head_out { /* metadata of a list answer */
    int64_t revision;
    const char *continue_token; /* "" = none */
    int64_t remaining;          /* -1 = not told */
};
/* A whole list (not plain: encode_is_plain() lists are chained from record bytes by read.c). include_object: of Tables,
 * "None", "Metadata" (default), "Object". */
struct kerr *encode_list(const struct media *m, const struct resource *res, struct record *const *records, size_t n,
                         const struct list_head_out *head, const char *include_object, struct sbuf *out) MUST_CHECK;
/* The object part of a watch event. `first`: Tables carry their columns only in the first event. */
struct kerr *encode_watch_object(const struct media *m, const struct resource *res, const struct record *rec, bool first,
                                 const char *include_object, struct sbuf *out) MUST_CHECK;
/* One frame of a watch: JSON {"type":...,"object":...}\n, or length-prefixed protobuf WatchEvent. object: as encoded above. */
void encode_watch_frame(const struct media *m, const char *type, const struct sbuf *object, struct sbuf *out);
/* A bookmark's object: kind, apiVersion, resourceVersion, and the annotation of the initial list's end. */
struct kerr *encode_bookmark(const struct media *m, const struct resource *res, int64_t revision, bool initial_end, struct sbuf *out) MUST_CHECK;

#endif
