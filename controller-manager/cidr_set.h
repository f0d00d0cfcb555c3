// SPDX-License-Identifier: Apache-2.0
/* cidr_set.h - one cluster range cut into node ranges of equal size; which are taken.  Pure data, one thread at a time. */
#ifndef CKUBE_CONTROLLER_MANAGER_CIDR_SET_H
#define CKUBE_CONTROLLER_MANAGER_CIDR_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/api/names.h"
#include "common/base/kerr.h"

#define CIDR_TEXT_SIZE (API_IP_TEXT_SIZE + 4)

struct cidr_set {
    struct api_ip base;
    unsigned cluster_bits, node_bits; /* prefix lengths of 128 (IPv4: + 96) */
    bool v4;
    uint32_t count, used, next;
    uint64_t *taken; /* bitmap */
};
/* "10.244.0.0/16", 24.  Ranges of more than 2^16 nodes are refused, as upstream does. */
struct kerr *cidr_set_init(struct cidr_set *s, const char *cluster_cidr, int node_mask) MUST_CHECK;
void cidr_set_done(struct cidr_set *s);
/* Marks all node ranges that overlap with cidr; no effect when it lies outside. */
void cidr_set_occupy(struct cidr_set *s, const char *cidr);
void cidr_set_release(struct cidr_set *s, const char *cidr);
bool cidr_set_contains(const struct cidr_set *s, const char *cidr); /* lies within the cluster range */
bool cidr_set_allocate(struct cidr_set *s, char ret[CIDR_TEXT_SIZE]); /* false: all are taken */

#endif
