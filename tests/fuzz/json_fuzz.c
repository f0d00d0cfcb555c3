// SPDX-License-Identifier: Apache-2.0
/* JSON decoder: survives anything, agrees with jansson on syntax, and what it takes encodes to a fixed point.
 * The first byte picks the kind. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "common/api/codec.h"
#include "common/api/json_scan.h"

static const char *const kinds[][2] = {
    { "v1", "Pod" },
    { "v1", "ConfigMap" },
    { "v1", "Secret" },
    { "v1", "Service" },
    { "v1", "Status" },
    { "apps/v1", "Deployment" },
    { "apps/v1", "ControllerRevision" },
    { "coordination.k8s.io/v1", "Lease" },
    { "autoscaling/v2", "HorizontalPodAutoscaler" },
    { "apiextensions.k8s.io/v1", "CustomResourceDefinition" },
    { "authorization.k8s.io/v1", "SubjectAccessReview" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* jansson refuses bad UTF-8, lone surrogates and numbers that it cannot hold; Go takes the first two.  It takes a NUL for
 * the end of the text. */
static bool
comparable(const char *json, size_t len)
{
    int depth = 0;

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)json[i] >= 0x7f || !json[i] || (json[i] == '\\' && i + 1 < len && json[i + 1] == 'u'))
            return false;
        depth += json[i] == '[' || json[i] == '{';
    }
    return depth < CODEC_MAX_DEPTH;
}

static void
compare_syntax(const char *json, size_t len)
{
    json_error_t why;
    bool ours = json_valid(json, len);

    if (!comparable(json, len))
        return;
    json_t *tree = json_loadb(json, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    bool number = !tree && json_error_code(&why) == json_error_numeric_overflow;
    if (ours != (tree != NULL) && !number) {
        fprintf(stderr, "ours %d, jansson %s: %.*s\n", ours, tree ? "takes it" : why.text, (int)len, json);
        abort();
    }
    json_decref(tree);
}

static void
check_fixed_point(const struct api_kind *kind, const struct object *obj)
{
    AUTO_SBUF first = { 0 };
    AUTO_SBUF second = { 0 };
    AUTO(object) *again = NULL;

    object_encode_json(obj, &first);
    AUTO(kerr) *err = object_decode_json(first.s, first.len, kind, NULL, &again);
    if (err) {
        fprintf(stderr, "%s\nfrom %s\n", err->message, first.s);
        abort();
    }
    object_encode_json(again, &second);
    if (strcmp(first.s, second.s) != 0) {
        fprintf(stderr, "%s\n%s\n", first.s, second.s);
        abort();
    }
}

static void
ignore_item(struct object *obj, void *arg)
{
    object_unref(obj);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *const *name = kinds[data[0] % ARRAY_LEN(kinds)];
    const struct api_kind *kind = api_kind_find(name[0], name[1]);
    const char *json = (const char *)data + 1;
    struct codec_report report = { .collect = true };
    struct list_head_info info = { 0 };
    AUTO(object) *obj = NULL;

    compare_syntax(json, --size);
    AUTO(kerr) *err = object_decode_json(json, size, kind, &report, &obj);
    if (!err)
        check_fixed_point(kind, obj);
    strlist_done(&report.findings);
    AUTO(kerr) *list_err = list_decode_json(json, size, kind, ignore_item, NULL, &info);
    if (!list_err)
        list_head_info_done(&info);
    return 0;
}
