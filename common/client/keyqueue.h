// SPDX-License-Identifier: Apache-2.0
/* keyqueue.h - the rules of a work queue without threads and without a clock: keys that need work, each handed to one
 * worker at a time; a key added while in work comes back after done.  One thread at a time; workqueue.h adds the lock. */
#ifndef CKUBE_CLIENT_KEYQUEUE_H
#define CKUBE_CLIENT_KEYQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"

#define KEYQUEUE_NEVER UINT64_MAX

struct keyqueue_limits { /* zero = upstream's default controller limits */
    uint64_t base_ms;  /* 5: first retry of a key; doubles per failure */
    uint64_t max_ms;   /* 1,000,000 */
    double overall_qps; /* 10: retries per second of all keys together */
    unsigned overall_burst; /* 100 */
};

struct keyqueue;

struct keyqueue *keyqueue_new(const struct keyqueue_limits *limits) MUST_CHECK; /* NULL = defaults */
void keyqueue_free(struct keyqueue *q);
DEFINE_AUTO(keyqueue)
void keyqueue_add(struct keyqueue *q, const char *key, uint64_t now_ms); /* copies; no effect while it waits already */
void keyqueue_add_after(struct keyqueue *q, const char *key, uint64_t delay_ms, uint64_t now_ms); /* the earlier time wins */
uint64_t keyqueue_retry(struct keyqueue *q, const char *key, uint64_t now_ms); /* add_after with back-off; the wait */
void keyqueue_forget(struct keyqueue *q, const char *key); /* its failures are no longer counted */
unsigned keyqueue_failures(const struct keyqueue *q, const char *key);
/* Next key to work on, or NULL.  Valid until keyqueue_done(). *ret_waited_ms (may be NULL): how long it stood there. */
const char *keyqueue_get(struct keyqueue *q, uint64_t now_ms, uint64_t *ret_waited_ms);
void keyqueue_done(struct keyqueue *q, const char *key, uint64_t now_ms);
uint64_t keyqueue_next_ms(const struct keyqueue *q); /* when the next delayed key is due; KEYQUEUE_NEVER */
size_t keyqueue_ready_len(const struct keyqueue *q);
size_t keyqueue_len(const struct keyqueue *q); /* ready, delayed and in work */

#endif
