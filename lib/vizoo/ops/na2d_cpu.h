#pragma once

// Neighborhood attention on CPU tensors. Arguments are checked already (na2d_checks.h).

#include "vizoo/ops/na2d_signatures.h"

namespace vizoo::ops::cpu {

signature::Na2d na2d;
signature::Na2dForward na2d_forward;
signature::Na2dBackward na2d_backward;
signature::Na2dQk na2d_qk;
signature::Na2dQkBackward na2d_qk_backward;
signature::Na2dAv na2d_av;
signature::Na2dAvBackward na2d_av_backward;

}  // namespace vizoo::ops::cpu
