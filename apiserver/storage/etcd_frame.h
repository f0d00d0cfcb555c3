// SPDX-License-Identifier: Apache-2.0
/* etcd_frame.h - the JSON dialect of etcd's gRPC gateway, read while it streams in.
 *
 * A range answer or a watch frame can be hundreds of megabytes, so it is never held whole.  The splitter hands out each
 * element of the one long array ("kvs", or "events" inside "result") as soon as it is complete, then the rest of the
 * document, the envelope, with that array empty.  Memory: one element and one envelope, both bounded.
 *
 *   {"result":{"header":{..},"events":[{"kv":{..}},{"kv":{..}}]}}\n
 *                                      ^element    ^element       ^document end: envelope {"result":{..,"events":[]}}
 */
#ifndef CKUBE_APISERVER_ETCD_FRAME_H
#define CKUBE_APISERVER_ETCD_FRAME_H

#include "apiserver/storage/etcd_client.h"
#include "apiserver/storage/json_cursor.h"

struct frame_splitter {
    const char *array;   /* whose elements are handed out */
    unsigned level;      /* depth of the object that holds it: 1 for ranges, 2 for watch frames */
    size_t max_element, max_envelope; /* bytes */
    struct kerr *(*element)(const char *json, size_t len, void *arg);
    struct kerr *(*document)(const char *envelope, size_t len, void *arg);
    void *arg;
    /* private */
    struct sbuf element_bytes, envelope;
    unsigned depth;
    bool in_string, escaped, in_array, matched;
    size_t string_at; /* of the last string at `level`, in envelope */
};
void splitter_done(struct frame_splitter *s);
void splitter_reset(struct frame_splitter *s); /* forget what came so far */
/* KERR_INTERNAL for bytes that are no gateway answer or pass a bound; errors of the callbacks. */
struct kerr *splitter_feed(struct frame_splitter *s, const char *bytes, size_t len) MUST_CHECK;

/* One {"key":..,"mod_revision":..} object. Key and value are base64-decoded into `memory` (which is emptied first)
 * unless value64 is not NULL: then the value is left as text. */
struct kerr *frame_read_kv(const char *json, size_t len, struct sbuf *memory, struct etcd_kv *ret, struct json_span *value64) MUST_CHECK;
/* One element of "events". */
struct kerr *frame_read_event(const char *json, size_t len, struct sbuf *memory, struct etcd_watch_event *ret) MUST_CHECK;

struct frame_envelope { /* what all answers may hold at the top level or inside "result" */
    int64_t revision, count, compact_revision;
    uint64_t cluster_id;
    bool more, created, canceled;
    char cancel_reason[200], error[400];
    int code; /* gRPC code of an error */
};
struct kerr *frame_read_envelope(const char *json, size_t len, struct frame_envelope *ret) MUST_CHECK;

/* The answer of /v3/kv/txn; ret->kv points into ret->memory_. */
struct kerr *frame_read_txn(const char *json, size_t len, struct etcd_txn_reply *ret) MUST_CHECK;

#endif
