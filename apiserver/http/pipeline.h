// SPDX-License-Identifier: Apache-2.0
/* pipeline.h - the way of a request through the apiserver, in upstream's order:
 *
 *   decode path -> authenticate -> impersonate -> (flow control) -> authorize -> route
 *       read   stays on the I/O loop         write   goes to a writer thread         others   by the table of paths
 *
 * Runs on the stream's loop.  Later stages (audit, flow control, webhooks) get their place in the table of steps here. */
#ifndef CKUBE_APISERVER_PIPELINE_H
#define CKUBE_APISERVER_PIPELINE_H

#include "apiserver/http/request.h"
#include "apiserver/server.h"

/* For http_server_new(): arg is the struct apiserver. */
extern const struct http_handler pipeline_handler;

/* Called once by request_done(): access log and metrics. */
void pipeline_finished(const struct api_request *r);
/* Adds the families to /metrics; before serving. */
void pipeline_register_metrics(void);

#endif
