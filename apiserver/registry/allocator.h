// SPDX-License-Identifier: Apache-2.0
/* allocator.h - numbers of a range, each given out once: cluster IPs and node ports of services.
 * What is taken is what the services in the store say, plus what was handed out a moment ago: allocators_repair() brings
 * the two together, so that numbers of failed writes come back.  Any thread; each allocator has its own lock. */
#ifndef CKUBE_APISERVER_ALLOCATOR_H
#define CKUBE_APISERVER_ALLOCATOR_H

#include "apiserver/server.h"
#include "common/base/kerr.h"

struct allocator;
struct allocators;

struct kerr *allocators_new(const struct apiserver_options *o, struct allocators **ret) MUST_CHECK;
void allocators_free(struct allocators *all);
/* Makes them agree with the stored services.  After the store is loaded, then every few minutes. */
void allocators_repair(struct allocators *all, uint64_t now_ms);

enum { FAMILIES = 2 };
struct allocator *allocators_ips(struct allocators *all, int family); /* AF_INET, AF_INET6; NULL: no such range */
int allocators_primary_family(const struct allocators *all);
struct allocator *allocators_ports(struct allocators *all);

/* KERR_INVALID: "provided IP is not in the valid range. ...", "provided IP is already allocated", range is full. */
struct kerr *allocator_take_ip(struct allocator *a, const char *wanted, uint64_t now_ms, char ret[64]) MUST_CHECK;
void allocator_release_ip(struct allocator *a, const char *ip);
struct kerr *allocator_take_port(struct allocator *a, int32_t wanted, uint64_t now_ms, int32_t *ret) MUST_CHECK;
void allocator_release_port(struct allocator *a, int32_t port);

#endif
