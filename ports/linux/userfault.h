/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The part of the kernel's userfaultfd interface that is used here, with the names, numbers and layouts of
 * linux/userfaultfd.h. That header does not come with every C library, and older ones lack a part.
 */
#ifndef KVA_PORTS_LINUX_USERFAULT_H
#define KVA_PORTS_LINUX_USERFAULT_H

#include <stdint.h>
#include <sys/ioctl.h>

#define UFFD_API ((uint64_t)0xAA)
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */

#define UFFD_FEATURE_MISSING_SHMEM ((uint64_t)1 << 5)       /* Linux 4.11 */
#define UFFD_FEATURE_MINOR_SHMEM ((uint64_t)1 << 10)        /* Linux 5.14 */
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM ((uint64_t)1 << 12) /* Linux 5.19 */

struct uffdio_api {
    uint64_t api;
    uint64_t features;
    uint64_t ioctls;
};

struct uffdio_range {
    uint64_t start;
    uint64_t len;
};

#define UFFDIO_REGISTER_MODE_MISSING ((uint64_t)1 << 0)
#define UFFDIO_REGISTER_MODE_WP ((uint64_t)1 << 1)
#define UFFDIO_REGISTER_MODE_MINOR ((uint64_t)1 << 2) /* Linux 5.13 */

struct uffdio_register {
    struct uffdio_range range;
    uint64_t mode;
    uint64_t ioctls;
};

#define UFFDIO_WRITEPROTECT_MODE_WP ((uint64_t)1 << 0)

struct uffdio_writeprotect { /* Linux 5.7 */
    struct uffdio_range range;
    uint64_t mode;
};

#define UFFDIO 0xAA
#define UFFDIO_REGISTER _IOWR(UFFDIO, 0x00, struct uffdio_register)
#define UFFDIO_UNREGISTER _IOR(UFFDIO, 0x01, struct uffdio_range)
#define UFFDIO_WAKE _IOR(UFFDIO, 0x02, struct uffdio_range)
#define UFFDIO_WRITEPROTECT _IOWR(UFFDIO, 0x06, struct uffdio_writeprotect)
#define UFFDIO_API _IOWR(UFFDIO, 0x3F, struct uffdio_api)

#endif
