#ifndef RAGLAN_UTIL_FILE_INT_H
#define RAGLAN_UTIL_FILE_INT_H
/* Shared by file*.c alone. */
#include "util/err.h"

/* Makes a rename or removal in path's folder durable. */
status file_sync_folder_of(const char *path);
#endif
