/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The version: the linked library is the one of the headers, and its version can be compared as a number. */
#include "../common/harness.h"

#include <kva/kva.h>

static void the_library_has_this_version(void **state)
{
    (void)state;
    assert_int_equal(kva_version(), KVA_VERSION);
    assert_int_equal(KVA_VERSION >> 16, KVA_VERSION_MAJOR);
    assert_int_equal(KVA_VERSION >> 8 & 0xff, KVA_VERSION_MINOR);
    assert_int_equal(KVA_VERSION & 0xff, KVA_VERSION_PATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_has_this_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
