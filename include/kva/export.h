/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * KVA_API stands before all that a program may call or refer to. Whatever has it is exported by the shared library, and nothing
 * else.
 *
 * A program that uses the shared library on Windows defines KVA_SHARED; with CMake and pkg-config that comes by itself. (In C,
 * the address of an object of the library, such as kva_engine_rb, cannot initialise a static object there: assign it.) Elsewhere
 * nothing needs to be defined. KVA_BUILDING is the library's own.
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
