/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * KVA_API marks all functions and objects that a program may use. The shared library exports exactly these.
 *
 * On Windows, a program that uses the shared library must define KVA_SHARED; CMake and pkg-config do that.
 * (There, in C, the address of an object of the library, such as kva_engine_rb, cannot initialise a static
 * object: assign it.) Elsewhere a program defines nothing. KVA_BUILDING is private to the library.
 */
#ifndef KVA_EXPORT_H
#define KVA_EXPORT_H

#if defined(KVA_SHARED) && defined(_WIN32) && defined(KVA_BUILDING)
#define KVA_API __declspec(dllexport)
#elif defined(KVA_SHARED) && defined(_WIN32)
#define KVA_API __declspec(dllimport)
#elif defined(KVA_SHARED) && defined(__GNUC__)
#define KVA_API __attribute__((visibility("default")))
#else
#define KVA_API
#endif

#endif
