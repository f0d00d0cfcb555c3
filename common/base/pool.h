// SPDX-License-Identifier: Apache-2.0
/* pool.h - a bounded pool of threads for work that may block.
 * Jobs start in the order given; a full queue refuses (the caller answers 429 or tries later).
 * Threads start when first needed and stay.  Submit from any thread. */
#ifndef CKUBE_BASE_POOL_H
#define CKUBE_BASE_POOL_H

#include <stddef.h>

#include "common/base/mem.h"

struct pool;

struct pool *pool_new(const char *name, unsigned max_threads, size_t max_queued) MUST_CHECK; /* name: <= 11 chars */
/* 0, or -EBUSY when max_queued jobs wait already, or -ESHUTDOWN. */
int pool_submit(struct pool *p, void (*fn)(void *arg), void *arg) MUST_CHECK;
/* Runs what is queued, then joins the threads.  NULL is fine. */
void pool_free(struct pool *p);
DEFINE_AUTO(pool)

#endif
