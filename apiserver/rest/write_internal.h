// SPDX-License-Identifier: Apache-2.0
/* write_internal.h - what the files of the write path share; not for others.
 *
 *   write_create.c  write_update.c (update, patch, apply)  write_delete.c  write_sub.c (binding, eviction, scale, ...)
 *        '--------------- write_object.c: metadata rules, decoding, the steps between body and bytes ----------' */
#ifndef CKUBE_APISERVER_WRITE_INTERNAL_H
#define CKUBE_APISERVER_WRITE_INTERNAL_H

#include "apiserver/rest/write.h"
#include "apiserver/server.h"
#include "common/api/managed.h"

struct write_context write_context_of(struct api_request *r);

/* The request's body as an object of `kind` (the resource's or a subresource's), with fieldValidation applied. */
struct kerr *write_decode_body(struct api_request *r, const struct api_kind *kind, struct object **ret) MUST_CHECK;
/* JSON of unknown origin (a patched object), likewise. */
struct kerr *write_decode_json(struct api_request *r, const struct api_kind *kind, const char *json, size_t len, struct object **ret) MUST_CHECK;
/* The stored object as the request's kind (converted where versions share objects). */
struct kerr *write_decode_record(const struct api_request *r, const struct record *rec, struct object **ret) MUST_CHECK;
/* Bytes as the store wants them. */
void write_encode(const struct api_request *r, const struct object *obj, struct sbuf *out);

/* Defaults, strategy, metadata, admission, validation, managedFields of a create.  manage_fields false: they are set
 * already (apply). */
struct kerr *write_prepare_create(struct api_request *r, struct object *obj, bool manage_fields) MUST_CHECK;
/* Likewise of an update: `obj` is what the client wants, `old` what there is. */
struct kerr *write_prepare_update(struct api_request *r, struct object *obj, const struct object *old, bool manage_fields) MUST_CHECK;
/* Who writes what, for managed.h. */
struct managed_request write_managed_request(struct api_request *r, int64_t now_us);
/* True when the object is being deleted and nothing holds it any more. */
bool write_should_delete(const struct api_request *r, const struct object *obj);

/* Stores a prepared object: 201 and the record, or the error. Used by create, create-on-update and apply. */
struct kerr *write_store_create(struct api_request *r, struct object *obj, struct record **ret) MUST_CHECK;

/* Answers with a record, or an object not stored (dry run), in the client's form. */
void write_answer_record(struct api_request *r, int code, struct record *rec); /* takes rec */
void write_answer_object(struct api_request *r, int code, const struct object *obj);

/* write_sub.c: NULL when that subresource has no rules of its own. */
typedef void write_sub_fn(struct api_request *r);
write_sub_fn *write_sub_handler(const struct api_request *r);

struct delete_wish { /* metav1.DeleteOptions as far as we obey them */
    bool has_grace;
    int64_t grace_s;
    char *uid, *resource_version;
    char *propagation; /* "" = the kind's default */
    bool dry_run;
};
void delete_wish_done(struct delete_wish *w);
struct kerr *delete_wish_read(struct api_request *r, const char *body, size_t len, struct delete_wish *ret) MUST_CHECK;
/* Deletes, or marks for deletion.  *ret_gone: nothing is left.  ret: the object as it is (was). */
struct kerr *write_delete_one(struct api_request *r, const char *ns, const char *name, const struct delete_wish *w, bool *ret_gone,
                              struct record **ret) MUST_CHECK;

#endif
