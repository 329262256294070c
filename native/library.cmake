# The shared library libbitwright, its header, and the package that find_package(bitwright CONFIG) finds. The installed
# files may be moved together.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS pyproject.toml)  # the version
set(PACKAGE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/bitwright)

add_library(bitwright SHARED native/src/c_api.cpp $<TARGET_OBJECTS:bitwright_core>)
# before version 1.0 a new minor version may change the interface
set_target_properties(bitwright PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_include_directories(bitwright PRIVATE native/src INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_definitions(bitwright PRIVATE BITWRIGHT_VERSION="${PROJECT_VERSION}")
target_compile_options(bitwright PRIVATE -Wall -Wextra)
target_link_libraries(bitwright PRIVATE Threads::Threads)
if(UNIX AND NOT APPLE)
  set(SYMBOLS ${CMAKE_CURRENT_SOURCE_DIR}/native/library.map)
  target_link_options(bitwright PRIVATE LINKER:--version-script=${SYMBOLS} LINKER:--no-undefined)
  set_target_properties(bitwright PROPERTIES LINK_DEPENDS ${SYMBOLS})
endif()

install(TARGETS bitwright EXPORT bitwright)
install(FILES native/include/bitwright.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT bitwright FILE bitwrightConfig.cmake NAMESPACE bitwright:: DESTINATION ${PACKAGE_FOLDER})
write_basic_package_version_file(bitwrightConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bitwrightConfigVersion.cmake DESTINATION ${PACKAGE_FOLDER})
