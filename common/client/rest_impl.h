// SPDX-License-Identifier: Apache-2.0
/* rest_impl.h - what rest.c shares with the informer: URLs, the HTTP client, decoding of answers and watch frames. */
#ifndef CKUBE_CLIENT_REST_IMPL_H
#define CKUBE_CLIENT_REST_IMPL_H

#include "common/client/rest.h"
#include "common/net/http_header.h"

struct http_client;

#define REST_LIST_PAGE 500
#define REST_MAX_BODY (256u << 20)
#define REST_MAX_FRAME (64u << 20) /* one watch event */

/* A client of its own with r's credentials: what fetches on a loop must be freed before that loop. */
struct kerr *rest_http_new(const struct rest *r, struct http_client **ret) MUST_CHECK;
const struct http_header *rest_accept(bool metadata_only); /* one row; "application/json" or the PartialObjectMetadata form */
/* Absolute URL of a list or watch; the caller frees it.  watch_timeout_s < 0: a list. */
char *rest_collection_url(const struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts,
                          int64_t watch_timeout_s);
/* Counts into rest_client_requests_total and _duration_seconds. */
void rest_count(const struct rest *r, const char *method, int code, uint64_t started_us);
/* Marks an error of the transport as one that passes.  Takes err; NULL stays NULL. */
struct kerr *rest_transport_error(struct kerr *err) MUST_CHECK;

/* Watch frames out of a byte stream: one JSON document per line. */
struct watch_frames {
    struct sbuf partial;
};
void watch_frames_done(struct watch_frames *w);
/* fn takes obj; false stops.  An ERROR frame or bad bytes give the error. */
struct kerr *watch_frames_feed(struct watch_frames *w, const char *data, size_t len, const struct api_kind *kind, rest_watch_fn *fn,
                               void *arg, bool *ret_stopped) MUST_CHECK;

#endif
