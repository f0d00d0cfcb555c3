// SPDX-License-Identifier: Apache-2.0
/* identity.h - who each controller is towards the apiserver: with --use-service-account-credentials, its own
 * ServiceAccount kube-system/<account> with a token by TokenRequest, renewed in time; else the kubeconfig's user.
 * One thread renews; identities_get() blocks and may be called from any thread. */
#ifndef CKUBE_CONTROLLER_MANAGER_IDENTITY_H
#define CKUBE_CONTROLLER_MANAGER_IDENTITY_H

#include "common/client/kubeconfig.h"
#include "common/client/rest.h"

struct identities;

/* own false: all are `main`.  cfg says where the apiserver is; its credential is used through `main` only. */
struct kerr *identities_new(struct rest *main, const struct client_config *cfg, const struct rest_options *opts, bool own,
                            struct identities **ret) MUST_CHECK;
void identities_free(struct identities *ids);
/* Makes the account if it is missing.  The client is the caller's to unref, and not to be used after identities_free(). */
struct kerr *identities_get(struct identities *ids, const char *account, struct rest **ret) MUST_CHECK;

#endif
