#pragma once

// Compiled once and shared by every target that includes torch; see cmake/VizooLayer.cmake.
#include <nlohmann/json.hpp>

#include "vizoo/nn/torch.h"
