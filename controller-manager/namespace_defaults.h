// SPDX-License-Identifier: Apache-2.0
/* namespace_defaults.h - the pure parts of the serviceaccount and the root CA publisher controllers. */
#ifndef CKUBE_CONTROLLER_MANAGER_NAMESPACE_DEFAULTS_H
#define CKUBE_CONTROLLER_MANAGER_NAMESPACE_DEFAULTS_H

#include "controller-manager/controller.h"

struct namespace_default {
    const struct object *ns;
    const struct object *current; /* the ServiceAccount or ConfigMap; NULL = missing */
    const char *root_ca;          /* PEM, content of --root-ca-file */
};
struct plan *serviceaccount_decide(const struct namespace_default *p, const char *key) MUST_CHECK;
struct plan *root_ca_decide(const struct namespace_default *p, const char *key) MUST_CHECK;

#endif
