// SPDX-License-Identifier: Apache-2.0
/* request_info.h - what a request asks for, read from its method and path alone.
 * Everything behind it (authorization, routing, audit, metrics) speaks of requests in these words.  Pure, any thread. */
#ifndef CKUBE_APISERVER_REQUEST_INFO_H
#define CKUBE_APISERVER_REQUEST_INFO_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/kerr.h"

struct request_param { /* one decoded query parameter */
    const char *key, *value;
};

struct request_info {
    bool is_resource;        /* a path of /api/v1/... or /apis/<group>/<version>/... that names a resource */
    const char *path;        /* decoded */
    const char *verb;        /* get list watch create update patch delete deletecollection proxy; else the method in small letters */
    const char *api_prefix;  /* "api" or "apis" */
    const char *api_group;   /* "" for core */
    const char *api_version;
    const char *ns;          /* "" = none */
    const char *resource;    /* "pods" */
    const char *subresource; /* "log", "" = none */
    const char *name;        /* "" = the collection; for lists by metadata.name=x it is x, as upstream has it */
    const char *rest;        /* path below a proxy subresource: "/a/b", "" = none */
    bool has_trailing_slash;
    struct request_param *params;
    unsigned nparams;
};

#define REQUEST_PARAMS_MAX 128

/* Strings come from `a`.  Bad percent-encoding or too many parameters: KERR_BAD_REQUEST. */
struct kerr *request_info_parse(struct arena *a, const char *method, const char *path, const char *query,
                                struct request_info *ret) MUST_CHECK;
const char *request_param(const struct request_info *info, const char *key); /* first value; NULL when absent */
bool request_param_bool(const struct request_info *info, const char *key);   /* as conversion of Go's query values: absent, "0" and "false" are false, "" is true */

#endif
