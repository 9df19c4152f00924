/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Counts the nodes in the system's lists. */
#include "common/harness.h"

#include "tools/common/nodes.h"

static void test_lists(void **state)
{
    (void)state;
    assert_int_equal(nodes_in_list("0\n"), 1);
    assert_int_equal(nodes_in_list("0"), 1);
    assert_int_equal(nodes_in_list("0-1\n"), 2);
    assert_int_equal(nodes_in_list("0-3,8-15,63\n"), 13);
    assert_int_equal(nodes_in_list("7,2"), 2);
}

static void test_other_texts_are_refused(void **state)
{
    static const char *const others[] = {"", "\n", "x", "0-", "0-\n", "3-2", "0,", "0 1", "0-1x"};

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        check_that(nodes_in_list(others[i]) == 0, "\"%s\"", others[i]);
}

static void test_there_is_at_least_one(void **state)
{
    (void)state;
    assert_true(nodes_count() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_there_is_at_least_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
