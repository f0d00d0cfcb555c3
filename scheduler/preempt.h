// SPDX-License-Identifier: Apache-2.0
/* preempt.h - DefaultPreemption, decided: which pods of lower priority would have to go so that a refused pod fits.
 * Pure: tries it on the columns and puts everything back.  Pods under an exhausted PodDisruptionBudget go last, not never. */
#ifndef CKUBE_SCHEDULER_PREEMPT_H
#define CKUBE_SCHEDULER_PREEMPT_H

#include "common/base/sbuf.h"
#include "scheduler/cycle.h"

struct preemption {
    uint32_t row; /* where room can be made, or ROW_NONE */
    struct pod_info **victims; /* references */
    uint32_t nvictims;
    bool keep_nomination; /* an earlier one still stands */
    struct sbuf message; /* " no new claims to deallocate, preemption: ..." when row is ROW_NONE */
};

struct budgets { /* the PodDisruptionBudgets; borrowed */
    const struct object *const *items;
    size_t len;
};

/* c is a cycle that chose nothing, not done yet. */
void preempt(struct cycle *c, const struct budgets *budgets, struct preemption *ret);
void preemption_done(struct preemption *p);

#endif
