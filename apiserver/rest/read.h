// SPDX-License-Identifier: Apache-2.0
/* read.h - get, list and watch of any resource: from memory, on the I/O loop, in the form the client asked for.
 * A consistent read waits (without blocking) until the store is as new as etcd; see store.h. */
#ifndef CKUBE_APISERVER_READ_H
#define CKUBE_APISERVER_READ_H

#include "apiserver/http/request.h"

void rest_read_get(struct api_request *r);
void rest_read_list(struct api_request *r);
void rest_read_watch(struct api_request *r);

/* For the write path (blocks): what the request's namespace and selectors select, fresh.  The caller unrefs and frees. */
struct kerr *rest_read_collect(struct api_request *r, struct record ***ret, size_t *ret_n) MUST_CHECK;
/* Answers with one record in the client's form; takes rec. */
void rest_read_answer_one(struct api_request *r, struct record *rec);
/* Answers with these records as a list in the client's form. */
void rest_read_answer_collected(struct api_request *r, struct record *const *list, size_t n);
/* All of a resource that pass, as memory has them now. */
struct kerr *rest_read_records(const struct resource *res, const struct record_filter *filter, struct record ***ret, size_t *ret_n) MUST_CHECK;

#endif
