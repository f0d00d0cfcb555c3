// SPDX-License-Identifier: Apache-2.0
/* request.h - one API request on its way: what was asked, who asked, and how to answer.
 * Made by the pipeline on the stream's loop; a write moves to a writer thread with it.  One thread at a time works on
 * it; request_done() (or the answer functions, which end it) gives it up. */
#ifndef CKUBE_APISERVER_REQUEST_H
#define CKUBE_APISERVER_REQUEST_H

#include "apiserver/authn/authn.h"
#include "apiserver/http/media.h"
#include "apiserver/http/request_info.h"
#include "apiserver/registry/resource.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"
#include "common/net/http_server.h"

struct api_request {
    struct apiserver *srv;
    struct http_stream *stream; /* a reference */
    struct arena *arena;
    struct request_info info;
    struct user_info user;
    const struct resource *resource;       /* NULL for non-resource paths */
    const struct subresource *subresource; /* NULL: the resource itself */
    struct media media;                    /* what the client wants back */
    struct strlist warnings;               /* become Warning: 299 headers */
    char audit_id[64];
    uint64_t started_us;
    int code; /* answered with, for metrics and log */
};

/* Each of these answers and frees the request; body and err are taken.  Any thread. */
void request_reply(struct api_request *r, int code, const char *content_type, struct sbuf *body);
void request_fail(struct api_request *r, struct kerr *err); /* as metav1.Status in the client's format */
/* `json` is a complete JSON document without record (reviews, Status, Scale): converted to the client's format. */
void request_reply_object(struct api_request *r, int code, const struct object *obj);
/* ?pretty=true (or ;pretty=1 in Accept) and a JSON answer: the body is rewritten for people to read. */
void request_prettify(struct api_request *r, const char *content_type, struct sbuf *body);
/* Frees without an answer: the stream was taken over or has its reply. */
void request_done(struct api_request *r);

/* Headers every answer carries: Audit-Id, Cache-Control, warnings.  Returns how many; rows live as long as the request. */
#define REQUEST_HEADERS_MAX 24
size_t request_headers(struct api_request *r, const char *content_type, struct http_header *ret);

const char *request_field_manager(const struct api_request *r); /* fieldManager, or from User-Agent; lives in the arena */
bool request_dry_run(const struct api_request *r);
struct kerr *request_check_options(const struct api_request *r) MUST_CHECK; /* dryRun=All, fieldValidation values */

#endif
