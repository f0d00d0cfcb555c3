// SPDX-License-Identifier: Apache-2.0
/* prober.h - startup, liveness and readiness probes of running containers: a timer and a pool; results go to the pod
 * worker.  All calls from any thread. */
#ifndef CKUBE_KUBELET_PROBER_H
#define CKUBE_KUBELET_PROBER_H

#include "kubelet/kubelet.h"
#include "kubelet/pod_worker.h"

struct prober *prober_new(struct kubelet *k) MUST_CHECK;
void prober_stop(struct prober *p);
void prober_free(struct prober *p);
/* A container runs (told again and again is fine). */
void prober_container(struct prober *p, const struct pod *pod, const struct pod_container *pc, const struct rt_container *c, const char *pod_ip);
void prober_forget(struct prober *p, const char *uid);
void prober_stop_container(struct prober *p, const char *uid, const char *container); /* it is being killed: readiness goes on */
void prober_end_container(struct prober *p, const char *uid, const char *container);  /* it has ended */

/* --- the pure part: one more result --- */
struct probe_state {
    int run;        /* equal results in a row */
    bool last;      /* the result that repeats */
    bool told;      /* the current verdict */
    bool has_told;
};
/* True: the verdict is due and is in *ret_verdict. */
bool probe_count(struct probe_state *s, const struct probe *p, bool ok, bool *ret_verdict);

#endif
