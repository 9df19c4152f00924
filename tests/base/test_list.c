/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The intrusive list: its order after each operation, walked both ways, and which links are on a list. */
#include "../common/harness.h"

#include "base/list.h"

struct item {
    int before; /* the link is not the first member, so that kva_container_of is not the identity */
    struct kva_list link;
};

/** The list contains exactly these items, forwards and backwards. */
static void expect_order(const struct kva_list *head, const struct item *const *items, size_t count)
{
    const struct kva_list *forward = head->next;
    const struct kva_list *backward = head->prev;

    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(kva_container_of(forward, struct item, link), items[i]);
        assert_ptr_equal(kva_container_of(backward, struct item, link), items[count - 1 - i]);
        assert_true(list_is_linked(forward));
        forward = forward->next;
        backward = backward->prev;
    }
    assert_ptr_equal(forward, head);
    assert_ptr_equal(backward, head);
    assert_int_equal(list_is_empty(head), count == 0);
}

static void insertion_at_every_place(void **state)
{
    struct kva_list head;
    struct item a = {0}, b = {0}, c = {0}, d = {0};
    (void)state;
    list_init(&head);
    expect_order(&head, NULL, 0);

    list_insert_after(&head, &b.link);
    expect_order(&head, (const struct item *[]){&b}, 1);
    list_insert_after(&head, &a.link);
    expect_order(&head, (const struct item *[]){&a, &b}, 2);
    list_insert_before(&head, &d.link);
    expect_order(&head, (const struct item *[]){&a, &b, &d}, 3);
    list_insert_before(&d.link, &c.link);
    expect_order(&head, (const struct item *[]){&a, &b, &c, &d}, 4);
}

static void removal_from_every_place(void **state)
{
    (void)state;
    for (size_t gone = 0; gone < 3; gone++) {
        struct kva_list head;
        struct item items[3] = {{0}};
        const struct item *left[2];
        size_t count = 0;

        list_init(&head);
        for (size_t i = 0; i < 3; i++) {
            list_insert_before(&head, &items[i].link);
            if (i != gone)
                left[count++] = &items[i];
        }
        list_remove(&items[gone].link);
        assert_false(list_is_linked(&items[gone].link));
        expect_order(&head, left, 2);

        list_remove(head.next);
        list_remove(head.prev);
        expect_order(&head, NULL, 0);
    }
}

static void a_cleared_link_is_on_no_list(void **state)
{
    struct kva_list head, link;
    (void)state;
    list_init(&head);
    list_clear(&link);
    assert_false(list_is_linked(&link));
    list_insert_after(&head, &link);
    assert_true(list_is_linked(&link));
    list_remove(&link);
    assert_false(list_is_linked(&link));
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insertion_at_every_place),
        cmocka_unit_test(removal_from_every_place),
        cmocka_unit_test(a_cleared_link_is_on_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
