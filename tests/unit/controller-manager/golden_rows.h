// SPDX-License-Identifier: Apache-2.0
/* golden_rows.h - one row per controller: objects of a case -> picture -> plan. */
#ifndef CKUBE_TESTS_CONTROLLER_GOLDEN_ROWS_H
#define CKUBE_TESTS_CONTROLLER_GOLDEN_ROWS_H

#include "controller-manager/deployment.h"
#include "controller-manager/replicas.h"

static void
golden_replicaset(struct golden *g)
{
    AUTO_FREE char *settled = golden_setting(g, "settled"), *failed = golden_setting(g, "scale_error");
    struct replicas_picture p = { .owner = golden_first(g, "ReplicaSet"), .can_adopt = true, .settled = !str_eq(settled, "false") };
    AUTO(kerr) *err = failed ? kerr_new(KERR_FORBIDDEN, "%s", failed) : NULL;

    if (!p.owner)
        p.owner = golden_first(g, "ReplicationController");
    golden_kind(g, "Pod", &p.pods);
    golden_print(g, replicas_decide(&p, "ns/set", g->now));
    golden_print(g, replicas_status_decide(&p, "ns/set", err, g->now));
    replicas_picture_done(&p);
}

static void
golden_deployment(struct golden *g)
{
    struct deployment_picture p = { .deployment = golden_first(g, "Deployment"), .can_adopt = true };

    golden_kind(g, "ReplicaSet", &p.replica_sets);
    golden_kind(g, "Pod", &p.pods);
    golden_print(g, deployment_decide(&p, "ns/web", g->now));
    deployment_picture_done(&p);
}

static const struct golden_row golden_rows[] = {
    { "deployment", golden_deployment },
    { "replicaset", golden_replicaset },
};
static const size_t golden_rows_len = ARRAY_LEN(golden_rows);

#endif
