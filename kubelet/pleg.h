// SPDX-License-Identifier: Apache-2.0
/* pleg.h - wakes the right pod worker when the runtime says that something happened, and looks at everything now and
 * then in case it did not: pods that died unnoticed, pods that nobody wants, directories and cgroups left behind. */
#ifndef CKUBE_KUBELET_PLEG_H
#define CKUBE_KUBELET_PLEG_H

#include "kubelet/kubelet.h"

struct pleg *pleg_new(struct kubelet *k) MUST_CHECK;
void pleg_start(struct pleg *p);
void pleg_stop(struct pleg *p);
void pleg_free(struct pleg *p);
/* Orphans are stopped only once every source of pods has been read. */
void pleg_sources_ready(struct pleg *p);
bool pleg_are_sources_ready(const struct pleg *p);
/* Container and sandbox ids of a pod, so that events find it. */
void pleg_learn(struct pleg *p, const char *uid, const struct rt_pod *rt);
void pleg_learn_id(struct pleg *p, const char *uid, const char *id);

#endif
