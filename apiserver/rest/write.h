// SPDX-License-Identifier: Apache-2.0
/* write.h - create, update, patch, apply, delete and deletecollection of any resource, and their subresources.
 *
 *   body -> decode -> default -> strategy -> admission -> validate -> managedFields -> etcd txn -> answer
 *
 * One path for all kinds; what differs stands in the resource's strategy and in the tables here.
 * All functions run on a writer thread, block, and answer the request. */
#ifndef CKUBE_APISERVER_WRITE_H
#define CKUBE_APISERVER_WRITE_H

#include "apiserver/http/request.h"

void rest_write_create(struct api_request *r);
void rest_write_update(struct api_request *r);
void rest_write_patch(struct api_request *r);
void rest_write_delete(struct api_request *r);
void rest_write_delete_collection(struct api_request *r);

/* GET of a scale subresource, for read.c: answers with the Scale of this record.  Takes rec. Any thread. */
void write_sub_get_scale(struct api_request *r, struct record *rec);

#endif
