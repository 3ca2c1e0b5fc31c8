#ifndef RAGLAN_TESTS_CMOCKA_ALL_H
#define RAGLAN_TESTS_CMOCKA_ALL_H
/* cmocka and the headers that it wants before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#endif
