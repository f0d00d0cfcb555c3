// SPDX-License-Identifier: Apache-2.0
/* media.h - content negotiation: the Accept and Content-Type headers as upstream's serializers read them.  Pure. */
#ifndef CKUBE_APISERVER_MEDIA_H
#define CKUBE_APISERVER_MEDIA_H

#include <stdbool.h>

#include "common/base/kerr.h"

enum media_format { MEDIA_JSON, MEDIA_YAML, MEDIA_PROTOBUF };
enum media_as { AS_ITSELF, AS_TABLE, AS_PARTIAL, AS_PARTIAL_LIST };

struct media {
    enum media_format format;
    enum media_as as;
    bool as_v1beta1; /* of meta.k8s.io */
    bool pretty;
    bool watch_stream; /* ;stream=watch */
};

/* Picks by order and q.  accept NULL or "" or any: JSON.  Nothing fits: KERR_NOT_ACCEPTABLE with upstream's text.
 * `transforms`: whether Table and PartialObjectMetadata are on offer here. */
struct kerr *media_accept(const char *accept, bool transforms, struct media *ret) MUST_CHECK;
/* Format of a request body; NULL or "" counts as JSON.  Unknown: KERR_UNSUPPORTED_MEDIA_TYPE. */
struct kerr *media_content(const char *content_type, enum media_format *ret) MUST_CHECK;
const char *media_type(const struct media *m); /* for the Content-Type of the answer: a constant */

/* Header values "a/b;k=v;k2=v2, c/d;q=0.5", one clause after the other.  False: no more. */
struct media_clause {
    char type[96];
    char params[8][2][96]; /* name, value */
    int nparams;
    int q; /* thousandths */
};
bool media_next_clause(const char **at, struct media_clause *ret);
const char *media_param(const struct media_clause *c, const char *name); /* NULL when absent */

#endif
