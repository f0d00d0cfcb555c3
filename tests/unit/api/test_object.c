// SPDX-License-Identifier: Apache-2.0
#include "common/api/object.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "common/base/str.h"

static void
every_kind_is_found(void **state)
{
    for (size_t i = 0; i < api_kinds_len; i++) {
        const struct api_kind *k = &api_kinds[i];
        assert_ptr_equal(api_kind_find(api_kind_api_version(k), k->kind), k);
        if (k->resource)
            assert_ptr_equal(api_kind_by_resource(k->group, k->version, k->plural), k);
    }
    assert_null(api_kind_find("v1", "pod"));
    assert_null(api_kind_find("v2", "Pod"));
    assert_null(api_kind_find("/v1", "Pod"));
    assert_null(api_kind_find("apps/v1", "Pod"));
    assert_null(api_kind_find("apps/v1/x", "Deployment"));
    assert_ptr_equal(api_kind_find("apps/v1", "DeleteOptions"), api_kind_find("v1", "DeleteOptions")); /* as clients send it */
    assert_null(api_kind_find("apps/v1", "PodLogOptions"));
    assert_null(api_kind_find("apps/v1", "Status"));
    assert_null(api_kind_find(NULL, "Pod"));
    assert_null(api_kind_find("v1", ""));
    assert_null(api_kind_by_resource(NULL, NULL, NULL));
    assert_string_equal(api_kind_by_resource(NULL, "v1", "pods")->kind, "Pod");
    assert_string_equal(api_kind_api_version(api_kind_find("apps/v1", "Deployment")), "apps/v1");
}

static void
every_name_is_found(void **state)
{
    const struct api_type *t = &api_type_volume; /* has an inlined struct */

    for (unsigned i = 0; i < t->nnames; i++)
        assert_ptr_equal(api_type_name(t, t->names[i].json, t->names[i].len), &t->names[i]);
    assert_non_null(api_type_name(t, "configMap", 9));
    assert_null(api_type_name(t, "configmap", 9));
    assert_null(api_type_name(t, "configMap", 8));
    assert_null(api_type_name(t, "", 0));
}

static void
sizes_match_the_generated_structs(void **state)
{
    const struct api_name *labels = api_type_name(&api_type_object_meta, "labels", 6);
    const struct api_name *limits = api_type_name(&api_type_resource_requirements, "limits", 6);
    const struct api_name *containers = api_type_name(&api_type_pod_spec, "containers", 10);

    assert_int_equal(api_entry_size(labels->field), sizeof(struct string_map_entry));
    assert_int_equal(api_entry_size(limits->field), sizeof(struct quantity_map_entry));
    assert_int_equal(api_value_size(containers->field), sizeof(struct container));
}

static void
objects_are_counted(void **state)
{
    struct object *obj = object_new_of("v1", "Pod");
    struct object *same = object_ref(obj);

    assert_ptr_equal(obj, same);
    object_unref(obj);
    object_meta(same)->name = arena_strdup(object_arena(same), "a");
    assert_string_equal(object_name(same), "a");
    assert_true(str_empty(object_namespace(same)));
    assert_string_equal(OBJECT_BODY(same, pod)->type_meta.api_version, "v1");
    assert_null(OBJECT_BODY(same, node));
    assert_null(OBJECT_BODY((struct object *)NULL, node));
    AUTO(object) *copy = object_copy(same);
    object_meta(copy)->name = "b";
    assert_string_equal(object_name(same), "a");
    assert_true(object_size(same) >= sizeof(struct pod));
    object_unref(same);
    assert_null(object_ref(NULL));
    object_unref(NULL);
    AUTO(object) *status = object_new_of("v1", "Status");
    assert_null(object_meta(status));
}

static void *
ref_and_unref(void *arg)
{
    for (int i = 0; i < 20000; i++)
        object_unref(object_ref(arg));
    return NULL;
}

static void
counting_is_safe_among_threads(void **state)
{
    struct object *obj = object_new_of("v1", "Node");
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, obj), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_string_equal(object_kind(obj)->kind, "Node");
    object_unref(obj);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_found),
        cmocka_unit_test(every_name_is_found),
        cmocka_unit_test(sizes_match_the_generated_structs),
        cmocka_unit_test(objects_are_counted),
        cmocka_unit_test(counting_is_safe_among_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
