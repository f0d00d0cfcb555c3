// SPDX-License-Identifier: Apache-2.0
/* job_indexes.h - sets of completion indexes as the Job status writes them: "1,3-5,7".  Pure; memory from the arena given. */
#ifndef CKUBE_CONTROLLER_MANAGER_JOB_INDEXES_H
#define CKUBE_CONTROLLER_MANAGER_JOB_INDEXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct index_span {
    int32_t first, last;
};
/* In order, not touching each other. */
struct index_set {
    struct index_span *items;
    size_t len;
};

/* Indexes of `end` and above are left out, parts that are no numbers are skipped. */
struct index_set index_set_parse(const char *text, int32_t end, struct arena *a);
/* With the indexes of a sorted array. */
struct index_set index_set_with(struct index_set s, const int32_t *sorted, size_t n, struct arena *a);
bool index_set_has(struct index_set s, int32_t index);
int64_t index_set_total(struct index_set s);
int64_t index_set_overlap(struct index_set x, struct index_set y); /* how many are in both */
char *index_set_text(struct index_set s, struct arena *a);
/* The first `max` indexes below `end` that are not in the set; returns how many. */
size_t index_set_missing(struct index_set s, int32_t end, int32_t *ret, size_t max);

#endif
