// SPDX-License-Identifier: Apache-2.0
/* render.h - `kube-proxy render`: the rules for Services and EndpointSlices in files, shown or put into the kernel,
 * without an apiserver.  For learning what a Service becomes, and for tests with real packets. kube-proxy render
 * [--hostname-override=NODE] [--cluster-cidr=CIDR,...] [--masquerade-all] [--apply] [--cleanup] [--times] FILE...
 * [--then FILE...] Files after --then are a second state: what is shown (applied) for it is the difference. */
#ifndef CKUBE_KUBE_PROXY_RENDER_H
#define CKUBE_KUBE_PROXY_RENDER_H

int render_main(int argc, char *const *argv); /* argv[0] is "render"; the exit code */

#endif
