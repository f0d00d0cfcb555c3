// SPDX-License-Identifier: Apache-2.0
/* Golden tests of the scheduler's decisions: tests/golden/scheduler/<case>/in.yaml (Nodes, Pods, Namespaces,
 * PersistentVolumeClaims; maybe config.yaml) and out.txt.  Pods with a node are there already; the others are decided in
 * the order of the file and stay where they were put.  CKUBE_GOLDEN_WRITE=1 writes out.txt anew, for review. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/api/codec.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/client/informer.h"
#include "scheduler/config.h"
#include "scheduler/nodes.h"
#include "scheduler/preempt.h"
#include "scheduler/transform.h"

#define ROOT "tests/golden/scheduler"

struct world {
    struct resource_names *names;
    struct nodes *nodes;
    struct profile *profile;
    struct pod_info *waiting[64];
    size_t nwaiting;
    struct strlist claims; /* ns/name=state */
    struct object *budgets[8];
    size_t nbudgets;
    struct rng rng;
};

static struct kerr *
take(const char *json, size_t len, void *arg)
{
    struct world *w = arg;
    AUTO(object) *obj = NULL;
    struct kerr *err = object_decode_json(json, len, NULL, NULL, &obj);
    struct pod_info_options opts = { .resources = w->names, .default_spread = w->profile->default_spread };
    struct pod_info *p;

    if (err)
        return err;
    if (OBJECT_BODY(obj, node)) {
        transform_node(obj);
        nodes_set_node(w->nodes, obj);
    } else if (OBJECT_BODY(obj, namespace)) {
        nodes_set_namespace(w->nodes, object_name(obj), &object_meta(obj)->labels);
    } else if (OBJECT_BODY(obj, persistent_volume_claim)) {
        const char *state = OBJECT_BODY(obj, persistent_volume_claim)->spec.volume_name;

        strlist_add_take(&w->claims, xasprintf("%s/%s=%s", object_namespace(obj), object_name(obj), str_empty(state) ? "unbound" : "bound"));
    } else if (OBJECT_BODY(obj, pod_disruption_budget)) {
        assert_true(w->nbudgets < ARRAY_LEN(w->budgets));
        w->budgets[w->nbudgets++] = object_ref(obj);
    } else if (OBJECT_BODY(obj, pod)) {
        const char *node;

        transform_pod(obj);
        p = pod_info_new(obj, &opts);
        node = p->pod->spec.node_name;
        if (str_empty(node)) {
            assert_true(w->nwaiting < ARRAY_LEN(w->waiting));
            w->waiting[w->nwaiting++] = p;
        } else {
            nodes_add_pod(w->nodes, p, node);
            pod_info_unref(p);
        }
    }
    return NULL;
}

static enum claim_state
claim(const char *ns, const char *name, void *arg)
{
    struct world *w = arg;
    AUTO_FREE char *bound = xasprintf("%s/%s=bound", ns, name), *unbound = xasprintf("%s/%s=unbound", ns, name);

    return strlist_has(&w->claims, bound) ? CLAIM_BOUND : strlist_has(&w->claims, unbound) ? CLAIM_UNBOUND : CLAIM_MISSING;
}

static void
decide(struct world *w, struct pod_info *p, struct sbuf *out)
{
    struct cycle c = { .nodes = w->nodes, .pod = p, .profile = w->profile, .claim = claim, .claim_arg = w, .rng = &w->rng };
    struct preemption pre;

    sbuf_addf(out, "%s", p->key);
    cycle_run(&c);
    if (c.chosen != ROW_NONE) {
        sbuf_addf(out, " -> %s\n", w->nodes->name[c.chosen]);
        nodes_add_pod(w->nodes, p, w->nodes->name[c.chosen]);
    } else {
        preempt(&c, &(struct budgets){ (const struct object *const *)w->budgets, w->nbudgets }, &pre);
        sbuf_adds(out, ": ");
        cycle_message(&c, out);
        sbuf_addf(out, "%s\n", sbuf_str(&pre.message));
        for (uint32_t i = 0; i < pre.nvictims; i++)
            sbuf_addf(out, "  preempts %s on %s\n", pre.victims[i]->key, w->nodes->name[pre.row]);
        preemption_done(&pre);
    }
    cycle_done(&c);
}

static void
load_config(struct world *w, const char *dir, struct scheduler_config *config, struct flags *fs)
{
    AUTO_FREE char *path = xasprintf("%s/config.yaml", dir), *text = NULL;
    size_t len;
    struct kerr *err;

    scheduler_config_flags(fs, config);
    if (file_exists(path)) {
        err = file_read(path, 1 << 20, &text, &len);
        assert_null(err);
        err = scheduler_config_parse(config, fs, text, path, w->names);
    } else {
        err = scheduler_config_load(config, fs, w->names);
    }
    if (err)
        fail_msg("%s", err->message);
    w->profile = &config->profiles[0];
}

static void
run_case(const char *name)
{
    AUTO_FREE char *dir = xasprintf("%s/%s", ROOT, name), *in = xasprintf("%s/in.yaml", dir), *out_path = xasprintf("%s/out.txt", dir);
    AUTO_FREE char *yaml = NULL, *expected = NULL;
    struct world w = { .rng = rng_seeded(1) };
    struct scheduler_config config = { 0 };
    AUTO(flags) *fs = flags_new("kube-scheduler", "");
    AUTO_SBUF out = { 0 };
    struct kerr *err;
    size_t len;

    w.names = resource_names_new();
    w.nodes = nodes_new(w.names);
    load_config(&w, dir, &config, fs);
    err = file_read(in, 1 << 20, &yaml, &len);
    assert_null(err);
    err = yaml_each_document(yaml, len, take, &w);
    if (err)
        fail_msg("%s: %s", in, err->message);
    for (size_t i = 0; i < w.nwaiting; i++) {
        decide(&w, w.waiting[i], &out);
        pod_info_unref(w.waiting[i]);
    }
    if (getenv("CKUBE_GOLDEN_WRITE")) {
        err = file_write_atomic(out_path, sbuf_str(&out), out.len, 0644);
        assert_null(err);
    }
    err = file_read(out_path, 1 << 20, &expected, &len);
    if (err)
        fail_msg("%s: %s", out_path, err->message);
    if (strcmp(sbuf_str(&out), expected) != 0)
        fail_msg("%s\n--- expected\n%s--- got\n%s", name, expected, sbuf_str(&out));
    for (size_t i = 0; i < w.nbudgets; i++)
        object_unref(w.budgets[i]);
    nodes_free(w.nodes);
    resource_names_free(w.names);
    scheduler_config_done(&config);
    strlist_done(&w.claims);
}

static void
golden_cases(void **state)
{
    DIR *d = opendir(ROOT);
    struct dirent *e;
    unsigned n = 0;

    assert_non_null(d);
    while ((e = readdir(d)))
        if (e->d_name[0] != '.') {
            run_case(e->d_name);
            n++;
        }
    closedir(d);
    print_message("%u cases\n", n);
    assert_true(n >= 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(golden_cases) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
