#ifndef RAGLAN_SEARCH_MANIFEST_INT_H
#define RAGLAN_SEARCH_MANIFEST_INT_H
/* Shared by the manifest file and the care for the files it names. */
#include "search/lexical_int.h"
#include "search/manifest.h"

bool manifest_is_segment(const char *name, const char *kind);
#endif
