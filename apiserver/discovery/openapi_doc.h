// SPDX-License-Identifier: Apache-2.0
/* openapi_doc.h - the OpenAPI documents, written from the type tables and the resource table.  Pure; any thread.
 *
 *   openapi_write_v2: one document of everything          openapi_write_v3: one document a group and version
 *   openapi_v2_to_protobuf: the v2 document in gnostic's protobuf form, which kubectl up to 1.26 asks for */
#ifndef CKUBE_APISERVER_OPENAPI_DOC_H
#define CKUBE_APISERVER_OPENAPI_DOC_H

#include "common/base/kerr.h"
#include "common/base/sbuf.h"

void openapi_write_v2(struct sbuf *out);
void openapi_write_v3(const char *group, const char *version, struct sbuf *out);
struct kerr *openapi_v2_to_protobuf(const struct sbuf *json, struct sbuf *out) MUST_CHECK;

#endif
