// SPDX-License-Identifier: Apache-2.0
#include "apiserver/discovery/openapi.h"

void
openapi_v2(struct api_request *r)
{
    request_fail(r, kerr_new(KERR_NOT_FOUND, "OpenAPI documents are not served yet"));
}

void
openapi_v3(struct api_request *r)
{
    request_fail(r, kerr_new(KERR_NOT_FOUND, "OpenAPI documents are not served yet"));
}
