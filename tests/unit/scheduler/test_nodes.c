// SPDX-License-Identifier: Apache-2.0
/* Node columns: sums, counters and held terms stay what a fresh count gives, through random coming and going. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/api/codec.h"
#include "common/base/rng.h"
#include "common/base/str.h"
#include "scheduler/nodes.h"

static struct object *
object(const char *json)
{
    struct object *obj;
    struct kerr *err = object_decode_json(json, strlen(json), NULL, NULL, &obj);

    assert_null(err);
    return obj;
}

static struct object *
make_node(unsigned i, unsigned zone, const char *taints)
{
    AUTO_FREE char *json = xasprintf("{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n%u\",\"labels\":{\"zone\":\"z%u\"}},"
                                     "\"spec\":{\"taints\":[%s]},\"status\":{\"allocatable\":{\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":\"10\"}}}",
                                     i, zone, taints);

    return object(json);
}

static struct pod_info *
make_pod(struct resource_names *names, unsigned i)
{
    AUTO_FREE char *json = xasprintf(
        "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p%u\",\"namespace\":\"d\",\"uid\":\"u%u\",\"labels\":{\"app\":\"a%u\"}},"
        "\"spec\":{\"affinity\":{\"podAntiAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"zone\",\"labelSelector\":"
        "{\"matchLabels\":{\"app\":\"a%u\"}}}]}},\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"containerPort\":1,\"hostPort\":%u}],"
        "\"resources\":{\"requests\":{\"cpu\":\"%um\",\"memory\":\"1Mi\",\"x.io/y\":\"2\"}}}]}}",
        i, i, i % 3, i % 3, 1000 + i, 10 + i);
    AUTO(object) *obj = object(json);
    struct pod_info_options opts = { .resources = names };

    return pod_info_new(obj, &opts);
}

static void
check(struct nodes *n, struct pod_info **pods, const uint32_t *at, unsigned npods, unsigned nnodes)
{
    for (unsigned i = 0; i < nnodes; i++) {
        AUTO_FREE char *name = xasprintf("n%u", i);
        uint32_t row = nodes_row(n, name);
        int64_t cpu = 0, count = 0, held = 0;
        uint32_t a1 = 0, y = resource_id(n->resources, "x.io/y");

        if (row == ROW_NONE)
            continue;
        for (unsigned p = 0; p < npods; p++)
            if (at[p] == i) {
                cpu += 10 + p;
                count++;
                a1 += p % 3 == 1;
            }
        assert_int_equal(n->used[RES_CPU][row], cpu);
        assert_int_equal(n->used[RES_PODS][row], count);
        assert_int_equal(n->used[y] ? n->used[y][row] : 0, 2 * count);
        assert_int_equal(n->nports[row], count);
        assert_int_equal(nodes_count(n, pods[1], &pods[1]->anti_affinity.items[0].who)[row], a1);
        for (uint32_t h = 0; h < nodes_held(n, HELD_ANTI); h++) {
            struct held_term t = nodes_held_at(n, HELD_ANTI, h);

            for (uint32_t r = 0; r < t.nrows; r++)
                held += t.rows[r].row == row ? t.rows[r].n : 0;
        }
        assert_int_equal(held, count);
    }
}

static void
random_traffic(void **state)
{
    enum { PODS = 60, NODES = 40 };
    struct resource_names *names = resource_names_new();
    struct nodes *n = nodes_new(names);
    struct pod_info *pods[PODS];
    uint32_t at[PODS];
    struct rng rng = rng_seeded(42);

    for (unsigned i = 0; i < PODS; i++) {
        pods[i] = make_pod(names, i);
        at[i] = ROW_NONE;
    }
    for (unsigned step = 0; step < 4000; step++) {
        unsigned p = (unsigned)rng_below(&rng, PODS), i = (unsigned)rng_below(&rng, NODES);
        AUTO_FREE char *name = xasprintf("n%u", i);

        switch (rng_below(&rng, 6)) {
        case 0: {
            AUTO(object) *obj = make_node(i, (unsigned)rng_below(&rng, 3), rng_below(&rng, 2) ? "{\"key\":\"k\",\"effect\":\"NoSchedule\"}" : "");

            nodes_set_node(n, obj);
            break;
        }
        case 1:
            nodes_del_node(n, name);
            break;
        default:
            if (at[p] == ROW_NONE) {
                nodes_add_pod(n, pods[p], name);
                at[p] = i;
            } else {
                nodes_del_pod(n, pods[p]);
                at[p] = ROW_NONE;
            }
        }
        if (step % 50 == 0) {
            check(n, pods, at, PODS, NODES);
            nodes_trim(n);
        }
        for (uint32_t k = 0; k < n->nlive; k++) {
            const struct label_column *col = nodes_labels(n, "zone");

            assert_int_equal(n->live_at[n->live[k]], k);
            assert_non_null(n->node[n->live[k]]);
            assert_true(str_eq(col->value[col->of_row[n->live[k]]], string_map_get(&n->node[n->live[k]]->metadata.labels, "zone")));
        }
    }
    nodes_free(n);
    for (unsigned i = 0; i < PODS; i++) {
        assert_int_equal(pods[i]->refs, 1); /* nobody else holds it */
        pod_info_unref(pods[i]);
    }
    resource_names_free(names);
}

static void
changes_are_told(void **state)
{
    struct resource_names *names = resource_names_new();
    struct nodes *n = nodes_new(names);
    AUTO(object) *one = make_node(1, 1, ""), *zone = make_node(1, 2, ""), *taint = make_node(1, 2, "{\"key\":\"k\",\"effect\":\"NoExecute\"}");

    assert_true(nodes_set_node(n, one) & NODE_ADDED);
    assert_int_equal(nodes_set_node(n, one), 0);
    assert_int_equal(nodes_set_node(n, zone), NODE_LABELS);
    assert_int_equal(nodes_set_node(n, taint), NODE_TAINTS);
    nodes_free(n);
    resource_names_free(names);
}

static void
tolerations(void **state)
{
    static const struct {
        struct toleration t;
        struct taint taint;
        bool ok;
    } cases[] = {
        { { .key = "k", .value = "v" }, { .key = "k", .value = "v", .effect = "NoSchedule" }, true },
        { { .key = "k", .value = "w" }, { .key = "k", .value = "v", .effect = "NoSchedule" }, false },
        { { .key = "k", .operator = "Exists" }, { .key = "k", .value = "v", .effect = "NoSchedule" }, true },
        { { .operator = "Exists" }, { .key = "other", .effect = "NoExecute" }, true },
        { { .operator = "Exists", .effect = "NoSchedule" }, { .key = "other", .effect = "NoExecute" }, false },
        { { .key = "k", .operator = "Exists", .effect = "NoSchedule" }, { .key = "k", .effect = "NoSchedule" }, true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(toleration_tolerates(&cases[i].t, &cases[i].taint), cases[i].ok);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_traffic), cmocka_unit_test(changes_are_told), cmocka_unit_test(tolerations) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
