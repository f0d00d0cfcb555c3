// SPDX-License-Identifier: Apache-2.0
/* VolumeBinding - the part that needs no volume controller: the pod's claims exist, and are bound or wait for a pod. */
#include "common/base/str.h"
#include "scheduler/plugins.h"

void
volume_binding_check(struct cycle *c)
{
    bool unbound = false;

    for (uint32_t i = 0; i < c->pod->nclaims; i++) {
        const char *name = c->pod->claims[i];

        switch (c->claim ? c->claim(c->pod->namespace, name, c->claim_arg) : CLAIM_MISSING) {
        case CLAIM_MISSING:
            cycle_refuse_all(c, PLUGIN_VOLUME_BINDING, arena_printf(c->arena, "persistentvolumeclaim \"%s\" not found", name));
            return;
        case CLAIM_DELETING:
            cycle_refuse_all(c, PLUGIN_VOLUME_BINDING, arena_printf(c->arena, "persistentvolumeclaim \"%s\" is being deleted", name));
            return;
        case CLAIM_LOST:
            cycle_refuse_all(c, PLUGIN_VOLUME_BINDING, arena_printf(c->arena, "persistentvolumeclaim \"%s\" bound to non-existent persistentvolume \"\"", name));
            return;
        case CLAIM_UNBOUND:
            unbound = true;
            break;
        case CLAIM_BOUND:
        case CLAIM_WAITS_FOR_POD:
            break;
        }
    }
    if (unbound)
        cycle_refuse_all(c, PLUGIN_VOLUME_BINDING, "pod has unbound immediate PersistentVolumeClaims");
}
