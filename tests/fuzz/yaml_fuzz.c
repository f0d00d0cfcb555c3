// SPDX-License-Identifier: Apache-2.0
/* YAML reader and writer: survive anything; the JSON that comes out is valid, and YAML made from it reads back as the
 * same (up to -0, which is an integer on the way back).  */
#include <stdint.h>
#include <stdio.h>

#include "common/api/codec.h"
#include "common/api/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kerr *
check_valid(const char *json, size_t len, void *arg)
{
    if (!json_valid(json, len)) {
        fprintf(stderr, "not JSON: %.*s\n", (int)len, json);
        abort();
    }
    return NULL;
}

static void
check_way_back(const struct sbuf *json)
{
    AUTO_SBUF yaml = { 0 };
    AUTO_SBUF back = { 0 };
    AUTO_SBUF again = { 0 };

    json_to_yaml(json->s, json->len, &yaml);
    AUTO(kerr) *err = yaml_to_json(sbuf_str(&yaml), yaml.len, NULL, &back);
    if (!err)
        json_to_yaml(back.s, back.len, &again);
    if (err || again.len != yaml.len || memcmp(again.s, yaml.s, yaml.len) != 0) {
        fprintf(stderr, "json %s\nyaml %s\nback %s\n", json->s, sbuf_str(&yaml), err ? err->message : back.s);
        abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct codec_report report = { .collect = true };
    AUTO_SBUF json = { 0 };
    AUTO(kerr) *err = yaml_to_json((const char *)data, size, &report, &json);

    if (!err) {
        check_valid(json.s, json.len, NULL);
        check_way_back(&json);
    }
    strlist_done(&report.findings);
    kerr_free(yaml_each_document((const char *)data, size, check_valid, NULL));
    return 0;
}
