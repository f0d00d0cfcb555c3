// SPDX-License-Identifier: Apache-2.0
/* Golden tests of the controllers' decide functions: tests/golden/controllers/<controller>/<case>/in.yaml (objects, and
 * settings as "# name: value" lines) -> plan.txt.  GOLDEN_UPDATE=1 writes plan.txt anew: read the difference. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/api/codec.h"
#include "common/api/tree.h"
#include "common/api/values.h"
#include "common/base/file.h"
#include "tests/unit/controller-manager/golden.h"

#define ROOT "tests/golden/controllers"

/* --- the case --- */

static struct kerr *
take_document(const char *json, size_t len, void *arg)
{
    struct golden *g = arg;
    struct object *obj = NULL;
    struct kerr *err;

    if (len <= 4)
        return NULL; /* an empty document */
    err = object_decode_json(json, len, NULL, NULL, &obj);
    if (!err)
        object_list_add_take(&g->objects, obj);
    return err;
}

static void
load(struct golden *g, const char *path)
{
    size_t len;
    struct kerr *err = file_read(path, 1 << 20, &g->text, &len);

    if (!err)
        err = yaml_each_document(g->text, len, take_document, g);
    if (err)
        fail_msg("%s: %s", path, err->message);
    AUTO_FREE char *now = golden_setting(g, "now");
    assert_int_equal(api_time_parse(now ? now : "2026-01-01T00:00:00Z", 20, &g->now), 0);
    g->key = golden_setting(g, "key");
}

char *
golden_setting(const struct golden *g, const char *name)
{
    AUTO_FREE char *want = xasprintf("# %s: ", name);
    const char *at = strstr(g->text, want);

    if (!at)
        return NULL;
    at += strlen(want);
    return xstrndup(at, strcspn(at, "\n"));
}

void
golden_kind(const struct golden *g, const char *kind, struct object_list *ret)
{
    for (size_t i = 0; i < g->objects.len; i++)
        if (str_eq(object_kind(g->objects.items[i])->kind, kind))
            object_list_add_take(ret, object_ref(g->objects.items[i]));
}

struct object *
golden_first(const struct golden *g, const char *kind)
{
    for (size_t i = 0; i < g->objects.len; i++)
        if (str_eq(object_kind(g->objects.items[i])->kind, kind))
            return object_ref(g->objects.items[i]);
    return NULL;
}

/* --- printing: what of an object matters for the action --- */

static void
print_part(const json_t *tree, const char *parent, const char *name, struct sbuf *out)
{
    const json_t *at = parent ? json_object_get(json_object_get(tree, parent), name) : json_object_get(tree, name);

    if (!at)
        return;
    sbuf_addf(out, "  %s%s%s: ", parent ? parent : "", parent ? "." : "", name);
    tree_dump_sorted(at, out);
    sbuf_addc(out, '\n');
}

static void
print_object(const struct action *a, struct sbuf *out)
{
    AUTO_SBUF json = { 0 };
    json_t *tree = NULL;

    object_encode_json(a->object, &json);
    struct kerr *err = tree_load(json.s, json.len, &tree);
    assert_null(err);
    if (a->verb == ACTION_UPDATE_STATUS) {
        print_part(tree, "metadata", "annotations", out);
        print_part(tree, NULL, "status", out);
    } else if (a->verb == ACTION_UPDATE && json_object_get(tree, "spec")) {
        print_part(tree, "metadata", "annotations", out);
        print_part(tree, "metadata", "finalizers", out);
        print_part(tree, "spec", "replicas", out);
    } else {
        sbuf_adds(out, "  ");
        tree_dump_sorted(tree, out);
        sbuf_addc(out, '\n');
    }
    json_decref(tree);
}

void
golden_print(struct golden *g, struct plan *plan)
{
    uint64_t requeue = plan->requeue_after_ms;

    for (size_t i = 0; i < plan->len; i++) {
        struct plan one = { .items = &plan->items[i], .len = 1 };
        const struct action *a = &plan->items[i];
        plan_print(&one, false, &g->out);
        if (a->patch)
            sbuf_addf(&g->out, "  %s\n", a->patch);
        else if (a->object && a->verb != ACTION_EVENT)
            print_object(a, &g->out);
    }
    if (requeue)
        sbuf_addf(&g->out, "requeue after %llums\n", (unsigned long long)requeue);
    plan_free(plan);
}

/* --- running --- */

static void
run_case(const struct golden_row *row, const char *name)
{
    struct golden g = { 0 };
    AUTO_FREE char *in = xasprintf(ROOT "/%s/%s/in.yaml", row->controller, name);
    AUTO_FREE char *want_path = xasprintf(ROOT "/%s/%s/plan.txt", row->controller, name);
    AUTO_FREE char *want = NULL;
    size_t len;

    load(&g, in);
    row->run(&g);
    if (getenv("GOLDEN_UPDATE")) {
        struct kerr *err = file_write_atomic(want_path, sbuf_str(&g.out), g.out.len, 0644);
        assert_null(err);
    }
    struct kerr *err = file_read(want_path, 1 << 20, &want, &len);
    if (err)
        fail_msg("%s: %s", want_path, err->message);
    if (strcmp(want, sbuf_str(&g.out)) != 0)
        fail_msg("%s: the plan differs.  Wanted:\n%s\nGot:\n%s", want_path, want, sbuf_str(&g.out));
    object_list_done(&g.objects);
    sbuf_done(&g.out);
    free(g.text);
    free(g.key);
}

static void
run_controller(void **state)
{
    const struct golden_row *row = *state;
    AUTO_FREE char *dir = xasprintf(ROOT "/%s", row->controller);
    struct dirent **names = NULL;
    int n = scandir(dir, &names, NULL, alphasort), ran = 0;

    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            run_case(row, names[i]->d_name);
            ran++;
        }
        free(names[i]);
    }
    free(names);
    if (ran == 0)
        fail_msg("%s: no cases", dir);
}

int
main(void)
{
    struct CMUnitTest *tests = xcalloc(golden_rows_len, sizeof *tests);

    for (size_t i = 0; i < golden_rows_len; i++)
        tests[i] = (struct CMUnitTest){ golden_rows[i].controller, run_controller, NULL, NULL, (void *)(uintptr_t)&golden_rows[i] };
    int rc = _cmocka_run_group_tests("controllers", tests, golden_rows_len, NULL, NULL);
    free(tests);
    return rc;
}
