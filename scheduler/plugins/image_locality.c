// SPDX-License-Identifier: Apache-2.0
/* ImageLocality - prefers nodes that have the pod's images, big ones more; an image on few nodes counts less, so that
 * they are not flooded. */
#include "scheduler/plugins.h"

#define MB (1024ll * 1024)
#define MIN_SIZE (23 * MB)
#define MAX_SIZE_PER_CONTAINER (1000 * MB)

bool
image_locality_score(struct cycle *c, int64_t *ret)
{
    int64_t *sum = NULL, max = MAX_SIZE_PER_CONTAINER * c->pod->ncontainers;

    for (uint32_t i = 0; i < c->pod->nimages; i++) {
        struct image_on_nodes im;

        if (!nodes_image(c->nodes, c->pod->images[i], &im))
            continue;
        if (!sum)
            sum = arena_alloc(c->arena, (c->nodes->nrows + 1) * sizeof(*sum));
        for (uint32_t r = 0; r < im.nrows; r++)
            sum[im.rows[r]] += (int64_t)((double)im.size * im.nrows / c->nodes->nlive);
    }
    if (!sum)
        return false;
    for (uint32_t k = 0; k < c->nrows; k++) {
        int64_t size = sum[c->rows[k]];

        size = size < MIN_SIZE ? MIN_SIZE : size > max ? max : size;
        ret[k] = MAX_SCORE * (size - MIN_SIZE) / (max - MIN_SIZE);
    }
    return true;
}
