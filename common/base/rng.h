// SPDX-License-Identifier: Apache-2.0
/* rng.h - random numbers.  Deciding code takes a struct rng, so that tests can seed it. */
#ifndef CKUBE_BASE_RNG_H
#define CKUBE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng { /* splitmix64: small, fast, not for secrets */
    uint64_t state;
};

struct rng rng_seeded(uint64_t seed);
struct rng rng_from_system(void);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* 0 .. bound-1; bound > 0 */
/* `len` characters of upstream's name alphabet "bcdfghjklmnpqrstvwxz2456789" and a NUL. */
void rng_name_suffix(struct rng *r, char *ret, size_t len);

void random_bytes(void *p, size_t size);  /* from the kernel: tokens, keys */
void random_uuid(char ret[37]);           /* RFC 9562 version 4, lower case */

#endif
