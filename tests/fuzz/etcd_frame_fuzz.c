// SPDX-License-Identifier: Apache-2.0
/* Bytes as if they came from etcd's gateway: the splitter, all message readers, records, continue tokens. */
#include <string.h>

#include "apiserver/storage/continue_token.h"
#include "apiserver/storage/etcd_frame.h"
#include "apiserver/storage/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct store_field fields[] = { { "spec.nodeName", NULL, NULL, NULL }, { "source", "a.b", "source.component", "0" } };
static const struct record_shape shape = { true, fields, 2 };

static struct kerr *
on_element(const char *json, size_t len, void *arg)
{
    AUTO_SBUF memory = { 0 };
    struct etcd_watch_event ev;
    struct etcd_kv kv;

    kerr_free(frame_read_event(json, len, &memory, &ev));
    kerr_free(frame_read_kv(json, len, &memory, &kv, NULL));
    return NULL;
}

static struct kerr *
on_document(const char *json, size_t len, void *arg)
{
    struct frame_envelope env;

    kerr_free(frame_read_envelope(json, len, &env));
    return NULL;
}

static void
feed(const char *bytes, size_t size, const char *array, unsigned level, size_t piece)
{
    struct frame_splitter sp = { .array = array, .level = level, .max_element = 4096, .max_envelope = 4096,
                                 .element = on_element, .document = on_document };
    struct kerr *err = NULL;

    for (size_t at = 0; at < size && !err; at += piece)
        err = splitter_feed(&sp, bytes + at, size - at < piece ? size - at : piece);
    kerr_free(err);
    splitter_done(&sp);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = xstrndup((const char *)data, size);
    struct etcd_txn_reply reply = { 0 };
    struct record *rec = NULL;
    char *start = NULL;
    int64_t revision;
    bool after;
    struct kerr *err;

    feed((const char *)data, size, "events", 2, size ? size : 1);
    feed((const char *)data, size, "kvs", 1, 3);
    on_element((const char *)data, size, NULL);
    err = frame_read_txn((const char *)data, size, &reply);
    if (!err)
        etcd_txn_reply_done(&reply);
    kerr_free(err);
    err = record_new(&shape, "ns/name", (const char *)data, size, 77, &rec);
    if (!err) {
        struct record *again = record_at_revision(rec, &shape, 78);

        if (again->broken || again->json_len != rec->json_len)
            abort(); /* what was read once must be read again */
        record_unref(again);
        record_unref(rec);
    }
    kerr_free(err);
    kerr_free(continue_token_read(text, &revision, &start, &after));
    free(start);
    return 0;
}
