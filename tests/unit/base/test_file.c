/* file_remove_tree(): all of a tree goes, nothing outside of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/file.h"
#include "common/base/kerr.h"

static void
put(const char *path)
{
    AUTO(kerr) *err = file_write_atomic(path, "x", 1, 0600);

    assert_null(err);
}

static char *
new_dir(void)
{
    char *dir = xstrdup("/tmp/ckube-file-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static void
removes_files_folders_and_links(void **state)
{
    AUTO_FREE char *dir = new_dir();
    AUTO_FREE char *outside = new_dir();
    AUTO_FREE char *deep = path_join(dir, "t/a/b/c");
    AUTO_FREE char *file = path_join(dir, "t/a/b/f");
    AUTO_FREE char *link = path_join(dir, "t/a/link");
    AUTO_FREE char *kept = path_join(outside, "kept");
    AUTO_FREE char *tree = path_join(dir, "t");

    (void)state;
    AUTO(kerr) *made = file_mkdirs(deep, 0755);
    assert_null(made);
    put(file);
    put(kept);
    assert_int_equal(symlink(outside, link), 0);
    AUTO(kerr) *err = file_remove_tree(tree);
    assert_null(err);
    assert_false(file_exists(tree));
    assert_true(file_exists(kept));
    AUTO(kerr) *again = file_remove_tree(tree);
    assert_null(again);
    unlink(kept);
    rmdir(outside);
    rmdir(dir);
}

static void
stays_on_its_file_system(void **state)
{
    AUTO_FREE char *dir = new_dir();
    AUTO_FREE char *point = path_join(dir, "point");
    AUTO_FREE char *kept = path_join(point, "kept");

    (void)state;
    assert_int_equal(mkdir(point, 0755), 0);
    if (mount("test", point, "tmpfs", 0, "size=64k")) { /* not root */
        rmdir(point);
        rmdir(dir);
        skip();
    }
    put(kept);
    AUTO(kerr) *err = file_remove_tree(dir);
    bool there = file_exists(kept);
    umount(point);
    assert_non_null(err);
    assert_true(there);
    AUTO(kerr) *now = file_remove_tree(dir);
    assert_null(now);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removes_files_folders_and_links),
        cmocka_unit_test(stays_on_its_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
