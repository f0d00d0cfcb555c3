// SPDX-License-Identifier: Apache-2.0
/* nft_backend.h - carries packet filter text into the kernel, through libnftables; the only file that knows it.
 * Every call is one transaction: all of the text or nothing.  Calls block for as long as the kernel needs (a full load
 * of 10,000 services about half a second, a change under a millisecond).  One thread at a time per backend. */
#ifndef CKUBE_KUBE_PROXY_NFT_BACKEND_H
#define CKUBE_KUBE_PROXY_NFT_BACKEND_H

#include "common/base/kerr.h"
#include "common/base/sbuf.h"
#include "kube-proxy/ip_addr.h"

struct nft_backend;

/* Fails when this kernel has no nf_tables for the family, or we may not use it (CAP_NET_ADMIN). */
struct kerr *nft_backend_new(struct nft_backend **ret) MUST_CHECK;
void nft_backend_free(struct nft_backend *n);
DEFINE_AUTO(nft_backend)

/* The error holds nft's own words and the first line of the text. */
struct kerr *nft_backend_apply(struct nft_backend *n, const char *text) MUST_CHECK;
/* Output of a "list ..." command. */
struct kerr *nft_backend_list(struct nft_backend *n, const char *command, struct sbuf *ret) MUST_CHECK;
bool nft_backend_has_table(struct nft_backend *n, enum ip_family family); /* ours */
/* Both families' tables, if there. */
struct kerr *nft_backend_cleanup(struct nft_backend *n) MUST_CHECK;
/* Gives the memory of a big transaction back. */
void nft_backend_trim(struct nft_backend *n);

#endif
