// SPDX-License-Identifier: Apache-2.0
/* read_internal.h - what read.c (get, list) and read_watch.c share; not for others. */
#ifndef CKUBE_APISERVER_READ_INTERNAL_H
#define CKUBE_APISERVER_READ_INTERNAL_H

#include "apiserver/rest/read.h"
#include "apiserver/server.h"
#include "common/api/selector.h"

struct evbuffer;

/* The selectors of a request, in its arena: ctx of the record filter made from them. */
struct selection {
    struct label_query *labels; /* NULL: all */
    struct field_query *fields; /* what the filter's name, ns and index do not say already; NULL: all */
    const struct record_shape *shape;
};
/* labelSelector, fieldSelector and the path's namespace as a filter, valid as long as the request. */
struct kerr *read_filter(struct api_request *r, struct record_filter *ret) MUST_CHECK;

/* The list and watch parameters, checked as upstream checks them. */
struct read_options {
    int64_t resource_version; /* 0 also when it was "0" */
    bool rv_given;            /* "0" counts */
    enum store_rv_match match;
    bool match_given;
    int64_t limit;
    const char *continue_token; /* "" = none */
    int64_t timeout_s;          /* 0 = not given */
    bool bookmarks;
    int send_initial;           /* -1 not given, 0, 1 */
};
struct kerr *read_options_of(const struct api_request *r, bool watch, struct read_options *ret) MUST_CHECK;

/* Runs `next` on the request's loop when the store is as new as asked: etcd's now (revision 0) or that revision.
 * On failure answers the request. */
void read_when_new_enough(struct api_request *r, int64_t revision, void (*next)(struct api_request *r, void *arg), void *arg,
                          void (*give_up)(void *arg));

/* Appends record bytes: large ones by reference. */
void read_add_record(struct evbuffer *out, const struct record *rec, bool comma);

#endif
