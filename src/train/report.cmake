# The report page's parts go into the program as they are (html.c reads them with .incbin):
# the template, and dygraphs (https://dygraphs.com, MIT) from Debian's libjs-dygraphs. Without
# the package the page shows its figures as tables.
set(report_parts ${CMAKE_SOURCE_DIR}/src/train/report.html)
set(report_definitions RAGLAN_REPORT_HTML="${CMAKE_SOURCE_DIR}/src/train/report.html")
find_file(RAGLAN_DYGRAPHS_JS dygraph.min.js PATHS /usr/share/javascript/dygraphs NO_DEFAULT_PATH)
find_file(RAGLAN_DYGRAPHS_CSS dygraph.min.css PATHS /usr/share/javascript/dygraphs NO_DEFAULT_PATH)
if(RAGLAN_DYGRAPHS_JS AND RAGLAN_DYGRAPHS_CSS)
  list(APPEND report_parts ${RAGLAN_DYGRAPHS_JS} ${RAGLAN_DYGRAPHS_CSS})
  list(APPEND report_definitions RAGLAN_DYGRAPHS_JS="${RAGLAN_DYGRAPHS_JS}"
    RAGLAN_DYGRAPHS_CSS="${RAGLAN_DYGRAPHS_CSS}")
else()
  message(STATUS "libjs-dygraphs not found: training reports will have tables instead of charts")
endif()
set_source_files_properties(src/train/html.c PROPERTIES
  COMPILE_DEFINITIONS "${report_definitions}" OBJECT_DEPENDS "${report_parts}")
