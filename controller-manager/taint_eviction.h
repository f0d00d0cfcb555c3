// SPDX-License-Identifier: Apache-2.0
/* taint_eviction.h - pods leave nodes whose NoExecute taints they do not tolerate (any longer). */
#ifndef CKUBE_CONTROLLER_MANAGER_TAINT_EVICTION_H
#define CKUBE_CONTROLLER_MANAGER_TAINT_EVICTION_H

#include "controller-manager/controller.h"

struct taint_picture {
    const struct object *pod;
    const struct object *node;  /* NULL: not known */
    struct api_time since;      /* when the toleration began to count; zero: now */
};
enum taint_verdict { TAINT_STAY, TAINT_WAIT, TAINT_LEAVE };
/* WAIT: *ret_wait_ms. */
enum taint_verdict taint_judge(const struct taint_picture *p, struct api_time now, uint64_t *ret_wait_ms);
struct plan *taint_eviction_decide(const struct taint_picture *p, const char *key, struct api_time now) MUST_CHECK;

#endif
