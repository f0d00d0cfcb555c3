// SPDX-License-Identifier: Apache-2.0
/* expectations.h - what a controller did and has not seen come back on its watch yet.
 * A sync that scales while its copy of the pods is behind its own writes would create or delete twice; so it does not
 * scale until all expected creations and deletions were seen (or 5 minutes went by).  Any thread. */
#ifndef CKUBE_CONTROLLER_MANAGER_EXPECTATIONS_H
#define CKUBE_CONTROLLER_MANAGER_EXPECTATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/mem.h"

#define EXPECTATIONS_TIMEOUT_MS (5 * 60 * 1000)

struct expectations;

struct expectations *expectations_new(void) MUST_CHECK;
void expectations_free(struct expectations *e);
DEFINE_AUTO(expectations)

bool expectations_satisfied(struct expectations *e, const char *key, uint64_t now_ms);
void expectations_expect_creations(struct expectations *e, const char *key, unsigned n, uint64_t now_ms); /* adds to what is expected */
void expectations_expect_deletion(struct expectations *e, const char *key, const char *uid, uint64_t now_ms);
/* Seen, or it failed and will never be. */
void expectations_creation_seen(struct expectations *e, const char *key);
void expectations_deletion_seen(struct expectations *e, const char *key, const char *uid);
void expectations_forget(struct expectations *e, const char *key); /* the owner is gone */

#endif
