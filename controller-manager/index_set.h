// SPDX-License-Identifier: Apache-2.0
/* index_set.h - completed indexes of an Indexed Job as intervals: "0-3,7,9-12".  Pure; memory from an arena. */
#ifndef CKUBE_CONTROLLER_MANAGER_INDEX_SET_H
#define CKUBE_CONTROLLER_MANAGER_INDEX_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"

struct index_range {
    int64_t first, last;
};
struct index_set {
    struct index_range *items; /* rising, not touching */
    size_t len, cap;
    struct arena *arena;
};
/* Indexes from `limit` on are left out; bad text ends the set there. */
struct index_set index_set_parse(const char *text, int64_t limit, struct arena *a);
bool index_set_has(const struct index_set *s, int64_t index);
void index_set_add(struct index_set *s, int64_t index);
int64_t index_set_count(const struct index_set *s);
const char *index_set_text(const struct index_set *s, struct arena *a);

#endif
